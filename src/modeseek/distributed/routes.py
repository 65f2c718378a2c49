"""Which route a Dask collection takes: by proof or by a table, as points in memory do; small ones go to the client.

What needs all points in one place is refused, with what to do instead.
"""

from typing import Any

from modeseek.costs import DENSE_POINTS
from modeseek.distributed.problem import DaskProblem
from modeseek.orphans import settle_orphans
from modeseek.persistence import merge_by_persistence
from modeseek.pipeline import SPACINGS, by_table
from modeseek.prepare import affordable_spacings
from modeseek.proven import by_proof, tables
from modeseek.result import Clustering

GATHERED = 1 << 27  # bytes of points: so few come to the client, and are fitted as any others in memory


def refuse(settings: list[str], nbytes: int, n: int) -> None:
    """Raise for settings that need all points in one place.

    Raises
    ------
    ValueError
        If there are any.
    """
    if settings:
        raise ValueError(
            f"{' and '.join(settings)} needs all points in one place, and this Dask collection is larger "
            f"({n:,} rows, {nbytes / 2**20:,.0f} MiB) than the {GATHERED >> 20} MiB that are gathered. "
            "Fit a sample, MeanShift(...).fit(X[::100].compute()), and label all by predict(X); or compute X, if it "
            "fits into memory."
        )


def cluster(problem: DaskProblem, fidelity: str) -> Clustering:
    """Cluster by mean shift: ``fidelity`` is "certified" or "fast".

    Raises
    ------
    ValueError
        If the data span too many bandwidths for a grid.
    """
    if fidelity == "certified" and problem.n > DENSE_POINTS and tables(problem):
        return by_proof(problem)
    spacings = affordable_spacings(problem, SPACINGS[problem.d]) if fidelity == "fast" else []
    if spacings:
        return by_table(problem, spacings[0])
    other = ', or fidelity="fast", which takes a coarser one' if fidelity == "certified" else ""
    raise ValueError(
        f"bandwidth={problem.bandwidth:g} is too small for a grid around all points, which span "
        f"{' x '.join(f'{extent:.4g}' for extent in problem.bounds[1] - problem.bounds[0])}: what is climbed on "
        f"otherwise, the points themselves, is in many places. Use a larger bandwidth, remove outliers{other}."
    )


def gather_modes(
    problem: DaskProblem, found: Clustering, persistence: float | None, least: float, attach: bool
) -> None:
    """Put modes into clusters, in place: by persistence, and those that are too light."""
    if persistence is not None:
        merge_by_persistence(problem, found, persistence)
    settle_orphans(problem, found, least, attach)


def labels_of(problem: DaskProblem, found: Clustering) -> Any:
    """Return the labels of all points, lazily."""
    return problem.lazy_labels(found.labels)
