"""`partial_fit`: batches are summed into a sketch, and clustered when an attribute is asked for."""

import warnings
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.metaestimators import available_if

from modeseek.blurring import BlurredClusters
from modeseek.engines import data, namespaces
from modeseek.engines.devices import device_of
from modeseek.engines.packed import opened, pack
from modeseek.engines.weights import as_kernel
from modeseek.estimators.devices import add_on_device, label_on_device
from modeseek.forms import PLAIN
from modeseek.kernels import GAUSSIAN
from modeseek.orphans import settle_orphans
from modeseek.persistence import merge_by_persistence
from modeseek.result import Clustering
from modeseek.seeded import SeededClusters
from modeseek.sketch import DensitySketch
from modeseek.streams import Stream, cluster_sketch
from modeseek.varying import is_several

LAZY = ("labels_", "cluster_centers_", "cluster_weights_", "n_iter_", "certificate_", "_clustering")


def of_the_gaussian(model: Any) -> bool:
    """Tell whether a model has methods that are of the Gaussian kernel only; raise AttributeError where it has not."""
    if not (isinstance(model.kernel, str) and model.kernel == "gaussian"):
        raise AttributeError(f"This is for the Gaussian kernel only, and the model has kernel={model.kernel!r}.")
    return True


def can_stream(model: Any) -> bool:
    """Tell whether a model can follow a stream; raise AttributeError where it cannot, and say why."""
    of_the_gaussian(model)
    if model.metric != "euclidean":
        raise AttributeError(f'partial_fit is for metric="euclidean" only, and the model has metric={model.metric!r}.')
    if model.standardize:
        raise AttributeError("partial_fit cannot standardise columns it has not seen all of: use standardize=False.")
    if is_several(model.bandwidth):
        raise AttributeError(
            f"partial_fit takes one number as bandwidth, or None, and the model has bandwidth={model.bandwidth!r}."
        )
    return True


class Streaming:
    """The part of an estimator that follows a stream; mixed into `MeanShift`."""

    if TYPE_CHECKING:
        bandwidth: Any
        kernel: Any
        bandwidth_: float | NDArray[np.float64]
        metric: str
        standardize: bool
        merge: str
        min_persistence: float
        cluster_all: bool
        min_cluster_size: float
        blurring: bool
        decay: float | None
        window: int | None
        n_jobs: int | None
        device: Any
        sketch_: DensitySketch | None
        _clustering: Clustering | BlurredClusters | SeededClusters
        _validate_params: Any
        _points: Any
        _climbing: Any
    else:

        def __getattr__(self, name: str) -> Any:
            if name in LAZY and self.__dict__.get("_stream") is not None:
                self._catch_up()
                return self.__dict__[name]
            if hasattr(type(self), name):
                return object.__getattribute__(self, name)  # raises again, and says why
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    _stream: Stream | None = None
    _form = PLAIN
    _home = namespaces.Home()

    @available_if(can_stream)
    def partial_fit(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Add a batch of points to those seen so far.

        Batches are summed into ``sketch_``, whose size does not grow with their number: memory is bounded by how many
        bandwidths the data span. Modes are found, and the last batch is labelled, when an attribute that tells of them
        is next read, so many small batches cost little. ``cluster_centers_`` and ``cluster_weights_`` are then those
        of all points seen so far (weights to the resolution of the sketch, a third of a bandwidth or less),
        ``labels_`` those of the last batch, and `predict` labels any point. Labels are those of
        ``fidelity="fast"`` and carry no certificate. However the same points are cut into batches, and in whatever
        order they come, clusters are the same to the bit.

        Old batches are forgotten with ``decay``, which multiplies what was seen before each new batch, or with
        ``window``, which keeps so many batches; either may be changed from batch to batch.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Points, of up to three columns.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), optional
            Weights: 0, or at least 1e-6; all of them may sum up to 4e9.

        Returns
        -------
        MeanShift
            The estimator.

        Raises
        ------
        ValueError
            If ``bandwidth`` is no number or was changed, there are more than three columns, ``blurring`` is set,
            ``decay`` and ``window`` are given both, or the batches span too many bandwidths. A batch that is refused
            changes nothing.

        Warns
        -----
        UserWarning
            If the model was fitted to points by `fit`, which does not keep them: the stream begins anew.

        See Also
        --------
        DensitySketch : To sum on many machines, merge, and cluster the whole by ``fit(sketch)``.

        Examples
        --------
        >>> import numpy as np
        >>> import modeseek as ms
        >>> _, X = ms.textbook.make_data()
        >>> model = ms.MeanShift(bandwidth=2.5)
        >>> for batch in np.array_split(X, 10):
        ...     model = model.partial_fit(batch)
        >>> model.cluster_centers_.shape, model.labels_.shape
        ((6, 2), (150,))
        """
        self._validate_params()
        self._check_stream()
        stream = self._stream
        device = device_of(self.device, X)
        points = self._points(X, reset=stream is None, device=device)
        if stream is None:
            stream = Stream.begin(self.bandwidth, points.shape[1], data.numpy_dtype(points))
        if device is None:
            weights = data.as_weights(namespaces.as_numpy(sample_weight), len(points))
            bounds = data.bounds(points, self.n_jobs)
            data.check_scale(bounds, stream.sketch.bandwidth)
            stream.add(points, weights, bounds, self.n_jobs, decay=self.decay, window=self.window)
        else:
            add_on_device(stream, points, sample_weight, decay=self.decay, window=self.window)
        for name in LAZY:
            self.__dict__.pop(name, None)
        self._stream, self._form, self._home = stream, PLAIN, namespaces.Home.of(X)
        self.bandwidth_, self.sketch_ = stream.sketch.bandwidth, stream.sketch
        return self

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()  # type: ignore[assignment]
        state = state.copy()
        if isinstance(state.get("labels_"), np.ndarray):
            state["labels_"] = pack(state["labels_"])
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(opened(state))  # type: ignore[misc]

    def __sklearn_is_fitted__(self) -> bool:
        """Tell whether there are clusters, or points to find some in: not so after a first batch that was refused."""
        return self._stream is not None or "_clustering" in self.__dict__

    def _only_gaussian(self, what: str) -> None:
        """Refuse other kernels than the Gaussian."""
        if as_kernel(self.kernel) is not GAUSSIAN:
            raise ValueError(f"{what} is for the Gaussian kernel only, got kernel={self.kernel!r}.")

    def _check_stream(self) -> None:
        """Refuse what cannot be followed, or went before."""
        if self.decay is not None and self.window is not None:
            raise ValueError(
                f"decay={self.decay!r} and window={self.window!r} are two ways to forget old batches: give one of them."
            )
        if self.blurring:
            raise ValueError("partial_fit cannot blur: points that move have to be kept. Use fit, or blurring=False.")
        if self._stream is None:
            if "sketch_" in self.__dict__:
                warnings.warn(
                    "This model was fitted to points, which it does not keep: partial_fit cannot add to them, and "
                    "begins anew. Use partial_fit for all batches.",
                    UserWarning,
                    stacklevel=3,
                )
        elif self.bandwidth is not None and self.bandwidth != self.bandwidth_:
            raise ValueError(
                f"bandwidth={self.bandwidth!r}, but what was seen so far is summed for {self.bandwidth_:g}: "
                "partial_fit cannot change it. Begin with a new model (sklearn.base.clone)."
            )

    def _fit_sketch(self, sketch: DensitySketch, sample_weight: object) -> Self:
        """Cluster a sketch made elsewhere."""
        self._only_gaussian("A DensitySketch")
        if self.metric != "euclidean":
            raise ValueError(f'A DensitySketch is for metric="euclidean" only, got metric={self.metric!r}.')
        if self.standardize:
            raise ValueError("A DensitySketch cannot be standardised any more: use standardize=False.")
        if is_several(self.bandwidth):
            raise ValueError(f"A DensitySketch has one number as bandwidth, got {self.bandwidth!r}: leave it out.")
        if sample_weight is not None:
            raise ValueError("sample_weight is of no use with a DensitySketch: its masses are weights already.")
        if self.blurring:
            raise ValueError("A DensitySketch cannot be blurred: the points are needed. Use blurring=False.")
        if self.bandwidth not in (None, "auto") and self.bandwidth != sketch.bandwidth:
            raise ValueError(
                f"bandwidth={self.bandwidth!r}, but the sketch was made for {sketch.bandwidth:g}: leave it out, or "
                "sketch anew."
            )
        self._stream, self._form, self._home = Stream.resume(sketch), PLAIN, namespaces.Home()
        self.n_features_in_ = sketch.n_features_in_
        self.__dict__.pop("feature_names_in_", None)
        self.bandwidth_, self.sketch_ = sketch.bandwidth, self._stream.sketch
        self._catch_up()
        return self

    def _catch_up(self) -> None:
        """Cluster what was seen so far, and label the last batch."""
        stream = self._stream
        assert stream is not None
        climbing = self._climbing()
        problem = stream.problem(**climbing)
        found = cluster_sketch(problem)
        if self.merge == "persistence":
            merge_by_persistence(problem, found, float(self.min_persistence))
        settle_orphans(problem, found, float(self.min_cluster_size), bool(self.cluster_all))
        if found.n_unsettled:
            warnings.warn(
                f"{found.n_unsettled} of the climbs did not come to rest at a mode; their labels are guessed from "
                "where they stood. Increase max_iter.",
                ConvergenceWarning,
                stacklevel=3,
            )
        labels: Any = np.empty(0, np.int32)
        if len(stream.batch):
            on_cpu = isinstance(stream.batch, np.ndarray)
            labels = found.label(stream.batch, **climbing) if on_cpu else label_on_device(found, stream.batch, climbing)
        self._publish(found, labels, stream.dtype, self._home)
        stream.batch = np.empty((0, stream.batch.shape[1]), stream.dtype)

    def _publish(
        self,
        found: Clustering | BlurredClusters | SeededClusters,
        labels: Any,
        dtype: np.dtype[Any],
        home: namespaces.Home,
    ) -> None:
        """Set the attributes that tell of clusters, as arrays of the kind that came in."""
        found.put_away()
        self._clustering = found
        self.labels_ = home.back(labels)
        self.cluster_centers_ = home.back(self._form.geometry.back(found.centers).astype(dtype))
        self.cluster_weights_ = home.back(found.cluster_weights)
        self.n_iter_ = found.n_iter
        self.certificate_ = found.certificate
