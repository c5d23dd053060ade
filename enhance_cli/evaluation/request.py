"""What ``enhance evaluate`` is asked for: the options of the command, in groups.

Each field is the option that it names; None, or an empty sequence, is an option left out, and
stands for what is usual with the benchmark that is chosen.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

from enhance_cli.errors import UsageError


def _option(name: str, default: Any = None) -> Any:
    """A field for an option that some benchmarks have no use for."""
    return field(default=default, metadata={"option": name})


@dataclass(frozen=True)
class Subject:
    """What is evaluated: a dataset, in an experiment or not, or a folder against another."""

    dataset: str | None = None
    predictions: Path | None = _option("--pred")
    references: Path | None = _option("--gt")
    study: str | None = _option("--study")
    wear: str | None = _option("--wear")
    data_root: Path | None = None

    @property
    def name(self) -> str:
        """The dataset, or the folder of references, for people."""
        return self.dataset or str(self.references)

    @property
    def folders(self) -> tuple[Path, Path]:
        """Predictions and references.

        Raises:
            UsageError: if one of them is not given.
        """
        if self.predictions is None or self.references is None:
            raise UsageError("give --dataset NAME, or --pred DIR and --gt DIR")
        return self.predictions, self.references


@dataclass(frozen=True)
class ModelChoice:
    """Which models and baselines are evaluated, and how they are run."""

    names: Sequence[str] = _option("--model", ())
    weights: Sequence[Path] = _option("--weights", ())
    scale: int | None = _option("-x")
    strategy: str | None = _option("--strategy")
    tile: int | None = _option("--tile")
    device: str = "auto"
    precision: str = _option("--precision", "auto")
    backend: str = _option("--backend", "torch")
    temperatures: Sequence[float] = _option("--temperature", ())


@dataclass(frozen=True)
class Comparison:
    """How results are compared with the truth."""

    protocol: str | None = _option("--protocol")
    metrics: Sequence[str] | None = _option("--metrics")
    border: int | None = _option("--border")
    phase: str | None = _option("--phase")


@dataclass(frozen=True)
class SampleOptions:
    """How sets of pictures are compared."""

    features: str | None = _option("--features")
    count: int | None = _option("--count")
    seed: int | None = _option("--seed")


@dataclass(frozen=True)
class StudyOptions:
    """What single experiments ask for."""

    row: int | None = _option("--row")
    frames: int | None = _option("--study-frames")
    output: Path | None = _option("-o")


@dataclass(frozen=True)
class Destination:
    """Files that the scores are written to, besides the terminal."""

    csv: Path | None = None
    report: Path | None = None


@dataclass(frozen=True)
class EvaluationRequest:
    """All that ``enhance evaluate`` is told; ``resume`` takes up an interrupted run."""

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

    @property
    def conditions(self) -> str:
        """What of the options a heading must tell, because figures of others do not compare."""
        strategy = f", strategy {self.models.strategy}" if self.models.strategy else ""
        phase = f", phase {self.comparison.phase}" if self.comparison.phase else ""
        wear = f", worn by {self.subject.wear}" if self.subject.wear else ""
        return strategy + phase + wear

    def given_options(self) -> Iterator[tuple[str, str]]:
        """Names and values of the options that some benchmarks have no use for, where given."""
        for group in fields(self):
            values = getattr(self, group.name)
            for entry in fields(values) if is_dataclass(values) else ():
                value = getattr(values, entry.name)
                if "option" in entry.metadata and value != entry.default:
                    listed = isinstance(value, list | tuple)
                    yield (
                        entry.metadata["option"],
                        ",".join(map(str, value)) if listed else str(value),
                    )
