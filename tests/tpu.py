"""The formulations for a TPU, run here: kernels are interpreted."""

import functools

from jax import lax
from jax.experimental import pallas


def use_tpu_formulations(monkeypatch):
    """Let every choice by platform take the TPU's side in programs that are traced from now on."""
    monkeypatch.setattr(lax, "platform_dependent", lambda *args, default=None, **by: by.get("tpu", default)(*args))
    monkeypatch.setattr(pallas, "pallas_call", functools.partial(_pallas_call, pallas.pallas_call))


def _pallas_call(call, *args, **options):
    return call(*args, **(options | {"interpret": True}))
