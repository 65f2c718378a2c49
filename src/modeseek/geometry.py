r"""In which coordinates a fit works: the user's, whitened ones, or those of unit vectors.

A bandwidth of one number per axis, h = (h_1, ..., h_d), or a matrix H of squared bandwidths stands for the kernel

    exp(-(x - y)^T H^-1 (x - y) / 2),     H = diag(h_1^2, ..., h_d^2) or any symmetric positive-definite matrix.

With H = L L^T (Cholesky) and u = L^-1 (x - o), which *whitens*, this is exp(-|u - v|^2 / 2): everything else works on u
with a bandwidth of 1, and places come back as x = o + L u. Mean shift follows along, as a mean of points does.

With ``metric="cosine"`` only the directions of rows count, with "haversine" latitude and longitude become unit vectors,

    u = (cos lat cos lon, cos lat sin lon, sin lat),

and weights are those of the chord |u - v| = 2 sin(angle / 2), with the mean put back on the sphere. There is no border
at the date line, and nothing special about the poles.

Every row is mapped by itself, by the same operations in the same order: a point has the same bits, whichever rows it
comes with, so that a fit finds its own points again. This module knows no densities and no labels.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln, ive, logsumexp

from modeseek.engines import data
from modeseek.engines.threads import run_chunks
from modeseek.fields import Floats
from modeseek.sphere import VALUES_AT_ONCE, normalise

FEW_COLUMNS = 3  # up to which directions are copied as unit vectors
SYMMETRIC = 1e-8  # of the diagonal: matrices that differ more from their transposes are mistakes
SINGULAR = 1e-13  # least eigenvalue, the diagonal being 1
RIGHT_ANGLE = float(np.float32(0.5 * np.pi))  # rounded to float32, the poles lie 4e-8 beyond


class Geometry(Protocol):
    """How points come into the coordinates of a fit, and places back from them."""

    @property
    def metric(self) -> str:
        """Of the coordinates of the fit: "euclidean" or "sphere"."""
        ...

    @property
    def bandwidth(self) -> float:
        """In these coordinates; NaN: to be chosen."""
        ...

    def into(self, points: NDArray[Any], n_jobs: int | None = None) -> NDArray[Any]:
        """Return the points in the coordinates of the fit."""
        ...

    def bounds(self, points: NDArray[Any], bounds: Floats, n_jobs: int | None = None) -> Floats:
        """Return the bounds of points of the fit; ``bounds`` are those of the points given."""
        ...

    def back(self, places: Floats) -> Floats:
        """Return places, (..., d), in the user's coordinates."""
        ...

    def log_scale(self) -> float:
        """Return what the log of the density has more in the user's coordinates."""
        ...


@dataclass(frozen=True)
class Plain:
    """Points as they are."""

    bandwidth: float = np.nan
    metric: str = "euclidean"

    def into(self, points: NDArray[Any], n_jobs: int | None = None) -> NDArray[Any]:
        """Return the points."""
        return points

    def bounds(self, points: NDArray[Any], bounds: Floats, n_jobs: int | None = None) -> Floats:
        """Return the bounds."""
        return bounds

    def back(self, places: Floats) -> Floats:
        """Return the places."""
        return places

    def log_scale(self) -> float:
        """Return 0."""
        return 0.0


@dataclass(frozen=True)
class Whitened:
    """Coordinates in which the kernel is round, and its bandwidth 1."""

    origin: Floats  # (d,): offsets are small beside it where data are far from zero
    factor: Floats  # (d, d) lower triangle of H = factor @ factor.T
    metric: str = "euclidean"
    bandwidth: float = 1.0

    def into(self, points: NDArray[Any], n_jobs: int | None = None) -> NDArray[Any]:
        """Solve factor @ u = x - origin, column by column; of a tensor, where it lies."""
        if not isinstance(points, np.ndarray):
            from modeseek.engines.gpu.columns import whiten

            return whiten(points, self.origin, self.factor)
        n, d = points.shape
        white = np.empty((n, d))
        diagonal = not np.tril(self.factor, -1).any()

        def work(_: int, start: int, stop: int) -> None:
            rows = np.subtract(points[start:stop].T, self.origin[:, None], order="C", dtype=np.float64)
            for k in range(d):
                for j in range(0 if not diagonal else k, k):
                    if self.factor[k, j]:
                        rows[k] -= self.factor[k, j] * rows[j]
                rows[k] /= self.factor[k, k]
            white[start:stop] = rows.T

        run_chunks(n, work, n_jobs, max(1, VALUES_AT_ONCE // d))
        return white

    def bounds(self, points: NDArray[Any], bounds: Floats, n_jobs: int | None = None) -> Floats:
        """Return the bounds of the whitened points."""
        if not isinstance(points, np.ndarray):
            from modeseek.engines.gpu import bounds as bounds_on_device

            return bounds_on_device(points)
        return data.bounds(points, n_jobs)

    def back(self, places: Floats) -> Floats:
        """Return origin + factor @ u."""
        return np.asarray(places, np.float64) @ self.factor.T + self.origin

    def log_scale(self) -> float:
        """Return -log det(factor)."""
        return -float(np.log(np.diagonal(self.factor)).sum())


@dataclass(frozen=True)
class Directions:
    """Rows of which only the direction counts.

    Up to three columns they become unit vectors. Longer rows stay as they are, so that no copy of all of them is made:
    whatever sums or climbs divides them by their lengths.
    """

    n_columns: int
    bandwidth: float = np.nan
    metric: str = "sphere"

    @property
    def planar(self) -> bool:
        """Whether these are directions of the plane: the equator of the sphere of space, whose cells are fast."""
        return self.n_columns == 2

    def into(self, points: NDArray[Any], n_jobs: int | None = None) -> NDArray[Any]:
        """Return unit vectors, or rows as they are.

        Raises
        ------
        ValueError
            If a row is zero.
        """
        n, d = points.shape
        zero = np.flatnonzero(~points.any(axis=1))
        if zero.size:
            raise ValueError(
                f'Row {zero[0]} of X is zero ({zero.size} such in all): it has no direction, which metric="cosine" '
                "compares. Drop such rows."
            )
        if d > FEW_COLUMNS:
            return points
        unit = np.zeros((n, d + int(self.planar)))

        def work(_: int, start: int, stop: int) -> None:
            unit[start:stop, :d] = normalise(points[start:stop])

        run_chunks(n, work, n_jobs, max(1, VALUES_AT_ONCE // d))
        return unit

    def bounds(self, points: NDArray[Any], bounds: Floats, n_jobs: int | None = None) -> Floats:
        """Return bounds of the unit vectors: those of the sphere, where rows are as they are."""
        d = points.shape[1]
        return np.outer([-1.0, 1.0], np.ones(d)) if d > FEW_COLUMNS else data.bounds(points, n_jobs)

    def back(self, places: Floats) -> Floats:
        """Return the places, as unit vectors to the last digit."""
        places = np.asarray(places, np.float64)[..., : self.n_columns]
        return normalise(places.reshape(-1, self.n_columns)).reshape(places.shape)

    def log_scale(self) -> float:
        """Return what the log of a density by area on the sphere has more than that of one by volume in space."""
        d = self.n_columns
        in_space = 0.5 * (d + int(self.planar)) * float(np.log(2.0 * np.pi * self.bandwidth**2))
        return in_space + log_von_mises_fisher(d, 1.0 / self.bandwidth**2)


@dataclass(frozen=True)
class Globe(Directions):
    """Latitude and longitude in radians, as unit vectors in space."""

    n_columns: int = 3

    def into(self, points: NDArray[Any], n_jobs: int | None = None) -> NDArray[Any]:
        """Return the unit vector of each latitude and longitude.

        Raises
        ------
        ValueError
            If a latitude is not between -pi / 2 and pi / 2.
        """
        off = np.flatnonzero(np.abs(points[:, 0]) > RIGHT_ANGLE)
        if off.size:
            raise ValueError(
                f"Latitude {points[off[0], 0]:g} in row {off[0]} of X is not between -pi/2 and pi/2 ({off.size} such "
                'in all): metric="haversine" takes (latitude, longitude) in radians, in this order. Use np.radians(X) '
                "for degrees."
            )
        unit = np.empty((len(points), 3))

        def work(_: int, start: int, stop: int) -> None:
            latitude, longitude = np.array(points[start:stop].T, np.float64, order="C")
            across = np.cos(latitude)
            unit[start:stop, 0] = across * np.cos(longitude)
            unit[start:stop, 1] = across * np.sin(longitude)
            unit[start:stop, 2] = np.sin(latitude)

        run_chunks(len(points), work, n_jobs, VALUES_AT_ONCE // 2)
        return unit

    def back(self, places: Floats) -> Floats:
        """Return latitudes, and longitudes between -pi and pi."""
        x, y, z = np.moveaxis(np.asarray(places, np.float64), -1, 0)
        return np.stack([np.arctan2(z, np.hypot(x, y)), np.arctan2(y, x)], axis=-1)


def chord(angle: float) -> float:
    """Return the chord of an angle, 2 sin(angle / 2).

    Examples
    --------
    >>> round(chord(np.pi / 2), 6)
    1.414214
    """
    return 2.0 * float(np.sin(0.5 * angle))


def log_von_mises_fisher(d: int, kappa: float) -> float:
    r"""Return the log of the constant C that makes C exp(kappa (u.x - 1)) a density on the unit sphere.

        log C = (d/2 - 1) log kappa - (d/2) log 2 pi - log(exp(-kappa) I_{d/2-1}(kappa)),

    I the modified Bessel function of the first kind; by its series where exp(-kappa) I underflows.

    Examples
    --------
    >>> round(float(np.exp(log_von_mises_fisher(3, 1e-9)) * 4 * np.pi), 6)  # nearly uniform: one over the area
    1.0
    """
    order = 0.5 * d - 1.0
    scaled = float(ive(order, kappa))
    if scaled > 1e-280:
        log_bessel = float(np.log(scaled))
    else:
        k = np.arange(2000)
        terms = 2 * k * np.log(0.5 * kappa) - gammaln(k + 1.0) - gammaln(k + order + 1.0)
        log_bessel = order * float(np.log(0.5 * kappa)) + float(logsumexp(terms)) - kappa
    return order * float(np.log(kappa)) - 0.5 * d * float(np.log(2.0 * np.pi)) - log_bessel


def whitening(H: ArrayLike, bounds: Floats) -> Whitened:
    """Return the whitening of a matrix of squared bandwidths (d, d), or of bandwidths per axis (d,).

    Parameters
    ----------
    H : array-like of shape (d, d) or (d,)
        The matrix, or its diagonal's square roots.
    bounds : ndarray of shape (2, d)
        Bounds of the points.

    Raises
    ------
    ValueError
        If a bandwidth is not above 0, the matrix is not symmetric or not positive definite, or so small that
        float64 cannot resolve it.

    Examples
    --------
    >>> white = whitening([[4.0, 0.0], [0.0, 0.25]], np.array([[0.0, 0.0], [8.0, 2.0]]))
    >>> print(white.into(np.array([[6.0, 2.0]])))
    [[1. 2.]]
    """
    given = np.asarray(H, np.float64)
    if given.ndim == 1:
        _check_positive(given, "bandwidth")
        factor, narrowest = np.diag(given), given
    else:
        factor, narrowest = _cholesky(given)
    for k in range(len(factor)):
        data.check_scale(bounds[:, k : k + 1], float(narrowest[k]))
    return Whitened(0.5 * bounds[0] + 0.5 * bounds[1], factor)


def _cholesky(H: Floats) -> tuple[Floats, Floats]:
    """Return the Cholesky factor of a matrix and the kernel's width along each axis, or say what is wrong with it."""
    if not np.isfinite(H).all():
        raise ValueError("The bandwidth matrix must be finite.")
    diagonal = np.diagonal(H)
    if not (diagonal > 0.0).all():
        k = int(np.flatnonzero(~(diagonal > 0.0))[0])
        raise ValueError(
            f"The bandwidth matrix is not positive definite: entry [{k}, {k}] is {H[k, k]:g}. It holds squared "
            "bandwidths, like a covariance matrix."
        )
    scales = np.sqrt(diagonal)
    scaled = H / scales[:, None] / scales
    off = np.abs(scaled - scaled.T)
    if off.max() > SYMMETRIC:
        i, j = np.unravel_index(int(off.argmax()), off.shape)
        raise ValueError(
            f"The bandwidth matrix is not symmetric: entry [{i}, {j}] is {H[i, j]:g}, but [{j}, {i}] is {H[j, i]:g}. "
            "(H + H.T) / 2 is."
        )
    scaled = 0.5 * (scaled + scaled.T)
    least = float(np.linalg.eigvalsh(scaled)[0])
    if least < SINGULAR:
        raise ValueError(
            "The bandwidth matrix is not positive definite: scaled to a diagonal of ones, its least eigenvalue is "
            f"{least:.3g}. Add a small multiple of the diagonal to it, or drop columns that depend on others."
        )
    narrowest = scales / np.sqrt(np.diagonal(np.linalg.inv(scaled)))
    return scales[:, None] * np.linalg.cholesky(scaled), narrowest


def _check_positive(values: Floats, name: str) -> None:
    bad = np.flatnonzero(~(np.isfinite(values) & (values > 0.0)))
    if bad.size:
        raise ValueError(
            f"{name} must be finite and above 0; entry {bad[0]} is {values[bad[0]]} ({bad.size} such in all)."
        )


def per_point(bandwidth: Any, n: int, d: int) -> Floats | None:
    """Return an array bandwidth as one number per point, (n,), if it is that; None if it is of another form.

    Raises
    ------
    ValueError
        If the shape is none of those that are understood, or could mean two of them.
    TypeError
        If it does not hold real numbers.
    """
    values = np.asarray(bandwidth)
    if values.dtype.kind not in "iuf":
        raise TypeError(f"A bandwidth array must hold real numbers, got dtype {values.dtype}.")
    if values.shape == (d, d) and d > 1:
        return None
    if values.shape == (n,) == (d,) and n > 1:
        raise ValueError(
            f"A bandwidth of shape ({n},) may mean one number per axis or one per point, as X has {n} rows and {d} "
            "columns. Pass np.diag(bandwidth**2) for the first, bandwidth[:, None] for the second."
        )
    if values.shape in ((n,), (n, 1)) and values.shape != (d,):
        values = values.reshape(-1).astype(np.float64)
        _check_positive(values, "bandwidth")
        return values
    if values.shape in ((d,), (d, d)):
        return None
    raise ValueError(
        f"A bandwidth array for X of shape ({n}, {d}) must have shape ({d},), one number per axis; ({d}, {d}), a "
        f"matrix of squared bandwidths; or ({n},) or ({n}, 1), one number per point. Got {values.shape}."
    )


def number_of(bandwidth: Any) -> float | None:
    """Return the one number that a bandwidth is, NaN if it is to be chosen (None, or the name of a rule); else None."""
    if bandwidth is None or isinstance(bandwidth, str):
        return np.nan
    return float(bandwidth) if np.ndim(bandwidth) == 0 else None


def choose_geometry(metric: str, bandwidth: Any, points: NDArray[Any], bounds: Floats) -> Geometry:
    """Return the geometry that a metric and a bandwidth ask for.

    Raises
    ------
    ValueError
        If they do not go together or with the points.
    """
    scale = number_of(bandwidth)
    if scale is None:
        if metric != "euclidean":
            raise ValueError(
                f'metric="{metric}" takes one number as bandwidth (or None); use metric="euclidean" for others.'
            )
        return whitening(bandwidth, bounds)
    if metric == "cosine":
        return Directions(points.shape[1], scale)
    if metric == "haversine":
        if points.shape[1] != 2:
            raise ValueError(
                f'metric="haversine" takes two columns, latitude and longitude in radians; X has {points.shape[1]}.'
            )
        if scale > np.pi:
            raise ValueError(f"bandwidth={scale:g} is an angle in radians, and none is larger than pi.")
        return Globe(bandwidth=scale if np.isnan(scale) else chord(scale))
    return Plain(scale)
