"""Which examples and random numbers tests draw; and tests of the GPU's code, on the CPU and on hardware.

`pytest` draws the same examples every time: a change fails by what it changed and by nothing else.
`pytest --hypothesis-profile=search` draws others each time, $TIMES times as many, and keeps those that fail.
"""

import os
import random
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from tests.examples import NAMED_NOTHING

settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile(
    "search",
    derandomize=False,
    deadline=None,
    max_examples=NAMED_NOTHING * int(os.environ.get("TIMES", "30")),
)
settings.load_profile("same")  # pytest loads the one that --hypothesis-profile names after this

HARDWARE = any(Path(p).exists() for p in ("/dev/nvidiactl", "/dev/kfd"))
if not HARDWARE:
    os.environ.setdefault("TRITON_INTERPRET", "1")  # read by Triton when it is imported

NO_GPU = "no CUDA device: needs the hardware"


def has_gpu():
    if not HARDWARE:
        return False
    import torch

    return torch.cuda.is_available()


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request):
    """A device for the GPU's code; on "cpu" kernels are interpreted."""
    pytest.importorskip("torch")
    if request.param == "cpu" and os.environ.get("TRITON_INTERPRET") != "1":
        pytest.skip("kernels are compiled for the GPU in this run")
    return request.param


def pytest_runtest_setup():
    """Seed what draws with no seed of its own, so that no test depends on those before it."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


def pytest_collection_modifyitems(items):
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked and not has_gpu():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason=NO_GPU))


def pytest_terminal_summary(terminalreporter):
    skipped = [r for r in terminalreporter.stats.get("skipped", []) if NO_GPU in str(r.longrepr)]
    ran = [r for r in terminalreporter.stats.get("passed", []) if "[cpu" in r.nodeid or "-cpu" in r.nodeid]
    terminalreporter.write_line(
        f"GPU: {len(ran)} tests of its code passed on the CPU, {len(skipped)} were skipped for want of hardware."
    )
