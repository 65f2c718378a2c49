"""`MeanShift`, the estimator, and `mean_shift`, its functional form."""

import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, ClassVar, Self, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data

from modeseek import climb
from modeseek.audit import Audit, audit
from modeseek.bandwidth import METHODS, estimate_bandwidth, estimate_on_device
from modeseek.blurring import BlurredClusters, cluster_by_blurring
from modeseek.certificate import Certificate
from modeseek.engines import data, namespaces
from modeseek.engines.devices import device_of, refuse_on
from modeseek.engines.weights import as_kernel
from modeseek.estimators import collections
from modeseek.estimators.devices import (
    cluster_on_device,
    density_on_device,
    label_on_device,
    refuse_own_bandwidths,
    rests_on_device,
    unknown_to_devices,
    weighted_sum_on_device,
)
from modeseek.estimators.drop_in import check_assign, find_seeds
from modeseek.estimators.streaming import Streaming, of_the_gaussian
from modeseek.estimators.tensors import tensor_of
from modeseek.forms import choose, warn_of_scales
from modeseek.kernels import GAUSSIAN, KERNELS
from modeseek.orphans import settle_orphans
from modeseek.persistence import merge_by_persistence
from modeseek.pipeline import cluster
from modeseek.result import Clustering, Problem
from modeseek.seeded import SeededClusters, cluster_from_seeds
from modeseek.sketch import DensitySketch
from modeseek.sphere import normalise
from modeseek.varying import RULES


class MeanShift(Streaming, ClusterMixin, BaseEstimator):
    r"""Mean-shift clustering: points climb to the modes of their density.

    One step moves a point to the weighted mean of its surroundings, ::

        m(x) = sum_i w_i g(|x - x_i| / h) x_i / sum_i w_i g(|x - x_i| / h),
        g(r) = exp(-r^2 / 2),

    which ascends the density ``f(x) = sum_i w_i exp(-|x - x_i|^2 / 2h^2)``. Every point climbs until it rests at a
    mode; the points that reach the same mode are one cluster. Clusters may have any shape, and their number is
    not given but follows from the bandwidth. Other weights g are a ``kernel`` away.

    Parameters
    ----------
    bandwidth : float, array or str, optional
        Standard deviation h of the Gaussian, in the units of X; with another kernel, the h of its distances. None and
        "auto" choose it from the clusters at every scale (`bandwidth_path`); "third", "quantile", "normal", "plugin",
        "silverman", "scott", "knn" and "self-coverage" by one of the rules of `estimate_bandwidth`. What is chosen is
        converted to the kernel at equal variance of the density; with ``assign="nearest"`` it is scikit-learn's rule
        ("quantile"), as it is. An array of shape (n_features,)
        holds one number per axis; one of shape (n_features, n_features) a symmetric positive-definite matrix H of
        *squared* bandwidths: distances are then ``r^2 = (x - y)^T H^-1 (x - y)``. One of shape (n_samples,) or
        (n_samples, 1) holds one number h_i per point. If n_samples equals n_features, a shape of (n_samples,) says
        neither and is refused. With one per point the density is ``sum_i w_i h_i^-d exp(-|x - x_i|^2 / 2 h_i^2)``, and
        every point climbs on the points. Two rules choose the h_i: "adaptive-knn" takes the distance to the k-th
        neighbour, k = sqrt(n_samples) rounded up, "abramson" the estimated bandwidth times (f(x_i) / G)^(-1/2), with f
        the density by that bandwidth, and G the geometric mean of the f(x_i).
    kernel : {"gaussian", "triangular", "epanechnikov", "biweight", "flat"} or callable, default="gaussian"
        The weight g(r) of a point at distance r, in bandwidths (`modeseek.kernels`). With compact kernels, all but the
        Gaussian, exactly the points within h count. A function g(r) of one distance is compiled into the sums; it must
        return a finite weight of at least 0 for every r >= 0, more than 0 for r = 0. It should not grow with r: a
        climb need not come to rest otherwise. For other kernels than the Gaussian nothing is proven: small inputs, and
        those of more than three columns, are exact; large ones are clustered as by ``fidelity="fast"``, and
        ``certificate_`` then reports every label as undecided.
    metric : {"euclidean", "cosine", "haversine"}, default="euclidean"
        "cosine": directions. Rows are divided by their lengths, the kernel is the Gaussian of the chord
        ``|x - y| = sqrt(2 - 2 cos)``, which is proportional to exp(cos / h^2) (von Mises and Fisher), means are put
        back on the unit sphere, and centres are unit vectors. ``bandwidth`` is a length of chords, 0 to 2. Where there
        are too many rows for climbs on all of them, each climbs on those closest to it and on means of the others:
        labels are then *undecided* in ``certificate_``, and `audit` says how good they are. "haversine": X holds
        latitude and longitude in radians, and so do the centres; distances are chords of the unit sphere,
        2 sin(angle / 2), and ``bandwidth`` is an angle in radians, at which the kernel is exp(-1 / 2).
    standardize : bool, default=False
        Give every column standard deviation 1 first: ``bandwidth`` is then in standard deviations of each column.
        Centres are in the units of X all the same.
    assign : {"basin", "nearest"}, default="basin"
        What a cluster is. "basin": the points that climb to one mode. "nearest", with ``kernel="flat"``: what
        scikit-learn's MeanShift finds, with the same centres in the same order (by falling number of points within the
        bandwidth), labels and ``n_iter_``: seeds climb, ends within a bandwidth of a heavier one are removed, points
        belong to the nearest centre.
    seeds : array-like of shape (n_seeds, n_features), optional
        With ``assign="nearest"``: where climbs start. None: from every point. A seed that has no point within the
        bandwidth leads nowhere; a warning counts them, and it is an error if none has any.
    bin_seeding : bool, default=False
        With ``assign="nearest"``: start from the points rounded to a grid (`get_bin_seeds`). Ignored if ``seeds`` are
        given.
    min_bin_freq : int, default=1
        With ``bin_seeding``: least number of points that round to a seed.
    fidelity : {"certified", "fast", "exact"}, default="certified"
        "certified": labels are proven, point by point, to be those of exact mean shift, in time linear in the number
        of points up to three columns; ``certificate_`` says how many are, and how. "fast": up to three columns,
        points are summed on a grid first and climb cell by cell; labels differ from exact ones only within a fraction
        of a bandwidth of a border between clusters. "exact": every point climbs on the points themselves in float64.
        Small inputs and inputs of more than three columns are always exact, but for tens of thousands of rows and more
        than 16 columns with "fast": there each point climbs on the points closest to it and on means of the others.
    merge : {"location", "persistence"}, default="location"
        Which modes are one cluster. "location": those that coincide. "persistence": also those that rise less than
        ``min_persistence`` above the saddle to a higher mode; up to three columns.
    min_persistence : float, default=0.1
        With ``merge="persistence"``: least log f(mode) - log f(saddle) of a mode that stays a cluster; 0.1 is a
        density a tenth higher than at the saddle.
    cluster_all : bool, default=True
        What becomes of clusters lighter than ``min_cluster_size``: True attaches each to the cluster that its mode
        climbs to along wider and wider kernels (h sqrt(2), 2h, ...); False labels their points noise, -1. With
        ``assign="nearest"``: False labels the points noise that are farther than the bandwidth from every centre.
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
    decay : float, optional
        With `partial_fit`: what all batches seen so far are multiplied by before each new one, above 0, at most 1, so
        that a batch weighs decay^t after t more; what weighs less than a thousandth of a new point is forgotten. None:
        nothing is.
    window : int, optional
        With `partial_fit`: only so many of the last batches count, as if there had been no others. None: all do.
    max_iter : int, default=300
        Most steps of one climb; a climb that has not reached a confirmed mode by then gets ten times as many
        more before a ConvergenceWarning is given. With ``blurring``: most rounds. With ``assign="nearest"``: no more;
        0 is one step.
    tol : float, default=1e-3
        A climb rests when the way it still has to go is less than ``tol`` bandwidths. Modes are then polished, so
        their accuracy does not depend on it.
    n_jobs : int, optional
        Threads; None and -1 mean all cores. The result is the same to the bit for any number.
    device : str or torch.device, default="auto"
        Where to work. "auto": where X lies. "cpu": on the CPU, whereto data of a GPU are copied. "cuda", "cuda:1" and
        the like: on that device, whereto data are copied if they are elsewhere. "torch": by the code of a GPU where X
        lies, even on the CPU. What is fitted to points of a GPU is of their kind, and lies there. Labels are those of
        the CPU. To the CPU go what is small, the grid of masses or the modes, and up to three columns the points that
        no cell of the grid settles: few, unless clusters hardly stand apart. A device knows ``metric="euclidean"``,
        ``assign="basin"``, built-in kernels, and every form of ``bandwidth`` but one for each point.
    verbose : bool, default=False
        Print the stages and their times to standard error.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,), int32
        Cluster of each point; clusters are numbered by decreasing weight (as scikit-learn does with
        ``assign="nearest"``), noise is -1.
    cluster_centers_ : ndarray of shape (n_clusters, n_features)
        Modes of the density; of a cluster that others were attached to, its own.
    cluster_weights_ : ndarray of shape (n_clusters,)
        Sum of the sample weights in each cluster; without weights, the number of points.
    bandwidth_ : float or ndarray
        The bandwidth used, in the form given; with "knn" and "abramson" one number per point.
    n_iter_ : int
        Number of steps of the longest climb.
    sketch_ : DensitySketch or None
        The sketch of the density, where one was made: with a bandwidth per axis or a matrix, of whitened points; after
        `partial_fit` of all points seen so far.
    certificate_ : Certificate or None
        How the label of each point is known to be that of exact mean shift (`modeseek.certificate`); None with
        ``fidelity="fast"``.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, if X had names.

    See Also
    --------
    mean_shift : The functional form.
    blur : Where blurring moves the points.
    estimate_bandwidth : What ``bandwidth="auto"`` does.
    sklearn.cluster.MeanShift : Flat kernel: its bandwidth is a radius, about twice h. The same, faster, is
        ``MeanShift(kernel="flat", assign="nearest")``.

    References
    ----------
    K. Fukunaga and L. D. Hostetler, "The estimation of the gradient of a density function, with applications in
    pattern recognition", IEEE Trans. Inf. Theory 21 (1975). Y. Cheng, "Mean shift, mode seeking, and clustering",
    IEEE PAMI 17 (1995). D. Comaniciu and P. Meer, "Mean shift: a robust approach toward feature space analysis",
    IEEE PAMI 24 (2002). D. Comaniciu, V. Ramesh and P. Meer, "The variable bandwidth mean shift and data-driven scale
    selection", ICCV 2001. T. Kobayashi and N. Otsu, "Von Mises-Fisher mean shift for clustering on a hypersphere",
    ICPR 2010.

    Examples
    --------
    >>> import modeseek as ms
    >>> centroids, X = ms.textbook.make_data()
    >>> model = ms.MeanShift(bandwidth=2.5).fit(X)
    >>> len(model.cluster_centers_)
    6
    >>> model.predict([[26.0, 27.0]]) == model.labels_[0]
    array([ True])
    >>> ms.MeanShift(bandwidth=[2.5, 2.5]).fit(X).cluster_centers_.shape
    (6, 2)

    What scikit-learn finds:

    >>> model = ms.MeanShift(bandwidth=5.0, kernel="flat", assign="nearest").fit(X)
    >>> model.cluster_centers_.shape, int((model.predict(X) == model.labels_).sum())
    ((6, 2), 1500)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "kernel": [StrOptions(set(KERNELS)), callable],
        "bandwidth": [
            Interval(Real, 0, None, closed="neither"),
            StrOptions({*METHODS, *RULES}),
            "array-like",
            None,
        ],
        "standardize": ["boolean"],
        "metric": [StrOptions({"euclidean", "cosine", "haversine"})],
        "assign": [StrOptions({"basin", "nearest"})],
        "seeds": ["array-like", None],
        "bin_seeding": ["boolean"],
        "min_bin_freq": [Interval(Integral, 1, None, closed="left")],
        "fidelity": [StrOptions({"certified", "fast", "exact"})],
        "merge": [StrOptions({"location", "persistence"})],
        "min_persistence": [Interval(Real, 0, None, closed="left")],
        "cluster_all": ["boolean"],
        "min_cluster_size": [Interval(Real, 1, None, closed="left")],
        "blurring": ["boolean"],
        "batch_size": [Interval(Integral, 1, None, closed="left"), None],
        "decay": [Interval(Real, 0, 1, closed="right"), None],
        "window": [Interval(Integral, 1, None, closed="left"), None],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "tol": [Interval(Real, 0, 0.1, closed="right")],
        "n_jobs": [Integral, None],
        "device": "no_validation",
        "verbose": ["boolean"],
    }

    labels_: NDArray[np.int32]
    cluster_centers_: NDArray[Any]
    cluster_weights_: NDArray[np.float64]
    bandwidth_: float | NDArray[np.float64]
    n_iter_: int
    sketch_: DensitySketch | None
    certificate_: Certificate | None
    n_features_in_: int

    def __init__(
        self,
        bandwidth: float | str | ArrayLike | None = None,
        *,
        kernel: str | Callable[[float], Any] = "gaussian",
        metric: str = "euclidean",
        standardize: bool = False,
        assign: str = "basin",
        seeds: ArrayLike | None = None,
        bin_seeding: bool = False,
        min_bin_freq: int = 1,
        fidelity: str = "certified",
        merge: str = "location",
        min_persistence: float = 0.1,
        cluster_all: bool = True,
        min_cluster_size: float = 1,
        blurring: bool = False,
        batch_size: int | None = None,
        decay: float | None = None,
        window: int | None = None,
        max_iter: int = 300,
        tol: float = 1e-3,
        n_jobs: int | None = None,
        device: Any = "auto",
        verbose: bool = False,
    ):
        self.bandwidth = bandwidth
        self.kernel = kernel
        self.metric = metric
        self.standardize = standardize
        self.assign = assign
        self.seeds = seeds
        self.bin_seeding = bin_seeding
        self.min_bin_freq = min_bin_freq
        self.fidelity = fidelity
        self.merge = merge
        self.min_persistence = min_persistence
        self.cluster_all = cluster_all
        self.min_cluster_size = min_cluster_size
        self.blurring = blurring
        self.batch_size = batch_size
        self.decay = decay
        self.window = window
        self.max_iter = max_iter
        self.tol = tol
        self.n_jobs = n_jobs
        self.device = device
        self.verbose = verbose

    def fit(self, X: ArrayLike | DensitySketch, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Cluster X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or DensitySketch
            Points; float32 and float64 are read as they are, without a copy. Torch tensors and arrays of the array API
            standard give fitted attributes of their own kind, on their device. Dask arrays and frames are clustered
            where they are; ``labels_`` is then a Dask array of which nothing is computed yet. Of a sketch, made
            elsewhere, the modes are found as by `partial_fit`; ``labels_`` is empty then, `predict` labels any point.
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
        check_assign(self)
        kernel = as_kernel(self.kernel)
        if self.blurring:
            self._only_gaussian("blurring=True")
        stages = _Stages(self.verbose)
        stages("check")
        if isinstance(X, DensitySketch):
            return self._fit_sketch(X, sample_weight)
        for name in ("decay", "window"):
            if getattr(self, name) is not None:
                raise ValueError(f"{name}={getattr(self, name)!r} forgets batches of partial_fit; fit sees all points.")
        if namespaces.is_dask(X):
            return self._fit_collection(X, sample_weight, stages)
        device = device_of(self.device, X)
        refuse_on(device, *unknown_to_devices(self))
        points, weights, bounds = self._read(X, sample_weight, device)
        refuse_own_bandwidths(self, points, device)
        stages("choose the bandwidth")

        def estimate(inside: Any) -> float:
            rule = self.bandwidth if isinstance(self.bandwidth, str) and self.bandwidth in METHODS else "auto"
            rule = "quantile" if self.assign == "nearest" else rule
            if self.metric == "euclidean" and not self.standardize:
                warn_of_scales(points, weights)
            if device is None:
                of_all = weights if weights.size else None
                found = estimate_bandwidth(inside, method=rule, sample_weight=of_all, n_jobs=self.n_jobs)
            else:
                found = estimate_on_device(inside, weights, rule, n_jobs=self.n_jobs)
            if self.assign == "nearest":
                return found
            of_gaussian = as_kernel("flat").of_gaussian(inside.shape[1]) if rule == "quantile" else 1.0
            return found / of_gaussian * kernel.of_gaussian(inside.shape[1])

        form, inside, bounds = choose(
            self.bandwidth, self.metric, points, weights, bounds, estimate, self.n_jobs, standardize=self.standardize
        )
        form.refuse(
            *["blurring=True"] * bool(self.blurring),
            *['merge="persistence"'] * (self.merge == "persistence"),
            *[f"kernel={self.kernel!r}"] * (kernel is not GAUSSIAN),
        )
        self.bandwidth_ = form.shown
        options: dict[str, Any] = {"report": stages, "kernel": kernel, **self._climbing()}
        found: Any
        if device is None:
            found = self._cluster(form.problem(inside, weights, bounds, **options), points, weights)
        else:
            found = cluster_on_device(self, inside, weights, bounds, form.bandwidth, options)
        stages("")
        if found.n_unsettled:
            self._warn(found.n_unsettled)
        self._stream, self._form = None, form
        self._publish(found, found.labels, data.numpy_dtype(points), namespaces.Home.of(X))
        self.sketch_ = found.sketch
        return self

    def _fit_collection(self, X: Any, sample_weight: Any, stages: "_Stages") -> Self:
        """Cluster a collection of Dask, where it is unless it is small."""
        from modeseek.distributed import routes

        parts = collections.read(self, X, sample_weight)
        if parts.nbytes <= routes.GATHERED:
            collections.fit_gathered(self, parts)
            return self
        routes.refuse(collections.refused_by_mean_shift(self, parts), parts.nbytes, parts.n)
        found, form, labels = collections.cluster_parts(self, parts, {"report": stages, **self._climbing()})
        stages("")
        if found.n_unsettled:
            self._warn(found.n_unsettled)
        self._stream, self._form, self.bandwidth_ = None, form, form.shown
        self._publish(found, labels, parts.dtype, namespaces.Home())
        self.sketch_ = found.sketch
        return self

    def _cluster(
        self, problem: Problem, points: NDArray[Any], weights: NDArray[Any]
    ) -> Clustering | BlurredClusters | SeededClusters:
        """Cluster by the route that the parameters ask for, and put modes into clusters."""
        found: Clustering | BlurredClusters | SeededClusters
        if self.assign == "nearest":
            found = cluster_from_seeds(problem, find_seeds(self, points, weights), bool(self.cluster_all))
        elif self.blurring:
            found = cluster_by_blurring(problem, self.batch_size)
        else:
            found = cluster(problem, self.fidelity)
        if self.merge == "persistence":
            merge_by_persistence(problem, found, float(self.min_persistence))
        settle_orphans(problem, found, float(self.min_cluster_size), bool(self.cluster_all))
        return found

    def _warn(self, n_unsettled: int) -> None:
        """Say how many climbs, seeds or points were cut short."""
        if self.assign == "nearest":
            what = f"seeds were still moved by the last step by more than tol={self.tol:g} bandwidths"
        elif self.blurring:
            what = f"points were still moved by the last round by more than tol={self.tol:g} bandwidths"
        else:
            what = "of the climbs did not come to rest at a mode"
        warnings.warn(
            f"{n_unsettled} {what}; their labels are guessed from where they stood. Increase max_iter={self.max_iter}.",
            ConvergenceWarning,
            stacklevel=3,
        )

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
        if namespaces.is_dask(X):
            return collections.ask(self, "predict", X)
        device = device_of(self.device, X)
        inside = self._inside(self._points(X, reset=False, device=device))
        return namespaces.Home.of(X).back(self._label(inside, device))

    @available_if(of_the_gaussian)
    def score_samples(self, X: ArrayLike) -> NDArray[np.float64]:
        r"""Return the log density of the fit at points.

        ::

            log f(x) = log sum_i w_i exp(-|x - x_i|^2 / 2h^2) - log sum_i w_i - (d / 2) log(2 pi h^2)

        It is finite however far from all points x is (up to distances whose squares overflow). Where every point
        climbed on the points themselves it is right to 1e-8. Where they were summed on a grid it is that of the
        sketch, and x's distance r from the nearest point counts. With ``fidelity="certified"``: within 1e-5 where
        points are, 1e-3 up to r = 4h, 1e-2 up to r = 8h, and 1 % of log f itself further out. With "fast", and after
        `partial_fit`: within 1e-3 where points are, 0.05 up to r = 4h, and further out 2 % of log f itself (7 % in
        three columns, where the grid is coarsest).
        With a bandwidth for each point the density is the mean of Gaussians of these bandwidths; with
        ``metric="cosine"`` and "haversine" it is one by area on the unit sphere, of von Mises-Fisher distributions of
        concentration 1 / h^2. With ``blurring`` the density is that of the data as they were before the first round.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Points, old or new.

        Returns
        -------
        ndarray of shape (n_samples,), float64
            Natural logarithm of the density at each point.

        See Also
        --------
        sklearn.neighbors.KernelDensity : The same density, summed over a tree of the points.

        Examples
        --------
        >>> import modeseek as ms
        >>> model = ms.MeanShift(bandwidth=1.0).fit([[0.0], [0.0], [8.0]])
        >>> model.score_samples([[0.0], [8.0], [20.0]]).round(4)
        array([ -1.3244,  -2.0176, -74.0176])
        """
        if namespaces.is_dask(X):
            return collections.ask(self, "score_samples", X, kind=np.float64)
        return namespaces.Home.of(X).back(self._log_density(X))

    @available_if(of_the_gaussian)
    def score(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> float:
        """Return the log-likelihood of points: the (weighted) sum of `score_samples`.

        On held-out points it is greatest at the bandwidth that describes them best: what GridSearchCV looks for.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Points.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), optional
            Weights of the sum, at least 0.

        Returns
        -------
        float
            Sum of the log densities.
        """
        logs = self._log_density(X)
        if not isinstance(logs, np.ndarray):
            return weighted_sum_on_device(logs, sample_weight)
        weights = data.as_weights(namespaces.as_numpy(sample_weight), len(logs))
        return float(logs @ weights if weights.size else logs.sum())

    def path(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the way of each point to its mode.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Where to start. A few points: those of a GPU are copied to the CPU.

        Returns
        -------
        ndarray of shape (n_steps + 1, n_samples, n_features)
            Positions at every step, the first being X; points that rest stay where they are.
        """
        points = self._inside(self._points(X, reset=False))
        if rests_on_device(self._clustering):
            steps = cast(Any, self._clustering).path(np.asarray(points, np.float64), self.tol, self.max_iter)
        elif isinstance(self._clustering, BlurredClusters):
            steps = self._clustering.path(points, self.n_jobs)
        elif isinstance(self._clustering, SeededClusters):
            steps = self._clustering.path(np.asarray(points, np.float64), self.tol, self.max_iter)
        else:
            starts = normalise(points) if self._form.geometry.metric == "sphere" else np.asarray(points, np.float64)
            steps = climb.path(self._clustering.field, starts, tol=self.tol, max_iter=self.max_iter)
        return namespaces.Home.of(X).back(self._form.geometry.back(steps))

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
        no grid, table or certificate of the fit is used. With another kernel than the Gaussian they climb until they
        rest. ``modeseek.audit`` holds the details.

        Parameters
        ----------
        X : array-like of shape (n_points, n_features)
            The points of the fit, in the same order: the model does not keep them. Points of a GPU are copied to the
            CPU once, where the audit works.
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
            If X or ``sample_weight`` are not those of the fit, a parameter is out of range, or the fit is one with a
            bandwidth per point or ``assign="nearest"``.

        Examples
        --------
        >>> import modeseek as ms
        >>> _, X = ms.textbook.make_data()
        >>> model = ms.MeanShift(bandwidth=2.5).fit(X)
        >>> print(model.audit(X))
        0 of all 1 500 points disagree with exact mean shift
        """
        points = self._points(X, reset=False)
        if self.assign == "nearest":
            raise ValueError('audit checks which mode points climb to, and this model has assign="nearest".')
        found, labels = self._clustering, namespaces.as_numpy(self.labels_)
        if len(points) != len(labels):
            raise ValueError(
                f"X has {len(points)} rows, but the model was fitted to {len(labels)}: pass the points of the fit."
            )
        weights = data.as_weights(namespaces.as_numpy(sample_weight), len(points))
        total, fitted = float(weights.sum()) if weights.size else len(points), float(found.weights.sum())
        if abs(total - fitted) > 1e-6 * fitted:
            raise ValueError(
                f"The weights sum to {total:g}, but those of the fit to {fitted:g}: pass the sample_weight of the fit."
            )
        if self._form.own.size:
            raise ValueError(
                "audit needs one bandwidth (or one per axis, or a matrix), and this model has one bandwidth per point."
            )
        checked = audit(
            self._inside(points),
            labels,
            found.modes,
            self._form.bandwidth,
            clusters=found.clusters,
            weights=weights,
            metric="euclidean" if self._form.geometry.metric == "euclidean" else "cosine",
            kernel=self.kernel,
            n_samples=n_samples,
            confidence=confidence,
            random_state=random_state,
            n_jobs=self.n_jobs,
        )
        return replace(checked, ends=self._form.geometry.back(checked.ends))

    def _read(self, X: ArrayLike, sample_weight: Any, device: str | None) -> tuple[Any, Any, NDArray[np.float64]]:
        """Return points, weights and bounds: in NumPy, or as tensors on a device (weights: or None) and bounds."""
        points = self._points(X, reset=True, device=device)
        if device is None:
            weights = data.as_weights(namespaces.as_numpy(sample_weight), len(points))
            return points, weights, data.bounds(points, self.n_jobs)
        from modeseek.engines import gpu

        return points, gpu.as_tensor_weights(sample_weight, len(points), device), gpu.bounds(points)

    def _inside(self, points: Any) -> Any:
        """Return points, in NumPy or on a device, in the coordinates of the fit."""
        if isinstance(points, np.ndarray):
            data.bounds(points, self.n_jobs)
        else:
            from modeseek.engines import gpu

            gpu.bounds(points)
        return self._form.geometry.into(points, self.n_jobs)

    def _climbing(self) -> dict[str, Any]:
        return {"tol": self.tol, "max_iter": self.max_iter, "n_jobs": self.n_jobs}

    def _log_density(self, X: ArrayLike) -> Any:
        """Return the log density at points, in the units of X: a tensor, where a device works."""
        device = device_of(self.device, X)
        inside = self._inside(self._points(X, reset=False, device=device))
        if device is None:
            logs = self._clustering.log_density(inside, self.n_jobs)
        else:
            logs = density_on_device(self._clustering, inside, self.n_jobs)
        return logs + self._form.geometry.log_scale()

    def _label(self, inside: Any, device: str | None) -> Any:
        """Label points in the coordinates of the fit: a tensor, where they are one."""
        if device is None:
            return self._clustering.label(inside, **self._climbing())
        return label_on_device(self._clustering, inside, self._climbing())

    def _points(self, X: ArrayLike, reset: bool, device: str | None = None) -> Any:
        if not reset:
            check_is_fitted(self)
        if device is not None:
            return tensor_of(self, X, device, reset)
        namespaces.refuse_dask(X, "This method")
        # finiteness is checked together with the bounds, in one read instead of two
        X = namespaces.as_numpy(X)
        return validate_data(self, X, reset=reset, dtype=namespaces.precision(X), ensure_all_finite=False)


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
    bandwidth: float | str | ArrayLike | None = None,
    kernel: str | Callable[[float], Any] = "gaussian",
    metric: str = "euclidean",
    assign: str = "basin",
    seeds: ArrayLike | None = None,
    bin_seeding: bool = False,
    min_bin_freq: int = 1,
    fidelity: str = "certified",
    cluster_all: bool = True,
    min_cluster_size: float = 1,
    max_iter: int = 300,
    tol: float = 1e-3,
    n_jobs: int | None = None,
    device: Any = "auto",
    sample_weight: ArrayLike | None = None,
) -> tuple[NDArray[Any], NDArray[np.int32]]:
    """Cluster X by mean shift: the functional form of `MeanShift`, which describes the parameters.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Points.
    bandwidth : float, array or str, optional
        Standard deviation of the Gaussian, or a rule, in one of the forms of `MeanShift`; with another kernel, the h of
        its distances.
    kernel : str or callable, default="gaussian"
        The weight g(r) of a point.
    metric : {"euclidean", "cosine", "haversine"}, default="euclidean"
        What distances are.
    assign : {"basin", "nearest"}, default="basin"
        "nearest" gives what scikit-learn's ``mean_shift`` does.
    seeds : array-like of shape (n_seeds, n_features), optional
        With ``assign="nearest"``: where climbs start.
    bin_seeding : bool, default=False
        With ``assign="nearest"``: start from the points rounded to a grid.
    min_bin_freq : int, default=1
        With ``bin_seeding``: least number of points that round to a seed.
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
    device : str or torch.device, default="auto"
        Where to work; "auto" is where X lies.
    sample_weight : array-like of shape (n_samples,), optional
        Weights.

    Returns
    -------
    cluster_centers : ndarray of shape (n_clusters, n_features)
        Modes of the density, by decreasing weight of their clusters; with ``assign="nearest"`` in scikit-learn's order.
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
        kernel=kernel,
        metric=metric,
        assign=assign,
        seeds=seeds,
        bin_seeding=bin_seeding,
        min_bin_freq=min_bin_freq,
        fidelity=fidelity,
        cluster_all=cluster_all,
        min_cluster_size=min_cluster_size,
        max_iter=max_iter,
        tol=tol,
        n_jobs=n_jobs,
        device=device,
    )
    model.fit(X, sample_weight=sample_weight)
    return model.cluster_centers_, model.labels_
