"""What ``enhance evaluate`` is asked for: its options, in groups."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any


def _option(name: str, default: Any = None) -> Any:
    """A field that is filled by an option of the command line of this name."""
    return field(default=default, metadata={"option": name})


@dataclass(frozen=True)
class Subject:
    """What is evaluated.

    Attributes:
        dataset: a key of ``BENCHMARKS``, or None for two folders.
        predictions, references: a folder of results made elsewhere, and that of their truth.
        study: a key of ``EXPERIMENTS``, or None for plain scores.
        data_root: the folder that holds the datasets; None looks in the usual places.
    """

    dataset: str | None = None
    predictions: Path | None = _option("--pred")
    references: Path | None = _option("--gt")
    study: str | None = _option("--study")
    data_root: Path | None = None


@dataclass(frozen=True)
class ModelChoice:
    """Which models are evaluated, and how they are run.

    Attributes:
        names: of models and baselines; empty takes what is usual for the benchmark.
        weights: a checkpoint to evaluate, besides what ``names`` says.
        scale: enlargement; None takes that of the models, or 4.
        strategy: a key of ``STRATEGIES``, for dark pictures.
        tile: side of a tile in input pixels, 0 for whole pictures, None for automatic.
        device, precision: where to compute, and with which numbers.
    """

    names: Sequence[str] = _option("--model", ())
    weights: Path | None = _option("--weights")
    scale: int | None = _option("-x")
    strategy: str | None = _option("--strategy")
    tile: int | None = _option("--tile")
    device: str = "auto"
    precision: str = _option("--precision", "auto")


@dataclass(frozen=True)
class Comparison:
    """How results are compared with the truth; None takes what is usual for the benchmark.

    Attributes:
        protocol: what two pictures are reduced to before they are compared.
        metrics: names of measures.
        border: pixels that are cut off at each side.
    """

    protocol: str | None = _option("--protocol")
    metrics: Sequence[str] | None = _option("--metrics")
    border: int | None = _option("--border")


@dataclass(frozen=True)
class SampleOptions:
    """How sets of pictures are compared.

    Attributes:
        features: a key of ``FEATURES``, or a file of weights.
        count: pictures on each side; None takes all.
        seed: of random draws and clusterings; None is 0.
    """

    features: str | None = _option("--features")
    count: int | None = _option("--count")
    seed: int | None = _option("--seed")


@dataclass(frozen=True)
class StudyOptions:
    """What single experiments ask for.

    Attributes:
        row: the row of every frame that temporal profiles show; None is the middle.
        frames: how many frames of each clip are looked at; None takes all.
        output: folder for pictures.
    """

    row: int | None = _option("--row")
    frames: int | None = _option("--study-frames")
    output: Path | None = _option("-o")


@dataclass(frozen=True)
class Destination:
    """Files that the scores are written to, besides the terminal; None writes none.

    Attributes:
        csv: a table of numbers.
        report: a page, in Markdown if its name ends with ``.md``, else in HTML.
    """

    csv: Path | None = None
    report: Path | None = None


@dataclass(frozen=True)
class EvaluationRequest:
    """All that ``enhance evaluate`` is told.

    Attributes:
        subject, models, comparison, samples, study, destination: see there.
        resume: whether cases that an interrupted run of the same evaluation has scored are
            taken from it.
    """

    subject: Subject = Subject()
    models: ModelChoice = ModelChoice()
    comparison: Comparison = Comparison()
    samples: SampleOptions = SampleOptions()
    study: StudyOptions = StudyOptions()
    destination: Destination = Destination()
    resume: bool = False

    @property
    def seed(self) -> int:
        """The seed of all that is random."""
        return self.samples.seed or 0

    def given_options(self) -> Iterator[tuple[str, str]]:
        """Names and values of the options that some benchmarks have no use for, where given."""
        for group in fields(self):
            values = getattr(self, group.name)
            for entry in fields(values) if is_dataclass(values) else ():
                value = getattr(values, entry.name)
                if "option" in entry.metadata and value != entry.default:
                    listed = isinstance(value, list | tuple)
                    yield entry.metadata["option"], ",".join(value) if listed else str(value)
