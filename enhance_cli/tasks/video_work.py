"""The folder of a video at work: finished segments, and the memory to go on with."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from enhance_cli.errors import OutputError
from enhance_cli.io.files import replacing

# Frames of a segment. Each begins with a keyframe and is what an interruption loses at most.
SEGMENT_FRAMES = 120


class WorkFolder:
    """``{output}.part``, beside the output.

    Every run encodes by segments, so that one which was interrupted and resumed gives the same
    frames as one which was not.

    Args:
        target: the output.
        suffix: of segment files.
    """

    def __init__(self, target: Path, suffix: str) -> None:
        self.path = target.with_name(f"{target.name}.part")
        self._suffix = suffix

    def segment(self, index: int) -> Path:
        """Where a segment is written, counted from 0."""
        return self.path / f"segment-{index:06d}{self._suffix}"

    def state(self, index: int) -> Path:
        """The memory with which a segment begins."""
        return self.path / f"state-{index:06d}.safetensors"

    def begin(self, settings: Mapping[str, Any], *, resume: bool, overwrite: bool) -> int:
        """Make the folder, or take up what lies there.

        Args:
            settings: all that the result depends on, JSON-able.
            resume: go on from finished segments.
            overwrite: throw them away.

        Returns:
            The number of finished segments.

        Raises:
            OutputError: if work lies there and neither is wanted, or it has other settings, or
                the folder cannot be made.
        """
        note = self.path / "settings.json"
        text = json.dumps(settings, sort_keys=True, default=str)
        if self.path.exists() and not resume:
            if not overwrite and note.exists():
                raise OutputError(f"{self.path}: unfinished work lies here, go on with --resume "
                                  "or start over with --overwrite")
            self.remove()
        if note.exists():
            differing = _differences(note, settings)
            if differing:
                raise OutputError(f"{self.path}: begun with another {', '.join(differing)}: "
                                  "repeat its options, or start over with --overwrite alone")
            return self._finished()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{self.path}: cannot write here ({error.strerror}), choose "
                              "another output with -o") from error
        with replacing(note) as temporary:
            temporary.write_text(text, encoding="utf-8")
        return 0

    def _finished(self) -> int:
        """Segments from the first on that are whole and whose memory is there."""
        count = 0
        while self.segment(count).exists():
            count += 1
        while count and not self.state(count).exists():
            count -= 1
        return count

    def finish_segment(self, index: int) -> None:
        """Forget the memory that a finished segment began with."""
        self.state(index).unlink(missing_ok=True)

    def remove_if_empty(self) -> bool:
        """Take the folder away unless it holds a finished segment; says whether it did."""
        if self._finished():
            return False
        self.remove()
        return True

    def remove(self) -> None:
        """Take the folder away with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)


def _differences(note: Path, settings: Mapping[str, Any]) -> list[str]:
    try:
        before = json.loads(note.read_text(encoding="utf-8"))
        now = json.loads(json.dumps(settings, default=str))
        return [key for key in sorted(before.keys() | now.keys())
                if before.get(key) != now.get(key)]
    except (AttributeError, OSError, ValueError):
        return ["version of enhance"]
