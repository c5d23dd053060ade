"""Training of the autoencoders of ch. 6: their terms, their densities, whole runs."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from enhance_cli.architectures import MODELS
from enhance_cli.architectures.autoencoder import Autoencoder
from enhance_cli.architectures.blur_error import BlurGaussian
from enhance_cli.engine.checkpoint import load_network, read_checkpoint_info
from enhance_cli.errors import UsageError
from enhance_cli.training.autoencoder import (
    AutoencoderStage,
    Autoencoding,
    decoder_penalty,
    fit_densities,
    mean_discrepancy,
)
from enhance_cli.training.loop import train
from enhance_cli.training.recipes import RECIPES

CPU = torch.device("cpu")
KINDS = ("vae", "cv-vae", "wae", "rae-gp", "rae-l2", "rae-sn", "rae", "ae")
ALL = [f"{family}-{kind}" for family in ("digits", "faces") for kind in KINDS]
ALL += ["faces-vae-white", "faces-vae-blur"]


@pytest.fixture(scope="module")
def data(small_sets: Path) -> Path:
    """Both sets, very small."""
    return small_sets


def small(name: str, **settings: object) -> AutoencoderStage:
    recipe = RECIPES[name].stages[-1]
    assert isinstance(recipe, AutoencoderStage)
    config = replace(recipe.config, width=2, latent=3, components=2)
    plan = replace(recipe.optimisation, steps=6, validate_every=3)
    return replace(recipe, config=config, batch=10, optimisation=plan, **settings)


def prepare(name: str, data: Path, **settings: object) -> Autoencoding:
    return small(name, **settings).prepare(data, None, CPU)


def generator(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_every_model_has_a_recipe_of_its_config():
    assert {name for name, spec in MODELS.items() if spec.architecture == "autoencoder"} == set(ALL)
    for name in ALL:
        stage = RECIPES[name].stages[-1]
        assert isinstance(stage, AutoencoderStage)
        assert stage.config == MODELS[name].config and stage.config.width == 32


@pytest.mark.parametrize("name", ALL)
def test_a_run_gives_a_checkpoint_that_can_be_sampled(name: str, data: Path, tmp_path: Path):
    recipe = small(name)
    last = train(
        recipe.prepare(data, None, CPU),
        tmp_path,
        name,
        fingerprint="",
        device=CPU,
    )
    assert last.step == 6 and math.isfinite(last.best)
    for file in (f"{name}.safetensors", "last.safetensors"):
        info = read_checkpoint_info(tmp_path / file)
        assert info.name == name and info.training["validation"] <= round(last.best, 4)
        network = load_network(info)
        assert isinstance(network, Autoencoder) and network.densities.fitted
        for density in ("gaussian", "mixture"):
            pictures = network.decode(network.densities.sample(density, 4, 1.0, generator()))
            assert pictures.shape[1:] == (recipe.config.channels, *2 * (recipe.config.side,))
            assert pictures.isfinite().all()


@pytest.mark.parametrize("name", ["digits-vae", "digits-rae-gp", "digits-wae"])
def test_a_resumed_run_equals_one_without_a_break(name: str, data: Path, tmp_path: Path):
    recipe = small(name)
    once, twice = tmp_path / "once", tmp_path / "twice"

    def run(out: Path, **options: object) -> None:
        train(
            recipe.prepare(data, None, CPU),
            out,
            name,
            fingerprint="",
            device=CPU,
            **options,
        )

    run(once)
    run(twice, seconds=0)
    assert (
        json.loads(json.dumps(read_checkpoint_info(twice / "last.safetensors").training["step"]))
        == 1
    )
    run(twice, resume=True)
    one, two = (
        load_network(read_checkpoint_info(out / "last.safetensors")).state_dict()
        for out in (once, twice)
    )
    for key, value in one.items():
        assert torch.equal(value, two[key]), key


@pytest.mark.parametrize(
    ("name", "term", "weight"),
    [
        ("digits-vae", "divergence", 2.0),
        ("digits-cv-vae", "divergence", 2.0),
        ("digits-wae", "discrepancy", 50.0),
        ("digits-rae-gp", "gradient", 3.0),
        ("digits-rae-l2", "decay", 0.5),
        ("digits-rae", "codes", 7.0),
    ],
)
def test_each_term_is_added_with_its_weight(name: str, term: str, weight: float, data: Path):
    """The loss is affine in every weight, and the slope is that term's value."""
    losses = [
        float(prepare(name, data, **{term: value}).loss(0, generator(), slice(None)).detach())
        for value in (0.0, weight, 2 * weight)
    ]
    assert losses[1] > losses[0] or term == "discrepancy"
    assert losses[2] - losses[1] == pytest.approx(losses[1] - losses[0], rel=2e-3, abs=1e-2)
    experiment = prepare(name, data, **{term: 1.0})
    network = experiment.network
    assert isinstance(network, Autoencoder)
    slope = (losses[1] - losses[0]) / weight
    if term == "decay":
        wanted = sum(float(p.detach().square().sum()) for p in network.decoder.parameters())
        assert slope == pytest.approx(wanted, rel=1e-3)
    if term in ("divergence", "codes"):
        assert slope > 0


def test_the_divergence_has_its_closed_form(data: Path):
    """KL of a diagonal Gaussian from N(0, I), against torch's own."""
    from torch.distributions import Independent, Normal, kl_divergence

    losses = []
    for weight in (0.0, 1.0):
        experiment = prepare("digits-vae", data, divergence=weight)
        losses.append(float(experiment.loss(0, generator(), slice(None)).detach()))
    network = experiment.network
    assert isinstance(network, Autoencoder)
    network.train()
    order = torch.randperm(50, generator=torch.Generator().manual_seed((-1) * 7919 + 17))[:10]
    mean, log_variance = network.encode(experiment._train[order].float() / 255)
    assert log_variance is not None
    q = Independent(Normal(mean, (log_variance / 2).exp()), 1)
    p = Independent(Normal(torch.zeros_like(mean), torch.ones_like(mean)), 1)
    assert losses[1] - losses[0] == pytest.approx(
        float(kl_divergence(q, p).mean().detach()), rel=1e-3, abs=1e-3
    )


def test_the_decoder_penalty_is_that_of_each_item_alone():
    """Eq. 6.17 by hand: the Jacobian of each picture by its own code, in spite of the batch."""
    stage = small("digits-rae-gp")
    network = stage.make_network(None).train()
    assert isinstance(network, Autoencoder)
    codes = torch.randn(6, 3, generator=generator())
    with torch.no_grad():
        assert torch.allclose(
            network.decode(codes), network.decode(codes, item_by_item=True), atol=1e-6
        )
    jacobian = torch.autograd.functional.jacobian(
        lambda z: network.decode(z, item_by_item=True).flatten(1), codes
    )  # (6, 784, 6, 3): pictures by codes
    for item in range(6):
        assert jacobian[item, :, torch.arange(6) != item].abs().max() == 0
    coupled = torch.autograd.functional.jacobian(lambda z: network.decode(z).flatten(1), codes)
    assert coupled[0, :, 1:].abs().max() > 0  # what batch normalisation would bring in
    wanted = torch.stack([jacobian[i, :, i].square().sum() for i in range(6)])
    draws = generator(8)
    found = torch.stack([decoder_penalty(network, codes, draws).detach() for _ in range(600)]).mean(
        0
    )
    assert torch.allclose(found, wanted, rtol=0.15)


def test_the_decoder_penalty_reaches_codes_and_decoder(data: Path):
    network = small("digits-rae-gp").make_network(None).train()
    assert isinstance(network, Autoencoder)
    codes = torch.randn(4, 3, generator=generator()).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        decoder_penalty(network, codes, generator()).sum().backward()
    assert codes.grad is not None and codes.grad.isfinite().all() and codes.grad.abs().max() > 0
    reached = [p.grad is not None and p.grad.isfinite().all() for p in network.decoder.parameters()]
    assert all(reached[:-1])


def test_the_discrepancy_is_unbiased_and_tells_distributions_apart():
    torch.manual_seed(0)
    same = [float(mean_discrepancy(torch.randn(50, 4), torch.randn(50, 4))) for _ in range(200)]
    assert abs(np.mean(same)) < 4 * np.std(same) / math.sqrt(200)
    far = float(mean_discrepancy(torch.randn(50, 4) + 2, torch.randn(50, 4)))
    tight = float(mean_discrepancy(torch.randn(50, 4) / 10, torch.randn(50, 4)))
    assert min(far, tight) > 10 * np.std(same)


def test_the_discrepancy_equals_its_definition():
    torch.manual_seed(1)
    codes, prior = torch.randn(4, 2).double(), torch.randn(4, 2).double()

    def kernel(a: torch.Tensor, b: torch.Tensor) -> float:
        distance = float((a - b).square().sum())
        return sum(4 * s / (4 * s + distance) for s in (0.1, 0.2, 0.5, 1, 2, 5, 10))

    wanted = 0.0
    for i in range(4):
        for j in range(4):
            if i != j:
                wanted += (kernel(codes[i], codes[j]) + kernel(prior[i], prior[j])) / 12
            wanted -= 2 * kernel(codes[i], prior[j]) / 16
    assert float(mean_discrepancy(codes, prior)) == pytest.approx(wanted)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_densities_fit_what_they_are_given(scale: float):
    """Two clusters far apart: the mixture finds them, whatever their scale."""
    torch.manual_seed(0)
    factor = torch.tensor([[1.0, 0.0], [0.8, 0.4]])
    codes = torch.randn(4000, 2) @ factor.T
    codes[:1000] += torch.tensor([20.0, 0.0])
    found = fit_densities(codes * scale, 2, 0)
    assert sorted(found["mixture_weights"].tolist()) == pytest.approx([0.25, 0.75], abs=0.01)
    means = found["mixture_means"][found["mixture_weights"].argsort()] / scale
    torch.testing.assert_close(means, torch.tensor([[20.0, 0], [0, 0]]), atol=0.15, rtol=0)
    for part in found["mixture_factors"] / scale:
        torch.testing.assert_close(part @ part.T, factor @ factor.T, atol=0.12, rtol=0)
    whole = found["gaussian_factor"] / scale
    torch.testing.assert_close(whole @ whole.T, torch.cov(codes.T), atol=0.1, rtol=0.02)


def test_fewer_codes_than_components_leave_the_rest_without_weight():
    found = fit_densities(torch.randn(3, 2), 5, 0)
    assert found["mixture_weights"].shape == (5,)
    assert float(found["mixture_weights"].sum()) == pytest.approx(1, abs=1e-5)
    assert (found["mixture_weights"] == 0).sum() >= 2


def test_faces_are_mirrored_and_digits_are_not():
    assert RECIPES["faces-rae"].stages[0].mirror
    assert not RECIPES["digits-rae"].stages[0].mirror


@pytest.mark.parametrize(
    ("name", "settings", "error", "message"),
    [
        ("digits-vae", {"batch": 1}, ValueError, "batch must be at least 2"),
        ("digits-vae", {"divergence": -1.0}, ValueError, "divergence must be 0 or more"),
        ("digits-vae", {"codes": math.nan}, ValueError, "codes must be 0 or more"),
    ],
)
def test_impossible_recipes_are_refused(name, settings, error, message):
    with pytest.raises(error, match=message):
        replace(RECIPES[name].stages[0], **settings)


def test_a_batch_larger_than_the_data_is_told(data: Path):
    stage = replace(RECIPES["digits-ae"].stages[0], batch=51)
    with pytest.raises(UsageError, match="batch=51: more than the 50 pictures"):
        stage.prepare(data, None, CPU)


def test_width_may_change_and_the_rest_may_not():
    recipe = RECIPES["faces-vae"].stages[0]
    assert isinstance(recipe, AutoencoderStage)
    assert replace(recipe, config=replace(recipe.config, width=128)).identity == recipe.identity
    for key, value in (("latent", 32), ("posterior", "point"), ("likelihood", "white")):
        assert (
            replace(recipe, config=replace(recipe.config, **{key: value})).identity
            != recipe.identity
        )


def test_the_fit_of_the_kernels_changes_no_value_of_the_loss(data: Path):
    """It is a loss of other parameters: what is reported stays the bound."""
    experiment = prepare("faces-vae-blur", data)
    network = experiment.network
    assert isinstance(network, Autoencoder)
    network.train()
    total = experiment.loss(0, generator(), slice(None))
    total.backward()
    assert isinstance(network.likelihood, BlurGaussian)
    assert float(network.likelihood.logits.weight.grad.abs().sum()) > 0
    blind = prepare("faces-vae-blur", data)
    blind.network.likelihood.blur_distance = lambda x, estimate, z: torch.zeros(len(x))
    assert float(blind.loss(0, generator(), slice(None)).detach()) == pytest.approx(
        float(total.detach()), rel=1e-6
    )


def test_a_sorted_set_is_seen_from_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """MNIST's file is sorted: densities fitted to its first digits knew no nines."""
    monkeypatch.setattr("enhance_cli.training.autoencoder._FITTED", 20)
    monkeypatch.setattr("enhance_cli.training.autoencoder._VALIDATED", 5)
    brightness = np.arange(120, dtype=np.uint8)
    pictures = np.broadcast_to(brightness[:, None, None], (120, 28, 28))
    np.savez(
        tmp_path / "mnist.npz",
        x_train=pictures,
        y_train=np.zeros(120, np.uint8),
        x_test=pictures[:5],
        y_test=np.zeros(5, np.uint8),
    )
    seen: list[torch.Tensor] = []
    experiment = prepare("digits-ae", tmp_path)
    network = experiment.network
    network.eval()
    monkeypatch.setattr(
        network,
        "encode",
        lambda x: (
            seen.append(x.mean((1, 2, 3)) * 255) or x.mean((2, 3)).expand(-1, 3).clone(),
            None,
        ),
    )
    with torch.no_grad():
        experiment.validate(network)
    held, fitted = seen[0], torch.cat(seen[1:])
    assert len(held) <= 5 and held.max() > 90
    assert len(fitted) <= 20 and fitted.max() > 110
