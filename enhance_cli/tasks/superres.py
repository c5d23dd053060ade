"""Enlarge pictures: read each file, run the network on it, write the result."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from enhance_cli.engine.catalogue import Model, ModelOptions
from enhance_cli.engine.scales import Networks, load_networks
from enhance_cli.engine.tiled import TilePlan, run_tiled, tile_side
from enhance_cli.errors import InputError, OutputError
from enhance_cli.io.image import (
    Picture,
    check_writable,
    find_images,
    find_pages,
    holds_pages,
    picture_suffix,
    read_image,
    write_image,
    write_notices,
    write_pages,
)
from enhance_cli.io.jobs import FileOptions, Job, Naming, plan_jobs
from enhance_cli.levels import level_type, to_levels, to_pixels, to_planes, to_values
from enhance_cli.resize import resample
from enhance_cli.sizes import WantedSize, beyond
from enhance_cli.talk import Talk
from enhance_cli.tasks.batch import FileProgress, run_batch
from enhance_cli.transparency import fill_transparent, without_rings


@dataclass(frozen=True)
class SuperResolutionRequest:
    """The options of ``enhance superres``; see its help.

    Attributes:
        page: which picture of a file that holds several, counted from 1; None takes all.
    """

    files: FileOptions
    model: ModelOptions = ModelOptions()
    size: WantedSize | None = None
    quality: int | None = None
    metadata: bool = True
    page: int | None = 1


def run_superres(request: SuperResolutionRequest, talk: Talk) -> int:
    """Enlarge every input of a request.

    Returns:
        The exit code.

    Raises:
        EnhanceError: for what concerns all inputs: model, device, names of outputs.
    """
    networks = load_networks(request.model, "superres", request.size)
    jobs = plan_jobs(request.files, Naming(networks.size.tag, picture_suffix), find_images)
    plan = TilePlan(tile=request.model.tile)
    for model in networks.models:
        talk.explain(model.describe(tile_side(plan, model.contract, model.device)))
    networks.tell(talk.console.print)
    sources = frozenset(job.source.resolve() for job in jobs.jobs)
    return run_batch(jobs, _Work(request, networks, plan, sources), talk, networks.header)


@dataclass(frozen=True)
class _Work:
    """Enlarges one file, of which it returns what is reported.

    Attributes:
        sources: the places of all inputs, which no output may take.
    """

    request: SuperResolutionRequest
    networks: Networks
    plan: TilePlan
    sources: Collection[Path]

    def __call__(self, job: Job, progress: FileProgress) -> dict[str, Any]:
        pages = _choose_pages(job.source, self.request.page)
        if len(pages) == 1:
            picture, row = self._enlarge(job.source, pages[0], job.target, progress)
            write_image(job.target, picture, self.request.quality)
            return {"width": picture.width, "height": picture.height, **row}
        parts = [progress.part(number, len(pages)) for number in range(1, len(pages) + 1)]
        if not holds_pages(job.target):
            return self._write_apart(job, pages, parts)
        with write_pages(job.target, len(pages)) as add:
            for page, part in zip(pages, parts, strict=True):
                picture, row = self._enlarge(job.source, page, job.target, part)
                add(picture)
        size = {"width": picture.width, "height": picture.height}
        return {**size, **row, "pages": len(pages)}

    def _write_apart(
        self, job: Job, pages: Sequence[int | None], parts: Sequence[FileProgress]
    ) -> dict[str, Any]:
        """Write each page to a file of its own."""
        digits, files = len(str(len(pages))), self.request.files
        stem = job.target.stem
        targets = [
            job.target.with_stem(f"{stem}-{number:0{digits}}") for number, _ in enumerate(pages, 1)
        ]
        for target in targets:
            if target.resolve() in self.sources:
                raise OutputError(f"{target}: an input would be replaced, choose another -o")
            if target.exists() and not (files.overwrite or files.skip_existing):
                raise OutputError(f"{target}: exists already, add --overwrite or --skip-existing")
        row: dict[str, Any] = {}
        for page, target, part in zip(pages, targets, parts, strict=True):
            if target.exists() and files.skip_existing:
                part.notice(f"skipped, {target} exists")
            else:
                picture, row = self._enlarge(job.source, page, target, part)
                write_image(target, picture, self.request.quality)
        outputs = [str(target) for target in targets]
        return {**row, "output": outputs[0], "outputs": outputs, "pages": len(pages)}

    def _enlarge(
        self, source: Path, page: int | None, target: Path, progress: FileProgress
    ) -> tuple[Picture, dict[str, Any]]:
        """Read and enlarge a picture, and tell what it loses in the format of the target.

        Returns:
            The result, and what is reported of the network that made it.
        """
        picture = read_image(source, progress.notice, page)
        if not self.request.metadata:
            picture = picture.without_metadata()
        networks = self.networks
        size = networks.size.of(source, picture.width, picture.height)
        width, height = size.rounded()
        model = networks.reaching(size)
        check_writable(
            target,
            height,
            width,
            depth=picture.pixels.dtype.itemsize * 8,
            alpha=picture.alpha is not None,
        )
        if text := beyond(size, model.contract.scale):
            progress.notice(text)
        enlarged = superresolve(
            model,
            picture,
            self.plan,
            (height, width),
            progress=progress.update,
            notice=progress.notice,
        )
        for text in write_notices(target, enlarged):
            progress.notice(text)
        return enlarged, networks.row(model)


def _choose_pages(source: Path, page: int | None) -> Sequence[int | None]:
    """The places of the pictures that are enlarged; the first stands as None, which tells more.

    Raises:
        InputError: if the file has no such page.
    """
    if page == 1:
        return [None]
    places = find_pages(source)
    if page is None:
        return places if len(places) > 1 else [None]
    if page > len(places):
        raise InputError(f"{source}: has no page {page}, choose --pages from 1 to {len(places)}")
    return [places[page - 1]]


def superresolve(
    model: Model,
    picture: Picture,
    plan: TilePlan,
    size: tuple[int, int],
    *,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    notice: Callable[[str], None] = lambda _: None,
) -> Picture:
    """Enlarge one picture. Its bit depth, colour profile and metadata stay as they are.

    Transparency is enlarged by the same network, as a grey picture. Fully transparent pixels may
    have any colour; they are given that of the nearest visible pixel first, so that none of it
    bleeds into what can be seen.

    Args:
        model: a model of the task ``superres``.
        picture: the picture to enlarge, of 8 or 16 bits, grey or in colour.
        plan: how the picture is cut into tiles.
        size: height and width of the result in pixels.
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

    def enlarge(planes: NDArray[Any], first: int) -> NDArray[Any]:
        result = run_tiled(
            model.as_grey() if planes.shape[2] == 1 else model,
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

    enlarged = enlarge(pixels, 0)
    if alpha is not None:
        alpha = (
            without_rings(enlarge(alpha[..., None], 1)[..., 0], alpha)
            if see_through
            else np.full(size, picture.max_value, alpha.dtype)
        )
    return replace(picture, pixels=enlarged, alpha=alpha)
