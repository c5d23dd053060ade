"""The networks of thesis 000, tables 12 and 13, counted by hand."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from enhance_cli.architectures import ARCHITECTURES, MODELS
from enhance_cli.architectures.mnist import (
    MNIST_ARCHITECTURES,
    MnistCnnConfig,
    MnistMlpConfig,
    MnistNetwork,
)
from enhance_cli.engine.checkpoint import (
    build,
    load_network,
    read_checkpoint_info,
    save_checkpoint,
)

ENTRIES = {entry.name: entry for entry in MNIST_ARCHITECTURES}
CONFIGS = [
    MnistMlpConfig(prior="itself"),
    MnistMlpConfig(),
    MnistMlpConfig(latent=10, prior="label"),
    MnistCnnConfig(),
    MnistCnnConfig(prior="picture"),
    MnistCnnConfig(prior="picture", skips=True),
]


def make(config: Any) -> MnistNetwork:
    name = "mnist-mlp" if isinstance(config, MnistMlpConfig) else "mnist-cnn"
    torch.manual_seed(0)
    network = build(ENTRIES[name], config)
    assert isinstance(network, MnistNetwork)
    return network


def inputs(config: Any, count: int = 3) -> Tensor:
    if config.prior == "label":
        return torch.arange(count)
    return torch.rand(count, 1, 28, 28, generator=torch.Generator().manual_seed(1))


def layers(network: nn.Module) -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
    """Shapes that go into and come out of every layer, by its name, for one picture."""
    found: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {}

    def note(name: str) -> Any:
        def hook(_module: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
            found[name] = (tuple(given[0].shape[1:]), tuple(out.shape[1:]))

        return hook

    for name, module in network.named_modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            module.register_forward_hook(note(name))
    return found


def count(module: nn.Module | None) -> int:
    return sum(p.numel() for p in module.parameters()) if module is not None else 0


# Fully connected, a -> b: (a + 1) * b. Convolution of 3x3, a -> b: (9 * a + 1) * b.
MLP_FC1 = 785 * 512
MLP_ENCODER_2 = MLP_FC1 + 2 * (513 * 2)
MLP_DECODER_2 = 3 * 512 + 513 * 784
CNN_FEATURES = 10 * 32 + 289 * 64 + 577 * 64 + 1025 * 256
CNN_ENCODER = CNN_FEATURES + 2 * (257 * 10)
CNN_FROM_CODE = 11 * 256 + 257 * 1024
CNN_DECODER = CNN_FROM_CODE + 577 * 64 + 577 * 32 + 289 * 1
CNN_DECODER_SKIPS = CNN_FROM_CODE + 1153 * 64 + 1153 * 32 + 577 * 1


def test_layers_of_table_12() -> None:
    network = make(MnistMlpConfig())
    found = layers(network)
    mean, log_variance = network.posterior(torch.rand(1, 1, 28, 28))
    network.decode(mean)
    assert mean.shape == log_variance.shape == (1, 2)
    assert found == {
        "encoder.features.fc1": ((784,), (512,)),
        "encoder.z_mean": ((512,), (2,)),
        "encoder.z_var": ((512,), (2,)),
        "decoder.fc2": ((2,), (512,)),
        "decoder.x_mean": ((512,), (784,)),
    }


def test_layers_of_table_13_and_their_mirror() -> None:
    network = make(MnistCnnConfig())
    found = layers(network)
    network.decode(network.posterior(torch.rand(1, 1, 28, 28))[0])
    assert found == {
        "encoder.features.convs.0": ((1, 28, 28), (32, 14, 14)),
        "encoder.features.convs.1": ((32, 14, 14), (64, 7, 7)),
        "encoder.features.convs.2": ((64, 7, 7), (64, 4, 4)),
        "encoder.features.fc1": ((1024,), (256,)),
        "encoder.z_mean": ((256,), (10,)),
        "encoder.z_var": ((256,), (10,)),
        "decoder.fc2": ((10,), (256,)),
        "decoder.fc3": ((256,), (1024,)),
        "decoder.convs.0": ((64, 4, 4), (64, 7, 7)),
        "decoder.convs.1": ((64, 7, 7), (32, 14, 14)),
        "decoder.convs.2": ((32, 14, 14), (1, 28, 28)),
    }


def test_skip_connections_join_at_the_size_of_each_convolution() -> None:
    found = layers(network := make(MnistCnnConfig(prior="picture", skips=True)))
    network(torch.rand(1, 1, 28, 28))
    assert found["prior_network.features.convs.2"] == ((64, 7, 7), (64, 4, 4))
    assert found["prior_network.z_mean"] == ((256,), (10,))
    assert found["decoder.convs.0"] == ((128, 4, 4), (64, 7, 7))
    assert found["decoder.convs.1"] == ((128, 7, 7), (32, 14, 14))
    assert found["decoder.convs.2"] == ((64, 14, 14), (1, 28, 28))


@pytest.mark.parametrize(
    ("config", "prior", "encoder", "decoder"),
    [
        (MnistMlpConfig(prior="itself"), MLP_FC1 + 513 * 2, 0, MLP_DECODER_2),
        (MnistMlpConfig(), 0, MLP_ENCODER_2, MLP_DECODER_2),
        (MnistMlpConfig(latent=10), 0, MLP_FC1 + 2 * (513 * 10), 11 * 512 + 513 * 784),
        (
            MnistMlpConfig(latent=10, prior="label"),
            11 * 10 + 11 * 10,
            MLP_FC1 + 2 * (513 * 10),
            11 * 512 + 513 * 784,
        ),
        (MnistCnnConfig(), 0, CNN_ENCODER, CNN_DECODER),
        (MnistCnnConfig(prior="picture"), CNN_FEATURES + 257 * 10, CNN_ENCODER, CNN_DECODER),
        (
            MnistCnnConfig(prior="picture", skips=True),
            CNN_FEATURES + 257 * 10,
            CNN_ENCODER,
            CNN_DECODER_SKIPS,
        ),
    ],
)
def test_parameter_counts(config: Any, prior: int, encoder: int, decoder: int) -> None:
    network = make(config)
    assert count(network.prior_network) == prior
    assert count(network.encoder) == encoder
    assert count(network.decoder) == decoder
    assert count(network) == prior + encoder + decoder


def test_totals_and_the_text_on_them() -> None:
    """The CNN-MLP "actually has fewer parameters than the standard MLP model"."""
    mlp, cnn = count(make(MnistMlpConfig(latent=10))), count(make(MnistCnnConfig()))
    assert (count(make(MnistMlpConfig())), mlp, cnn) == (807_700, 820_004, 644_949)
    assert cnn < mlp


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_a_network_makes_digits_from_what_its_prior_sees(config: Any) -> None:
    network, y = make(config), inputs(config)
    mean, context = network.prior(y)
    assert mean.shape == (3, config.latent)
    assert (context is not None) == getattr(config, "skips", False)
    assert network(y).shape == (3, 1, 28, 28)
    assert torch.equal(network(y), network.decode(mean, context))
    if config.prior == "itself":
        with pytest.raises(TypeError, match="plain autoencoder"):
            network.posterior(inputs(config))
    else:
        mean, log_variance = network.posterior(torch.rand(3, 1, 28, 28))
        assert mean.shape == log_variance.shape == (3, config.latent)


def test_the_standard_prior_is_zero_whatever_it_is_given() -> None:
    mean, context = make(MnistMlpConfig(latent=5)).prior(torch.rand(4, 1, 28, 28))
    assert torch.equal(mean, torch.zeros(4, 5))
    assert context is None


def test_the_label_prior_has_a_mean_for_each_class() -> None:
    means, _ = make(MnistMlpConfig(latent=10, prior="label")).prior(torch.arange(10))
    assert torch.pdist(means).min() > 0
    again, _ = make(MnistMlpConfig(latent=10, prior="label")).prior(torch.tensor([3, 3]))
    assert torch.allclose(again, means[[3, 3]], atol=1e-6)


def test_hidden_layers_alone_have_an_activation() -> None:
    """Codes and pictures take both signs: neither is cut off, nor squeezed into [0, 1]."""
    for config in (MnistMlpConfig(latent=10), MnistCnnConfig()):
        network = make(config)
        with torch.no_grad():
            mean, log_variance = network.posterior(torch.rand(50, 1, 28, 28))
            picture = network.decode(100 * torch.randn(50, 10))
        for values in (mean, log_variance):
            assert values.min() < 0 < values.max()
        assert picture.min() < 0
        assert picture.max() > 1


@pytest.mark.parametrize(
    ("config", "values"),
    [
        (MnistMlpConfig, {"prior": "picture"}),
        (MnistMlpConfig, {"latent": 0}),
        (MnistMlpConfig, {"hidden": 0}),
        (MnistCnnConfig, {"prior": "label"}),
        (MnistCnnConfig, {"skips": True}),
        (MnistCnnConfig, {"width": 0}),
    ],
)
def test_configs_that_make_no_network(config: type[Any], values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="choose|no network"):
        config(**values)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_a_checkpoint_says_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: Any
) -> None:
    for entry in MNIST_ARCHITECTURES:
        monkeypatch.setitem(ARCHITECTURES, entry.name, entry)
    network = make(config)
    name = "mnist-mlp" if isinstance(config, MnistMlpConfig) else "mnist-cnn"
    save_checkpoint(tmp_path / "a.safetensors", network, ENTRIES[name], "a")
    info = read_checkpoint_info(tmp_path / "a.safetensors")
    assert info.architecture.name == name
    assert asdict(info.config) == asdict(config)
    assert (info.contract.patch_size, info.contract.tiling) == (28, "forbidden")
    with torch.no_grad():
        assert torch.equal(load_network(info)(inputs(config)), network(inputs(config)))


def test_experiments_are_no_choice_of_any_command() -> None:
    assert {entry.task for entry in MNIST_ARCHITECTURES} == {"experiment"}
    assert not {spec.architecture for spec in MODELS.values()} & set(ENTRIES)
