"""How the weights for low light are made: our networks for full size, and those of the thesis."""

from dataclasses import replace
from typing import Any

from enhance_cli.architectures.sid_fcn import SidFcnConfig
from enhance_cli.training.lowlight import LowLightStage
from enhance_cli.training.objectives import HybridObjective
from enhance_cli.training.optimisation import Optimisation
from enhance_cli.training.stages import Recipe, make_recipe, named_network
from enhance_cli.training.start import EarlierStage


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
        **named_network(model),
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


def _squared(
    stage: LowLightStage,
    steps: int,
    start: int,
    *,
    learning_rate: float = 6e-4,
    patch: int = 128,
    batch: int = 8,
) -> LowLightStage:
    """A long last stage at the mean PSNR itself, without a sample of the code.

    Half of the pictures are as dark as those of the SID dataset, the others of all ratios.
    """
    optimisation = replace(
        stage.optimisation,
        steps=steps,
        learning_rate=learning_rate,
        clip=10.0,
        ema=0.998,
        validate_every=500,
        warmup=0.02,
    )
    return replace(
        stage,
        patch=patch,
        batch=batch,
        low_ratio=1.0,
        dark_share=0.5,
        relative=True,
        error="squared",
        objective=HybridObjective(alpha=0.0, prior_deviation=0.0),
        start=(EarlierStage(start),),
        optimisation=optimisation,
    )


def _without_noise_plane(steps: int, **optimisation: Any) -> LowLightStage:
    """The network for RAW as all three began: it starts from the measured samples themselves."""
    stage = _fully_convolutional("sid-fcn", steps, optimisation=optimisation)
    return replace(stage, config=SidFcnConfig(width=16))


def _sid_fcn() -> Recipe:
    """Learned in the dark, then at all ratios with the noise plane and a demosaiced input.

    The later stages minimise the mean PSNR itself, without a sample of the code.
    """
    first = _without_noise_plane(10_000)
    later = _squared(_fully_convolutional("sid-fcn", 1), 857, start=2)
    evenly = replace(later, dark_share=0.0)
    brief = replace(later.optimisation, ema=0.995, keep="last", validate_every=200)
    return make_recipe(
        "sid-fcn",
        first,
        _relative(first, 2600, start=1),
        replace(
            evenly,
            optimisation=replace(brief, learning_rate=7e-4, schedule="constant"),
        ),
        replace(
            evenly,
            start=(EarlierStage(3),),
            optimisation=replace(brief, steps=332, horizon=1600, learning_rate=8e-4),
        ),
        replace(later, start=(EarlierStage(4),), optimisation=replace(brief, steps=1000)),
        _squared(later, 12_000, start=5),
        _squared(later, 5000, start=6, learning_rate=5e-4, patch=192, batch=6),
        _squared(later, 5000, start=7, learning_rate=4e-4, patch=192, batch=6),
    )


def _sid_fcn_grey() -> Recipe:
    second = _fully_convolutional("sid-fcn-grey", 1500, start=(EarlierStage(1),))
    return make_recipe(
        "sid-fcn-grey",
        _without_noise_plane(10_000),
        second,
        _squared(second, 5000, start=2),
    )


def _for_clean_files(unbounded: LowLightStage) -> tuple[LowLightStage, ...]:
    """The stages of ``sid-fcn-srgb`` for files that are hardly dark and hardly noisy, as most are.

    Args:
        unbounded: A stage without the second noise plane and the bound.
    """
    bounded = _squared(
        _fully_convolutional("sid-fcn-srgb", 1, low_ratio=1.0), 8000, start=9, learning_rate=5e-4
    )
    bounded = replace(bounded, high_ratio=4.0, noiseless_share=0.125, harsh_share=0.125)
    steady = replace(
        bounded.optimisation, learning_rate=4e-4, schedule="constant", ema=0.9995, keep="last"
    )
    calm = replace(
        bounded,
        start=(EarlierStage(11),),
        low_iso_share=0.4,
        optimisation=replace(steady, steps=4206, learning_rate=3e-4, ema=0.9998),
    )
    fine = replace(
        calm,
        start=(EarlierStage(12),),
        fine_share=0.5,
        optimisation=replace(steady, steps=6000),
    )
    return (
        replace(
            bounded,
            config=unbounded.config,
            start=(EarlierStage(7),),
            optimisation=replace(steady, steps=4626),
        ),
        replace(
            bounded,
            start=(EarlierStage(8),),
            optimisation=replace(bounded.optimisation, steps=5123, horizon=8000, keep="last"),
        ),
        bounded,
        replace(
            calm,
            start=(EarlierStage(10),),
            harsh_share=0.25,
            optimisation=replace(steady, steps=4000),
        ),
        calm,
        fine,
        replace(
            fine,
            start=(EarlierStage(13),),
            reduced_share=0.25,
            optimisation=replace(steady, steps=3000, learning_rate=3e-4),
        ),
    )


def _sid_fcn_srgb() -> Recipe:
    """From the network for RAW on its way, first without files of half the sensor's size.

    Stages 6 and 7 add the noise plane, and files without noise; in stage 7 those that are not dark
    have ratios of 1 to 16. Stages 1 to 9 of the shipped weights saw files demosaiced bilinearly.
    """
    model = "sid-fcn-srgb"
    last = _squared(_fully_convolutional(model, 1, low_ratio=1.0), 16_000, start=5)
    last = replace(last, config=replace(last.config, bounded=False))
    third = replace(
        _fully_convolutional(
            model,
            2500,
            low_ratio=1.0,
            start=(EarlierStage(2),),
            optimisation={"learning_rate": 7e-4},
        ),
        config=SidFcnConfig(width=16, source="srgb"),
    )
    second = replace(
        third,
        reduced_share=0.0,
        start=(EarlierStage(1),),
        optimisation=replace(
            third.optimisation, steps=1500, horizon=3000, learning_rate=1e-3, keep="last"
        ),
    )
    return make_recipe(
        model,
        _without_noise_plane(4500, horizon=10_000, keep="last"),
        second,
        third,
        _relative(third, 1600, start=3),
        _squared(third, 6000, start=4),
        replace(last, dark_share=0.25, noiseless_share=0.125),
        replace(
            _squared(last, 20_000, start=6, learning_rate=5e-4),
            high_ratio=16.0,
            noiseless_share=0.125,
        ),
        *_for_clean_files(last),
    )


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
    return make_recipe(
        model,
        LowLightStage(
            **named_network(model),
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


def _sid_net_small() -> Recipe:
    """The thesis's objective over far fewer steps, at a higher rate that falls, at all ratios."""
    (thesis,) = _thesis("sid-net-small").stages
    assert isinstance(thesis, LowLightStage)
    stage = replace(
        thesis,
        dark_share=0.5,
        relative=True,
        optimisation=Optimisation(steps=5500, clip=10.0, ema=0.998, validate_every=500),
    )
    return make_recipe("sid-net-small", stage)


LOWLIGHT_RECIPES: tuple[Recipe, ...] = (
    _sid_fcn(),
    _sid_fcn_grey(),
    _sid_fcn_srgb(),
    _thesis("sid-net"),
    _thesis("sid-net-no-skip"),
    _sid_net_small(),
    _thesis("sid-net-grey", beta=1.0),
    _thesis("sid-net-srgb", beta=1.0, patch=256),
    _thesis("pix2pix", beta=10.0, milestone=1000),
)
