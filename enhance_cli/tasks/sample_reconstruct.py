"""Reconstruct pictures: put them through an autoencoder, and show what comes out."""

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from enhance_cli.engine.generation import BATCH, reconstruct_pictures
from enhance_cli.errors import EnhanceError, OutputError, UsageError
from enhance_cli.io.image import Picture, find_images, write_image
from enhance_cli.io.jobs import Job, JobList, Naming, plan_jobs
from enhance_cli.tasks.attempt import alone
from enhance_cli.tasks.batch import (
    failed_results,
    job_result,
    print_failures,
    skipped_results,
)
from enhance_cli.tasks.sample_pictures import (
    PictureGrid,
    compose_grid,
    pair_rows,
    read_square,
    square_columns,
    to_zoomed_pixels,
)
from enhance_cli.tasks.sample_run import SampleRequest, SampleRun


def reconstruct(run: SampleRun) -> int:
    """Put pictures of the user's through the autoencoder, and write what comes out.

    Returns:
        The exit code: 1 if a picture failed.

    Raises:
        EnhanceError: for what concerns all pictures, such as the output.
    """
    request, target = run.request, run.request.target
    plan = _plan_reconstructions(request)
    count = max(len(plan.jobs), 1)
    columns = min(request.columns or square_columns(2 * count), count)
    if request.wants_grid:
        places = 2 * columns * math.ceil(count / columns)
        PictureGrid(places, columns, run.network.config.side * request.zoom).check(target)
        request.check_free(target)
    for source, reason in plan.skipped:
        run.say(f"{source}: skipped, {reason}")
    if run.talk.dry_run:
        for job in plan.jobs:
            run.say(f"{job.source} -> {job.target}")
        return _report(run, plan, plan.jobs, "planned")
    passage = _Passage(run, plan)
    with run.talk.progress("reconstructing", len(plan.jobs), "pictures", run.console) as bar:
        for batch in reconstruct_pictures(run.model, passage.read(), notice=run.say):
            for picture in batch:
                passage.take(picture)
                bar.advance()
    if request.wants_grid and passage.done:
        columns = min(columns, len(passage.done))
        places_taken = pair_rows(passage.above, passage.below, columns)
        write_image(target, Picture(compose_grid(places_taken, columns)))
        run.say(
            f"{target}: {len(passage.done)} pictures, each above its reconstruction by "
            f"{run.model.info.name}"
        )
    return _report(run, plan, passage.done, "ok")


def _plan_reconstructions(request: SampleRequest) -> JobList:
    """Decide which pictures are read and where each one goes: a folder's file, or the grid.

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
            request.check_free(job.target)
        except OutputError as error:
            plan.jobs.remove(job)
            plan.failures.append((str(job.source), error))
    return plan


class _Passage:
    """Pictures on their way through the network: one that fails stops no other.

    Attributes:
        done: the jobs whose picture came through; for a folder, it has been written too.
        above: for a grid, the pictures that went in.
        below: for a grid, their reconstructions.
    """

    def __init__(self, run: SampleRun, plan: JobList) -> None:
        self._run, self._plan = run, plan
        self._under_way: deque[tuple[Job, NDArray[np.uint8]]] = deque()
        self.done: list[Job] = []
        self.above: list[NDArray[np.uint8]] = []
        self.below: list[NDArray[np.uint8]] = []

    def read(self) -> Iterator[Tensor]:
        """Yield the pictures that can be read, in blocks (N, C, side, side) in [0, 1]."""
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
            with alone(job.source, "make it smaller"):
                values, notices = read_square(job.source, self._run.model.contract)
        except EnhanceError as error:
            self._plan.failures.append((str(job.source), error))
            return None
        self._run.say_notices(job.source, notices)
        self._under_way.append((job, to_zoomed_pixels(values, self._run.request.zoom)))
        return values

    def take(self, picture: Tensor) -> None:
        """Take in a reconstruction; they come in the order in which pictures were read."""
        job, given = self._under_way.popleft()
        pixels = to_zoomed_pixels(picture, self._run.request.zoom)
        if self._run.request.wants_grid:
            self.above.append(given)
            self.below.append(pixels)
        else:
            try:
                with alone(job.source, "make it smaller"):
                    write_image(job.target, Picture(pixels))
            except EnhanceError as error:
                self._plan.failures.append((str(job.source), error))
                return
            self._run.say(f"{job.source} -> {job.target}")
        self.done.append(job)


def _report(run: SampleRun, plan: JobList, jobs: Sequence[Job], status: str) -> int:
    failures = [(name, str(error)) for name, error in plan.failures]
    print_failures(failures, len(failures) + len(jobs))
    results = [job_result(job, status) for job in jobs]
    run.report(
        list(dict.fromkeys(job.target for job in jobs)),
        len(jobs),
        results=[*results, *skipped_results(plan.skipped), *failed_results(failures)],
        failed=len(failures),
    )
    return 1 if failures else 0
