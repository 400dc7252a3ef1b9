"""XLA's flags in the tests: most programs run once or twice, so they compile quickly and run slowly.

Without optimisation a training step compiles in a third of the time, and without fusion emitters in a third of that.
benchmarks/kill_and_resume.py runs optimised programs.
"""

import contextlib
import importlib.metadata
import pathlib
from collections.abc import Iterator

QUICKLY = "--xla_backend_optimization_level=0"
FUSED: dict[str, bool] = {}  # compiler options of a program that is fused as in users' programs
if tuple(map(int, importlib.metadata.version("jaxlib").split(".")[:3])) < (0, 11, 1):  # later versions refuse this flag
    QUICKLY += " --xla_cpu_use_fusion_emitters=false"
    FUSED["xla_cpu_use_fusion_emitters"] = True


@contextlib.contextmanager
def cached(folder: pathlib.Path) -> Iterator[None]:
    """Keep the programs that are compiled meanwhile in a folder, and read them from there."""
    import jax  # after the flags are set
    from jax.experimental.compilation_cache import compilation_cache

    def update(folder: str | None, seconds: float) -> None:
        jax.config.update("jax_compilation_cache_dir", folder)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", seconds)
        compilation_cache.reset_cache()

    update(str(folder), 0.0)
    try:
        yield
    finally:
        update(None, 1.0)
