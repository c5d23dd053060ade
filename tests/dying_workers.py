"""Work that ends the process of its worker in the middle of some jobs, or right after them."""

import os
import signal
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from enhance_cli.io.jobs import FileOptions, Job
from enhance_cli.tasks.attempt import FileProgress
from enhance_cli.tasks.workers import Setting


@dataclass(frozen=True)
class Deadly:
    """Notes each job in a log, and dies as the name of its input says."""

    log: Path
    retried: bool = False

    def again(self) -> "Deadly":
        return replace(self, retried=True)

    def __call__(self, job: Job, progress: FileProgress) -> dict[str, Any]:
        with self.log.open("a") as log:
            log.write(f"{job.source.name}\n")
        if job.source.name == "always" or (job.source.name == "once" and not self.retried):
            os.kill(os.getpid(), signal.SIGKILL)
        job.target.write_text("made")
        if job.source.name == "late":
            os.kill(os.getpid(), signal.SIGKILL)
        progress.notice("made")
        return {"width": 1, "height": 1}


@dataclass(frozen=True)
class Make:
    """Makes the work of a worker."""

    log: Path

    def __call__(self, device: str) -> Deadly:
        return Deadly(self.log)


def deadly_setting(log: Path) -> Setting:
    """With what such a worker begins."""
    return Setting(Make(log), FileOptions([]), "cpu")
