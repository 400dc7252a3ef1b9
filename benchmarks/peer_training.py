"""torchvision's Faster R-CNN trained as configs/faster_devkit.py trains ours. Needs torch and torchvision.

    python benchmarks/peer_training.py FOLDER --steps=3360 --short=224 --long=300 --scales=2,4,8,12 --seed=0 \
        --output=peer.npz
    python -m benchmarks.side_by_side RUN peer.npz

A narrow VGG16 (`--width` of the paper's channels) from random weights, two layers of 256, one image per step, AdamW
with warm-up and cosine decay, flips, no difficult objects: the width, images, steps and optimiser of jaxdet's run.
Losses and sampling are torchvision's. FOLDER is in VOC layout; trains on `train`, writes the detections of `val`.

`--width=1 --weights=vgg16.pth` starts from ImageNet's VGG16 in torchvision's names; fc6 and fc7, if in it, are not
used. `--frozen` (blocks of convolutions, from the first), `--head_features` and `--reference_fan_in` mean what
training.frozen, net.head_features and optim.reference_fan_in mean in jaxdet. The state is saved beside the output, as
.pt, every 200 steps; the same command resumes from it, and one with other flags is refused.
"""

import argparse
import math
import pathlib
import random
import sys
import xml.etree.ElementTree

import numpy as np
import torch
import torchvision
from PIL import Image
from torch import nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.transforms.functional import pil_to_tensor

BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
STRIDE = 16


def vgg16(flags):
    """Build VGG16's convolutions without the last pooling, with He-normal weights or those of a file."""
    layers, channels = [], 3
    for block, (filters, convolutions) in enumerate(BLOCKS):
        layers += [nn.MaxPool2d(2)] if block else []
        for _ in range(convolutions):
            layers += [nn.Conv2d(channels, round(filters * flags.width), 3, padding=1), nn.ReLU(inplace=True)]
            channels = round(filters * flags.width)
            nn.init.kaiming_normal_(layers[-2].weight)
            nn.init.zeros_(layers[-2].bias)
            layers[-2].requires_grad_(block >= flags.frozen)
    backbone = nn.Sequential(*layers)
    backbone.out_channels = channels
    if flags.weights:
        prefix, state = "features.", torch.load(flags.weights, weights_only=True)
        backbone.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})
    return backbone


def build(flags, classes):
    """Build torchvision's Faster R-CNN on vgg16."""
    backbone = vgg16(flags)
    sizes = tuple(round(scale * STRIDE) for scale in flags.scales)
    return FasterRCNN(
        backbone,
        None,
        min_size=flags.short,
        max_size=flags.long,
        rpn_anchor_generator=AnchorGenerator((sizes,), ((0.5, 1.0, 2.0),)),
        rpn_pre_nms_top_n_train=2000,
        rpn_post_nms_top_n_train=1000,
        rpn_pre_nms_top_n_test=1000,
        rpn_post_nms_top_n_test=300,
        box_roi_pool=torchvision.ops.MultiScaleRoIAlign(["0"], 7, 2),
        box_head=TwoMLPHead(backbone.out_channels * 49, flags.head_features),
        box_predictor=FastRCNNPredictor(flags.head_features, classes + 1),
        box_batch_size_per_image=128,
        box_score_thresh=0.05,
        box_nms_thresh=flags.nms,
    ).to(memory_format=torch.channels_last)


def read(folder, split, class_names):
    """Return (image u8[3,h,w], boxes f32[n,4] continuous, labels i64[n] from 1) per image, no difficult objects."""
    records = []
    for name in (folder / f"ImageSets/Main/{split}.txt").read_text().split():
        boxes, labels = [], []
        for element in xml.etree.ElementTree.parse(folder / f"Annotations/{name}.xml").getroot().iter("object"):
            if element.findtext("difficult", "0") != "1":
                x1, y1, x2, y2 = (float(element.findtext(f"bndbox/{e}")) for e in ("xmin", "ymin", "xmax", "ymax"))
                boxes.append([x1 - 1, y1 - 1, x2, y2])
                labels.append(class_names.index(element.findtext("name")) + 1)
        image = pil_to_tensor(Image.open(folder / f"JPEGImages/{name}.jpg").convert("RGB"))
        records.append((image, torch.tensor(boxes).reshape(-1, 4), torch.tensor(labels, dtype=torch.int64)))
    return records


def flip(image, boxes, labels):
    return (
        image.flip(-1),
        boxes[:, [2, 1, 0, 3]] * torch.tensor([-1, 1, -1, 1]) + torch.tensor([image.shape[-1], 0, image.shape[-1], 0]),
        labels,
    )


def parameter_groups(model, flags):
    """Yield each trainable array with its learning rate and weight decay. As in jaxdet, biases do not decay."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            kernel = parameter.ndim > 1
            scaled = kernel and flags.reference_fan_in
            factor = math.sqrt(flags.reference_fan_in / parameter[0].numel()) if scaled else 1
            yield {"params": [parameter], "lr": factor * flags.rate, "weight_decay": 1e-4 if kernel else 0}


def train(model, records, flags):
    optimizer = torch.optim.AdamW(parameter_groups(model, flags))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda t: min(1, (t + 1) / 100) * 0.5 * (1 + math.cos(math.pi * t / flags.steps))
    )
    model.train()
    first, order, window = 0, [], []
    stateful = (model, optimizer, schedule)
    saved = pathlib.Path(flags.output).with_suffix(".pt")
    if saved.exists():
        earlier, first, order, states, generators = torch.load(saved, weights_only=False)
        if earlier != vars(flags):
            changed = [name for name, value in vars(flags).items() if earlier.get(name) != value]
            sys.exit(f"{saved} must be of the same training, got other {', '.join(changed)}; name another --output.")
        for holder, state in zip(stateful, states, strict=True):
            holder.load_state_dict(state)
        random.setstate(generators[0])
        torch.set_rng_state(generators[1])
    for step in range(first, flags.steps):
        order = order or random.sample(range(len(records)), len(records))
        record = records[order.pop()]
        image, boxes, labels = flip(*record) if random.random() < 0.5 else record
        losses = model([image / 255], [{"boxes": boxes, "labels": labels}])
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        schedule.step()
        window.append([loss.item() for loss in losses.values()])
        if (step + 1) % 200 == 0:  # means since the last line, as in jaxdet's log
            print(step + 1, dict(zip(losses, np.mean(window, 0).round(3).tolist(), strict=True)), flush=True)
            window.clear()
            states, generators = [x.state_dict() for x in stateful], (random.getstate(), torch.get_rng_state())
            torch.save((vars(flags), step + 1, order, states, generators), saved.with_suffix(".new"))
            saved.with_suffix(".new").replace(saved)  # a kill while it is written leaves the state before


def detect(model, records):
    model.eval()
    columns = {"image": [], "boxes": [], "labels": [], "scores": []}
    with torch.inference_mode():
        for i, (image, _, _) in enumerate(records):
            (detections,) = model([image / 255])
            columns["image"].append(np.full(len(detections["labels"]), i, np.int32))
            for name in ("boxes", "labels", "scores"):
                columns[name].append(detections[name].numpy())
    return {name: np.concatenate(parts) for name, parts in columns.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--scales", type=lambda text: tuple(map(float, text.split(","))), required=True)
    for name in ("steps", "short", "long"):
        parser.add_argument(f"--{name}", type=int, required=True)
    for name, default in (("seed", 0), ("head_features", 256), ("frozen", 0), ("reference_fan_in", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    for name, default in (("width", 0.25), ("rate", 4e-4), ("nms", 0.3)):
        parser.add_argument(f"--{name}", type=float, default=default)
    parser.add_argument("--weights", default="")
    parser.add_argument("--output", required=True)
    flags = parser.parse_args()
    torch.manual_seed(flags.seed)
    random.seed(flags.seed)
    annotations = (flags.folder / "Annotations").glob("*.xml")
    class_names = sorted(
        {x.text for file in annotations for x in xml.etree.ElementTree.parse(file).findall("object/name")}
    )
    model = build(flags, len(class_names))
    train(model, read(flags.folder, "train", class_names), flags)
    detections = detect(model, read(flags.folder, "val", class_names))
    np.savez_compressed(flags.output, class_names=class_names, **detections)


if __name__ == "__main__":
    main()
