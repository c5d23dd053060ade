"""The Inception-v3 of FID: the TensorFlow network of 2015-12-05, by which the measure is defined.

Its pooling branches are not those of the Inception-v3 of the paper (Szegedy et al., 2016): averages
at the border leave out the padding, and the last block takes a maximum. The names of the tensors
are those of the published PyTorch weights. The network makes no pictures and has no classifier.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

DIMENSIONS = 2048
_SIDE = 299


class _Conv(nn.Module):
    """A convolution without bias, batch normalisation and ReLU; an odd kernel keeps the size.

    Args:
        channels_in, channels_out: number of channels before and after.
        kernel: (height, width).
        stride: 1, or 2 for half the size, which then has no padding.
        valid: whether to leave out the padding even if the stride is 1.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: tuple[int, int] = (1, 1),
        *,
        stride: int = 1,
        valid: bool = False,
    ) -> None:
        super().__init__()
        height, width = kernel
        padding = (0, 0) if valid or stride > 1 else (height // 2, width // 2)
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(channels_out, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, h, w) -> (N, out, h', w')."""
        return functional.relu(self.bn(self.conv(x)))


def _average(x: Tensor) -> Tensor:
    return functional.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


class _BlockA(nn.Module):
    """Block for 35x35: branches of 1x1, 5x5 and twice 3x3, and one that averages."""

    def __init__(self, channels_in: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = _Conv(channels_in, 64)
        self.branch5x5_1 = _Conv(channels_in, 48)
        self.branch5x5_2 = _Conv(48, 64, (5, 5))
        self.branch3x3dbl_1 = _Conv(channels_in, 64)
        self.branch3x3dbl_2 = _Conv(64, 96, (3, 3))
        self.branch3x3dbl_3 = _Conv(96, 96, (3, 3))
        self.branch_pool = _Conv(channels_in, pooled)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, h, w) -> (N, 224 + pooled, h, w)."""
        return torch.cat(
            [
                self.branch1x1(x),
                self.branch5x5_2(self.branch5x5_1(x)),
                self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x))),
                self.branch_pool(_average(x)),
            ],
            1,
        )


class _BlockB(nn.Module):
    """Block from 35x35 to 17x17."""

    def __init__(self, channels_in: int) -> None:
        super().__init__()
        self.branch3x3 = _Conv(channels_in, 384, (3, 3), stride=2)
        self.branch3x3dbl_1 = _Conv(channels_in, 64)
        self.branch3x3dbl_2 = _Conv(64, 96, (3, 3))
        self.branch3x3dbl_3 = _Conv(96, 96, (3, 3), stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, h, w) -> (N, 480 + in, (h - 1) / 2, (w - 1) / 2)."""
        return torch.cat(
            [
                self.branch3x3(x),
                self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x))),
                functional.max_pool2d(x, 3, 2),
            ],
            1,
        )


class _BlockC(nn.Module):
    """Block for 17x17: 1x1, 7x7 and twice 7x7 as rows and columns, and one that averages."""

    def __init__(self, channels_in: int, inner: int) -> None:
        super().__init__()
        row, column = (1, 7), (7, 1)
        self.branch1x1 = _Conv(channels_in, 192)
        self.branch7x7_1 = _Conv(channels_in, inner)
        self.branch7x7_2 = _Conv(inner, inner, row)
        self.branch7x7_3 = _Conv(inner, 192, column)
        self.branch7x7dbl_1 = _Conv(channels_in, inner)
        self.branch7x7dbl_2 = _Conv(inner, inner, column)
        self.branch7x7dbl_3 = _Conv(inner, inner, row)
        self.branch7x7dbl_4 = _Conv(inner, inner, column)
        self.branch7x7dbl_5 = _Conv(inner, 192, row)
        self.branch_pool = _Conv(channels_in, 192)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, h, w) -> (N, 768, h, w)."""
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        return torch.cat(
            [
                self.branch1x1(x),
                self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x))),
                self.branch7x7dbl_5(self.branch7x7dbl_4(double)),
                self.branch_pool(_average(x)),
            ],
            1,
        )


class _BlockD(nn.Module):
    """Block from 17x17 to 8x8."""

    def __init__(self, channels_in: int) -> None:
        super().__init__()
        self.branch3x3_1 = _Conv(channels_in, 192)
        self.branch3x3_2 = _Conv(192, 320, (3, 3), stride=2)
        self.branch7x7x3_1 = _Conv(channels_in, 192)
        self.branch7x7x3_2 = _Conv(192, 192, (1, 7))
        self.branch7x7x3_3 = _Conv(192, 192, (7, 1))
        self.branch7x7x3_4 = _Conv(192, 192, (3, 3), stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, h, w) -> (N, 512 + in, (h - 1) / 2, (w - 1) / 2)."""
        seven = self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x)))
        return torch.cat(
            [
                self.branch3x3_2(self.branch3x3_1(x)),
                self.branch7x7x3_4(seven),
                functional.max_pool2d(x, 3, 2),
            ],
            1,
        )


class _BlockE(nn.Module):
    """Block for 8x8, whose branches divide into rows and columns.

    Args:
        channels_in: number of channels of the input.
        maximum: whether to pool by the maximum, as the last block of FID's network does, or else
            by the average.
    """

    def __init__(self, channels_in: int, maximum: bool) -> None:
        super().__init__()
        self.maximum = maximum
        self.branch1x1 = _Conv(channels_in, 320)
        self.branch3x3_1 = _Conv(channels_in, 384)
        self.branch3x3_2a = _Conv(384, 384, (1, 3))
        self.branch3x3_2b = _Conv(384, 384, (3, 1))
        self.branch3x3dbl_1 = _Conv(channels_in, 448)
        self.branch3x3dbl_2 = _Conv(448, 384, (3, 3))
        self.branch3x3dbl_3a = _Conv(384, 384, (1, 3))
        self.branch3x3dbl_3b = _Conv(384, 384, (3, 1))
        self.branch_pool = _Conv(channels_in, 192)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, h, w) -> (N, 2048, h, w)."""
        single = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        pooled = functional.max_pool2d(x, 3, 1, padding=1) if self.maximum else _average(x)
        return torch.cat(
            [
                self.branch1x1(x),
                self.branch3x3_2a(single),
                self.branch3x3_2b(single),
                self.branch3x3dbl_3a(double),
                self.branch3x3dbl_3b(double),
                self.branch_pool(pooled),
            ],
            1,
        )


class FidInception(nn.Module):
    """The network up to the mean over its last map (``pool3``); run it in evaluation mode."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = _Conv(3, 32, (3, 3), stride=2)
        self.Conv2d_2a_3x3 = _Conv(32, 32, (3, 3), valid=True)
        self.Conv2d_2b_3x3 = _Conv(32, 64, (3, 3))
        self.Conv2d_3b_1x1 = _Conv(64, 80)
        self.Conv2d_4a_3x3 = _Conv(80, 192, (3, 3), valid=True)
        self.Mixed_5b = _BlockA(192, 32)
        self.Mixed_5c = _BlockA(256, 64)
        self.Mixed_5d = _BlockA(288, 64)
        self.Mixed_6a = _BlockB(288)
        self.Mixed_6b = _BlockC(768, 128)
        self.Mixed_6c = _BlockC(768, 160)
        self.Mixed_6d = _BlockC(768, 160)
        self.Mixed_6e = _BlockC(768, 192)
        self.Mixed_7a = _BlockD(768)
        self.Mixed_7b = _BlockE(1280, maximum=False)
        self.Mixed_7c = _BlockE(2048, maximum=True)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the features of pictures.

        As is usual with the published PyTorch weights, pictures are resized to 299x299 by bilinear
        interpolation without antialiasing, and their range becomes [-1, 1].

        Args:
            x: (N, 3, H, W) RGB in [0, 1].

        Returns:
            Features (N, 2048).

        Raises:
            ValueError: if the pictures do not have three channels.
        """
        if x.ndim != 4 or x.shape[1] != 3:
            raise ValueError(f"Inception takes (N, 3, H, W), not {tuple(x.shape)}")
        x = functional.interpolate(x, (_SIDE, _SIDE), mode="bilinear", align_corners=False)
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(2 * x - 1)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(functional.max_pool2d(x, 3, 2)))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(functional.max_pool2d(x, 3, 2))))
        x = self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))
        x = self.Mixed_6e(self.Mixed_6d(x))
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))
        return x.mean((2, 3))
