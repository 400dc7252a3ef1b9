"""Reading of .caffemodel files: protobuf messages of Caffe's layers, read by a schema of the few fields needed here.

Nothing in a file is executed, and Caffe is not needed.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory

from jaxdet.checks import InputError
from jaxdet.io.regular_file import check_regular, read_regular

MAX_BYTES = 2**31 - 1  # a protobuf message cannot be longer

# message -> field -> (number, type). Three generations of layers: `layer` (100) since 2014, `layers` (2) of 2014, and
# the `layer` (1) inside `layers` of 2013. A packed array of floats has the wire format of `bytes`, which is read at
# once.
_SCHEMA: dict[str, dict[str, tuple[int, str]]] = {
    "Net": {"layers": (2, "OldLayer*"), "layer": (100, "Layer*")},
    "Layer": {"name": (1, "bytes"), "blobs": (7, "Blob*")},
    "OldLayer": {"layer": (1, "OldestLayer"), "name": (4, "bytes"), "blobs": (6, "Blob*")},
    "OldestLayer": {"name": (1, "bytes"), "blobs": (50, "Blob*")},
    "Blob": {
        "num": (1, "int32"),
        "channels": (2, "int32"),
        "height": (3, "int32"),
        "width": (4, "int32"),
        "floats": (5, "bytes"),
        "shape": (7, "Shape"),
        "doubles": (8, "bytes"),
    },
    "Shape": {"dim": (1, "int64*")},
}


def is_caffemodel(path: str | os.PathLike) -> bool:
    """Return whether a file begins as a protobuf message of a net does: with its name, or with a layer."""
    path = Path(path)
    try:
        check_regular(path)
        with path.open("rb") as file:
            start = file.read(9)
    except OSError:
        return path.suffix == ".caffemodel"  # its reader names the error
    if start[8:] == b"{":  # a safetensors file begins with the length of its header, which may look like a message
        return False
    return start.startswith((b"\n", b"\x12", b"\xa2\x06"))


def read_caffemodel(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Return the arrays of a .caffemodel file by Caffe's layer names: "conv1_1.weight" and "conv1_1.bias".

    Convolutions are OIHW and inner products [out, in], with the channels of the input slowest, as in PyTorch. Layers
    without parameters, and layers with others than a weight and a bias, are left out.

    Raises:
      InputError: no such file; not a whole .caffemodel; larger than a protobuf message may be.
    """
    path = Path(path)
    net = _message_class()()
    try:
        net.ParseFromString(read_regular(path, max_bytes=MAX_BYTES))
        layers = list(_layers(net))
        if not layers:
            raise InputError(f"{path} must hold the layers of a trained net, got none; give a .caffemodel file.")
        return {name: array for layer, blobs in layers for name, array in _arrays(layer, blobs)}
    except OSError as error:
        raise InputError(f"{path} must be a readable file, got: {error.strerror}; check the path.") from None
    except (message.DecodeError, ValueError) as error:
        raise InputError(
            f"{path} must be a whole .caffemodel file, got other contents ({error}); download it again."
        ) from None


def _message_class() -> Any:
    """Return the protobuf class of the schema's Net."""
    file = descriptor_pb2.FileDescriptorProto(name="jaxdet_caffe.proto", package="jaxdet_caffe", syntax="proto2")
    field_type = descriptor_pb2.FieldDescriptorProto
    scalars = {"bytes": field_type.TYPE_BYTES, "int32": field_type.TYPE_INT32, "int64": field_type.TYPE_INT64}
    for message_name, fields in _SCHEMA.items():
        described = file.message_type.add(name=message_name)
        for name, (number, kind) in fields.items():
            label = field_type.LABEL_REPEATED if kind.endswith("*") else field_type.LABEL_OPTIONAL
            field = described.field.add(name=name, number=number, label=label)
            kind = kind.rstrip("*")
            if kind in scalars:
                field.type = scalars[kind]
            else:
                field.type, field.type_name = field_type.TYPE_MESSAGE, f".jaxdet_caffe.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("jaxdet_caffe.Net"))


def _layers(net: Any) -> Iterator[tuple[str, Any]]:
    """Yield name and blobs of each layer with parameters, of any generation."""
    for old in net.layers:
        layer = old.layer if old.HasField("layer") else old
        if layer.blobs:
            yield layer.name.decode(errors="replace"), layer.blobs
    for layer in net.layer:
        if layer.blobs:
            yield layer.name.decode(errors="replace"), layer.blobs


def _arrays(layer: str, blobs: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the weight and the bias of a layer.

    Raises:
      ValueError: a blob's shape and data differ.
    """
    if len(blobs) > 2:
        return
    for suffix, blob in zip(("weight", "bias"), blobs, strict=False):
        array = np.frombuffer(blob.doubles, "<f8") if blob.doubles else np.frombuffer(blob.floats, "<f4")
        shape = tuple(blob.shape.dim) or (blob.num, blob.channels, blob.height, blob.width)
        if min(shape) < 0 or np.prod(shape, dtype=object) != array.size:
            raise ValueError(f"{layer} holds {array.size} numbers for the shape {'x'.join(map(str, shape))}")
        # Older files have four dimensions everywhere: 1 x 1 x out x in, and 1 x 1 x 1 x out.
        if suffix == "bias":
            shape = (array.size,)
        elif shape[:2] == (1, 1) and len(shape) == 4:
            shape = shape[2:]
        yield f"{layer}.{suffix}", array.reshape(shape).astype(np.float32, copy=False)
