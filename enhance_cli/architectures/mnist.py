"""The autoencoders of the MNIST experiments (thesis 000, ch. 5, tables 12 and 13).

Each has three parts: p(z|y), q(z|x) and p(x|z) or p(x|y, z). They restore or make digits of
28x28 pixels and enhance no photographs; their ``contract`` only says what they take.
"""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from enhance_cli.architectures.spec import Architecture, Contract

SIDE = 28
_CLASSES = 10
_LABEL_HIDDEN = 10

MlpPrior = Literal["itself", "normal", "label"]
CnnPrior = Literal["normal", "picture"]


@dataclass(frozen=True)
class MnistMlpConfig:
    """Hyperparameters of the MLP; the defaults are table 12.

    Attributes:
        latent: Dimensions of the bottleneck.
        hidden: Nodes of the hidden layer of encoder and decoder.
        prior: What the code depends on. ``itself`` is the plain autoencoder, whose code is a
            function of its own picture and which has no q(z|x); ``normal`` is the VAE, with
            p(z) = N(0, I); ``label`` is the CVAE, with p(z|y) of the digit's class.
    """

    latent: int = 2
    hidden: int = 512
    prior: MlpPrior = "normal"

    def __post_init__(self) -> None:
        if self.prior not in get_args(MlpPrior):
            raise ValueError(f"prior {self.prior!r}: choose from {get_args(MlpPrior)}")
        if min(self.latent, self.hidden) < 1:
            raise ValueError(f"no network of latent {self.latent} and hidden {self.hidden}")


@dataclass(frozen=True)
class MnistCnnConfig:
    """Hyperparameters of the CNN-MLP; the defaults are table 13.

    Attributes:
        latent: Dimensions of the bottleneck.
        width: Channels of the first convolution; the other two have twice as many.
        hidden: Nodes of the fully connected layer.
        prior: ``normal`` is the VAE; ``picture`` is the CVAE of ch. 5.2, whose prior is a network
            like the encoder that sees the corrupted picture.
        skips: Whether the decoder sees the three convolutions of that prior (eq. 12), or its
            code alone (eq. 13).
    """

    latent: int = 10
    width: int = 32
    hidden: int = 256
    prior: CnnPrior = "normal"
    skips: bool = False

    def __post_init__(self) -> None:
        if self.prior not in get_args(CnnPrior):
            raise ValueError(f"prior {self.prior!r}: choose from {get_args(CnnPrior)}")
        if self.skips and self.prior == "normal":
            raise ValueError("skips come from the network of a prior: choose prior picture")
        if min(self.latent, self.width, self.hidden) < 1:
            raise ValueError(
                f"no network of latent {self.latent}, width {self.width}, hidden {self.hidden}"
            )


class _NormalPrior(nn.Module):
    """The prior p(z) = N(0, I) of a VAE."""

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.latent = latent

    def forward(self, y: Tensor) -> tuple[Tensor, None]:
        """The mean, zeros (N, latent); of ``y`` only its length matters."""
        return torch.zeros(len(y), self.latent, device=y.device), None


class _LabelPrior(nn.Module):
    """The prior p(z|y) of a digit's class: an MLP with a hidden layer of ten nodes (ch. 5.1)."""

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(_CLASSES, _LABEL_HIDDEN)
        self.z_mean = nn.Linear(_LABEL_HIDDEN, latent)

    def forward(self, y: Tensor) -> tuple[Tensor, None]:
        """The means (N, latent) for classes, int64 (N,)."""
        one_hot = functional.one_hot(y, _CLASSES).to(self.fc1.weight)
        mean: Tensor = self.z_mean(functional.leaky_relu(self.fc1(one_hot)))
        return mean, None


class _MlpFeatures(nn.Module):
    """The layer fc1 of table 12."""

    def __init__(self, config: MnistMlpConfig) -> None:
        super().__init__()
        self.size = config.hidden
        self.fc1 = nn.Linear(SIDE * SIDE, config.hidden)

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        """Features (N, hidden) of pictures (N, 1, 28, 28), and no skip connections."""
        return functional.leaky_relu(self.fc1(x.flatten(1))), None


class _CnnFeatures(nn.Module):
    """The layers conv1 to fc1 of table 13, which give the convolutions' outputs as skips too."""

    def __init__(self, config: MnistCnnConfig) -> None:
        super().__init__()
        self.size, width = config.hidden, config.width
        self.convs = nn.ModuleList(
            nn.Conv2d(inner, outer, 3, stride=2, padding=1)
            for inner, outer in ((1, width), (width, 2 * width), (2 * width, 2 * width))
        )
        self.fc1 = nn.Linear(2 * width * 4 * 4, config.hidden)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Features (N, hidden) of pictures, and feature maps of 14, 7 and 4 pixels a side."""
        maps = []
        for conv in self.convs:
            x = functional.leaky_relu(conv(x))
            maps.append(x)
        return functional.leaky_relu(self.fc1(x.flatten(1))), maps


class _PicturePrior(nn.Module):
    """The prior p(z|y) of a picture: the layers of an encoder up to its mean."""

    def __init__(self, features: _MlpFeatures | _CnnFeatures, latent: int, skips: bool) -> None:
        super().__init__()
        self.features, self.skips = features, skips
        self.z_mean = nn.Linear(features.size, latent)

    def forward(self, y: Tensor) -> tuple[Tensor, list[Tensor] | None]:
        """The means (N, latent) for pictures (N, 1, 28, 28), and the skip connections."""
        hidden, maps = self.features(y)
        return self.z_mean(hidden), maps if self.skips else None


class _Encoder(nn.Module):
    """The encoder q(z|x). ``z_var`` gives the logarithm, since a variance has to be positive."""

    def __init__(self, features: _MlpFeatures | _CnnFeatures, latent: int) -> None:
        super().__init__()
        self.features = features
        self.z_mean = nn.Linear(features.size, latent)
        self.z_var = nn.Linear(features.size, latent)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log-variances, each (N, latent), for pictures (N, 1, 28, 28)."""
        hidden, _ = self.features(x)
        return self.z_mean(hidden), self.z_var(hidden)


class _MlpDecoder(nn.Module):
    """The layers fc2 and x_mean of table 12."""

    def __init__(self, config: MnistMlpConfig) -> None:
        super().__init__()
        self.fc2 = nn.Linear(config.latent, config.hidden)
        self.x_mean = nn.Linear(config.hidden, SIDE * SIDE)

    def forward(self, z: Tensor, _context: None) -> Tensor:
        """Pictures (N, 1, 28, 28) for codes (N, latent)."""
        out: Tensor = self.x_mean(functional.leaky_relu(self.fc2(z)))
        return out.view(-1, 1, SIDE, SIDE)


class _CnnDecoder(nn.Module):
    """The layers of table 13 mirrored; skips double the channels that a convolution sees."""

    def __init__(self, config: MnistCnnConfig) -> None:
        super().__init__()
        width, seen = config.width, 2 if config.skips else 1
        self.fc2 = nn.Linear(config.latent, config.hidden)
        self.fc3 = nn.Linear(config.hidden, 2 * width * 4 * 4)
        self.convs = nn.ModuleList(
            nn.ConvTranspose2d(seen * inner, outer, 3, stride=2, padding=1, output_padding=extra)
            for inner, outer, extra in (  # 4 -> 7 -> 14 -> 28 pixels a side
                (2 * width, 2 * width, 0),
                (2 * width, width, 1),
                (width, 1, 1),
            )
        )

    def forward(self, z: Tensor, context: list[Tensor] | None) -> Tensor:
        """Pictures (N, 1, 28, 28) for codes (N, latent) and, if any, the prior's feature maps."""
        x = functional.leaky_relu(self.fc3(functional.leaky_relu(self.fc2(z))))
        x = x.view(len(z), -1, 4, 4)
        for level, conv in enumerate(self.convs, 1):
            if context is not None:
                x = torch.cat([x, context[-level]], 1)
            x = conv(x)
            if level < len(self.convs):
                x = functional.leaky_relu(x)
        return x


class MnistNetwork(nn.Module):
    """Prior, encoder and decoder; a ``training.objectives.VariationalModel``.

    Hidden layers have PyTorch's LeakyReLU(0.01) and its initialisation, as the thesis names no
    others; code and picture have no activation, so that a picture may leave [0, 1] a little.
    """

    def __init__(
        self,
        config: MnistMlpConfig | MnistCnnConfig,
        prior: nn.Module,
        encoder: nn.Module | None,
        decoder: nn.Module,
    ) -> None:
        super().__init__()
        self.config = config
        self.prior_network, self.encoder, self.decoder = prior, encoder, decoder
        self.contract = Contract(
            scale=1,
            channels_in=1,
            channels_out=1,
            colour="grey",
            patch_size=SIDE,
            tiling="forbidden",
        )

    def prior(self, y: Tensor) -> tuple[Tensor, Any]:
        """Mean of p(z|y), (N, latent), and the skip connections, if any.

        Args:
            y: pictures (N, 1, 28, 28), or labels int64 (N,) if the config's prior is ``label``.
        """
        found: tuple[Tensor, Any] = self.prior_network(y)
        return found

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z|x), each (N, latent), of pictures (N, 1, 28, 28).

        Raises:
            TypeError: if this is a plain autoencoder.
        """
        if self.encoder is None:
            raise TypeError("a plain autoencoder has no q(z|x)")
        found: tuple[Tensor, Tensor] = self.encoder(x)
        return found

    def decode(self, z: Tensor, context: Any = None) -> Tensor:
        """Mean of p(x|y, z): (N, latent) -> (N, 1, 28, 28), not clamped."""
        picture: Tensor = self.decoder(z, context)
        return picture

    def forward(self, y: Tensor) -> Tensor:
        """The picture (N, 1, 28, 28) at the prior's mean; ``y`` as for ``prior``."""
        return self.decode(*self.prior(y))


def _build_mlp(config: MnistMlpConfig) -> MnistNetwork:
    decoder = _MlpDecoder(config)
    if config.prior == "itself":
        prior = _PicturePrior(_MlpFeatures(config), config.latent, skips=False)
        return MnistNetwork(config, prior, None, decoder)
    make = _LabelPrior if config.prior == "label" else _NormalPrior
    encoder = _Encoder(_MlpFeatures(config), config.latent)
    return MnistNetwork(config, make(config.latent), encoder, decoder)


def _build_cnn(config: MnistCnnConfig) -> MnistNetwork:
    prior = (
        _NormalPrior(config.latent)
        if config.prior == "normal"
        else _PicturePrior(_CnnFeatures(config), config.latent, config.skips)
    )
    encoder = _Encoder(_CnnFeatures(config), config.latent)
    return MnistNetwork(config, prior, encoder, _CnnDecoder(config))


_SOURCE = "Eriksson, Real-world Low-light Image Enhancement Using VAEs, 2020, ch. 5"

MNIST_ARCHITECTURES: tuple[Architecture, ...] = (
    Architecture(
        name="mnist-mlp",
        task="experiment",
        config=MnistMlpConfig,
        build=_build_mlp,
        source=f"{_SOURCE}, table 12",
    ),
    Architecture(
        name="mnist-cnn",
        task="experiment",
        config=MnistCnnConfig,
        build=_build_cnn,
        source=f"{_SOURCE}, table 13",
    ),
)
