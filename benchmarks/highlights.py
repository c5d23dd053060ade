"""What becomes of highlights and shadows: cut channel by channel, and with the shoulder.

    python benchmarks/highlights.py night.jpg night.dng

For each file, at its automatic ratio: the share of pixels of which a channel becomes white (level
255) that was not saturated in the file, and how far the hues of coloured highlights move, in
degrees (median and 95th percentile), against the input that is amplified but not cut. Then how much
darker shadows are shown than by the curve of sRGB.
"""

import argparse
import sys
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from enhance_cli.colour import TONE_CURVES, linear_to_srgb
from enhance_cli.defaults import RAW_CURVE, SRGB_CURVE, lowlight_model
from enhance_cli.engine.amplification import choose_ratio
from enhance_cli.engine.brighten import DarkImage, Look, brighten
from enhance_cli.engine.catalogue import ModelOptions
from enhance_cli.engine.tiled import TilePlan
from enhance_cli.tasks.dark_files import read_dark_file
from enhance_cli.tone import Tone

SATURATED = 0.95  # of a sensor's white
COLOURED = 0.3  # least saturation of colours whose hue counts


def hue(shown: Tensor) -> tuple[Tensor, Tensor]:
    """Hue in degrees and saturation, as in HSV, of (3, H, W)."""
    red, green, blue = shown
    most, least = shown.amax(0), shown.amin(0)
    chroma = (most - least).clamp(min=1e-6)
    sextant = torch.where(
        most == red,
        ((green - blue) / chroma) % 6,
        torch.where(most == green, (blue - red) / chroma + 2, (red - green) / chroma + 4),
    )
    return 60 * sextant, chroma / most.clamp(min=1e-6)


def measure(image: DarkImage, shown: Tensor, plain: Tensor, ratio: float) -> str:
    """Newly white pixels and shifts of hue of one result.

    Args:
        shown: the result.
        plain: the amplified input, demosaiced, its highlights scaled alike to below white.
    """
    saturated = (image.planes > SATURATED).any(0)
    light = image.balanced().amax(0) * ratio
    if image.is_raw:
        saturated, light = (
            functional.interpolate(plane[None, None].float(), scale_factor=2)[0, 0]
            for plane in (saturated, light)
        )
    white = (shown * 255).round().amax(0) >= 255
    newly = float((white & (saturated == 0)).float().mean())
    (before, strength), (after, _) = hue(plain), hue(shown)
    counted = (light > 1) & (saturated == 0) & (strength > COLOURED)
    shift = (after - before + 180) % 360 - 180
    text = f"{100 * newly:6.2f}% newly white"
    if counted.any():
        middle, most = torch.quantile(shift.abs()[counted], torch.tensor([0.5, 0.95])).tolist()
        text += f", hue moves by {middle:.1f} ({most:.1f}) degrees"
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    for path in parser.parse_args().files:
        image = read_dark_file(path, lambda _: None).image
        ratio = choose_ratio(image.balanced())
        name = lowlight_model(raw=image.is_raw, grey=False)
        model = ModelOptions(name=name).load("lowlight")
        curve = RAW_CURVE if image.is_raw else SRGB_CURVE
        plain = brighten(model, image, ratio, TilePlan(), look=Look("flat", strength=0))
        for label, look in (("cut", None), ("shoulder", Look(curve))):
            shown = brighten(model, image, ratio, TilePlan(), look=look)
            told = measure(image, shown, plain, ratio)
            sys.stdout.write(f"{path.name:28} ratio {ratio:6.2f} {label:9} {told}\n")
    for linear in (0.001, 0.003, 0.01, 0.03, 0.1):
        light = torch.full((1, 1, 1), linear)
        flat = linear_to_srgb(light)
        levels = TONE_CURVES["camera"][0](light), Tone("camera").show(light)
        before, after = (20 * float((level / flat).log10()) for level in levels)
        sys.stdout.write(f"linear {linear:5}: {before:6.2f} dB before, {after:6.2f} dB now\n")


if __name__ == "__main__":
    main()
