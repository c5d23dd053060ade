"""What ``enhance sample`` is asked for, and what all kinds of its pictures need."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from rich.console import Console

from enhance_cli.architectures.autoencoder import Autoencoder
from enhance_cli.architectures.vdvae import Vdvae
from enhance_cli.engine.catalogue import Model, ModelOptions
from enhance_cli.engine.generation import CodeNetwork
from enhance_cli.errors import OutputError, UsageError, one_line
from enhance_cli.io.jobs import FileOptions, is_file_name
from enhance_cli.talk import Talk, print_json

SampleKind = Literal["samples", "interpolation", "reconstructions"]

TEMPERATURE_LIMIT = 2.0
_OPTIONS = {"interpolation": "interpolate", "reconstructions": "reconstruct"}
ZOOM_LIMIT = 16


@dataclass(frozen=True)
class SampleRequest:
    """The options of ``enhance sample``; see its help.

    Attributes:
        files: where pictures go; its inputs are to be reconstructed, like ``reconstruct``.
    """

    files: FileOptions
    model: ModelOptions = ModelOptions()
    count: int | None = None
    temperature: float | None = None
    density: str | None = None
    interpolate: tuple[Path, Path] | None = None
    steps: int | None = None
    reconstruct: Sequence[str] = ()
    columns: int | None = None
    zoom: int = 1
    seed: int | None = None

    @property
    def kind(self) -> SampleKind:
        """What is to be drawn."""
        if self.interpolate is not None:
            return "interpolation"
        return "reconstructions" if self.reconstruct else "samples"

    @property
    def target(self) -> Path:
        """The file of a grid, or the folder of single pictures."""
        return self.files.output or Path(f"{self.kind}.png")

    @property
    def wants_grid(self) -> bool:
        """Whether all pictures go into one file."""
        return is_file_name(self.target)

    def check_free(self, path: Path) -> None:
        """Check that a file may be written.

        Raises:
            OutputError: if it exists and is not to be replaced.
        """
        if path.exists() and not self.files.overwrite:
            raise OutputError(f"{path}: exists already, add --overwrite or choose another -o")


def check_options(request: SampleRequest) -> None:
    """Check that each option has a possible value, and that the options go together.

    Raises:
        UsageError: if not.
    """
    if request.interpolate is not None and request.reconstruct:
        raise UsageError("--interpolate and --reconstruct: one at a time")
    if request.files.inputs and not request.reconstruct:
        raise UsageError(
            f"{request.files.inputs[0]}: a picture without a task, put --reconstruct before "
            "it, or name two with --interpolate A B"
        )
    _check_kinds(request)
    _check_ranges(request)
    if request.columns is not None and not request.wants_grid:
        raise UsageError(
            f"--columns {request.columns}: is for grids, but -o {request.target} "
            "names a folder: give -o a file or leave --columns out"
        )


def _check_kinds(request: SampleRequest) -> None:
    for option, value, kind in (
        ("-n", request.count, "samples"),
        ("--temperature", request.temperature, "samples"),
        ("--density", request.density, "samples"),
        ("--seed", request.seed, "samples"),
        ("--steps", request.steps, "interpolation"),
        ("--recursive", request.files.recursive or None, "reconstructions"),
    ):
        if value is not None and kind != request.kind:
            raise UsageError(
                f"{option}{'' if value is True else f' {value}'}: is for {kind}, "
                f"not for {request.kind}: leave it out"
            )


def _check_ranges(request: SampleRequest) -> None:
    for option, number, low, high in (
        ("-n", request.count, 1, None),
        ("--temperature", request.temperature, 0, TEMPERATURE_LIMIT),
        ("--steps", request.steps, 2, None),
        ("--columns", request.columns, 1, None),
        ("--zoom", request.zoom, 1, ZOOM_LIMIT),
    ):
        # Not the reverse comparison, which NaN would pass.
        if number is not None and not (low <= number and (high is None or number <= high)):
            rule = f"at least {low}" if high is None else f"from {low} to {high:g}"
            raise UsageError(f"{option} {number}: must be {rule}")


@dataclass
class SampleRun:
    """A request on its way, with the model that serves it.

    Attributes:
        request: what the user asked for.
        model: the model that draws.
        talk: how results are reported.
        console: where lines for people are printed; a progress bar stays below them.
        header: the first entries of the JSON document.
    """

    request: SampleRequest
    model: Model
    talk: Talk
    console: Console
    header: dict[str, Any] = field(default_factory=dict)

    @property
    def network(self) -> CodeNetwork:
        """The model's network."""
        return cast(CodeNetwork, self.model.network)

    def check_encoder(self) -> None:
        """See that the model can take pictures, if any are to go in.

        Raises:
            UsageError: if it only draws.
        """
        kind, network = self.request.kind, self.model.network
        if kind == "samples" or isinstance(network, Autoencoder):
            return
        if isinstance(network, Vdvae):
            if kind == "reconstructions":
                return
            raise UsageError(
                f"model {self.model.info.name!r} has latents in many layers and no code to go to "
                "another from: leave --interpolate out or choose an autoencoder of enhance models"
            )
        raise UsageError(
            f"model {self.model.info.name!r} draws samples alone, it has no encoder that pictures "
            f"go through: leave --{_OPTIONS[self.request.kind]} out or choose an autoencoder of "
            "enhance models"
        )

    def say(self, text: str) -> None:
        """Print one line for people."""
        self.console.print(one_line(text))

    def say_notices(self, path: Path, notices: Sequence[str]) -> None:
        """Print what had to be changed in a picture."""
        for text in notices:
            self.say(f"{path.name}: {text}")

    def report(self, outputs: Sequence[Path], count: int, **more: Any) -> None:
        """Print the JSON document if it is wanted."""
        if self.talk.json:
            print_json(
                {**self.header, "count": count, "outputs": [str(path) for path in outputs], **more}
            )
