"""Exact neighbours on a device, and what shows them: points, queries and answers are tensors there.

Results are those of the CPU: float64 sums of squared differences, column by column, ties by lower row.
"""

from typing import Any

import numpy as np
import torch

from modeseek.engines import namespaces
from modeseek.engines.devices import where
from modeseek.engines.gpu import nearest, needs_float64, pairs, radius
from modeseek.engines.namespaces import Home

MOST = 1 << 30  # points: their positions are int32
ROWS_AT_ONCE = 1 << 16


class DeviceSearch:
    """Points on a device of Torch.

    Parameters
    ----------
    points : Tensor of shape (n, d), float32 or float64
        Finite and contiguous; kept, not copied.
    n_jobs : int, optional
        Without effect.

    Notes
    -----
    Every query meets every point, as low precision goes; what that leaves is compared in float64
    (`modeseek.engines.gpu.screens`). Memory: a rounded copy of the points, and about 1 GiB while it searches.
    """

    def __init__(self, points: torch.Tensor, n_jobs: int | None = None):
        refuse_few_bits(points)
        self.n_jobs = n_jobs
        self.points = nearest.Points(points)

    def nearest(self, queries: torch.Tensor | None, k: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return distances and rows, (m, k), of the k nearest points by rising distance; None: of each, the others."""
        return nearest.nearest(self.points, *self._asked(queries), k)

    def nearest_to(self, rows: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return distances and rows, (m, k), of the k points nearest to some of the points, themselves left out."""
        return nearest.nearest(self.points, self.points.X[rows], rows, k)

    def count_within(self, queries: torch.Tensor | None, radii: torch.Tensor) -> torch.Tensor:
        """Return how many points are within the radius of each query (None: of each point, itself not counted)."""
        return radius.count_within(self.points, *self._asked(queries), radii)

    def within(
        self, queries: torch.Tensor | None, radii: torch.Tensor, far: bool = True
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return (indptr, rows, distances) of the points within the radius of each query, by rising row."""
        return radius.within(self.points, *self._asked(queries), radii, far)

    def _asked(self, queries: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor | None]:
        X = self.points.X
        return (X, torch.arange(len(X), device=X.device)) if queries is None else (queries, None)

    def __getstate__(self) -> dict[str, Any]:
        return {"X": self.points.X, "n_jobs": self.n_jobs}  # screens follow from the points

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["X"], state["n_jobs"])  # type: ignore[misc]


def refuse_few_bits(points: torch.Tensor) -> None:
    """Raise where a device lacks float64, or points are too many."""
    needs_float64(str(points.device), "A search for neighbours")
    if len(points) >= MOST:
        raise ValueError(f"X has {len(points)} rows; a device searches among fewer than {MOST}. Search in parts.")


def normalise(X: torch.Tensor, name: str = "X") -> torch.Tensor:
    """Return the rows divided by their lengths, float64, by the operations of `modeseek.sphere.normalise`."""
    unit = torch.empty(X.shape, dtype=torch.float64, device=X.device)
    for start in range(0, len(X), ROWS_AT_ONCE):
        columns = X[start : start + ROWS_AT_ONCE].double().T.contiguous()
        largest = columns.abs().amax(dim=0)
        if not bool((largest > 0.0).all()):
            row = start + int(torch.nonzero(largest == 0.0)[0])
            raise ValueError(f'Row {row} of {name} is zero: it has no direction, which metric="cosine" needs.')
        columns /= largest
        total = torch.zeros_like(largest)
        for column in columns:
            total += column * column
        columns /= pairs.roots(total)
        unit[start : start + ROWS_AT_ONCE] = columns.T
    return unit


def radii_of(radius: Any, m: int, device: str) -> torch.Tensor:
    """Return one radius for each query, float64, or say what is wrong with them."""
    if isinstance(radius, torch.Tensor):
        given = radius
    elif where(radius) != "cpu":
        given = torch.from_dlpack(radius)
    else:
        array = np.array(namespaces.as_numpy(radius))
        if array.dtype.kind not in "iuf":
            raise TypeError(f"radius must be a number, or one for each query, got {radius!r}.")
        given = torch.from_numpy(array.astype(np.float64))
    if given.is_complex() or given.dtype == torch.bool:
        raise TypeError(f"radius must be a number, or one for each query, got {radius!r}.")
    if tuple(given.shape) not in ((), (m,)):
        raise ValueError(
            f"radius must be one number or have shape ({m},), one for each query, got {tuple(given.shape)}."
        )
    bad = torch.nonzero(~(given >= 0.0).reshape(-1)).flatten()
    if len(bad):
        raise ValueError(f"radius must be at least 0, got {float(given.reshape(-1)[bad[0]])} ({len(bad)} such in all).")
    return given.detach().to(device).double().expand(m).contiguous()


def by_distance(indptr: torch.Tensor, rows: torch.Tensor, distances: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return rows and distances with those of each query by rising distance, then by row."""
    query = torch.repeat_interleave(torch.arange(len(indptr) - 1, device=rows.device), indptr.diff())
    order = torch.sort(distances, stable=True).indices
    order = order[torch.sort(query[order], stable=True).indices]
    return rows[order], distances[order]


def evenly(rows: torch.Tensor) -> torch.Tensor:
    """Return where the neighbours of each query begin and end, if all have as many: rows is (m, k)."""
    m, k = rows.shape
    return torch.arange(m + 1, device=rows.device) * k


def roots(values: torch.Tensor) -> torch.Tensor:
    """Return square roots, rounded as IEEE 754 says."""
    return pairs.roots(values.clone())


def pieces(values: torch.Tensor, indptr: torch.Tensor) -> list[torch.Tensor]:
    """Cut values into one tensor for each query; they share memory."""
    return list(torch.split(values, indptr.diff().tolist()))


def csr(indptr: torch.Tensor, rows: torch.Tensor, entries: torch.Tensor | None, n: int, home: Home) -> Any:
    """Return a sparse matrix, with ones if there are no entries: of SciPy for NumPy, else of Torch on the device."""
    if entries is None:
        entries = torch.ones(len(rows), dtype=torch.float64, device=rows.device)
    shape = (len(indptr) - 1, n)
    if not home.module:
        from scipy.sparse import csr_matrix

        return csr_matrix((entries.cpu().numpy(), rows.cpu().numpy(), indptr.cpu().numpy()), shape=shape)
    matrix = torch.sparse_csr_tensor(indptr, rows, entries, size=shape, check_invariants=False)
    return matrix.to(home.device) if home.module == "torch" else matrix
