"""VGG_CNN_M_1024 against plain float64 numpy."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxdet.nets.region_net import region_net
from tests.nets import plain


def test_conv5_equals_plain_numpy():
    net = region_net(backbone="vgg_m", num_classes=1, num_anchors=0, width=1 / 16, head_features=8)
    params = jax.jit(net.init)(jax.random.key(0))
    assert params["fc7"]["kernel"].shape == (8, 2)  # 1,024 of 4,096
    image = np.random.default_rng(0).uniform(-120, 120, (93, 122, 3)).astype(np.float32)
    bucket = np.pad(image, ((0, 3), (0, 6), (0, 0)), constant_values=7)[None]
    features, size = jax.jit(net.features)(params, bucket, jnp.asarray([[93.0, 122.0]]))

    def array(name):
        return np.float64(params[name]["kernel"]).transpose(3, 2, 0, 1), np.float64(params[name]["bias"])

    want = plain.vgg_m(np.float64(image).transpose(2, 0, 1), array).transpose(1, 2, 0)
    np.testing.assert_array_equal(size, [want.shape[:2]])
    assert (want > 0).mean() > 0.2
    got = features[0, : size[0, 0], : size[0, 1]]
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5 * want.max())
