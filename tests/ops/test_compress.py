"""Values move to the front of an array and back."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxdet.ops.compress import compress, expand


@pytest.mark.parametrize("length", [1, 50, 64])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.8, 1.0])
def test_values_move_to_the_front_and_to_the_slot_of_their_rank(length, share):
    rng = np.random.default_rng(0)
    values, chosen = rng.permutation(length), rng.random(length) < share
    (front,) = compress(jnp.asarray(chosen), jnp.asarray(values))
    np.testing.assert_array_equal(front[: chosen.sum()], values[chosen])
    moved = expand(jnp.asarray(chosen), jnp.asarray(values))
    np.testing.assert_array_equal(moved[chosen], values[: chosen.sum()])
