r"""Points -> DensitySketch: one pass over the data makes a mergeable summary of its density.

Points are deposited on a regular grid of spacing delta = eps h with tensor-product B-splines of degree p, 2 or 3. A
node holds only mass, an integer in fixed point, so sketches add exactly: threads, files and machines merge in any
order to the same bits. The sketch is a Gaussian mixture again,

    f(x) = sum_z p_z exp(-|x - z|^2 / 2 h'^2),     h'^2 = h^2 - (p + 1) delta^2 / 12,

the spline's own variance taken out of the kernel, and one mean-shift step on it is

    x <- x + (h^2 / h'^2) (m'(x) - x).

The bias of f is of fourth order in eps; what a single point may add to it, at its worst offset from the nodes, is of
third order for p = 2 and of fourth for p = 3 (splines as in particle-mesh methods, Hockney & Eastwood 1988; binned
density estimates, Hall & Wand 1996). This module sums; it does not climb and knows no labels.
"""

import copy
import os
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modeseek.engines import archive, data
from modeseek.engines.devices import device_of
from modeseek.engines.packed import SmallPickles
from modeseek.engines.threads import ROWS_PER_CHUNK, n_workers, run_chunks, workers_with_grids
from modeseek.fields.grid import GridField
from modeseek.fields.nodes import MARGIN, Box, Nodes, cell_corner, node_box
from modeseek.places import Places, place_points

UNIT_BITS = 30  # a point of weight ``weight_scale`` has mass 2^30
MAX_MASS = 1 << 62
MAX_NODES = 1 << 26  # 512 MiB of masses
FORMAT_VERSION = 2  # 1 had no checksum
READABLE = (1, 2)
_SETTINGS = ("bandwidth", "spacing", "weight_scale", "degree")  # what sketches that merge have in common

Floats = NDArray[np.float64]


class DensitySketch(SmallPickles):
    r"""Mergeable summary of a density: B-spline masses on a grid.

    Parameters
    ----------
    bandwidth : float
        Standard deviation h of the Gaussian kernel, in the units of the data.
    spacing : float, default=0.5
        Distance of neighbouring nodes in bandwidths (eps); smaller is more exact: the error falls as eps^4.
    origin : array-like of shape (n_features,), optional
        Position of node (0, ..., 0). Default is the coordinate origin. Sketches merge only if bandwidth,
        spacing, degree, origin and weight_scale agree, so fix them before the first deposit.
    weight_scale : float, default=1.0
        Weight that is stored as 2^30 units; weights are rounded to ``weight_scale * 2**-30``.
    degree : {2, 3}, default=2
        Degree of the splines. Cubic ones write (4 / 3)^d times as much, and bound the error of every point far lower.

    Attributes
    ----------
    n_features_in_ : int
        Number of columns, set by the first `add`: 1, 2 or 3.
    total_weight_ : float
        Sum of the weights deposited so far.
    columns : tuple of str or None
        Names of the columns, where they are known (``modeseek sketch`` notes them): sketches of others do not merge.

    References
    ----------
    P. Hall and M. P. Wand, "On the accuracy of binned kernel density estimators", J. Multivariate Anal. 56
    (1996). R. W. Hockney and J. W. Eastwood, "Computer Simulation Using Particles" (1988).

    Examples
    --------
    >>> import numpy as np
    >>> from modeseek import DensitySketch
    >>> X = np.random.default_rng(0).normal(size=(1000, 2))
    >>> a = DensitySketch(bandwidth=0.5).add(X[:400])
    >>> b = DensitySketch(bandwidth=0.5).add(X[400:])
    >>> whole = DensitySketch(bandwidth=0.5).add(X)
    >>> a.merge(b) == whole
    True
    >>> whole.density([[0.0, 0.0]]).round(2)
    array([0.13])
    """

    _packed = ("_masses",)
    columns: tuple[str, ...] | None = None

    def __init__(
        self,
        bandwidth: float,
        *,
        spacing: float = 0.5,
        origin: ArrayLike | None = None,
        weight_scale: float = 1.0,
        degree: int = 2,
    ):
        self.bandwidth = data.positive(bandwidth, "bandwidth")
        self.spacing = data.positive(spacing, "spacing")
        if self.spacing > 1.0:
            raise ValueError(f"spacing must be at most 1 bandwidth, got {spacing!r}: a coarser grid loses modes.")
        self.weight_scale = data.positive(weight_scale, "weight_scale")
        if degree not in (2, 3):
            raise ValueError(f"degree must be 2 or 3, got {degree!r}.")
        self.degree = int(degree)
        self.origin: Floats | None = None
        if origin is not None:
            self.origin = np.array(origin, dtype=np.float64).reshape(-1)
            if not np.isfinite(self.origin).all():
                raise ValueError(f"origin must be finite, got {origin!r}.")
        self._box: Box | None = None
        self._masses: NDArray[np.int64] | None = None
        self._rounding = 0.0  # of every point, more than to whole units
        self._units = 0  # an upper bound on the sum of all masses, to refuse overflow

    @property
    def delta(self) -> float:
        """Distance of neighbouring nodes in the units of the data."""
        return self.spacing * self.bandwidth

    @property
    def n_features_in_(self) -> int:
        """Number of columns of the data."""
        return len(self.box.shape)

    @property
    def box(self) -> Box:
        """The nodes the sketch covers."""
        if self._box is None:
            raise ValueError("This DensitySketch is empty: call add(X) first.")
        return self._box

    @property
    def masses(self) -> NDArray[np.int64]:
        """Masses of the nodes in ``box``, in units of ``weight_scale * 2**-30``."""
        if self._masses is None:
            raise ValueError("This DensitySketch is empty: call add(X) first.")
        return self._masses

    @property
    def total_weight_(self) -> float:
        """Sum of the weights deposited so far."""
        return 0.0 if self._masses is None else float(self._masses.sum()) * self.weight_scale * 2.0**-UNIT_BITS

    def add(
        self,
        X: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        n_jobs: int | None = None,
        device: Any = "auto",
    ) -> Self:
        """Deposit points.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Points; float32 and float64 are read as they are.
        sample_weight : array-like of shape (n_samples,), optional
            Weights, at least 0.
        n_jobs : int, optional
            Threads; None means all cores. The result does not depend on it.
        device : str or torch.device, default="auto"
            Where to sum: "auto" is where X lies. Of points on a GPU only the grid of masses goes to the CPU.

        Returns
        -------
        DensitySketch
            Itself.

        Raises
        ------
        ValueError
            If X is not a finite (n, 1..3) array, has another number of columns than before, or would need
            too many nodes or too much mass.
        """
        on = device_of(device, X)
        if on is not None:
            from modeseek.engines import gpu

            tensor = gpu.as_tensor(X, on)
            own = gpu.as_tensor_weights(sample_weight, len(tensor), on)
            return self.add_tensor(tensor, own, gpu.bounds(tensor))
        points = data.as_points(X)
        weights = data.as_weights(sample_weight, len(points))
        return self.add_scanned(points, weights, data.bounds(points, n_jobs), n_jobs)

    def add_scanned(self, points: NDArray[Any], weights: Floats, bounds: Floats, n_jobs: int | None = None) -> Self:
        """Deposit points whose bounds (2, d) are known; ``weights`` of length 0 means unit weights."""
        n, d = points.shape
        self.make_room(n, d, float(weights.sum()) if weights.size else float(n), bounds)
        self._deposit(points, weights, n_jobs)
        return self

    def add_tensor(self, points: Any, weights: Any, bounds: Floats) -> Self:
        """Deposit points that a device of Torch holds, there; ``weights`` is None or a tensor. Only the grid moves."""
        from modeseek.engines.gpu import deposit as kernels
        from modeseek.engines.gpu import needs_float64

        needs_float64(str(points.device), "A sum on a grid")
        n, d = points.shape
        self.make_room(n, d, float(n) if weights is None else float(weights.sum()), bounds)
        assert self.origin is not None
        lattice = kernels.lattice_of(self.origin, self.delta, self.box.lower, self.box.shape)
        masses = kernels.deposit(points, weights, lattice, 2.0**UNIT_BITS / self.weight_scale, self.degree)
        return self.add_masses(masses.cpu().numpy())

    def add_masses(self, flat: NDArray[np.int64]) -> Self:
        """Add masses of all nodes of the box, flat, for which `make_room` has made room."""
        self.masses.reshape(-1)[:] += flat
        return self

    def make_room(self, n: int, d: int, total: float, bounds: Floats) -> None:
        """Grow the grid for so many points of so much weight, or refuse them."""
        if d > 3:
            raise ValueError(f"DensitySketch holds 1, 2 or 3 features, got {d}: a grid in {d}-D is too large.")
        if self.origin is None:
            self.origin = np.zeros(d)
        if len(self.origin) != d or (self._box is not None and len(self._box.shape) != d):
            raise ValueError(f"X has {d} features, but this DensitySketch has {len(self.origin)}.")
        units = int((total / self.weight_scale + 9e-9 * n) * 2**UNIT_BITS)
        if self._units + units > MAX_MASS:
            raise ValueError(
                f"The weights add up to more than a sketch with weight_scale={self.weight_scale:g} can hold; "
                f"use a larger weight_scale (at least {total * 2.0**-31:g})."
            )
        self._cover(node_box(bounds[0], bounds[1], self.origin, self.delta))
        self._units += units

    def add_placed(self, points: NDArray[Any], bounds: Floats, n_jobs: int | None = None) -> Places | None:
        """Fill an empty sketch of cubic splines with very many points of weight one, and tell where they lie.

        Masses are rounded more than by `add`, as ``nodes().rounding`` says. Returns None, and adds nothing, where
        this does not pay.
        """
        assert self.origin is not None
        box = node_box(bounds[0], bounds[1], self.origin, self.delta)
        placed = place_points(points, bounds, box, self.origin, self.delta, 1 << UNIT_BITS, n_jobs)
        if placed is None:
            return None
        self.take_placed(len(points), box, placed[0])
        return placed[1]

    def take_placed(self, n: int, box: Box, masses: NDArray[np.int64]) -> None:
        """Take the masses (flat) that so many points of weight one, placed in a box, have left."""
        from modeseek.engines.cpu.patches import SHARE_LOST

        assert self._masses is None
        assert (self.degree, self.weight_scale) == (3, 1.0)
        self._cover(box)
        self._units += int(n * (1.0 + SHARE_LOST) * 2**UNIT_BITS)
        self._rounding = SHARE_LOST
        self.masses.reshape(-1)[:] = masses

    def _cover(self, box: Box) -> None:
        """Grow the grid so that it holds ``box``."""
        old = self._box
        new = box if old is None else old.union(box)
        if old == new:
            if not self.masses.flags.writeable:  # a fitted model reads them
                self._masses = self.masses.copy()
            return
        if new.n_nodes > MAX_NODES or max(map(abs, new.lower)) > 2**52:
            raise ValueError(
                f"The data span {' x '.join(map(str, new.shape))} nodes of spacing {self.delta:g}, more than the "
                f"{MAX_NODES} that a sketch may hold; use a larger bandwidth, remove outliers, or give an origin "
                "near the data."
            )
        masses = np.zeros(new.shape, np.int64)
        if old is not None:
            masses[new.slices(old)] = self.masses
        self._box, self._masses = new, masses

    def _deposit(self, points: NDArray[Any], weights: Floats, n_jobs: int | None) -> None:
        from modeseek.engines.cpu.deposit import DEPOSIT

        assert self.origin is not None
        kernel = DEPOSIT[self.degree, points.shape[1]]
        shape = np.array(self.box.shape, np.int64)
        offset = 0
        for lower, length in zip(self.box.lower, self.box.shape, strict=True):
            offset = offset * length + lower
        workers = workers_with_grids(points, self.box.n_nodes, n_jobs)
        grids = [self.masses.reshape(-1)] + [np.zeros(self.box.n_nodes, np.int64) for _ in range(workers - 1)]
        unit = 2.0**UNIT_BITS / self.weight_scale

        def work(worker: int, start: int, stop: int) -> None:
            rows = np.ascontiguousarray(points[start:stop])
            kernel(rows, weights[start:stop], self.origin, 1.0 / self.delta, unit, grids[worker], shape, offset)

        run_chunks(len(points), work, workers)
        for grid in grids[1:]:
            grids[0] += grid

    def merge(self, other: "DensitySketch") -> Self:
        """Add another sketch of the same bandwidth, spacing, origin and weight scale; return itself.

        Parameters
        ----------
        other : DensitySketch
            What to add; it stays as it is.

        Returns
        -------
        DensitySketch
            Itself.

        Raises
        ------
        ValueError
            If the two do not fit together, or hold too much mass; nothing is changed then.
        """
        if self._is_empty(other, "merge"):
            return self
        if self._units + other._units > MAX_MASS:
            raise ValueError("The merged sketch would hold more mass than it can count; use a larger weight_scale.")
        self._cover(other.box)
        self.origin = other.origin
        self._units += other._units
        self._rounding = max(self._rounding, other._rounding)
        self.columns = self.columns or other.columns
        self.masses[self.box.slices(other.box)] += other.masses
        return self

    def subtract(self, other: "DensitySketch") -> Self:
        """Take out a sketch that was merged into this one, to the bit; return itself.

        ``a.merge(b).subtract(b) == a``: batches can be kept as sketches, and the oldest taken out.

        Parameters
        ----------
        other : DensitySketch
            What to take out; it stays as it is.

        Returns
        -------
        DensitySketch
            Itself.

        Raises
        ------
        ValueError
            If the two do not fit together, or ``other`` is no part of this one (a mass would be below zero); nothing
            is changed then.

        Examples
        --------
        >>> from modeseek import DensitySketch
        >>> old, new = DensitySketch(1.0).add([[0.0], [1.0]]), DensitySketch(1.0).add([[5.0]])
        >>> both = DensitySketch(1.0).merge(old).merge(new)
        >>> both.subtract(old) == new
        True
        """
        if self._is_empty(other, "subtract"):
            return self
        part = other._trimmed()
        if part is None:
            return self
        box, masses = part
        old = self._box
        inside = old is not None and old.union(box) == old
        if not inside or (self.masses[self.box.slices(box)] < masses).any():
            raise ValueError(
                "Cannot subtract a sketch that is no part of this one: a mass would be below zero. What decays "
                "cannot be subtracted any more."
            )
        left = self.masses.copy()
        left[self.box.slices(box)] -= masses
        self._masses, self._units = left, max(self._units - other._units, int(left.sum()))
        return self

    def decay(self, factor: float, *, least: float = 0.0) -> Self:
        r"""Forget: multiply all masses by a factor; return itself.

        A mass m becomes floor(factor * m), in whole units of ``weight_scale * 2**-30``: the same bits on every machine.
        What was deposited t decays ago weighs factor^t, to within (1 - factor^t) / (1 - factor) units a node, and is
        gone in the end. Of two sketches, a.decay(f).merge(b.decay(f)) is a.merge(b).decay(f), less at most one unit a
        node. A batch is forgotten by half after log(1/2) / log(factor) decays.

        Parameters
        ----------
        factor : float
            Above 0, at most 1.
        least : float, default=0.0
            Places where no node within the reach of a spline holds so much weight any more are emptied.

        Returns
        -------
        DensitySketch
            Itself.

        Raises
        ------
        ValueError
            If the factor is not above 0 and at most 1.

        Examples
        --------
        >>> from modeseek import DensitySketch
        >>> sketch = DensitySketch(1.0).add([[0.0]]).decay(0.5).add([[9.0]])
        >>> round(sketch.total_weight_, 6)
        1.5
        """
        share = data.positive(factor, "factor")
        if share > 1.0:
            raise ValueError(f"factor must be above 0 and at most 1, got {factor!r}.")
        if self._masses is None or (share == 1.0 and not least > 0.0):
            return self
        masses = np.floor(self._masses * share).astype(np.int64)
        if least > 0.0:
            from scipy import ndimage

            reach = 2 * self.degree + 1  # nodes along an axis that a point may share with a node
            near = ndimage.maximum_filter(masses, reach, mode="constant")
            masses[near < least / self.weight_scale * 2**UNIT_BITS] = 0
        self._masses, self._units = masses, int(self._units * share) + 1
        return self

    def _is_empty(self, other: "DensitySketch", verb: str) -> bool:
        """Refuse a sketch that does not fit this one; tell whether it is empty."""
        if not isinstance(other, DensitySketch):
            raise TypeError(f"Can only {verb} a DensitySketch, got {type(other).__name__}.")
        for name in _SETTINGS:
            if getattr(self, name) != getattr(other, name):
                raise ValueError(
                    f"Cannot {verb} sketches of different {name}: {getattr(self, name)} and {getattr(other, name)}."
                )
        if self.origin is not None and other.origin is not None and not np.array_equal(self.origin, other.origin):
            raise ValueError(f"Cannot {verb} sketches of different origin: {self.origin} and {other.origin}.")
        if self.columns and other.columns and self.columns != other.columns:
            own, others = (", ".join(sketch.columns or ()) for sketch in (self, other))
            raise ValueError(f"Cannot {verb} sketches of different columns: {own} and {others}.")
        return other._box is None

    def nodes(self) -> Nodes:
        """Return the masses and where they are."""
        assert self.origin is not None
        units = 2.0**UNIT_BITS / self.weight_scale
        return Nodes(self.masses, self.box, self.origin, self.delta, units, self.degree, self._rounding)

    def density(self, Q: ArrayLike) -> Floats:
        r"""Evaluate the kernel density estimate.

        Parameters
        ----------
        Q : array-like of shape (n_queries, n_features)
            Where to evaluate.

        Returns
        -------
        ndarray of shape (n_queries,)
            ``f(q) = (sum_i w_i)^-1 (2 pi h^2)^(-d/2) sum_i w_i exp(-|q - x_i|^2 / 2 h^2)``, to the accuracy of
            the sketch; 0 where no point is within about 8.5 bandwidths.
        """
        queries = np.asarray(data.as_points(Q), np.float64)
        if queries.shape[1] != self.n_features_in_:
            raise ValueError(f"Q has {queries.shape[1]} features, but the sketch has {self.n_features_in_}.")
        nodes, h = self.nodes(), self.kernel_bandwidth()
        sums = GridField(*nodes.as_points(), h).density(queries)
        return sums / (self.total_weight_ * (2 * np.pi * h * h) ** (self.n_features_in_ / 2))

    def kernel_bandwidth(self) -> float:
        """Return h' = sqrt(h^2 - (p + 1) delta^2 / 12): the kernel's part of h, the rest is in the splines.

        Returns
        -------
        float
            h', in the units of the data.
        """
        return float(np.sqrt(self.bandwidth**2 - (self.degree + 1) * self.delta**2 / 12))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the sketch to a NumPy ``.npz`` file, whole or not at all, with a checksum (no pickle inside).

        Parameters
        ----------
        path : str or path
            Where to; a file of that name is replaced once the new one is whole.
        """
        trimmed = self._trimmed()
        archive.write(
            path,
            {
                "version": FORMAT_VERSION,
                **{name: getattr(self, name) for name in _SETTINGS},
                "origin": np.array([]) if self.origin is None else self.origin,
                "lower": np.array([] if trimmed is None else trimmed[0].lower, np.int64),
                "masses": np.array([], np.int64) if trimmed is None else trimmed[1],
                "units": self._units,
                "rounding": self._rounding,
                **({} if self.columns is None else {"columns": np.array(self.columns)}),
            },
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "DensitySketch":
        """Read a sketch that `save` wrote.

        Parameters
        ----------
        path : str or path
            The file.

        Returns
        -------
        DensitySketch
            Equal to the one that was saved.

        Raises
        ------
        ValueError
            If the file is none of `save`, is cut off or damaged, or is of a version that is not known here; its name is
            in the message.
        """
        name, content = os.fspath(path), archive.read(path, "DensitySketch")
        if "version" not in content:
            raise ValueError(f"{name} is not a DensitySketch file: it holds {', '.join(content) or 'nothing'}.")
        version = int(content["version"])
        if version not in READABLE:
            raise ValueError(
                f"{name} has format version {version}, this modeseek reads {' and '.join(map(str, READABLE))}."
            )
        try:
            return cls._of_arrays(content)
        except (KeyError, TypeError, ValueError) as error:
            what = f"it lacks {error}" if isinstance(error, KeyError) else error
            raise ValueError(f"{name} is not a DensitySketch file, or is damaged: {what}") from error

    @classmethod
    def _of_arrays(cls, content: dict[str, NDArray[Any]]) -> "DensitySketch":
        """Return the sketch that `save` has put into arrays."""
        sketch = cls(
            float(content["bandwidth"]),
            spacing=float(content["spacing"]),
            origin=content["origin"] if content["origin"].size else None,
            weight_scale=float(content["weight_scale"]),
            degree=int(content["degree"]),
        )
        if "columns" in content:
            sketch.columns = tuple(content["columns"].tolist())
        masses, lower = content["masses"], content["lower"]
        if not masses.size:
            return sketch
        d = 0 if sketch.origin is None else len(sketch.origin)
        if masses.dtype != np.int64 or not masses.ndim == len(lower) == d <= 3 or (masses < 0).any():
            raise ValueError(f"masses of type {masses.dtype} and shape {masses.shape} are none of {d} columns")
        sketch._box = Box(tuple(int(v) for v in lower), masses.shape)
        sketch._masses = masses
        sketch._units, sketch._rounding = int(content["units"]), float(content.get("rounding", 0.0))
        return sketch

    def copy(self) -> "DensitySketch":
        """Return a copy that shares nothing which changes.

        Returns
        -------
        DensitySketch
            The copy.
        """
        out = copy.copy(self)
        out._masses = None if self._masses is None else self._masses.copy()
        return out

    def emptied(self) -> "DensitySketch":
        """Return an empty sketch that merges with this one."""
        settings: dict[str, Any] = {name: getattr(self, name) for name in _SETTINGS}
        return DensitySketch(settings.pop("bandwidth"), origin=self.origin, **settings)

    def shrunk(self) -> "DensitySketch":
        """Return a sketch of the same masses that covers no more than these; empty, if there are none."""
        found, out = self._trimmed(), copy.copy(self)
        out._box, out._masses = (None, None) if found is None else (found[0], found[1].copy())
        if found is None:
            out._units, out._rounding = 0, 0.0
        return out

    def trimmed(self) -> "DensitySketch":
        """Return a copy on the smallest grid that holds all mass and what is read around it.

        It does not depend on what the sketch covered before, so equal sketches become the same arrays.
        """
        found, out = self._trimmed(), copy.copy(self)
        if found is not None:
            box, masses = found
            out._box = Box(tuple(i - MARGIN for i in box.lower), tuple(n + 2 * MARGIN for n in box.shape))
            out._masses = np.zeros(out._box.shape, np.int64)
            out._masses[out._box.slices(box)] = masses
        return out

    def _trimmed(self) -> tuple[Box, NDArray[np.int64]] | None:
        """Return the smallest box that holds all mass, and the masses in it."""
        if self._masses is None or not self._masses.any():
            return None
        first, last = [], []
        for axis in range(self._masses.ndim):
            others = tuple(a for a in range(self._masses.ndim) if a != axis)
            occupied = np.flatnonzero(self._masses.any(axis=others))
            first.append(int(occupied[0]))
            last.append(int(occupied[-1]))
        box = Box(
            tuple(a + f for a, f in zip(self.box.lower, first, strict=True)),
            tuple(b - f + 1 for f, b in zip(first, last, strict=True)),
        )
        return box, self._masses[self.box.slices(box)]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DensitySketch):
            return NotImplemented
        same = all(getattr(self, name) == getattr(other, name) for name in _SETTINGS)
        a, b = self._trimmed(), other._trimmed()
        if not same or a is None or b is None:
            return same and a is b
        return np.array_equal(self.origin, other.origin) and a[0] == b[0] and np.array_equal(a[1], b[1])  # type: ignore[arg-type]

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        inside = "empty" if self._masses is None else f"{np.count_nonzero(self._masses)} occupied nodes"
        return f"<DensitySketch bandwidth={self.bandwidth:g} spacing={self.spacing:g}: {inside}>"


POINTS_PER_BIN = 32  # binning pays, and bins are full, from this many points a bin on
SAMPLES_PER_BIN = 16  # points of a bin, occupied or not, whose mean offset stands for all: many more where it counts
VARIANCE_SAMPLE = 1 << 16  # points that the variance within bins is taken from


@dataclass(frozen=True)
class Bins:
    """Very many points summed up in bins, 2 x 2 to the cell of a node."""

    means: Floats  # (m, 2), of the occupied bins
    counts: Floats  # (m,)
    lost_variance: float  # mean variance within bins, per axis
    places: Places | None  # None: not kept, as points are read again as quickly


def bin_points(points: NDArray[Any], bounds: Floats, delta: float, n_jobs: int | None = None) -> Bins | None:
    """Replace very many 2-D points by the counts and means of bins of side delta / 2, in one integer pass.

    One write a point instead of the spline's nine, and each point's bin is kept, so that labels need no second
    read of the points. Means come from every s-th row, about SAMPLES_PER_BIN to a bin; the variance within the
    bins, from a sample too, is given back to the kernel: what is lost then is of fourth order in the side. The
    nodes are those of a sketch of spacing ``delta`` and origin ``bounds[0]``. Returns None where binning does not
    pay.
    """
    n, d = points.shape
    if not binning_pays(n, d, bounds, delta):
        return None
    counter, index = BinCounts(n, bounds, delta, n_workers(n, n_jobs)), np.empty(n, np.int32)
    counter.add(points, index)
    sample = counter.sample()
    return counter.bins(points[sample], index[sample], index)


def binning_pays(n: int, d: int, bounds: Floats, delta: float) -> bool:
    """Tell whether so many points are to be counted in bins."""
    n_bins = 4 * node_box(bounds[0], bounds[1], bounds[0], delta).n_nodes
    return d == 2 and n_bins * POINTS_PER_BIN <= n < 2**31  # counts and bins are int32


class BinCounts:
    """Counts of bins, and sums of some points' offsets in them, of n points that may come piece by piece.

    Which rows are sampled follows from their numbers among all: every so many of a chunk of `ROWS_PER_CHUNK`.
    """

    def __init__(self, n: int, bounds: Floats, delta: float, workers: int):
        box = node_box(bounds[0], bounds[1], bounds[0], delta)
        n_bins = 4 * box.n_nodes
        self._n, self._delta, self.workers = n, delta, workers
        self._corner, self._shape = cell_corner(bounds[0], box, delta), 2 * np.array(box.shape, np.int64)
        self._stride = max(1, n // (n_bins * SAMPLES_PER_BIN)) | 1  # odd: rows may come in pairs or fours
        self._counts, self._offsets = np.zeros((workers, n_bins), np.int32), np.zeros((workers, 4 * n_bins), np.int64)

    def sample(self) -> slice:
        """Return the rows that the variance within bins is taken from."""
        return slice(0, self._n, max(1, self._n // VARIANCE_SAMPLE))

    def add(self, points: NDArray[Any], index: NDArray[np.int32], first: int = 0, worker: int | None = None) -> None:
        """Count points (m, 2), and write the bin of each to ``index``.

        ``first`` is the number of the first one among all. Several threads may add points at once, each as a worker of
        its own.
        """
        begun = first % ROWS_PER_CHUNK  # rows of its chunk that came before
        head = min(-begun % ROWS_PER_CHUNK, len(points))  # and that are still to come
        lead = min(-begun % self._stride, head)  # before the next sample

        def count(number: int, start: int, stop: int, sampled: bool = True) -> None:
            k = number if worker is None else worker
            rows = np.ascontiguousarray(points[start:stop])
            offsets = self._offsets[k] if sampled else np.zeros_like(self._offsets[k])
            self._count(rows, index[start:stop], self._counts[k], offsets)

        if lead:
            count(0, 0, lead, sampled=False)
        if head > lead:
            count(0, lead, head)
        run_chunks(
            len(points) - head,
            lambda number, start, stop: count(number, head + start, head + stop),
            self.workers if worker is None else 1,
        )

    def places(self, points: NDArray[Any]) -> NDArray[np.int32]:
        """Return the bin of each point, and count none."""
        index = np.empty(len(points), np.int32)
        self._count(np.ascontiguousarray(points), index, *(np.zeros_like(a[0]) for a in (self._counts, self._offsets)))
        return index

    def _count(self, rows: NDArray[Any], index: NDArray[np.int32], counts: Any, offsets: Any) -> None:
        from modeseek.engines.cpu.deposit import bin_2d

        bin_2d(rows, self._corner, 1.0 / self._delta, self._shape, self._stride, counts, offsets, index)

    def totals(self) -> dict[str, NDArray[np.int64]]:
        """Return counts and sums of offsets so far, flat."""
        return {"counts": self._counts.sum(axis=0, dtype=np.int64), "offsets": self._offsets.sum(axis=0)}

    def go_on(self, counts: NDArray[np.int64], offsets: NDArray[np.int64]) -> None:
        """Begin from what `totals` returned before."""
        self._counts[0], self._offsets[0] = counts, offsets

    def bins(self, sample: NDArray[Any], places: NDArray[np.int32], index: NDArray[np.int32] | None = None) -> Bins:
        """Return what is in the bins, given the points of the `sample` and their bins; ``index`` has that of all."""
        from modeseek.engines.cpu.deposit import OFFSET_BITS

        sums = self.totals()
        total, sampled = sums["counts"], sums["offsets"].reshape(-1, 4)
        occupied = np.flatnonzero(total)
        number = sampled[occupied, 0, None]
        # an integer stands for the middle of its step; a bin without a sample has its mean in the middle
        middle = np.where(number, (sampled[occupied, 1:3] + 0.5 * number) / np.maximum(number, 1) / 2**OFFSET_BITS, 0.5)
        bins = np.stack(np.unravel_index(occupied, tuple(self._shape)), axis=-1)
        means = self._corner + (bins + middle) * (self._delta / 2)
        deviations = sample - means[np.searchsorted(occupied, places)]
        lost_variance = float(np.square(deviations).mean())
        kept = None if index is None else Places(2, total, index)
        return Bins(means, total[occupied].astype(np.float64), lost_variance, kept)
