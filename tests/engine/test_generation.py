"""Codes, and pictures from them."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from enhance_cli.architectures import ARCHITECTURES
from enhance_cli.architectures.autoencoder import Autoencoder, AutoencoderConfig
from enhance_cli.architectures.vdvae import Vdvae, VdvaeConfig
from enhance_cli.engine.catalogue import Model
from enhance_cli.engine.checkpoint import build, load_network, read_checkpoint_info, save_checkpoint
from enhance_cli.engine.generation import (
    BATCH,
    decode_codes,
    default_density,
    draw_codes,
    draw_pictures,
    elbo,
    encode_pictures,
    reconstruct_pictures,
    slerp,
    usable_densities,
)
from enhance_cli.errors import DeviceError

LATENT = 3


def make(**settings: object) -> Autoencoder:
    torch.manual_seed(0)
    fields = {"side": 16, "width": 2, "latent": LATENT, "kernel": 4, "components": 2, **settings}
    network = build(ARCHITECTURES["autoencoder"], AutoencoderConfig(**fields))
    assert isinstance(network, Autoencoder)
    return network.eval()


def fit(network: Autoencoder) -> Autoencoder:
    densities = network.densities
    densities.gaussian_factor.copy_(torch.eye(LATENT))
    densities.mixture_weights.fill_(0.5)
    densities.mixture_means.copy_(torch.tensor([[-9.0, 0, 0], [9, 0, 0]]))
    densities.mixture_factors.copy_(0.1 * torch.eye(LATENT).expand(2, -1, -1))
    return network


@pytest.fixture
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save_checkpoint(path, fit(make(channels=1)), ARCHITECTURES["autoencoder"], "tiny")
    info = read_checkpoint_info(path)
    return Model(load_network(info), info.contract, torch.device("cpu"), info=info)


def random_codes(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def angle(first: Tensor, second: Tensor) -> Tensor:
    first, second = first.double(), second.double()
    return torch.arccos((first * second).sum(-1) / first.norm(dim=-1) / second.norm(dim=-1))


# Spherical interpolation.


def test_slerp_begins_and_ends_at_the_codes():
    first, second = random_codes(50, 64), random_codes(50, 64, seed=1)
    assert torch.allclose(slerp(first, second, 0), first, atol=1e-5)
    assert torch.allclose(slerp(first, second, 1.0), second, atol=1e-5)


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_slerp_parts_the_angle_and_changes_the_length_evenly(share: float):
    first, second = 3 * random_codes(50, 8), random_codes(50, 8, seed=1)
    between = slerp(first, second, share)
    whole = angle(first, second)
    assert torch.allclose(angle(first, between), share * whole, atol=1e-4)
    assert torch.allclose(angle(between, second), (1 - share) * whole, atol=1e-4)
    lengths = (1 - share) * first.norm(dim=-1) + share * second.norm(dim=-1)
    assert torch.allclose(between.norm(dim=-1), lengths, rtol=1e-5)


def test_slerp_stays_in_the_plane_of_the_two():
    first, second = random_codes(2, 5, seed=3)
    between = slerp(first, second, torch.linspace(0, 1, 7)[:, None])
    assert between.shape == (7, 5)
    together = torch.cat([torch.stack([first, second]), between])
    assert torch.linalg.svdvals(together.double())[2] < 1e-5


def test_slerp_is_the_formula_on_a_quarter_circle():
    first, second = torch.tensor([2.0, 0]), torch.tensor([0, 2.0])
    expected = 2 * torch.tensor([math.cos(math.pi / 6), math.sin(math.pi / 6)])
    assert torch.allclose(slerp(first, second, 1 / 3), expected)


def test_slerp_between_equal_codes_stays_there():
    codes = random_codes(20, 64)
    for share in (0, 0.3, 1):
        assert torch.allclose(slerp(codes, codes, share), codes, atol=1e-6)
        assert torch.allclose(slerp(codes, 2 * codes, share), (1 + share) * codes, atol=1e-5)


def test_slerp_between_opposite_codes_goes_straight():
    codes = random_codes(200, 64)
    for share in (0, 0.25, 0.5, 0.8, 1):
        assert torch.allclose(slerp(codes, -codes, share), (1 - 2 * share) * codes, atol=1e-5)


def test_slerp_from_zero_goes_straight():
    codes, zero = random_codes(20, 8), torch.zeros(20, 8)
    assert torch.allclose(slerp(zero, codes, 0.3), 0.3 * codes)
    assert torch.allclose(slerp(codes, zero, 0.3), 0.7 * codes)
    assert (slerp(zero, zero, 0.5) == 0).all()


@pytest.mark.parametrize("nearness", [0.0, 1e-8, 1e-4, 1e-2])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("size", [1e-20, 1e6])
def test_slerp_is_finite_and_no_longer_than_its_ends(nearness: float, sign: int, size: float):
    first = size * random_codes(30, 16)
    second = sign * first + nearness * size * random_codes(30, 16, seed=1)
    longest = torch.maximum(first.norm(dim=-1), second.norm(dim=-1))
    for share in (0, 1e-6, 0.3, 0.5, 1):
        between = slerp(first, second, share)
        assert torch.isfinite(between).all()
        assert (between.norm(dim=-1) <= 1.01 * longest).all()
        if sign == 1:  # two codes close to each other have nothing but codes close to them between
            assert (
                (between - first).norm(dim=-1) <= 2 * (second - first).norm(dim=-1) + 1e-5 * longest
            ).all()


# Drawing codes.


def test_what_a_model_can_be_sampled_from():
    assert usable_densities(make()) == []
    assert usable_densities(make(prior=True)) == ["prior"]
    assert usable_densities(fit(make())) == ["gaussian", "mixture"]
    assert usable_densities(fit(make(prior=True))) == ["prior", "gaussian", "mixture"]
    assert default_density(make(prior=True)) == "prior"
    assert default_density(fit(make(prior=True))) == "mixture"


@pytest.mark.parametrize("density", ["prior", "gaussian", "mixture"])
def test_a_seed_is_one_sequence(density: str):
    network = fit(make())

    def draw(count: int, seed: int) -> Tensor:
        return torch.cat(list(draw_codes(network, density, count, seed=seed)))

    blocks = list(draw_codes(network, density, 2 * BATCH + 30, seed=4))
    assert [len(block) for block in blocks] == [BATCH, BATCH, 30]
    codes = torch.cat(blocks)
    assert codes.shape == (2 * BATCH + 30, LATENT)
    for count in (1, 17, BATCH, BATCH + 1):
        assert torch.equal(draw(count, 4), codes[:count])
    assert not torch.equal(draw(BATCH, 5), codes[:BATCH])
    assert len(codes.unique(dim=0)) == len(codes)


def test_drawing_leaves_the_global_generator_alone():
    network = make()
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    list(draw_codes(network, "prior", 5))
    assert torch.equal(torch.rand(3), expected)


# Running networks.


def test_decoding_in_batches_is_decoding_at_once(model: Model):
    codes = random_codes(23, LATENT)
    with torch.inference_mode():
        whole = model.network.decode(codes)
    for batch in (1, 4, 23, 100):
        parts = list(decode_codes(model, codes, batch))
        assert [len(part) for part in parts[:-1]] == [batch] * (len(parts) - 1)
        assert torch.allclose(torch.cat(parts), whole, atol=1e-6)
    blocks = iter(codes.split([5, 10, 8]))
    assert torch.allclose(torch.cat(list(decode_codes(model, blocks, 6))), whole, atol=1e-6)


def test_decoding_is_lazy(model: Model):
    taken = []

    def endless() -> object:
        while True:
            taken.append(1)
            yield random_codes(2, LATENT)

    pictures = decode_codes(model, endless())
    for _ in range(3):
        assert next(pictures).shape == (2, 1, 16, 16)
    assert len(taken) == 3


def test_encoding_levels_and_values(model: Model):
    levels = torch.randint(
        256, (9, 1, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    with torch.inference_mode():
        expected = model.network.encode(levels / 255)[0]
    for batch in (2, 9, 50):
        assert torch.allclose(encode_pictures(model, levels, batch), expected, atol=1e-6)
        assert torch.allclose(encode_pictures(model, levels / 255, batch), expected, atol=1e-6)


def test_reconstructing_is_encoding_and_decoding(model: Model):
    pictures = torch.rand(9, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    expected = torch.cat(list(decode_codes(model, encode_pictures(model, pictures))))
    parts = list(reconstruct_pictures(model, pictures.split(4), 3))
    assert [len(part) for part in parts] == [3, 1, 3, 1, 1]
    assert torch.allclose(torch.cat(parts), expected, atol=1e-6)
    assert ((expected >= 0) & (expected <= 1)).all()


def test_half_precision_is_near(model: Model):
    codes = random_codes(9, LATENT)
    half = replace(model, dtype=torch.bfloat16)
    exact, near = (torch.cat(list(decode_codes(each, codes))) for each in (model, half))
    assert near.dtype == torch.float32
    assert 0 < (exact - near).abs().max() < 0.03


def limit(monkeypatch: pytest.MonkeyPatch, most: int) -> list[int]:
    """Let the memory end above so many pictures; gives what was tried."""
    tried = []
    run = Model.run

    def cramped(model: Model, inputs: Tensor) -> Tensor:
        tried.append(len(inputs))
        if len(inputs) > most:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return run(model, inputs)

    monkeypatch.setattr(Model, "run", cramped)
    return tried


def test_the_batch_is_halved_once_and_for_all(model: Model, monkeypatch: pytest.MonkeyPatch):
    codes, said = random_codes(20, LATENT), []
    whole = torch.cat(list(decode_codes(model, codes)))
    tried = limit(monkeypatch, 3)
    parts = torch.cat(list(decode_codes(model, iter(codes.split(10)), notice=said.append)))
    assert tried == [10, 5, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2]
    assert said == [
        f"out of memory on cpu: going on with {count} pictures at a time" for count in (5, 2)
    ]
    assert torch.allclose(parts, whole, atol=1e-6)


def test_memory_that_one_picture_exceeds(model: Model, monkeypatch: pytest.MonkeyPatch):
    limit(monkeypatch, 0)
    with pytest.raises(DeviceError, match="out of memory on cpu even with 1 picture at a time"):
        encode_pictures(model, torch.zeros(5, 1, 16, 16))


def test_other_errors_are_not_taken_for_it(model: Model):
    with pytest.raises(RuntimeError, match="shape|size"):
        list(decode_codes(model, random_codes(2, LATENT + 1)))


@pytest.mark.parametrize("bits", [8, 5])
def test_a_ladder_s_bound_is_of_a_density(bits: int, tmp_path: Path):
    """Its bound in bits for whole levels, spread evenly over the width of a level."""
    torch.manual_seed(0)
    config = VdvaeConfig(
        side=8, encoder="8x1,8d8,1x1", decoder="1x1,8m1", width=8, latent=2, bits=bits
    )
    network = Vdvae(config).eval()
    save_checkpoint(tmp_path / "a.safetensors", network, ARCHITECTURES["vdvae"], "tiny")
    info = read_checkpoint_info(tmp_path / "a.safetensors")
    model = Model(network, info.contract, torch.device("cpu"), info=info)
    pictures = torch.randint(0, 256, (6, 3, 8, 8)).to(torch.uint8)
    bounds = elbo(model, pictures, seed=3)
    assert bounds is not None
    with torch.no_grad():
        generator = torch.Generator().manual_seed(3)
        batches = (pictures[:4], pictures[4:])
        bits_told = torch.cat([network.bound(x / 255, generator).total for x in batches])
    expected = 3 * 8 * 8 * (math.log(2**bits) - math.log(2) * bits_told)
    assert torch.allclose(bounds.float(), expected, rtol=1e-5)
    assert (usable_densities(network), default_density(network)) == (["prior"], "prior")
    drawn = torch.cat(list(draw_pictures(model, "prior", 5, temperature=0)))
    assert torch.equal(drawn, drawn[:1].expand(5, -1, -1, -1))
