"""The command line: ``modeseek cluster``, ``bandwidth``, ``explore``, ``segment``, ``demo``, ``info``.

It reads arguments, calls the library and prints; there are no algorithms here. Results go to standard
output, progress and complaints to standard error. Exit codes: 0 done, 1 bad data (one line says what),
2 wrong usage, 130 stopped with Ctrl-C.
"""

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line, or say how to install what it needs."""
    try:
        from modeseek.cli.app import app

        app(prog_name="modeseek")
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich"):
            raise
        sys.exit(f"modeseek: error: the command line needs {error.name}: pip install 'modeseek[cli]'")
    except KeyboardInterrupt:
        sys.exit(130)
