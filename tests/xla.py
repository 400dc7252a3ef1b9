"""How the tests' programs are compiled: most run once or twice, so they are compiled quickly and run slowly.

Without optimisation a training step compiles in a third of the time, without the newer code for fusions in a third of
that. benchmarks/kill_and_resume.py runs optimised programs.
"""

QUICKLY = "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
