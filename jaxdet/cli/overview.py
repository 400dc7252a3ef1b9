"""The text that train.py prints when it is run without arguments."""

import ast
from pathlib import Path

EXAMPLES = """\
{program} trains a detector. Examples:

  {program} --config=faster_shapes
      the demo: generated images, some minutes on a CPU
  {program} --config=faster_devkit --config.dataset.devkit=FOLDER
      your own photos in VOC layout, a small net that a CPU can train
  {program} --config=faster_resnet50_fpn_devkit --config.dataset.devkit=FOLDER
      your own photos, from COCO's weights, on a GPU
  {program} --config=faster_shapes --config.training.steps=500 --workdir=runs/short
      any field can be set; {program} --config=NAME --help lists the fields
  {program} --config=NAME --dry_run
      tries two steps, validation, saving and evaluation, and says how long training takes
  {program} --workdir=runs/short
      resumes a run that was stopped

Configs that --config takes by name, or as a file of your own:

"""


def overview(program: str, configs: Path) -> str:
    """Return what train.py can do, with examples and the configs in a folder.

    Args:
      program: the command as it is typed, such as "jaxdet train".
    """
    lines = [f"  {path.stem:30}{_summary(path)}" for path in sorted(configs.glob("[!_]*.py"))]
    return EXAMPLES.format(program=program) + "\n".join(lines)


def _summary(path: Path) -> str:
    """Return the first line of a config's docstring."""
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]
