"""Recipes of the very deep VAEs (thesis 002), a part of ``RECIPES``."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from enhance_cli.training.optimisation import Optimisation
from enhance_cli.training.stages import Recipe, make_recipe, named_network
from enhance_cli.training.start import NamedModel
from enhance_cli.training.vdvae import VdvaeStage
from enhance_cli.training.vdvae_sr import VdvaeSrStage


def _published(model: str, steps: int, batch: int, skip: float, clip: float) -> dict[str, Any]:
    """What fig. 6.1 has: a fixed rate after 100 steps, large gradients skipped, a slow average.

    Adam's second decay and the clipping are those of Child's code.
    """
    cifar = model == "vdvae-cifar10"
    plan = Optimisation(
        steps=steps,
        learning_rate=2e-4 if cifar else 1.5e-4,
        schedule="constant",
        warmup=100 / steps,
        betas=(0.9, 0.9),
        clip=clip,
        skip=skip,
        ema=0.9998 if cifar else 0.99985,
        validate_every=5000,
        keep="last",
    )
    return {**named_network(model), "batch": batch, "optimisation": plan}


def _vdvae() -> Iterator[Recipe]:
    for name, steps, batch, skip, clip in (
        ("cifar10", 1_100_000, 32, 400.0, 200.0),
        ("imagenet32", 1_700_000, 256, 300.0, 200.0),
        ("imagenet64", 1_600_000, 128, 380.0, 220.0),
        ("ffhq256", 1_700_000, 32, 180.0, 130.0),
    ):
        model = f"vdvae-{name}"
        yield make_recipe(model, VdvaeStage(**_published(model, steps, batch, skip, clip)))


def _vdvae_sr() -> Iterator[Recipe]:
    """Ch. 6.0.1: 800 pictures, four at a time in 200 epochs, one at a time in 95.

    They begin from the weights of VDVAE; the larger one's LR encoder is that of ImageNet-64.
    """
    small, large = "vdvae-sr-64-x4", "vdvae-sr-256-x4"
    yield make_recipe(
        small,
        VdvaeSrStage(
            **_published(small, 40_000, 4, 380.0, 220.0),
            start=(NamedModel("vdvae-imagenet64"),),
        ),
    )
    yield make_recipe(
        large,
        VdvaeSrStage(
            **_published(large, 76_000, 1, 180.0, 130.0),
            patch=64,
            start=(
                NamedModel("vdvae-ffhq256"),
                NamedModel("vdvae-imagenet64", part="encoder.", place="lr_encoder."),
            ),
        ),
    )


def _short(steps: int) -> Optimisation:
    """Child's rate of 1.5e-4 and decay of 0.99985 are for a million steps, these for thousands."""
    return Optimisation(
        steps=steps,
        learning_rate=3e-4,
        warmup=0.05,
        clip=1.0,
        skip=380.0,
        ema=0.998,
        validate_every=250,
        keep="last",
    )


def _compact() -> Recipe:
    """The bound, from ENet-E."""
    stage = VdvaeSrStage(
        **named_network("vdvae-sr-x4"),
        start=(NamedModel("enet-e-x4", place="base."),),
        rate_warmup=0.3,
        optimisation=_short(3000),
    )
    return make_recipe("vdvae-sr-x4", stage)


def _faces() -> Recipe:
    """Begun by torch's own rule, 4,000 steps left the latents above 16x16 unused.

    Norms of gradients were up to 142 when the rate rose to its full weight in 30 steps, so the
    threshold of skipping is well above; clipping makes large ones harmless.
    """
    stage = VdvaeStage(
        **named_network("vdvae-faces-64"),
        dataset="faces",
        batch=8,
        lively_start=True,
        rate_warmup=0.2,
        optimisation=replace(
            _short(10_000),
            learning_rate=1e-3,
            warmup=0.02,
            skip=2000.0,
            ema=0.999,
            validate_every=500,
        ),
    )
    return make_recipe("vdvae-faces-64", stage)


VDVAE_RECIPES = (_compact(), *_vdvae_sr(), *_vdvae(), _faces())
