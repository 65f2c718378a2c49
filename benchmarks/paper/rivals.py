"""Peers of mean shift on grids, built from their authors' own C++ where a folder holds it; exact flat mean shift.

MeanShift++ (J. Jang and H. Jiang, "MeanShift++: extremely fast mode-seeking with applications to segmentation and
object tracking", CVPR 2021) moves every point to the mean of the 3^d cells around it, again and again. GridShift
(A. Kumar et al., "GridShift: a faster mode-seeking algorithm for image segmentation and object tracking", CVPR 2022)
moves the cells themselves. Neither is on PyPI (asked in November 2026). Put ``meanshiftpp.h`` of
github.com/jenniferjang/meanshiftpp and ``gridshiftpp.h`` of github.com/abhisheka456/GridShift into one folder and name
that in the environment variable MODESEEK_RIVALS: they are compiled here with g++ -O3 and called through ctypes, which
costs no more than their Cython modules do. Without it they are left out.

Cells are found by rounding towards zero, so points are moved to positive coordinates first. GridShift as published
mixes up labels unless its first cells come in order, so it is given sorted points, outside the time.
"""

import ctypes
import os
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.spatial import cKDTree

FOLDER = "MODESEEK_RIVALS"
ROUNDS = 1000  # most, of either
THRESHOLD = 1e-4  # of MeanShift++'s own default: norm of all moves of a round
THREADS = 2

Floats, Ints = NDArray[np.floating], NDArray[np.integer]
_libraries: dict[str, ctypes.CDLL] = {}

_WRAPPERS = {
    "meanshiftpp": 'extern "C" void shift(int n, int d, float h, int* o, float* x) { shift_cy(n, d, 3, h, o, x); }',
    "gridshiftpp": (
        'extern "C" void cluster(int n, int d, int rounds, float h, int* o, float* x, int* labels, int* k)'
        "{ grid_cluster(n, d, 3, rounds, h, o, x, labels, k); }"
    ),
}


def available(name: str) -> bool:
    """Tell whether the source of a peer is where the environment says."""
    folder = os.environ.get(FOLDER)
    return folder is not None and (Path(folder) / f"{name}.h").exists()


def _library(name: str) -> ctypes.CDLL:
    """Compile a peer once in a process."""
    if name not in _libraries:
        with tempfile.TemporaryDirectory() as folder:
            source, built = Path(folder) / "peer.cpp", Path(folder) / f"{name}.so"
            source.write_text(f'#include <cmath>\n#include "{name}.h"\n{_WRAPPERS[name]}\n', encoding="ascii")
            command = ["g++", "-O3", "-march=native", "-shared", "-fPIC", f"-I{os.environ[FOLDER]}"]
            subprocess.run([*command, str(source), "-o", str(built)], check=True)
            _libraries[name] = ctypes.CDLL(str(built))
    return _libraries[name]


def _pointer(array: Floats | Ints) -> ctypes.c_void_p:
    return array.ctypes.data_as(ctypes.c_void_p)


def _offsets(d: int) -> Ints:
    return (np.indices((3,) * d).reshape(d, -1).T - 1).astype(np.int32)


def _positive(X: Floats, side: float) -> NDArray[np.float32]:
    """Move the points to where rounding towards zero is rounding down, even one cell further."""
    return np.ascontiguousarray(X - X.min(axis=0) + 2.0 * side, np.float32)


def mean_shift_pp(X: Floats, side: float) -> Callable[[], Ints]:
    """Return a call that labels X by MeanShift++ with cells of this side, as its authors' class does."""
    library, points, offsets = _library("meanshiftpp"), _positive(X, side), _offsets(X.shape[1])

    def call() -> Ints:
        x = points.copy()
        for _ in range(ROUNDS):
            before = x.copy()
            library.shift(len(x), x.shape[1], ctypes.c_float(side), _pointer(offsets), _pointer(x))
            if np.linalg.norm(before - x) <= THRESHOLD:
                break
        return np.unique(x, return_inverse=True, axis=0)[1].reshape(-1)

    return call


def grid_shift(X: Floats, side: float) -> Callable[[], Ints]:
    """Return a call that labels X by GridShift with cells of this side."""
    library, points, offsets = _library("gridshiftpp"), _positive(X, side), _offsets(X.shape[1])
    order = np.lexsort((points / np.float32(side)).astype(np.int32).T[::-1])
    points = np.ascontiguousarray(points[order])

    def call() -> Ints:
        x, labels, k = points.copy(), np.empty(len(points), np.int32), np.empty(1, np.int32)
        n, d = x.shape
        library.cluster(
            n, d, ROUNDS, ctypes.c_float(side), _pointer(offsets), _pointer(x), _pointer(labels), _pointer(k)
        )
        out = np.empty_like(labels)
        out[order] = labels
        return out

    return call


# ------------------------------------------------------------------------------------------- exact flat mean shift


@njit(cache=True, nogil=True)
def _flat_means(points, at, radius, out, counts):
    """Write to out (m, d) the mean of the points within the radius of each of at (m, d), and their number."""
    n, d = points.shape
    for q in range(len(at)):
        count, total = 0, np.zeros(d)
        for i in range(n):
            square = 0.0
            for k in range(d):
                difference = points[i, k] - at[q, k]
                square += difference * difference
            if square <= radius * radius:
                count += 1
                for k in range(d):
                    total[k] += points[i, k]
        counts[q] = count
        for k in range(d):
            out[q, k] = total[k] / count


def flat_means(points: Floats, at: Floats, radius: float) -> tuple[Floats, Ints]:
    """Return the mean of the points within a radius of each place, and how many there are."""
    out, counts = np.empty_like(at), np.empty(len(at), np.int64)
    parts = np.array_split(np.arange(len(at)), min(len(at), 64))
    with ThreadPoolExecutor(THREADS) as pool:

        def work(part: Ints) -> None:
            some = slice(part[0], part[-1] + 1)
            _flat_means(points, at[some], radius, out[some], counts[some])

        list(pool.map(work, parts))
    return out, counts


def exact_flat(X: Floats, radius: float, max_iter: int = 10_000) -> Ints:
    """Return the labels of exact flat mean shift: every point climbs to rest over all points, in float64.

    Places of rest within the radius of one that more points are within count as that one, which is scikit-learn's
    rule; a point has the label of the place that it climbs to, where scikit-learn takes the nearest place.
    """
    points = np.ascontiguousarray(X, np.float64)
    x, owner = np.unique(points, axis=0, return_inverse=True)
    owner = owner.reshape(-1)
    for _ in range(max_iter):
        means, counts = flat_means(points, x, radius)
        moved = np.abs(means - x).max()
        x, names = np.unique(means, axis=0, return_inverse=True)  # equal neighbours have equal means, to the bit
        owner = names.reshape(-1)[owner]
        if moved == 0.0:
            break
    counts = flat_means(points, x, radius)[1]
    order = np.lexsort((*x.T, counts))[::-1]  # by falling number, then by coordinates
    kept: list[int] = []
    for i in order:
        if not kept or np.linalg.norm(x[kept] - x[i], axis=1).min() > radius:
            kept.append(int(i))
    return cKDTree(x[kept]).query(x)[1][owner]
