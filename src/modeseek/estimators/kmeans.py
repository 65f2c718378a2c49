"""`KMeans`, the estimator."""

import warnings
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from modeseek.engines import data, namespaces
from modeseek.engines.devices import device_of
from modeseek.estimators import collections
from modeseek.estimators.tensors import is_tensor, tensor_of
from modeseek.kmeans.batches import step
from modeseek.kmeans.cells import Places, places_of
from modeseek.kmeans.lloyd import Found, better, lloyd
from modeseek.kmeans.nearest import Points, check_span, distances, nearest, own_squares
from modeseek.kmeans.seeding import check_start, plus_plus, random_rows, scalable

RESTARTS = 10  # with n_init="auto", where starts are random


class KMeans(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin, BaseEstimator):
    r"""k-means clustering: centres such that points are close to the nearest one.

    Lloyd's rounds lower the inertia ::

        sum_i w_i min_j |x_i - c_j|^2

    until no label changes: points go to the nearest centre, centres to the weighted mean of their points. Parameters,
    attributes and results are scikit-learn's: from the same start the same labels, up to rounding.

    Parameters
    ----------
    n_clusters : int, default=8
        Number of clusters.
    init : {"k-means++", "k-means||", "random"}, array-like or callable, default="k-means++"
        Where centres start: greedy k-means++ (2 + log k candidates for each), its parallel form for many clusters, rows
        drawn by weight, an array of shape (n_clusters, n_features), or a function of X, n_clusters and random_state.
    n_init : int or "auto", default="auto"
        Number of starts, of which the least inertia is kept; "auto": 10 for "random" and functions, else 1.
    max_iter : int, default=300
        Most rounds.
    tol : float, default=1e-4
        Rounds end when the squared shifts of all centres sum to at most this, in mean variances of the columns.
    verbose : int, default=0
        Whether to print what each round did.
    random_state : int, RandomState or None
        Decides the starts. The same state chooses the starts that scikit-learn chooses.
    copy_x : bool, default=True
        Taken for compatibility: X is never changed.
    algorithm : {"lloyd", "elkan"}, default="lloyd"
        Taken for compatibility: the results are the same, and bounds are always used.
    n_jobs : int, optional
        Threads; None means all cores. Results are the same to the bit for any number.
    device : str or torch.device, default="auto"
        Where to compute. "auto": on the GPU that X lies on, else on the CPU; "cuda", "cuda:1": there (NumPy is moved
        once); "cpu": by the kernels of the CPU (a tensor is copied, results go back to where it lies); "torch": the
        code of a GPU where X lies, even on the CPU.

    Attributes
    ----------
    cluster_centers_ : ndarray of shape (n_clusters, n_features)
        Centres, in the dtype of X.
    labels_ : ndarray of shape (n_samples,), int32
        The nearest of them for each point (of equally near ones the first): what ``predict`` returns.
    inertia_ : float
        Weighted sum of squared distances of points from their centres.
    n_iter_ : int
        Rounds of the best start.
    n_steps_ : int
        Batches that ``partial_fit`` has seen.
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, if X has names that are strings.

    See Also
    --------
    MeanShift : Finds the number of clusters, and clusters of any shape.
    kmeans_plusplus : The seeds alone.

    Notes
    -----
    Labels are those of float64 arithmetic: products are float32 where a bound proves that the nearest centre is the
    same, float64 where not. Sums are float64 whatever the dtype of X. Memory beside X: 12 bytes a point; in one, two or
    three columns also a copy of X sorted by cells.

    On a GPU products are made of halves, on its matrix units, with a bound; float64 decides what they leave open, so
    labels are the same there (`engines.gpu.assign`). Every round sorts the rows by label and adds them up in float64,
    in one order: the same bits every time. About 48 bytes a point beside X. Of several clusters that are empty in the
    same round, the first gets the furthest point; the CPU's order among them is not defined.

    References
    ----------
    S. P. Lloyd, "Least squares quantization in PCM", IEEE Trans. Inf. Theory 28 (1982); D. Arthur and S. Vassilvitskii,
    "k-means++: the advantages of careful seeding", SODA 2007; B. Bahmani et al., "Scalable k-means++", PVLDB 5 (2012);
    G. Hamerly, "Making k-means even faster", SDM 2010.

    Examples
    --------
    >>> import modeseek as ms
    >>> X = [[1.0, 2], [1, 4], [1, 0], [10, 2], [10, 4], [10, 0]]
    >>> model = ms.KMeans(n_clusters=2, random_state=0).fit(X)
    >>> print(model.labels_, model.inertia_)
    [1 1 1 0 0 0] 16.0
    >>> print(model.predict([[0, 0], [12, 3]]))
    [1 0]
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "n_clusters": [Interval(Integral, 1, None, closed="left")],
        "init": [StrOptions({"k-means++", "k-means||", "random"}), callable, "array-like"],
        "n_init": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
        "copy_x": ["boolean"],
        "algorithm": [StrOptions({"lloyd", "elkan"})],
        "n_jobs": [Integral, None],
        "device": "no_validation",  # `device_of` says what is wrong with it
    }

    cluster_centers_: NDArray[Any]
    labels_: NDArray[np.int32]
    inertia_: float
    n_iter_: int
    n_steps_: int
    n_features_in_: int

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: str | ArrayLike | Callable[..., Any] = "k-means++",
        n_init: int | str = "auto",
        max_iter: int = 300,
        tol: float = 1e-4,
        verbose: int = 0,
        random_state: int | np.random.RandomState | None = None,
        copy_x: bool = True,
        algorithm: str = "lloyd",
        n_jobs: int | None = None,
        device: Any = "auto",
    ):
        self.n_clusters = n_clusters
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.verbose = verbose
        self.random_state = random_state
        self.copy_x = copy_x
        self.algorithm = algorithm
        self.n_jobs = n_jobs
        self.device = device

    def fit(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Find centres.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Points: NumPy array, data frame, or tensor; float32 and float64 are used as they are. A Dask array or frame
            is worked on where it is; ``labels_`` is then a Dask array of which nothing is computed yet.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), optional
            Weights, at least 0: a point of weight 3 counts as three.

        Returns
        -------
        KMeans
            The fitted estimator.

        Raises
        ------
        ValueError
            If X holds NaN or infinity or has fewer rows than clusters, a weight is negative, or a parameter is wrong.
        """
        self._validate_params()
        if namespaces.is_dask(X):
            return self._fit_collection(X, sample_weight)
        device = device_of(self.device, X)
        if device is not None:
            return self._fit_on(device, X, sample_weight)
        x = self._points(X, reset=True)
        weights = data.as_weights(namespaces.as_numpy(sample_weight), len(x))
        self._check_rows(x)
        random = check_random_state(self.random_state)
        points = Points.of(x, weights, self.n_jobs)
        places = None if points.small(self.n_clusters) else places_of(points)
        report = print if self.verbose else None
        best: Found | None = None
        for _ in range(self._starts()):
            start = self._start(x, weights, random, places)
            found = lloyd(points, start, self.max_iter, self.tol * points.variance, report, places)
            if best is None or better(found, best):
                best = found
        assert best is not None
        self._warn_of_few(int(np.count_nonzero(np.bincount(best.labels, minlength=self.n_clusters))))
        self._masses, self.n_iter_ = best.masses, best.n_iter
        self.n_steps_ = 0
        self._publish(best.centres, best.labels, best.inertia, namespaces.Home.of(X))
        return self

    def partial_fit(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Move centres by one batch: each to the running mean of all points that it ever owned.

        With W_j the weight that centre j has gathered so far (in ``fit`` and in batches), and B_j the points of the
        batch that are nearest to it, c_j becomes (W_j c_j + sum_{B_j} w_i x_i) / (W_j + sum_{B_j} w_i). The first batch
        of all also gives the starts, and must have at least ``n_clusters`` rows. These are the updates of
        scikit-learn's ``MiniBatchKMeans(reassignment_ratio=0)``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            A batch.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), optional
            Weights, at least 0.

        Returns
        -------
        KMeans
            The estimator; ``labels_`` and ``inertia_`` are those of the batch.
        """
        self._validate_params()
        first = not hasattr(self, "cluster_centers_")
        device = device_of(self.device, X)
        if device is not None:
            return self._batch_on(device, X, sample_weight, first)
        x = self._points(X, reset=first)
        weights = data.as_weights(namespaces.as_numpy(sample_weight), len(x))
        check_span(data.bounds(x, self.n_jobs))
        if first:
            self._check_rows(x)
            random = check_random_state(self.random_state)
            self._exact = np.asarray(self._start(x, weights, random), np.float64)
            self._masses, self.n_steps_, self._dtype = np.zeros(self.n_clusters), 0, x.dtype
        self._exact, self._masses = step(x, weights, self._exact, self._masses, self.n_jobs)
        self.n_steps_ += 1
        centres = self._exact.astype(self._dtype)
        labels = nearest(x, centres, self.n_jobs)
        points = Points(x, weights, np.zeros(x.shape[1]), np.zeros(x.shape[1]), 0.0, self.n_jobs)
        inertia, _ = own_squares(points, points.base, centres.astype(np.float64), labels)
        self._publish(centres, labels, inertia, namespaces.Home.of(X), self._exact)
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.int32]:
        """Return the number of the nearest centre of each point.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Points, old or new.

        Returns
        -------
        ndarray of shape (n_samples,), int32
            Labels.
        """
        if namespaces.is_dask(X):
            return collections.ask(self, "predict", X)
        device = device_of(self.device, X)
        if device is not None:
            from modeseek.kmeans import on_device

            points = on_device.Points.plain(self._tensor(X, device, reset=False))
            return namespaces.Home.of(X).back(on_device.labelled(points, self.cluster_centers_))
        x = self._points(X, reset=False)
        data.bounds(x, self.n_jobs)
        return namespaces.Home.of(X).back(nearest(x, self._centres(), self.n_jobs))

    def transform(self, X: ArrayLike) -> NDArray[Any]:
        """Return the distances of points from all centres.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Points.

        Returns
        -------
        ndarray of shape (n_samples, n_clusters)
            Distances, in the dtype of X; computed by differences, so that they are right far from 0.
        """
        if namespaces.is_dask(X):
            return collections.distances(self, X)
        device = device_of(self.device, X)
        if device is not None:
            from modeseek.kmeans import on_device

            tensor = on_device.Points.plain(self._tensor(X, device, reset=False)).x
            return namespaces.Home.of(X).back(on_device.distances(tensor, self.cluster_centers_))
        x = self._points(X, reset=False)
        data.bounds(x, self.n_jobs)
        return namespaces.Home.of(X).back(distances(x, self._centres(), self.n_jobs))

    def fit_transform(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> NDArray[Any]:
        """Find centres, and return the distances of the points from them: ``fit(X).transform(X)``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Points.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), optional
            Weights, at least 0.

        Returns
        -------
        ndarray of shape (n_samples, n_clusters)
            Distances.
        """
        return self.fit(X, sample_weight=sample_weight).transform(X)

    def fit_predict(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> NDArray[np.int32]:
        """Find centres, and return the label of each point: ``fit(X).labels_``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Points.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), optional
            Weights, at least 0.

        Returns
        -------
        ndarray of shape (n_samples,), int32
            Labels.
        """
        return self.fit(X, sample_weight=sample_weight).labels_

    def score(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> float:
        """Return minus the inertia of points.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Points.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), optional
            Weights, at least 0.

        Returns
        -------
        float
            ``-sum_i w_i min_j |x_i - c_j|^2``.
        """
        if namespaces.is_dask(X):
            return -collections.inertia(self, X, sample_weight)
        device = device_of(self.device, X)
        if device is not None:
            from modeseek.kmeans import on_device

            points = self._weighed_on(device, X, sample_weight, reset=False)
            return -on_device.inertia_from(points, self.cluster_centers_)
        x = self._points(X, reset=False)
        weights = data.as_weights(namespaces.as_numpy(sample_weight), len(x))
        data.bounds(x, self.n_jobs)
        centres, zero = self._centres().astype(np.float64), np.zeros(x.shape[1])
        labels = nearest(x, centres, self.n_jobs)
        return -own_squares(Points(x, weights, zero, zero, 0.0, self.n_jobs), zero, centres, labels)[0]

    @property
    def _n_features_out(self) -> int:
        return len(self.cluster_centers_)

    def _centres(self) -> NDArray[Any]:
        check_is_fitted(self)
        return np.asarray(namespaces.as_numpy(self.cluster_centers_))

    def _fit_collection(self, X: Any, sample_weight: Any) -> Self:
        """Find centres of a collection of Dask, where it is unless it is small."""
        from modeseek.distributed import routes

        parts = collections.read(self, X, sample_weight)
        if parts.nbytes <= routes.GATHERED:
            collections.fit_gathered(self, parts)
            return self
        routes.refuse(["init as a function"] * callable(self.init), parts.nbytes, parts.n)
        if parts.n < self.n_clusters:
            raise ValueError(f"n_samples={parts.n} should be >= n_clusters={self.n_clusters}.")
        random, none = check_random_state(self.random_state), np.empty(0)
        starts = collections.starts(parts, self._starts(), lambda x: self._start(x, none, random), self.init)
        best = collections.lloyd(parts, starts, self.max_iter, self.tol, print if self.verbose else None)
        self._warn_of_few(best.distinct)
        self._masses, self.n_iter_, self.n_steps_ = best.masses, best.n_iter, 0
        self._publish(best.centres, None, best.inertia, namespaces.Home())
        self.labels_ = collections.labels_by_centres(self, parts)
        return self

    def _fit_on(self, device: str, X: ArrayLike, sample_weight: ArrayLike | None) -> Self:
        """Find centres on a device of Torch."""
        from modeseek.kmeans import on_device

        points = self._weighed_on(device, X, sample_weight, reset=True, whole=True)
        self._check_rows(points.x)
        random = check_random_state(self.random_state)
        home = namespaces.Home.of(X)
        seen = home.back(points.x) if is_tensor(X) else X

        def start() -> Any:
            return on_device.start_of(points, self.init, self.n_clusters, random, seen)

        report = print if self.verbose else None
        best = on_device.fit(points, [start] * self._starts(), self.max_iter, self.tol, report)
        self._warn_of_few(best.distinct)
        self._masses, self.n_iter_ = best.masses, best.n_iter
        self.n_steps_ = 0
        self._publish(best.centres, best.labels, best.inertia, home)
        return self

    def _batch_on(self, device: str, X: ArrayLike, sample_weight: ArrayLike | None, first: bool) -> Self:
        """Move centres by one batch, on a device of Torch."""
        from modeseek.kmeans import on_device

        points = self._weighed_on(device, X, sample_weight, reset=first)
        if first:
            self._check_rows(points.x)
            random = check_random_state(self.random_state)
            start = on_device.start_of(points, self.init, self.n_clusters, random, X)
            self._exact = start.double().cpu().numpy()
            self._dtype = start.cpu().numpy().dtype
            self._masses, self.n_steps_ = np.zeros(self.n_clusters), 0
        self._exact, self._masses = on_device.step(points, self._exact, self._masses)
        self.n_steps_ += 1
        centres = self._exact.astype(self._dtype)
        labels = on_device.labelled(points, centres)
        inertia = on_device.inertia_of(points, on_device.centres_on(centres, points.x), labels)
        self._publish(centres, labels, inertia, namespaces.Home.of(X), self._exact)
        return self

    def _publish(self, centres: Any, labels: Any, inertia: float, home: namespaces.Home, exact: Any = None) -> None:
        """Set the fitted attributes, where the data came from; batches go on from float64."""
        own = np.asarray(namespaces.as_numpy(centres))
        self._exact, self._dtype = (own.astype(np.float64) if exact is None else exact), own.dtype
        self.cluster_centers_, self.labels_ = home.back(centres), home.back(labels)
        self.inertia_ = inertia

    def _weighed_on(
        self, device: str, X: ArrayLike, sample_weight: ArrayLike | None, reset: bool, whole: bool = False
    ) -> Any:
        """Return points and weights on a device, with all that a fit needs to know, or what is enough to label."""
        from modeseek.engines.gpu import as_tensor_weights
        from modeseek.kmeans import on_device

        x = self._tensor(X, device, reset)
        weights = as_tensor_weights(sample_weight, len(x), device)
        return on_device.Points.of(x, weights) if whole else on_device.Points.plain(x, weights)

    def _tensor(self, X: ArrayLike, device: str, reset: bool) -> Any:
        if not reset:
            check_is_fitted(self)
        return tensor_of(self, X, device, reset)

    def _warn_of_few(self, distinct: int) -> None:
        if distinct < self.n_clusters:
            warnings.warn(
                f"Number of distinct clusters ({distinct}) found smaller than n_clusters ({self.n_clusters}). "
                "Possibly due to duplicate points in X.",
                ConvergenceWarning,
                stacklevel=3,
            )

    def _check_rows(self, x: Any) -> None:
        if len(x) < self.n_clusters:
            raise ValueError(f"n_samples={len(x)} should be >= n_clusters={self.n_clusters}.")

    def _starts(self) -> int:
        given = not isinstance(self.init, str) and not callable(self.init)
        if self.n_init == "auto":
            return RESTARTS if callable(self.init) or (isinstance(self.init, str) and self.init == "random") else 1
        if given and self.n_init != 1:
            warnings.warn(
                "Explicit initial center position passed: performing only one init in KMeans instead of "
                f"n_init={self.n_init}.",
                RuntimeWarning,
                stacklevel=3,
            )
            return 1
        return int(self.n_init)

    def _start(
        self,
        x: NDArray[Any],
        weights: NDArray[np.float64],
        random: np.random.RandomState,
        places: Places | None = None,
    ) -> NDArray[Any]:
        """Return where centres start, (n_clusters, n_features)."""
        if isinstance(self.init, str):
            if self.init == "random":
                return x[random_rows(len(x), weights, self.n_clusters, random)]
            if self.init == "k-means||":
                return x[scalable(x, weights, self.n_clusters, random, self.n_jobs)]
            return x[plus_plus(x, weights, self.n_clusters, random, self.n_jobs, places=places)]
        given = self.init(x, self.n_clusters, random_state=random) if callable(self.init) else self.init
        start = np.array(namespaces.as_numpy(given), dtype=x.dtype, order="C")
        check_start(start.shape, bool(np.isfinite(start).all()), (self.n_clusters, x.shape[1]))
        return start

    def _points(self, X: ArrayLike, reset: bool) -> NDArray[Any]:
        if not reset:
            check_is_fitted(self)
        namespaces.refuse_dask(X, "This method")
        # finiteness is checked together with the bounds, in one read instead of two
        X = namespaces.as_numpy(X)
        checked = validate_data(self, X, reset=reset, dtype=namespaces.precision(X), order="C", ensure_all_finite=False)
        return np.ascontiguousarray(checked)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
