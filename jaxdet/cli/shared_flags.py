"""Flags that several commands have."""

import os
from typing import TYPE_CHECKING

from absl import flags
from ml_collections import ConfigDict

from jaxdet.checks import InputError
from jaxdet.cli.app import PUBLISHED
from jaxdet.cli.config_file import load_config
from jaxdet.io.home import expand_home

if TYPE_CHECKING:
    from jaxdet.load import Published

flags.disclaim_key_flags()  # --help lists the flags below under the running script


def define_path(name: str, default: str | None, text: str) -> flags.FlagHolder[str]:
    """Define a flag that takes a path."""
    return flags.DEFINE(_Path(), name, default, text, serializer=flags.ArgumentSerializer())


def define_checkpoint() -> flags.FlagHolder[str]:
    """Define --checkpoint."""
    return flags.DEFINE_string("checkpoint", "best", "best (by validation mAP), last, or a saved step such as 1500.")


def define_pretrained() -> flags.FlagHolder[str | None]:
    """Define --pretrained, the name of a published detector."""
    return flags.DEFINE_enum("pretrained", None, list(PUBLISHED), "A published detector in place of --workdir.")


def define_pretrained_file() -> flags.FlagHolder[str]:
    """Define --pretrained_file."""
    return define_path("pretrained_file", "", "Its file or another address of it; if not given, downloaded.")


def define_distributed() -> flags.FlagHolder[str]:
    """Define --distributed."""
    return flags.DEFINE_string(
        "distributed", "", "For several processes: auto, or HOST:PORT,COUNT,NUMBER of this one; see the documentation."
    )


def one_workdir(files: list[str], flag: str | None, command: str) -> str | None:
    """Return the workdir that an argument or the flag names."""
    named = [*map(os.path.expanduser, files), *([flag] if flag else [])]
    if len(named) > 1:
        raise InputError(f"one workdir must be given, got {', '.join(named)}; {command} them one by one.")
    return named[0] if named else None


def published(name: str | None, file: str, config: ConfigDict | None) -> "Published | None":
    """Return the published detector that the flags name; `config` is its config with overrides, None for its own."""
    from jaxdet.load import Published

    if name:
        return Published(name, (config or load_config(PUBLISHED[name])).to_dict(), file)
    if file:
        raise InputError(f"--pretrained must say which detector {file} is, got none; add --pretrained=coco.")
    return None


class _Path(flags.ArgumentParser):
    """Parser of a path: ~ is the home folder, also where the shell leaves it as it is (--output=~/detections)."""

    def parse(self, argument: str) -> str:
        return expand_home("path", argument)
