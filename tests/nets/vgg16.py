"""Names of VGG16's convolutions, in order."""

from jaxdet.nets.vgg16 import BLOCKS

LAYERS = [f"conv{block}_{i}" for block, (_, convolutions) in enumerate(BLOCKS, 1) for i in range(1, convolutions + 1)]
