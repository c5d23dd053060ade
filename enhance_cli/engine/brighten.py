"""Run a low-light network: amplify the picture, run the network, and render the result."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from enhance_cli.architectures.spec import Contract
from enhance_cli.colour import (
    AMPLIFIED_RANGE,
    AMPLIFIED_SRGB_RANGE,
    apply_matrix,
    linear_to_srgb,
    luminance,
    noise_planes,
    render,
    srgb_to_linear,
)
from enhance_cli.engine.catalogue import Model
from enhance_cli.engine.highlights import (
    DEMOSAICING_HALO,
    choose_tone,
    expose_highlights,
    find_saturation,
    light_map,
)
from enhance_cli.engine.runnable import Network
from enhance_cli.engine.tiled import Progress, TilePlan, run_tiled
from enhance_cli.levels import to_levels
from enhance_cli.tone import Curve, develop


@dataclass(frozen=True)
class DarkImage:
    """A dark picture that is not amplified yet.

    Attributes:
        planes: linear values in float32 on the host, where 1 is white. A RAW file gives (4, h, w),
            the packed R, G1, B, G2 of the sensor, with negative values where noise is below black.
            Other pictures are (3, H, W) in the primaries of sRGB.
        gains: factors of R, G and B for the white balance, of which the smallest is 1. They are
            all 1 for pictures in sRGB.
        camera_to_srgb: (3, 3), from white-balanced linear camera RGB to linear sRGB.
    """

    planes: Tensor
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    camera_to_srgb: Tensor = torch.eye(3)

    @property
    def is_raw(self) -> bool:
        """Whether the planes are the packed mosaic of a sensor."""
        return self.planes.shape[0] == 4

    def balanced(self) -> Tensor:
        """The planes after the white balance."""
        if not self.is_raw:
            return self.planes
        red, green, blue = self.gains
        return self.planes * torch.tensor([red, green, blue, green]).view(4, 1, 1)


@dataclass(frozen=True)
class Look:
    """How a user wants a result to look.

    Attributes:
        curve: the tone curve; see ``tone.Tone``. Highlights are compressed by all but ``linear``.
            None is no rendering at all: white-balanced linear camera RGB, divided by the ratio.
        strength: how much of the noise is taken away, from 0 to 1; see ``expose_highlights``.
    """

    curve: Curve | None
    strength: float = 1.0


@dataclass(frozen=True)
class _Steps:
    """What is done with a picture.

    Attributes:
        y: (C, h, w), what the network is given.
        network: from that to values that are not shown yet.
        show: from these to what is shown, (N, C', H, W).
        halo: pixels of ``y`` that ``network`` sees in each direction.
    """

    y: Tensor
    network: Network
    show: Callable[[Tensor], Tensor]
    halo: int


def _finish(network: Network, scale: int, show: Callable[[Tensor], Tensor]) -> Network:
    """Follow a network by a mean over ``scale`` x ``scale`` pixels and by what renders it."""

    def run(y: Tensor) -> Tensor:
        result = network(y)
        # Autocast would round the colours of the rendering too.
        with torch.autocast(result.device.type, enabled=False):
            result = result.float()
            return show(functional.avg_pool2d(result, scale) if scale > 1 else result)

    return run


def _grey_of_shown(shown: Tensor) -> Tensor:
    """Turn shown RGB into the shown grey of the same luminance."""
    return linear_to_srgb(luminance(srgb_to_linear(shown)))


def _amplify(image: DarkImage, ratio: float, *, shown: bool = True) -> Tensor:
    balanced = image.balanced()
    # Saturated pixels become grey, and do not take the colour of the gains.
    if ratio < 1 and shown:
        balanced = balanced.clamp(max=1)
    return balanced * ratio


def _with_noise_planes(planes: Tensor, contract: Contract) -> Tensor:
    count = contract.channels_in - len(planes)
    return torch.cat([planes, noise_planes(planes[None], count)[0]])


def _plan_direct(model: Model, image: DarkImage, ratio: float, grey: bool) -> _Steps:
    """A network whose output is what is shown."""
    amplified = (image.planes * ratio).clamp(0, 1)
    y = amplified if image.is_raw else linear_to_srgb(amplified)

    def show(result: Tensor) -> Tensor:
        shown = result.clamp(0, 1)
        return _grey_of_shown(shown) if grey and shown.shape[1] == 3 else shown

    return _Steps(y, model.network, show, model.contract.halo)


def _plan_fixed(model: Model, image: DarkImage, ratio: float, grey: bool) -> _Steps:
    """A linear network, rendered by the curve that benchmarks and training have."""
    y = _with_noise_planes(_amplify(image, ratio).clamp(*_bounds(image)), model.contract)

    def show(result: Tensor) -> Tensor:
        shown = render(result, image.camera_to_srgb.to(result.device), model.contract.curve)
        return _grey_of_shown(shown) if grey and shown.shape[1] == 3 else shown

    return _Steps(y, model.network, show, model.contract.halo)


def _choose_rendering(
    image: DarkImage, amplified: Tensor, ratio: float, grey: bool, curve: Curve | None
) -> Callable[[Tensor], Tensor]:
    """What turns amplified camera RGB into what is shown, or undoes the amplification."""

    def undo(result: Tensor) -> Tensor:
        if grey and result.shape[1] == 3:
            result = luminance(apply_matrix(result, image.camera_to_srgb.to(result.device)))
        return result / ratio

    if curve is None:
        return undo
    tone = choose_tone(amplified, curve, ratio * max(image.gains))
    saturation = None
    if image.is_raw and ratio >= 1:  # Below, what is saturated has been made grey already.
        saturation = find_saturation(image.planes) * torch.tensor(image.gains) * ratio

    def show(result: Tensor) -> Tensor:
        matrix = image.camera_to_srgb.to(result.device)
        return develop(result, matrix, tone, saturation=saturation, grey=grey)

    return show


def _plan_look(model: Model, image: DarkImage, ratio: float, grey: bool, look: Look) -> _Steps:
    """A linear network, rendered as a user wants it."""
    contract, bounds = model.contract, _bounds(image)
    amplified = _amplify(image, ratio, shown=look.curve is not None)
    light = light_map(amplified)
    seen = _with_noise_planes((amplified / light).clamp(*bounds), contract)
    y = torch.cat([amplified, light, seen[len(amplified) :]])
    show = _choose_rendering(image, amplified, ratio, grey, look.curve)
    halo = contract.halo
    if image.is_raw and look.strength < 1:
        halo = max(halo, DEMOSAICING_HALO)
    network = expose_highlights(model.network, contract, bounds, look.strength)
    return _Steps(y, network, show, halo)


def _bounds(image: DarkImage) -> tuple[float, float]:
    return AMPLIFIED_RANGE if image.is_raw else AMPLIFIED_SRGB_RANGE


def brighten(
    model: Model,
    image: DarkImage,
    ratio: float,
    plan: TilePlan,
    *,
    look: Look | None = None,
    half: bool = False,
    grey: bool = False,
    levels: torch.dtype = torch.float32,
    progress: Progress = lambda _done, _total: None,
    notice: Callable[[str], None] = lambda _: None,
) -> Tensor:
    """Brighten one dark picture.

    Args:
        model: a low-light model for RAW files or for pictures in sRGB, as ``image`` is.
        image: the picture.
        ratio: the amplification. The thesis's networks are given values that are clipped to 1
            after it (ch. 6). The others only lose far highlights and noise (``AMPLIFIED_RANGE``).
        plan: how to cut the picture. For RAW files its sides count packed pixels.
        look: how the result is rendered. Without it highlights are cut at white and the curve is
            that of the model's contract, as benchmarks and training have it. A network whose
            output is shown as it is takes no look.
        half: whether the result has half of the width and height.
        grey: whether the result is a single plane, even if the model gives colours.
        levels, progress, notice: see ``run_tiled``.

    Returns:
        (C, H', W'), shown values in [0, 1] or levels, or light of any range if the look has no
        curve. A network of the thesis gives half of the sensor's width and height in any case.
    """
    contract = model.contract
    direct = not contract.is_linear  # The output is shown as it is, without rendering.
    if direct:
        assert look is None, look
        steps = _plan_direct(model, image, ratio, grey)
    elif look is None:
        steps = _plan_fixed(model, image, ratio, grey)
    else:
        steps = _plan_look(model, image, ratio, grey, look)
    model = replace(model, network=steps.network, contract=replace(contract, halo=steps.halo))
    run = partial(run_tiled, image=steps.y, plan=plan, progress=progress, notice=notice)
    if half and not contract.is_raw:  # This network keeps the size of the picture.
        light = run(model)[None]
        light = functional.avg_pool2d(light, [min(2, side) for side in light.shape[2:]])
        return to_levels(steps.show(light)[0], levels)
    shrink = 2 if half and not direct else 1
    finished = replace(
        model,
        network=_finish(steps.network, shrink, steps.show),
        contract=replace(
            model.contract,
            scale=contract.scale // shrink,
            channels_out=1 if grey else contract.channels_out,
        ),
    )
    return run(finished, levels=levels)
