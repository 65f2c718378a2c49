"""`NearestNeighbors`, the estimator, and `kneighbors_graph` and `radius_neighbors_graph`, its functional forms."""

from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from modeseek.engines import data, namespaces
from modeseek.engines.devices import device_of
from modeseek.estimators.tensors import tensor_of
from modeseek.neighbors.choose import ALGORITHMS, Search
from modeseek.sphere import normalise

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FARTHEST = 1e150  # coordinates beyond: squared distances overflow


class NearestNeighbors(BaseEstimator):
    r"""Exact nearest neighbours, and neighbours within a radius.

    The distance is ``|x - y| = sqrt(sum_c (x_c - y_c)^2)``, in float64 of the numbers as given, columns added one after
    the other. Of points at the same distance the lower row comes first; a point at exactly the radius is within it, as
    ``|x - y|^2 <= radius^2`` tells. Points are halved until sixteen are left, and queries that lie near each other
    search together (``modeseek.neighbors.tree``). From five columns on float32 sorts out what it proves to be too far;
    every neighbour is then found and measured in float64.

    Parameters
    ----------
    n_neighbors : int, default=5
        Neighbours that `kneighbors` returns.
    radius : float, default=1.0
        Radius of `radius_neighbors`, in the units of X.
    algorithm : {"auto", "tree", "brute", "kd_tree", "ball_tree", "lsh"}, default="auto"
        "auto" looks at all pairs where they are at most 2^18 (nothing is compiled then), and takes "tree" for
        more. "brute" always looks at all pairs, in NumPy. "kd_tree" and "ball_tree" are other names of "tree". Results
        are the same. "lsh" is approximate: hashing (`LSHIndex`, with its defaults), tuned when the model is fitted so
        that nine in ten of the ten nearest are found; what is found has its exact distance.
    leaf_size : int, default=30
        Ignored: leaves hold sixteen points.
    metric : {"minkowski", "euclidean", "l2", "cosine"}, default="minkowski"
        The first three are the Euclidean distance. "cosine" is 1 - cos(x, y), computed as ``|u - v|^2 / 2`` of the unit
        vectors u and v: small angles do not cancel.
    p : float, default=2
        Only 2 with ``metric="minkowski"``.
    metric_params : dict, optional
        Only None or empty.
    n_jobs : int, optional
        Threads; None and -1 mean all cores. The result is the same to the bit for any number.
    device : str or torch.device, default="auto"
        Where searches run: "auto" where X lies, "cuda" and the like on that device of Torch, with the same results;
        "cpu" on the CPU, to which X is copied then.

    Attributes
    ----------
    effective_metric_ : str
        "euclidean" or "cosine".
    effective_metric_params_ : dict
        Empty.
    n_samples_fit_ : int
        Number of points.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, if X had names.

    See Also
    --------
    kneighbors_graph : The k nearest as a sparse matrix.
    radius_neighbors_graph : What is within a radius as a sparse matrix.
    sklearn.neighbors.NearestNeighbors : Has other metrics, and takes sparse matrices.

    Notes
    -----
    Memory: X is kept; the tree takes as much again and 20 bytes a point (half as much more from five columns on), twice
    that while it is made. Where walks of a few leaves show that the tree leaves little out, every two leaves meet once
    (``modeseek.neighbors.pairs``), which takes 16 max(k, 16) + 16 + n_features bytes a point while it runs. Results are
    written in place, without lists: radii take two passes, one that counts, one that writes.

    On a device (``modeseek.neighbors.on_device``) every query meets every point in low precision, which proves most of
    them to be too far; what is left is compared in float64. Neighbours within a radius come by rising row, one tensor
    for each query, and graphs of tensors are CSR tensors of Torch on the device. Queries go to where the points of the
    fit are; where these are on the CPU, and the queries are not, the points are copied to the device once.

    References
    ----------
    J. L. Bentley, "Multidimensional binary search trees used for associative searching", Comm. ACM 18 (1975) 509-517.
    R. W. Floyd and R. L. Rivest, "Expected time bounds for selection", Comm. ACM 18 (1975) 165-172.

    Examples
    --------
    >>> import modeseek as ms
    >>> model = ms.NearestNeighbors(n_neighbors=2).fit([[0.0], [1.0], [3.0], [7.0]])
    >>> distances, rows = model.kneighbors([[2.0]])
    >>> print(distances, rows)
    [[1. 1.]] [[1 2]]
    >>> model.kneighbors(return_distance=False).tolist()  # of each point among the others
    [[1, 2], [0, 2], [1, 0], [2, 1]]
    >>> model.count_neighbors(radius=2.0)
    array([1, 2, 1, 0])
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "radius": [Interval(Real, 0, None, closed="both")],
        "algorithm": [StrOptions(set(ALGORITHMS))],
        "leaf_size": [Interval(Integral, 1, None, closed="left")],
        "metric": [str],
        "p": [Interval(Real, 0, None, closed="right"), None],
        "metric_params": [dict, None],
        "n_jobs": [Integral, None],
        "device": [object],  # `device_of` says what is wrong with one
    }

    effective_metric_: str
    effective_metric_params_: dict[str, Any]
    n_samples_fit_: int
    n_features_in_: int

    def __init__(
        self,
        n_neighbors: int = 5,
        *,
        radius: float = 1.0,
        algorithm: str = "auto",
        leaf_size: int = 30,
        metric: str = "minkowski",
        p: float = 2,
        metric_params: dict[str, Any] | None = None,
        n_jobs: int | None = None,
        device: Any = "auto",
    ):
        self.n_neighbors = n_neighbors
        self.radius = radius
        self.algorithm = algorithm
        self.leaf_size = leaf_size
        self.metric = metric
        self.p = p
        self.metric_params = metric_params
        self.n_jobs = n_jobs
        self.device = device

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Arrange points for searches.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Points: arrays, data frames, tensors. It is kept, and should not be changed while the model is in use.
        y : None
            Ignored.

        Returns
        -------
        NearestNeighbors
            The fitted estimator.

        Raises
        ------
        ValueError
            If X is empty, not finite or not two-dimensional, spans more than 1e150, or a parameter is out of range.
        TypeError
            If X is sparse, or does not hold real numbers.
        """
        self._validate_params()
        self.effective_metric_, self.effective_metric_params_ = self._checked_metric(), {}
        self._device, self._home = device_of(self.device, X), namespaces.Home.of(X)
        self._fit_X = self._points(X, reset=True, device=self._device)
        self.n_samples_fit_ = len(self._fit_X)
        self._searches: dict[str | None, Any] = {}
        self._search_on(self._device)
        return self

    def kneighbors(
        self, X: ArrayLike | None = None, n_neighbors: int | None = None, return_distance: bool = True
    ) -> Any:
        """Return the nearest points.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features), optional
            Queries. None: the points of the fit, none of which is its own neighbour.
        n_neighbors : int, optional
            How many; None: as given to the model.
        return_distance : bool, default=True
            Whether to return distances.

        Returns
        -------
        neigh_dist : ndarray of shape (n_queries, n_neighbors), float64
            Distances, in rising order. Only if asked for.
        neigh_ind : ndarray of shape (n_queries, n_neighbors), int64
            Rows; of equal distances the lower row is first.

        Raises
        ------
        ValueError
            If there are not so many points.
        """
        check_is_fitted(self)
        k = data.whole(self.n_neighbors if n_neighbors is None else n_neighbors, "n_neighbors", 1)
        device, queries, home = self._asked(X)
        self._check_number(k, queries)
        distances, rows = self._search_on(device).nearest(queries, k)
        if not return_distance:
            return home.back(rows)
        return home.back(self._shown(distances)), home.back(rows)

    def radius_neighbors(
        self,
        X: ArrayLike | None = None,
        radius: float | ArrayLike | None = None,
        return_distance: bool = True,
        sort_results: bool = False,
    ) -> Any:
        """Return the points within a radius.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features), optional
            Queries. None: the points of the fit, none of which is its own neighbour.
        radius : float or array-like of shape (n_queries,), optional
            At least 0, one for all or one for each query; None: as given to the model.
        return_distance : bool, default=True
            Whether to return distances.
        sort_results : bool, default=False
            Sort the neighbours of each query by distance, then by row. Else their order is that of the search, the same
            at every call.

        Returns
        -------
        neigh_dist : ndarray of shape (n_queries,) of ndarrays, float64
            Distances. Only if asked for.
        neigh_ind : ndarray of shape (n_queries,) of ndarrays, int64
            Rows. Of tensors on a device both are lists of tensors.

        See Also
        --------
        radius_neighbors_graph : The same in three arrays: no million little ones.
        count_neighbors : Only how many.
        """
        if sort_results and not return_distance:
            raise ValueError("return_distance must be True if sort_results is True.")
        indptr, rows, distances, home = self._within(X, radius, return_distance, sort_results)
        if not return_distance:
            return _pieces(rows, indptr, home)
        return _pieces(distances, indptr, home), _pieces(rows, indptr, home)

    def count_neighbors(self, X: ArrayLike | None = None, radius: float | ArrayLike | None = None) -> Any:
        """Return how many points are within a radius; none is looked at that a box of points decides.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features), optional
            Queries. None: the points of the fit, none of which counts itself.
        radius : float or array-like of shape (n_queries,), optional
            At least 0, one for all or one for each query; None: as given to the model.

        Returns
        -------
        ndarray of shape (n_queries,), int64
            Numbers of neighbours.
        """
        check_is_fitted(self)
        device, queries, home = self._asked(X)
        return home.back(self._search_on(device).count_within(queries, self._radii(radius, queries, device)))

    def kneighbors_graph(
        self, X: ArrayLike | None = None, n_neighbors: int | None = None, mode: str = "connectivity"
    ) -> csr_matrix:
        """Return the nearest points as a sparse matrix.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features), optional
            Queries. None: the points of the fit, none of which is its own neighbour.
        n_neighbors : int, optional
            How many; None: as given to the model.
        mode : {"connectivity", "distance"}, default="connectivity"
            Entries: ones, or distances.

        Returns
        -------
        csr_matrix of shape (n_queries, n_samples_fit)
            Entry (i, j) tells that point j is a neighbour of query i; in each row by rising distance. Of tensors on
            a device a CSR tensor of Torch.
        """
        _check_mode(mode)
        check_is_fitted(self)
        device, queries, home = self._asked(X)
        if device is not None:
            return self._graph_on(device, queries, home, n_neighbors, mode)
        distances, rows = self.kneighbors(namespaces.as_numpy(X), n_neighbors)
        m, k = rows.shape
        entries = np.ones(m * k) if mode == "connectivity" else distances.ravel()
        return csr_matrix((entries, rows.ravel(), np.arange(0, m * k + 1, k)), shape=(m, self.n_samples_fit_))

    def radius_neighbors_graph(
        self,
        X: ArrayLike | None = None,
        radius: float | ArrayLike | None = None,
        mode: str = "connectivity",
        sort_results: bool = False,
    ) -> csr_matrix:
        """Return the points within a radius as a sparse matrix.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features), optional
            Queries. None: the points of the fit, none of which is its own neighbour.
        radius : float or array-like of shape (n_queries,), optional
            At least 0, one for all or one for each query; None: as given to the model.
        mode : {"connectivity", "distance"}, default="connectivity"
            Entries: ones, or distances.
        sort_results : bool, default=False
            With ``mode="distance"``: sort the entries of each row by distance.

        Returns
        -------
        csr_matrix of shape (n_queries, n_samples_fit)
            Entry (i, j) tells that point j is within the radius of query i. Of tensors on a device a CSR tensor of
            Torch.
        """
        _check_mode(mode)
        far = mode == "distance"
        indptr, rows, distances, home = self._within(X, radius, far, sort_results and far)
        if not isinstance(rows, np.ndarray):
            from modeseek.neighbors import on_device

            return on_device.csr(indptr, rows, distances if far else None, self.n_samples_fit_, home)
        entries = distances if far else np.ones(len(rows))
        return csr_matrix((entries, rows, indptr), shape=(len(indptr) - 1, self.n_samples_fit_))

    def _within(self, X: Any, radius: Any, far: bool, sort: bool) -> tuple[Any, Any, Any, namespaces.Home]:
        check_is_fitted(self)
        device, queries, home = self._asked(X)
        indptr, rows, distances = self._search_on(device).within(queries, self._radii(radius, queries, device), far)
        if sort and device is not None:
            from modeseek.neighbors import on_device

            rows, distances = on_device.by_distance(indptr, rows, distances)
        elif sort:
            query = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
            order = np.lexsort((rows, distances, query))
            rows, distances = rows[order], distances[order]
        return indptr, rows, self._shown(distances), home

    def _asked(self, X: Any) -> tuple[str | None, Any, namespaces.Home]:
        """Return where to search, the queries there, and where results go."""
        if X is None:
            return self._device, None, self._home if self._device is not None else namespaces.Home()
        device = self._device if self._device is not None else device_of(self.device, X)
        home = self._home if device is not None and X is self._fit_X else namespaces.Home.of(X)
        return device, self._points(X, reset=False, device=device), home

    def _search_on(self, device: str | None) -> Any:
        """Return the structure of the points on a device, made when it is first of use there."""
        if device not in self._searches:
            if device is None:
                self._searches[device] = ALGORITHMS[self.algorithm](self._fit_X, self.n_jobs)
            else:
                from modeseek.engines import gpu
                from modeseek.neighbors import on_device

                make: Any = on_device.DeviceHashSearch if self.algorithm == "lsh" else on_device.DeviceSearch
                self._searches[device] = make(gpu.as_tensor(self._fit_X, device), self.n_jobs)
        search: Search = self._searches[device]
        search.n_jobs = self.n_jobs
        return search

    def _graph_on(self, device: str, queries: Any, home: namespaces.Home, n_neighbors: int | None, mode: str) -> Any:
        from modeseek.neighbors import on_device

        k = data.whole(self.n_neighbors if n_neighbors is None else n_neighbors, "n_neighbors", 1)
        self._check_number(k, queries)
        distances, rows = self._search_on(device).nearest(queries, k)
        entries = self._shown(distances).reshape(-1) if mode == "distance" else None
        return on_device.csr(on_device.evenly(rows), rows.reshape(-1), entries, self.n_samples_fit_, home)

    def _check_number(self, k: int, queries: Any) -> None:
        n = self.n_samples_fit_
        if k > n - (queries is None):
            sign, m = ("<", n) if queries is None else ("<=", len(queries))
            raise ValueError(
                f"Expected n_neighbors {sign} n_samples_fit, but n_neighbors = {k}, "
                f"n_samples_fit = {n}, n_samples = {m}"
            )

    def _shown(self, distances: Any) -> Any:
        """Return distances of the metric: chords of unit vectors become 1 - cos."""
        return distances if self.effective_metric_ == "euclidean" else 0.5 * distances * distances

    def _radii(self, radius: Any, queries: Any, device: str | None) -> Any:
        """Return one Euclidean radius for each query."""
        m = self.n_samples_fit_ if queries is None else len(queries)
        if device is not None:
            from modeseek.neighbors import on_device

            given = on_device.radii_of(self.radius if radius is None else radius, m, device)
            return given if self.effective_metric_ == "euclidean" else on_device.roots(2.0 * given)
        radii = np.asarray(namespaces.as_numpy(self.radius if radius is None else radius))
        if radii.dtype.kind not in "iuf":
            raise TypeError(f"radius must be a number, or one for each query, got {radius!r}.")
        if radii.shape not in ((), (m,)):
            raise ValueError(f"radius must be one number or have shape ({m},), one for each query, got {radii.shape}.")
        bad = np.flatnonzero(~(radii >= 0.0))
        if bad.size:
            raise ValueError(f"radius must be at least 0, got {radii.flat[bad[0]]} ({bad.size} such in all).")
        full = np.full(m, radii, np.float64)
        return full if self.effective_metric_ == "euclidean" else np.sqrt(2.0 * full)

    def _checked_metric(self) -> str:
        """Return the metric, or say which there are."""
        if self.metric == "minkowski" and self.p not in (2, None):
            raise ValueError(f"p={self.p!r} is not supported: distances are Euclidean, p=2.")
        if self.metric_params:
            raise ValueError(f"metric_params={self.metric_params!r} is not supported: pass None.")
        if self.metric not in ("minkowski", "euclidean", "l2", "cosine"):
            raise ValueError(
                f'metric={self.metric!r} is not supported: pass "euclidean" or "cosine", or use '
                "sklearn.neighbors.NearestNeighbors."
            )
        return "cosine" if self.metric == "cosine" else "euclidean"

    def _points(self, X: ArrayLike, reset: bool, device: str | None) -> Any:
        if device is not None:
            return self._points_on(device, X, reset)
        X = namespaces.as_numpy(X)
        points = validate_data(self, X, reset=reset, dtype=namespaces.precision(X), ensure_all_finite=False)
        largest = float(np.abs(data.bounds(points, self.n_jobs)).max())
        if self.effective_metric_ == "cosine":
            zero = np.flatnonzero(~points.any(axis=1))
            if zero.size:
                raise ValueError(f'Row {zero[0]} of X is zero: it has no direction, which metric="cosine" needs.')
            return normalise(points)
        _check_size(largest)
        return points

    def _points_on(self, device: str, X: Any, reset: bool) -> Any:
        """Return X as a tensor on a device: checked there."""
        from modeseek.engines import gpu

        points = tensor_of(self, X, device, reset)
        largest = float(np.abs(gpu.bounds(points)).max())
        if self.effective_metric_ == "cosine":
            from modeseek.neighbors import on_device

            return on_device.normalise(points)
        _check_size(largest)
        return points


def kneighbors_graph(
    X: ArrayLike | NearestNeighbors,
    n_neighbors: int,
    *,
    mode: str = "connectivity",
    metric: str = "minkowski",
    p: float = 2,
    metric_params: dict[str, Any] | None = None,
    include_self: bool | str = False,
    n_jobs: int | None = None,
    device: Any = "auto",
) -> csr_matrix:
    """Return the sparse matrix of the k nearest neighbours of points among themselves.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features), or NearestNeighbors
        Points, or a fitted model of them.
    n_neighbors : int
        Neighbours of each.
    mode : {"connectivity", "distance"}, default="connectivity"
        Entries: ones, or distances.
    metric, p, metric_params : optional
        As for `NearestNeighbors`.
    include_self : bool or "auto", default=False
        Whether a point is its own first neighbour; "auto": with ``mode="connectivity"``.
    n_jobs : int, optional
        Threads.
    device : str or torch.device, default="auto"
        As for `NearestNeighbors`; of no effect on a fitted model.

    Returns
    -------
    csr_matrix of shape (n_samples, n_samples)
        The graph. Of tensors on a device a CSR tensor of Torch.

    Examples
    --------
    >>> import modeseek as ms
    >>> print(ms.kneighbors_graph([[0.0], [3.0], [1.0]], 1, mode="distance").toarray())
    [[0. 0. 1.]
     [0. 0. 2.]
     [1. 0. 0.]]
    """
    model = _fitted(
        X, n_neighbors=n_neighbors, metric=metric, p=p, metric_params=metric_params, n_jobs=n_jobs, device=device
    )
    return model.kneighbors_graph(_asked(model, include_self, mode), n_neighbors, mode)


def radius_neighbors_graph(
    X: ArrayLike | NearestNeighbors,
    radius: float,
    *,
    mode: str = "connectivity",
    metric: str = "minkowski",
    p: float = 2,
    metric_params: dict[str, Any] | None = None,
    include_self: bool | str = False,
    n_jobs: int | None = None,
    device: Any = "auto",
) -> csr_matrix:
    """Return the sparse matrix of the pairs of points that are within a radius.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features), or NearestNeighbors
        Points, or a fitted model of them.
    radius : float
        Largest distance.
    mode : {"connectivity", "distance"}, default="connectivity"
        Entries: ones, or distances.
    metric, p, metric_params : optional
        As for `NearestNeighbors`.
    include_self : bool or "auto", default=False
        Whether a point is its own neighbour; "auto": with ``mode="connectivity"``.
    n_jobs : int, optional
        Threads.
    device : str or torch.device, default="auto"
        As for `NearestNeighbors`; of no effect on a fitted model.

    Returns
    -------
    csr_matrix of shape (n_samples, n_samples)
        The graph. Of tensors on a device a CSR tensor of Torch.

    Examples
    --------
    >>> import modeseek as ms
    >>> print(ms.radius_neighbors_graph([[0.0], [3.0], [1.0]], 1.5, mode="distance").toarray())
    [[0. 0. 1.]
     [0. 0. 0.]
     [1. 0. 0.]]
    """
    model = _fitted(X, radius=radius, metric=metric, p=p, metric_params=metric_params, n_jobs=n_jobs, device=device)
    return model.radius_neighbors_graph(_asked(model, include_self, mode), radius, mode)


def _fitted(X: Any, **parameters: Any) -> NearestNeighbors:
    """Return a model of points; of a model, itself, if it is as is wanted."""
    if not isinstance(X, NearestNeighbors):
        return NearestNeighbors(**parameters).fit(X)
    check_is_fitted(X)
    for name in ("metric", "p", "metric_params"):
        if parameters[name] != getattr(X, name):
            raise ValueError(f"Got {parameters[name]!r} for {name}, while the model has {getattr(X, name)!r}.")
    return X


def _asked(model: NearestNeighbors, include_self: bool | str, mode: str) -> Any:
    """Return the queries of a graph: the points as others, or None, which leaves each out of its own neighbours."""
    wanted = mode == "connectivity" if include_self == "auto" else bool(include_self)
    return model._fit_X if wanted else None


def _check_size(largest: float) -> None:
    if largest > FARTHEST:
        raise ValueError(f"X holds values of up to {largest:g}: squared distances overflow. Rescale X first.")


def _check_mode(mode: str) -> None:
    if mode not in ("connectivity", "distance"):
        raise ValueError(f'Unsupported mode, must be one of "connectivity", or "distance", but got "{mode}" instead')


def _pieces(values: Any, indptr: Any, home: namespaces.Home) -> Any:
    """Cut values into one array for each query."""
    if not isinstance(values, np.ndarray):
        if home.module:
            from modeseek.neighbors import on_device

            return [home.back(piece) for piece in on_device.pieces(values, indptr)]
        values, indptr = home.back(values), home.back(indptr)
    pieces = np.empty(len(indptr) - 1, object)
    for i, (start, stop) in enumerate(zip(indptr[:-1].tolist(), indptr[1:].tolist(), strict=True)):
        pieces[i] = values[start:stop]
    return pieces
