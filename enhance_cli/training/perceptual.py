"""Losses that judge pictures by more than their pixels (dissertation 003, ch. 2.4.2).

Each is the mean over the pictures of a batch. The squared norm of a feature map is the sum over
its channels of the mean over its places, as eq. 2.4 has it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from enhance_cli.architectures.discriminator import Discriminator
from enhance_cli.architectures.vgg import Vgg19, VggMaps
from enhance_cli.engine.features import PerceptualDistance
from enhance_cli.errors import UsageError
from enhance_cli.resize import imresize
from enhance_cli.training.adversarial import Adversary
from enhance_cli.training.fidelity import CELL, grid_error, psnr_loss, reduced_error

_USUAL_PATCH = 16  # of the texture loss, in pixels
# Picture pixels along the side of a place of the smallest map: conv3_1, and those of LPIPS.
_COARSEST, _COARSEST_LPIPS = 4, 16
# What enlarging 4 times has to invent, and how much it is amplified for the discriminator.
_REDUCED, _AMPLIFIED = 4, 8.0


@dataclass(frozen=True)
class LossWeights:
    """Which losses a network is trained with, and how they are weighed (table 2.2, right).

    A weight of 0 leaves a loss out.

    Attributes:
        euclidean: Weight of the squared error of pixels (L_E, eq. 2.4), the mean over channels
            too.
        perceptual: Weights of the squared error of the feature maps pool2 and conv3_1 of VGG-19
            (L_P, eq. 2.5). The text has pool5 in place of conv3_1.
        adversarial: Weight of the generator's loss (L_A, eq. 2.7).
        texture: Weights of the errors of Gram matrices at conv1_1, conv2_1 and conv3_1 (L_T,
            eq. 2.6).
        lpips: Weight of LPIPS as ``evaluate`` measures it. A network that is trained with it does
            better by that measure than it looks, so judge it by others too.
        grid: Weight of ``grid_error``, which keeps a network from drawing a grid.
        psnr: Weight of the negative PSNR in dB (``psnr_loss``). Unlike with ``euclidean``, patches
            of strong texture, whose errors are large, do not outweigh all others.
        psnr_floor: What is added to the squared error of each patch before its PSNR is taken.
            Patches whose error is much smaller then hardly count. With a floor near 0 they would
            outweigh all others.
        psnr_colour: How much errors of colour count in the PSNR beside those of luma, by which
            benchmarks judge: 1 as much, 0 not at all.
        reduced: Weight of the squared error that is left when both pictures are made as small as
            the input (``reduced_error``). The input tells how to avoid it, but it is a small part
            of ``euclidean``, where it drowns in the error of what can only be guessed.
        texture_patch: Side in pixels of the patches within which textures are compared: 16, or
            4 and 128 for figure 2.4. The weights of textures hold for any side.
        head_start: For so many steps the discriminator learns while the network does not heed it
            yet. Without that, the network fools it before it has learned anything, and it never
            gets ahead.
        winning: The discriminator pauses while it gives on average at least this probability to
            what is so, on true and on made pictures. The text tells of a threshold, not which.

    Raises:
        ValueError: If a value is out of its range.
    """

    euclidean: float = 0.0
    perceptual: tuple[float, float] = (0.0, 0.0)
    adversarial: float = 0.0
    texture: tuple[float, float, float] = (0.0, 0.0, 0.0)
    lpips: float = 0.0
    grid: float = 0.0
    psnr: float = 0.0
    psnr_floor: float = 1e-6
    psnr_colour: float = 1.0
    reduced: float = 0.0
    texture_patch: int = _USUAL_PATCH
    head_start: int = 100
    winning: float = 0.8

    def __post_init__(self) -> None:
        if len(self.perceptual) != 2 or len(self.texture) != 3:
            raise ValueError("perceptual needs 2 weights, texture 3")
        weights = (
            self.euclidean,
            *self.perceptual,
            self.adversarial,
            *self.texture,
            self.lpips,
            self.grid,
            self.psnr,
            self.reduced,
        )
        if not all(0 <= weight < math.inf for weight in weights) or not any(weights):
            raise ValueError("weights of losses must be 0 or more, and not all of them 0")
        if self.texture_patch < _COARSEST or self.texture_patch % _COARSEST:
            raise ValueError(
                f"texture_patch must be a multiple of {_COARSEST}, not {self.texture_patch}"
            )
        if not 0 < self.psnr_floor < 1:
            raise ValueError(f"psnr_floor must be above 0 and below 1, not {self.psnr_floor}")
        if not 0 <= self.psnr_colour <= 1:
            raise ValueError(f"psnr_colour must be from 0 to 1, not {self.psnr_colour}")
        if self.head_start < 0:
            raise ValueError(f"head_start must be 0 or more, not {self.head_start}")
        if not 0 <= self.winning <= 1:
            raise ValueError(f"winning must be from 0 to 1, not {self.winning}")

    @property
    def needs_features(self) -> bool:
        """Whether a loss compares features of VGG-19."""
        return any((*self.perceptual, *self.texture))


def squared_norm(maps: Tensor) -> Tensor:
    """||maps||^2 of (N, C, h, w) as eq. 2.4 has it, (N,): summed over C, mean over the places."""
    return maps.float().square().mean((2, 3)).sum(1)


def split_patches(maps: Tensor, side: int) -> Tensor:
    """Divide feature maps into square patches.

    Args:
        maps: (N, C, h, w), whose sides are multiples of ``side``.
        side: Side of the patches in places of the map.

    Returns:
        (N, patches, side^2, C) float32: F^T of eq. 2.6, the features of each patch's places.
    """
    count, channels, height, width = maps.shape
    rows, columns = height // side, width // side
    # The channels stay last, as a CPU has them in memory.
    places = maps.float().permute(0, 2, 3, 1)
    places = places.reshape(count, rows, side, columns, side, channels).transpose(2, 3)
    return places.reshape(count, rows * columns, side * side, channels)


def texture_error(made: Tensor, true: Tensor, side: int) -> Tensor:
    """The squared difference of Gram matrices F F^T (eq. 2.6), (N,): summed in a patch, their mean.

    Args:
        made, true: Feature maps (N, C, h, w).
        side: Side of the patches in places of the map.
    """
    f, g = split_patches(made, side), split_patches(true, side)
    # bfloat16 would round the sums, so autocast must not see these products.
    with torch.autocast(made.device.type, enabled=False):
        if side * side < made.shape[1]:
            # Where places are fewer than channels, the same from smaller matrices:
            # |F F^T - G G^T|^2 = |F^T F|^2 - 2 |F^T G|^2 + |G^T G|^2.
            ft, gt = f.transpose(2, 3), g.transpose(2, 3)
            squares = (f @ ft).square() - 2 * (f @ gt).square() + (g @ gt).square()
        else:
            squares = (f.transpose(2, 3) @ f - g.transpose(2, 3) @ g).square()
    return squares.sum((2, 3)).mean(1)


def perceptual_loss(made: VggMaps, true: VggMaps, weights: tuple[float, float]) -> Tensor:
    """L_P (eq. 2.5), the mean over the batch; the weights are for pool2 and conv3_1."""
    pairs = ((made.pool2, true.pool2), (made.conv3_1, true.conv3_1))
    errors = [
        weight * squared_norm(a.float() - b.float()).mean()
        for weight, (a, b) in zip(weights, pairs, strict=True)
        if weight
    ]
    return torch.stack(errors).sum()


def texture_loss(
    made: VggMaps, true: VggMaps, weights: tuple[float, float, float], patch: int
) -> Tensor:
    """L_T (eq. 2.6), the mean over the batch and over patches of ``patch`` picture pixels.

    The features are those of the whole pictures, and each map is divided so that its patches
    cover the same squares of the picture. Gram matrices grow with the places in a patch, so those
    of other patches are brought to the size that patches of 16x16 have, for which the weights are.
    """
    scale = (_USUAL_PATCH / patch) ** 4
    layers = (
        (made.conv1_1, true.conv1_1, patch),
        (made.conv2_1, true.conv2_1, patch // 2),
        (made.conv3_1, true.conv3_1, patch // 4),
    )
    errors = [
        weight * scale * texture_error(a, b, side).mean()
        for weight, (a, b, side) in zip(weights, layers, strict=True)
        if weight
    ]
    return torch.stack(errors).sum()


def draw_shift(generator: torch.Generator) -> tuple[int, int]:
    """A shift for ``Criterion.losses``, each of the 256 equally likely."""
    down, right = torch.randint(_COARSEST_LPIPS, (2,), generator=generator).tolist()
    return down, right


def fine_detail(pictures: Tensor) -> Tensor:
    """What pictures lose when they are made 4 times smaller and larger again, times 8.

    It is what the discriminator sees. Of whole pictures, whose coarse parts are alike in what is
    true and what is made, it learned nothing in hundreds of steps.

    Args:
        pictures: (N, 3, H, W) in [0, 1], whose sides are multiples of 4.

    Returns:
        (N, 3, H, W), around 0; for photographs about as strong as the pictures.
    """
    coarse = imresize(imresize(pictures, 1 / _REDUCED), _REDUCED)
    return (pictures - coarse) * _AMPLIFIED


@dataclass(frozen=True)
class Criterion:
    """The weighed losses, with the networks that they need.

    Attributes:
        weights: Which losses count, and how much.
        features: Gives the maps that are compared, its parameters fixed; None if none are.
        adversary: What the network is trained against, by the fine detail of pictures; None
            without the adversarial loss.
        temper: What the fine detail of true pictures goes through before the adversary sees it.
            It is given the detail, the discriminator and the step, and gives what is seen, without
            gradients, and a loss of its own; see ``tempering.look_through``. None changes nothing.
        distance: LPIPS; None if it does not count.
        scale: How many times larger than the input the pictures are.
    """

    weights: LossWeights
    features: Vgg19 | None
    adversary: Adversary | None
    temper: Callable[[Tensor, nn.Module, int], tuple[Tensor, Tensor]] | None = None
    distance: PerceptualDistance | None = None
    scale: int = 4

    def losses(
        self, made: Tensor, true: Tensor, shift: tuple[int, int] = (0, 0), step: int | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """The loss of what a network has made, and that of its adversary.

        Args:
            made, true: Pictures (N, 3, H, W) in [0, 1]. The sides must be multiples of
                ``weights.texture_patch`` if textures are compared.
            shift: By how many pixels, from 0 to 15, both pictures are rolled down and right before
                their features are compared. A network that enlarges 4 times can tell the places
                of a map from each other, because the maps have one for 4x4 pixels, or for 16x16;
                if these are always the same pixels, it learns to draw a grid.
            step: How many steps with these losses were before; None is after the head start.

        Returns:
            Two means over the batch; None for the second where no adversary is trained now.
        """
        weights, terms = self.weights, []
        adversary_loss = None
        if weights.euclidean:
            terms.append(weights.euclidean * functional.mse_loss(made, true))
        if weights.psnr:
            loss = psnr_loss(made, true, weights.psnr_floor, weights.psnr_colour)
            terms.append(weights.psnr * loss)
        if weights.reduced:
            terms.append(weights.reduced * reduced_error(made, true, self.scale))
        if weights.grid:
            terms.append(weights.grid * grid_error(made, true))
        if self.distance is not None or self.features is not None:
            rolled = made.roll(shift, (2, 3)), true.roll(shift, (2, 3))
            terms += self._of_features(*rolled)
        if self.adversary is not None:
            detail = fine_detail(true)
            if self.temper is not None:
                detail, own = self.temper(detail, self.adversary.discriminator, step or 0)
                terms.append(own)
            loss, adversary_loss = self.adversary.losses(fine_detail(made), detail)
            ahead = step is None or step >= weights.head_start
            terms.append((weights.adversarial if ahead else 0.0) * loss)
        return torch.stack(terms).sum(), adversary_loss

    def _of_features(self, made: Tensor, true: Tensor) -> list[Tensor]:
        """The weighed losses that look at the pictures through a network."""
        weights, terms = self.weights, []
        if self.distance is not None:
            terms.append(weights.lpips * self.distance.compare(made, true).mean())
        if self.features is not None:
            with torch.no_grad():
                wanted = self.features(true)
            maps = self.features(made)
            if any(weights.perceptual):
                terms.append(perceptual_loss(maps, wanted, weights.perceptual))
            if any(weights.texture):
                terms.append(texture_loss(maps, wanted, weights.texture, weights.texture_patch))
        return terms


def make_criterion(
    weights: LossWeights,
    side: int,
    seed: int,
    device: torch.device,
    load_features: Callable[[], Vgg19],
    load_distance: Callable[[], PerceptualDistance],
    scale: int = 4,
) -> Criterion:
    """Make the networks that some losses need.

    Args:
        weights: The losses.
        side: Side in pixels of the pictures that are compared.
        seed: Seed of the adversary's first weights.
        device: Where they are compared.
        load_features: Loads the network of features; called only if a loss compares them.
        load_distance: Loads LPIPS; called only if it counts.
        scale: How many times larger than the input they are.

    Raises:
        UsageError: If there is a loss that pictures of this size do not allow.
    """
    if any(weights.texture) and side % weights.texture_patch:
        raise UsageError(
            f"texture_patch={weights.texture_patch}: pictures of {side} pixels cannot be divided "
            "into such patches, choose another or another patch"
        )
    if weights.grid and side % CELL:
        raise UsageError(
            f"grid={weights.grid}: pictures of {side} pixels cannot be divided into cells of "
            f"{CELL}, choose another patch"
        )
    adversary = None
    if weights.adversarial:
        torch.manual_seed(seed)
        try:
            adversary = Adversary(Discriminator(side), weights.winning)
        except ValueError as error:
            raise UsageError(f"{error}: choose another patch") from error
        adversary.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    features = load_features() if weights.needs_features else None
    distance = load_distance() if weights.lpips else None
    return Criterion(weights, features, adversary, distance=distance, scale=scale)
