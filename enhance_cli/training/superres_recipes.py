"""How the weights for super-resolution are made."""

from dataclasses import replace
from typing import Any, TypeVar

from enhance_cli.training.distillation import DistillationStage
from enhance_cli.training.optimisation import Optimisation
from enhance_cli.training.perceptual import LossWeights
from enhance_cli.training.stages import Recipe, make_recipe, named_network
from enhance_cli.training.start import EarlierStage, NamedModel
from enhance_cli.training.superres import SuperResolutionStage
from enhance_cli.training.tempered_superres import TemperedSuperResolutionStage
from enhance_cli.training.tempering import LensPlan
from enhance_cli.training.worn import WornStage

# Its gradients are several times those of L1, and a tenth of what they are clipped to.
_DECIBELS = LossWeights(psnr=0.01)
_FLOORED = replace(_DECIBELS, psnr_floor=5e-4)
# At x2 errors are smaller, and so is the floor.
_REDUCED_X2 = replace(_DECIBELS, psnr_floor=1.5e-4, reduced=300.0)
_LUMA_FIRST_X2 = replace(_REDUCED_X2, psnr_colour=0.3)
_FLAT_SHARE = 0.33  # A third of the patches have so little detail that they rather hinder.

_StageT = TypeVar("_StageT", bound=SuperResolutionStage)


def _go_on(stage: _StageT, number: int, **optimisation: Any) -> _StageT:
    """A stage like another that begins where stage ``number`` ended, its optimisation changed."""
    return replace(
        stage,
        start=(EarlierStage(number),),
        optimisation=replace(stage.optimisation, **optimisation),
    )


def _enet_e_x4() -> Recipe:
    """A first stage at small patches and a high rate, then longer ones with squared errors.

    The third was left before the end of its schedule, when the rate was a fiftieth. The last four
    count decibels, on photographs and drawn pages; the last two put luma first, count the errors
    that the input rules out too, and see smaller copies.
    """
    network = named_network("enet-e-x4")
    first = SuperResolutionStage(
        **network,
        patch=24,
        l1_share=1.0,
        optimisation=Optimisation(steps=5363, learning_rate=8e-4, keep="last"),
    )
    second = SuperResolutionStage(
        **network,
        start=(EarlierStage(1),),
        optimisation=Optimisation(steps=10_000, learning_rate=5e-4),
    )
    third = _go_on(second, 2, steps=5500, horizon=6000, validate_every=500)
    third = replace(third, l1_share=9 / 11)
    fourth = _go_on(second, 3, steps=1000, learning_rate=2e-4, validate_every=250)
    fourth = replace(fourth, l1_share=0.0, losses=_DECIBELS)
    fifth = _go_on(fourth, 4, steps=5000, learning_rate=4e-4, validate_every=500)
    sixth = _go_on(fourth, 5, steps=1500, horizon=2000, learning_rate=3e-4, ema=0.999)
    sixth = replace(sixth, patch=48, batch=7, flat_share=_FLAT_SHARE, small_copies=2)
    sixth = replace(sixth, losses=replace(_FLOORED, psnr_colour=0.3, reduced=300.0))
    seventh = _go_on(sixth, 6, steps=8000, horizon=0, learning_rate=4e-4)
    return make_recipe("enet-e-x4", first, second, third, fourth, fifth, sixth, seventh)


def _enet_e_x2() -> Recipe:
    """From the network for 4x, first towards a long schedule that is left after a third.

    Then a schedule of its own, a longer one, and four that count decibels, on photographs and drawn
    pages, from the second of them with luma first, in the last with smaller and softer copies.
    """
    settings: dict[str, Any] = {**named_network("enet-e-x2"), "patch": 48, "batch": 12}
    first = SuperResolutionStage(
        **settings,
        start=(NamedModel("enet-e-x4"),),
        l1_share=1.0,
        optimisation=Optimisation(steps=1649, horizon=5000, learning_rate=5e-4, keep="last"),
    )
    second = SuperResolutionStage(
        **settings,
        start=(EarlierStage(1),),
        l1_share=0.7,
        optimisation=Optimisation(steps=2000, learning_rate=3e-4, warmup=0.02, validate_every=500),
    )
    third = _go_on(second, 2, steps=3000, learning_rate=4e-4)
    fourth = _go_on(second, 3, steps=2700, learning_rate=2.5e-4, validate_every=300)
    fourth = replace(fourth, l1_share=0.0, losses=_DECIBELS)
    fifth = _go_on(fourth, 4, steps=1200, learning_rate=1.5e-4, ema=0.997, validate_every=200)
    fifth = replace(fifth, losses=_LUMA_FIRST_X2, flat_share=_FLAT_SHARE)
    later: dict[str, Any] = {"ema": 0.999, "validate_every": 250}
    sixth = _go_on(fifth, 5, steps=1500, horizon=3000, learning_rate=2e-4, **later)
    seventh = _go_on(sixth, 6, steps=3750, horizon=4500, learning_rate=3e-4)
    seventh = replace(seventh, small_copies=2, soft_share=0.1)
    return make_recipe("enet-e-x2", first, second, third, fourth, fifth, sixth, seventh)


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


def _enet_pat_x4() -> Recipe:
    """A stage in which the adversary counts a quarter, and one in which it counts in full."""
    losses = _ENET_LOSSES["pat"]
    gentle = SuperResolutionStage(
        **named_network("enet-pat-x4"),
        start=(NamedModel("enet-e-x4"),),
        batch=8,
        l1_share=0.0,
        losses=replace(losses, adversarial=losses.adversarial / 4),
        optimisation=_textured(2855, 5000),
    )
    full = replace(
        gentle, losses=losses, start=(EarlierStage(1),), optimisation=_textured(1603, 3600)
    )
    return make_recipe("enet-pat-x4", gentle, full)


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
        patch=48,
        batch=8,
        l1_share=1.0,
        optimisation=Optimisation(steps=7500, learning_rate=6e-4, clip=1.0, validate_every=500),
    )
    longer = _go_on(stage, 1, steps=15_000, learning_rate=5e-4)
    return make_recipe("enet-real-e-x4", stage, longer)


def _enet_real_x4() -> Recipe:
    """To look like what a larger network makes, where that is not far from the truth.

    Against the truth LPIPS as a loss draws a grid, since fine detail of worn pictures can only be
    guessed. What a teacher makes of a picture can be learned, its colours last and from the truth.
    """
    stage = DistillationStage(
        **named_network("enet-real-x4"),
        start=(NamedModel("enet-real-e-x4"),),
        batch=8,
        l1_share=0.0,
        teacher_share=1.0,
        teacher_margin=3.0,
        losses=LossWeights(euclidean=300.0, lpips=1.0),
        optimisation=replace(_textured(9000), learning_rate=5e-4, validate_every=500),
    )
    coloured = _go_on(stage, 1, steps=1200, learning_rate=2e-4, validate_every=300)
    coloured = replace(coloured, true_colours=True)
    longer = replace(coloured, start=(EarlierStage(2),), optimisation=stage.optimisation)
    return make_recipe("enet-real-x4", stage, coloured, longer)


def _fast_x4() -> Recipe:
    """The start of a long schedule, three others from there, and eight by decibels.

    The last six put luma first, and the last four see smaller copies too, at first the start of
    a schedule with fewer drawn pages.
    """
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
    third = _go_on(second, 2, steps=14_000)
    fourth = _go_on(second, 3, steps=4500, learning_rate=5e-4)
    fifth = _go_on(second, 4, steps=800, learning_rate=3e-4, ema=0.995, validate_every=200)
    fifth = replace(fifth, l1_share=0.0, losses=_FLOORED, flat_share=_FLAT_SHARE)
    sixth = _go_on(fifth, 5, steps=6000, ema=0.999, validate_every=500)
    sixth = replace(sixth, losses=replace(_FLOORED, reduced=100.0))
    seventh = _go_on(fifth, 6, learning_rate=1.5e-4)
    seventh = replace(seventh, losses=replace(sixth.losses, psnr_colour=0.3))
    eighth = replace(_go_on(sixth, 7, steps=4000, validate_every=250), losses=seventh.losses)
    ninth = replace(_go_on(eighth, 8, steps=1250, horizon=4000), small_copies=2)
    tenth = _go_on(ninth, 9, steps=4500, horizon=5000)
    by_errors = (first, second, third, fourth)
    by_decibels = (fifth, sixth, seventh, eighth, ninth, tenth)
    eleventh = _go_on(tenth, 10, steps=5500, horizon=6000)
    twelfth = _go_on(tenth, 11, steps=12_000, horizon=0)
    return make_recipe("fast-x4", *by_errors, *by_decibels, eleventh, twelfth)


def _fast_x2() -> Recipe:
    """From the network for 4x, which differs in its last convolution.

    Then the start of a schedule by decibels, with softer copies, and a shorter one, in which the
    errors that the input rules out count too. The last three put luma first, and the last two see
    smaller copies.
    """
    stage = SuperResolutionStage(
        **named_network("fast-x2"),
        patch=48,
        start=(NamedModel("fast-x4"),),
        optimisation=Optimisation(steps=2500, learning_rate=6e-4, clip=1.0, validate_every=500),
    )
    second = _go_on(
        stage, 1, steps=1705, horizon=5600, learning_rate=3e-4, validate_every=400, keep="last"
    )
    second = replace(second, l1_share=0.0, losses=_FLOORED, flat_share=_FLAT_SHARE, soft_share=0.2)
    third = _go_on(
        second, 2, steps=2400, horizon=0, learning_rate=2.5e-4, validate_every=300, keep="best"
    )
    third = replace(third, losses=_REDUCED_X2)
    fourth = _go_on(third, 3, steps=4000, learning_rate=3e-4, validate_every=250)
    fourth = replace(fourth, losses=_LUMA_FIRST_X2, soft_share=0.1)
    fifth = _go_on(fourth, 4, steps=5000, keep="last")
    fifth = replace(fifth, small_copies=2, soft_share=0.2)
    sixth = _go_on(fifth, 5, steps=10_000)
    return make_recipe("fast-x2", stage, second, third, fourth, fifth, sixth)


SUPERRES_RECIPES: tuple[Recipe, ...] = (
    _enet_e_x4(),
    _enet_e_x2(),
    *map(_enet_perceptual_x4, _ONE_STAGE),
    _enet_pat_x4(),
    _enet_pat_x4_tempered(),
    _enet_real_e_x4(),
    _enet_real_x4(),
    _fast_x4(),
    _fast_x2(),
)
