"""Makes a workdir of another project's detector: python convert.py --config=... --file=model.pth --workdir=..."""

from absl import flags
from ml_collections import config_flags

from jaxdet import commands, conversion

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "How it was trained; configs/simple_faster_rcnn.py if not given."
)
_FILE = flags.DEFINE_string(
    "file", None, "The .pth file: simple-faster-rcnn-pytorch's, or torchvision's FasterRCNN with VGG16."
)
_WORKDIR = flags.DEFINE_string("workdir", None, "The folder to write; evaluate.py and predict.py take it.")
_CLASSES = flags.DEFINE_list(
    "classes", None, "Names of the head's classes in its order, without background; VOC's if not given."
)


def main(_) -> None:
    conversion.convert(_CONFIG.value, _FILE.value, _WORKDIR.value, _CLASSES.value)


if __name__ == "__main__":
    commands.run(main, default_config="configs/simple_faster_rcnn.py")
