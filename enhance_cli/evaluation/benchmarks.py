"""The tables of all that ``enhance evaluate`` can do. To add to one: a file and a line here.

The command's help is made from these tables, so this module imports nothing heavy: a benchmark
names the function that opens it, whose module is imported when the benchmark is chosen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from enhance_cli.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from enhance_cli.evaluation.case import Evaluation
    from enhance_cli.evaluation.request import Comparison, EvaluationRequest
    from enhance_cli.talk import Talk

LPIPS = "lpips"
FRECHET = ("frechet", "fid")  # of all pictures of a dataset together
PICTURE_METRICS = ("psnr", "ssim", "mae", "jsd")
CLIP_METRICS = ("psnr", "ssim")
# Measures of whole sets of pictures; that of jsd alone compares pictures in pairs too.
SET_METRICS = (*FRECHET, "prd", "jsd")
PICTURE_PROTOCOLS = ("y-crop", "rgb")
CLIP_PROTOCOL = "video-y"
# Thesis 002, ch. 3.2: pictures are made squares of so many pixels, and enlarged 4 times.
SQUARE_PROTOCOLS = {"thesis-64": 64, "thesis-256": 256}
SQUARE_SCALE = 4


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
            if protocol in SQUARE_PROTOCOLS:
                raise UsageError(
                    f"--protocol {protocol}: makes small pictures of large ones, so it needs the "
                    "--dataset of pictures to enlarge, such as set5"
                )
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
        summary: what it looks at, for the heading of its report.
        datasets: keys of ``BENCHMARKS`` that it can be made with.
        needs: what these have and others of their kind lack, for an error message.
    """

    summary: str = ""
    datasets: tuple[str, ...] = ()
    needs: str = ""


_MODELS = frozenset({"--model", "--weights", "--precision", "--backend"})
_COMPARISON = frozenset({"--protocol", "--metrics", "--border"})
_SETS = frozenset({"--features", "--count", "--seed", "--study"})

_IMAGES = Benchmark(
    kind="image",
    entry="pictures:open_images",
    options=_MODELS
    | _COMPARISON
    | {"-x", "--tile", "--wear", "--features", "--temperature", "--seed"},
    baselines=("bicubic",),
    protocols=(*PICTURE_PROTOCOLS, *SQUARE_PROTOCOLS),
    metrics=(*PICTURE_METRICS, LPIPS, *FRECHET),
    default_metrics=("psnr", "ssim"),
    border=None,
)
_DARK_PICTURES = Benchmark(
    kind="dark picture",
    entry="dark:open_dark_pictures",
    options=_MODELS | _COMPARISON | {"--strategy", "--tile"},
    baselines=("libraw", "libraw-denoised", "amplified", "nl-means"),
    protocols=("rgb", "y-crop"),
    metrics=PICTURE_METRICS,
    default_metrics=PICTURE_METRICS,
)
_CLIPS = Benchmark(
    kind="clip",
    entry="clips:open_clips",
    options=_MODELS | _COMPARISON | {"-x", "--tile", "--study", "--phase"},
    baselines=("bicubic",),
    protocols=(CLIP_PROTOCOL,),
    metrics=CLIP_METRICS,
    default_metrics=CLIP_METRICS,
)
_SAMPLES = Benchmark(
    kind="sample set",
    entry="samples:open_samples",
    options=_MODELS | _SETS,
    baselines=("data", "train"),
    protocols=("table-6.2",),
)

# Where their data is looked for stands in ``DATASETS``, ``DARK_DATASETS``, ``VIDEO_DATASETS`` and
# ``PICTURE_SETS`` of ``enhance_cli.data``, under the same names.
BENCHMARKS: dict[str, Benchmark] = {
    "set5": _IMAGES,
    "set14": _IMAGES,
    "bsd100": _IMAGES,
    "urban100": _IMAGES,
    "manga109": _IMAGES,
    "t91": _IMAGES,
    "general100": _IMAGES,
    "photos-val": _IMAGES,
    "sid": _DARK_PICTURES,
    "lol": _DARK_PICTURES,
    "synthetic-dark": _DARK_PICTURES,
    "vid4": _CLIPS,
    "video-val": _CLIPS,
    "mnist": _SAMPLES,
    "colour-mnist": _SAMPLES,
    "faces": _SAMPLES,
    "faces-32": _SAMPLES,
}

# One folder against another; which of them it is follows from the metrics and the files.
FOLDERS: dict[str, Benchmark] = {
    "pictures": replace(
        _IMAGES,
        entry="pictures:open_pairs",
        options=_COMPARISON | {"-x"},
        baselines=(),
        protocols=PICTURE_PROTOCOLS,
        metrics=PICTURE_METRICS,
    ),
    "perceptual": Benchmark(
        kind="image",
        entry="pictures:open_pairs",
        options=_COMPARISON | {"--features"},
        protocols=("rgb", "y-crop"),
        metrics=(*PICTURE_METRICS, LPIPS),
    ),
    "clips": replace(
        _CLIPS, entry="clips:open_clip_folders", options=_COMPARISON | {"-x"}, baselines=()
    ),
    "sets": Benchmark(
        kind="sample set",
        entry="sets:open_sets",
        options=frozenset({"--metrics", "--features", "--seed"}),
        protocols=("sets",),
        metrics=SET_METRICS,
    ),
}

_of_clips = partial(
    Experiment,
    kind="clip",
    options=_CLIPS.options - {"--metrics", "--border"} | {"--study-frames"},
    baselines=("bicubic",),
    protocols=(CLIP_PROTOCOL,),
    datasets=tuple(name for name, benchmark in BENCHMARKS.items() if benchmark is _CLIPS),
)

EXPERIMENTS: dict[str, Experiment] = {
    "profile": _of_clips(
        entry="experiments.profile:open_profile",
        options=_CLIPS.options - {"--metrics", "--border"} | {"--study-frames", "--row", "-o"},
        summary="temporal profiles (fig. 3.6)",
    ),
    "frames": _of_clips(
        entry="experiments.frames:open_frames", summary="PSNR by frame number (fig. 3.7)"
    ),
    "blur": _of_clips(entry="experiments.degraded:open_blur", summary="blur sizes (fig. 3.5)"),
    "noise": _of_clips(
        entry="experiments.degraded:open_noise", summary="noise and JPEG (table 3.1)"
    ),
    "drift": _of_clips(entry="experiments.drift:open_drift", summary="drift over long runs"),
    "modes": Experiment(
        kind="sample set",
        entry="experiments.modes:open_modes",
        options=_SETS,
        summary="dropped and added classes (fig. 5.5 and 5.12)",
        datasets=("mnist",),
        needs="pictures with labels",
    ),
    "triples": Experiment(
        kind="sample set",
        entry="experiments.triples:open_triples",
        options=_MODELS | {"--count", "--seed", "--study"},
        baselines=("data",),
        summary="combinations of digits (ch. 4.4.1)",
        datasets=("colour-mnist",),
        needs="digits of three channels",
    ),
}


def study_title(request: "EvaluationRequest") -> str:
    """The heading of an experiment's report."""
    summary = EXPERIMENTS[str(request.subject.study)].summary
    return f"{request.subject.name}: {summary}{request.conditions}"


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
