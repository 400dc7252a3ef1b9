"""The peer of end_to_end.py: torchvision's Faster R-CNN with VGG16. Needs torch and torchvision.

For each line `detect` or `train` of its standard input it runs that once on a random image and prints the seconds of
process CPU time.
"""

import sys
import time

import torch
import torchvision
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead

HEIGHT, WIDTH, STRIDE, CLASSES = 600, 1000, 16, 21


def build():
    """Build VGG16 without its last pooling, its first four convolutions frozen, with the settings of faster_voc.py."""
    backbone = torchvision.models.vgg16(weights=None).features[:-1]
    backbone.out_channels = 512
    for layer in backbone[:10]:
        layer.requires_grad_(False)
    return FasterRCNN(
        backbone,
        None,
        min_size=HEIGHT,
        max_size=WIDTH,
        rpn_anchor_generator=AnchorGenerator(((128, 256, 512),), ((0.5, 1.0, 2.0),)),
        rpn_pre_nms_top_n_train=12000,
        rpn_post_nms_top_n_train=2000,
        rpn_pre_nms_top_n_test=6000,
        rpn_post_nms_top_n_test=300,
        box_roi_pool=torchvision.ops.MultiScaleRoIAlign(["0"], 7, 2),
        box_head=TwoMLPHead(512 * 49, 4096),
        box_predictor=FastRCNNPredictor(4096, CLASSES),
        box_batch_size_per_image=128,
        box_score_thresh=0.05,
        box_nms_thresh=0.3,
    ).to(memory_format=torch.channels_last)


def main():
    torch.manual_seed(0)
    model, image = build(), torch.rand(3, HEIGHT, WIDTH)
    boxes = torch.tensor([[100.0, 100, 400, 400], [500, 50, 900, 500], [30, 300, 200, 580]])
    target = {"boxes": boxes, "labels": torch.tensor([1, 5, 7])}
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trainable, 1e-5, momentum=0.9, weight_decay=5e-4)

    def detect():
        model.eval()
        with torch.inference_mode():
            model([image])

    def train():
        model.train()
        optimizer.zero_grad()
        sum(model([image], [target]).values()).backward()
        optimizer.step()

    print(f"torch {torch.__version__}, torchvision {torchvision.__version__}", flush=True)
    for line in sys.stdin:
        start = time.process_time()
        {"detect": detect, "train": train}[line.strip()]()
        print(time.process_time() - start, flush=True)


if __name__ == "__main__":
    main()
