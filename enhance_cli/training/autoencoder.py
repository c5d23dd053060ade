"""Training of the autoencoders that draw pictures (dissertation 003, ch. 6; document 004)."""

import math
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from enhance_cli.architectures.autoencoder import AUTOENCODER, Autoencoder, AutoencoderConfig
from enhance_cli.architectures.blur_error import BlurGaussian
from enhance_cli.data.picture_sets import PICTURE_SETS
from enhance_cli.errors import UnknownNameError, UsageError
from enhance_cli.levels import to_values
from enhance_cli.training.objectives import gaussian_kl, reparameterise, summed
from enhance_cli.training.optimisation import step_generator
from enhance_cli.training.stages import Stage, TrainingTask

_AT_ONCE = 250  # pictures that go through the network together in a validation
_VALIDATED = 2_000  # pictures of a validation
_FITTED = 20_000  # codes to fit densities to: a mixture of ten needs no more, and EM is slow
_EM_STEPS = 100  # ch. 6.8
# Kernel widths of Tolstikhin et al. (2018), from whom ch. 6.7.1 takes WAE-MMD.
_MMD_SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True, kw_only=True)
class AutoencoderStage(Stage):
    """One line of tables 6.2 and 6.3, or a VAE of document 004.

    The loss of a picture is ``-log p(x|z)`` (eq. 6.10, whose squared error is that of a Gaussian
    of variance 1/2 but for a constant, or the config's likelihood) plus the terms below. The text
    halves the learning rate whenever the validation loss stays; half a cosine does the same for a
    number of steps that is known beforehand.

    Attributes:
        architecture: There is one.
        dataset: Key of ``PICTURE_SETS``.
        divergence: Weight of the KL-divergence from N(0, I) (eq. 6.12, 6.14).
        codes: Beta of eq. 6.15, the weight of half the squared norm of a code.
        decay: Lambda of eq. 6.16, the weight of the squared norm of the decoder's parameters.
        gradient: Lambda of eq. 6.17, the weight of the squared norm of the decoder's Jacobian.
        discrepancy: Weight of WAE's maximum mean discrepancy from N(0, I).
        mirror: Whether half of the pictures are shown mirrored. The paper has 160,000 faces; here
            are few.
        batch: Pictures per step, over all processes; ch. 6.8 has 100.
    """

    architecture: str = AUTOENCODER.name
    dataset: str
    divergence: float = 0.0
    codes: float = 0.0
    decay: float = 0.0
    gradient: float = 0.0
    discrepancy: float = 0.0
    mirror: bool = False
    batch: int = 50

    def __post_init__(self) -> None:
        if self.dataset not in PICTURE_SETS:
            raise UnknownNameError("dataset", self.dataset, PICTURE_SETS)
        super().__post_init__()
        if self.batch < 2:
            raise ValueError(f"batch must be at least 2 for its normalisation, not {self.batch}")
        for name in ("divergence", "codes", "decay", "gradient", "discrepancy"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be 0 or more, not {getattr(self, name)}")

    @property
    def identity(self) -> tuple[object, ...]:
        """All of the network but its width, its end, and the size of what is fitted to codes."""
        free = ("width", "components", "sigmoid")
        return self.dataset, *sorted(
            (k, v) for k, v in asdict(self.config).items() if k not in free
        )

    def prepare(
        self,
        data: Path,
        validation: Path | None,
        device: torch.device,
        init: dict[str, Tensor] | None = None,
    ) -> "Autoencoding":
        """Read the pictures and make the network; see ``Stage.prepare``.

        Args:
            data: The file of ``dataset``, or its folder; its own split is used.
            validation: Another such file, whose pictures for validation are taken.
            device: Where pixels and network live.
            init: Tensors to begin with.

        Raises:
            UsageError: Also if there are fewer pictures than a batch holds.
        """
        read = PICTURE_SETS[self.dataset].read
        sets = read(data)
        held = sets.validation if validation is None else read(validation).validation
        if len(sets.train) < self.batch:
            raise UsageError(
                f"batch={self.batch}: more than the {len(sets.train)} pictures to "
                "train on, choose fewer with --set batch=..."
            )
        network = self.make_network(init)
        network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        # From everywhere, since some sets are sorted by what they show.
        held = held[:: -(-len(held) // _VALIDATED)]
        return Autoencoding(self, network, sets.train.to(device), held.to(device))


class Autoencoding(TrainingTask):
    """A stage of an autoencoder with its pictures, each uint8 (N, C, side, side)."""

    stage: AutoencoderStage

    def __init__(
        self, stage: AutoencoderStage, network: nn.Module, train: Tensor, held: Tensor
    ) -> None:
        super().__init__(stage, network, f"{len(train)} pictures of {stage.dataset}")
        self._train, self._held = train, held
        self._epoch = len(train) // stage.batch  # steps
        self._values = train[0].numel()
        self._figures: dict[str, float] = {}
        self._is_density = stage.config.likelihood != "squares"
        self.unit = "nats/value" if self._is_density else "-loss"

    def loss(self, step: int, generator: torch.Generator, share: slice) -> Tensor:
        """The mean loss of this process's share; in an epoch each picture is shown once."""
        stage = self.stage
        epoch, place = divmod(step, self._epoch)
        order = torch.randperm(
            len(self._train), generator=step_generator(stage.optimisation.seed, -1 - epoch)
        )
        index = order[place * stage.batch :][: stage.batch][share].to(self._train.device)
        if len(index) < 2:
            raise UsageError(f"batch={stage.batch}: too small for so many processes")
        # Processes have different pictures, so they need different noise.
        own = torch.Generator().manual_seed(generator.initial_seed() + (share.start or 0))
        x = to_values(self._train[index])
        if stage.mirror:
            turned = (torch.rand(len(x), generator=own) < 0.5).to(x.device)
            x = torch.where(turned[:, None, None, None], x.flip(-1), x)
        network = cast(Autoencoder, self.network)
        mean, log_variance = network.encode(x)
        z = mean if log_variance is None else reparameterise(mean, log_variance, own)
        total = _error(network, x, z, own, stage.gradient)
        total = total + _divergence(mean, log_variance, network.config) * stage.divergence
        total = total.mean() + stage.codes * z.square().sum(1).mean() / 2
        if stage.decay:
            total = total + stage.decay * sum(
                parameter.square().sum() for parameter in network.decoder.parameters()
            )
        if stage.discrepancy:
            prior = torch.randn(z.shape, generator=own).to(z)
            total = total + stage.discrepancy * mean_discrepancy(z, prior)
        return total

    def validate(self, network: nn.Module) -> float:
        """The negative of the loss without regularisers; it also fits the densities of the codes.

        Where the likelihood is normalised, that is the bound of eq. 6.4 in nats per value. Every
        time the same random numbers are used, so that scores can be compared.
        """
        model = cast(Autoencoder, network)
        generator = torch.Generator().manual_seed(0)
        error = divergence = 0.0
        for part in self._held.split(_AT_ONCE):  # type: ignore[no-untyped-call]
            x = to_values(part)
            mean, log_variance = model.encode(x)
            z = mean if log_variance is None else reparameterise(mean, log_variance, generator)
            error += float(_error(model, x, z, generator, 0).double().sum())
            divergence += float(_divergence(mean, log_variance, model.config).double().sum())
        count = len(self._held)
        self._figures = {"error": error / count, "divergence": divergence / count}
        shown = self._train[:: -(-len(self._train) // _FITTED)]
        codes = [model.encode(to_values(part))[0].cpu() for part in shown.split(_AT_ONCE)]  # type: ignore[no-untyped-call]
        fitted = fit_densities(
            torch.cat(codes), model.config.components, self.stage.optimisation.seed
        )
        model.densities.load_state_dict(fitted)
        total = (error + self.stage.divergence * divergence) / count
        return -total / self._values if self._is_density else -total

    def notes(self, step: int, score: float | None) -> dict[str, Any]:
        """Epochs and score, and the parts of the score if it has just been measured."""
        figures = self._figures if score is not None else {}
        return {
            "epochs": round(step / self._epoch, 2),
            **super().notes(step, score),
            **{name: round(value, 4) for name, value in figures.items()},
        }


def _error(
    network: Autoencoder, x: Tensor, z: Tensor, generator: torch.Generator, gradient: float
) -> Tensor:
    """-log p(x|z) of each picture by the network's likelihood, (N,), plus eq. 6.17 if weighted."""
    estimate = network.decode(z)
    if network.likelihood is None:
        error = summed((x - estimate).square())
    else:
        error = network.likelihood.negative_log(x, estimate, z)
        if network.training and isinstance(network.likelihood, BlurGaussian):
            # Another loss, of other parameters: the kernels alone.
            blur = network.likelihood.blur_distance(x, estimate, z)
            error = error + blur - blur.detach()
    if not gradient:
        return error
    return error + gradient * decoder_penalty(network, z, generator)


def decoder_penalty(network: Autoencoder, z: Tensor, generator: torch.Generator) -> Tensor:
    """Eq. 6.17 for each code: the squared Frobenius norm of the decoder's Jacobian, (N,).

    Batch normalisation makes every picture depend on all codes of the batch, so the derivatives
    of the pictures by one code would hold those of all other pictures too, and of two codes that
    pull in different directions one could hide what the other does. The equation means one
    picture by its own code. Hence the pictures are made once more, with the statistics of the
    batch held fixed: the function of each code is then the one that the batch defines, and no
    picture depends on another's code. The gradient of the penalty reaches all parameters of the
    decoder, and the codes.

    The norm is estimated without bias from one random direction, since a row at a time would take
    as many passes as there are pixels: for v ~ N(0, I) the mean of |J^T v|^2 is |J|^2.

    Args:
        network: Whose decoder is meant.
        z: Codes (N, D).
        generator: The source of v, on the CPU.
    """
    if not z.requires_grad:
        z = z.detach().requires_grad_()
    pictures = network.decode(z, item_by_item=True)
    direction = torch.randn(pictures.shape, generator=generator).to(pictures)
    (slope,) = torch.autograd.grad((pictures * direction).sum(), z, create_graph=True)
    return summed(slope.square())


def _divergence(mean: Tensor, log_variance: Tensor | None, config: AutoencoderConfig) -> Tensor:
    """The divergence of each code's posterior from N(0, I), (N,).

    It is eq. 6.12, with the half and the signs that it should have there, or for a posterior of
    constant variance eq. 6.14.
    """
    if log_variance is None:
        return torch.zeros(len(mean), device=mean.device)
    if config.posterior == "constant":
        return summed(mean.square()) / 2
    return gaussian_kl(mean, log_variance)


def mean_discrepancy(codes: Tensor, prior: Tensor) -> Tensor:
    """Unbiased estimate of WAE's squared maximum mean discrepancy (Tolstikhin et al., 2018).

    The kernels are inverse multiquadrics, c / (c + |a - b|^2), summed over seven widths.

    Args:
        codes: Codes of pictures, (N, D), at least two.
        prior: As many samples of N(0, I).

    Returns:
        A number whose mean is 0 where both have one distribution; it can be negative.
    """
    count, latent = codes.shape
    total = codes.new_zeros(())
    others = 1 - torch.eye(count, device=codes.device)
    within = [(torch.cdist(part, part).square() * others) for part in (codes, prior)]
    between = torch.cdist(codes, prior).square()
    for scale in _MMD_SCALES:
        width = 2 * latent * scale
        for distance in within:
            kernel = width / (width + distance) * others
            total = total + kernel.sum() / (count * (count - 1))
        total = total - 2 * (width / (width + between)).mean()
    return total


def fit_densities(codes: Tensor, components: int, seed: int) -> dict[str, Tensor]:
    """Fit a Gaussian, and a mixture of Gaussians with full covariances, to codes (ch. 6.5).

    Args:
        codes: (N, D).
        components: Number of Gaussians in the mixture. Where there are fewer codes, only as many
            Gaussians have a weight.
        seed: Seed of the mixture's first guess.

    Returns:
        The buffers of ``architectures.autoencoder.Densities`` by name, float32.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    # EM's floor for variances is absolute, so the codes are brought to one scale.
    scale = float(codes.double().std(0).mean().clamp_min(1e-12))
    points = (codes.double() / scale).numpy()
    found = {}
    for name, count in (("gaussian", 1), ("mixture", min(components, len(points)))):
        mixture = GaussianMixture(count, max_iter=_EM_STEPS, random_state=seed, reg_covar=1e-6)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the text stops there too
            mixture.fit(points)
        weights, means, covariances = (
            torch.from_numpy(value)
            for value in (mixture.weights_, mixture.means_, mixture.covariances_)
        )
        factors = torch.linalg.cholesky(covariances)
        found[name] = (weights, means * scale, factors * scale)
    weights, means, factors = found["mixture"]
    spare, latent = components - len(weights), codes.shape[1]
    _, mean, factor = found["gaussian"]
    tensors = {
        "gaussian_mean": mean[0],
        "gaussian_factor": factor[0],
        "mixture_weights": torch.cat([weights, weights.new_zeros(spare)]),
        "mixture_means": torch.cat([means, means.new_zeros(spare, latent)]),
        "mixture_factors": torch.cat([factors, factors.new_zeros(spare, latent, latent)]),
    }
    return {name: value.float() for name, value in tensors.items()}
