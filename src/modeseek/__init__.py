"""modeseek: mean-shift (mode-seeking) clustering.

Points climb to the modes of a kernel density; the points that reach one mode are one cluster.
Public names are loaded on first use, so ``import modeseek`` costs next to nothing and never
imports Numba, Torch or Matplotlib.
"""

from importlib import import_module
from typing import Any

# public name -> (module, attribute; None for the module itself)
_PUBLIC: dict[str, tuple[str, str | None]] = {
    "DBSCAN": ("modeseek.estimators", "DBSCAN"),
    "DensitySketch": ("modeseek.sketch", "DensitySketch"),
    "KMeans": ("modeseek.estimators", "KMeans"),
    "LSHIndex": ("modeseek.estimators", "LSHIndex"),
    "MeanShift": ("modeseek.estimators", "MeanShift"),
    "NearestNeighbors": ("modeseek.estimators", "NearestNeighbors"),
    "bandwidth_path": ("modeseek.scale_space", "bandwidth_path"),
    "blur": ("modeseek.blurring", "blur"),
    "cluster_files": ("modeseek.outofcore", "cluster_files"),
    "estimate_bandwidth": ("modeseek.bandwidth", "estimate_bandwidth"),
    "filter_image": ("modeseek.images", "filter_image"),
    "get_bin_seeds": ("modeseek.seeds", "get_bin_seeds"),
    "kneighbors_graph": ("modeseek.estimators", "kneighbors_graph"),
    "kmeans_plusplus": ("modeseek.kmeans.seeding", "kmeans_plusplus"),
    "mean_shift": ("modeseek.estimators", "mean_shift"),
    "plot": ("modeseek.plotting", None),
    "radius_neighbors_graph": ("modeseek.estimators", "radius_neighbors_graph"),
    "segment": ("modeseek.images", "segment"),
    "textbook": ("modeseek.textbook", None),
}

__all__ = ["__version__", *sorted(_PUBLIC)]


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(__name__)
    except PackageNotFoundError:  # the source tree on the path, not installed
        return "0+unknown"


def __getattr__(name: str) -> Any:
    if name == "__version__":
        globals()[name] = found = _version()
        return found
    if name not in _PUBLIC:
        raise AttributeError(f"module 'modeseek' has no attribute {name!r}")
    module, attribute = _PUBLIC[name]
    value = import_module(module)
    if attribute is not None:
        value = getattr(value, attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
