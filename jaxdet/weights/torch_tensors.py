"""Storages and tensors of torch.save as numpy arrays, and the names that its pickles may use."""

import math
import reprlib
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxdet.checks import InputError
from jaxdet.weights.unpickle import Buildable, Ignored, mapping


def storage_view(elements: np.ndarray, start: int, size: int) -> np.ndarray:
    """Return a storage that is a range of another's elements, as torch before 0.4 had them."""
    if not (is_count(start) and is_count(size) and start + size <= elements.size):
        got = f"{brief(size)} from {brief(start)}"
        raise InputError(f"a view must lie within its storage of {elements.size}, got {got}")
    return elements[start : start + size]


def brief(value: Any) -> str:
    """Return a shortened repr: the whole text of nested shared tuples can exceed any memory."""
    return reprlib.repr(value)


def is_count(value: Any) -> bool:
    """Return whether a value from a pickle is an int of at least 0, not a bool."""
    return type(value) is int and value >= 0


def as_numbers(kind: str, data: np.ndarray, dtype: np.dtype, count: int) -> np.ndarray:
    """Return the bytes of a storage as `count` numbers."""
    if kind != "storage" or not isinstance(dtype, np.dtype):
        raise InputError(f"a tensor must be made of a storage of numbers, got {brief(kind)} of {brief(dtype)}")
    if not is_count(count) or count * dtype.itemsize != data.size:
        raise InputError(f"a storage of {data.size} bytes must hold as many as are stated, got {brief(count)} {dtype}")
    return data.view(dtype)


def rebuild_tensor(storage: np.ndarray, offset: int, size: tuple, stride: tuple, *unused: Any) -> np.ndarray:
    """Return a view of a storage, as torch._utils._rebuild_tensor(_v2) does; offset and strides in elements."""
    # Check that all numbers are counts.
    numbers = (offset, *size, *stride)
    if storage.ndim != 1 or len(size) != len(stride) or not all(map(is_count, numbers)):
        raise InputError(f"a tensor must have an offset, a size and a stride, got {brief(numbers)}")

    # Check that the tensor lies within its storage. A small file stays small in memory: the tensor may have no more
    # elements than the storage, though strides of 0 could repeat them.
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    count = math.prod(size)
    if count > storage.size or (count and last >= storage.size):
        raise InputError(
            f"a tensor must lie within its storage of {storage.size}, "
            f"got {brief(size)} from {brief(offset)} by {brief(stride)}"
        )

    # Make the view.
    strides = [step * storage.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(storage[min(offset, storage.size) :], size, strides, writeable=False)


def _old_parameter(state: tuple) -> np.ndarray:
    data, _, _, _, _ = state  # the others: creator, hooks, two flags
    return data


def _parameter(data: np.ndarray, *unused: Any) -> np.ndarray:
    return data


def _from_type(function: Any, type_: Any, arguments: tuple, state: Any) -> Any:
    """Return a tensor with attributes of its own, without them; its class does not matter."""
    if function not in (rebuild_tensor, _parameter):
        raise InputError(f"a tensor must be rebuilt by a function of torch._utils, got {brief(function)}")
    return function(*arguments)


def _dtype(code: str, *unused: Any) -> Any:
    """Return the dtype of a number or array, once its state says the byte order; others are ignored."""
    if type(code) is not str or code not in {"b1", *(kind + size for kind in "iuf" for size in "1248")}:
        return Ignored("numpy.dtype")
    return Buildable(lambda state: np.dtype(code).newbyteorder("=" if state[1] == "|" else state[1]))()


def _empty_array(*unused: Any) -> Any:
    return Buildable(_array)()


def _array(state: tuple) -> Any:
    _, shape, dtype, by_columns, data = state
    ignored = isinstance(dtype, Ignored) or isinstance(data, Ignored)
    return Ignored("numpy.ndarray") if ignored else _numbers(data, dtype, shape, "CF"[by_columns])


def _numbers(data: bytes, dtype: np.dtype, shape: tuple, order: str) -> np.ndarray:
    """Return an array of the bytes, in the machine's byte order."""
    if not isinstance(data, bytes | bytearray) or not isinstance(dtype, np.dtype) or not all(map(is_count, shape)):
        raise InputError(f"an array must have bytes, a dtype and a shape, got {brief(dtype)} {brief(shape)}")
    if math.prod(shape) * dtype.itemsize != len(data):
        raise InputError(f"an array must have the size of its {len(data)} bytes, got {brief(shape)} {dtype}")
    array = np.ndarray(shape, dtype, bytes(data), order="F" if order == "F" else "C")
    return array.astype(dtype.newbyteorder("="), copy=False)


def _number(dtype: np.dtype, data: bytes) -> bool | int | float:
    if not isinstance(dtype, np.dtype):
        raise InputError(f"a number must have a dtype, got {brief(dtype)}")
    return np.frombuffer(data, dtype, 1)[0].item()


def _bytes(text: str, encoding: str) -> bytes:
    """Return the bytes that a protocol without bytes stores as text."""
    return text.encode("latin1")


# Tensors before _rebuild_tensor, of early 2017: an empty object of the class; then its storage, offset, size, stride.
_OLD_TENSOR = Buildable(lambda state: rebuild_tensor(*state))
_OLD_TENSORS = ("Float", "Double", "Half", "Long", "Int", "Short", "Char", "Byte")

# 'module name' in a pickle -> the value or function that is read for it.
ADMITTED: dict[str, Any] = {
    "collections OrderedDict": lambda pairs=(): mapping(pairs),
    **{f"torch {kind}Tensor": _OLD_TENSOR for kind in _OLD_TENSORS},
    "torch.nn.parameter Parameter": Buildable(_old_parameter, new=_parameter),
    "torch._utils _rebuild_tensor": rebuild_tensor,
    "torch._utils _rebuild_tensor_v2": rebuild_tensor,
    "torch._utils _rebuild_parameter": _parameter,
    "torch._utils _rebuild_parameter_with_state": _parameter,
    "torch._tensor _rebuild_from_type_v2": _from_type,
    "torch FloatStorage": np.dtype(np.float32),
    "torch DoubleStorage": np.dtype(np.float64),
    "torch HalfStorage": np.dtype(np.float16),
    "torch BFloat16Storage": np.dtype(jnp.bfloat16),
    "torch LongStorage": np.dtype(np.int64),
    "torch IntStorage": np.dtype(np.int32),
    "torch ShortStorage": np.dtype(np.int16),
    "torch CharStorage": np.dtype(np.int8),
    "torch ByteStorage": np.dtype(np.uint8),
    "torch BoolStorage": np.dtype(np.bool_),
    "numpy dtype": _dtype,
    "numpy.core.multiarray scalar": _number,
    "numpy._core.multiarray scalar": _number,
    "numpy ndarray": None,  # an argument of _reconstruct
    "numpy.core.multiarray _reconstruct": _empty_array,
    "numpy._core.multiarray _reconstruct": _empty_array,
    "numpy.core.numeric _frombuffer": _numbers,
    "numpy._core.numeric _frombuffer": _numbers,
    "_codecs encode": _bytes,
    "__builtin__ bytes": lambda: b"",  # only empty ones are pickled as a call
}
