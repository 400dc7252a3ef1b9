"""Write backbones.npz with torch 2.13, in a separate environment: python make_backbones.py

The nets are AlexNet and ZF-Net with 1/16 of their channels and the parameters of `state`. The results are conv5 of
`image(61, 90)`, pool5 of the classifier's form for `image(227, 227)`, and an LRN and a convolution in groups with their
gradients.
"""

import pathlib

import numpy as np

HERE = pathlib.Path(__file__).parent
CHANNELS = (6, 16, 24, 24, 16)
SIDES = {"alexnet": (11, 5, 3, 3, 3), "zf": (7, 5, 3, 3, 3)}
GROUPS = {"alexnet": (1, 2, 1, 2, 2), "zf": (1, 1, 1, 1, 1)}


def texture(*shape, seed):
    """Return f32 values in -0.5..0.5 that look random and need no generator."""
    i = np.arange(np.prod(shape), dtype=np.int64) + 1009 * seed
    return ((i * i * 7919 % 65521) / 65521 - 0.5).astype(np.float32).reshape(shape)


def image(height, width):
    """Return f32[height,width,3] of the magnitude of an image minus its mean."""
    return 200 * texture(height, width, 3, seed=1)


def state(net):
    """Return conv1 to conv5 by Caffe's names, kernels [out, in / groups, side, side]."""
    arrays = {}
    for i, (inputs, outputs) in enumerate(zip((3, *CHANNELS), CHANNELS, strict=False)):
        shape = (outputs, inputs // GROUPS[net][i], SIDES[net][i], SIDES[net][i])
        arrays[f"conv{i + 1}.weight"] = texture(*shape, seed=i + 2) * np.float32((24 / np.prod(shape[1:])) ** 0.5)
        arrays[f"conv{i + 1}.bias"] = texture(outputs, seed=i + 12)
    return arrays


def main():
    import torch
    from torch.nn import functional as F

    def conv(x, net, i, **options):
        arrays = {name: torch.tensor(value) for name, value in state(net).items()}
        kernel, bias = arrays[f"conv{i}.weight"], arrays[f"conv{i}.bias"]
        options.setdefault("padding", SIDES[net][i - 1] // 2)
        return F.relu(F.conv2d(x, kernel, bias, groups=GROUPS[net][i - 1], **options))

    def last_three(x, net):
        return conv(conv(conv(x, net, 3), net, 4), net, 5)

    def alexnet(x, *, padded):
        for i in (1, 2):
            x = conv(x, "alexnet", i, **({"stride": 4, "padding": 5 * padded} if i == 1 else {}))
            x = F.local_response_norm(F.max_pool2d(x, 3, 2, int(padded), ceil_mode=True), 5, alpha=1e-4, beta=0.75)
        x = last_three(x, "alexnet")
        return x if padded else F.max_pool2d(x, 3, 2, ceil_mode=True)

    def zf(x):
        for i in (1, 2):
            x = conv(x, "zf", i, stride=2)
            x = x / (1 + 5e-5 * F.avg_pool2d(x * x, 3, 1, 1)) ** 0.75  # Caffe's WITHIN_CHANNEL
            x = F.max_pool2d(x, 3, 2, 1, ceil_mode=True)
        return last_three(x, "zf")

    def nchw(x):
        return torch.tensor(x.transpose(2, 0, 1)[None])

    def hwc(x):
        return x.detach()[0].permute(1, 2, 0).numpy()

    results = {
        "alexnet/conv5": hwc(alexnet(nchw(image(61, 90)), padded=True)),
        "alexnet/pool5": hwc(alexnet(nchw(image(227, 227)), padded=False)),
        "zf/conv5": hwc(zf(nchw(image(61, 90)))),
    }
    x = nchw(100 * texture(4, 5, 8, seed=30)).requires_grad_()
    y = F.local_response_norm(x, 5, alpha=1e-4, beta=0.75)
    (y * y).sum().backward()
    results |= {"lrn": hwc(y), "lrn/gradient": hwc(x.grad)}
    x, kernel = nchw(texture(6, 7, 8, seed=31)).requires_grad_(), torch.tensor(texture(6, 4, 3, 3, seed=32))
    kernel.requires_grad_()
    y = F.conv2d(x, kernel, padding=1, groups=2)
    (y * y).sum().backward()
    results |= {"groups": hwc(y), "groups/input_gradient": hwc(x.grad)}
    results["groups/kernel_gradient"] = kernel.grad.permute(2, 3, 1, 0).numpy()
    np.savez_compressed(HERE / "backbones.npz", **results)


if __name__ == "__main__":
    main()
