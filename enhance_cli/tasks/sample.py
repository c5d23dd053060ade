"""Draw pictures from autoencoders: samples, interpolations, reconstructions."""

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from rich.console import Console
from torch import Tensor

from enhance_cli.architectures.autoencoder import DENSITIES, Autoencoder
from enhance_cli.engine.catalogue import Model, ModelOptions
from enhance_cli.engine.generation import (
    BATCH,
    decode_codes,
    default_density,
    encode_pictures,
    iterate_codes,
    reconstruct_pictures,
    slerp,
    usable_densities,
)
from enhance_cli.engine.tiled import is_out_of_memory
from enhance_cli.errors import (
    EnhanceError,
    InputError,
    OutputError,
    UnknownNameError,
    UsageError,
    one_line,
)
from enhance_cli.io.image import Picture, find_images, write_image
from enhance_cli.io.jobs import FileOptions, Job, JobList, Naming, is_file_name, plan_jobs
from enhance_cli.talk import Talk, print_errors, print_json
from enhance_cli.tasks.sample_work import (
    GridShape,
    Levels,
    NumberedFiles,
    make_grid,
    pair_rows,
    read_square,
    square_columns,
    to_levels,
)

Kind = Literal["samples", "interpolation", "reconstructions"]

COUNT = 64
STEPS = 8
TEMPERATURE_LIMIT = 2.0
ZOOM_LIMIT = 16


@dataclass(frozen=True)
class SampleRequest:
    """The options of ``enhance sample``; see its help."""

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
    seed: int = 0

    @property
    def kind(self) -> Kind:
        """What is to be drawn."""
        if self.interpolate is not None:
            return "interpolation"
        return "reconstructions" if self.reconstruct else "samples"

    @property
    def target(self) -> Path:
        """A file for a grid, or a folder for single pictures."""
        return self.files.output or Path(f"{self.kind}.png")

    @property
    def wants_grid(self) -> bool:
        """Whether all pictures go into one file."""
        return is_file_name(self.target)


@dataclass
class _Run:
    """A request with all that its kinds need."""

    request: SampleRequest
    model: Model
    network: Autoencoder
    talk: Talk
    console: Console
    header: dict[str, Any] = field(default_factory=dict)

    def say(self, text: str) -> None:
        """One line for people."""
        self.console.print(one_line(text))

    def report(self, outputs: Sequence[Path], count: int, **more: Any) -> None:
        """The JSON document, where it is wanted."""
        if self.talk.json:
            print_json(
                {**self.header, "count": count, "outputs": [str(path) for path in outputs], **more}
            )


def run_sample(request: SampleRequest, talk: Talk) -> int:
    """Draw the pictures of a request.

    Returns:
        The exit code: 1 if a picture to reconstruct failed.

    Raises:
        EnhanceError: for what concerns all pictures: options, model, device, output.
    """
    _check_options(request)
    torch.backends.cudnn.deterministic = True  # the same seed, the same bytes
    model = request.model.load("sample")
    assert isinstance(model.network, Autoencoder)
    run = _Run(request, model, model.network, talk, talk.console)
    run.header.update(
        kind=request.kind, model=model.info.name, density=None, temperature=None, seed=request.seed
    )
    talk.explain(model.describe())
    if request.kind == "reconstructions":
        return _reconstruct(run)
    return _interpolate(run) if request.interpolate is not None else _sample(run)


def _check_options(request: SampleRequest) -> None:
    """See that each option has a possible value and that they go together.

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
    for option, value, kind in (
        ("-n", request.count, "samples"),
        ("--temperature", request.temperature, "samples"),
        ("--density", request.density, "samples"),
        ("--steps", request.steps, "interpolation"),
        ("--recursive", request.files.recursive or None, "reconstructions"),
    ):
        if value is not None and kind != request.kind:
            raise UsageError(
                f"{option}{'' if value is True else f' {value}'}: is for {kind}, "
                f"not for {request.kind}: leave it out"
            )
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
    if request.columns is not None and not request.wants_grid:
        raise UsageError(
            f"--columns {request.columns}: is for grids, but -o {request.target} "
            "names a folder: give -o a file or leave --columns out"
        )


def _choose_density(run: _Run) -> str:
    """The density to draw from.

    Raises:
        UsageError: if the model has none, or not that one.
    """
    name, usable = run.request.density, usable_densities(run.network)
    if name is not None and name not in DENSITIES:
        raise UnknownNameError("density", name, DENSITIES)
    chosen = name or default_density(run.network)
    if chosen not in usable:
        model = run.model.info.name
        if not usable:
            raise UsageError(
                f"model {model!r} has no density to sample from, choose another "
                "model, or --reconstruct or --interpolate pictures"
            )
        raise UsageError(
            f"--density {chosen}: model {model!r} has none, choose from {', '.join(usable)}"
        )
    return chosen


def _sample(run: _Run) -> int:
    request, count = run.request, run.request.count or COUNT
    temperature = 1.0 if request.temperature is None else request.temperature
    density = _choose_density(run)
    run.header.update(density=density, temperature=temperature)
    codes = iterate_codes(run.network, density, count, temperature=temperature, seed=request.seed)
    return _draw(
        run,
        codes,
        count,
        square_columns(count),
        f"samples of {run.model.info.name}, density {density}, temperature "
        f"{temperature:g}, seed {request.seed}",
    )


def _interpolate(run: _Run) -> int:
    request = run.request
    assert request.interpolate is not None
    count = request.steps or STEPS
    files = NumberedFiles(request.target, count)
    ends = []
    for path in request.interpolate:
        target = request.target if request.wants_grid else files.namesake(path)
        if target is not None and target.resolve() == path.resolve():
            raise UsageError(f"{target}: an input would be replaced, choose another -o")
        picture, notices = read_square(path, run.model.contract)
        ends.append(picture)
        _say_notices(run, path, notices)
    run.header["inputs"] = [str(path) for path in request.interpolate]

    def codes() -> Iterator[Tensor]:
        first, second = encode_pictures(run.model, torch.stack(ends), notice=run.say)
        for shares in torch.split(torch.linspace(0, 1, count), BATCH):
            yield slerp(first, second, shares[:, None])

    first, second = (path.name for path in request.interpolate)
    return _draw(
        run, codes(), count, count, f"steps from {first} to {second} by {run.model.info.name}"
    )


def _draw(run: _Run, codes: Iterator[Tensor], count: int, columns: int, what: str) -> int:
    """Decode codes into a grid or a folder; ``columns`` unless others are asked for."""
    request, target = run.request, run.request.target
    columns, files = request.columns or columns, NumberedFiles(target, count)
    line = f"{target}: {count} {what}, {_check_target(run, files, columns)}"
    # A list of a million names is made only for who reads it.
    outputs = (
        [target]
        if request.wants_grid or not run.talk.json
        else [files.path(number) for number in range(count)]
    )
    if run.talk.dry_run:
        run.say(f"would write {line}")
        run.report(outputs, count, status="planned")
        return 0
    kept: list[Levels | None] = []
    with run.talk.progress("drawing", count, "pictures", run.console) as bar:
        for number, levels in enumerate(_decode(run, codes)):
            if request.wants_grid:
                kept.append(levels)
            else:
                files.write(number, levels)
            bar.advance()
    if request.wants_grid:
        write_image(target, Picture(make_grid(kept, columns)))
    run.say(line)
    run.report(outputs, count, status="ok")
    return 0


def _check_target(run: _Run, files: NumberedFiles, columns: int) -> str:
    """Check, before any work, that the pictures can be written; gives their size in words.

    Raises:
        OutputError: if not.
    """
    request, side = run.request, run.network.config.side * run.request.zoom
    if request.wants_grid:
        shape = GridShape(files.count, columns, side)
        shape.check(request.target)
        _check_free(request.target, request)
        return f"{shape.width}x{shape.height}"
    left = files.check(side, request.files.overwrite)
    if left:
        run.say(
            f"{files.folder}: {left} numbered pictures of an earlier run stay beside the new ones"
        )
    return f"{side}x{side} each"


def _decode(run: _Run, codes: Iterator[Tensor]) -> Iterator[Levels]:
    for batch in decode_codes(run.model, codes, notice=run.say):
        for picture in batch:
            yield to_levels(picture, run.request.zoom)


def _check_free(path: Path, request: SampleRequest) -> None:
    if path.exists() and not request.files.overwrite:
        raise OutputError(f"{path}: exists already, add --overwrite or choose another -o")


def _say_notices(run: _Run, path: Path, notices: Sequence[str]) -> None:
    for text in notices:
        run.say(f"{path.name}: {text}")


def _reconstruct(run: _Run) -> int:
    request, target = run.request, run.request.target
    plan = _plan_reconstructions(request)
    count = max(len(plan.jobs), 1)
    columns = min(request.columns or square_columns(2 * count), count)
    if request.wants_grid:
        places = 2 * columns * math.ceil(count / columns)
        GridShape(places, columns, run.network.config.side * request.zoom).check(target)
        _check_free(target, request)
    for source, reason in plan.skipped:
        run.say(f"{source}: skipped, {reason}")
    if run.talk.dry_run:
        for job in plan.jobs:
            run.say(f"{job.source} -> {job.target}")
        return _report_reconstructions(run, plan, plan.jobs, "planned")
    passage = _Passage(run, plan)
    with run.talk.progress("reconstructing", len(plan.jobs), "pictures", run.console) as bar:
        for batch in reconstruct_pictures(run.model, passage.read(), notice=run.say):
            for picture in batch:
                passage.take(picture)
                bar.advance()
    if request.wants_grid and passage.done:
        columns = min(columns, len(passage.done))
        places_taken = pair_rows(passage.above, passage.below, columns)
        write_image(target, Picture(make_grid(places_taken, columns)))
        run.say(
            f"{target}: {len(passage.done)} pictures, each above its reconstruction by "
            f"{run.model.info.name}"
        )
    return _report_reconstructions(run, plan, passage.done, "ok")


def _plan_reconstructions(request: SampleRequest) -> JobList:
    """Pictures, and where each goes: into a folder, or all into the grid.

    Raises:
        UsageError: if an input would be replaced.
    """
    files = replace(
        request.files, inputs=[*request.reconstruct, *request.files.inputs], overwrite=True
    )
    if request.wants_grid:
        # These names are never written, and only have to differ.
        naming = Naming("", lambda path: f"{path.suffix}.reconstructed")
        plan = plan_jobs(replace(files, output=None), naming, find_images)
        plan.jobs = [Job(job.source, request.target) for job in plan.jobs]
        if request.target.resolve() in {job.source.resolve() for job in plan.jobs}:
            raise UsageError(f"{request.target}: an input would be replaced, choose another -o")
        return plan
    naming = Naming("_reconstructed", lambda _: ".png")
    plan = plan_jobs(replace(files, output=request.target), naming, find_images)
    for job in list(plan.jobs):
        try:
            _check_free(job.target, request)
        except OutputError as error:
            plan.jobs.remove(job)
            plan.failures.append((str(job.source), error))
    return plan


class _Passage:
    """Pictures on their way through the network: one that fails stops no other.

    Attributes:
        done: jobs whose picture came through, and with a folder was written.
        above, below: with a grid, what went in and what came out.
    """

    def __init__(self, run: _Run, plan: JobList) -> None:
        self._run, self._plan = run, plan
        self._under_way: deque[tuple[Job, Levels]] = deque()
        self.done: list[Job] = []
        self.above: list[Levels] = []
        self.below: list[Levels] = []

    def read(self) -> Iterator[Tensor]:
        """The pictures that can be read, in blocks (N, C, side, side)."""
        jobs = self._plan.jobs
        for start in range(0, len(jobs), BATCH):
            block = [
                values
                for job in jobs[start : start + BATCH]
                if (values := self._read(job)) is not None
            ]
            if block:
                yield torch.stack(block)

    def _read(self, job: Job) -> Tensor | None:
        try:
            values, notices = read_square(job.source, self._run.model.contract)
        except EnhanceError as error:
            self._plan.failures.append((str(job.source), error))
            return None
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            self._plan.failures.append(
                (
                    str(job.source),
                    InputError(
                        f"{job.source}: too large for the memory of this machine, make it smaller"
                    ),
                )
            )
            return None
        _say_notices(self._run, job.source, notices)
        self._under_way.append((job, to_levels(values, self._run.request.zoom)))
        return values

    def take(self, picture: Tensor) -> None:
        """The reconstruction of the picture that was read first of those under way."""
        job, given = self._under_way.popleft()
        levels = to_levels(picture, self._run.request.zoom)
        if self._run.request.wants_grid:
            self.above.append(given)
            self.below.append(levels)
        else:
            try:
                write_image(job.target, Picture(levels))
            except EnhanceError as error:
                self._plan.failures.append((str(job.source), error))
                return
            self._run.say(f"{job.source} -> {job.target}")
        self.done.append(job)


def _report_reconstructions(run: _Run, plan: JobList, jobs: Sequence[Job], status: str) -> int:
    failures = [(name, str(error)) for name, error in plan.failures]
    print_errors(
        *(f"error: {text if name in text else f'{name}: {text}'}" for name, text in failures)
    )
    count = len(failures) + len(jobs)
    if failures and count > 1:
        print_errors(f"{len(failures)} of {count} inputs failed")
    results: list[dict[str, Any]] = [
        {"input": str(job.source), "output": str(job.target), "status": status} for job in jobs
    ]
    results += [
        {"input": str(source), "status": "skipped", "reason": reason}
        for source, reason in plan.skipped
    ]
    results += [{"input": name, "status": "failed", "error": text} for name, text in failures]
    run.report(
        list(dict.fromkeys(job.target for job in jobs)),
        len(jobs),
        results=results,
        failed=len(failures),
    )
    return 1 if failures else 0
