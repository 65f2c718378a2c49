"""A Dask collection as partitions that tasks are run on: `Parts`.

Every partition is looked at once, for its number of rows, bounds, weights, and what is not finite; sizes need not be
known before, and partitions may be empty.
"""

import functools
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import dask
import dask.array as da
import numpy as np
from dask.highlevelgraph import HighLevelGraph
from numpy.typing import NDArray

from modeseek.distributed.keeping import opened, share
from modeseek.distributed.looks import Look, as_block, in_partition, look, sample_rows, union
from modeseek.distributed.sums import Exact
from modeseek.engines import data
from modeseek.fields import Floats, Ints

FAN = 8  # partial results that one task merges


@dataclass(frozen=True)
class Parts:
    """Partitions of points (n, d), in order, and their weights, delayed; tasks read them as arrays of a type."""

    blocks: tuple[Any, ...]
    weights: tuple[Any, ...] | None
    looks: tuple[Look, ...]
    d: int
    dtype: np.dtype[Any]
    sampled: tuple[Ints, NDArray[Any]]  # some rows that are known, in order, and their points
    factor: float = 1.0  # that weights are multiplied by

    @functools.cached_property
    def sizes(self) -> tuple[int, ...]:
        """Rows of each partition."""
        return tuple(look.n for look in self.looks)

    @functools.cached_property
    def firsts(self) -> Ints:
        """The first row of each partition, and the number of rows."""
        return np.concatenate([[0], np.cumsum(self.sizes)]).astype(np.int64)

    @property
    def n(self) -> int:
        """Number of rows."""
        return int(self.firsts[-1])

    @property
    def nbytes(self) -> int:
        """Bytes of all points."""
        return self.n * self.d * self.dtype.itemsize

    @functools.cached_property
    def bounds(self) -> Floats:
        """Minimum and maximum of each column, (2, d)."""
        return union([look.bounds for look in self.looks])

    @functools.cached_property
    def held(self) -> Floats:
        """The same of the rows of weight above 0."""
        return union([look.held for look in self.looks])

    @functools.cached_property
    def total_weight(self) -> float:
        """Sum of the weights, rounded once."""
        if self.weights is None:
            return float(self.n)
        return float(functools.reduce(Exact.plus, (look.total for look in self.looks)).floats()[0]) * self.factor

    def as_counts(self) -> "Parts":
        """Return weights in points: whole ones as they are, others so that they sum to their effective number."""
        if self.weights is None or all(look.whole for look in self.looks):
            return self
        squares = functools.reduce(Exact.plus, self.map(_squares))
        return replace(self, factor=self.factor * self.total_weight / float(squares.floats()[0]))

    def evenly(self, most: int) -> Floats:
        """Return up to so many points, evenly spaced in their order; by weight, so that all count the same."""
        if self.weights is None:
            k = min(self.n, most)
            return np.asarray(self.take((2 * np.arange(k) + 1) * self.n // (2 * k)), np.float64)
        held, total = sum(look.n_held for look in self.looks), self.total_weight
        k = most if held > most else int(min(most, max(held, np.ceil(total))))
        ends = np.cumsum([float(look.total.floats()[0]) * self.factor for look in self.looks])
        wanted = np.minimum((np.arange(k) + 0.5) / k * total, ends[-1])
        filled = [i for i, n in enumerate(self.sizes) if n]
        number = np.minimum(np.searchsorted(ends, wanted), len(ends) - 1)
        own = [(wanted[number == i] - (ends[i - 1] if i else 0.0),) for i in range(len(ends))]
        found = self.map(_at_weights, own=own)
        return np.concatenate([part for i, part in zip(filled, found, strict=True) if (number == i).any()])

    def each(self, work: Callable[..., Any], *args: Any, own: Sequence[tuple[Any, ...]] | None = None) -> list[Any]:
        """Return ``work(points, weights, *args, *own)`` of every partition that has rows, delayed.

        Weights are of length 0 where all are one. ``args`` are sent once, and not to be changed; ``own`` has further
        arguments of each partition.
        """
        sent = share(work, self.factor, self.dtype, self.d, *args, users=len(self.blocks))
        run = dask.delayed(_run, pure=False)
        weights = self.weights or (None,) * len(self.blocks)
        more = own or [()] * len(self.blocks)
        name = f"{work.__name__}-{uuid.uuid4().hex}"  # schedulers learn by name how long tasks take
        return [
            run(i, self.blocks[i], weights[i], sent, *more[i], dask_key_name=f"{name}-{i}")
            for i, n in enumerate(self.sizes)
            if n
        ]

    def map(self, work: Callable[..., Any], *args: Any, own: Sequence[tuple[Any, ...]] | None = None) -> list[Any]:
        """Compute `each`."""
        return list(dask.compute(*self.each(work, *args, own=own)))

    def combine(self, work: Callable[..., Any], merge: Callable[[list[Any]], Any], *args: Any) -> Any:
        """Compute `each`, and merge the results in a tree, where they are."""
        return merge(list(dask.compute(*self.few(self.each(work, *args), merge))))

    @staticmethod
    def few(found: list[Any], merge: Callable[[list[Any]], Any]) -> list[Any]:
        """Merge delayed results in a tree, delayed, until they are few."""
        join = dask.delayed(merge, pure=False)
        while len(found) > FAN:
            found = [join(found[k : k + FAN]) for k in range(0, len(found), FAN)]
        return found

    def take(self, rows: Ints) -> NDArray[Any]:
        """Return the points of some rows, in that order."""
        number = np.searchsorted(self.firsts, rows, side="right") - 1
        out = np.empty((len(rows), self.d), self.dtype)
        mine = [np.flatnonzero(number == i) for i in np.unique(number)]
        found = dask.compute(
            *[
                _take(self.blocks[number[k[0]]], rows[k] - self.firsts[number[k[0]]], self.dtype, self.d)
                for k in mine
            ]
        )  # fmt: skip
        for k, points in zip(mine, found, strict=True):
            out[k] = points
        return out

    def gather(self) -> tuple[NDArray[Any], Floats]:
        """Return all points and weights (of length 0: all one)."""
        filled = [i for i, n in enumerate(self.sizes) if n]
        blocks = dask.compute(*[self.blocks[i] for i in filled])
        points = [as_block(block, self.dtype, self.d) for block in blocks]
        if self.weights is None:
            return np.concatenate(points), np.empty(0)
        return np.concatenate(points), np.concatenate(dask.compute(*[self.weights[i] for i in filled])) * self.factor

    def heads(self, size: int) -> list[tuple[Any, ...]]:
        """Return for each partition how many rows to skip up to a multiple of ``size``, and what completes its last.

        That is a list of pieces of later partitions, and one of their weights.
        """
        found = []
        for i in range(len(self.blocks)):
            first, last = int(self.firsts[i]), int(self.firsts[i + 1])
            start, end = -(-first // size) * size, min(-(-last // size) * size, self.n)
            pieces, weights, j, at = [], [], i + 1, last
            while start < last and at < end:
                take = min(end - at, self.sizes[j])
                if take:
                    pieces.append(_head(self.blocks[j], take, self.dtype, self.d))
                    weights += [] if self.weights is None else [_head(self.weights[j], take)]
                j, at = j + 1, at + take
            found.append((min(start, last) - first, pieces, weights))
        return found

    def mapped(self, work: Callable[[NDArray[Any]], NDArray[Any]]) -> "Parts":
        """Return the same rows with other coordinates: ``work`` of every partition; they are looked at anew."""
        sent, change = share(work, self.dtype, self.d), dask.delayed(_changed, pure=False)
        blocks = tuple(change(sent, block) for block in self.blocks)
        changed = looked_at(blocks, self.weights, self.d, np.dtype(np.float64), self.sizes)
        return replace(changed, factor=self.factor)


def read(X: Any, sample_weight: Any = None, dtype: np.dtype[Any] | None = None, d: int | None = None) -> Parts:
    """Return a Dask array or frame as partitions of NumPy arrays of a type, looked at once.

    Raises
    ------
    ValueError
        If a partition is not finite, weights do not fit, or there are no rows.
    """
    if dtype is None or d is None:
        small = data.as_points(np.asarray(example_of(X)))
        dtype, d = small.dtype, small.shape[1]
    blocks = row_blocks(X)
    weights = None if sample_weight is None else _weights(X, sample_weight, blocks)
    known = isinstance(X, da.Array) and not np.isnan(X.chunks[0]).any()
    return looked_at(tuple(blocks), weights, d, dtype, X.chunks[0] if known else None)


def example_of(X: Any) -> Any:
    """Return a table of a row or two with the columns and types of a collection, of which no value is computed.

    Raises
    ------
    TypeError
        If it is neither an array nor a frame.
    ValueError
        If it has not two dimensions.
    """
    if isinstance(X, da.Array):
        if X.ndim != 2:
            raise ValueError(f"Expected 2D array, got a Dask array of {X.ndim} dimensions, shape {X.shape}.")
        return np.ones((1, X.shape[1]), X.dtype)
    if hasattr(X, "_meta_nonempty") and hasattr(X, "columns"):
        return X._meta_nonempty
    raise TypeError(f"X is a Dask collection of type {type(X).__name__}: pass a Dask array or a Dask data frame.")


def looked_at(
    blocks: tuple[Any, ...],
    weights: tuple[Any, ...] | None,
    d: int,
    dtype: np.dtype[Any],
    sizes: tuple[int, ...] | None = None,
) -> Parts:
    """Look at every partition; where their sizes are known, rows that routes ask for come along."""
    rows = sample_rows(sum(sizes)) if sizes and sum(sizes) else np.empty(0, np.int64)
    ends = np.cumsum([0, *(sizes or (0,) * len(blocks))])
    mine = [rows[slice(*np.searchsorted(rows, ends[i : i + 2]))] - ends[i] for i in range(len(blocks))]
    task = dask.delayed(look, pure=False)
    looks = dask.compute(
        *[task(i, block, None if weights is None else weights[i], dtype, d, mine[i]) for i, block in enumerate(blocks)]
    )
    if sizes is None or tuple(found.n for found in looks) != tuple(sizes):  # chunks may be other than they say
        rows, looks = np.empty(0, np.int64), tuple(found._replace(sample=np.empty((0, d), dtype)) for found in looks)
    sampled = rows, np.concatenate([found.sample for found in looks])
    parts = Parts(blocks, weights, looks, d, dtype, sampled)
    if not parts.n:
        raise ValueError(f"Found array with 0 sample(s) (shape=(0, {d})) while a minimum of 1 is required.")
    if weights is not None and not any(found.heaviest > 0.0 for found in looks):
        raise ValueError("Every sample_weight is zero: nothing is left to cluster.")
    return parts


def lazy(
    blocks: Sequence[Any], sizes: Sequence[float], tail: tuple[int, ...], dtype: Any, work: Any = np.asarray
) -> da.Array:
    """Return a Dask array of ``work`` of delayed blocks of rows, one chunk each; a size may be NaN.

    A block may also be a tuple of arguments, of which the first is delayed or an array.
    """
    name = f"{work.__name__}-{uuid.uuid4().hex}"
    rest = (0,) * len(tail)
    given = [block if isinstance(block, tuple) else (block,) for block in blocks]
    delayed = [first for first, *_ in given if not isinstance(first, np.ndarray)]
    layer: dict[Any, Any] = {
        (name, i, *rest): (work, first if isinstance(first, np.ndarray) else first.key, *others)
        for i, (first, *others) in enumerate(given)
    }
    graph = HighLevelGraph.from_collections(name, layer, dependencies=delayed)
    return da.Array(
        graph, name, (tuple(sizes), *((n,) for n in tail)), dtype, meta=np.empty((0,) * (1 + len(tail)), dtype)
    )


def row_blocks(X: Any) -> list[Any]:
    """Return the partitions of an array or a frame, delayed, whole rows each."""
    if not isinstance(X, da.Array):
        return list(X.to_delayed())
    if X.numblocks[1] > 1:
        X = X.rechunk({1: -1})
    return list(X.to_delayed()[:, 0])


def _weights(X: Any, sample_weight: Any, blocks: Sequence[Any]) -> tuple[Any, ...]:
    """Return the weights of each partition, delayed."""
    if not dask.is_dask_collection(sample_weight):
        sizes = dask.compute(*[dask.delayed(len)(block) for block in blocks])
        own = np.asarray(sample_weight)
        own = np.full(sum(sizes), own) if own.ndim == 0 else own
        if own.shape != (sum(sizes),):
            raise ValueError(
                f"sample_weight must have shape ({sum(sizes)},), one weight per row of X, got {own.shape}."
            )
        return tuple(dask.delayed(piece) for piece in np.split(own, np.cumsum(sizes)[:-1]))
    known = isinstance(sample_weight, da.Array) and isinstance(X, da.Array) and not np.isnan(X.chunks[0]).any()
    if known and not np.isnan(sample_weight.chunks[0]).any() and sum(sample_weight.chunks[0]) == len(X):
        sample_weight = sample_weight.rechunk((X.chunks[0],))
    pieces = list(np.ravel(sample_weight.to_delayed()))
    if len(pieces) != len(blocks):
        raise ValueError(
            f"sample_weight has {len(pieces)} partitions, X has {len(blocks)}: they must be cut alike. "
            "Take both from one frame, or rechunk one like the other."
        )
    return tuple(pieces)


# ---- tasks --------------------------------------------------------------------------------------------------------


def _squares(points: NDArray[Any], weights: Floats) -> Exact:
    return Exact.of(np.square(weights))


def _at_weights(points: NDArray[Any], weights: Floats, wanted: Floats) -> Floats:
    rows = np.minimum(np.searchsorted(np.cumsum(weights), wanted), len(points) - 1)
    return np.asarray(points[rows], np.float64)


def _run(number: int, block: Any, weights: Any, sent: bytes, *own: Any) -> Any:
    work, factor, dtype, d, *args = opened(sent)
    points, weight = as_block(block, dtype, d), np.empty(0) if weights is None else np.asarray(weights, np.float64)
    with in_partition(number):
        return work(points, weight if factor == 1.0 else weight * factor, *args, *own)


@functools.partial(dask.delayed, pure=False)
def _take(block: Any, rows: Ints, dtype: np.dtype[Any], d: int) -> NDArray[Any]:
    return as_block(block, dtype, d)[rows]


@functools.partial(dask.delayed, pure=False)
def _head(values: Any, n: int, dtype: Any = None, d: int = 0) -> Any:
    return np.asarray(values)[:n].copy() if dtype is None else as_block(values, dtype, d)[:n].copy()


def _changed(sent: bytes, block: Any) -> NDArray[Any]:
    work, dtype, d = opened(sent)
    points = as_block(block, dtype, d)
    return work(points) if len(points) else points.astype(np.float64)
