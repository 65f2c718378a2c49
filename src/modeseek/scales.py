r"""Clusters of a sample, or of a grid of masses, at a series of bandwidths, and which of them are more than chance.

At bandwidth h a point counts S(x) = sum_i w_i exp(-|x - x_i|^2 / 2 h^2) others. A mode z that rises above the saddle s
to a higher mode by log S(z) - log S(s) is told from the scatter of points that fall at random by

    rise = (log S(z) - log S(s)) / sqrt(2^(-d/2) (1 / S(z) + 1 / S(s))),

the denominator being the standard deviation of the numerator where the density hardly changes over h:
var S / S^2 = sum w^2 g^2 / (sum w g)^2 = 2^(-d/2) / S. Of k hills the highest of so many chances counts, about
sqrt(2 log k): those that rise by less than (RISE^2 + 2 log k)^(1/2) are joined to the one they meet first, the flattest
one first.

On a grid (up to three columns) all points are summed once, at the finest scale; each wider density is the one before,
smoothed by what is lacking, and the grid is thinned by two wherever that loses nothing. Hills are found by a sweep
over nodes by falling density. In more columns a sample climbs once; its modes climb on from scale to scale.
"""

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.distance import cdist

from modeseek.climb import ModeFinder
from modeseek.fields import Floats, Ints
from modeseek.fields.dense import DenseField
from modeseek.sketch import DensitySketch

RISE = 2.0  # standard deviations that one hill alone must rise above its saddle
FAINT = 0.3  # points: lower sums are no density
SPACING = 0.5  # of nodes, in the finest bandwidth
WIDE = 4.0  # bandwidth in nodes from which a grid is thinned by two
TRUNCATE = 5.0  # standard deviations of a smoothing
TOL, MAX_ITER = 1e-3, 200  # of climbs of a sample
LARGEST = 48  # hills of a sample that may be told from chance
ON_THE_WAY = np.linspace(0.0, 1.0, 11)[1:-1]  # places between two modes where a saddle is looked for
BACKGROUND = 0.01  # of the density that scores compare: a uniform one, so that far points do not decide


@dataclass
class Scale:
    """Hills of the density at one bandwidth, by falling height of their tops."""

    bandwidth: float
    modes: Floats  # (k, d)
    masses: Floats  # (k,), of the points whose steepest ascent leads there
    firsts: Floats  # (k, d), mass times mean of these points
    squares: Floats  # (k,), mass times their mean squared length
    heights: Floats  # (k,), S at the modes
    saddles: Floats  # (k,), S where a hill first meets a higher one; 0 where it meets none
    into: Ints  # (k,), that hill, itself where there is none
    score: float  # mean log density of the points, each without itself
    leads_to: Ints | None = None  # (k,), hills of the next scale

    def in_units(self, unit: float, origin: Floats) -> "Scale":
        """Return the same hills where coordinates x are unit * x + origin; moments stay about the origin."""
        return replace(
            self,
            bandwidth=self.bandwidth * unit,
            modes=self.modes * unit + origin,
            firsts=self.firsts * unit,
            squares=self.squares * unit * unit,
            score=self.score - self.modes.shape[1] * math.log(unit),
        )

    def rises(self) -> Floats:
        """Return how far each hill rises above its saddle, in standard deviations of chance; inf for those alone."""
        d = self.modes.shape[1]
        with np.errstate(divide="ignore"):
            above = np.log(self.heights) - np.log(self.saddles)
        saddles = np.maximum(self.saddles, FAINT)
        rises = above / np.sqrt(2.0 ** (-0.5 * d) * (1.0 / self.heights + 1.0 / saddles))
        return np.where(self.into == np.arange(len(rises)), np.inf, rises)

    def joined(self, rise: float | None = None) -> Ints:
        """Return the hill that each ends up with, when those that rise less are joined to what they meet.

        By default those that rise by no more than chance.
        """
        rises, owner = self.rises(), np.arange(len(self.modes))
        if rise is None:
            rise = math.sqrt(RISE**2 + 2.0 * math.log(len(rises)))
        for i in np.argsort(rises, kind="stable"):
            if rises[i] >= rise:
                break
            owner[i] = self.into[i]  # of a higher hill, which may be joined to another one later
        while (owner[owner] != owner).any():
            owner = owner[owner]
        return owner

    def n_clusters(self, least: float, rise: float | None = None) -> int:
        """Count the hills of so much mass, at least 1."""
        masses = np.bincount(self.joined(rise), self.masses, len(self.modes))
        return max(1, int((masses >= least).sum()))

    def width(self, least: float, rise: float | None = None) -> float:
        """Return the median standard deviation along an axis of hills of so much mass; 0 if there is none."""
        owner, (k, d) = self.joined(rise), self.modes.shape
        masses = np.bincount(owner, self.masses, k)
        kept = masses >= least
        firsts = np.stack([np.bincount(owner, first, k) for first in self.firsts.T], axis=1)[kept]
        squares = np.bincount(owner, self.squares, k)[kept]
        masses = masses[kept]
        variances = (squares - np.square(firsts).sum(axis=1) / masses) / masses
        return float(np.sqrt(np.median(variances).clip(0) / d)) if kept.any() else 0.0


def scales_of_grid(sketch: DensitySketch, bandwidths: Floats) -> list[Scale]:
    """Return the hills at ascending bandwidths of what a sketch made for the first of them holds."""
    grid = _Grid(sketch)
    found: list[Scale] = []
    last: tuple[Scale, NDArray[np.int32]] | None = None
    for h in bandwidths:
        grid.smooth(float(h))
        scale, hill = grid.hills(float(h))
        if last is not None:
            last[0].leads_to = hill[tuple(grid.nearest(last[0].modes).T)].astype(np.int64)
        found.append(scale)
        last = scale, hill
    return found


class _Grid:
    """Smoothed masses on nodes, and the masses as they were, by the nearest node."""

    def __init__(self, sketch: DensitySketch):
        self.total = sketch.total_weight_
        self.masses = sketch.masses.astype(np.float64)
        self.masses *= self.total / self.masses.sum()
        self.d, self.delta = self.masses.ndim, sketch.delta
        self.corner = np.asarray(sketch.nodes().corner, np.float64)
        self.variance = (sketch.degree + 1) * self.delta**2 / 12.0
        self.smoothed = self.masses
        self.volume = float(np.prod([(m - 1) * self.delta for m in self.masses.shape]))

    def smooth(self, h: float) -> None:
        """Smooth on to bandwidth h, thin the nodes where they are many, and make room around them."""
        while np.sqrt(self.variance) >= WIDE * self.delta:
            self._thin()
        room = int(np.ceil(TRUNCATE * h / self.delta)) - self._empty_nodes()
        if room > 0:
            self._pad(room)
        more = np.sqrt(max(h * h - self.variance, 0.0)) / self.delta
        self.smoothed = ndimage.gaussian_filter(self.smoothed, more, mode="constant", truncate=TRUNCATE)
        self.variance = h * h

    def _empty_nodes(self) -> int:
        """Return how many nodes around the masses are empty on every side, at least."""
        return min(
            int(min(where.min(), size - 1 - where.max()))
            for where, size in zip(np.nonzero(self.masses), self.masses.shape, strict=True)
        )

    def _pad(self, width: int) -> None:
        self.masses, self.smoothed = np.pad(self.masses, width), np.pad(self.smoothed, width)
        self.corner = self.corner - width * self.delta

    def _thin(self) -> None:
        """Keep every other node; what was at the others is theirs."""
        self.smoothed = self.smoothed[(slice(None, None, 2),) * self.d] * 2.0**self.d
        for axis in range(self.d):
            self.masses = np.add.reduceat(self.masses, np.arange(0, self.masses.shape[axis], 2), axis=axis)
        self.delta *= 2.0

    def nearest(self, places: Floats) -> Ints:
        """Return the node nearest to each place, (m, d)."""
        nodes = np.rint((places - self.corner) / self.delta).astype(np.int64)
        return np.clip(nodes, 0, np.array(self.masses.shape) - 1)

    def hills(self, h: float) -> tuple[Scale, NDArray[np.int32]]:
        """Return the hills, and the one that each node is on (0 where there is next to nothing)."""
        from modeseek.engines.cpu.sweep import NONE, sweep

        sums = np.pad(self.smoothed, 1) * (np.sqrt(2.0 * np.pi) * h / self.delta) ** self.d
        height = sums.reshape(-1)
        order = np.flatnonzero(height > min(FAINT, 0.5 * height.max()))
        order = order[np.argsort(-height[order], kind="stable")]
        strides = np.array(sums.strides) // sums.itemsize
        around = np.array([np.dot(o, strides) for o in itertools.product((-1, 0, 1), repeat=self.d) if any(o)])
        hill = np.full(height.size, NONE, np.int32)
        top, into, parent = (np.empty(len(order), np.int64) for _ in range(3))
        saddle = np.empty(len(order))
        k = int(sweep(order, height, around, hill, top, saddle, into, parent))
        inner = (slice(1, -1),) * self.d
        on = np.maximum(hill.reshape(sums.shape)[inner], 0)
        tops = np.array(np.unravel_index(top[:k], sums.shape)).T - 1
        held = np.flatnonzero(self.masses)
        places = self.corner + np.array(np.unravel_index(held, self.masses.shape)).T * self.delta
        moments = _moments(on.reshape(-1)[held], self.masses.reshape(-1)[held], places, k)
        scale = Scale(
            h,
            self.corner + tops * self.delta,
            *moments,
            height[top[:k]],
            np.maximum(saddle[:k], 0.0),
            into[:k].copy(),
            self._score(sums[inner], h),
        )
        return scale, on

    def _score(self, sums: Floats, h: float) -> float:
        held = self.masses > 0.0
        return float(self.masses[held] @ _log_scores(sums[held], self.total, self.d, h, self.volume) / self.total)


def _moments(hill: Ints, masses: Floats, places: Floats, k: int) -> tuple[Floats, Floats, Floats]:
    """Return mass, mass times mean, and mass times mean squared length of the points of each hill."""
    firsts = np.stack([np.bincount(hill, masses * column, k) for column in places.T], axis=1).astype(np.float64)
    squares = np.bincount(hill, masses * np.square(places).sum(axis=1), k).astype(np.float64)
    return np.bincount(hill, masses, k).astype(np.float64), firsts, squares


def _log_scores(sums: Floats, total: float, d: int, h: float, volume: float) -> Floats:
    """Return the log density at points of weight 1 in these sums, each left out of its own."""
    density = np.maximum(sums - 1.0, 0.0) / (max(total - 1.0, 1.0) * (np.sqrt(2.0 * np.pi) * h) ** d)
    return np.log((1.0 - BACKGROUND) * density + BACKGROUND / volume)


def scales_of_sample(sample: Floats, bandwidths: Floats, n_jobs: int | None = None) -> list[Scale]:
    """Return the hills of a sample of points at ascending bandwidths."""
    starts, labels = sample, np.arange(len(sample))
    squares_of_pairs = cdist(sample, sample, "sqeuclidean")
    extent = np.ptp(sample, axis=0)
    volume = float(np.prod(np.where(extent > 0.0, extent, 1.0)))
    found: list[Scale] = []
    for h in bandwidths:
        finder = ModeFinder(
            DenseField(sample, np.empty(0), float(h)), None, tol=TOL, max_iter=MAX_ITER, n_jobs=n_jobs
        )  # fmt: skip
        reached = finder.find(starts)
        modes, heights = finder.positions, _sums(finder.positions, sample, float(h))
        order = np.argsort(-heights, kind="stable")
        names = np.argsort(order)
        reached, modes, heights = names[reached], modes[order], heights[order]
        if found:
            found[-1].leads_to = reached
        labels, starts = reached[labels], modes
        masses, firsts, squares = _moments(labels, np.ones(len(sample)), sample, len(modes))
        sums = _sums_of_squares(squares_of_pairs, float(h))
        logs = _log_scores(sums, len(sample), sample.shape[1], float(h), volume)
        scale = Scale(
            float(h), modes, masses, firsts, squares, heights, *_saddles(modes, masses, heights, sample, float(h)), 0.0
        )
        scale.score = float(logs.mean())
        found.append(scale)
    return found


def _sums(queries: Floats, sample: Floats, h: float) -> Floats:
    """Return S at each query."""
    return _sums_of_squares(cdist(queries, sample, "sqeuclidean"), h)


def _sums_of_squares(squares: Floats, h: float) -> Floats:
    return np.exp(-0.5 * squares / (h * h)).sum(axis=1)


def _saddles(modes: Floats, masses: Floats, heights: Floats, sample: Floats, h: float) -> tuple[Floats, Ints]:
    """Return S at the saddle of each mode, and the higher mode on its other side, as straight ways tell.

    The lowest place on the way from one mode to another is no higher than their saddle; of all chains of ways the one
    whose lowest place is highest counts. Of many modes the heaviest are looked at; the others meet the nearest of them.
    """
    k = len(modes)
    saddles, into = np.zeros(k), np.arange(k)
    chosen = np.sort(np.argsort(-masses, kind="stable")[:LARGEST])
    a, b = np.triu_indices(len(chosen), 1)
    if not len(a):
        return saddles, into
    ways = modes[chosen[a], None] * (1.0 - ON_THE_WAY[:, None]) + modes[chosen[b], None] * ON_THE_WAY[:, None]
    low = _sums(ways.reshape(-1, modes.shape[1]), sample, h).reshape(len(a), -1).min(axis=1)
    low = np.minimum(low, heights[chosen[b]])
    root = np.arange(k)
    for pair in np.argsort(-low, kind="stable"):
        here, there = root[chosen[a[pair]]], root[chosen[b[pair]]]
        if here == there:
            continue
        higher, lower = min(here, there), max(here, there)  # modes come by falling height
        saddles[lower], into[lower] = low[pair], higher
        root[root == lower] = higher
    light = np.setdiff1d(np.arange(k), chosen)
    if light.size:
        into[light] = chosen[cdist(modes[light], modes[chosen]).argmin(axis=1)]
        saddles[light] = heights[light]
    return saddles, into
