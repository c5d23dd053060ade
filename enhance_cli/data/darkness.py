"""Dark pictures made from bright photographs, as a camera would have taken them.

A photograph is turned back into sensor data (Brooks et al., Unprocessing Images for Learned Raw
Denoising, CVPR 2019): inverse output curve, inverse colour matrix, inverse white balance,
mosaic. Then it is divided by an exposure ratio, recorded by a noisy sensor (``data.sensor``) and
amplified again, as the thesis does with real pairs (000, ch. 6). Everything runs in batches on
the device of the photographs; random numbers of pixels come from a generator on that device.
"""

from dataclasses import dataclass, fields
from io import BytesIO
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from enhance_cli.colour import (
    AMPLIFIED_RANGE,
    AMPLIFIED_SRGB_RANGE,
    TONE_CURVES,
    ToneCurve,
    apply_matrix,
    camera_matrices,
    luminance,
    render,
    srgb_to_linear,
)
from enhance_cli.data.sensor import (
    ISO_RANGE,
    RATIO_RANGE,
    Sensor,
    draw_sensors,
    expose,
    log_uniform,
    normalise,
)
from enhance_cli.demosaicing import demosaic_adaptive
from enhance_cli.levels import to_levels, to_pixels, to_planes, to_values

# XYZ -> camera RGB of the four cameras that Brooks et al. mix (Darmstadt Noise Dataset).
XYZ_TO_CAMERA = torch.tensor(
    [
        [[1.0234, -0.2969, -0.2266], [-0.5625, 1.6328, -0.0469], [-0.0703, 0.2188, 0.6406]],
        [[0.4913, -0.0541, -0.0202], [-0.6130, 1.3513, 0.2906], [-0.1564, 0.2151, 0.7183]],
        [[0.8380, -0.2630, -0.0639], [-0.2887, 1.0725, 0.2496], [-0.0627, 0.1427, 0.5438]],
        [[0.6596, -0.2079, -0.0562], [-0.4782, 1.3016, 0.1933], [-0.0970, 0.1581, 0.5181]],
    ]
)
# Gains of red and blue over green: tungsten light wants much blue, shade much red. The thesis's
# networks know no white balance: for them the one camera has the narrow range of Brooks et al.
_GAINS = {"any": ((1.2, 3.0), (1.2, 3.2)), "one": ((1.9, 2.4), (1.5, 1.9))}
# Exposure of the clean picture relative to the photograph: the ratio is never known exactly.
_BRIGHTNESS = (0.6, 1.4)
# How much brighter than white the lightest parts are in half of the scenes: a photograph ends at
# white, a scene with lamps does not.
_HIGHLIGHTS = (1.0, 8.0)
_HIGHLIGHT_START = 0.7
# JPEG quality of dark sRGB files, and the share of them that is lossless.
_JPEG_QUALITY = (70, 98)
_LOSSLESS = 0.25

Camera = Literal["any", "one"]


def raise_contrast(photos: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Make some photographs harsh: most of their pixels black or white, as drawings and scans are.

    Photographs have few pixels at white, and no thin black lines on it. The contrast is raised by 2
    to 16 times around the luminance that a random share of the pixels is below.

    Args:
        photos: (N, 3, H, W) in [0, 1].
        share: Chance of each photograph to be made harsh.
        generator: A CPU generator.

    Returns:
        (N, 3, H, W) in [0, 1].
    """
    count = len(photos)
    chosen = torch.rand(count, generator=generator) < share
    factor = 2 ** (1 + 3 * torch.rand(count, generator=generator))
    below = torch.rand(count, generator=generator)
    ordered = luminance(photos).flatten(1).sort(1).values
    place = (below * (ordered.shape[1] - 1)).long().to(photos.device)
    middle = ordered.gather(1, place[:, None]).view(-1, 1, 1, 1)
    harsh = ((photos - middle) * factor.to(photos.device).view(-1, 1, 1, 1) + 0.5).clamp(0, 1)
    return torch.where(chosen.to(photos.device).view(-1, 1, 1, 1), harsh, photos)


@dataclass(frozen=True)
class Conditions:
    """How each of N pictures is taken; every field is a CPU tensor with N first.

    Attributes:
        ratio: of the exposure that the scene needs to the one that it got.
        iso: of the camera.
        gains: (N, 2) white-balance gains of red and blue; green's is 1.
        xyz_to_camera: (N, 3, 3).
        brightness: exposure of the clean picture, 1 is the photograph's own.
        highlights: light of what is white in the photograph, 1 is white.
        sensor: noise, black and white levels, bits.
    """

    ratio: Tensor
    iso: Tensor
    gains: Tensor
    xyz_to_camera: Tensor
    brightness: Tensor
    highlights: Tensor
    sensor: Sensor

    def take(self, share: slice) -> "Conditions":
        """Those of some of the N."""
        own = {
            entry.name: getattr(self, entry.name)[share]
            for entry in fields(self)
            if entry.name != "sensor"
        }
        return Conditions(**own, sensor=self.sensor.take(share))


@dataclass(frozen=True)
class DarkPairs:
    """N dark pictures with their clean counterparts.

    Attributes:
        dark: (N, 4, h, w) packed, or (N, 3, 2h, 2w) for sRGB: linear, amplified by the ratio,
            in ``AMPLIFIED_RANGE`` or ``AMPLIFIED_SRGB_RANGE``; RAW white-balanced where asked.
        clean: (N, 3, 2h, 2w) linear camera RGB (white-balanced), or linear sRGB, in [0, 1].
        camera_to_srgb: (N, 3, 3) from the colours of ``clean`` to linear sRGB.
    """

    dark: Tensor
    clean: Tensor
    camera_to_srgb: Tensor

    def take(self, share: slice) -> "DarkPairs":
        """Some of the N."""
        return DarkPairs(self.dark[share], self.clean[share], self.camera_to_srgb[share])

    def to(self, device: torch.device) -> "DarkPairs":
        """The same on another device."""
        return DarkPairs(
            self.dark.to(device), self.clean.to(device), self.camera_to_srgb.to(device)
        )


def draw_conditions(
    count: int,
    generator: torch.Generator,
    *,
    camera: Camera = "any",
    ratio: Tensor | None = None,
    iso: Tensor | None = None,
    vary_brightness: bool = True,
) -> Conditions:
    """Random circumstances of N pictures.

    Args:
        count: N.
        generator: on the CPU.
        camera: ``any`` mixes matrices and white balances, ``one`` is a single camera.
        ratio, iso: (N,) fixed values instead of drawn ones.
        vary_brightness: whether the clean exposure and the highlights vary.
    """
    if ratio is None:
        ratio = log_uniform(*RATIO_RANGE, count, generator)
    if iso is None:
        iso = log_uniform(*ISO_RANGE, count, generator)
    share = torch.rand(count, len(XYZ_TO_CAMERA), generator=generator)
    share = share / share.sum(1, keepdim=True)
    matrix = torch.einsum("nk,kij->nij", share, XYZ_TO_CAMERA)
    red, blue = (log_uniform(*bounds, count, generator) for bounds in _GAINS[camera])
    brightness = log_uniform(*_BRIGHTNESS, count, generator)
    highlights = log_uniform(*_HIGHLIGHTS, count, generator)
    highlights = torch.where(torch.rand(count, generator=generator) < 0.5, highlights, 1.0)
    return Conditions(
        ratio=ratio,
        iso=iso,
        gains=torch.stack([red, blue], 1),
        xyz_to_camera=matrix if camera == "any" else XYZ_TO_CAMERA[:1].expand(count, 3, 3),
        brightness=brightness if vary_brightness else torch.ones(count),
        highlights=highlights if vary_brightness else torch.ones(count),
        sensor=draw_sensors(iso, generator),
    )


def pack(mosaicked: Tensor) -> Tensor:
    """The Bayer samples of full-colour pictures: (..., 3, 2h, 2w) -> (..., 4, h, w).

    R, G1, B, G2 from the pixels (0,0), (0,1), (1,1), (1,0) of each 2x2 block (thesis ch. 2).
    """
    red, green, blue = mosaicked.unbind(-3)
    return torch.stack(
        [
            red[..., ::2, ::2],
            green[..., ::2, 1::2],
            blue[..., 1::2, 1::2],
            green[..., 1::2, ::2],
        ],
        -3,
    )


def unpack(packed: Tensor) -> Tensor:
    """Packed planes back to a mosaic: (..., 4, h, w) -> (..., 2h, 2w)."""
    *lead, _, height, width = packed.shape
    mosaic = packed.new_empty(*lead, 2 * height, 2 * width)
    places = ((0, 0), (0, 1), (1, 1), (1, 0))
    for plane, (row, column) in zip(packed.unbind(-3), places, strict=True):
        mosaic[..., row::2, column::2] = plane
    return mosaic


def demosaic(packed: Tensor) -> Tensor:
    """Demosaic packed planes along edges, as cameras do: (N, 4, h, w) -> (N, 3, 2h, 2w)."""
    return demosaic_adaptive(unpack(packed)[:, None])


def expose_raw(
    photos: Tensor, taken: Conditions, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """What the sensor records of photographs.

    Args:
        photos: (N, 3, 2h, 2w) shown values in [0, 1].
        taken: circumstances.
        generator: on the device of ``photos``.

    Returns:
        ``levels`` (N, 4, h, w) as of ``expose``; ``clean`` (N, 3, 2h, 2w) white-balanced linear
        camera RGB in [0, 1]; ``camera_to_srgb`` (N, 3, 3).
    """
    scene, backward = _scene(photos, taken, "camera")
    levels = expose(_dim(pack(scene), taken), taken.sensor, generator)
    return levels, scene.clamp(max=1), backward


def _scene(photos: Tensor, taken: Conditions, curve: ToneCurve) -> tuple[Tensor, Tensor]:
    """The light that a camera sees, (N, 3, H, W) white-balanced, and its colour matrices."""
    forward, backward = camera_matrices(taken.xyz_to_camera)
    linear = TONE_CURVES[curve][1](photos)
    excess = (linear.amax(1, keepdim=True) - _HIGHLIGHT_START).clamp(min=0)
    excess = excess / (1 - _HIGHLIGHT_START) * (_each(taken.highlights, photos) - 1)
    linear = linear * (1 + excess) * _each(taken.brightness, photos)
    return apply_matrix(linear, forward.to(photos)).clamp_(min=0), backward.to(photos)


def _dim(planes: Tensor, taken: Conditions) -> Tensor:
    """Planes R, G, B, G as the sensor gets their light: not balanced, and too little of it."""
    return planes / packed_gains(taken.gains).to(planes) / _each(taken.ratio, planes)


def _each(value: Tensor, like: Tensor) -> Tensor:
    return value.to(like).view(-1, 1, 1, 1)


def packed_gains(gains: Tensor) -> Tensor:
    """(N, 2) gains of red and blue -> (N, 4, 1, 1) for R, G1, B, G2."""
    ones = torch.ones(len(gains))
    return torch.stack([gains[:, 0], ones, gains[:, 1], ones], 1)[..., None, None]


def dark_raw(
    photos: Tensor, taken: Conditions, generator: torch.Generator, *, balanced: bool = True
) -> DarkPairs:
    """Dark RAW pictures, amplified; ``balanced`` ones are white-balanced too."""
    levels, clean, backward = expose_raw(photos, taken, generator)
    dark = normalise(levels, taken.sensor) * _each(taken.ratio, photos)
    if balanced:
        dark = dark * packed_gains(taken.gains).to(photos)
    return DarkPairs(dark.clamp_(*AMPLIFIED_RANGE), clean, backward)


def dark_srgb(
    photos: Tensor,
    taken: Conditions,
    generator: torch.Generator,
    *,
    reduced: float = 0.5,
    noiseless: float = 0.0,
) -> DarkPairs:
    """Dark sRGB files of 8 bits, decoded and amplified (task 2).

    The camera demosaics, balances and converts the noisy data, and writes a JPEG or, now and
    then, a lossless file. Output curve and clean picture are plain sRGB: a dark file says nothing
    of the curve that it was made with.

    Args:
        photos: (N, 3, 2h, 2w) shown values in [0, 1].
        taken: circumstances.
        generator: on the device of ``photos``.
        reduced: share of the batch, at its end, whose files are of half the sensor's size, as
            most pictures on screens are: each pixel then comes from a whole 2x2 block of the
            mosaic, so that it has measured all colours (thesis 000, ch. 2).
        noiseless: share of the batch, at the end of those, that have no noise but their file's:
            drawings, and pictures that are far smaller than the sensor was.
    """
    scene, backward = _scene(photos, taken, "srgb")
    count = len(photos)
    still = count - int(count * noiseless)
    whole = min(count - int(count * reduced), still)
    parts = []
    if whole:
        parts.append(demosaic(_record(pack(scene[:whole]), taken.take(slice(whole)), generator)))
    if whole < still:
        blocks = scene[whole:still][:, [0, 1, 2, 1]]
        few = taken.take(slice(whole, still))
        parts.append(merge_blocks(_record(blocks, few, generator)))
    if still < count:
        parts.append(scene[still:] / _each(taken.ratio[still:], photos))
    # Files are written on the CPU, wherever the pixels are.
    seed = torch.randint(2**62, (1,), generator=generator, device=generator.device)
    choices = torch.Generator().manual_seed(int(seed))
    files = through_file(torch.cat(parts), backward, choices)
    same = torch.eye(3, device=photos.device).expand(count, 3, 3)
    dark = (srgb_to_linear(files) * _each(taken.ratio, photos)).clamp_(*AMPLIFIED_SRGB_RANGE)
    return DarkPairs(dark, apply_matrix(scene.clamp(max=1), backward).clamp_(0, 1), same)


def _record(planes: Tensor, taken: Conditions, generator: torch.Generator) -> Tensor:
    """Planes R, G, B, G as the sensor measures them in the dark, white-balanced."""
    levels = expose(_dim(planes, taken), taken.sensor, generator)
    return normalise(levels, taken.sensor) * packed_gains(taken.gains).to(planes)


def merge_blocks(packed: Tensor) -> Tensor:
    """One RGB pixel of each 2x2 block: (N, 4, h, w) -> (N, 3, h, w)."""
    red, green1, blue, green2 = packed.unbind(1)
    return torch.stack([red, (green1 + green2) / 2, blue], 1)


def through_file(
    camera: Tensor, camera_to_srgb: Tensor, choices: torch.Generator | None = None
) -> Tensor:
    """White-balanced linear camera RGB as it comes back from sRGB files of 8 bits.

    Args:
        camera: (N, 3, H, W).
        camera_to_srgb: (N, 3, 3).
        choices: of JPEG qualities, on the CPU; None writes lossless files.

    Returns:
        (N, 3, H, W) shown values in [0, 1].
    """
    shown = to_levels(render(camera.clamp(0, 1), camera_to_srgb, "srgb"))
    if choices is not None:
        files = [_maybe_compress(one, choices) for one in shown.cpu()]
        shown = torch.stack(files).to(camera.device)
    return to_values(shown)


def _maybe_compress(pixels: Tensor, choices: torch.Generator) -> Tensor:
    """(3, H, W) uint8 through a JPEG file, or unchanged."""
    lossless, quality = torch.rand(2, generator=choices).tolist()
    if lossless < _LOSSLESS:
        return pixels
    low, high = _JPEG_QUALITY
    with BytesIO() as file:
        Image.fromarray(to_pixels(pixels)).save(
            file, "JPEG", quality=round(low + (high - low) * quality)
        )
        return to_planes(np.array(Image.open(file)))
