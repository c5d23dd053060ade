"""The networks of dissertation 003, table 6.1, counted by hand, and the densities of codes."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from small_autoencoders import ENTRY, SAMPLED, SMALL, VARIANTS, generator, make, pictures
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from enhance_cli.architectures.autoencoder import (
    DENSITIES,
    Autoencoder,
    AutoencoderConfig,
)
from enhance_cli.architectures.blur_error import BlurGaussian
from enhance_cli.engine.checkpoint import (
    build,
    load_network,
    read_checkpoint_info,
    save_checkpoint,
)
from enhance_cli.engine.complexity import measure_complexity

MNIST = AutoencoderConfig(side=28, padding=2, channels=1, latent=16, kernel=4)


CELEBA = AutoencoderConfig()


def convolution(before: int, after: int, kernel: int) -> int:
    """Conv or ConvT followed by BN: no bias, a scale and a shift per filter."""
    return before * after * kernel**2 + 2 * after


# MNIST: 32x32 -> 16 -> 8 -> 4 -> 2, kernels of 4x4, one code.
MNIST_ENCODER = (
    convolution(1, 128, 4)
    + convolution(128, 256, 4)
    + convolution(256, 512, 4)
    + convolution(512, 1024, 4)
    + (2 * 2 * 1024 + 1) * 16
)


MNIST_DECODER = (
    16 * 8 * 8 * 1024
    + 2 * 1024
    + convolution(1024, 512, 4)
    + convolution(512, 256, 4)
    + 256 * 1 * 16
    + 1
)


# CelebA: 64x64 -> 32 -> 16 -> 8 -> 4, kernels of 5x5. The table's last ConvT_1 has three here:
# its pictures have three colours.
CELEBA_ENCODER = (
    convolution(3, 128, 5)
    + convolution(128, 256, 5)
    + convolution(256, 512, 5)
    + convolution(512, 1024, 5)
    + (4 * 4 * 1024 + 1) * 64
)


CELEBA_DECODER = (
    64 * 8 * 8 * 1024
    + 2 * 1024
    + convolution(1024, 512, 5)
    + convolution(512, 256, 5)
    + convolution(256, 128, 5)
    + 128 * 3 * 25
    + 3
)


# M = 2 in the row "FC": mean and variance.
MNIST_SECOND_HEAD, CELEBA_SECOND_HEAD = (2 * 2 * 1024 + 1) * 16, (4 * 4 * 1024 + 1) * 64


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (MNIST, MNIST_ENCODER + MNIST_DECODER),
        (replace(MNIST, posterior="constant"), MNIST_ENCODER + MNIST_DECODER),
        (replace(MNIST, posterior="gaussian"), MNIST_ENCODER + MNIST_DECODER + MNIST_SECOND_HEAD),
        (replace(MNIST, spectral=True), MNIST_ENCODER + MNIST_DECODER),
        (CELEBA, CELEBA_ENCODER + CELEBA_DECODER),
        (
            replace(CELEBA, posterior="gaussian"),
            CELEBA_ENCODER + CELEBA_DECODER + CELEBA_SECOND_HEAD,
        ),
        (replace(CELEBA, likelihood="white"), CELEBA_ENCODER + CELEBA_DECODER + 1),
        (
            replace(CELEBA, likelihood="blur"),
            CELEBA_ENCODER + CELEBA_DECODER + 1 + 65 * 64 + 65 * 11**2,
        ),
    ],
)
def test_parameters_of_table_6_1(config: AutoencoderConfig, expected: int):
    network = build(ENTRY, config, "meta")
    assert sum(parameter.numel() for parameter in network.parameters()) == expected


def maps(network: Autoencoder) -> list[tuple[int, ...]]:
    """Shapes that come out of the layers with weights, without normalisation."""
    found: list[tuple[int, ...]] = []
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            module.register_forward_hook(
                lambda _module, _given, out: found.append(tuple(out.shape[1:]))
            )
    config = network.config
    with torch.no_grad():
        network.eval()(torch.empty(1, config.channels, config.side, config.side, device="meta"))
    return found


def test_layers_of_table_6_1():
    assert maps(build(ENTRY, MNIST, "meta")) == [
        (128, 16, 16),
        (256, 8, 8),
        (512, 4, 4),
        (1024, 2, 2),
        (16,),
        (8 * 8 * 1024,),
        (512, 16, 16),
        (256, 32, 32),
        (1, 32, 32),
    ]
    assert maps(build(ENTRY, CELEBA, "meta")) == [
        (128, 32, 32),
        (256, 16, 16),
        (512, 8, 8),
        (1024, 4, 4),
        (64,),
        (8 * 8 * 1024,),
        (512, 16, 16),
        (256, 32, 32),
        (128, 64, 64),
        (3, 64, 64),
    ]


@pytest.mark.parametrize(("config", "kernel"), [(MNIST, 4), (CELEBA, 5)])
def test_kernels_strides_and_normalisation(config: AutoencoderConfig, kernel: int):
    network = build(ENTRY, config, "meta")
    assert isinstance(network, Autoencoder)
    convolutions = [
        module for module in network.modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
    ]
    assert {module.kernel_size for module in convolutions} == {(kernel, kernel)}
    strides = [module.stride for module in convolutions]
    assert strides == [(2, 2)] * (len(strides) - 1) + [(1, 1)]
    for part in (network.encoder, network.decoder):
        kinds = [type(module) for module in part]
        weighted = [
            index
            for index, module in enumerate(part)
            if hasattr(module, "weight") and not isinstance(module, nn.BatchNorm2d)
        ]
        for index in weighted if part is network.encoder else weighted[:-1]:
            after = kinds[index + 1 :]
            after = [kind for kind in after if kind is not nn.Unflatten]
            assert after[:2] == [nn.BatchNorm2d, nn.ReLU]
    assert weighted[-1] == len(network.decoder) - 1  # nothing follows the last layer


def test_a_decoder_may_end_without_a_sigmoid():
    """As in table 6.1."""
    config = VARIANTS[0]
    plain = make(replace(config, sigmoid=False)).eval()
    squashed = make(config).eval()
    squashed.load_state_dict(plain.state_dict())
    codes = 9 * torch.randn(4, config.latent)
    with torch.no_grad():
        torch.testing.assert_close(plain.decode(codes).sigmoid(), squashed.decode(codes))
        assert plain.decode(codes).min() < 0


@pytest.mark.parametrize("config", VARIANTS, ids=str)
def test_shapes_and_ranges(config: AutoencoderConfig):
    network = make(config).eval()
    x = pictures(config)
    with torch.no_grad():
        mean, log_variance = network.encode(x)
        decoded, reconstructed = network.decode(mean), network(x)
    assert mean.shape == (3, config.latent)
    assert decoded.shape == x.shape
    assert ((decoded >= 0) & (decoded <= 1)).all()
    assert torch.equal(decoded, reconstructed)
    if config.posterior == "point":
        assert log_variance is None
    else:
        assert log_variance is not None
        assert log_variance.shape == mean.shape
    assert (network.likelihood is None) == (config.likelihood == "squares")


@pytest.mark.parametrize("spec", SAMPLED, ids=lambda spec: spec.name)
def test_every_model_of_the_task(spec):
    network = build(ENTRY, spec.config, "meta").eval()
    side = spec.config.side
    x = torch.empty(2, spec.config.channels, side, side, device="meta")
    assert network(x).shape == x.shape
    assert network.contract.patch_size == side
    assert network.contract.tiling == "forbidden"
    size = measure_complexity(ENTRY, spec.config)
    assert size.macs_input == (spec.config.channels, side, side)
    # A file of half-precision parameters and densities stays below 12 MB.
    assert 2 * sum(tensor.numel() for tensor in network.state_dict().values()) < 12e6


def test_the_lines_of_the_tables_are_there():
    kinds = {"vae", "cv-vae", "wae", "rae-gp", "rae-l2", "rae-sn", "rae", "ae"}
    names = {spec.name for spec in SAMPLED}
    assert names >= {f"{family}-{kind}" for family in ("digits", "faces") for kind in kinds}
    for family in ("digits", "faces"):
        priors = {
            spec.name for spec in SAMPLED if spec.name.startswith(family) and spec.config.prior
        }
        assert {f"{family}-vae", f"{family}-wae"} <= priors
        assert f"{family}-cv-vae" not in priors  # its aggregate is no N(0, I) (ch. 6.2.2)


def test_padding_is_that_of_zeros_around_the_picture():
    """A digit of 28x28 goes the way of one of 32x32 with a black border."""
    padded = make(replace(SMALL, side=28, padding=2)).eval()
    whole = make(replace(SMALL, side=32)).eval()
    whole.load_state_dict(padded.state_dict())
    x = pictures(padded.config)
    bordered = torch.zeros(3, 3, 32, 32)
    bordered[:, :, 2:30, 2:30] = x
    with torch.no_grad():
        assert torch.allclose(padded.encode(x)[0], whole.encode(bordered)[0], atol=1e-6)
        assert torch.allclose(padded(x), whole(bordered)[:, :, 2:30, 2:30], atol=1e-6)


def test_posteriors():
    constant = make(replace(SMALL, posterior="constant", deviation=0.2)).eval()
    gaussian = make(replace(SMALL, posterior="gaussian")).eval()
    x = pictures(SMALL)
    with torch.no_grad():
        _, log_variance = constant.encode(x)
        assert torch.allclose((log_variance / 2).exp(), torch.tensor(0.2))
        mean, log_variance = gaussian.encode(x)
        both = gaussian.code(gaussian.encoder(x).flatten(1))
        assert torch.equal(torch.cat([mean, log_variance], 1), both)
        gaussian.code.weight.mul_(1e6)
        _, log_variance = gaussian.encode(x)
        assert torch.isfinite(log_variance.exp()).all()
        assert (log_variance.exp() > 0).all()


@pytest.mark.parametrize("config", VARIANTS, ids=str)
def test_evaluation_depends_on_nothing_but_the_picture(config: AutoencoderConfig):
    """Running statistics, fixed spectral vectors, and no noise."""
    network = make(config)
    with torch.no_grad():
        network(pictures(config, 4))
        network.eval()
        before = {key: value.clone() for key, value in network.state_dict().items()}
        x = pictures(config, 5)
        first, second = network(x), network(x)
        assert torch.equal(first, second)
        alone = torch.cat([network(x[index : index + 1]) for index in range(5)])
    assert torch.allclose(first, alone, atol=1e-6)
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


def test_every_parameter_learns():
    for config in VARIANTS:
        network = make(config).train()
        x = pictures(config, 4)
        mean, log_variance = network.encode(x)
        loss = network.decode(mean).sub(x).square().sum() + mean.square().sum()
        if config.posterior == "gaussian":
            loss = loss + log_variance.square().sum()
        if network.likelihood is not None:
            loss = loss + network.likelihood.negative_log(x, network.decode(mean), mean).sum()
        if isinstance(network.likelihood, BlurGaussian):
            loss = loss + network.likelihood.blur_distance(x, network.decode(mean), mean).sum()
        loss.backward()
        idle = [name for name, parameter in network.named_parameters() if parameter.grad is None]
        assert idle == []


def test_spectral_normalisation_of_the_decoder_alone():
    network = make(replace(SMALL, spectral=True, width=4))
    with torch.no_grad():
        for parameter in network.decoder.parameters():
            parameter.mul_(3)
        for _ in range(60):  # each pass is a step of the power iteration
            network(pictures(SMALL, 4))
    network.eval()
    layers = [module for module in network.decoder if is_parametrized(module)]
    assert len(layers) == 3  # FC, ConvT and the last
    for layer in layers:
        # Rows are outputs, which ConvTranspose2d has as axis 1.
        axis = 1 if isinstance(layer, nn.ConvTranspose2d) else 0
        matrix = layer.weight.detach().movedim(axis, 0).flatten(1)
        assert torch.linalg.svdvals(matrix)[0].item() == pytest.approx(1, abs=0.02)
    assert not any(is_parametrized(module) for module in network.encoder.modules())
    assert not is_parametrized(network.code)
    plain = make(SMALL)
    assert not any(is_parametrized(module) for module in plain.modules())


@pytest.mark.parametrize("config", VARIANTS, ids=str)
def test_a_checkpoint_brings_all_of_it_back(config: AutoencoderConfig, tmp_path: Path):
    network = make(config)
    with torch.no_grad():
        for _ in range(3):
            network(pictures(config, 4))
        for index, buffer in enumerate(network.densities.buffers()):
            buffer.uniform_(0.1, 1, generator=generator(index))
    network.eval()
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, network, ENTRY, "a")
    info = read_checkpoint_info(path)
    assert info.config == config
    assert info.contract == network.contract
    restored = load_network(info)
    assert isinstance(restored, Autoencoder)
    assert restored.state_dict().keys() == network.state_dict().keys()
    with torch.no_grad():
        assert torch.equal(restored(pictures(config)), network(pictures(config)))
    for density in DENSITIES:
        assert torch.equal(
            restored.densities.sample(density, 5, 1.0, generator()),
            network.densities.sample(density, 5, 1.0, generator()),
        )


def test_a_full_network_and_a_narrow_one_are_told_apart(tmp_path: Path):
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, make(SMALL), ENTRY, "a")
    assert asdict(read_checkpoint_info(path).config) == asdict(SMALL)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"posterior": "laplace"}, "posterior 'laplace': choose from point, constant, gaussian"),
        ({"likelihood": "cauchy"}, "likelihood 'cauchy': choose from squares, white, blur"),
        ({"side": 28}, "side 28 with padding 0 must make a power of two from 16 on"),
        ({"side": 8}, "side 8 with padding 0 must make a power of two"),
        ({"side": 68, "padding": -2}, "side 68 with padding -2"),
        ({"kernel": 3}, "kernel 3: table 6.1 has 4 and 5"),
        ({"channels": 2}, "channels must be 1 or 3, not 2"),
        ({"latent": 0}, "at least 1"),
        ({"width": 0}, "at least 1"),
        ({"components": 0}, "at least 1"),
        ({"deviation": 0.0}, "above 0"),
        ({"wiener": -1.0}, "above 0"),
        ({"blur_kernel": 10}, "blur_kernel must be odd and at most 64"),
        ({"blur_kernel": 65}, "blur_kernel must be odd and at most 64"),
        ({"blur_kernel": -1}, "blur_kernel must be odd and at most 64"),
    ],
)
def test_bad_configs(settings: dict, text: str):
    with pytest.raises(ValueError, match=text):
        AutoencoderConfig(**settings)
