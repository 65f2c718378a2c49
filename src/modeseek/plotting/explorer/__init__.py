"""`explore`: one HTML file in which a slider moves the bandwidth, and clusters are seen to merge.

The page needs nothing but a browser, and asks no network for anything. What it shows is computed here beforehand:
`clusterings` fits mean shift at every bandwidth, `census` describes the clusters, `shades` gives them colours that
last, `packing` makes text of arrays, `figures` makes the plots (Bokeh), `document` the page; the page itself is
``page.js``, with ``raster.js`` and ``unpack.js``, and ``page.css``.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from modeseek.engines import data
from modeseek.plotting import arrays
from modeseek.plotting.explorer.clusterings import Progress, cluster_at_all
from modeseek.plotting.explorer.exploration import Exploration

__all__ = ["Exploration", "explore"]

FIDELITIES = ("certified", "fast", "exact")


def explore(
    X: Any,
    bandwidths: ArrayLike | None = None,
    *,
    sample_weight: ArrayLike | None = None,
    standardize: bool = False,
    fidelity: str = "certified",
    names: list[str] | None = None,
    title: str = "Clusters at every bandwidth",
    save: str | Path | None = None,
    n_jobs: int | None = None,
    progress: Progress | None = None,
) -> Exploration:
    """Make a page in which a slider moves the bandwidth and clusters merge.

    It shows any two columns in the colours of the clusters, which a cluster keeps as long as it lasts; their modes,
    sizes, means and standard deviations; and how many there are at every bandwidth. The labels at any bandwidth can be
    saved from it as CSV. The page is one file, and asks no network for anything.

    At each bandwidth h of ``bandwidth_path(X)``, and at the one it chooses, where the slider starts, labels are those
    of ``MeanShift(h, standardize=standardize, fidelity=fidelity).fit(X)``, for all points. Up to three columns that
    takes seconds for a million points; in more, every point climbs on all points at each bandwidth, and widths at which
    clusters merge take longest: give fewer `bandwidths` there.

    Parameters
    ----------
    X : array-like or frame of shape (n, d)
        Points; a frame's columns keep their names. A flat array is one column.
    bandwidths : array-like of shape (m,), optional
        Ascending, as for `bandwidth_path`; None: its own 30.
    sample_weight : array-like of shape (n,), optional
        Weights, at least 0.
    standardize : bool, default False
        Give every column standard deviation 1 first; bandwidths are then in standard deviations.
    fidelity : {"certified", "fast", "exact"}, default "certified"
        As for `MeanShift`.
    names : list of str, optional
        Names of the columns; by default those of the frame, or "column 0" and so on.
    title : str
        Heading of the page.
    save : str or path, optional
        Also write the page there.
    n_jobs : int, optional
        Threads; None means all cores. The page is the same for any number.
    progress : callable, optional
        Called as ``progress(done, m)`` before each fit.

    Returns
    -------
    Exploration
        ``save(path)`` writes the page, ``html()`` returns it, ``labels(i)`` are the labels at ``bandwidths[i]``; a
        notebook shows it as it is.

    Raises
    ------
    ValueError
        If X is empty or holds NaN or infinity, or weights, names or bandwidths do not fit it.
    TypeError
        If X is not numeric.
    ImportError
        If Bokeh is not installed.

    Notes
    -----
    Points are drawn at 1 / 65,535 of a column's range, and where there are more than four million coordinates, an
    evenly spaced part of the rows is drawn. Labels, counts, means and what is saved from the page are those of all
    rows.

    Examples
    --------
    >>> import modeseek as ms
    >>> _, X = ms.textbook.make_data()
    >>> page = ms.plot.explore(X, [1.5, 2.5, 8.0])
    >>> bool(page.bandwidths[page.start] == page.path.bandwidth)
    True
    >>> [len(set(page.labels(i).tolist())) for i in (0, -1)]
    [6, 4]
    >>> page.save("clusters.html")  # doctest: +SKIP
    """
    need_bokeh()
    if fidelity not in FIDELITIES:
        raise ValueError(f"fidelity must be one of {', '.join(FIDELITIES)}; got {fidelity!r}")
    matrix = arrays.as_matrix("X", X)
    n, d = matrix.shape
    called = _names(names, arrays.names_of(X), d)
    arrays.finite_columns("X", matrix, range(d))  # refuses what is not finite
    points = np.ascontiguousarray(data.as_points(matrix))
    weights = None if sample_weight is None else data.as_weights(sample_weight, n)
    given = None if bandwidths is None else np.asarray(bandwidths, np.float64)
    if weights is not None and not weights.size:
        weights = None  # all the same
    found = cluster_at_all(points, weights, given, standardize, fidelity, n_jobs, progress)
    page = Exploration(points, weights, found, called, title, standardize, fidelity)
    if save is not None:
        page.save(save)
    return page


def need_bokeh() -> None:
    """Import Bokeh, or say how to get it."""
    try:
        import bokeh  # noqa: F401
    except ImportError:
        raise ImportError("modeseek.plot.explore needs Bokeh: pip install 'modeseek[explore]'") from None


def _names(given: list[str] | None, of_frame: list[str] | None, d: int) -> list[str]:
    if given is not None and len(given) != d:
        raise ValueError(f"names has {len(given)} names, but X has {d} columns")
    return list(map(str, given or of_frame or [f"column {i}" for i in range(d)]))
