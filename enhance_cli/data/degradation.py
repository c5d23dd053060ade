"""From large video frames to small ones: the paper's blur and sub-sampling, and real life's.

Every reduction here is a separable kernel per axis that is sampled at the middle of each cell of
``scale`` x ``scale`` pixels, so that small and large frames cover the same field and nothing
shifts. The dissertation (ch. 3.3.5) says "every 4-th pixel" and leaves open which of the four;
with a Gaussian of 1.5 pixels sampled in the middle the kernel has an even number of taps.
"""

import io
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from enhance_cli.errors import UsageError
from enhance_cli.levels import quantise, to_levels, to_planes, to_values
from enhance_cli.resize import imresize
from enhance_cli.subsampling import sample_gaussian

LossyCodec = Literal["h264", "jpeg"]


def gaussian_taps(sigma: Tensor, radius: int) -> Tensor:
    """Compute the weights of Gaussians whose centre lies in the middle between two pixels.

    Args:
        sigma: (N,), the standard deviations in HR pixels. With 0 the two nearest pixels weigh
            one half each.
        radius: the number of weights on either side of the centre.

    Returns:
        float32 (N, 2 * radius); each row sums to 1.
    """
    return torch.tensor(
        [sample_gaussian(value, radius - 0.5, 0, 2 * radius) for value in sigma.tolist()]
    )


def area_taps(count: int, scale: int, radius: int) -> Tensor:
    """Compute the weights (count, 2 * radius) that give the mean over a cell, in equal rows."""
    place = torch.arange(2 * radius) - radius + 0.5
    inside = (place.abs() < scale / 2).float()
    return (inside / inside.sum()).expand(count, -1)


def bicubic_taps(count: int, scale: int, radius: int) -> Tensor:
    """Compute the weights (count, 2 * radius) of MATLAB's antialiased bicubic, in equal rows."""
    # They are the response of ``imresize`` to single bright pixels.
    length = 4 * math.ceil(radius / scale) * scale
    middle = length // 2 // scale
    response = imresize(torch.eye(length, dtype=torch.float64)[:, None], 1 / scale)
    taps = response[:, 0, middle]
    centre = middle * scale + scale // 2
    kept = taps[centre - radius : centre + radius]
    return (kept / kept.sum()).float().expand(count, -1)


def reduce_frames(frames: Tensor, taps: Tensor, scale: int) -> Tensor:
    """Filter and sub-sample.

    Args:
        frames: (N, T, 3, H, W) float, sides multiples of ``scale``; outside the frame its
            border is repeated.
        taps: (N, 2 * radius), the weights of the filter of each clip, used along both axes.
        scale: the side of a cell in pixels, an even number.

    Returns:
        (N, T, 3, H / scale, W / scale).
    """
    count, length, colours, height, width = frames.shape
    radius = taps.shape[1] // 2
    margin = radius - scale // 2
    taps = taps.to(frames)
    planes = frames.reshape(count, length * colours, height, width).transpose(0, 1)
    if margin > 0:
        planes = functional.pad(planes, (margin,) * 4, mode="replicate")
    elif margin < 0:
        planes = planes[..., -margin:margin, -margin:margin]
    rows = functional.conv2d(planes, taps[:, None, :, None], stride=(scale, 1), groups=count)
    both = functional.conv2d(rows, taps[:, None, None, :], stride=(1, scale), groups=count)
    return both.transpose(0, 1).reshape(count, length, colours, height // scale, width // scale)


@dataclass(frozen=True)
class Degradation:
    """How the small clips that a network is trained on are made of clean large ones.

    The defaults are those of the dissertation: every clip is blurred alike, and nothing else
    happens. With other values each clip draws its own degradation.

    Attributes:
        blur: the smallest and the largest standard deviation of the blur, in HR pixels.
        other_kernels: the share of clips that are reduced by MATLAB's bicubic or by the mean over
            cells instead of the blur.
        noise: the share of clips with noise.
        noise_deviation: the smallest and the largest standard deviation of the white noise that
            is added to small frames, whose values lie in [0, 1].
        compressed: the share of clips that go through a lossy codec.
        codec: ``h264``, for which PyAV is needed, or ``jpeg``.
        rate_factor: the smallest and the largest constant rate factor of H.264, from 0 to 51;
            higher is worse.
        jpeg_quality: the lowest and the highest quality of JPEG, from 1 to 100.
    """

    blur: tuple[float, float] = (1.5, 1.5)
    other_kernels: float = 0.0
    noise: float = 0.0
    noise_deviation: tuple[float, float] = (0.0, 0.03)
    compressed: float = 0.0
    codec: LossyCodec = "h264"
    rate_factor: tuple[float, float] = (15.0, 33.0)
    jpeg_quality: tuple[float, float] = (40.0, 95.0)

    def __post_init__(self) -> None:
        for name in ("other_kernels", "noise", "compressed"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a share from 0 to 1, not {getattr(self, name)}")
        if self.codec not in get_args(LossyCodec):
            raise ValueError(f"codec {self.codec!r}: choose from {get_args(LossyCodec)}")
        for name in ("blur", "noise_deviation", "rate_factor", "jpeg_quality"):
            low, high = getattr(self, name)
            if not 0 <= low <= high < math.inf:
                raise ValueError(f"{name} goes up from 0 or more, not {low} to {high}")

    @property
    def margin(self) -> int:
        """How many LR pixels beyond a value's own place it depends on, but for tiny weights."""
        return 4

    def apply(self, frames: Tensor, scale: int, generator: torch.Generator) -> Tensor:
        """Make the small clips of a batch.

        Args:
            frames: (N, T, 3, H, W) in [0, 1], sides multiples of ``scale``.
            scale: HR pixels per LR pixel.
            generator: the source of chance, on the CPU. It decides on the degradation of each
                clip and on its noise.

        Returns:
            (N, T, 3, H / scale, W / scale) in [0, 1], rounded to the 256 levels of 8 bits.
        """
        count = len(frames)
        frames_lr = reduce_frames(frames, self._draw_taps(count, scale, generator), scale)
        deviation = _between(self.noise_deviation, count, generator)
        deviation = deviation * (torch.rand(count, generator=generator) < self.noise)
        seeds = torch.randint(2**31 - 1, (count,), generator=generator).tolist()
        for index in range(count):
            if deviation[index] > 0:
                noise = torch.randn(
                    frames_lr[index].shape, generator=torch.Generator().manual_seed(seeds[index])
                )
                frames_lr[index] += deviation[index] * noise.to(frames_lr.device)
        frames_lr = quantise(frames_lr)
        through_codec = torch.rand(count, generator=generator) < self.compressed
        strength = _between(
            self.rate_factor if self.codec == "h264" else self.jpeg_quality, count, generator
        )
        for index in through_codec.nonzero().flatten().tolist():
            frames_lr[index] = compress(frames_lr[index], self.codec, float(strength[index]))
        return frames_lr

    def _draw_taps(self, count: int, scale: int, generator: torch.Generator) -> Tensor:
        sigma = _between(self.blur, count, generator)
        radius = max(math.ceil(4 * self.blur[1]), scale)
        if self.other_kernels:
            radius = max(radius, 2 * scale)
        taps = gaussian_taps(sigma, radius)
        kind = torch.rand(count, generator=generator)
        taps = torch.where(
            (kind < self.other_kernels)[:, None],
            bicubic_taps(count, scale, radius) if self.other_kernels else taps,
            taps,
        )
        return torch.where(
            (kind < self.other_kernels / 2)[:, None], area_taps(count, scale, radius), taps
        )


def _between(span: tuple[float, float], count: int, generator: torch.Generator) -> Tensor:
    low, high = span
    return low + (high - low) * torch.rand(count, generator=generator)


def compress(frames: Tensor, codec: LossyCodec, strength: float) -> Tensor:
    """Send a clip through a lossy codec and back.

    Args:
        frames: (T, 3, h, w) in [0, 1].
        codec: ``h264`` compresses the clip as a video with halved colour resolution (4:2:0) and
            a constant rate factor; ``jpeg`` compresses every frame on its own.
        strength: the constant rate factor of H.264 (0 to 51, higher is worse), or the quality of
            JPEG (1 to 100, higher is better).

    Returns:
        (T, 3, h, w) on the same device.

    Raises:
        UsageError: if the library for it is not installed.
    """
    levels = to_levels(frames).movedim(1, -1).cpu().numpy()
    squeezed = (_through_h264 if codec == "h264" else _through_jpeg)(levels, strength)
    return to_values(to_planes(squeezed)).to(frames)


def _through_jpeg(frames: NDArray[Any], quality: float) -> NDArray[Any]:
    from PIL import Image

    result = np.empty_like(frames)
    for index, frame in enumerate(frames):
        buffer = io.BytesIO()
        Image.fromarray(frame).save(buffer, "JPEG", quality=round(quality))
        result[index] = np.asarray(Image.open(buffer))
    return result


def _through_h264(frames: NDArray[Any], rate_factor: float) -> NDArray[Any]:
    try:
        import av
    except ImportError as missing:
        raise UsageError("codec=h264 needs PyAV: pip install av, or --set codec=jpeg") from missing
    length, height, width, _ = frames.shape
    # 4:2:0 needs even sides. The rows and columns that are added here are cut off at the end.
    padded = np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    encoder: Any = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = padded.shape[2], padded.shape[1], "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, 25), Fraction(25)
    encoder.thread_count = 1
    encoder.options = {"crf": f"{rate_factor:.1f}", "preset": "veryfast"}
    packets = []
    for index, frame in enumerate(padded):
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        picture.pts = index
        packets += encoder.encode(picture)
    packets += encoder.encode(None)
    decoder: Any = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    decoder.extradata = encoder.extradata
    pictures = [picture for packet in packets for picture in decoder.decode(packet)]
    pictures += decoder.decode(None)
    decoded = np.stack([picture.to_ndarray(format="rgb24") for picture in pictures])
    assert len(decoded) == length, "the codec lost frames"
    return decoded[:, :height, :width]
