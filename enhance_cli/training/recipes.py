"""How the models' weights are made. To add a recipe: its line in ``RECIPES``.

A recipe has the name of the model that it makes. Where weights are shipped, its stages are those
that made them; ``weights/MANIFEST.toml`` tells where the recipe only comes near.
"""

from dataclasses import replace
from typing import Any

from enhance_cli.architectures import MODELS
from enhance_cli.data.degradation import Degradation
from enhance_cli.training.autoencoder import AutoencoderStage
from enhance_cli.training.distillation import DistillationStage
from enhance_cli.training.lowlight_recipes import LOWLIGHT_RECIPES
from enhance_cli.training.mnist import MNIST_RECIPES
from enhance_cli.training.optimisation import Optimisation
from enhance_cli.training.perceptual import LossWeights
from enhance_cli.training.stages import Recipe, Stage, make_recipe, named_network
from enhance_cli.training.start import EarlierStage, NamedModel
from enhance_cli.training.superres import SuperResolutionStage
from enhance_cli.training.tempered_recipes import TEMPERED_RECIPES
from enhance_cli.training.tempered_superres import TemperedSuperResolutionStage
from enhance_cli.training.tempering import LensPlan
from enhance_cli.training.vdvae_recipes import VDVAE_RECIPES
from enhance_cli.training.video import VideoStage
from enhance_cli.training.worn import WornStage

# --- super-resolution ---------------------------------------------------------------------------


def _enet_e_x4() -> Recipe:
    """A first stage at small patches and a high rate, then a longer one with squared errors."""
    network = named_network("enet-e-x4")
    return make_recipe(
        "enet-e-x4",
        SuperResolutionStage(
            **network,
            patch=24,
            l1_share=1.0,
            optimisation=Optimisation(steps=5363, learning_rate=8e-4, keep="last"),
        ),
        SuperResolutionStage(
            **network,
            start=(EarlierStage(1),),
            optimisation=Optimisation(steps=10_000, learning_rate=5e-4),
        ),
    )


def _enet_e_x2() -> Recipe:
    """From the network for 4x, first towards a long schedule that is left after a third."""
    settings: dict[str, Any] = {**named_network("enet-e-x2"), "patch": 48, "batch": 12}
    return make_recipe(
        "enet-e-x2",
        SuperResolutionStage(
            **settings,
            start=(NamedModel("enet-e-x4"),),
            l1_share=1.0,
            optimisation=Optimisation(steps=1649, horizon=5000, learning_rate=5e-4, keep="last"),
        ),
        SuperResolutionStage(
            **settings,
            start=(EarlierStage(1),),
            l1_share=0.7,
            optimisation=Optimisation(
                steps=2000, learning_rate=3e-4, warmup=0.02, validate_every=500
            ),
        ),
    )


_LOSS_NAMES = {"e": "squared error", "p": "perceptual", "a": "adversarial", "t": "texture"}


def _enet_losses(kind: str) -> LossWeights:
    """One of the combinations of table 2.2.

    The table's weights are for other features: they make perceptual and texture losses a thousand
    times stronger here, where conv3_1 stands for pool5 and every mean activation is 1. These give
    the perceptual loss about the gradients of all textures together, a third of them from each
    layer, and the adversary four tenths of that before it has learned. The table weighs the
    squared error by none; a weight of 1 on [0, 1] would be nothing beside the adversary.
    """
    return LossWeights(
        euclidean=1000.0 if "e" in kind else 0.0,
        perceptual=(0.01, 0.005) if "p" in kind else (0.0, 0.0),
        adversarial=4.0 if "a" in kind else 0.0,
        texture=(1.5e-9, 2e-8, 6e-9) if "t" in kind else (0.0, 0.0, 0.0),
    )


_ENET_LOSSES = {kind: _enet_losses(kind) for kind in ("p", "ea", "pa", "eat", "pat")}
_ONE_STAGE = ("p", "ea", "pa", "eat")


def _textured(steps: int, horizon: int = 0) -> Optimisation:
    """Ch. 2.5.8 trains anew at a fixed rate of 1e-4 for up to 24 hours.

    From a network that enlarges already far fewer steps are needed, at a higher rate that falls.
    """
    return Optimisation(
        steps=steps,
        horizon=horizon,
        learning_rate=2e-4,
        ema=0.998,
        clip=100.0,
        validate_every=250,
        keep="last",
    )


def _enet_perceptual_x4(kind: str) -> Recipe:
    """ENet of one of the combinations, from the weights of ENet-E."""
    stage = SuperResolutionStage(
        **named_network("enet-e-x4"),
        start=(NamedModel("enet-e-x4"),),
        batch=8,
        l1_share=0.0,
        losses=_ENET_LOSSES[kind],
        optimisation=_textured(1400),
    )
    losses = " + ".join(_LOSS_NAMES[letter] for letter in kind)
    return Recipe(
        f"enet-{kind}-x4", f"EnhanceNet x4, {losses}: ENet-{kind.upper()} of table 2.3", (stage,)
    )


def _heeding_more(gentle: SuperResolutionStage, then: Optimisation) -> tuple[Stage, ...]:
    """A stage in which the adversary counts a quarter, and one in which it counts in full."""
    losses = _ENET_LOSSES["pat"]
    return (
        replace(gentle, losses=replace(losses, adversarial=losses.adversarial / 4)),
        replace(gentle, losses=losses, start=(EarlierStage(1),), optimisation=then),
    )


def _enet_pat_x4() -> Recipe:
    gentle = SuperResolutionStage(
        **named_network("enet-pat-x4"),
        start=(NamedModel("enet-e-x4"),),
        batch=8,
        l1_share=0.0,
        optimisation=_textured(2855, 5000),
    )
    return make_recipe("enet-pat-x4", *_heeding_more(gentle, _textured(1603, 3600)))


def _enet_pat_x4_tempered() -> Recipe:
    """ENet-PAT in one stage, with a lens in place of the rule when the discriminator pauses.

    For the rule itself: --set lens_width=0 --set winning=0.8.
    """
    stage = TemperedSuperResolutionStage(
        **named_network("enet-pat-x4"),
        start=(NamedModel("enet-e-x4"),),
        batch=8,
        l1_share=0.0,
        losses=replace(_ENET_LOSSES["pat"], winning=1.0),  # never pauses
        lens=LensPlan(lens_steps=700),
        optimisation=_textured(1400),
    )
    return Recipe("enet-pat-x4-tempered", "EnhanceNet x4, ENet-PAT with a lens (ch. 4)", (stage,))


def _enet_real_e_x4() -> Recipe:
    """Worn photographs by L1."""
    stage = WornStage(
        **named_network("enet-real-e-x4"),
        start=(NamedModel("enet-e-x4"),),
        patch=48,
        batch=8,
        l1_share=1.0,
        optimisation=Optimisation(steps=2000, learning_rate=4e-4, clip=1.0, validate_every=500),
    )
    return make_recipe("enet-real-e-x4", stage)


def _enet_real_x4() -> Recipe:
    """The same pairs with ENet-PAT's losses."""
    gentle = DistillationStage(
        **named_network("enet-real-x4"),
        start=(NamedModel("enet-real-e-x4"),),
        batch=8,
        l1_share=0.0,
        optimisation=_textured(1196, 6000),
    )
    return make_recipe("enet-real-x4", *_heeding_more(gentle, _textured(2610, 3600)))


def _fast_x4() -> Recipe:
    """The start of a long schedule, and a shorter one from there."""
    first = SuperResolutionStage(
        **named_network("fast-x4"),
        patch=48,
        l1_share=1.0,
        optimisation=Optimisation(
            steps=2000,
            horizon=14_000,
            learning_rate=1e-3,
            clip=1.0,
            validate_every=500,
            keep="last",
        ),
    )
    second = replace(
        first,
        l1_share=0.75,
        start=(EarlierStage(1),),
        optimisation=Optimisation(steps=8500, learning_rate=8e-4, clip=1.0, validate_every=500),
    )
    return make_recipe("fast-x4", first, second)


def _fast_x2() -> Recipe:
    """From the network for 4x, which differs in its last convolution."""
    stage = SuperResolutionStage(
        **named_network("fast-x2"),
        patch=48,
        start=(NamedModel("fast-x4"),),
        optimisation=Optimisation(steps=2500, learning_rate=6e-4, clip=1.0, validate_every=500),
    )
    return make_recipe("fast-x2", stage)


# --- video --------------------------------------------------------------------------------------


def _video_stage(model: str, **settings: Any) -> VideoStage:
    """Ch. 3.3.5 has 2 million steps at a fixed 1e-4; a higher rate that falls needs far fewer.

    The chapter's squares come after L1, and flow is judged on the large frames.
    """
    stage = {
        "l1_share": 0.8,
        "flow_frames": "hr",
        "optimisation": Optimisation(learning_rate=4e-4, validate_every=500),
    }
    return VideoStage(**named_network(model), **{**stage, **settings})


def _frvsr_3_64() -> Recipe:
    """FNet by known flow, both networks, FNet on large frames; then SRNet anew with that FNet."""
    model = "frvsr-3-64"
    strides = (1, 1, 2)  # a third of the clips from every other frame, for faster motion
    return make_recipe(
        model,
        _video_stage(
            model,
            strides=strides,
            start=(NamedModel("sisr"),),
            flow_share=1.0,
            optimisation=Optimisation(steps=5929, keep="last"),
        ),
        _video_stage(
            model,
            strides=strides,
            start=(EarlierStage(1),),
            patch=32,
            frames=5,
            l1_share=1.0,
            optimisation=Optimisation(steps=5551, learning_rate=8e-4, keep="last"),
        ),
        _video_stage(
            model,
            strides=strides,
            start=(EarlierStage(2),),
            patch=56,
            batch=12,
            frames=2,
            align_share=1.0,
            optimisation=Optimisation(steps=9200, keep="last"),
        ),
        _video_stage(
            model,
            strides=strides,
            start=(EarlierStage(3), NamedModel("sisr")),
            patch=48,
            batch=3,
            burn_in=4,
            l1_share=0.0,
            given_share=1.0,
            optimisation=Optimisation(steps=1167, learning_rate=1.5e-4, validate_every=100),
        ),
    )


def _frvsr_real() -> Recipe:
    return make_recipe(
        "frvsr-real",
        _video_stage(
            "frvsr-real",
            start=(NamedModel("frvsr-3-64"),),
            patch=32,
            batch=6,
            frames=6,
            burn_in=4,
            strides=(1, 1, 2),
            l1_share=0.6,
            degradation=_REAL_LIFE,
            optimisation=Optimisation(steps=900, learning_rate=2.5e-4, validate_every=150),
        ),
    )


def _sisr() -> Recipe:
    return make_recipe(
        "sisr",
        _video_stage(
            "sisr",
            patch=32,
            batch=16,
            frames=1,
            l1_share=0.75,
            optimisation=Optimisation(steps=4000, learning_rate=8e-4, validate_every=250),
        ),
    )


_REAL_LIFE = Degradation(blur=(0.5, 2.5), other_kernels=0.3, noise=0.5, compressed=0.6)

# --- autoencoders that draw ---------------------------------------------------------------------

# What dissertation 003, ch. 6, leaves open, the weights of the terms, was chosen once for both
# sets.
_TERMS: dict[str, dict[str, float]] = {
    "vae": {"divergence": 1.0},
    "cv-vae": {"divergence": 1.0},
    "wae": {"discrepancy": 10.0},
    "rae-gp": {"codes": 0.01, "gradient": 0.01},
    "rae-l2": {"codes": 0.01, "decay": 1e-3},
    "rae-sn": {"codes": 0.01},
    "rae": {"codes": 0.01},
    "ae": {},
    "vae-white": {"divergence": 1.0},
    "vae-blur": {"divergence": 1.0},
}


def _autoencoder_stage(model: str, steps: int, validate_every: int) -> AutoencoderStage:
    """A stage without averaging or clipping, of which ch. 6.8 says nothing."""
    family, _, kind = model.partition("-")
    faces = family == "faces"
    terms: dict[str, Any] = _TERMS[kind]
    if faces and kind == "wae":
        terms = {"discrepancy": 100.0}  # Tolstikhin et al. have 10 for MNIST, 100 for CelebA
    return AutoencoderStage(
        config=MODELS[model].config,
        dataset="faces" if faces else "mnist",
        mirror=faces,
        optimisation=Optimisation(
            steps=steps,
            learning_rate=1e-3,
            warmup=0.02,
            betas=(0.9, 0.999),
            clip=1e9,
            ema=0.0,
            validate_every=validate_every,
        ),
        **terms,
    )


def _autoencoder(model: str) -> Recipe:
    if model in ("faces-vae-white", "faces-vae-blur"):
        first = _autoencoder_stage("faces-vae-white", 1500, 300)
        last = _autoencoder_stage(model, 600, 300 if model == "faces-vae-white" else 150)
        plan = replace(last.optimisation, learning_rate=5e-4)
        return make_recipe(model, first, replace(last, start=(EarlierStage(1),), optimisation=plan))
    if model.startswith("faces"):
        return make_recipe(model, _autoencoder_stage(model, 1000, 250))
    return make_recipe(model, _autoencoder_stage(model, 700, 350))


RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        _enet_e_x4(),
        _enet_e_x2(),
        *map(_enet_perceptual_x4, _ONE_STAGE),
        _enet_pat_x4(),
        _enet_pat_x4_tempered(),
        _enet_real_e_x4(),
        _enet_real_x4(),
        _fast_x4(),
        _fast_x2(),
        *LOWLIGHT_RECIPES,
        _frvsr_real(),
        _frvsr_3_64(),
        make_recipe("frvsr-10-128", _video_stage("frvsr-10-128")),
        _sisr(),
        make_recipe("frvsr", _video_stage("frvsr")),
        make_recipe("vsr", _video_stage("vsr")),
        *map(
            _autoencoder,
            (name for name, spec in MODELS.items() if spec.architecture == "autoencoder"),
        ),
        *TEMPERED_RECIPES,
        *VDVAE_RECIPES,
        *MNIST_RECIPES,
    )
}
