"""A way for detail through SRNet, laid before training begins.

SRNet must learn to hand on what the warped estimate holds: 16 values per LR pixel through
features that already serve to enlarge the frame alone. Started from such features (``--init``
with SISR's) it had not begun to after 800 steps, not even with the true frame before at hand. So
a path is laid first: every layer of SRNet can carry and unfold 16 positions exactly, for ReLU
leaves positive values alone, and each phase of a transposed convolution of stride 2 has a tap of
its own. What the features that make room for it did must be learnt again.
"""

import torch
from torch import Tensor, nn

from enhance_cli.architectures.frvsr import Frvsr
from enhance_cli.architectures.layers import ResidualBlock
from enhance_cli.errors import UsageError

_LUMA = (0.299, 0.587, 0.114)  # BT.601
_OWN_TAP = (1, 2)  # of a transposed 3x3 kernel: what an input gives its first and second output
_LIFT = 0.5  # keeps differences positive on their way


@torch.no_grad()
def lay_path(network: Frvsr, strength: float) -> None:
    """Let SRNet add the luma detail of the warped estimate to its result, ``strength`` times.

    Detail is what differs from the mean of each 4x4 cell, less that of the bilinear enlargement
    of the frame. The rest of the result is reduced by as much, since both hold the same detail.

    Args:
        network: x4, of at least 17 filters; changed in place. The least used of them make room.
        strength: 0 to below 1.

    Raises:
        UsageError: if the network is none of these.
    """
    srnet = network.srnet
    if network.config.scale != 4 or network.config.channels <= 16:
        raise UsageError("a path for detail needs scale 4 and more than 16 filters: "
                         "leave --set carried out")
    head, head_bias = _parts(srnet.head)
    (first, first_bias), (second, second_bias) = map(_parts, srnet.enlarge)
    out, out_bias = _parts(srnet.out)
    trunk = _least(_size(head, 0) * _size(first, 0), 16)
    middle = _least(_size(first, 1) * _size(second, 0), 4)
    last = _least(_size(second, 1) * _size(out, 1), 1)[0]

    head[trunk] = 0
    head_bias[trunk] = _LIFT
    for block in srnet.body:
        assert isinstance(block, ResidualBlock)
        after, after_bias = _parts(block.conv2)
        _parts(block.conv1)[0][:, trunk] = 0
        after[trunk] = 0
        after_bias[trunk] = 0
    first[trunk] = 0
    first[:, middle] = 0
    first_bias[middle] = 0
    second[middle] = 0
    second[:, last] = 0
    second_bias[last] = 0
    out *= 1 - strength
    out_bias *= 1 - strength

    luma = torch.tensor(_LUMA, device=head.device)
    enlarged = _bilinear_detail().to(head.device)
    for position, channel in enumerate(trunk):
        row, column = position % 4, position // 4  # the order of eq. 3.5
        for colour in range(3):
            places = slice(3 + 16 * colour, 19 + 16 * colour)
            head[channel, places, 1, 1] = -luma[colour] / 16
            head[channel, 3 + 16 * colour + position, 1, 1] += luma[colour]
            head[channel, colour] = -luma[colour] * enlarged[position]
        inner = middle[2 * (row % 2) + column % 2]
        first[channel, inner, _OWN_TAP[row // 2], _OWN_TAP[column // 2]] = 1
    for index, inner in enumerate(middle):
        second[inner, last, _OWN_TAP[index // 2], _OWN_TAP[index % 2]] = 1
    out[:, last] = 0
    out[:, last, 1, 1] = strength
    out_bias -= _LIFT * strength


def _parts(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution."""
    assert isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and layer.bias is not None
    return layer.weight, layer.bias


def _size(weight: Tensor, axis: int) -> Tensor:
    """Norm of each slice of a kernel along an axis."""
    size: Tensor = torch.linalg.vector_norm(weight.transpose(0, axis).flatten(1), dim=1)
    return size


def _least(importance: Tensor, count: int) -> list[int]:
    chosen: list[int] = importance.argsort()[:count].tolist()
    return chosen


def _bilinear_detail() -> Tensor:
    """(16, 3, 3): kernels of bilinear enlargement by 4 at each position, less their mean."""
    offsets = [(place + 0.5) / 4 - 0.5 for place in range(4)]
    axis = torch.tensor([[max(-at, 0.0), 1 - abs(at), max(at, 0.0)] for at in offsets])
    kernels = torch.stack([axis[position % 4][:, None] * axis[position // 4]
                           for position in range(16)])
    return kernels - kernels.mean(0)
