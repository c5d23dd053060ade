"""The networks of dissertation 003, ch. 4: generator, discriminator, lens and classifier."""

import math

import pytest
import torch

from enhance_cli.architectures.dcgan import DcganConfig, DcganDiscriminator, Generator, to_drawn
from enhance_cli.architectures.digit_classifier import DigitClassifier, DigitClassifierConfig
from enhance_cli.architectures.lens import Lens

DIGITS = DcganConfig(side=28, padding=2, width=4, latent=8)


def parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_parameter_counts_are_those_of_the_layers() -> None:
    """Counted by hand for C = 32 and colour: kernels of 4x4, two values of each normalised map."""
    generator = 64 * 128 * 16 + 16 * (128 * 64 + 64 * 32 + 32 * 3) + 3 + 2 * (128 + 64 + 32)
    discriminator = 16 * (3 * 32 + 32 * 64 + 64 * 128) + 32 + 2 * (64 + 128) + 128 * 16 + 1
    lens = 9 * (3 * 16 + 16 * 16 * 16 + 16 * 3) + 17 * 16 + 3
    assert parameters(Generator(DcganConfig())) == generator == 296_899
    assert parameters(DcganDiscriminator(DcganConfig())) == discriminator == 167_841
    assert parameters(Lens(3, 16)) == lens == 38_003
    assert parameters(DigitClassifier(DigitClassifierConfig())) == 89_546


@pytest.mark.parametrize("normalised", [True, False])
@pytest.mark.parametrize("channels", [1, 3])
def test_codes_become_pictures_and_pictures_values(channels: int, normalised: bool) -> None:
    config = DcganConfig(channels=channels, width=4, latent=8, normalised=normalised)
    network = Generator(config).eval()
    codes = torch.randn(5, 8)
    drawn = network(codes)
    assert drawn.shape == (5, channels, 32, 32)
    assert drawn.abs().max() <= 1
    assert torch.equal(network(codes[:, :, None, None]), drawn)
    assert torch.allclose(network.decode(codes), drawn / 2 + 0.5)
    assert DcganDiscriminator(config)(drawn).shape == (5,)
    kinds = {
        type(layer) for one in (network, DcganDiscriminator(config)) for layer in one.modules()
    }
    assert (torch.nn.BatchNorm2d in kinds) == normalised


def test_the_border_that_digits_are_given_is_cut_off_again() -> None:
    digits = torch.rand(2, 3, 28, 28)
    seen = to_drawn(digits, 2)
    assert seen.shape == (2, 3, 32, 32)
    assert (seen[..., :2, :] == -1).all() and (seen[..., -2:] == -1).all()
    network = Generator(DIGITS).eval()
    network.forward = lambda z: seen  # type: ignore[method-assign]
    assert torch.allclose(network.decode(torch.zeros(2, 8)), digits, atol=1e-6)


def test_the_lens_adds_to_its_input() -> None:
    """So that it can become the identity, at any size of picture."""
    lens = Lens(3, 4)
    pictures = torch.randn(2, 3, 20, 12)
    assert lens(pictures).shape == pictures.shape
    assert not torch.allclose(lens(pictures), pictures)
    torch.nn.init.zeros_(lens.out.weight)
    assert torch.equal(lens(pictures), pictures)
    assert len(lens.body) == 8


def test_weights_begin_by_xavier_s_rule() -> None:
    dense = Generator(DcganConfig()).layers[1]
    bound = math.sqrt(6 / (64 + 128 * 16))
    weight = dense.weight.detach()
    assert weight.abs().max() <= bound
    assert weight.std() == pytest.approx(bound / math.sqrt(3), rel=0.02)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"side": 28}, "side 28 with padding 0: .* made for 32 pixels"),
        ({"side": 64, "padding": -16}, "side 64 with padding -16"),
        ({"channels": 2}, "channels must be 1 or 3, not 2"),
        ({"latent": 0}, "at least 1"),
    ],
)
def test_impossible_networks(settings: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DcganConfig(**settings)  # type: ignore[arg-type]


def test_a_lens_needs_channels() -> None:
    with pytest.raises(ValueError, match="no lens of 0 channels"):
        Lens(3, 0)


def test_a_generator_has_no_density_but_its_prior() -> None:
    densities = Generator(DIGITS).densities
    drawn = densities.sample("prior", 1000, 0.5, torch.Generator().manual_seed(0))
    assert drawn.shape == (1000, 8)
    assert drawn.std() == pytest.approx(0.5, rel=0.05)
    with pytest.raises(ValueError, match="only its prior"):
        densities.sample("mixture", 1, 1.0, torch.Generator())
