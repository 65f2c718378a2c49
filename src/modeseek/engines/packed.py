"""Small pickles: integer arrays are compressed in them, and an array that several objects share is there once.

Masses on a grid and labels are mostly runs of equal numbers, so that zlib makes them ten to a hundred times smaller in
less time than it takes to write them to disk. What comes back is equal to the bit, and shared as before.
"""

import weakref
import zlib
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

LEAST = 1 << 12  # bytes: smaller arrays are pickled as they are
LEVEL = 1  # of zlib: most of the gain for the least time


class Packed:
    """Stands for an array in a pickle; what is unpickled is the array itself."""

    def __init__(self, array: NDArray[Any]):
        self.array = array

    def __reduce__(self) -> tuple[Any, ...]:
        array = np.ascontiguousarray(self.array)
        return unpack, (zlib.compress(array.data, LEVEL), array.dtype.str, array.shape)


def unpack(packed: bytes, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return the array that was packed."""
    return np.frombuffer(bytearray(zlib.decompress(packed)), dtype).reshape(shape)  # a bytearray: it can be written to


_PACKED: weakref.WeakValueDictionary[int, Packed] = weakref.WeakValueDictionary()  # by the id of the array each holds


def pack(array: NDArray[Any]) -> Packed:
    """Return what stands for an array: the same object each time while a pickle is being made, which writes it once."""
    found = _PACKED.get(id(array))
    if found is None:
        _PACKED[id(array)] = found = Packed(array)
    return found


class SmallPickles:
    """A class whose arrays named in ``_packed`` are compressed in pickles."""

    _packed: ClassVar[tuple[str, ...]] = ()

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        for name in self._packed:
            if isinstance(state.get(name), np.ndarray) and state[name].nbytes >= LEAST:
                state[name] = pack(state[name])
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(opened(state))


def opened(state: dict[str, Any]) -> dict[str, Any]:
    """Return a state with arrays in place of what stands for them: `copy.copy` hands states over as they are."""
    return {name: value.array if isinstance(value, Packed) else value for name, value in state.items()}
