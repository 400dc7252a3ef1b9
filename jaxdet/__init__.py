"""R-CNN, Fast R-CNN and Faster R-CNN in JAX and Flax.

    import jaxdet
    detector = jaxdet.load_detector("runs/demo")
    detections = detector(image)  # u8[H,W,3] RGB -> boxes, scores, labels, class names

Public and stable: `load_detector`, `parse_config` and `build_detector` (a config -> Detector), `ops` (pure functions of
one image with static shapes), `types` (what passes between them), `InputError` and `__version__`. They are imported on
first use, so that `import jaxdet.ops` does not wait for Flax and TFDS.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxdet import ops, types
    from jaxdet.checks import InputError
    from jaxdet.config.parse import parse as parse_config
    from jaxdet.load import LoadedDetector, load_detector
    from jaxdet.systems import build_detector

__version__ = "0.1.0"

__all__ = [
    "InputError",
    "LoadedDetector",
    "__version__",
    "build_detector",
    "load_detector",
    "ops",
    "parse_config",
    "types",
]

_PLACES = {
    "InputError": ("jaxdet.checks", "InputError"),
    "LoadedDetector": ("jaxdet.load", "LoadedDetector"),
    "build_detector": ("jaxdet.systems", "build_detector"),
    "load_detector": ("jaxdet.load", "load_detector"),
    "parse_config": ("jaxdet.config.parse", "parse"),
}


def __getattr__(name: str) -> Any:
    if name in ("ops", "types"):
        return importlib.import_module(f"jaxdet.{name}")
    if name not in _PLACES:
        raise AttributeError(f"module 'jaxdet' has no attribute {name!r}")
    module, attribute = _PLACES[name]
    return getattr(importlib.import_module(module), attribute)
