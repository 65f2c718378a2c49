"""`DBSCAN`, the estimator."""

from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight, validate_data

from modeseek import dbscan
from modeseek.engines import data, devices, namespaces
from modeseek.estimators.tensors import is_tensor, tensor_of


class DBSCAN(ClusterMixin, BaseEstimator):
    r"""Density-based clustering of applications with noise, exact, in memory proportional to the points.

    A point x is *core* if the points within eps of it, itself among them, weigh enough::

        sum_i w_i [|x - x_i| <= eps] >= min_samples.

    Core points within eps of each other are of one cluster, and so are all that are joined by a chain of such. A point
    that is not core belongs to a cluster with a core point within eps of it, or else is noise. Labels are those of
    scikit-learn's DBSCAN, number for number.

    Parameters
    ----------
    eps : float, default=0.5
        Largest distance of two neighbours, in the units of X.
    min_samples : int, default=5
        Least weight of the neighbourhood of a core point, which itself counts.
    metric : {"euclidean", "l2", "minkowski"}, default="euclidean"
        What distances are; all names mean the same.
    metric_params : dict, optional
        Only None or empty.
    algorithm : {"auto", "ball_tree", "kd_tree", "brute"}, default="auto"
        Without effect: the labels of all are the same.
    leaf_size : int, default=30
        Without effect.
    p : float, optional
        Only None or 2.
    n_jobs : int, optional
        Threads: None and -1 mean every core. Results are the same to the bit for any number. Without effect on a
        device.
    device : str or torch.device, default="auto"
        Where the work is done: "auto" is where X lies, so a tensor or array of a GPU stays there; "cuda", "cuda:1",
        "xpu" move X to that device first; "torch" is the code of a GPU where X lies, even on the CPU; "cpu" are the
        compiled kernels, to which data of a GPU are copied. Labels are the same on all.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,), int64
        Cluster of each point, -1 for noise. Clusters are numbered as their first core points come in X; a point near
        core points of several clusters has the first of these.
    core_sample_indices_ : ndarray of shape (n_core_samples,), int64
        Rows of the core points, in rising order.
    components_ : ndarray of shape (n_core_samples, n_features)
        The core points, a copy.
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, where X is a frame whose columns have names.

    See Also
    --------
    MeanShift : Clusters of the points that climb to one mode of a density, for the bandwidth in place of eps.

    Notes
    -----
    Two points are neighbours when the sum of the squares of the differences of their coordinates, in float64 and axis
    by axis, is at most eps^2: also for float32 input, and however far the points are from zero. scikit-learn computes
    the same up to 15 columns; in more it rounds otherwise, and points at a distance of just eps may be told apart
    otherwise.

    Weights may be zero (the point counts for nobody, and has a label) or negative (it keeps others from being core), as
    in scikit-learn. Their sums are rounded; whole numbers are exact.

    Up to three columns points are sorted into cells of side eps / sqrt(d) [2]_. In more, they are halved into compact
    blocks of 32, and blocks within reach are compared; that may be all of them where there are many columns. A device
    compares tiles of pairs there, of points sorted by slabs along the widest axes.

    Memory beyond X, at the peak: about 33 bytes a point in two columns of float64, of which 16 are ``components_``, 8
    each ``labels_`` and ``core_sample_indices_``. Neighbours are never listed. X is copied where it is not
    C-contiguous.

    References
    ----------
    .. [1] M. Ester, H.-P. Kriegel, J. Sander and X. Xu, "A density-based algorithm for discovering clusters in large
       spatial databases with noise", KDD (1996) 226-231.
    .. [2] Y. Wang, Y. Gu and J. Shun, "Theoretically-efficient and practical parallel DBSCAN", SIGMOD (2020)
       2555-2571.

    Examples
    --------
    >>> import modeseek as ms
    >>> X = [[1, 2], [2, 2], [2, 3], [8, 7], [8, 8], [25, 80]]
    >>> model = ms.DBSCAN(eps=3, min_samples=2).fit(X)
    >>> model.labels_
    array([ 0,  0,  0,  1,  1, -1])
    >>> model.core_sample_indices_
    array([0, 1, 2, 3, 4])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "eps": [Interval(Real, 0.0, None, closed="neither")],
        "min_samples": [Interval(Integral, 1, None, closed="left")],
        "metric": [StrOptions({"euclidean", "l2", "minkowski"})],
        "metric_params": [dict, None],
        "algorithm": [StrOptions({"auto", "ball_tree", "kd_tree", "brute"})],
        "leaf_size": [Interval(Integral, 1, None, closed="left")],
        "p": [Interval(Real, 0.0, None, closed="left"), None],
        "n_jobs": [Integral, None],
        "device": "no_validation",  # by `device_of`, which knows the devices of Torch
    }

    def __init__(
        self,
        eps: float = 0.5,
        *,
        min_samples: int = 5,
        metric: str = "euclidean",
        metric_params: dict[str, Any] | None = None,
        algorithm: str = "auto",
        leaf_size: int = 30,
        p: float | None = None,
        n_jobs: int | None = None,
        device: Any = "auto",
    ):
        self.eps = eps
        self.min_samples = min_samples
        self.metric = metric
        self.metric_params = metric_params
        self.algorithm = algorithm
        self.leaf_size = leaf_size
        self.p = p
        self.n_jobs = n_jobs
        self.device = device

    def fit(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Cluster X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Points; float32 and float64 are read as they are. Torch tensors and arrays of the array API standard give
            fitted attributes of their own kind, on their device.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), optional
            Weights, of any sign: a point of weight ``min_samples`` is core by itself.

        Returns
        -------
        DBSCAN
            The fitted estimator.

        Raises
        ------
        ValueError
            If X is empty, not finite or not two-dimensional, a parameter is out of range, a weight is not finite,
            squares of distances under- or overflow, or there is no such device.
        TypeError
            If X is sparse, or does not hold real numbers.
        MemoryError
            If the device has not enough memory.
        """
        self._validate_params()
        if self.p not in (None, 2) or self.metric_params:
            raise ValueError(
                f"p={self.p!r} and metric_params={self.metric_params!r} are not supported: distances are Euclidean."
            )
        namespaces.refuse_dask(X, "DBSCAN")
        home, device = namespaces.Home.of(X), devices.device_of(self.device, X)
        if device is not None:
            return self._fit_on(device, home, X, sample_weight)
        X = namespaces.as_numpy(X)
        # finiteness is checked together with the bounds, in one read instead of two
        points: NDArray[Any] = validate_data(self, X, dtype=namespaces.precision(X), ensure_all_finite=False)
        weights = np.empty(0)
        if sample_weight is not None:
            weights = _check_sample_weight(namespaces.as_numpy(sample_weight), points, dtype=np.float64)
        bounds = data.bounds(points, self.n_jobs)
        eps, least = float(self.eps), int(self.min_samples)
        labels, core = dbscan.cluster(points, bounds, eps, least, weights, self.n_jobs)
        rows = np.flatnonzero(core)
        self.labels_ = home.back(labels)
        self.core_sample_indices_ = home.back(rows)
        self.components_ = home.back(points[rows])
        return self

    def _fit_on(self, device: str, home: namespaces.Home, X: Any, sample_weight: Any) -> Self:
        """Cluster on a device of Torch."""
        from modeseek.dbscan import on_device
        from modeseek.engines import gpu

        points, weights = tensor_of(self, X, device, reset=True), sample_weight
        if weights is not None and not is_tensor(weights):
            weights = _check_sample_weight(namespaces.as_numpy(weights), np.empty((len(points), 0)), dtype=np.float64)
        bounds, eps, least = gpu.bounds(points), float(self.eps), int(self.min_samples)
        labels, core = on_device.cluster(points, bounds, eps, least, on_device.as_weights(weights, len(points), device))
        rows = core.nonzero().flatten()
        self.labels_ = home.back(labels)
        self.core_sample_indices_ = home.back(rows)
        self.components_ = home.back(points[rows])
        return self

    def fit_predict(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> NDArray[np.int64]:
        """Cluster X and return the labels.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Points.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), optional
            Weights, of any sign.

        Returns
        -------
        ndarray of shape (n_samples,), int64
            ``labels_``: a tensor or array of the kind of X, on its device.
        """
        return self.fit(X, sample_weight=sample_weight).labels_
