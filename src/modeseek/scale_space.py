r"""Clusters at every scale, and the scale at which they are most themselves.

A count of clusters that stays the same over a long range of log h is structure, one that passes quickly is not
(scale-space clustering: Leung, Zhang & Xu, PAMI 2000; Chakravarthy & Ghosh 1996). Only hills that rise above their
saddle by more than chance count (`modeseek.scales`): at fine scales the scatter of points makes hills of its own, and
without that a range would end where they begin.

Clusters stand apart where they are still told from each other at a bandwidth of 1.4 times their own width: two normal
clusters of standard deviation s and distance D have two modes up to h^2 = D^2 / 4 - s^2, so that is where D = 3.4 s.
The bandwidth is taken from the range of the largest number of clusters that do, two thirds of the way, in log h, from
their width to where they become fewer; where none do, as along arcs, it is the middle of the longest range.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from modeseek.engines import data
from modeseek.engines.devices import device_of
from modeseek.engines.namespaces import is_dask
from modeseek.fields import Floats, Ints
from modeseek.prepare import affordable_spacings, make_sketch
from modeseek.result import Problem
from modeseek.scales import SPACING, Scale, scales_of_grid, scales_of_sample

N_BANDWIDTHS = 30
SAMPLE = 1000  # points of a sample, in many columns, and that the range of bandwidths is chosen by
FINEST = 0.005  # of the spread: no bandwidth below it
RESOLVED = 0.6  # of the distance of distinct points, which is what rounded data are apart: no bandwidth below it
NEIGHBOR = 8  # the finest bandwidth is the median distance to this neighbour in the sample
SMALLEST = 0.02  # of all weight: lighter clusters do not count
LASTING = 1.5  # ratio of bandwidths over which a count must stay the same to be structure
APART = 1.4  # ratio of the bandwidth at which clusters become fewer to their width, if they stand apart
UPWARD = 2 / 3  # of the way, in log h, from that width to that bandwidth: fewer far points are modes of their own
MAX_NODES = {1: 1 << 20, 2: 1 << 20, 3: 1 << 19}


@dataclass(frozen=True)
class Range:
    """Neighbouring bandwidths with the same number of clusters."""

    n_clusters: int
    first: int  # number of the bandwidth, from 0
    last: int
    low: float  # bandwidth at which it begins, midway to the one before
    high: float

    @property
    def lasting(self) -> float:
        """Length of the range in log h: how long the clusters persist."""
        return float(np.log(self.high / self.low))


@dataclass
class BandwidthPath:
    """Clusters at a series of bandwidths: what `modeseek.bandwidth_path` returns.

    Attributes
    ----------
    bandwidths : ndarray of shape (m,)
        Ascending.
    n_clusters : ndarray of shape (m,)
        Clusters that hold at least 2 % of all weight and rise above their saddle by more than chance.
    n_modes : ndarray of shape (m,)
        Clusters of mean shift with that bandwidth that hold at least 2 %, chance or not.
    scores : ndarray of shape (m,)
        Mean log density of the points, each left out of its own sum (leave-one-out likelihood); the density that is
        scored is 1 % uniform, so that a few far points do not decide.
    ranges : list of Range
        Neighbouring bandwidths with the same number of clusters; ``lasting`` is their length in log h.
    bandwidth : float
        The one chosen.
    chosen : Range or None
        The range it was chosen from; None: no number of clusters above 1 lasts.
    scales : list of Scale
        Modes, masses, saddles of every bandwidth, and the mode of the next one that each leads to.

    See Also
    --------
    modeseek.plot.bandwidths : Draws it.
    """

    scales: list[Scale]
    total_weight: float

    def __post_init__(self) -> None:
        least = SMALLEST * self.total_weight
        self.bandwidths: Floats = np.array([scale.bandwidth for scale in self.scales])
        self.n_clusters: Ints = np.array([scale.n_clusters(least) for scale in self.scales])
        self.n_modes: Ints = np.array([scale.n_clusters(least, 0.0) for scale in self.scales])
        self.scores: Floats = np.array([scale.score for scale in self.scales])
        self.ranges = _ranges(self.bandwidths, self.n_clusters)
        self.chosen, self.bandwidth = self._choose()

    def _choose(self) -> tuple[Range | None, float]:
        """Return the range that the bandwidth is chosen from, and the bandwidth."""
        several = [r for r in self.ranges if r.n_clusters > 1]
        for r in several:  # from many clusters to few
            low = max(r.low, self._width(r))
            if r.high >= APART * low:
                return r, float(low * (r.high / low) ** UPWARD)
        lasting = [r for r in several if r.high >= LASTING * r.low]
        if not lasting:
            return None, float(self.bandwidths[-1])
        best = max(lasting, key=lambda r: r.lasting)
        return best, self._where_modes_are(best)

    def _width(self, r: Range) -> float:
        """Return how wide the clusters of a range are, in its middle."""
        return self.scales[(r.first + r.last) // 2].width(SMALLEST * self.total_weight)

    def _where_modes_are(self, r: Range) -> float:
        """Return the middle of the longest part of a range in which mean shift finds just as many modes."""
        inside = slice(r.first, r.last + 1)
        h = self.bandwidths[inside]
        plain = _ranges(h, self.n_modes[inside])
        parts = [part for part in plain if part.n_clusters == r.n_clusters] or [Range(0, 0, len(h) - 1, h[0], h[-1])]
        longest = max(parts, key=lambda part: part.last - part.first)
        return float(np.sqrt(h[longest.first] * h[longest.last]))

    def __str__(self) -> str:
        """Tell the ranges in words, longest first."""
        lines = [f"bandwidth {self.bandwidth:.4g}" + ("" if self.chosen else ": no number of clusters above 1 lasts")]
        for r in sorted(self.ranges, key=lambda r: -r.lasting):
            mark = "  <- chosen" if r is self.chosen else ""
            count = f"{r.n_clusters} cluster{'s' * (r.n_clusters != 1)}"
            lines.append(f"{count}: {r.low:.4g} to {r.high:.4g}, a factor of {r.high / r.low:.3g}{mark}")
        return "\n".join(lines)


def _ranges(bandwidths: Floats, counts: Ints) -> list[Range]:
    change = np.flatnonzero(np.diff(counts)) + 1
    firsts, lasts = np.append(0, change), np.append(change, len(counts)) - 1
    edges = np.concatenate([bandwidths[:1], np.sqrt(bandwidths[1:] * bandwidths[:-1]), bandwidths[-1:]])
    return [
        Range(int(counts[a]), int(a), int(b), float(edges[a]), float(edges[b + 1]))
        for a, b in zip(firsts, lasts, strict=True)
    ]


def bandwidth_path(
    X: ArrayLike,
    bandwidths: ArrayLike | None = None,
    *,
    sample_weight: ArrayLike | None = None,
    n_jobs: int | None = None,
    device: Any = "auto",
) -> BandwidthPath:
    """Cluster X at a series of bandwidths, in one pass over the data.

    Up to three columns all points are summed on a grid once, as long as they do not span too many bandwidths; else 1000
    of them, evenly spaced in the order given, stand for all.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Points; also a Dask array or frame, which is summed where it is.
    bandwidths : array-like of shape (m,), optional
        Ascending standard deviations of the Gaussian, at least two. None: 30 in geometric series, from the distance of
        close neighbours in a sample to the standard deviation of the data along their longest axis.
    sample_weight : array-like of shape (n_samples,), optional
        Weights, at least 0. Whole weights are counts: a point of weight 2 is two points. Others are scaled to sum to
        the effective number of points, (sum w)^2 / sum w^2 (Kish).
    n_jobs : int, optional
        Threads; None means all cores. The result is the same for any number.
    device : str or torch.device, default="auto"
        Where to work: "auto" is where X lies. On a GPU points are summed there, and the grid
        and up to 1000 of the points go to the CPU.

    Returns
    -------
    BandwidthPath
        Numbers of clusters, modes and how they lead into each other, and the bandwidth chosen.

    Raises
    ------
    ValueError
        If X is empty or not finite, or bandwidths are not ascending, finite and above 0.

    References
    ----------
    Y. Leung, J.-S. Zhang and Z.-B. Xu, "Clustering by scale-space filtering", IEEE PAMI 22 (2000). M. C. Minnotte,
    "Nonparametric testing of the existence of modes", Ann. Statist. 25 (1997).

    Examples
    --------
    >>> import modeseek as ms
    >>> _, X = ms.textbook.make_data()
    >>> path = ms.bandwidth_path(X)
    >>> path.chosen.n_clusters
    6
    >>> path.chosen.low < path.bandwidth < path.chosen.high
    True
    """
    given = None if bandwidths is None else _checked(bandwidths)
    if is_dask(X):
        from modeseek.distributed.parts import read

        return path_of_parts(read(X, sample_weight), given, n_jobs)
    on = device_of(device, X)
    if on is not None:
        from modeseek.engines import gpu

        tensor = gpu.as_tensor(X, on)
        own = gpu.as_tensor_weights(sample_weight, len(tensor), on)
        return path_on_device(tensor, own, gpu.bounds(tensor), given, n_jobs)
    points = data.as_points(X)
    weights = data.as_weights(sample_weight, len(points))
    data.bounds(points, n_jobs)  # refuses what is not finite
    if weights.size and not weights.all():
        points, weights = points[weights > 0.0], weights[weights > 0.0]
    return path_of(points, weights, given, n_jobs)


def path_of(
    points: NDArray, weights: Floats, bandwidths: Floats | None = None, n_jobs: int | None = None
) -> BandwidthPath:
    """Do as `bandwidth_path` with what is checked already; weights are above 0."""
    weights = as_counts(weights)
    problem = Problem(points, weights, data.bounds(points, n_jobs), np.nan, n_jobs=n_jobs)
    return path_of_problem(problem, evenly(points, weights), bandwidths)


def path_of_parts(parts: Any, bandwidths: Floats | None = None, n_jobs: int | None = None) -> BandwidthPath:
    """Do as `path_of` for `distributed.parts.Parts`; rows of weight 0 do not count."""
    from modeseek.distributed.problem import DaskProblem

    parts = parts.as_counts()
    problem = replace(DaskProblem.of(parts, np.nan, n_jobs=n_jobs), bounds=parts.held)
    return path_of_problem(problem, parts.evenly(SAMPLE), bandwidths)


def path_on_device(
    points: Any, weights: Any, bounds: Floats, bandwidths: Floats | None = None, n_jobs: int | None = None
) -> BandwidthPath:
    """Do as `path_of` for tensors; weights are None or at least 0."""
    from modeseek.engines.gpu import columns
    from modeseek.on_device.grids import GridProblem
    from modeseek.on_device.problem import DeviceProblem

    points, weights = columns.of_weight(points, columns.as_counts(weights))
    problem = GridProblem.of(DeviceProblem(points, weights, bounds, np.nan, n_jobs=n_jobs))
    return path_of_problem(problem, columns.evenly(points, weights, SAMPLE), bandwidths)


def path_of_problem(problem: Problem, sample: Floats, bandwidths: Floats | None = None) -> BandwidthPath:
    """Return the path of points of which some are a sample, of a series of its own if none is given."""
    series = _series(sample) if bandwidths is None else bandwidths
    problem = replace(problem, bandwidth=float(series[0]))
    if problem.d <= 3 and affordable_spacings(problem, (SPACING,), MAX_NODES[problem.d]):
        sketch, _ = make_sketch(problem, SPACING)
        return BandwidthPath(scales_of_grid(sketch, series), sketch.total_weight_)
    middle, unit = sample.mean(axis=0), spread_of(sample) or 1.0
    scales = scales_of_sample((sample - middle) / unit, series / unit, problem.n_jobs)
    return BandwidthPath([scale.in_units(unit, middle) for scale in scales], float(len(sample)))


def as_counts(weights: Floats) -> Floats:
    """Return weights in points: whole ones as they are, others so that they sum to the effective number of points."""
    if not weights.size or (weights == np.rint(weights)).all():
        return weights
    return weights * (float(weights.sum()) / float(np.square(weights).sum()))


def evenly(points: NDArray, weights: Floats, most: int = SAMPLE) -> Floats:
    """Return up to so many points, evenly spaced in the order given; by weight, so that all count the same."""
    n = len(points)
    if not weights.size:
        k = min(n, most)
        rows = (2 * np.arange(k) + 1) * n // (2 * k)
    else:
        sums = np.cumsum(weights)
        k = most if n > most else int(min(most, max(n, np.ceil(sums[-1]))))
        rows = np.minimum(np.searchsorted(sums, (np.arange(k) + 0.5) / k * sums[-1]), n - 1)
    return np.asarray(points[rows], np.float64)


def _series(sample: Floats) -> Floats:
    """Return the geometric series of bandwidths, from the distance of close neighbours to the spread."""
    spread = spread_of(sample)
    if not spread > 0.0:
        return np.array([0.5, 1.0])
    k = min(NEIGHBOR, len(sample) - 1)
    distances = cKDTree(sample).query(sample, k=k + 1)[0]
    # rounded data repeat: below their resolution every value is a cluster, at any scale
    distinct = np.unique(sample, axis=0)
    nearest = cKDTree(distinct).query(distinct, k=2)[0][:, 1]
    finest = max(float(np.median(distances[:, k])), RESOLVED * float(np.median(nearest)), FINEST * spread)
    return np.geomspace(min(finest, 0.5 * spread), spread, N_BANDWIDTHS)


def spread_of(sample: Floats) -> float:
    """Return the standard deviation along the longest axis; 0 where it is no more than rounding."""
    if len(sample) < 2:
        return 0.0
    largest = float(np.abs(sample).max())
    offsets = sample - sample[0]
    scale = float(np.abs(offsets).max())
    if scale <= 1e-12 * largest or scale == 0.0:
        return 0.0
    covariance = np.atleast_2d(np.cov((offsets / scale).T, bias=True))
    return scale * float(np.sqrt(np.linalg.eigvalsh(covariance)[-1].clip(0)))


def _checked(bandwidths: ArrayLike) -> Floats:
    given = np.asarray(bandwidths, np.float64)
    if given.ndim != 1 or len(given) < 2:
        raise ValueError(f"bandwidths must be at least two numbers, in one dimension; got shape {given.shape}.")
    if not np.isfinite(given).all() or not (given > 0.0).all() or not (np.diff(given) > 0.0).all():
        raise ValueError("bandwidths must be finite, above 0 and ascending. np.geomspace(low, high, 30) makes them.")
    return given
