"""A fitted model asked about the partitions of a Dask collection, lazily: `ask`."""

import copy
from collections.abc import Sequence
from typing import Any

import dask
import dask.array as da
import numpy as np

from modeseek.distributed.keeping import opened, share
from modeseek.distributed.looks import as_block, in_partition
from modeseek.distributed.parts import Parts, lazy, row_blocks

LEFT_BEHIND = ("labels_", "sketch_", "certificate_", "feature_names_in_", "_stream")  # not needed to answer


def ask(model: Any, method: str, X: Any, dtype: np.dtype[Any], tail: tuple[int, ...], kind: Any) -> da.Array:
    """Return what a method of a model says of every row, as a Dask array of which nothing is computed yet.

    Rows of the answer have shape ``tail`` and type ``kind``. The model travels to each worker once.
    """
    blocks = row_blocks(X)
    sizes = X.chunks[0] if isinstance(X, da.Array) else (np.nan,) * len(blocks)
    return _asked(model, method, blocks, sizes, dtype, tail, kind)


def ask_parts(model: Any, method: str, parts: Parts, tail: tuple[int, ...], kind: Any) -> da.Array:
    """Do as `ask` for partitions that were looked at."""
    return _asked(model, method, parts.blocks, parts.sizes, parts.dtype, tail, kind)


def _asked(
    model: Any, method: str, blocks: Sequence[Any], sizes: Sequence[float], dtype: Any, tail: tuple[int, ...], kind: Any
) -> da.Array:
    d, light = model.n_features_in_, copy.copy(model)
    for name in LEFT_BEHIND:
        light.__dict__.pop(name, None)
    light.n_jobs = 1  # workers run tasks side by side
    sent, answer = share(light), dask.delayed(_answer, pure=False)
    answers = [answer(i, sent, method, block, dtype, d, tail, kind) for i, block in enumerate(blocks)]
    return lazy(answers, sizes, tail, kind)


def _answer(
    number: int, sent: bytes, method: str, block: Any, dtype: np.dtype[Any], d: int, tail: tuple[int, ...], kind: Any
) -> Any:
    (model,) = opened(sent)
    with in_partition(number):
        points = as_block(block, dtype, d)
        return np.asarray(getattr(model, method)(points), kind) if len(points) else np.empty((0, *tail), kind)
