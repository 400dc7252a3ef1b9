"""Caffe models with the true structure of the authors' files, written by the protobuf library with Caffe's own types.

caffe.proto has `repeated float data = 5 [packed = true]` in its BlobProto; layers have the numbers of each generation.
"""

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

FIELD = descriptor_pb2.FieldDescriptorProto
BLOB = (("num", 1), ("channels", 2), ("height", 3), ("width", 4))
GENERATIONS = ("layer", "layers", "layers of layer")  # since 2014, of 2014, of 2013


def write(path, arrays, *, generation="layer", extra=()):
    """Write {layer: (weight, bias)} as a .caffemodel; `extra` layers have no parameters."""
    net = _net()(name="test")
    for name in (*arrays, *extra):
        layer = net.layer.add() if generation == "layer" else net.layers.add()
        layer = layer.layer if generation == "layers of layer" else layer
        layer.name = name
        for array in arrays.get(name, ()):
            blob = layer.blobs.add(data=array.ravel())
            if generation == "layer":
                blob.shape.dim.extend(array.shape)
            else:
                for (field, _), n in zip(BLOB, (1,) * (4 - array.ndim) + array.shape, strict=True):
                    setattr(blob, field, n)
    path.write_bytes(net.SerializeToString())
    return path


def _net():
    file = descriptor_pb2.FileDescriptorProto(name="caffe.proto", package="caffe", syntax="proto2")

    def message(name, *fields):
        described = file.message_type.add(name=name)
        for field, number, kind, *options in fields:
            label = FIELD.LABEL_REPEATED if options else FIELD.LABEL_OPTIONAL
            added = described.field.add(name=field, number=number, label=label)
            if isinstance(kind, str):
                added.type, added.type_name = FIELD.TYPE_MESSAGE, f".caffe.{kind}"
            else:
                added.type = kind
            added.options.packed = "packed" in options

    message("BlobShape", ("dim", 1, FIELD.TYPE_INT64, "packed"))
    message(
        "BlobProto",
        *((name, number, FIELD.TYPE_INT32) for name, number in BLOB),
        ("data", 5, FIELD.TYPE_FLOAT, "packed"),
        ("shape", 7, "BlobShape"),
    )
    message("V0LayerParameter", ("name", 1, FIELD.TYPE_STRING), ("blobs", 50, "BlobProto", "repeated"))
    message(
        "V1LayerParameter",
        ("layer", 1, "V0LayerParameter"),
        ("name", 4, FIELD.TYPE_STRING),
        ("blobs", 6, "BlobProto", "repeated"),
    )
    message("LayerParameter", ("name", 1, FIELD.TYPE_STRING), ("blobs", 7, "BlobProto", "repeated"))
    message(
        "NetParameter",
        ("name", 1, FIELD.TYPE_STRING),
        ("layers", 2, "V1LayerParameter", "repeated"),
        ("layer", 100, "LayerParameter", "repeated"),
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("caffe.NetParameter"))


# Channels of conv1 to conv5 at 1/16 of the papers' width, kernels' sides and groups.
FIVE = {
    "alexnet": ((6, 16, 24, 24, 16), (11, 5, 3, 3, 3), (1, 2, 1, 2, 2)),
    "zf": ((6, 16, 24, 24, 16), (7, 5, 3, 3, 3), (1,) * 5),
    "vgg_m": ((6, 16, 32, 32, 32), (7, 5, 3, 3, 3), (1,) * 5),
}
VGG16 = [
    (f"conv{block}_{i}", channels)
    for block, (channels, depth) in enumerate(((4, 2), (8, 2), (16, 3), (32, 3), (32, 3)), start=1)
    for i in range(1, depth + 1)
]


def detector(backbone, system, *, classes=3, hidden=16, seed=0):
    """Return {layer: (weight, bias)} of an authors' detector with random parameters and narrow layers."""
    rng = np.random.default_rng(seed)

    def layer(*shape):
        scale = np.sqrt(2 / np.prod(shape[1:]))
        return np.float32(scale * rng.standard_normal(shape)), np.float32(0.05 * rng.standard_normal(shape[0]))

    # Convolutions.
    arrays, inputs = {}, 3
    if backbone == "vgg16":
        for name, outputs in VGG16:
            arrays[name] = layer(outputs, inputs, 3, 3)
            inputs = outputs
    else:
        for i, (outputs, side, groups) in enumerate(zip(*FIVE[backbone], strict=True), start=1):
            arrays[f"conv{i}"] = layer(outputs, inputs // groups, side, side)
            inputs = outputs
    first = next(iter(arrays))
    arrays[first] = (arrays[first][0] / 60, arrays[first][1])  # images are not divided by their deviation

    # The region proposal network of py-faster-rcnn: 9 anchors, all backgrounds before all objects.
    if system == "faster_rcnn":
        rpn = "rpn_conv/3x3" if backbone == "vgg16" else "rpn_conv1"
        arrays[rpn] = layer(32 if backbone == "vgg16" else 16, inputs, 3, 3)
        arrays["rpn_cls_score"] = layer(18, len(arrays[rpn][0]), 1, 1)
        arrays["rpn_bbox_pred"] = tuple(0.1 * x for x in layer(36, len(arrays[rpn][0]), 1, 1))

    # The head.
    side = 7 if backbone == "vgg16" else 6
    arrays["fc6"] = layer(hidden, inputs * side * side)
    arrays["fc7"] = layer(hidden // 4 if backbone == "vgg_m" else hidden, hidden)
    outputs = len(arrays["fc7"][0])
    arrays["fc8_pascal" if system == "rcnn" else "cls_score"] = layer(classes + 1, outputs)
    if system != "rcnn":
        arrays["bbox_pred"] = tuple(0.1 * x for x in layer(4 * (classes + 1), outputs))
    return arrays
