"""The laws every op obeys: jit changes nothing, vmap is a loop, and padding never changes a valid result.

Arrays are put together in numpy, which compiles nothing.
"""

import jax
import numpy as np


def assert_close(actual, expected, *, tolerance=1e-6):
    """Equal structure; equal integers and booleans; floats within a relative and absolute tolerance."""
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
    """jit(f)(*args) == f(*args), evaluated operation by operation."""
    assert_close(jax.jit(function)(*args), function(*args), tolerance=tolerance)


def assert_vmap_law(function, *examples, tolerance=1e-6):
    """vmap over stacked arguments equals a loop over them; each example is a tuple of arguments."""
    one = jax.jit(function)
    expected = _stack([one(*args) for args in examples])
    actual = jax.jit(jax.vmap(function))(*_stack(examples))
    assert_close(actual, expected, tolerance=tolerance)


def _stack(trees):
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


def assert_padding_law(function, args, mask, padded_args, read, *, tolerance=1e-6):
    """Rows inserted at the False slots of `mask` change nothing, whether they hold zeros or finite garbage.

    Args:
      function: the op, of the arguments.
      args: its arguments.
      mask: np bool[M] with as many True as the padded arguments have rows.
      padded_args: numbers of the arguments that have those rows; a bool one is taken for the validity, and False.
      read: (result of the padded call, slots of the original rows) -> what must equal the result without padding.
      tolerance: for floats.
    """
    function = jax.jit(function)
    expected = function(*args)
    for garbage in (False, True):
        rng = np.random.default_rng(7)
        padded = [insert_slots(rng, arg, mask, garbage) if i in padded_args else arg for i, arg in enumerate(args)]
        assert_close(read(function(*padded), np.flatnonzero(mask)), expected, tolerance=tolerance)


def insert_slots(rng, array, mask, garbage):
    """Spreads the rows of `array` over the True slots of `mask`; the others hold zeros, or finite garbage."""
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
    """Reads the original rows of every array of a result, for ops whose outputs have the rows of their inputs."""
    return jax.tree.map(lambda leaf: np.asarray(leaf)[slots], result)
