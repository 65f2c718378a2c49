"""`MeanShift`, the estimator, and `mean_shift`, its functional form."""

import sys
import time
import warnings
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from modeseek import climb
from modeseek.audit import Audit, audit
from modeseek.bandwidth import estimate_bandwidth
from modeseek.blurring import BlurredClusters, cluster_by_blurring
from modeseek.certificate import Certificate
from modeseek.engines import data
from modeseek.orphans import settle_orphans
from modeseek.persistence import merge_by_persistence
from modeseek.pipeline import cluster
from modeseek.result import Clustering, Problem
from modeseek.sketch import DensitySketch
from modeseek.sphere import check_directions, normalise


class MeanShift(ClusterMixin, BaseEstimator):
    r"""Mean-shift clustering with a Gaussian kernel: points climb to the modes of their density.

    One step moves a point to the weighted mean of its surroundings,

        m(x) = sum_i w_i g(|x - x_i| / h) x_i / sum_i w_i g(|x - x_i| / h),    g(r) = exp(-r^2 / 2),

    which ascends the density f(x) = sum_i w_i exp(-|x - x_i|^2 / 2h^2). Every point climbs until it rests at a
    mode; the points that reach the same mode are one cluster. Clusters may have any shape, and their number is
    not given but follows from the bandwidth.

    Parameters
    ----------
    bandwidth : float or "auto", optional
        Standard deviation h of the Gaussian, in the units of X. None and "auto" estimate it
        (`estimate_bandwidth`).
    fidelity : {"certified", "fast", "exact"}, default="certified"
        "certified": labels are proven, point by point, to be those of exact mean shift, in time linear in the number
        of points up to three columns; ``certificate_`` says how many are, and how. "fast": up to three columns,
        points are summed on a grid first and climb cell by cell; labels differ from exact ones only within a fraction
        of a bandwidth of a border between clusters. "exact": every point climbs on the points themselves in float64.
        Small inputs and inputs of more than three columns are always exact, but for tens of thousands of rows and more
        than 16 columns with "fast": there each point climbs on the points closest to it and on means of the others.
    metric : {"euclidean", "cosine"}, default="euclidean"
        "cosine": only directions count. Rows are divided by their lengths, means are put back on the sphere, and
        ``bandwidth`` is a length of chords |x - y| = sqrt(2 - 2 cos), so that weights are exp((cos - 1) / h^2). Where
        there are too many rows for climbs on all of them, each climbs on those closest to it and on means of the
        others: labels are then *undecided* in ``certificate_``, and `audit` says how good they are.
    merge : {"location", "persistence"}, default="location"
        Which modes are one cluster. "location": those that coincide. "persistence": also those that rise less than
        ``min_persistence`` above the saddle to a higher mode; up to three columns.
    min_persistence : float, default=0.1
        With ``merge="persistence"``: least log f(mode) - log f(saddle) of a mode that stays a cluster; 0.1 is a
        density a tenth higher than at the saddle.
    cluster_all : bool, default=True
        What becomes of clusters lighter than ``min_cluster_size``: True attaches each to the cluster that its mode
        climbs to along wider and wider kernels (h sqrt(2), 2h, ...); False labels their points noise, -1.
    min_cluster_size : float, default=1
        Least weight of a cluster: the sum of its sample weights; without weights, its number of points. 1 keeps
        every cluster, whatever it weighs. If no cluster is heavy enough, a warning says so, and all points are put
        into the heaviest (``cluster_all=True``) or are noise.
    blurring : bool, default=False
        Move the points themselves, all of them in every round, until no round moves one by more than ``tol``
        bandwidths or after ``max_iter`` rounds (`blur`); points that have come together are one cluster.
        ``cluster_centers_`` are where they have come to, ``n_iter_`` is the number of rounds, and ``fidelity`` does
        not matter. `predict` carries new points along: each round moves them by the points as they lay when it began.
    batch_size : int, optional
        With ``blurring``: rows move in place, so many at a time, and a batch sees those before it where they have
        just moved to, as in the fast.ai notebook. None: all at once.
    max_iter : int, default=300
        Most steps of one climb; a climb that has not reached a confirmed mode by then gets ten times as many
        more before a ConvergenceWarning is given. With ``blurring``: most rounds.
    tol : float, default=1e-3
        A climb rests when the way it still has to go is less than ``tol`` bandwidths. Modes are then polished, so
        their accuracy does not depend on it.
    n_jobs : int, optional
        Threads; None and -1 mean all cores. The result is the same to the bit for any number.
    verbose : bool, default=False
        Print the stages and their times to standard error.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,), int32
        Cluster of each point; clusters are numbered by decreasing weight, noise is -1.
    cluster_centers_ : ndarray of shape (n_clusters, n_features)
        Modes of the density; of a cluster that others were attached to, its own.
    cluster_weights_ : ndarray of shape (n_clusters,)
        Sum of the sample weights in each cluster; without weights, the number of points.
    bandwidth_ : float
        The bandwidth used.
    n_iter_ : int
        Number of steps of the longest climb.
    sketch_ : DensitySketch or None
        The sketch of the density, where one was made.
    certificate_ : Certificate or None
        How the label of each point is known to be that of exact mean shift (`modeseek.certificate`); None with
        ``fidelity="fast"``.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, if X had names.

    See Also
    --------
    mean_shift : The functional form.
    blur : Where blurring moves the points.
    estimate_bandwidth : What ``bandwidth="auto"`` does.
    sklearn.cluster.MeanShift : Flat kernel: its bandwidth is a radius, about twice h.

    References
    ----------
    K. Fukunaga and L. D. Hostetler, "The estimation of the gradient of a density function, with applications in
    pattern recognition", IEEE Trans. Inf. Theory 21 (1975). Y. Cheng, "Mean shift, mode seeking, and clustering",
    IEEE PAMI 17 (1995). D. Comaniciu and P. Meer, "Mean shift: a robust approach toward feature space analysis",
    IEEE PAMI 24 (2002).

    Examples
    --------
    >>> import modeseek as ms
    >>> centroids, X = ms.textbook.make_data()
    >>> model = ms.MeanShift(bandwidth=2.5).fit(X)
    >>> len(model.cluster_centers_)
    6
    >>> model.predict([[26.0, 27.0]]) == model.labels_[0]
    array([ True])
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "bandwidth": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"}), None],
        "fidelity": [StrOptions({"certified", "fast", "exact"})],
        "metric": [StrOptions({"euclidean", "cosine"})],
        "merge": [StrOptions({"location", "persistence"})],
        "min_persistence": [Interval(Real, 0, None, closed="left")],
        "cluster_all": ["boolean"],
        "min_cluster_size": [Interval(Real, 1, None, closed="left")],
        "blurring": ["boolean"],
        "batch_size": [Interval(Integral, 1, None, closed="left"), None],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, 0.1, closed="right")],
        "n_jobs": [Integral, None],
        "verbose": ["boolean"],
    }

    labels_: NDArray[np.int32]
    cluster_centers_: NDArray[Any]
    cluster_weights_: NDArray[np.float64]
    bandwidth_: float
    n_iter_: int
    sketch_: DensitySketch | None
    certificate_: Certificate | None
    n_features_in_: int

    def __init__(
        self,
        bandwidth: float | str | None = None,
        *,
        fidelity: str = "certified",
        metric: str = "euclidean",
        merge: str = "location",
        min_persistence: float = 0.1,
        cluster_all: bool = True,
        min_cluster_size: float = 1,
        blurring: bool = False,
        batch_size: int | None = None,
        max_iter: int = 300,
        tol: float = 1e-3,
        n_jobs: int | None = None,
        verbose: bool = False,
    ):
        self.bandwidth = bandwidth
        self.fidelity = fidelity
        self.metric = metric
        self.merge = merge
        self.min_persistence = min_persistence
        self.cluster_all = cluster_all
        self.min_cluster_size = min_cluster_size
        self.blurring = blurring
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.n_jobs = n_jobs
        self.verbose = verbose

    def fit(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Cluster X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Points; float32 and float64 are read as they are, without a copy.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), optional
            Weights, at least 0: a point of weight 2 counts as two.

        Returns
        -------
        MeanShift
            The fitted estimator.

        Raises
        ------
        ValueError
            If X is empty, not finite or not two-dimensional, or a parameter or weight is out of range.
        TypeError
            If X is sparse, or does not hold real numbers.
        """
        self._validate_params()
        if self.batch_size is not None and not self.blurring:
            raise ValueError(f"batch_size={self.batch_size} is of use with blurring=True only.")
        stages = _Stages(self.verbose)
        stages("check")
        points = self._points(X, reset=True)
        weights = data.as_weights(sample_weight, len(points))
        bounds = data.bounds(points, self.n_jobs)
        if self.metric == "cosine":
            bounds = self._directions(points)
        if self.bandwidth is None or self.bandwidth == "auto":
            stages("choose the bandwidth")
            self.bandwidth_ = estimate_bandwidth(
                normalise(points) if self.metric == "cosine" else points,
                sample_weight=weights if weights.size else None,
                n_jobs=self.n_jobs,
            )
        else:
            self.bandwidth_ = float(self.bandwidth)
        data.check_scale(bounds, self.bandwidth_)
        problem = Problem(
            points, weights, bounds, self.bandwidth_, self.tol, self.max_iter, self.n_jobs, stages, self.metric
        )
        found: Clustering | BlurredClusters
        if self.blurring:
            found = cluster_by_blurring(problem, self.batch_size)
            unsettled = f"points were still moved by the last round by more than tol={self.tol:g} bandwidths"
        else:
            found = cluster(problem, self.fidelity)
            unsettled = "of the climbs did not come to rest at a mode"
        if self.merge == "persistence":
            merge_by_persistence(problem, found, float(self.min_persistence))
        settle_orphans(problem, found, float(self.min_cluster_size), bool(self.cluster_all))
        stages("")
        if found.n_unsettled:
            warnings.warn(
                f"{found.n_unsettled} {unsettled}; their labels are guessed from where they stood. "
                f"Increase max_iter={self.max_iter}.",
                ConvergenceWarning,
                stacklevel=2,
            )
        self._clustering = found
        self.labels_ = found.labels
        self.cluster_centers_ = found.centers.astype(points.dtype)
        self.cluster_weights_ = found.cluster_weights
        self.n_iter_ = found.n_iter
        self.sketch_ = found.sketch
        self.certificate_ = found.certificate
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.int32]:
        """Label points by the mode that they climb to on the density of the fit.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Points, old or new; on the training data the result is ``labels_``.

        Returns
        -------
        ndarray of shape (n_samples,), int32
            Labels.
        """
        points = self._points(X, reset=False)
        data.bounds(points, self.n_jobs)
        if self.metric == "cosine":
            check_directions(points)
        return self._clustering.label(points, **self._climbing())

    def path(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the way of each point to its mode.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Where to start.

        Returns
        -------
        ndarray of shape (n_steps + 1, n_samples, n_features)
            Positions at every step, the first being X; points that rest stay where they are.
        """
        points = self._points(X, reset=False)
        data.bounds(points, self.n_jobs)
        if self.metric == "cosine":
            check_directions(points)
            points = normalise(points)
        if isinstance(self._clustering, BlurredClusters):
            return self._clustering.path(points, self.n_jobs)
        starts = np.asarray(points, np.float64)
        return climb.path(self._clustering.field, starts, tol=self.tol, max_iter=self.max_iter)

    def audit(
        self,
        X: ArrayLike,
        n_samples: int = 3000,
        *,
        confidence: float = 0.95,
        sample_weight: ArrayLike | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> Audit:
        """Check the labels of a random sample of points against exact mean shift.

        The points sampled climb by the definition, in float64 over all points, until they are proven to be home;
        no grid, table or certificate of the fit is used. ``modeseek.audit`` holds the details.

        Parameters
        ----------
        X : array-like of shape (n_points, n_features)
            The points of the fit, in the same order: the model does not keep them.
        n_samples : int, default=3000
            Points to check; all of them if there are fewer.
        confidence : float, default=0.95
            Confidence of the bounds.
        sample_weight : array-like of shape (n_points,), optional
            The weights of the fit.
        random_state : int, RandomState or None
            Decides which points are sampled.

        Returns
        -------
        Audit
            How many of the points disagree, which, and bounds for the share of all points that do; ``str()`` says
            it in words.

        Raises
        ------
        ValueError
            If X or ``sample_weight`` are not those of the fit, or a parameter is out of range.

        Examples
        --------
        >>> import modeseek as ms
        >>> _, X = ms.textbook.make_data()
        >>> model = ms.MeanShift(bandwidth=2.5).fit(X)
        >>> print(model.audit(X))
        0 of all 1 500 points disagree with exact mean shift
        """
        points = self._points(X, reset=False)
        found = self._clustering
        if len(points) != len(self.labels_):
            raise ValueError(
                f"X has {len(points)} rows, but the model was fitted to {len(self.labels_)}: "
                "pass the points of the fit."
            )
        weights = data.as_weights(sample_weight, len(points))
        total, fitted = float(weights.sum()) if weights.size else len(points), float(found.weights.sum())
        if abs(total - fitted) > 1e-6 * fitted:
            raise ValueError(
                f"The weights sum to {total:g}, but those of the fit to {fitted:g}: pass the sample_weight of the fit."
            )
        data.bounds(points, self.n_jobs)
        return audit(
            points,
            self.labels_,
            found.modes,
            self.bandwidth_,
            clusters=found.clusters,
            weights=weights,
            metric=self.metric,
            n_samples=n_samples,
            confidence=confidence,
            random_state=random_state,
            n_jobs=self.n_jobs,
        )

    def _directions(self, points: NDArray[Any]) -> NDArray[np.float64]:
        """Check that rows have directions, and that nothing is asked for that directions do not have."""
        for name, value in (("blurring", self.blurring), ("merge", self.merge == "persistence")):
            if value:
                raise ValueError(f'{name}={getattr(self, name)!r} needs metric="euclidean", got {self.metric!r}.')
        check_directions(points)
        return np.outer([-1.0, 1.0], np.ones(points.shape[1]))

    def _climbing(self) -> dict[str, Any]:
        return {"tol": self.tol, "max_iter": self.max_iter, "n_jobs": self.n_jobs}

    def _points(self, X: ArrayLike, reset: bool) -> NDArray[Any]:
        if not reset:
            check_is_fitted(self)
        # finiteness is checked together with the bounds, in one read instead of two
        return validate_data(self, X, reset=reset, dtype=[np.float64, np.float32], ensure_all_finite=False)


class _Stages:
    """Report stages to standard error with the time each took."""

    def __init__(self, enabled: bool):
        self.enabled, self.stage, self.start = enabled, "", time.perf_counter()

    def __call__(self, stage: str) -> None:
        now = time.perf_counter()
        if self.enabled and self.stage:
            print(f"[MeanShift] {self.stage}: {now - self.start:.3f} s", file=sys.stderr)
        self.stage, self.start = stage, now


def mean_shift(
    X: ArrayLike,
    *,
    bandwidth: float | str | None = None,
    fidelity: str = "certified",
    cluster_all: bool = True,
    min_cluster_size: float = 1,
    max_iter: int = 300,
    tol: float = 1e-3,
    n_jobs: int | None = None,
    sample_weight: ArrayLike | None = None,
) -> tuple[NDArray[Any], NDArray[np.int32]]:
    """Cluster X by mean shift: the functional form of `MeanShift`, which describes the parameters.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Points.
    bandwidth : float or "auto", optional
        Standard deviation of the Gaussian.
    fidelity : {"certified", "fast", "exact"}, default="certified"
        How labels are found.
    cluster_all : bool, default=True
        Whether clusters that are too light are attached to others, or noise (-1).
    min_cluster_size : float, default=1
        Least weight of a cluster.
    max_iter : int, default=300
        Most steps of one climb.
    tol : float, default=1e-3
        Tolerance of a climb in bandwidths.
    n_jobs : int, optional
        Threads.
    sample_weight : array-like of shape (n_samples,), optional
        Weights.

    Returns
    -------
    cluster_centers : ndarray of shape (n_clusters, n_features)
        Modes of the density, by decreasing weight of their clusters.
    labels : ndarray of shape (n_samples,), int32
        Cluster of each point, -1 for noise.

    Examples
    --------
    >>> import modeseek as ms
    >>> _, X = ms.textbook.make_data()
    >>> centers, labels = ms.mean_shift(X, bandwidth=2.5)
    >>> centers.shape, labels.shape
    ((6, 2), (1500,))
    """
    model = MeanShift(
        bandwidth,
        fidelity=fidelity,
        cluster_all=cluster_all,
        min_cluster_size=min_cluster_size,
        max_iter=max_iter,
        tol=tol,
        n_jobs=n_jobs,
    )
    model.fit(X, sample_weight=sample_weight)
    return model.cluster_centers_, model.labels_
