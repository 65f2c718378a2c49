"""The paper: `main.typ`, and what fills it with measured numbers and figures (``make paper``)."""
