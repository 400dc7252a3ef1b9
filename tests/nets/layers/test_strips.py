"""Maps cut into strips and joined again."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxdet.nets.layers import strips


@pytest.mark.parametrize("batch", [1, 2, 3, 8])
def test_a_batch_of_strips_is_a_multiple_of_eight_and_joins_to_the_maps(batch):
    x = jnp.arange(batch * 48 * 4.0).reshape(batch, 48, 4, 1)
    cut = strips.cut(x, jnp.full((batch, 2), 48, jnp.int32), multiple=16)
    assert cut.x.shape[0] % 8 == 0 and cut.x.shape[1] % 16 == 0
    np.testing.assert_array_equal(strips.join(cut, 48), x)
