"""Perceptual and texture losses against values worked by hand."""

from typing import Any

import pytest
import torch
from torch import Tensor

from enhance_cli.architectures.squeezenet import MAP_CHANNELS, SqueezeNet
from enhance_cli.architectures.vgg import Vgg19, VggMaps
from enhance_cli.engine.features import PerceptualDistance
from enhance_cli.errors import UsageError
from enhance_cli.training.perceptual import (
    Criterion,
    LossWeights,
    draw_shift,
    fine_detail,
    make_criterion,
    perceptual_loss,
    split_patches,
    texture_error,
    texture_loss,
)

CPU = torch.device("cpu")


def maps_of(picture: Tensor) -> VggMaps:
    torch.manual_seed(0)
    with torch.no_grad():
        return Vgg19()(picture)  # type: ignore[no-any-return]


def test_patches_of_known_maps() -> None:
    """Two channels of 2x4 places, in two patches of 2x2, and their Gram matrices by hand."""
    maps = torch.tensor(
        [[[1.0, 2.0, 1.0, 0.0], [3.0, 4.0, 0.0, 0.0]], [[0.0, 1.0, 5.0, 0.0], [0.0, 1.0, 0.0, 2.0]]]
    )[None]
    patches = split_patches(maps, 2)
    expected = torch.tensor([[[30.0, 6.0], [6.0, 2.0]], [[1.0, 5.0], [5.0, 29.0]]])
    assert torch.equal(patches.transpose(2, 3) @ patches, expected[None])


@pytest.mark.parametrize("channels", [3, 40])
def test_texture_error_by_its_definition(channels: int) -> None:
    """With fewer and with more channels than the 16 places of a patch, and its gradient."""
    maps = torch.rand(2, 2, channels, 8, 4, generator=torch.Generator().manual_seed(0)).double()
    made, true = maps[0].requires_grad_(), maps[1]
    difference = torch.zeros(2, 2, channels, channels, dtype=torch.float64)
    for patch, rows in enumerate((slice(0, 4), slice(4, 8))):
        f, g = (part[:, :, rows].flatten(2) for part in (made, true))
        difference[:, patch] = f @ f.transpose(1, 2) - g @ g.transpose(1, 2)
    expected = difference.square().sum((2, 3)).mean(1)
    error = texture_error(made, true, 4)
    assert torch.allclose(error.double(), expected, rtol=1e-5)
    (wanted,) = torch.autograd.grad(expected.sum(), made)
    (found,) = torch.autograd.grad(error.sum(), made)
    assert torch.allclose(found, wanted, rtol=1e-3, atol=1e-4 * wanted.abs().max())


def test_texture_error_is_summed_in_a_patch_and_averaged_over_patches() -> None:
    made, true = torch.zeros(1, 2, 2, 4), torch.zeros(1, 2, 2, 4)
    made[0, 0, 0, 0], made[0, 1, 0, 0] = 2.0, 1.0  # Gram matrix 4 2 2 1 in the first patch
    assert float(texture_error(made, true, 2)) == (16 + 4 + 4 + 1) / 2


def test_textures_do_not_depend_on_places_within_a_patch() -> None:
    """Features may change places within a patch, but not from one patch to another."""
    maps = torch.rand(1, 3, 4, 8)
    within = maps.clone()
    within[..., :4] = maps[..., :4].flip(2, 3)
    assert float(texture_error(within, maps, 4)) == pytest.approx(0, abs=1e-9)
    assert float(texture_error(maps.roll(4, 3), maps, 4)) > 0.01
    assert float(texture_error(maps.roll(4, 3), maps, 2)) > 0.01


def test_losses_of_equal_pictures_are_zero_and_others_are_not() -> None:
    picture = torch.rand(2, 3, 16, 16)
    maps, other = maps_of(picture), maps_of(picture.flip(0))
    assert float(texture_loss(maps, maps, (1.0, 1.0, 1.0), 8)) == 0
    assert float(perceptual_loss(maps, maps, (1.0, 1.0))) == 0
    for at in range(3):
        weights = tuple(float(index == at) for index in range(3))
        assert float(texture_loss(maps, other, weights, 8)) > 0  # type: ignore[arg-type]


def test_texture_weights_hold_for_any_patch() -> None:
    """Maps that are the same everywhere differ by the same loss in patches of any size."""
    two, one = (
        VggMaps(*(torch.full((1, 2, s, s), level) for s in (32, 16, 8, 8))) for level in (2.0, 1.0)
    )
    losses = [float(texture_loss(two, one, (1.0, 0.0, 0.0), patch)) for patch in (4, 16, 32)]
    assert losses == pytest.approx([4 * (256 * (4 - 1)) ** 2] * 3)


def test_perceptual_loss_sums_over_channels() -> None:
    """Eq. 2.5 with the norm of eq. 2.4: 128 and 256 channels that differ by 2 everywhere."""
    zero = VggMaps(*(torch.zeros(2, c, 4, 4) for c in (64, 128, 128, 256)))
    two = VggMaps(*(torch.full((2, c, 4, 4), 2.0) for c in (64, 128, 128, 256)))
    assert float(perceptual_loss(two, zero, (1.0, 0.5))) == 128 * 4 + 0.5 * 256 * 4


@pytest.mark.parametrize("channels", [8, 40])
def test_texture_error_is_not_rounded_under_autocast(channels: int) -> None:
    made, true = torch.rand(2, 1, channels, 8, 8)
    exact = texture_error(made, true, 4)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(texture_error(made, true, 4), exact)


def never() -> Any:
    raise AssertionError("no features are compared")


def test_weights_of_nought_leave_losses_and_networks_out() -> None:
    criterion = make_criterion(LossWeights(euclidean=3.0), 16, 0, CPU, never, never)
    made = torch.zeros(1, 3, 16, 16)
    loss, rival = criterion.losses(made, made + 0.5)
    assert criterion.adversary is criterion.features is rival is None
    assert float(loss) == 3 * 0.25


def test_the_loss_is_the_weighed_sum_of_its_parts() -> None:
    made, true = torch.rand(2, 2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(0)
    features = Vgg19().requires_grad_(False)
    rows = tuple(torch.rand(1, channels, 1, 1) for channels in MAP_CHANNELS)
    distance = PerceptualDistance("", SqueezeNet().requires_grad_(False), rows, CPU)

    def loss(**weights: object) -> float:
        chosen = LossWeights(**weights)  # type: ignore[arg-type]
        criterion = make_criterion(chosen, 32, 5, CPU, lambda: features, lambda: distance)
        return criterion.losses(made, true)[0].item()

    parts: list[dict[str, object]] = [
        {"euclidean": 2.0},
        {"perceptual": (0.3, 0.2)},
        {"adversarial": 1.5},
        {"texture": (1e-2, 2e-2, 3e-2)},
        {"lpips": 5.0},
        {"grid": 7.0},
    ]
    assert loss(lpips=2.0) == pytest.approx(2 * float(distance(made, true).mean()), rel=1e-5)
    whole = {name: weight for part in parts for name, weight in part.items()}
    assert loss(**whole) == pytest.approx(sum(loss(**part) for part in parts), rel=1e-5)


def test_the_network_does_not_heed_the_adversary_during_its_head_start() -> None:
    made, true = torch.rand(2, 2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    made.requires_grad_()
    weights = LossWeights(adversarial=1.5, head_start=3)
    criterion = make_criterion(weights, 32, 5, CPU, Vgg19, never)
    gradients = []
    for step in (2, 3):
        loss, own = criterion.losses(made, true, step=step)
        assert own is not None
        gradients.append(float(torch.autograd.grad(loss, made)[0].abs().sum()))
    assert gradients[0] == 0 < gradients[1]


@pytest.mark.parametrize(
    ("weights", "side", "message"),
    [
        (LossWeights(texture=(1.0, 0.0, 0.0), texture_patch=12), 32, "texture_patch=12.*32 pixels"),
        (LossWeights(adversarial=1.0), 40, "multiple of 32, not 40"),
        (LossWeights(grid=1.0), 34, "grid=1.0.*34 pixels"),
    ],
)
def test_losses_that_a_size_of_patches_does_not_allow(
    weights: LossWeights, side: int, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        make_criterion(weights, side, 0, CPU, Vgg19, never)


@pytest.mark.parametrize(
    "weights",
    [
        {},
        {"euclidean": -1.0},
        {"adversarial": 1.0, "winning": 2.0},
        {"texture_patch": 6},
        {"psnr": 1.0, "psnr_colour": 2.0},
    ],
)
def test_impossible_weights(weights: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"0|multiple"):
        LossWeights(**weights)  # type: ignore[arg-type]


def test_a_criterion_without_an_adversary_trains_none() -> None:
    torch.manual_seed(0)
    features = Vgg19().requires_grad_(False)
    criterion = Criterion(LossWeights(perceptual=(1.0, 1.0)), features, None)
    made = torch.rand(1, 3, 16, 16, requires_grad=True)
    loss, rival = criterion.losses(made, torch.rand(1, 3, 16, 16))
    loss.backward()
    assert rival is None
    assert made.grad is not None
    assert float(made.grad.abs().sum()) > 0


def test_shifted_features_are_those_of_shifted_pictures_and_the_rest_stays() -> None:
    made, true = torch.rand(2, 2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(0)
    features = Vgg19().requires_grad_(False)
    weights = LossWeights(perceptual=(1.0, 1.0), texture=(1.0, 1.0, 1.0))
    criterion = Criterion(weights, features, None)
    rolled = (picture.roll((1, 2), (2, 3)) for picture in (made, true))
    shifted = criterion.losses(made, true, (1, 2))[0]
    torch.testing.assert_close(shifted, criterion.losses(*rolled)[0])
    assert not torch.isclose(shifted, criterion.losses(made, true)[0])
    pixels = Criterion(LossWeights(euclidean=1.0), None, None)
    assert pixels.losses(made, true, (1, 2))[0] == pixels.losses(made, true)[0]


def test_all_shifts_are_drawn() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = {draw_shift(generator) for _ in range(3000)}
    assert drawn == {(down, right) for down in range(16) for right in range(16)}


def test_fine_detail_has_what_a_smaller_picture_lacks_and_nothing_else() -> None:
    """A plain slope is lost by no resizing; a checkerboard is lost whole."""
    slope = torch.linspace(0.2, 0.8, 32).expand(1, 3, 32, 32)
    assert fine_detail(slope)[..., 8:-8, 8:-8].abs().max() < 0.005
    board = (torch.arange(32) + torch.arange(32)[:, None]).remainder(2).expand(1, 3, 32, 32)
    centre = (fine_detail(board.float()) - 8 * (board - 0.5))[..., 8:-8, 8:-8]
    assert centre.abs().max() < 0.005
