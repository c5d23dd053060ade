"""From a dark picture to what is shown, with networks whose doing is known."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tensors import random
from torch import Tensor, nn
from torch.nn import functional

from enhance_cli.architectures import ARCHITECTURES
from enhance_cli.architectures.sid_fcn import SidFcn, SidFcnConfig
from enhance_cli.architectures.spec import Contract
from enhance_cli.colour import (
    AMPLIFIED_RANGE,
    LUMINANCE,
    TONE_CURVES,
    camera_matrices,
    linear_to_srgb,
    luminance,
    noise_planes,
    render,
    srgb_to_linear,
)
from enhance_cli.data.darkness import XYZ_TO_CAMERA
from enhance_cli.demosaicing import demosaic_adaptive
from enhance_cli.engine.brighten import DarkImage, Look, brighten
from enhance_cli.engine.catalogue import Model, ModelOptions
from enhance_cli.engine.checkpoint import CheckpointInfo
from enhance_cli.engine.highlights import choose_tone, find_saturation, light_map
from enhance_cli.engine.strategies import STRATEGIES
from enhance_cli.engine.tiled import TilePlan
from enhance_cli.tasks.dark_files import read_dark_file
from enhance_cli.tone import Tone, develop

CPU = torch.device("cpu")
WHOLE = TilePlan(tile=0)
GAINS = (2.1, 1.0, 1.6)
_, MATRIX = camera_matrices(XYZ_TO_CAMERA[0])


class Known(nn.Module):
    """Gives its input, demosaiced or enlarged as the contract has it, and keeps it."""

    def __init__(self, contract: Contract) -> None:
        super().__init__()
        self.contract = contract
        self.seen: list[Tensor] = []

    def forward(self, y: Tensor) -> Tensor:
        assert y.shape[1] == self.contract.channels_in
        self.seen.append(y.clone())
        if self.contract.is_raw:
            y = torch.stack([y[:, 0], (y[:, 1] + y[:, 3]) / 2, y[:, 2]], 1)
        y = y[:, :3]
        if self.contract.channels_out == 1:
            y = (y * LUMINANCE.view(3, 1, 1)).sum(1, keepdim=True)
        return functional.interpolate(y, scale_factor=self.contract.scale, mode="nearest")


CONTRACTS = {
    "balanced-raw": Contract(scale=2, channels_in=4, colour="balanced-raw", size_multiple=16),
    "linear-srgb": Contract(scale=1, channels_in=3, colour="linear-srgb", size_multiple=32),
    "amplified-raw": Contract(
        scale=1, channels_in=4, colour="amplified-raw", patch_size=32, tiling="blended"
    ),
    "amplified-srgb": Contract(
        scale=1, channels_in=3, colour="amplified-srgb", patch_size=32, tiling="blended"
    ),
}


def as_model(network: nn.Module, dtype: torch.dtype = torch.float32) -> Model:
    contract: Contract = network.contract  # type: ignore[assignment]
    architecture = ARCHITECTURES["sid-fcn"]
    info = CheckpointInfo(Path("none"), "known", architecture, SidFcnConfig(), contract)
    return Model(network, info.contract, CPU, dtype, info=info)


def known(colour: str, **changes: object) -> tuple[Model, Known]:
    network = Known(replace(CONTRACTS[colour], **changes))  # type: ignore[arg-type]
    return as_model(network), network


def dark(colour: str, height: int = 24, width: int = 36, light: float = 0.01) -> DarkImage:
    if colour.endswith("raw"):
        planes = light * (random(4, height, width) * 1.3 - 0.1)
        return DarkImage(planes, GAINS, MATRIX)
    return DarkImage(light * random(3, height, width))


# --- what networks are given -----------------------------------------------------------------


def test_raw_is_balanced_amplified_and_not_clipped_at_white() -> None:
    model, network = known("balanced-raw")
    image = dark("balanced-raw", 16, 32, light=0.05)
    kept = image.planes.clone()
    brighten(model, image, 80, WHOLE)
    gains = torch.tensor([2.1, 1.0, 1.6, 1.0]).view(4, 1, 1)
    expected = (kept * gains * 80).clamp(*AMPLIFIED_RANGE)
    assert expected.max() == 8
    assert expected.min() < 0
    assert torch.allclose(network.seen[0][0], expected)
    assert torch.equal(image.planes, kept)


def test_the_thesis_s_networks_see_the_sensor_s_own_values() -> None:
    """No white balance, and clipped to [0, 1] (ch. 6)."""
    model, network = known("amplified-raw")
    image = dark("amplified-raw", 32, 32, light=0.05)
    brighten(model, image, 40, WHOLE)
    assert torch.allclose(network.seen[0][0], (image.planes * 40).clamp(0, 1))
    assert network.seen[0].max() == 1
    assert network.seen[0].min() == 0


def test_srgb_is_linear_or_encoded_again() -> None:
    image = dark("linear-srgb", 32, 32, light=0.05)
    model, network = known("linear-srgb")
    brighten(model, image, 40, WHOLE)
    assert torch.allclose(network.seen[0][0], image.planes * 40)
    model, network = known("amplified-srgb")
    brighten(model, image, 40, WHOLE)
    assert torch.allclose(network.seen[0][0], linear_to_srgb((image.planes * 40).clamp(0, 1)))


@pytest.mark.parametrize("colour", ["balanced-raw", "linear-srgb"])
def test_the_noise_planes_are_those_of_the_whole_picture(colour: str) -> None:
    """So that tiles agree on it."""
    channels = CONTRACTS[colour].channels_in
    model, network = known(colour, channels_in=channels + 2)
    image = dark(colour, 96, 64)
    brighten(model, image, 50, TilePlan(tile=32))
    given = image.balanced() * 50
    expected = noise_planes(given[None], 2)[0, :, :1, :1]
    assert expected.min() > 0.01
    assert len(network.seen) > 3
    for tile in network.seen:
        assert torch.allclose(tile[:, -2:], expected)


def test_balanced_planes() -> None:
    image = DarkImage(torch.ones(4, 1, 1), (2.0, 1.0, 3.0))
    assert image.balanced().flatten().tolist() == [2, 1, 3, 1]
    assert image.is_raw
    picture = DarkImage(torch.ones(3, 1, 1), (2.0, 1.0, 3.0))
    assert picture.balanced().flatten().tolist() == [1, 1, 1]
    assert not picture.is_raw


# --- what is shown ---------------------------------------------------------------------------


def test_raw_is_rendered_by_the_file_s_matrix_and_the_camera_s_curve() -> None:
    model, network = known("balanced-raw")
    image = dark("balanced-raw")
    shown = brighten(model, image, 60, WHOLE)
    linear = network(image.balanced()[None] * 60)[0]
    assert torch.allclose(shown, render(linear, MATRIX, "camera"), atol=1e-5)
    assert not torch.allclose(shown, render(linear, torch.eye(3), "camera"), atol=0.02)
    assert shown.std() > 0.05


def test_srgb_is_shown_by_its_own_curve() -> None:
    """A picture in, amplified by one: the same picture out."""
    picture = random(3, 20, 40)
    for colour in ("linear-srgb", "amplified-srgb"):
        model, _ = known(colour)
        shown = brighten(model, DarkImage(srgb_to_linear(picture)), 1, TilePlan())
        assert torch.allclose(shown, picture, atol=1e-5)


def test_the_thesis_s_networks_give_what_is_shown() -> None:
    model, network = known("amplified-raw")
    image = dark("amplified-raw", 32, 32)
    shown = brighten(model, image, 60, WHOLE)
    assert torch.allclose(shown, network((image.planes * 60).clamp(0, 1)[None])[0])


def test_a_flat_grey_card_stays_grey() -> None:
    """Of 18% under any light, for every camera, amplified from the dark."""
    for index in range(len(XYZ_TO_CAMERA)):
        _, matrix = camera_matrices(XYZ_TO_CAMERA[index])
        planes = torch.tensor([0.18 / 2.1, 0.18, 0.18 / 1.6, 0.18]).view(4, 1, 1) / 100
        model, _ = known("balanced-raw")
        shown = brighten(model, DarkImage(planes.expand(4, 20, 20), GAINS, matrix), 100, WHOLE)
        expected = float(TONE_CURVES["camera"][0](torch.tensor(0.18)))
        assert torch.allclose(shown, torch.full_like(shown, expected), atol=1e-4)


@pytest.mark.parametrize("ratio", [1.0, 300.0])
@pytest.mark.parametrize("gains", [GAINS, (1.0, 1.3, 2.9)])
def test_saturated_highlights_are_white(ratio: float, gains: tuple[float, float, float]) -> None:
    """Not magenta: all planes end at 1, the balance lifts red and blue above it."""
    network = SidFcn(SidFcnConfig(width=1, latent=1))
    with torch.no_grad():
        for parameter in network.out.parameters():
            parameter.zero_()  # gives its input
    for model in (known("balanced-raw")[0], as_model(network.eval())):
        for grey in (False, True):
            image = DarkImage(torch.ones(4, 32, 32), gains, MATRIX)
            shown = brighten(model, image, ratio, WHOLE, grey=grey, levels=torch.uint8)
            assert shown.int().unique().tolist() == [255]


def test_saturated_highlights_stay_neutral_when_darkened() -> None:
    model, _ = known("balanced-raw")
    shown = brighten(model, DarkImage(torch.ones(4, 32, 32), GAINS, MATRIX), 0.5, WHOLE)
    expected = TONE_CURVES["camera"][0](torch.tensor(0.5)).expand_as(shown)
    assert torch.allclose(shown, expected, atol=1e-4)


def test_grey_is_the_luminance_of_what_is_shown() -> None:
    for colour in CONTRACTS:
        model, _ = known(colour)
        image = dark(colour)
        shown = brighten(model, image, 60, TilePlan())
        grey = brighten(model, image, 60, TilePlan(), grey=True)
        assert grey.shape == (1, *shown.shape[1:])
        expected = linear_to_srgb(luminance(srgb_to_linear(shown)))
        assert torch.allclose(grey, expected, atol=1e-5)


@pytest.mark.parametrize("colour", CONTRACTS)
@pytest.mark.parametrize("grey", [False, True])
def test_a_grey_network_gives_one_plane(colour: str, grey: bool) -> None:
    model, _ = known(colour, channels_out=1)
    shown = brighten(model, dark(colour), 60, TilePlan(), grey=grey)
    assert shown.shape[0] == 1
    assert shown.std() > 0.05


# --- sizes and levels ------------------------------------------------------------------------

OUTPUT = {  # of 17x23 planes: whole, half
    "balanced-raw": ((34, 46), (17, 23)),
    "linear-srgb": ((17, 23), (8, 11)),
    "amplified-raw": ((17, 23), (17, 23)),
    "amplified-srgb": ((17, 23), (8, 11)),
}


@pytest.mark.parametrize("colour", CONTRACTS)
@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("levels", [torch.float32, torch.uint16])
def test_sizes_and_levels(colour: str, grey: bool, levels: torch.dtype) -> None:
    for half in (False, True):
        model, _ = known(colour)
        options = {"half": half, "grey": grey}
        image = dark(colour, 17, 23)
        made = brighten(model, image, 60, TilePlan(), levels=levels, **options)
        assert made.dtype == levels
        assert made.shape == (1 if grey else 3, *OUTPUT[colour][half])
        exact = brighten(model, image, 60, TilePlan(), **options)
        assert exact.min() >= 0
        assert exact.max() <= 1
        if levels != torch.float32:
            top = torch.iinfo(levels).max
            assert ((made.int() - exact * top).abs() <= 0.5 + 1e-3 * top / 255).all()


def test_half_of_raw_is_the_mean_of_light() -> None:
    """Averaged before the curve: no darkening of edges, and less noise."""
    network = SidFcn(SidFcnConfig(width=2, latent=2)).eval()
    model = as_model(network)
    image = dark("balanced-raw", 32, 32)
    half = brighten(model, image, 60, WHOLE, half=True)
    with torch.no_grad():
        linear = network(image.balanced()[None] * 60)
    expected = render(functional.avg_pool2d(linear, 2), MATRIX, "camera")[0]
    assert torch.allclose(half, expected, atol=1e-5)
    whole = brighten(model, image, 60, WHOLE)
    assert not torch.allclose(half, functional.avg_pool2d(whole, 2), atol=1e-3)


@pytest.mark.parametrize("colour", ["linear-srgb", "amplified-srgb"])
def test_half_of_a_picture_is_its_mean(colour: str) -> None:
    """The mean of the network's output: of light where that is light."""
    model, _ = known(colour)
    image = dark(colour, 18, 24)
    half, whole = (brighten(model, image, 60, TilePlan(), half=half) for half in (True, False))
    if colour == "linear-srgb":
        whole = srgb_to_linear(whole)
        half = srgb_to_linear(half)
    assert torch.allclose(half, functional.avg_pool2d(whole, 2), atol=1e-4)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (33, 65)])
@pytest.mark.parametrize("colour", CONTRACTS)
def test_pictures_of_any_size(colour: str, size: tuple[int, int], half: bool) -> None:
    model, _ = known(colour)
    made = brighten(model, dark(colour, *size), 60, TilePlan(), half=half)
    assert made.isfinite().all()
    assert min(made.shape) > 0


@pytest.mark.parametrize("colour", CONTRACTS)
@pytest.mark.parametrize("half", [False, True])
def test_tiles_do_not_show(colour: str, half: bool) -> None:
    model, network = known(colour)
    image = dark(colour, 70, 101)
    whole = brighten(model, image, 60, WHOLE, half=half)
    for plan in (
        TilePlan(tile=32),
        *(replace(plan, tile=32, overlap=10) for plan in STRATEGIES.values()),
    ):
        network.seen.clear()
        made = brighten(model, image, 60, plan, half=half)
        assert torch.allclose(made, whole, rtol=0, atol=1e-4)
    assert made.shape == whole.shape


def test_a_real_network_in_tiles() -> None:
    torch.manual_seed(0)
    network = SidFcn(SidFcnConfig(width=2, latent=2)).eval()
    model = as_model(network)
    image = dark("balanced-raw", 41, 470)
    for half in (False, True):
        whole = brighten(model, image, 60, WHOLE, half=half)
        tiled = brighten(model, image, 60, TilePlan(tile=448), half=half)
        assert torch.allclose(tiled, whole, rtol=0, atol=1e-3)


def test_reduced_precision_leaves_the_rendering_exact() -> None:
    network = SidFcn(SidFcnConfig(width=2, latent=2)).eval()
    with torch.no_grad():
        for parameter in network.out.parameters():
            parameter.zero_()
    image = dark("balanced-raw", 32, 32)
    exact, reduced = (
        brighten(as_model(network, dtype), image, 60, WHOLE)
        for dtype in (torch.float32, torch.bfloat16)
    )
    assert torch.allclose(exact, reduced, rtol=0, atol=1e-4)


def test_progress_reaches_the_end() -> None:
    model, _ = known("amplified-raw")
    seen: list[tuple[int, int]] = []
    report: Callable[[int, int], None] = lambda done, total: seen.append((done, total))  # noqa: E731
    plan = replace(STRATEGIES["fastest"], overlap=5)
    brighten(model, dark("amplified-raw", 70, 90), 60, plan, progress=report)
    assert len(seen) > 1
    assert seen[-1][0] == seen[-1][1]


# --- as users see it -------------------------------------------------------------------------

LINEAR = ["balanced-raw", "linear-srgb"]


def lamp(colour: str, height: int = 70, width: int = 101) -> DarkImage:
    """A dark picture with a lamp, which becomes 30 times as bright as white at ratio 40."""
    image = dark(colour, height, width, light=0.001)
    image.planes[:, 20:40, 30:60] += torch.linspace(0, 0.75 / max(GAINS), 30)
    return image


@pytest.mark.parametrize("colour", LINEAR)
def test_networks_are_not_shown_what_is_brighter_than_white(colour: str) -> None:
    """And its brightness comes back behind them."""
    model, network = known(colour)
    image = lamp(colour)
    amplified = image.balanced() * 40
    shown = brighten(model, image, 40, WHOLE, look=Look("flat"))
    assert amplified.max() > 10
    assert network.seen[0].max() < 1.2
    saturation = None
    if image.is_raw:
        saturation = find_saturation(image.planes) * torch.tensor(image.gains) * 40
    tone = choose_tone(amplified, "flat", 40 * max(image.gains))
    expected = develop(
        network(amplified[None].clone())[0],
        image.camera_to_srgb,
        tone,
        saturation=saturation,
    )
    assert tone.knee == 0.5
    assert torch.allclose(shown, expected, atol=1e-5)


def test_the_map_of_light_is_not_led_by_noise() -> None:
    noise = torch.randn(4, 90, 120, generator=torch.Generator().manual_seed(0))
    assert light_map(0.1 + 0.8 * noise).max() < 1.25
    clean = torch.full((4, 20, 30), 0.2)
    clean[:, 5, 7] = 6.0
    assert light_map(clean).flatten().sort().values[-2:].tolist() == [1, 6]


@pytest.mark.parametrize("colour", LINEAR)
@pytest.mark.parametrize("strength", [0.0, 0.4, 1.0])
def test_tiles_do_not_show_in_a_look(colour: str, strength: float) -> None:
    model, _ = known(colour)
    image = lamp(colour)
    look = Look("camera", strength)
    for half in (False, True):
        whole = brighten(model, image, 40, WHOLE, look=look, half=half)
        tiled = brighten(model, image, 40, TilePlan(tile=48), look=look, half=half)
        assert torch.allclose(tiled, whole, rtol=0, atol=1e-4)
    if strength == 1:
        whole = brighten(model, image, 40, WHOLE, look=look)
        for plan in STRATEGIES.values():
            cut = brighten(model, image, 40, replace(plan, tile=32, overlap=10), look=look)
            assert torch.allclose(cut, whole, rtol=0, atol=1e-4)


@pytest.mark.parametrize("colour", LINEAR)
@pytest.mark.parametrize("grey", [False, True])
def test_strength_blends_in_linear_light(colour: str, grey: bool) -> None:
    """At 0 the network is not asked, and the result is the input: demosaiced, brighter."""
    channels = 1 if grey else 3
    model, network = known(colour, channels_out=channels)
    image = replace(dark(colour, 32, 32), camera_to_srgb=torch.eye(3))
    image = replace(image, planes=0.2 + 10 * image.planes)  # nothing that the file would cut
    none, some, all_ = (
        brighten(model, image, 1, WHOLE, look=Look("linear", strength))
        for strength in (0.0, 0.3, 1.0)
    )
    assert len(network.seen) == 2
    assert (none - all_).abs().max() > 0.05 or colour == "linear-srgb"
    assert torch.allclose(some, torch.lerp(none, all_, 0.3), atol=1e-5)
    plain = image.balanced()
    if image.is_raw:
        plain = demosaic_adaptive(functional.pixel_shuffle(plain[None, [0, 1, 3, 2]], 2))[0]
    plain = luminance(plain) if grey else plain
    assert torch.allclose(none, plain, atol=1e-5)


def test_grey_is_the_luminance_of_light() -> None:
    model, _ = known("linear-srgb")
    image = lamp("linear-srgb")
    colour, grey = (
        brighten(model, image, 1, WHOLE, grey=grey, look=Look("linear")) for grey in (False, True)
    )
    assert torch.allclose(grey, luminance(colour), atol=1e-5)


@pytest.mark.parametrize("ratio", [1.0, 300.0])
@pytest.mark.parametrize("gains", [GAINS, (1.0, 1.3, 2.9)])
def test_a_saturated_sensor_is_white_in_every_look(
    ratio: float, gains: tuple[float, float, float]
) -> None:
    """A sensor that saturates a little below its stated white level, too."""
    model, _ = known("balanced-raw")
    for level in (1.0, 0.9):
        image = DarkImage(torch.full((4, 32, 32), level), gains, MATRIX)
        for curve in ("camera", "flat", "linear"):
            shown = brighten(model, image, ratio, WHOLE, look=Look(curve))  # type: ignore[arg-type]
            assert shown.min() > 1 - 1e-4


def test_a_picture_darkened_has_no_shoulder() -> None:
    model, _ = known("balanced-raw")
    image = DarkImage(torch.ones(4, 32, 32), GAINS, MATRIX)
    shown = brighten(model, image, 0.5, WHOLE, look=Look("camera"))
    expected = Tone("camera").show(torch.full_like(shown, 0.5))
    assert torch.allclose(shown, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "place", "ratio"),
    [
        ("dark/9.bmp", (120, 140), 9.13),
        ("dark/4.bmp", (0, 0), 2.38),
        ("raw/colorchart.dng", (20, 60), 8),
    ],
)
def test_real_highlights_are_not_cut(
    shared_data: Path, name: str, place: tuple[int, int], ratio: float
) -> None:
    """With the shipped network: an orange lamp, a sky, a window."""
    image = read_dark_file(shared_data / name, lambda _: None).image
    y, x = place
    image = replace(image, planes=image.planes[:, y : y + 96, x : x + 96].clone())
    options = ModelOptions(name="sid-fcn" if image.is_raw else "sid-fcn-srgb")
    model = options.load("lowlight")
    saturated = (image.planes > 0.95).any(0).repeat_interleave(2, 0).repeat_interleave(2, 1)
    if not image.is_raw:
        saturated = (image.planes > 0.95).any(0)
    shares = []
    for look in (None, Look("camera" if image.is_raw else "flat")):
        shown = brighten(model, image, ratio, TilePlan(), look=look, levels=torch.uint8)
        white = (shown == 255).any(0)
        shares.append(float((white & ~saturated).float().mean()))
    assert shares[0] > 0.2
    assert shares[1] < 0.01
