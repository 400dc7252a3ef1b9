"""Programs that a TPU's own compiler accepts, and the reading of its estimates."""

import importlib.util
import os
import pathlib
import subprocess
import sys

import pytest

from benchmarks.tpu_cycles import estimate

ROOT = pathlib.Path(__file__).parents[1]
needs_libtpu = pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None, reason="libtpu, the TPU's compiler, is not on the path"
)

PROGRAM = """HloModule jit_f

%body.1 (arg: (s32[], f32[8])) -> (s32[], f32[8]) {
  %fusion.1 = f32[8]{0:T(128)} fusion(%x), kind=kLoop, calls=%fused.1, metadata={op_name="jit(f)/while/body/add"}, \
backend_config={"estimated_cycles":"100"}
  ROOT %sort.2 = f32[8]{0} sort(%fusion.1), dimensions={0}, metadata={op_name="jit(f)/while/body/sort"}
}

%condition.1 (arg: (s32[], f32[8])) -> pred[] {
  %constant.1 = s32[]{:T(128)} constant(12)
  ROOT %lt.1 = pred[]{:T(512)} compare(%i, %constant.1), direction=LT
}

%until.1 (arg: f32[8]) -> pred[] {
  ROOT %lt.2 = pred[]{:T(512)} compare(%sum, %limit), direction=LT
}

%gathering.1 (table: f32[9,8], index: s32[8]) -> f32[8] {
  ROOT %gather.1 = f32[8]{0} gather(%table, %index), offset_dims={}
}

ENTRY %main.1 (x: f32[8]) -> f32[8] {
  %while.1 = (s32[], f32[8]{0}) while(%tuple), condition=%condition.1, body=%body.1, metadata={op_name="jit(f)/while"}
  %while.2 = f32[8]{0} while(%while.1), condition=%until.1, body=%body.1, metadata={op_name="jit(f)/until"}
  %fusion.2 = f32[8]{0} fusion(%table, %index), kind=kCustom, calls=%gathering.1, metadata={op_name="jit(f)/gather"}
  %all-reduce.1 = f32[8]{0} all-reduce(%fusion.2), replica_groups={}, to_apply=%add
  ROOT %copy.1 = f32[8]{0} copy(%all-reduce), metadata={op_name="jit(f)/copy"}, backend_config={"estimated_cycles":"7"}
}
"""


def test_loops_count_as_often_as_they_run_and_what_has_no_estimate_is_named():
    costs = estimate(PROGRAM)
    assert costs.total == 12 * 100 + 100 + 7
    assert costs.parts == {"while/add": 1300, "copy": 7}
    assert costs.silent == {"sort f32[8] while/sort": 13, "gather f32[8] gather": 1}
    assert costs.loops == [("until", 100)]
    assert costs.collectives == {"all-reduce f32[8]": 1}


def test_without_libtpu_the_cure_is_named(scripts):
    code = "import sys; sys.modules['libtpu'] = None; from benchmarks.tpu import tpu_mesh; tpu_mesh('v5e:2x2', 1)"
    printed = scripts.start_code(code).end(code=1)
    assert "pip install --no-deps" in printed and "Traceback" not in printed


COMPILE = """
import importlib

from benchmarks import tpu
config = importlib.import_module("configs." + NAME).get_config()
config.training.pretrained = ""
config.net.update({"width": 1 / 16, "head_features": 16, "compute_dtype": "bfloat16"})
mesh = tpu.tpu_mesh("v5e:2x2", DEVICES)
for program, (function, arguments) in tpu.programs(config, images=2, bucket=(96, 128), mesh=mesh).items():
    compiled = function.lower(*arguments).compile()
    memory, costs = compiled.memory_analysis(), tpu.estimate(compiled.as_text())
    assert memory.argument_size_in_bytes + memory.output_size_in_bytes + memory.temp_size_in_bytes < 16 * 2**30
    assert not [name for name in costs.silent if name.startswith(("gather", "scatter"))], costs.silent
    kinds = {name.split()[0] for name in costs.collectives}
    assert kinds <= ({"all-reduce"} if program == "step" else set()), kinds
"""


@needs_libtpu
@pytest.mark.parametrize(("name", "devices"), [("faster_voc", 1), ("faster_voc12_article", 2)])
def test_a_narrow_detector_compiles_for_a_tpu_and_fits_it(name, devices):
    code = f"NAME, DEVICES = {name!r}, {devices}\n{COMPILE}"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=os.environ | {"XLA_FLAGS": ""}, check=True)
