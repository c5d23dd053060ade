"""Autoencoders that draw pictures (dissertation 003, ch. 6, table 6.1), one network for all.

What differs between VAE, CV-VAE, WAE-MMD, AE and the RAEs is the posterior, the normalisation of
the decoder and the objective; the last is in ``training.autoencoder``. A checkpoint holds the
densities of its codes beside the networks (ch. 6.5), so that samples need no training data.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrize import register_parametrization

from enhance_cli.architectures.blur_error import BlurGaussian, WhiteGaussian
from enhance_cli.architectures.spec import Architecture, Contract

PosteriorName = Literal["point", "constant", "gaussian"]
LikelihoodName = Literal["squares", "white", "blur"]
DENSITIES = ("prior", "gaussian", "mixture")

_DECODED_FROM = 8  # side of the decoder's first map in table 6.1
# Beyond these a standard deviation is meaningless, and its logarithm overflows in half precision.
_LOG_VARIANCE = (-20.0, 10.0)


@dataclass(frozen=True)
class AutoencoderConfig:
    """Hyperparameters; the defaults are the column CelebA of table 6.1.

    Attributes:
        side: Side of the pictures in pixels.
        padding: Width of the border of zeros around them that the encoder sees and the decoder
            cuts off again: 2 for the digits of 28x28.
        channels: Channels of the pictures, 1 or 3.
        latent: Dimensions of a code.
        width: Filters of the first convolution; table 6.1 has 128.
        kernel: Side of all kernels, 4 for MNIST and 5 for CelebA.
        posterior: ``point`` (AE, RAE, WAE: a code is a function of its picture), ``constant``
            (CV-VAE: eq. 6.13) or ``gaussian`` (VAE: eq. 6.11).
        deviation: Standard deviation of the ``constant`` posterior.
        prior: Whether training pulls the codes to N(0, I), so that it can be sampled from.
        spectral: Whether the decoder has spectral normalisation (eq. 6.18).
        components: Number of Gaussians in the mixture that is fitted to the codes.
        likelihood: Density of a picture given its code: ``squares`` (eq. 6.10), ``white`` (one
            variance for all pixels, learnt) or ``blur`` (see ``architectures.blur_error``).
        blur_kernel: Side of the kernels that ``blur`` predicts, odd.
        wiener: The constant C of ``blur``.
        sigmoid: Whether the decoder ends with a sigmoid, so that its pictures stay in [0, 1].
            Table 6.1 has none. It is the default because the shipped weights were trained with
            it: their few hundred steps are better spent than on learning the range of a pixel.
    """

    side: int = 64
    padding: int = 0
    channels: int = 3
    latent: int = 64
    width: int = 128
    kernel: int = 5
    posterior: PosteriorName = "point"
    deviation: float = 0.3
    prior: bool = False
    spectral: bool = False
    components: int = 10
    likelihood: LikelihoodName = "squares"
    blur_kernel: int = 11
    wiener: float = 0.03
    sigmoid: bool = True

    def __post_init__(self) -> None:
        for name, kinds in (("posterior", PosteriorName), ("likelihood", LikelihoodName)):
            if getattr(self, name) not in get_args(kinds):
                raise ValueError(
                    f"{name} {getattr(self, name)!r}: choose from {', '.join(get_args(kinds))}"
                )
        padded = self.side + 2 * self.padding
        if padded < 16 or padded & (padded - 1) or self.padding < 0:
            raise ValueError(
                f"side {self.side} with padding {self.padding} must make a power of two from 16 on"
            )
        if self.kernel not in (4, 5):
            raise ValueError(f"kernel {self.kernel}: table 6.1 has 4 and 5")
        if self.channels not in (1, 3):
            raise ValueError(f"channels must be 1 or 3, not {self.channels}")
        if min(self.latent, self.width, self.components) < 1:
            raise ValueError("latent, width and components must be at least 1")
        if self.deviation <= 0 or self.wiener <= 0:
            raise ValueError("deviation and wiener must be above 0")
        if self.blur_kernel % 2 == 0 or not 0 < self.blur_kernel <= self.side:
            raise ValueError(f"blur_kernel must be odd and at most {self.side}")


class Densities(nn.Module):
    """Densities of the codes, from which samples are drawn; fitted to trained codes (ch. 6.5).

    Attributes:
        gaussian_mean: Mean of the single Gaussian, (D,).
        gaussian_factor: A lower triangular matrix (D, D); factor @ factor.T is its covariance.
        mixture_weights: Weights of the mixture's K Gaussians, (K,), which sum to 1; all are 0
            where nothing has been fitted.
        mixture_means: Their means, (K, D).
        mixture_factors: Their factors, (K, D, D), as ``gaussian_factor``.
    """

    gaussian_mean: Tensor
    gaussian_factor: Tensor
    mixture_weights: Tensor
    mixture_means: Tensor
    mixture_factors: Tensor

    def __init__(self, latent: int, components: int) -> None:
        super().__init__()
        self.latent = latent
        self.register_buffer("gaussian_mean", torch.zeros(latent))
        self.register_buffer("gaussian_factor", torch.zeros(latent, latent))
        self.register_buffer("mixture_weights", torch.zeros(components))
        self.register_buffer("mixture_means", torch.zeros(components, latent))
        self.register_buffer("mixture_factors", torch.zeros(components, latent, latent))

    @property
    def fitted(self) -> bool:
        """Whether ``gaussian`` and ``mixture`` have been fitted."""
        return bool(self.mixture_weights.sum() > 0)

    def sample(
        self, density: str, count: int, temperature: float, generator: torch.Generator
    ) -> Tensor:
        """Draw codes.

        Args:
            density: One of ``DENSITIES``.
            count: How many codes to draw.
            temperature: Factor on every standard deviation; 0 gives the means.
            generator: The source of chance, on the CPU, so that a seed gives the same codes for
                every device.

        Returns:
            (count, D) float32 on the CPU.

        Raises:
            ValueError: if the density is none of ours, or has not been fitted.
        """
        if density not in DENSITIES:
            raise ValueError(f"density {density!r}: choose from {', '.join(DENSITIES)}")
        # Both are drawn whatever the density, so that the same seed gives kindred samples.
        noise = torch.randn(count, self.latent, generator=generator) * temperature
        share = torch.rand(count, generator=generator, dtype=torch.float64)
        if density == "prior":
            return noise
        if not self.fitted:
            raise ValueError(f"no {density} has been fitted to these codes")
        if density == "gaussian":
            return self.gaussian_mean.cpu() + noise @ self.gaussian_factor.cpu().T
        bounds = self.mixture_weights.cpu().double().cumsum(0)
        chosen = torch.searchsorted(bounds / bounds[-1], share).clamp(max=len(bounds) - 1)
        factors = self.mixture_factors.cpu()[chosen]
        return self.mixture_means.cpu()[chosen] + (factors @ noise[:, :, None])[:, :, 0]


class Autoencoder(nn.Module):
    """The encoder and the decoder of table 6.1.

    Attributes:
        config: The hyperparameters.
        contract: How the network is run; it takes pictures of one size only.
        densities: The densities of the codes.
        likelihood: The likelihood of eq. 6.2 with its parameters; None for ``squares``.
    """

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        self.contract = Contract(
            scale=1,
            channels_in=config.channels,
            channels_out=config.channels,
            colour="srgb" if config.channels == 3 else "grey",
            patch_size=config.side,
            tiling="forbidden",
        )
        width, padded = config.width, config.side + 2 * config.padding
        filters = [width, 2 * width, 4 * width, 8 * width]
        self.encoder = nn.Sequential()
        before = config.channels
        for count in filters:
            # A bias in front of batch normalisation would be taken away again.
            self.encoder.append(
                nn.Conv2d(
                    before,
                    count,
                    config.kernel,
                    stride=2,
                    padding=(config.kernel - 1) // 2,
                    bias=False,
                )
            )
            self.encoder.append(nn.BatchNorm2d(count))
            self.encoder.append(nn.ReLU())
            before = count
        heads = 2 if config.posterior == "gaussian" else 1
        self.code = nn.Linear(before * (padded // 16) ** 2, heads * config.latent)
        self.decoder = _decoder(config, padded)
        self.densities = Densities(config.latent, config.components)
        self.likelihood: WhiteGaussian | BlurGaussian | None = None
        if config.likelihood == "white":
            self.likelihood = WhiteGaussian()
        elif config.likelihood == "blur":
            self.likelihood = BlurGaussian(config.latent, config.blur_kernel, config.wiener)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """The posterior q(z|x) of pictures (N, C, side, side) in [0, 1].

        Returns:
            The means (N, D), and the log-variances (N, D) or None for a posterior that is a point.
        """
        padding = self.config.padding
        features = self.encoder(functional.pad(x, (padding,) * 4))
        codes: Tensor = self.code(features.flatten(1)).float()
        if self.config.posterior == "gaussian":
            mean, log_variance = codes.chunk(2, 1)
            return mean, log_variance.clamp(*_LOG_VARIANCE)
        if self.config.posterior == "constant":
            return codes, torch.full_like(codes, self.config.deviation).log().mul(2)
        return codes, None

    def decode(self, z: Tensor, item_by_item: bool = False) -> Tensor:
        """The mean of p(x|z) for codes (N, D): pictures (N, C, side, side).

        Args:
            z: The codes.
            item_by_item: For training alone: give the same pictures, but take the means and
                variances of batch normalisation for constants. Then the derivative of a picture
                by the codes of others is nothing, as it is at test time.

        Returns:
            Pictures in [0, 1], or around it where the config has no ``sigmoid``.
        """
        x = z
        for layer in self.decoder:
            if item_by_item and self.training and isinstance(layer, nn.BatchNorm2d):
                x = _normalise_by_constants(layer, x)
            else:
                x = layer(x)
        padding, side = self.config.padding, self.config.side
        planes = x.float()[..., padding : padding + side, padding : padding + side]
        return planes.sigmoid() if self.config.sigmoid else planes

    def forward(self, x: Tensor) -> Tensor:
        """The reconstructions of pictures (N, C, side, side) in [0, 1] from the mean of q(z|x)."""
        return self.decode(self.encode(x)[0])


def _normalise_by_constants(layer: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """Batch normalisation whose statistics are those of the batch, but are not differentiated."""
    values = x.detach().float()
    mean, variance = values.mean((0, 2, 3)), values.var((0, 2, 3), unbiased=False)
    return functional.batch_norm(x, mean, variance, layer.weight, layer.bias, eps=layer.eps)


class SpectralNorm(nn.Module):
    """A weight divided by an estimate of its largest singular value (eq. 6.18).

    The one that comes with torch computes on the ``meta`` device too, where models are only
    described; that loads torch's compiler, which takes 8 s.

    Args:
        weight: of the layer.
        axis: of the layer's outputs; the others are taken together.
    """

    direction: Tensor

    def __init__(self, weight: Tensor, axis: int) -> None:
        super().__init__()
        self.axis = axis
        self.register_buffer("direction", weight.new_empty(weight.shape[axis]).uniform_(-1, 1))
        if not weight.is_meta:
            with torch.no_grad():
                for _ in range(15):
                    self._turn(self._matrix(weight))

    def _matrix(self, weight: Tensor) -> Tensor:
        return weight.transpose(0, self.axis).flatten(1)

    def _across(self, matrix: Tensor) -> Tensor:
        """matrix.T @ direction, written as a sum: autocast would round a matrix product."""
        return (matrix * self.direction[:, None]).sum(0)

    def _turn(self, matrix: Tensor) -> None:
        """Make one step of the power method."""
        other = functional.normalize(self._across(matrix), dim=0)
        self.direction = functional.normalize((matrix * other).sum(1), dim=0)

    def forward(self, weight: Tensor) -> Tensor:
        """The normalised weight; in training after one more step of the power method."""
        if weight.is_meta:
            return weight
        matrix = self._matrix(weight)
        if self.training:
            with torch.no_grad():
                self._turn(matrix.detach())
        normalised: Tensor = weight / torch.linalg.vector_norm(self._across(matrix))
        return normalised


class _Trimmed(nn.ConvTranspose2d):
    """A transposed convolution of stride 1 and even kernel whose surplus row and column are cut."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """The result (N, C', H, W) for features (N, C, H, W)."""
        return super().forward(x, output_size)[..., : x.shape[-2], : x.shape[-1]]


def _decoder(config: AutoencoderConfig, padded: int) -> nn.Sequential:
    kernel, first = config.kernel, 8 * config.width
    even, padding = kernel % 2 == 0, (kernel - 1) // 2

    def normal(layer: nn.Linear | nn.ConvTranspose2d) -> nn.Module:
        if config.spectral:
            axis = 0 if isinstance(layer, nn.Linear) else 1
            register_parametrization(layer, "weight", SpectralNorm(layer.weight, axis))
        return layer

    layers: list[nn.Module] = [
        normal(nn.Linear(config.latent, first * _DECODED_FROM**2, bias=False)),
        nn.Unflatten(1, (first, _DECODED_FROM, _DECODED_FROM)),
        nn.BatchNorm2d(first),
        nn.ReLU(),
    ]
    before, side = first, _DECODED_FROM
    while side < padded:
        layers += [
            normal(
                nn.ConvTranspose2d(
                    before,
                    before // 2,
                    kernel,
                    stride=2,
                    padding=padding,
                    output_padding=0 if even else 1,
                    bias=False,
                )
            ),
            nn.BatchNorm2d(before // 2),
            nn.ReLU(),
        ]
        before, side = before // 2, side * 2
    last = _Trimmed if even else nn.ConvTranspose2d
    layers.append(normal(last(before, config.channels, kernel, padding=padding)))
    return nn.Sequential(*layers)


AUTOENCODER = Architecture(
    name="autoencoder",
    task="sample",
    config=AutoencoderConfig,
    build=Autoencoder,
    source="Ghosh, Sajjadi et al., From Variational to Deterministic Autoencoders, 2019, table 6.1",
)
