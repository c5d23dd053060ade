"""How the models' weights are made. To add a recipe: its line in ``RECIPES``.

A recipe has the name of the model that it makes. Where weights are shipped, its stages are those
that made them; ``weights/MANIFEST.toml`` tells where the recipe only comes near.
"""

from dataclasses import replace
from typing import Any

from enhance_cli.architectures import MODELS
from enhance_cli.data.degradation import Degradation
from enhance_cli.training.autoencoder import AutoencoderStage
from enhance_cli.training.lowlight_recipes import LOWLIGHT_RECIPES
from enhance_cli.training.mnist import MNIST_RECIPES
from enhance_cli.training.optimisation import Optimisation
from enhance_cli.training.stages import Recipe, make_recipe, named_network
from enhance_cli.training.start import EarlierStage, NamedModel
from enhance_cli.training.superres_recipes import SUPERRES_RECIPES
from enhance_cli.training.tempered_recipes import TEMPERED_RECIPES
from enhance_cli.training.vdvae_recipes import VDVAE_RECIPES
from enhance_cli.training.video import VideoStage

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
        *SUPERRES_RECIPES,
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
