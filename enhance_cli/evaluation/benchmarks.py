"""The tables of all that ``enhance evaluate`` can do. To add to one: a file and a line here.

The command's help is made from these tables, so this module imports nothing heavy: a benchmark
names the function that opens it, whose module is imported when the benchmark is chosen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from enhance_cli.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from enhance_cli.evaluation.case import Evaluation
    from enhance_cli.evaluation.request import Comparison, EvaluationRequest
    from enhance_cli.talk import Talk

LPIPS = "lpips"
PICTURE_METRICS = ("psnr", "ssim", "mae", "jsd")
CLIP_METRICS = ("psnr", "ssim")
# Measures of whole sets of pictures; that of jsd alone compares pictures in pairs too.
SET_METRICS = ("frechet", "fid", "prd", "jsd")
PICTURE_PROTOCOLS = ("y-crop", "rgb")
CLIP_PROTOCOL = "video-y"


@dataclass(frozen=True)
class Measures:
    """How a benchmark compares results with the truth, defaults filled in.

    Attributes:
        protocol: what two pictures are reduced to before they are compared.
        metrics: names of measures, in the order of the output.
        border: pixels that are cut off at each side; None stands for the scale.
    """

    protocol: str
    metrics: tuple[str, ...]
    border: int | None


@dataclass(frozen=True)
class Benchmark:
    """Something that can be evaluated.

    Attributes:
        summary: one line for people.
        kind: what a case is: ``"image"``, ``"dark picture"``, ``"clip"`` or ``"sample set"``.
        entry: ``"module:function"`` in this package. The function is given the request, the
            measures and how to talk, and returns an ``Evaluation``: the cases, how each of them
            is scored, and how the scores are told.
        options: those of the command, beyond the common ones, that it accepts.
        baselines: names of what models are compared with.
        protocols: ways to compare, the default first.
        metrics: measures that it knows.
        default_metrics: those taken unless others are asked for.
        border: pixels cut off at each side by default; None stands for the scale.
    """

    summary: str
    kind: str
    entry: str
    options: frozenset[str]
    baselines: tuple[str, ...] = ()
    protocols: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    default_metrics: tuple[str, ...] = ()
    border: int | None = 0

    def open(self, request: "EvaluationRequest", talk: "Talk") -> "Evaluation":
        """Find the cases and load the models.

        Raises:
            EnhanceError: for unknown names, and data or weights that are absent.
        """
        module, _, function = self.entry.partition(":")
        opener = getattr(import_module(f"enhance_cli.evaluation.{module}"), function)
        evaluation: Evaluation = opener(request, self.measures(request.comparison), talk)
        return evaluation

    def measures(self, asked: "Comparison") -> Measures:
        """What is asked for, and the defaults for the rest.

        Raises:
            UnknownNameError: for a protocol or metric that no benchmark knows.
            UsageError: for one that this benchmark does not know, or if no metric is left.
        """
        metrics = self.default_metrics if asked.metrics is None else tuple(asked.metrics)
        protocol = asked.protocol or (self.protocols[0] if self.protocols else "")
        if not metrics and self.metrics:
            raise UsageError(f"--metrics names none: choose from {', '.join(self.metrics)}")
        if self.protocols and protocol not in self.protocols:
            if protocol not in PICTURE_PROTOCOLS:
                raise UnknownNameError("protocol", protocol, self.protocols)
            raise UsageError(
                f"--protocol {protocol}: video is compared by {CLIP_PROTOCOL} alone, leave it out"
            )
        for name in metrics:
            if name not in self.metrics:
                if name not in PICTURE_METRICS:
                    raise UnknownNameError("metric", name, self.metrics)
                raise UsageError(
                    f"--metrics {name}: of video there are {' and '.join(self.metrics)}"
                )
        return Measures(protocol, metrics, self.border if asked.border is None else asked.border)


@dataclass(frozen=True)
class Experiment(Benchmark):
    """A closer look at models or measures, ``--study NAME``.

    Attributes:
        datasets: keys of ``BENCHMARKS`` that it can be made with.
        needs: what these have and others of their kind lack, for an error message.
    """

    datasets: tuple[str, ...] = ()
    needs: str = ""


_MODELS = frozenset({"--model", "--weights", "--precision"})

_image = partial(
    Benchmark,
    kind="image",
    entry="images:open_images",
    options=_MODELS | {"-x", "--tile", "--protocol", "--metrics", "--border"},
    baselines=("bicubic",),
    protocols=PICTURE_PROTOCOLS,
    metrics=PICTURE_METRICS,
    default_metrics=("psnr", "ssim"),
    border=None,
)
_dark = partial(
    Benchmark,
    kind="dark picture",
    entry="dark:open_dark_pictures",
    options=_MODELS | {"--strategy", "--tile", "--protocol", "--metrics", "--border"},
    baselines=("libraw", "libraw-denoised", "amplified", "nl-means"),
    protocols=("rgb", "y-crop"),
    metrics=PICTURE_METRICS,
    default_metrics=PICTURE_METRICS,
)
_clip = partial(
    Benchmark,
    kind="clip",
    entry="clips:open_clips",
    options=_MODELS | {"-x", "--tile", "--protocol", "--metrics", "--border", "--study"},
    baselines=("bicubic",),
    protocols=(CLIP_PROTOCOL,),
    metrics=CLIP_METRICS,
    default_metrics=CLIP_METRICS,
)
_samples = partial(
    Benchmark,
    kind="sample set",
    entry="samples:open_samples",
    options=_MODELS | {"--features", "--count", "--seed", "--study"},
    baselines=("data", "train"),
    protocols=("table-6.2",),
)

BENCHMARKS: dict[str, Benchmark] = {
    "set5": _image("Set5, 5 pictures to enlarge"),
    "set14": _image("Set14, 14 pictures to enlarge"),
    "bsd100": _image("BSD100, 100 pictures to enlarge"),
    "urban100": _image("Urban100, 100 pictures to enlarge"),
    "sid": _dark("See-in-the-Dark, Sony, its test split of RAW files"),
    "lol": _dark("LOL, its 15 dark photographs to evaluate with"),
    "synthetic-dark": _dark("photographs darkened with a sensor's noise"),
    "vid4": _clip("Vid4, 4 clips to enlarge"),
    "video-val": _clip("the clips of a folder video/val, to enlarge"),
    "mnist": _samples("models that draw handwritten digits"),
    "faces": _samples("models that draw faces"),
}

FOLDERS: dict[str, Benchmark] = {
    "pictures": _image(
        "pictures in pairs",
        entry="pairs:open_pairs",
        options=frozenset({"-x", "--protocol", "--metrics", "--border"}),
        baselines=(),
    ),
    "perceptual": _image(
        "pictures in pairs, by LPIPS too",
        entry="pairs:open_pairs",
        options=frozenset({"--features", "--protocol", "--metrics", "--border"}),
        baselines=(),
        protocols=("rgb", "y-crop"),
        metrics=(*PICTURE_METRICS, LPIPS),
        border=0,
    ),
    "clips": _clip(
        "clips in pairs",
        entry="clips:open_clip_folders",
        options=frozenset({"-x", "--protocol", "--metrics", "--border"}),
        baselines=(),
    ),
    "sets": _samples(
        "whole sets of pictures",
        entry="sets:open_sets",
        options=frozenset({"--metrics", "--features", "--seed"}),
        baselines=(),
        protocols=("sets",),
        metrics=SET_METRICS,
    ),
}
"""Two folders, ``--pred`` against ``--gt``; which of them it is follows from the metrics and the
files."""

_of_clips = partial(
    Experiment,
    kind="clip",
    options=_MODELS | {"-x", "--tile", "--protocol", "--study", "--study-frames"},
    baselines=("bicubic",),
    protocols=(CLIP_PROTOCOL,),
    datasets=tuple(name for name, entry in BENCHMARKS.items() if entry.kind == "clip"),
)

EXPERIMENTS: dict[str, Experiment] = {
    "profile": _of_clips(
        "temporal profiles (fig. 3.6)",
        entry="experiments.profile:open_profile",
        options=_of_clips.keywords["options"] | {"--row", "-o"},
    ),
    "frames": _of_clips("PSNR by frame number (fig. 3.7)", entry="experiments.frames:open_frames"),
    "blur": _of_clips("blur sizes (fig. 3.5)", entry="experiments.degraded:open_blur"),
    "noise": _of_clips("noise and JPEG (table 3.1)", entry="experiments.degraded:open_noise"),
    "drift": _of_clips("drift over long runs", entry="experiments.drift:open_drift"),
    "modes": Experiment(
        "what measures of samples see of dropped and added classes (fig. 5.5 and 5.12)",
        kind="sample set",
        entry="experiments.modes:open_modes",
        options=frozenset({"--features", "--count", "--seed", "--study"}),
        datasets=("mnist",),
        needs="pictures with labels",
    ),
}


def names_by_kind(table: Mapping[str, Benchmark]) -> dict[str, list[str]]:
    """The names of a table, by the kind of what they evaluate."""
    names: dict[str, list[str]] = {}
    for name, benchmark in table.items():
        names.setdefault(benchmark.kind, []).append(name)
    return names


def known_metrics() -> Sequence[str]:
    """Every metric that some benchmark knows, once."""
    tables = (*BENCHMARKS.values(), *FOLDERS.values())
    return list(dict.fromkeys(name for entry in tables for name in entry.metrics))
