"""How the models' weights are made. To add a recipe: its line in ``RECIPES``.

A recipe has the name of the model that it makes. Where weights are shipped, its stages are those
that made them; ``weights/MANIFEST.toml`` tells where the recipe only comes near.
"""

from dataclasses import replace
from typing import Any

from enhance_cli.architectures import MODELS
from enhance_cli.architectures.sid_fcn import SidFcnConfig
from enhance_cli.data.degradation import Degradation
from enhance_cli.training.autoencoder import AutoencoderStage
from enhance_cli.training.lowlight import LowLightStage
from enhance_cli.training.mnist import MNIST_RECIPES
from enhance_cli.training.objectives import HybridObjective
from enhance_cli.training.optimisation import Optimisation
from enhance_cli.training.stages import Recipe, Stage
from enhance_cli.training.start import EarlierStage, NamedModel
from enhance_cli.training.superres import SuperResolutionStage
from enhance_cli.training.video import VideoStage


def _recipe(model: str, *stages: Stage) -> Recipe:
    return Recipe(model, MODELS[model].summary, stages)


def _network(model: str) -> dict[str, Any]:
    """What a stage says of the network of a model."""
    return {"architecture": MODELS[model].architecture, "config": MODELS[model].config}


# --- super-resolution ---------------------------------------------------------------------------


def _enet_e_x4() -> Recipe:
    """A first stage at small patches and a high rate, then a longer one with squared errors."""
    network = _network("enet-e-x4")
    return _recipe(
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
    settings: dict[str, Any] = {**_network("enet-e-x2"), "patch": 48, "batch": 12}
    return _recipe(
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


# --- low light at full size ---------------------------------------------------------------------


def _fully_convolutional(model: str, steps: int, **settings: Any) -> LowLightStage:
    """A stage at the mean over the pictures, where half of a batch is decoded as at test time."""
    optimisation = {
        "learning_rate": 1e-3,
        "clip": 1.0,
        "ema": 0.998,
        "validate_every": 500,
        **settings.pop("optimisation", {}),
    }
    return LowLightStage(
        **_network(model),
        objective=HybridObjective(alpha=0.5, beta=2.0, prior_deviation=0.0, divided=True),
        optimisation=Optimisation(steps=steps, **optimisation),
        **settings,
    )


def _relative(stage: LowLightStage, steps: int, start: int) -> LowLightStage:
    """A last stage, in which a picture that is nearly all noise counts as little as it should."""
    optimisation = replace(
        stage.optimisation,
        steps=steps,
        learning_rate=5e-4,
        clip=10.0,
        validate_every=200,
    )
    return replace(stage, relative=True, start=(EarlierStage(start),), optimisation=optimisation)


def _without_noise_plane(steps: int, **optimisation: Any) -> LowLightStage:
    """The network for RAW as all three began: it starts from the measured samples themselves."""
    stage = _fully_convolutional("sid-fcn", steps, optimisation=optimisation)
    return replace(stage, config=SidFcnConfig(width=16))


def _sid_fcn() -> Recipe:
    """Learned in the dark, then at all ratios with the noise plane and a demosaiced input.

    The later stages minimise the mean PSNR itself, without a sample of the code.
    """
    first = _without_noise_plane(10_000)
    later = replace(
        _relative(_fully_convolutional("sid-fcn", 1), 857, start=2),
        patch=128,
        low_ratio=1.0,
        error="squared",
        objective=HybridObjective(alpha=0.0, prior_deviation=0.0),
    )
    optimisation = replace(later.optimisation, ema=0.995, keep="last")
    return _recipe(
        "sid-fcn",
        first,
        _relative(first, 2600, start=1),
        replace(
            later,
            optimisation=replace(
                optimisation, learning_rate=7e-4, schedule="constant", warmup=0.02
            ),
        ),
        replace(
            later,
            start=(EarlierStage(3),),
            optimisation=replace(
                optimisation, steps=332, horizon=1600, learning_rate=8e-4, warmup=0.02
            ),
        ),
        replace(
            later,
            start=(EarlierStage(4),),
            dark_share=0.5,
            optimisation=replace(optimisation, steps=1000, learning_rate=6e-4, warmup=0.02),
        ),
    )


def _sid_fcn_grey() -> Recipe:
    return _recipe(
        "sid-fcn-grey",
        _without_noise_plane(10_000),
        _fully_convolutional("sid-fcn-grey", 1500, start=(EarlierStage(1),)),
    )


def _sid_fcn_srgb() -> Recipe:
    """From the network for RAW on its way, first without files of half the sensor's size."""
    model = "sid-fcn-srgb"
    third = _fully_convolutional(
        model,
        2500,
        low_ratio=1.0,
        start=(EarlierStage(2),),
        optimisation={"learning_rate": 7e-4},
    )
    return _recipe(
        model,
        _without_noise_plane(4500, horizon=10_000, keep="last"),
        _fully_convolutional(
            model,
            1500,
            low_ratio=1.0,
            reduced_share=0.0,
            start=(EarlierStage(1),),
            optimisation={"horizon": 3000, "keep": "last"},
        ),
        third,
        _relative(third, 1600, start=3),
    )


# --- low light of the thesis --------------------------------------------------------------------

# 4000 epochs of one patch from each of 161 pictures, in batches of 5 (thesis 000, table 3).
_THESIS_EPOCH = round(161 / 5)
_THESIS_STEPS = 4000 * 161 // 5


def _thesis(model: str, *, beta: float = 2.0, milestone: int = 2000, patch: int = 512) -> Recipe:
    """Table 3: Adam at 1e-4, a tenth of that from an epoch on, the mean of the last four epochs.

    Args:
        model: Its name.
        beta: Weight of the KL-divergence (ch. 7.1, 7.1.2 and 7.2).
        milestone: The epoch, of 4000, from which the learning rate is lower (ch. 7.1.2).
        patch: Side of the patches in pixels of the photographs.
    """
    return _recipe(
        model,
        LowLightStage(
            **_network(model),
            patch=patch,
            batch=5,
            reduced_share=1.0,  # ch. 2: a pixel of an sRGB picture is a 2x2 block of the mosaic
            objective=HybridObjective(beta=beta),
            optimisation=Optimisation(
                steps=_THESIS_STEPS,
                learning_rate=1e-4,
                schedule="milestone",
                warmup=0.0,
                milestone=milestone / 4000,
                betas=(0.9, 0.999),
                clip=1e9,  # the text clips nothing
                ema=0.0,
                last_epochs=4,
                epoch=_THESIS_EPOCH,
                keep="last",
            ),
        ),
    )


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
    return VideoStage(**_network(model), **{**stage, **settings})


def _frvsr_3_64() -> Recipe:
    """FNet by known flow, both networks, FNet on large frames; then SRNet anew with that FNet."""
    model = "frvsr-3-64"
    strides = (1, 1, 2)  # a third of the clips from every other frame, for faster motion
    return _recipe(
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
    return _recipe(
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
    return _recipe(
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
        return _recipe(model, first, replace(last, start=(EarlierStage(1),), optimisation=plan))
    if model.startswith("faces"):
        return _recipe(model, _autoencoder_stage(model, 1000, 250))
    return _recipe(model, _autoencoder_stage(model, 700, 350))


RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        _enet_e_x4(),
        _enet_e_x2(),
        _sid_fcn(),
        _sid_fcn_grey(),
        _sid_fcn_srgb(),
        _thesis("sid-net"),
        _thesis("sid-net-no-skip"),
        _thesis("sid-net-small", milestone=3000),
        _thesis("sid-net-grey", beta=1.0),
        _thesis("sid-net-srgb", beta=1.0, patch=256),
        _thesis("pix2pix", beta=10.0, milestone=1000),
        _frvsr_real(),
        _frvsr_3_64(),
        _recipe("frvsr-10-128", _video_stage("frvsr-10-128")),
        _sisr(),
        _recipe("frvsr", _video_stage("frvsr")),
        _recipe("vsr", _video_stage("vsr")),
        *map(
            _autoencoder,
            (name for name, spec in MODELS.items() if spec.architecture == "autoencoder"),
        ),
        *MNIST_RECIPES,
    )
}
