"""Labels that differ from exact mean shift, against time: ``python -m benchmarks.paper.pareto``.

Every system labels the same points. *from_gaussian* is the share of its labels that differ from exact Gaussian mean
shift of bandwidth h, *from_flat* from exact flat mean shift of radius 2h, both up to numbering; `seconds` are medians
of rounds in turn with ``fidelity="fast"``. A ball of radius 2h in the plane has the variance of a Gaussian of
bandwidth h along each axis, so 2h is what scikit-learn's flat kernel gets; read its rows by *from_flat*, ours by
*from_gaussian*. Its exact answer is `rivals.exact_flat`: every point climbs to rest over all points in float64, places
of rest are joined by scikit-learn's own rule. The Gaussian answer is that of ``fidelity="exact"``, of which the audit,
which shares no code with it, checks every label first (*audited*, the number that differ, must be 0).

Cells of MeanShift++ and GridShift have a side for a parameter, and 3^d of them stand for a ball. Sides of 0.5 h to 2 h
are tried (3 sides have the variance of the Gaussian at 1.155 h); all rows are kept.

The notebook's batched form comes twice: *to rest*, with Gaussian weights, every point climbing in float32 until the
last has converged; and *blurring, 5 rounds*, as the notebook has it but with Gaussian weights of the same h. Both
leave places, not labels: those closer than h / 20 (h / 2 for the blurring one, which has not come to rest) are one.
"""

import sys
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import MeanShift as FlatMeanShift

import modeseek as ms
from benchmarks import data
from benchmarks.harness import Row, alternate
from benchmarks.high_dimensions import batched
from benchmarks.paper import rivals
from benchmarks.paper.common import disagreement, program
from modeseek import textbook
from modeseek.climb import group_by_location

Points, Ints = NDArray[np.float32], NDArray[np.integer]

SIDES = (0.5, 0.75, 1.0, 1.155, 1.5, 2.0)  # of cells, in bandwidths
FEW = 2000  # points up to which all pairs are affordable for those that sum them all at every step
WARM = 300
LIMIT = 8.0  # seconds of rounds after which no further one begins
OURS = ("fast", "certified", "exact")


def sets(quick: bool) -> Iterator[tuple[str, float, Points]]:
    """Yield name, bandwidth and points."""
    yield "blobs", 2.5, data.notebook()[:: 5 if quick else 1]
    if quick:
        return
    yield "blobs", 2.5, data.blobs(20_000)
    yield "moons", 0.15, data.moons(2000, 2)
    yield "spiral", 1.0, data.spiral(2000, 2)


class Kept:
    """A call that keeps the last labels."""

    def __init__(self, call: Callable[[], Ints]):
        self.call = call
        self.labels: Ints = np.empty(0, np.int64)

    def __call__(self) -> None:
        """Label."""
        self.labels = np.asarray(self.call())


def labels_at_rest(X: Points, h: float) -> Ints:
    """Label by the notebook's batched form, all points to rest."""
    return group_by_location(batched(X, h).astype(np.float64), 0.05)[0]  # in bandwidths, about the mean


def labels_blurred(X: Points, h: float) -> Ints:
    """Label by the notebook's batched form, five rounds of blurring."""
    moved = textbook.meanshift(X, weight=partial(textbook.gaussian, bw=h), bandwidth=h)
    return group_by_location(np.asarray(moved, np.float64), 0.5 * h)[0]


def flat_peer(X: Points, radius: float, bin_seeding: bool) -> Ints:
    """Label by scikit-learn on two processes."""
    return FlatMeanShift(bandwidth=radius, bin_seeding=bin_seeding, n_jobs=2).fit_predict(X)


def ours(X: Points, h: float, fidelity: str) -> Ints:
    """Label by modeseek."""
    return ms.MeanShift(h, fidelity=fidelity).fit(X).labels_


def flat_ours(X: Points, radius: float, bin_seeding: bool) -> Ints:
    """Label by modeseek with scikit-learn's meaning of every parameter."""
    return ms.MeanShift(radius, kernel="flat", assign="nearest", bin_seeding=bin_seeding).fit(X).labels_


def systems(X: Points, h: float) -> Iterator[tuple[str, float | None, Callable[[Points], Callable[[], Ints]]]]:
    """Yield name, side of cells in bandwidths if there are any, and what makes the call for some points."""
    for fidelity in OURS:
        yield f"modeseek, {fidelity}", None, lambda some, f=fidelity: partial(ours, some, h, f)
    for system, label in (("modeseek, flat, nearest", flat_ours), ("scikit-learn", flat_peer)):
        yield f"{system}, bin_seeding", None, lambda some, label=label: partial(label, some, 2 * h, True)
        yield system, None, lambda some, label=label: partial(label, some, 2 * h, False)
    if len(X) <= FEW:
        yield "notebook, batched, to rest", None, lambda some: partial(labels_at_rest, some, h)
    yield "notebook, batched, blurring, 5 rounds", None, lambda some: partial(labels_blurred, some, h)
    for name, source, make in (
        ("MeanShift++", "meanshiftpp", rivals.mean_shift_pp),
        ("GridShift", "gridshiftpp", rivals.grid_shift),
    ):
        if rivals.available(source):
            for side in SIDES:
                yield name, side, lambda some, make=make, side=side: make(some, side * h)


def pareto(quick: bool) -> Iterator[Row]:
    """Compare every system on every set."""
    for name, h, X in sets(quick):
        model = ms.MeanShift(h, fidelity="exact").fit(X)
        audited = model.audit(X, len(X)).n_disagree
        gaussian, flat = model.labels_, rivals.exact_flat(X, 2 * h)
        about = {"data": name, "n": len(X), "h": h, "gaussian_clusters": gaussian.max() + 1}
        about |= {"flat_clusters": len(np.unique(flat)), "flat_from_gaussian": disagreement(flat, gaussian)}
        about |= {"audited": audited}
        unit = partial(ours, X, h, "fast")
        for system, side, make in systems(X, h):
            call, small = Kept(make(X)), make(X[:: max(1, len(X) // WARM)])
            timing = alternate({"ours": unit, system: call}, 5, limit=LIMIT, warm_up={system: small})[system]
            yield about | {
                "system": system,
                "side": side,
                "seconds": timing.median,
                "min": timing.min,
                "max": timing.max,
                "rounds": len(timing.seconds),
                "clusters": len(np.unique(call.labels)),
                "from_gaussian": disagreement(call.labels, gaussian),
                "from_flat": disagreement(call.labels, flat),
            }


def main(argv: list[str] | None = None) -> int:
    """Run the experiment."""
    return program("pareto", __doc__, {"pareto": pareto}, argv)


if __name__ == "__main__":
    sys.exit(main())
