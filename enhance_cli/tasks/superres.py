"""Enlarge pictures: read each file, run the network on it, write the result."""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from enhance_cli.engine.catalogue import ModelOptions
from enhance_cli.engine.runnable import Runnable
from enhance_cli.engine.spread import RunningSpread
from enhance_cli.engine.tiled import TilePlan, run_tiled
from enhance_cli.errors import UsageError
from enhance_cli.io.image import (
    Picture,
    check_writable,
    find_images,
    find_size,
    holds_pages,
    picture_suffix,
    read_image,
    write_image,
    write_notices,
    write_pages,
)
from enhance_cli.io.isolation import decode
from enhance_cli.io.jobs import FileOptions, Job, Naming, plan_jobs
from enhance_cli.levels import level_type, to_levels, to_pixels, to_planes, to_values
from enhance_cli.resize import resample
from enhance_cli.sizes import WantedSize, beyond
from enhance_cli.talk import Talk
from enhance_cli.tasks.attempt import FileProgress
from enhance_cli.tasks.batch import Crew, run_batch
from enhance_cli.tasks.estimating import Estimate, Prober, add_up
from enhance_cli.tasks.pool import WorkerOptions
from enhance_cli.tasks.provenance import Provenance, join_pages, write_sidecars
from enhance_cli.tasks.superres_drawing import (
    CONSISTENT,
    Drawing,
    DrawingOptions,
    draw_spread,
    make_consistent,
)
from enhance_cli.tasks.superres_networks import NetworksByFile
from enhance_cli.tasks.superres_pages import choose_pages, name_pages
from enhance_cli.transparency import fill_transparent, without_rings


@dataclass(frozen=True)
class SuperResolutionRequest:
    """The options of ``enhance superres``; see its help.

    Attributes:
        page: which picture of a file that holds several, counted from 1; None takes all.
        consistent: whether the reduced copy of each result must be its input.
    """

    files: FileOptions
    model: ModelOptions = ModelOptions()
    size: WantedSize | None = None
    quality: int | None = None
    metadata: bool = True
    page: int | None = 1
    drawing: DrawingOptions = DrawingOptions()
    consistent: bool = False
    workers: WorkerOptions = WorkerOptions()


def run_superres(request: SuperResolutionRequest, talk: Talk) -> int:
    """Enlarge every input of a request.

    Returns:
        The exit code.

    Raises:
        EnhanceError: for what concerns all inputs: model, device, names of outputs.
    """
    drawing = request.drawing.settle()
    if drawing.samples > 1 and request.page is None:
        raise UsageError("--pages all: samples are of one page at a time, choose --pages N")
    networks = NetworksByFile(request.workers.here(request.model), request.size, talk)
    usual = networks.usual
    request.drawing.check_models(usual.models)
    if request.consistent:
        networks.check_consistent()
    naming = Naming(usual.size.tag, picture_suffix, parts=drawing.parts)
    jobs = plan_jobs(request.files, naming, find_images)
    sources = frozenset(job.source.resolve() for job in jobs.jobs)
    work = _Work.of(request, networks, sources)
    header = networks.header
    if any(model.contract.draws for model in usual.models):
        header |= drawing.header
    crew = Crew(request.workers, partial(_Work.make, request, sources))
    return run_batch(jobs, work, crew, talk, header, work.estimate)


@dataclass(frozen=True)
class _Work:
    """Enlarges one file, of which it returns what is reported.

    Attributes:
        sources: the places of all inputs, which no output may take.
        provenance: what the records of all outputs have in common.
    """

    request: SuperResolutionRequest
    networks: NetworksByFile
    plan: TilePlan
    drawing: Drawing
    sources: Collection[Path]
    provenance: Provenance

    @classmethod
    def of(
        cls, request: SuperResolutionRequest, networks: NetworksByFile, sources: Collection[Path]
    ) -> "_Work":
        """The work of a request with these networks."""
        drawing = request.drawing.settle()
        provenance = Provenance.of("superres", request)
        return cls(request, networks, networks.plan, drawing, sources, provenance)

    @classmethod
    def make(
        cls, request: SuperResolutionRequest, sources: Collection[Path], device: str
    ) -> "_Work":
        """The work of a request in a worker, on a device."""
        options = replace(request.model, device=device)
        networks = NetworksByFile(options, request.size, Talk(quiet=True))
        return cls.of(request, networks, sources)

    def again(self) -> "_Work":
        """See :class:`~enhance_cli.tasks.attempt.Work`."""
        return replace(self, request=replace(self.request, files=self.request.files.again()))

    def __call__(self, job: Job, progress: FileProgress) -> dict[str, Any]:
        pages = choose_pages(job.source, self.request.page)
        if job.parts:
            return self._write_samples(job, pages[0], progress)
        if len(pages) == 1:
            picture = self._read(job.source, pages[0], progress)
            enlarged, row = self._enlarge(job.source, picture, job.target, progress)
            write_image(job.target, enlarged, self.request.quality)
            return row
        parts = [progress.part(number, len(pages)) for number in range(1, len(pages) + 1)]
        if not holds_pages(job.target):
            return self._write_apart(job, pages, parts)
        rows = []
        with write_pages(job.target, len(pages)) as add:
            for page, part in zip(pages, parts, strict=True):
                picture = self._read(job.source, page, part)
                enlarged, row = self._enlarge(job.source, picture, job.target, part)
                rows.append(row)
                add(enlarged)
        record = join_pages([row.pop("provenance") for row in rows])
        return {**join_pages(rows), "provenance": record, "pages": len(pages)}

    @cached_property
    def _prober(self) -> Prober:
        return Prober(self.plan)

    def estimate(self, job: Job) -> Estimate:
        """What a job would take, with all pages that it is for."""
        pages = choose_pages(job.source, self.request.page)
        files = self.request.files
        apart = len(pages) > 1 and not holds_pages(job.target)
        outputs = name_pages(job, len(pages), files, self.sources) if apart else job.outputs
        estimates = [self._estimate_page(job, page) for page in pages]
        return add_up(estimates, [str(output) for output in outputs])

    def _estimate_page(self, job: Job, page: int | None) -> Estimate:
        """What one page would take; that which stands as None is told by the file's header."""
        read = partial(decode, read_image, job.source, page=page)
        if page is None:
            height, width = find_size(job.source)
        else:
            picture = read()
            height, width = picture.height, picture.width
        size = self.networks.size.of(job.source, width, height)
        check_writable(job.target, *reversed(size.rounded()), depth=8, alpha=False)
        return self._prober.estimate(
            self.networks.choose(job.source, size, read),
            height * width,
            size.rounded(),
            count=self.drawing.samples,
        )

    def _write_apart(
        self, job: Job, pages: Sequence[int | None], parts: Sequence[FileProgress]
    ) -> dict[str, Any]:
        """Write each page to a file of its own."""
        targets = name_pages(job, len(pages), self.request.files, self.sources)
        rows: list[dict[str, Any] | None] = [None] * len(pages)
        for place, (page, target, part) in enumerate(zip(pages, targets, parts, strict=True)):
            if not self._skips(target, part):
                picture = self._read(job.source, page, part)
                enlarged, row = self._enlarge(job.source, picture, target, part)
                self._write(job.source, target, enlarged, row.pop("provenance"))
                rows[place] = row
        outputs = [str(target) for target in targets]
        told = {"output": outputs[0], "outputs": outputs, "pages": len(pages)}
        return {**join_pages(rows), **told}

    def _write_samples(self, job: Job, page: int | None, progress: FileProgress) -> dict[str, Any]:
        """Write one sample after another, each to a file of its own, and then their spread."""
        picture = self._read(job.source, page, progress)
        spread = RunningSpread()
        rows = []
        targets = job.outputs[: self.drawing.samples]
        for sample, target in enumerate(targets):
            part = progress.part(sample + 1, len(targets), "sample")
            skipped = self._skips(target, part)
            if skipped and not self.drawing.uncertainty:
                continue
            enlarged, row = self._enlarge(job.source, picture, target, part, sample)
            record = row.pop("provenance")
            rows.append(row)
            if not skipped:
                self._write(job.source, target, enlarged, record)
            if self.drawing.uncertainty:
                spread.add(enlarged.pixels)
        target = job.outputs[-1]
        if self.drawing.uncertainty and not self._skips(target, progress):
            shown = draw_spread(spread.spread(), spread.count)
            record |= {"sample": "all"}
            noted = self.provenance.note(None, record)
            self._write(job.source, target, Picture(shown, exif=noted), record)
        if self.request.consistent:
            told = [row["consistency"] for row in rows if row["consistency"] is not None]
            rows[-1]["consistency"] = min(told, default=None)
        return rows[-1]

    def _write(self, source: Path, target: Path, made: Picture, record: dict[str, Any]) -> None:
        """Write one of several outputs, with a record of its own."""
        write_image(target, made, self.request.quality)
        if self.request.files.sidecar:
            write_sidecars([target], record, source)

    def _skips(self, target: Path, progress: FileProgress) -> bool:
        """Whether one of several outputs is there and stays, which is told."""
        skips = self.request.files.skip_existing and target.exists()
        if skips:
            progress.notice(f"skipped, {target} exists")
        return skips

    def _read(self, source: Path, page: int | None, progress: FileProgress) -> Picture:
        picture = decode(read_image, source, page=page, notice=progress.notice)
        return picture if self.request.metadata else picture.without_metadata()

    def _enlarge(
        self,
        source: Path,
        picture: Picture,
        target: Path,
        progress: FileProgress,
        sample: int = 0,
    ) -> tuple[Picture, dict[str, Any]]:
        """Enlarge a picture, and tell what it loses in the format of the target.

        What all samples have in common is told for the first.

        Returns:
            The result, and what is reported of the network that made it.
        """
        notice = (lambda _: None) if sample else progress.notice
        networks = self.networks
        size = networks.size.of(source, picture.width, picture.height)
        width, height = size.rounded()
        model = networks.choose(source, size, lambda: picture, progress.compute)
        check_writable(
            target,
            height,
            width,
            depth=picture.pixels.dtype.itemsize * 8,
            alpha=picture.alpha is not None,
        )
        if text := beyond(size, model.contract.scale):
            notice(text)
        patch = model.contract.patch_size
        if patch is not None and min(picture.height, picture.width) < patch:
            notice(
                f"smaller than the {patch}x{patch} pixels that the network takes: continued by "
                "reflection, and cut off again"
            )
        enlarged = progress.compute(
            partial(
                superresolve,
                self.drawing.answer(model, sample),
                picture,
                self.plan,
                (height, width),
                alpha_model=model,
                progress=progress.update,
                notice=notice,
            )
        )
        drawn = model.contract.draws
        number = {"sample": sample + 1} if drawn else {}
        record = self.provenance.record(model, **(self.drawing.header if drawn else {}), **number)
        made = {"width": width, "height": height, **networks.row(model)}
        row: dict[str, Any] = {**made, "provenance": record}
        if self.request.consistent:
            enlarged, decibels = make_consistent(picture, enlarged)
            row["consistency"] = round(decibels, 2) if math.isfinite(decibels) else None
            if decibels < CONSISTENT:
                progress.notice(
                    f"its reduced copy differs from the input ({decibels:.1f} dB): there is no "
                    "larger picture between black and white that has the input's contrast"
                )
        for text in write_notices(target, enlarged):
            notice(text)
        return replace(enlarged, exif=self.provenance.note(enlarged.exif, record)), row


def superresolve(
    model: Runnable,
    picture: Picture,
    plan: TilePlan,
    size: tuple[int, int],
    *,
    alpha_model: Runnable | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    notice: Callable[[str], None] = lambda _: None,
) -> Picture:
    """Enlarge one picture. Its bit depth, colour profile and metadata stay as they are.

    Transparency is enlarged by a network too, as a grey picture. Fully transparent pixels may
    have any colour; they are given that of the nearest visible pixel first, so that none of it
    bleeds into what can be seen.

    Args:
        model: a model of the task ``superres``.
        picture: the picture to enlarge, of 8 or 16 bits, grey or in colour.
        plan: how the picture is cut into tiles.
        size: height and width of the result in pixels.
        alpha_model: the network for transparency, which should invent nothing; None is ``model``.
        progress: is called with the number of input pixels that are done, and of all.
        notice: is called with a line if something had to be done differently.

    Returns:
        A picture of that size. Where the network makes another one, its result is resampled.

    Raises:
        DeviceError: if even small tiles do not fit into memory.
    """
    alpha = picture.alpha
    height, width = size
    see_through = alpha is not None and bool((alpha < picture.max_value).any())
    pixels = picture.pixels
    if alpha is not None and see_through:
        pixels = fill_transparent(pixels, alpha)
    area = picture.height * picture.width
    passes = 2 if see_through else 1

    def enlarge(network: Runnable, planes: NDArray[Any], first: int) -> NDArray[Any]:
        result = run_tiled(
            network.as_grey() if planes.shape[2] == 1 else network,
            to_values(to_planes(planes)),
            plan,
            levels=level_type(planes),
            notice=notice,
            progress=lambda done, total: progress(
                first * area + done * area // total, passes * area
            ),
        )
        if result.shape[1:] == (height, width):
            return to_pixels(result, result.dtype)
        resampled = [  # plane by plane, since numbers take four times the memory of levels
            to_levels(resample(to_values(plane[None]), height, width), result.dtype)
            for plane in result
        ]
        return to_pixels(torch.cat(resampled), result.dtype)

    enlarged = enlarge(model, pixels, 0)
    if alpha is not None:
        alpha = (
            without_rings(enlarge(alpha_model or model, alpha[..., None], 1)[..., 0], alpha)
            if see_through
            else np.full(size, picture.max_value, alpha.dtype)
        )
    return replace(picture, pixels=enlarged, alpha=alpha)
