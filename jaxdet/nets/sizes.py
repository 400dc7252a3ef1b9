"""Sizes of the published networks, which nets build and weights read; without flax."""

RESNET50_STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))  # (channels of the 3x3 convolutions, blocks)
RESNET50_EXPANSION = 4  # channels of a block's output over those of its 3x3 convolution

# The last convolution of each backbone and its output channels at width 1.
LAST_CONVOLUTIONS = {
    "vgg16": ("conv5_3", 512),
    "alexnet": ("conv5", 256),
    "zf": ("conv5", 256),
    "vgg_m": ("conv5", 512),
    "resnet50": ("layer4_2_conv3", 2048),
}
