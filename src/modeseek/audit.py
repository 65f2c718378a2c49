r"""The statistical audit: how many labels differ from those of exact mean shift.

Exact climbs of a random sample of s points, each judged against the label that the fit gave, show k that
disagree. With k binomial, the share p of all points that disagree is, at confidence 1 - a (Clopper and Pearson),

    p <= the root of  P(at most k of s | p) = a           (`Audit.at_most`: 0 of 3000, at most 0.1 % at 95 %)

and the two-sided interval takes a / 2 for each side. No theory of the fit is needed: the climbs go by the
definition (`modeseek.definition`, `modeseek.exact`) over all raw points, and share no code with the engines.

A label is right if the exact mode of its point is the one that the cluster stands for: within `WITHIN` bandwidths
of a mode of the fit that belongs to the cluster, which itself, climbed exactly, ends at that mode. So a fit that
puts two exact modes into one cluster without being asked to is wrong about one of them, and so is one that cuts
the points of one mode into two clusters.

In more than 16 columns, and with directions, climbs are plain products over all points and end at rest
(`modeseek.products`): a sample of 1000 of 100 000 points in 384 columns takes seconds.

With another kernel than the Gaussian nothing is known of where traps are: climbs go on until they rest, and places of
rest are told apart by how far apart they are (`modeseek.rests` says what one mode is where weights have a jump).

C. J. Clopper and E. S. Pearson, "The use of confidence or fiducial limits illustrated in the case of the
binomial", Biometrika 26 (1934).
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree
from scipy.special import betaincinv
from sklearn.utils import check_random_state
from sklearn.utils.random import sample_without_replacement

from modeseek.definition import Definition
from modeseek.engines import data
from modeseek.engines.weights import as_kernel
from modeseek.exact import Traps, climb
from modeseek.kernels import GAUSSIAN, Kernel
from modeseek.products import Products
from modeseek.rests import PlainSums

WITHIN = 0.05  # bandwidths between an exact mode and the mode of the fit that stands for it
ASTRAY = 0.5  # bandwidths up to which a mode of the fit is told to be misplaced, rather than another one
FEW_COLUMNS = 16  # up to which climbs end in proven traps: in more, traps cost more than plain climbs to rest
NOISE = -1
NO_CLUSTER = -2  # what an exact mode belongs to that the fit does not have

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
LeadsTo = Callable[[Ints], Ints]  # modes of the fit, by number -> the exact modes that they climb to
Climbed = tuple[Ints, Floats, LeadsTo]  # the exact mode of each start (-1: none), and where it ended


@dataclass(frozen=True, eq=False)
class Audit:
    """What an audit found; ``str()`` says it in words.

    Attributes
    ----------
    n_samples : int
        Points checked.
    n_disagree : int
        How many of them have another label than exact mean shift gives them.
    agreement : float
        Share of the points checked that agree; NaN if none was checked.
    low, high : float
        Two-sided Clopper-Pearson interval of the share of all points that agree. Where all points were checked,
        both are that share.
    at_most : float
        One-sided bound: at most this share of all points disagrees.
    confidence : float
        Confidence of either statement.
    rows : ndarray of shape (n_disagree,)
        Rows of the points that disagree, ascending.
    ends : ndarray of shape (n_disagree, n_features)
        The exact modes of those points.
    n_points : int
        Points that the sample was drawn from.
    n_noise : int
        Points of the sample labelled noise (-1), which are left out: the statements are about the other points.
    n_misplaced : int
        How many disagree only because their cluster's mode, though it leads to the exact one, lies more than 0.05
        bandwidths from it (and up to 0.5): they are together with the right points.
    n_unsettled : int
        Points whose climb did not come to a proven end, as on a flat top; they agree where it stands at their
        cluster's centre.
    seconds : float
        Time taken.
    """

    n_samples: int
    n_disagree: int
    agreement: float
    low: float
    high: float
    at_most: float
    confidence: float
    rows: Ints
    ends: Floats
    n_points: int
    n_noise: int
    n_misplaced: int
    n_unsettled: int
    seconds: float

    @property
    def is_complete(self) -> bool:
        """Whether every point was checked (or is noise), so that nothing is left to chance."""
        return self.n_samples + self.n_noise == self.n_points

    def __str__(self) -> str:
        if not self.n_samples:
            return f"no point was checked: all {_count(self.n_noise)} sampled points are labelled noise"
        if self.is_complete:
            said = f"{_count(self.n_disagree)} of all {_count(self.n_samples)} points disagree with exact mean shift"
        else:
            said = (
                f"{_count(self.n_disagree)} of {_count(self.n_samples)} sampled points disagree with exact mean shift: "
                f"at most {_percent(self.at_most)} of all points do, at {100 * self.confidence:g} % confidence"
            )
        if self.n_misplaced:
            said += (
                f"; {_count(self.n_misplaced)} of them only because their centre lies more than {WITHIN:g} bandwidths "
                "from the exact mode"
            )
        if self.n_noise:
            said += f"; {_count(self.n_noise)} labelled noise were left out"
        if self.n_unsettled:
            said += f"; {_count(self.n_unsettled)} on flat tops were judged by where their climbs stood"
        return said


def audit(
    points: NDArray[Any],
    labels: ArrayLike,
    modes: ArrayLike,
    bandwidth: float,
    *,
    clusters: ArrayLike | None = None,
    weights: ArrayLike = (),
    metric: str = "euclidean",
    kernel: str | Callable[[float], Any] | Kernel = GAUSSIAN,
    n_samples: int = 3000,
    confidence: float = 0.95,
    random_state: int | np.random.RandomState | None = None,
    n_jobs: int | None = None,
) -> Audit:
    """Compare the labels of a random sample of points with exact mean shift.

    Parameters
    ----------
    points : ndarray of shape (n, d), float32 or float64
        All points.
    labels : array-like of shape (n,)
        Their labels; -1 is noise.
    modes : array-like of shape (k, d)
        The modes that the labels stand for.
    bandwidth : float
        Standard deviation h of the Gaussian, or h of another kernel.
    clusters : array-like of shape (k,), optional
        The label of the cluster that each mode belongs to, -1 for noise; by default mode i is cluster i.
    weights : array-like of shape (n,), optional
        Weights of the points; length 0 means unit weights.
    metric : {"euclidean", "cosine"}, default="euclidean"
        "cosine": the points are directions, and the bandwidth is a length of chords.
    kernel : str or callable, default="gaussian"
        The weight of a point, as for `modeseek.MeanShift`; with ``metric="cosine"`` the Gaussian.
    n_samples : int, default=3000
        Points to check; all of them if there are fewer.
    confidence : float, default=0.95
        Confidence of the bounds, between 0 and 1.
    random_state : int, RandomState or None
        Decides which points are sampled.
    n_jobs : int, optional
        Threads; the result is the same for any number.

    Returns
    -------
    Audit
        What was found.

    Raises
    ------
    ValueError
        If ``n_samples`` is below 1, ``confidence`` not between 0 and 1, the shapes do not fit, or the kernel is not
        known or does not go with the metric.
    TypeError
        If ``n_samples`` is no integer or ``confidence`` no number.

    Examples
    --------
    >>> import numpy as np
    >>> from modeseek.audit import audit
    >>> X = np.array([[0.0], [0.1], [9.0], [9.1]])
    >>> print(audit(X, [0, 0, 1, 1], [[0.05], [9.05]], 1.0))
    0 of all 4 points disagree with exact mean shift
    >>> print(audit(X, [0, 0, 0, 1], [[0.05], [9.05]], 1.0))
    1 of all 4 points disagree with exact mean shift
    """
    begin = time.perf_counter()
    _check(n_samples, confidence)
    weight = as_kernel(kernel)
    if weight is not GAUSSIAN and metric != "euclidean":
        raise ValueError(f'kernel={weight.name!r} needs metric="euclidean", got metric={metric!r}.')
    given, found = np.asarray(labels), np.asarray(modes, np.float64).reshape(-1, points.shape[1])
    names = np.arange(len(found)) if clusters is None else np.asarray(clusters)
    if given.shape != (len(points),):
        raise ValueError(f"labels must have shape ({len(points)},), one for each point, got {given.shape}.")
    if names.shape != (len(found),):
        raise ValueError(f"clusters must have shape ({len(found)},), one for each mode, got {names.shape}.")
    drawn = _sample(len(points), int(n_samples), random_state)
    rows = drawn[given[drawn] != NOISE]
    wrong, ends, n_unsettled, n_misplaced = np.empty(0, bool), np.empty((0, points.shape[1])), 0, 0
    if rows.size:
        h = data.positive(bandwidth, "bandwidth")
        starts, inverse = np.unique(np.asarray(points[rows], np.float64), axis=0, return_inverse=True)
        if weight is not GAUSSIAN:
            climbed = _climb_to_rest(PlainSums(points, weights, h, weight, n_jobs), starts, found)
        elif metric == "cosine" or points.shape[1] > FEW_COLUMNS:
            products = Products(points, weights, h, sphere=metric == "cosine", n_jobs=n_jobs)
            climbed = _climb_to_rest(products, starts, found)
        else:
            climbed = _climb_into_traps(Definition(points, weights, h, n_jobs), starts, found)
        reached, ends, leads_to = climbed
        reached, ends = reached[inverse.reshape(-1)], ends[inverse.reshape(-1)]
        expected, distance = _expected(leads_to, reached, ends, found, names, h)
        if not weight.continuous:
            _allow_others_close_by(given[rows], leads_to, reached, ends, found, names, h, expected, distance)
        astray = distance > WITHIN
        wrong = (given[rows] != expected) | astray
        n_misplaced = int((astray & (given[rows] == expected)).sum())
        n_unsettled = int((reached < 0).sum())
    k, checked = int(wrong.sum()), len(rows)
    complete = checked + len(drawn) - len(rows) == len(points) and checked > 0
    low, high = interval(checked - k, checked, confidence) if not complete else (1.0 - k / checked,) * 2
    return Audit(
        n_samples=checked,
        n_disagree=k,
        agreement=1.0 - k / checked if checked else math.nan,
        low=low,
        high=high,
        at_most=k / checked if complete else upper_bound(k, checked, confidence),
        confidence=float(confidence),
        rows=rows[wrong],
        ends=ends[wrong],
        n_points=len(points),
        n_noise=len(drawn) - checked,
        n_misplaced=n_misplaced,
        n_unsettled=n_unsettled,
        seconds=time.perf_counter() - begin,
    )


def _check(n_samples: object, confidence: object) -> None:
    if isinstance(n_samples, bool) or not isinstance(n_samples, Integral):
        raise TypeError(f"n_samples must be an integer, got {n_samples!r}.")
    if n_samples < 1:
        raise ValueError(f"n_samples must be at least 1, got {n_samples}.")
    if isinstance(confidence, bool) or not isinstance(confidence, Real):
        raise TypeError(f"confidence must be a number between 0 and 1, got {confidence!r}.")
    if not 0.0 < float(confidence) < 1.0:
        raise ValueError(f"confidence must be between 0 and 1, got {confidence!r}; 0.95 is 95 %.")


def _sample(n: int, n_samples: int, random_state: int | np.random.RandomState | None) -> Ints:
    """Return ``n_samples`` different rows of n, ascending; all of them if there are not more."""
    if n_samples >= n:
        return np.arange(n)
    return np.sort(sample_without_replacement(n, n_samples, random_state=check_random_state(random_state)))


def _climb_into_traps(definition: Definition, starts: Floats, modes: Floats) -> Climbed:
    """Let starts climb into proven traps; modes of the fit climb only when they are asked about."""
    traps = Traps()
    reached, ends = climb(definition, starts, traps)
    return reached, ends, lambda some: climb(definition, modes[some], traps)[0]


def _climb_to_rest(sums: PlainSums | Products, starts: Floats, modes: Floats) -> Climbed:
    """Let starts climb to rest, and the modes of the fit along with them: ends are told apart by location."""
    reached, ends = sums.climb(np.concatenate([starts, modes]))
    of_modes = reached[len(starts) :]
    return reached[: len(starts)], ends[: len(starts)], lambda some: of_modes[some]


def _expected(
    leads_to: LeadsTo, reached: Ints, ends: Floats, modes: Floats, clusters: NDArray[Any], h: float
) -> tuple[NDArray[Any], Floats]:
    """Return the label that each climb calls for, and how far off the mode of the fit is, in bandwidths.

    ``reached`` is the exact mode of each climb (-1: none) and ``ends`` where it ended; ``leads_to`` tells the exact
    modes of modes of the fit.
    """
    expected = np.full(len(reached), NO_CLUSTER)
    if not len(modes):
        return expected, np.full(len(reached), np.inf)
    distance, nearest = cKDTree(modes).query(ends)
    distance /= h
    close = distance <= ASTRAY
    # the mode of the fit must stand for this exact mode, not merely lie near it
    candidates, which = np.unique(nearest[close], return_inverse=True)
    stands_for = leads_to(candidates)
    same = (stands_for[which.reshape(-1)] == reached[close]) | (reached[close] < 0)
    expected[np.flatnonzero(close)[same]] = clusters[nearest[close][same]]
    return expected, distance


def _allow_others_close_by(
    given: NDArray[Any],
    leads_to: LeadsTo,
    reached: Ints,
    ends: Floats,
    modes: Floats,
    clusters: NDArray[Any],
    h: float,
    expected: NDArray[Any],
    distance: Floats,
) -> None:
    """Expect the label given where a mode of its cluster, though not the nearest, is as good: one with the climb's end.

    Where weights jump, places of rest lie side by side, and which of them a fit joins from one to the next cannot be
    seen in a sample (`modeseek.rests`).
    """
    open_ = np.flatnonzero(given != expected)
    if not open_.size or not len(modes):
        return
    near = cKDTree(modes).query_ball_point(ends[open_], WITHIN * h)
    numbers = leads_to(np.arange(len(modes)))
    for row, close in zip(open_.tolist(), near, strict=True):
        own = [i for i in close if clusters[i] == given[row] and numbers[i] == reached[row]]
        if own:
            expected[row] = given[row]
            distance[row] = np.sqrt(np.square(modes[own] - ends[row]).sum(axis=1)).min() / h


def upper_bound(k: int, n: int, confidence: float) -> float:
    """Return the share that k of n events bound from above (Clopper-Pearson, one-sided).

    Examples
    --------
    >>> from modeseek.audit import upper_bound
    >>> round(upper_bound(0, 3000, 0.95), 6)
    0.000998
    """
    return 1.0 if k >= n else float(betaincinv(k + 1.0, n - k, confidence))


def interval(k: int, n: int, confidence: float) -> tuple[float, float]:
    """Return the two-sided Clopper-Pearson interval of a share of which k of n were seen.

    Examples
    --------
    >>> from modeseek.audit import interval
    >>> [round(share, 4) for share in interval(2999, 3000, 0.95)]
    [0.9981, 1.0]
    """
    side = 0.5 * (1.0 + confidence)
    return 1.0 - upper_bound(n - k, n, side), upper_bound(k, n, side)


def _count(n: int) -> str:
    return f"{n:,}".replace(",", " ")


def _percent(share: float) -> str:
    """Write a share in percent with two digits, rounded up: it is a bound."""
    if share <= 0.0:
        return "0 %"
    digits = max(0, 1 - math.floor(math.log10(100.0 * share)))
    rounded = math.ceil(100.0 * share * 10.0**digits - 1e-9) / 10.0**digits
    text = f"{min(100.0, rounded):.{digits}f}"
    return f"{text.rstrip('0').rstrip('.') if digits else text} %"
