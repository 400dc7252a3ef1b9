"""Laws of every op: jit changes nothing, vmap equals a loop, padding never changes a valid result.

Arrays are assembled with numpy, which compiles nothing.
"""

import jax
import numpy as np


def assert_close(actual, expected, *, tolerance=1e-6):
    """Assert equal structure, equal integers and booleans, and floats within a relative and absolute tolerance."""
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for got, want in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        got, want = np.asarray(got), np.asarray(want)
        assert got.shape == want.shape
        assert got.dtype == want.dtype
        if np.issubdtype(got.dtype, np.floating):
            np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)
        else:
            np.testing.assert_array_equal(got, want)


def assert_jit_law(function, *args, tolerance=1e-6):
    """Assert jit(f)(*args) == f(*args), the latter evaluated operation by operation."""
    assert_close(jax.jit(function)(*args), function(*args), tolerance=tolerance)


def assert_vmap_law(function, *examples, tolerance=1e-6):
    """Assert that vmap over stacked arguments equals a loop; each example is a tuple of arguments."""
    compiled = jax.jit(function)
    expected = _stack([compiled(*args) for args in examples])
    actual = jax.jit(jax.vmap(function))(*_stack(examples))
    assert_close(actual, expected, tolerance=tolerance)


def _stack(trees):
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


def assert_padding_law(function, args, mask, padded_args, read, *, tolerance=1e-6):
    """Assert that rows inserted at the False slots of `mask` change nothing, whether zeros or finite garbage.

    Args:
      function: the op.
      args: its arguments.
      mask: np bool[M] with as many True as the padded arguments have rows.
      padded_args: positions of the arguments that have those rows; bool arguments are padded with False.
      read: (result of the padded call, slots of the original rows) -> the part that must equal the unpadded result.
      tolerance: for floats.
    """
    function = jax.jit(function)
    expected = function(*args)
    for garbage in (False, True):
        rng = np.random.default_rng(7)
        padded = [insert_slots(rng, arg, mask, garbage) if i in padded_args else arg for i, arg in enumerate(args)]
        assert_close(read(function(*padded), np.flatnonzero(mask)), expected, tolerance=tolerance)


def insert_slots(rng, array, mask, garbage):
    """Return an array with the rows of `array` at the True slots of `mask`, and zeros or finite garbage elsewhere."""
    array = np.asarray(array)
    shape = (len(mask), *array.shape[1:])
    padded = np.zeros(shape, array.dtype)
    if garbage and array.dtype == np.int32:
        padded = rng.integers(0, 3, shape, np.int32)
    elif garbage and array.dtype == np.float32:
        padded = rng.normal(0, 300, shape).astype(np.float32)
    padded[mask] = array
    return padded


def rows(result, slots):
    """Return the original rows of every array of a result, for ops whose outputs have the rows of their inputs."""
    return jax.tree.map(lambda leaf: np.asarray(leaf)[slots], result)
