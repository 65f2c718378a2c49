"""`LSHIndex`: approximate nearest neighbours in many columns, with a recall that is measured."""

from dataclasses import replace
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from modeseek.engines import namespaces
from modeseek.engines.data import whole
from modeseek.engines.devices import device_of
from modeseek.estimators.tensors import tensor_of
from modeseek.neighbors.hash_families import FAMILIES, MOST_HASHES
from modeseek.neighbors.lsh import FEW, HashedPoints, Settings
from modeseek.neighbors.lsh_tuning import SAMPLE, Tuned, measure, true_neighbors, tune

RECALL, NEIGHBORS, QUICK = 0.9, 10, 600  # what a fit aims at, with so many queries


class LSHIndex(BaseEstimator):
    r"""Approximate nearest neighbours by locality-sensitive hashing.

    Each of some tables cuts the points into buckets by hashes on which close points tend to agree. A query visits the
    buckets that most likely hold what is near it, its own and those across the nearest borders, and the points found
    there are compared exactly: distances are right, to float64, and only what is in no bucket visited is missed.

    Families, and the probability that one hash of two points agrees:

    - "pstable" (Datar et al. 2004): floor((a.x + b) / w), for Euclidean distance c:
      2 Phi(w/c) - 1 - 2c / (sqrt(2 pi) w) (1 - exp(-w^2 / 2c^2)).
    - "sign" (Charikar 2002): the sign of a.x, for the angle theta: 1 - theta / pi.
    - "cross-polytope" (Andoni et al. 2015): the vertex nearest to G x in up to 8 random directions.

    The last two hash directions. Here they hash those seen from the mean of all points, as points that are near each
    other mostly are seen in nearly the same direction; distances are Euclidean with every family. For angles pass rows
    of length 1: their Euclidean distances rise with the angle.

    Parameters
    ----------
    family : {"pstable", "cross-polytope", "sign"}, default="pstable"
        The hashes.
    n_tables : int, default=4
        Tables: more of them need fewer probes, and 4 bytes a point each.
    n_hashes : int, optional
        Hashes in each table, at most 64. None: chosen.
    width : float, optional
        Width w of a p-stable hash, in the units of X. None: chosen. Others have none.
    n_probes : float, optional
        Buckets that a query visits, of all tables together, at least 1: the fine control of recall. Of 3.4, a query
        visits three or four, by the bits of where it lies. None: chosen.
    random_state : int, RandomState or None, default=None
        Decides the hashes and the sample that settings are chosen with.
    n_jobs : int, optional
        Threads; None and -1 mean every core. The result is the same, to the bit, for any number.
    device : str or torch.device, default="auto"
        Where to hash and search: "auto" where X lies, "cuda" and the like on that device of Torch; "cpu" on the CPU, to
        which X is copied then.

    Attributes
    ----------
    n_hashes_, width_, n_probes_ : int, float, float
        What is in use. ``width_`` is None for families without one.
    recall_ : float
        Share of the true 10 (after `tune`: k) nearest neighbours that searches of held-out points found; those points
        are rows of X that no setting was chosen with, each left out of its own neighbours. Measured when first asked
        for, where every setting was given. 1.0 up to 256 rows, where all points are compared.
    n_features_in_ : int
        Columns seen in `fit`.
    n_samples_fit_ : int
        Rows seen in `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, where X had some.

    See Also
    --------
    sklearn.neighbors.NearestNeighbors : Exact neighbours.

    Notes
    -----
    What is not given `fit` chooses for a recall of 0.9 of 10 neighbours, on 600 rows; `tune` does it with care, for any
    recall. Where the buckets visited hold fewer than k points more are visited, at last all points are compared: a
    search always returns k rows. Keys are sorted, buckets are runs of them; memory beside X is
    n (4 d + 6 n_tables + 4) bytes at most, and 16 bytes for each bucket that holds a point. A search takes 12 n
    bytes for each thread.

    On a device the hashes are those of the CPU for the same ``random_state``, and candidates the same but for
    projections that lie on a border to within rounding. Queries go to where the points of the fit are; some 20 000
    points, with which settings are tried, go to the CPU. Memory beside X is 28 n_tables n bytes while it is built.

    Choosing settings needs the true neighbours of the sample: time of the order of n * d * 600 operations.

    References
    ----------
    M. Datar, N. Immorlica, P. Indyk and V. Mirrokni, "Locality-sensitive hashing scheme based on p-stable
    distributions", Symposium on Computational Geometry, 2004.
    Q. Lv, W. Josephson, Z. Wang, M. Charikar and K. Li, "Multi-probe LSH: efficient indexing for high-dimensional
    similarity search", VLDB 2007.
    M. Charikar, "Similarity estimation techniques from rounding algorithms", STOC 2002.
    A. Andoni, P. Indyk, T. Laarhoven, I. Razenshteyn and L. Schmidt, "Practical and optimal LSH for angular distance",
    NeurIPS 2015.

    Examples
    --------
    >>> import modeseek as ms
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(50, 1, 32)) + 0.1 * rng.normal(size=(50, 100, 32))
    >>> X = X.reshape(5000, 32)
    >>> index = ms.LSHIndex(random_state=0).fit(X).tune(recall=0.9, k=5)
    >>> distances, rows = index.query(X[:3], k=5)
    >>> rows[:, 0]
    array([0, 1, 2])
    >>> bool(index.recall_ > 0.85)
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "family": [StrOptions(set(FAMILIES))],
        "n_tables": [Interval(Integral, 1, 256, closed="both")],
        "n_hashes": [Interval(Integral, 1, MOST_HASHES, closed="both"), None],
        "width": [Interval(Real, 0, None, closed="neither"), None],
        "n_probes": [Interval(Real, 1, 8192, closed="both"), None],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
        "device": [object],  # `device_of` says what is wrong with one
    }

    n_hashes_: int
    width_: float | None
    n_probes_: float
    n_samples_fit_: int
    n_features_in_: int
    _recall: float

    def __init__(
        self,
        *,
        family: str = "pstable",
        n_tables: int = 4,
        n_hashes: int | None = None,
        width: float | None = None,
        n_probes: float | None = None,
        random_state: int | np.random.RandomState | None = None,
        n_jobs: int | None = None,
        device: Any = "auto",
    ):
        self.family = family
        self.n_tables = n_tables
        self.n_hashes = n_hashes
        self.width = width
        self.n_probes = n_probes
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.device = device

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Hash X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Points; a C-contiguous float32 or float64 array is kept as it is, without a copy.
        y : None
            Ignored.

        Returns
        -------
        LSHIndex
            The fitted index.

        Raises
        ------
        ValueError
            If X is empty, not finite or not two-dimensional, if distances overflow, or a parameter is out of range.
        TypeError
            If X is sparse, or does not hold real numbers.
        """
        self._validate_params()
        if self.width is not None and (self.family != "pstable" or not np.isfinite(self.width)):
            raise ValueError(f'width={self.width!r} must be finite, and is of use with family="pstable" only.')
        self._device = device_of(self.device, X)
        points = self._points(X, reset=True)
        self.n_samples_fit_ = len(points)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        self._start = Settings(self.family, int(self.n_tables), seed=seed)
        all_given = None not in (self.n_hashes, self.n_probes) and (self.width is not None or self.family != "pstable")
        if all_given or len(points) <= FEW:
            given: dict[str, Any] = {
                "n_hashes": int(self.n_hashes or 8),
                "n_probes": float(self.n_probes or 8),
                "width": self.width or 1.0,
            }
            self._publish(Tuned(self._hashed(points, replace(self._start, **given)), np.nan, 0), NEIGHBORS)
        else:
            self._choose(points, RECALL, min(NEIGHBORS, len(points) - 1), QUICK, probes_too=self.n_probes is None)
        return self

    def tune(self, recall: float = RECALL, k: int = NEIGHBORS, *, n_queries: int | None = None) -> Self:
        """Choose hashes and probes for a recall, on a sample of the points, and measure it on others.

        ``n_hashes`` and ``width`` are kept where they were given; ``n_probes`` is chosen.

        Parameters
        ----------
        recall : float, default=0.9
            Share of the k nearest neighbours that searches shall find, above 0 and below 1.
        k : int, default=10
            Neighbours.
        n_queries : int, optional
            Rows of the sample: two thirds to choose with, one third to measure with. None: 3000, twice as many for
            k = 2 and three times for k = 1, whose shares scatter more; the recall of other queries is then within 0.02
            of what is asked for.

        Returns
        -------
        LSHIndex
            This index, with new tables; ``recall_`` is what the last third found.

        Raises
        ------
        ValueError
            If recall is not between 0 and 1, k is not below the number of rows, or ``n_queries`` is below 3.
        """
        check_is_fitted(self)
        if isinstance(recall, bool) or not isinstance(recall, Real) or not 0.0 < recall < 1.0:
            raise ValueError(f"recall must be a number above 0 and below 1, got {recall!r}.")
        if whole(k, "k", 1) >= self.n_samples_fit_:
            raise ValueError(f"k must be below the number of rows, {self.n_samples_fit_}, got {k}.")
        n_queries = SAMPLE * max(1, 4 - int(k)) if n_queries is None else whole(n_queries, "n_queries", 3)
        self._choose(self._index.X, float(recall), int(k), n_queries, probes_too=True)
        return self

    def query(self, X: ArrayLike, k: int = NEIGHBORS) -> tuple[Any, Any]:
        """Return the k nearest candidates of each query.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Where to look.
        k : int, default=10
            Neighbours, at most the number of rows of the fit. As many always come back.

        Returns
        -------
        distances : ndarray of shape (n_queries, k), float64
            Euclidean, in rising order.
        rows : ndarray of shape (n_queries, k), int64
            Rows of the fit; of equal distances the lower row first.

        Raises
        ------
        ValueError
            If k exceeds the number of rows of the fit, or X does not fit them.
        """
        index = self._index_of()
        if whole(k, "k", 1) > self.n_samples_fit_:
            raise ValueError(f"k must be at most the number of rows, {self.n_samples_fit_}, got {k}.")
        home = namespaces.Home.of(X)
        distances, rows = index.nearest(self._points(X, reset=False), int(k))
        return home.back(distances), home.back(rows)

    def query_radius(self, X: ArrayLike, radius: float | ArrayLike) -> tuple[Any, Any, Any]:
        """Return the candidates within a radius of each query, as rows of a sparse matrix.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Where to look.
        radius : float or array-like of shape (n_queries,)
            Largest distance, at least 0; those at just this distance count.

        Returns
        -------
        indptr : ndarray of shape (n_queries + 1,)
            The neighbours of query i are from ``indptr[i]`` to ``indptr[i + 1]``.
        rows : ndarray, int64
            Rows of the fit, in rising order for each query.
        distances : ndarray, float64
            Their distances.

        Raises
        ------
        ValueError
            If a radius is below 0 or NaN, or X does not fit the rows of the fit.
        """
        home = namespaces.Home.of(X)
        if self._on() is None:
            radius = namespaces.as_numpy(radius)
        found = self._index_of().within(self._points(X, reset=False), radius)
        return home.back(found[0]), home.back(found[1]), home.back(found[2])

    @property
    def recall_(self) -> float:
        """Share of the true nearest neighbours that searches of held-out rows found."""
        index = self._index_of()
        if np.isnan(self._recall):
            self._recall = self._measured(index)
        return self._recall

    def summary(self) -> str:
        """Return in words what the index is made of, and how good it is.

        Returns
        -------
        str
            One line.

        Examples
        --------
        >>> print(LSHIndex(random_state=0).fit([[0.0], [1.0]]).summary())
        2 points of 1 column: all are compared, recall 1
        """
        index = self._index_of()
        rows = f"{self.n_samples_fit_:,} points of {self.n_features_in_} column{'s' * (self.n_features_in_ > 1)}"
        if self.n_samples_fit_ <= FEW:
            return f"{rows}: all are compared, recall 1"
        wide = "" if self.width_ is None else f" of width {self.width_:.4g}"
        return (
            f"{rows}: {index.settings.n_tables} {self.family} tables of {self.n_hashes_} hashes{wide}, "
            f"{self.n_probes_:.4g} probes a query, recall@{self._k} {self.recall_:.3f} on held-out points"
        )

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        shown = super().__repr__(N_CHAR_MAX)
        recall = getattr(self, "_recall", np.nan)
        return shown if np.isnan(recall) else f"{shown}  # recall@{self._k} {recall:.3f}"

    # ------------------------------------------------------------------------------------------------- the parts

    def _index_of(self) -> Any:
        check_is_fitted(self)
        self._index.n_jobs = self.n_jobs
        return self._index

    def _on(self) -> str | None:
        """Return the device of the points, None for the CPU."""
        return getattr(self, "_device", None)

    def _hashed(self, points: Any, settings: Settings) -> Any:
        if self._on() is None:
            return HashedPoints(points, settings, self.n_jobs)
        from modeseek.neighbors import on_device

        return on_device.DeviceHashedPoints(points, settings)

    def _choose(self, X: Any, recall: float, k: int, n_queries: int, probes_too: bool) -> None:
        choose: Any = tune
        if self._on() is not None:
            from modeseek.neighbors import on_device

            choose = on_device.tune
        tuned = choose(
            X,
            self._start,
            n_hashes=self.n_hashes,
            width=self.width,
            n_probes=None if probes_too else self.n_probes,
            recall=recall,
            k=k,
            n_queries=n_queries,
            n_jobs=self.n_jobs,
        )
        self._publish(tuned, k)

    def _publish(self, tuned: Tuned, k: int) -> None:
        settings = tuned.index.settings
        self._index, self._recall, self._k = tuned.index, tuned.recall, k
        self.n_hashes_, self.n_probes_ = settings.n_hashes, settings.n_probes
        self.width_ = settings.width if self.family == "pstable" else None

    def _measured(self, index: Any) -> float:
        if self._on() is not None:
            from modeseek.neighbors import on_device

            return on_device.measured(index, self._k)
        n = len(index.X)
        if n <= FEW:
            return 1.0
        rows = np.random.default_rng([index.settings.seed, 1]).permutation(n)[: SAMPLE // 3]
        sample = true_neighbors(
            index.X, index.frame, index.frame.all_into(index.X, self.n_jobs), rows, self._k, self.n_jobs
        )
        return measure(index, sample, slice(None))

    def _points(self, X: ArrayLike, reset: bool) -> Any:
        device = self._on()
        if device is not None:
            return tensor_of(self, X, device, reset)
        if not reset:
            refuse_copies(self.device, X)
        # finiteness is checked together with the bounds, in one read instead of two
        X = namespaces.as_numpy(X)
        points = validate_data(self, X, reset=reset, dtype=namespaces.precision(X), ensure_all_finite=False)
        return np.ascontiguousarray(points) if reset else points

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_index")


def refuse_copies(device: object, X: Any) -> None:
    """Raise for queries on a device whose points are on the CPU, unless a copy is asked for."""
    there = device_of(device, X)
    if there is not None:
        raise ValueError(
            f"The index was fitted on the CPU, and the queries are asked for on {there!r}. Fit it on that device, or "
            'pass device="cpu": the queries are copied to the CPU then.'
        )
