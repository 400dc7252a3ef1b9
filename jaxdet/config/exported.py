"""The description of a detector in one file: the metadata that `jaxdet export` writes into a .safetensors file."""

import json
from pathlib import Path
from typing import Any

from jaxdet.checks import InputError
from jaxdet.config.translate import FORMAT, check_format, translate
from jaxdet.io.safetensors import SUFFIX, is_safetensors, read_metadata

KEY = "jaxdet"  # of the one entry of the metadata, JSON


def describe(
    config: dict[str, Any], class_names: tuple[str, ...], metrics: dict[str, Any], version: str
) -> dict[str, str]:
    """Return the metadata of a file: the config (with preprocessing and image sizes), the classes and the metrics."""
    content = {"format": FORMAT, "version": version, "config": config, "class_names": class_names, "metrics": metrics}
    return {"format": "jax", KEY: json.dumps(content, ensure_ascii=False)}


def read(path: Path) -> tuple[dict[str, Any], list[str]]:
    """Return the config, in the present format, and the class names of an exported file.

    Raises:
      InputError: the file is no file of safetensors, has no such metadata (names the flags that it needs), or its
        metadata cannot be read.
    """
    content = _content(path)
    return content["config"], content["class_names"]


def read_metrics(path: Path) -> dict[str, Any]:
    """Return what was measured of an exported detector, by split; errors as in `read`."""
    metrics = _content(path).get("metrics")
    return metrics if isinstance(metrics, dict) else {}


def _content(path: Path) -> dict[str, Any]:
    if not is_safetensors(path):
        raise InputError(
            f"{path} must be a {SUFFIX} file that export wrote, got another file; give a workdir or such a file."
        )
    metadata = read_metadata(path)
    if KEY not in metadata:
        raise InputError(
            f"{path} must be a file that `jaxdet export` wrote, got one without config and class names; make a workdir "
            f"of it: jaxdet convert --file={path} --config=NAME --classes=NAMES --workdir=FOLDER."
        )
    try:
        content = json.loads(metadata[KEY])
        check_format(content, path)
        content = translate(content, path)
        config, class_names = content["config"], content["class_names"]
        if not isinstance(config, dict) or not all(isinstance(name, str) for name in class_names):
            raise TypeError("config or class_names is of another type")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path}: the metadata must be what `jaxdet export` wrote, got {error}; export it again."
        ) from error
    return content
