"""What every command does unless the user asks for something else.

Commands read this for their help and tasks for their work, so it imports nothing heavy.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

# Of options that several commands have. ``auto`` is what suits the machine or the model.
DEVICE = PRECISION = TILE = BACKEND = "auto"
QUALITY = 95  # of JPEG, WebP and AVIF, from 1 to 100
SCALE = 4  # how many times wider and higher an enlargement is


@dataclass(frozen=True)
class TaskDefaults:
    """The model that a task runs.

    Attributes:
        model: name of the model, or of a family with one model for each scale.
        variants: names of models for inputs or outputs that ``model`` is not made for.
    """

    model: str
    variants: Mapping[str, str] = field(default_factory=dict)


TASKS: dict[str, TaskDefaults] = {
    "superres": TaskDefaults("fast", variants={"worn": "enet-real", "textured": "enet-e"}),
    "lowlight": TaskDefaults(
        "sid-fcn",  # RAW files in colour
        variants={"srgb": "sid-fcn-srgb", "grey": "sid-fcn-grey"},
    ),
    "video": TaskDefaults("frvsr-real"),
    "sample": TaskDefaults("faces-vae-blur"),
}


def usual_model(task: str, texture: float | None = None) -> str:
    """The model that a task runs where none is named.

    With a texture it is one that has a counterpart to blend it with, if the task has such.
    """
    defaults = TASKS[task]
    textured = None if texture is None else defaults.variants.get("textured")
    return textured or defaults.model


SHORT_NAMES = {"real": "enet-real"}  # of families of models

# Noise above this many levels of 255 is enlarged better by a network that knows it, and so is a
# JPEG below these qualities: the first for what is enlarged up to so many times, the second for
# what is enlarged more, where WebP and AVIF with losses count too (docs/real-pictures.md).
WORN_NOISE, WORN_SCALE, WORN_QUALITY = 6, 2, (70, 92)


def lowlight_model(*, raw: bool, grey: bool) -> str:
    """The model that brightens RAW files or pictures, in colour or in grey."""
    defaults = TASKS["lowlight"]
    if not raw:
        return defaults.variants["srgb"]  # whose colours are turned to grey where that is wanted
    return defaults.variants["grey"] if grey else defaults.model


# Low light. Tone curves, and the default ones: files in sRGB have a camera's contrast already.
CURVES = ("camera", "flat", "linear")
RAW_CURVE, SRGB_CURVE = "camera", "flat"
STRENGTH = 1.0

# Video. A scene begins where two frames differ by more than the threshold, from 0 to 1. In 14
# clips no scene but one, with a camera thrown about, scores above 0.11 within; 400 cuts made
# between their frames score 0.36 and more, those between two views of one street 0.24.
CUT_THRESHOLD = 0.25
FRAME_RATE = Fraction(25)  # frames a second of a folder of pictures

MOST_SEED = 2**31 - 1  # of a training, whose seeds go from 0 on

# Super-resolution with chance in it: the truest temperature of thesis 002, tables 6.1 and 6.2.
DRAWING_TEMPERATURE = 0.2

# Samples.
SAMPLE_COUNT = 64
TEMPERATURE = 1.0
INTERPOLATION_STEPS = 8
