"""What ``modeseek info`` tells: versions, threads, compiled kernels, devices."""

import importlib.util
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import modeseek

NEEDED = ("numpy", "numba", "scikit-learn")
OPTIONAL = ("pyarrow", "matplotlib", "pillow", "typer", "rich", "torch", "triton")


def facts() -> dict[str, str]:
    """Collect them; Torch is imported if it is installed, to ask for its devices."""
    from modeseek.engines.threads import effective_n_jobs

    cache, kernels = kernel_cache()
    compiled = f"{kernels} compiled kernels" if kernels else "empty: the first run compiles"
    return {
        "modeseek": modeseek.__version__,
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        **{name: _version(name) for name in NEEDED + OPTIONAL},
        "threads": str(effective_n_jobs(None)),
        "kernel cache": f"{cache} ({compiled})",
        "devices": _devices(),
    }


def kernel_cache() -> tuple[Path, int]:
    """Return where Numba keeps what it has compiled for this package, and how many kernels are there."""
    package = Path(modeseek.__file__).parent
    place = Path(os.environ.get("NUMBA_CACHE_DIR") or package)
    if place == package and not os.access(package, os.W_OK):
        from numba.core import config
        from numba.misc.appdirs import AppDirs

        place = Path(getattr(config, "CACHE_DIR", "") or AppDirs(appname="numba", appauthor=False).user_cache_dir)
    return place, sum(1 for _ in place.rglob("*.nbi"))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _devices() -> str:
    if importlib.util.find_spec("torch") is None:
        return "cpu"
    import torch

    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return ", ".join(["cpu", *names])
