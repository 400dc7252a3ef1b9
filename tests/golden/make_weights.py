"""Write the weights_* files with the original libraries, each in a separate environment.

    python make_weights.py torch   torch 2.13, torchvision 0.28: weights_torchvision.pth, weights_caffe.pth (the format
                                   before torch 1.6 and jcjohnson's names), weights_tensors*.pth, weights_torch.npz
    python make_weights.py detector   the same: weights_detector.pth and its detections, weights_detector.npz
    python make_weights.py keras   keras 3.15 with jax: weights_keras_*.h5, weights_keras.npz

The nets are VGG16 with 1/32 of its channels and fully connected layers of 8; the results are conv5_3 and fc7 of
`image()`, preprocessed as each library does. The detector is torchvision's FasterRCNN around such a net, with four
classes; its detections are those of `image(96, 128)`, which it neither resizes nor pads.
"""

import collections
import os
import pathlib
import sys

import numpy as np

HERE = pathlib.Path(__file__).parent
BLOCKS = ((2, 2), (4, 2), (8, 3), (16, 3), (16, 3))  # (channels, convolutions)
HIDDEN = 8


def image(height=224, width=224):
    """Return u8[height,width,3] RGB, a texture that needs no file."""
    return (np.arange(height * width * 3, dtype=np.int64) * 7919 % 251).astype(np.uint8).reshape(height, width, 3)


def torch_files():
    import torch
    from torchvision.models.vgg import VGG, make_layers
    from torchvision.transforms.functional import normalize

    torch.manual_seed(0)
    net = VGG(make_layers([c for channels, n in BLOCKS for c in [channels] * n + ["M"]]), init_weights=False)
    net.classifier = torch.nn.Sequential(
        *(torch.nn.Linear(16 * 49, HIDDEN), torch.nn.ReLU(), torch.nn.Dropout()),
        *(torch.nn.Linear(HIDDEN, HIDDEN), torch.nn.ReLU(), torch.nn.Dropout(), torch.nn.Linear(HIDDEN, 5)),
    )
    for module in net.modules():
        if hasattr(module, "weight"):
            torch.nn.init.kaiming_normal_(module.weight)
            torch.nn.init.uniform_(module.bias, 0, 0.2)
    net.eval()
    torch.save(net.state_dict(), HERE / "weights_torchvision.pth")
    rename = {"classifier.0": "classifier.1", "classifier.3": "classifier.4"}
    state = {".".join([rename.get(n[: n.rindex(".")], n[: n.rindex(".")]), n.split(".")[-1]]): x
             for n, x in net.state_dict().items()}  # fmt: skip
    state = collections.OrderedDict(state)
    torch.save(state, HERE / "weights_caffe.pth", _use_new_zipfile_serialization=False)

    results = {}

    def run(name, x):
        with torch.no_grad():
            features = net.features[:-1](x)
            hidden = net.classifier[:5](torch.flatten(net.avgpool(net.features[-1](features)), 1))
        results[f"{name}/conv5_3"] = features[0].permute(1, 2, 0).numpy()
        results[f"{name}/fc7"] = hidden[0].numpy()

    rgb = torch.tensor(image()).permute(2, 0, 1)[None] / 255
    run("torchvision", normalize(rgb, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    for layer in net.features:
        if isinstance(layer, torch.nn.MaxPool2d):
            layer.ceil_mode = True  # as Caffe pools: 210 x 200 -> 14 x 13
    bgr = image(210, 200)[..., ::-1].astype(np.float32) - np.float32([102.9801, 115.9465, 122.7717])
    run("caffe", torch.tensor(np.ascontiguousarray(bgr)).permute(2, 0, 1)[None])

    base = torch.arange(24.0).reshape(4, 6)
    tensors = collections.OrderedDict(
        base=base, transposed=base.t(), strided=base[1:3, ::2], scalar=torch.tensor(3.5), empty=torch.zeros(0, 3),
        parameter=torch.nn.Parameter(base[0]), half=base.half(), bfloat16=base.bfloat16(), double=base.double(),
        int64=base.long(), int32=base.int(), uint8=base.byte(), bool=base > 3,
    )  # fmt: skip
    contents = {"tensors": tensors, "best_map": np.float64(0.7), "config": {"a": [1, 2.5, None, True, "x", (1, 2)]}}
    for name, new in (("weights_tensors.pth", True), ("weights_tensors_legacy.pth", False)):
        torch.save(contents, HERE / name, _use_new_zipfile_serialization=new)
    for name, x in tensors.items():
        results[f"tensors/{name}"] = (x.float() if name == "bfloat16" else x.detach()).numpy()
    np.savez_compressed(HERE / "weights_torch.npz", **results)


def detector_files():
    import torch
    from torchvision.models.detection import FasterRCNN, anchor_utils, faster_rcnn
    from torchvision.models.vgg import make_layers
    from torchvision.ops import MultiScaleRoIAlign

    torch.manual_seed(1)
    features = make_layers([c for channels, n in BLOCKS for c in [channels] * n + ["M"]])[:-1]
    features.out_channels = 16
    net = FasterRCNN(
        features, min_size=96, max_size=128,
        rpn_anchor_generator=anchor_utils.AnchorGenerator(((32.0, 64.0),), ((0.5, 1.0, 2.0),)),
        rpn_pre_nms_top_n_test=100, rpn_post_nms_top_n_test=16,
        box_roi_pool=MultiScaleRoIAlign(["0"], 7, 2), box_head=faster_rcnn.TwoMLPHead(16 * 49, HIDDEN),
        box_predictor=faster_rcnn.FastRCNNPredictor(HIDDEN, 5), box_nms_thresh=0.3,
    ).eval()  # fmt: skip
    for module in net.modules():
        if hasattr(module, "weight"):
            torch.nn.init.kaiming_normal_(module.weight)
            torch.nn.init.uniform_(module.bias, 0, 0.2)
    for last in (net.rpn.head.bbox_pred, net.roi_heads.box_predictor.bbox_pred):
        last.weight.data /= 10  # boxes that stay near their anchors
    torch.save(net.state_dict(), HERE / "weights_detector.pth")
    with torch.no_grad():
        (detections,) = net([torch.tensor(image(96, 128)).permute(2, 0, 1) / 255])
    np.savez_compressed(HERE / "weights_detector.npz", **{name: x.numpy() for name, x in detections.items()})


def keras_files():
    os.environ["KERAS_BACKEND"] = "jax"
    import h5py
    import keras
    from keras import layers
    from keras.applications.vgg16 import preprocess_input

    keras.utils.set_random_seed(0)
    options = {"activation": "relu", "kernel_initializer": "he_normal", "bias_initializer": "random_uniform"}
    inputs = x = layers.Input((224, 224, 3))
    for block, (channels, n) in enumerate(BLOCKS, 1):
        for i in range(1, n + 1):
            x = layers.Conv2D(channels, 3, padding="same", name=f"block{block}_conv{i}", **options)(x)
        conv5_3, x = x, layers.MaxPooling2D(2, name=f"block{block}_pool")(x)
    bare = keras.Model(inputs, x, name="vgg16")
    x = layers.Dense(HIDDEN, name="fc1", **options)(layers.Flatten(name="flatten")(x))
    fc7 = x = layers.Dense(HIDDEN, name="fc2", **options)(x)
    whole = keras.Model(inputs, layers.Dense(5, name="predictions")(x), name="vgg16")

    # The published file: Keras 1.1 named the arrays <layer>_W_1:0 and <layer>_b_1:0, right in the layer's group
    with h5py.File(HERE / "weights_keras_published.h5", "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in whole.layers]
        for layer in whole.layers:
            names = [f"{layer.name}_{kind}_1:0" for kind in "Wb"][: len(layer.weights)]
            group = file.create_group(layer.name)
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, value in zip(names, layer.get_weights(), strict=True):
                group.create_dataset(name, data=value)
    bare.save(HERE / "weights_keras_notop.h5")  # the whole model without its top, by Keras's own writer
    whole.save_weights(HERE / "weights_keras_3.weights.h5")
    seen = keras.Model(inputs, [conv5_3, fc7])(preprocess_input(image()[None].astype(np.float32)))
    results = {name: np.asarray(x[0]) for name, x in zip(("conv5_3", "fc7"), seen, strict=True)}
    np.savez_compressed(HERE / "weights_keras.npz", **results)


if __name__ == "__main__":
    {"torch": torch_files, "detector": detector_files, "keras": keras_files}[sys.argv[1]]()
