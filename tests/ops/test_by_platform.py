"""The choice by platform: with and without a platform that is known when the function is traced."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from jaxdet.ops.by_platform import by_platform, lowered_for

X = jax.ShapeDtypeStruct((2,), jnp.float32)


def choose(x, traced):
    """Return sin on a TPU and cos elsewhere, and append to `traced` the forms that are traced."""

    def tpu(x):
        traced.append("tpu")
        return jnp.sin(x)

    def default(x):
        traced.append("default")
        return jnp.cos(x)

    return by_platform(x, tpu=tpu, default=default)


def ops(exported):
    return {name for name in ("sine", "cosine") if f"stablehlo.{name} " in exported.mlir_module()}


def test_an_unknown_platform_is_chosen_when_the_program_is_lowered():
    traced = []
    function = jax.jit(lambda x: choose(x, traced))
    assert ops(export.export(function, platforms=["tpu"])(X)) == {"sine"}
    assert ops(export.export(function, platforms=["cpu"])(X)) == {"cosine"}
    assert ops(export.export(function, platforms=["cpu", "cuda", "tpu"])(X)) == {"sine", "cosine"}
    assert set(traced) == {"tpu", "default"}


@pytest.mark.parametrize(("platform", "form"), [("tpu", "tpu"), ("cpu", "default"), ("gpu", "default")])
def test_only_the_form_for_a_known_platform_is_traced(platform, form):
    traced = []
    with lowered_for(platform):
        jax.eval_shape(lambda x: jax.vmap(lambda x: choose(x, traced))(x), X)
    assert traced == [form]


def test_a_function_traced_for_one_platform_is_traced_again_for_another():
    """The platform is a part of the key of jax's caches."""

    @jax.jit
    def inner(x):
        return choose(x, [])

    def lowered(platform, lowered_as):
        def outer(x):
            with lowered_for(platform):
                return inner(x)

        return ops(export.export(jax.jit(outer), platforms=[lowered_as])(X))

    assert lowered("cpu", "cpu") == {"cosine"}
    assert lowered("tpu", "tpu") == {"sine"}
    assert ops(export.export(inner, platforms=["tpu"])(X)) == {"sine"}


def test_without_a_jit_the_form_for_this_machine_runs():
    np.testing.assert_allclose(choose(jnp.ones(2), []), np.cos(np.ones(2)), rtol=1e-6)


def test_of_nested_platforms_the_outermost_decides():
    traced = []
    with lowered_for("tpu"), lowered_for("cpu"):
        jax.eval_shape(lambda x: choose(x, traced), X)
    assert traced == ["tpu"]
