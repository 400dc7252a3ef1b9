"""XLA's flags in the tests: most programs run once or twice, so they compile quickly and run slowly.

Without optimisation a training step compiles in a third of the time, and without fusion emitters in a third of that.
benchmarks/kill_and_resume.py runs optimised programs.
"""

import importlib.metadata

QUICKLY = "--xla_backend_optimization_level=0"
FUSED: dict[str, bool] = {}  # compiler options of a program that is fused as in users' programs
if tuple(map(int, importlib.metadata.version("jaxlib").split(".")[:3])) < (0, 11, 1):  # later versions refuse this flag
    QUICKLY += " --xla_cpu_use_fusion_emitters=false"
    FUSED["xla_cpu_use_fusion_emitters"] = True
