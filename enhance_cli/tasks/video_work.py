"""The folder of unfinished work on a video: its segments, and the state to continue with."""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from enhance_cli.errors import OutputError
from enhance_cli.io.files import replacing
from enhance_cli.io.locks import named

_OURS = ("segment-", "state-", ".enhance-")  # how the names of all files in it begin


class WorkFolder:
    """The folder ``{output}.part``, which lies beside an output while it is made.

    Every run encodes in segments, so that a run that was interrupted and resumed gives the same
    frames as one that was not.

    Attributes:
        segment_frames: how many frames a segment holds. Each segment begins with a keyframe, and
            an interruption loses one segment at most.
        path: the folder.

    Args:
        target: the output.
        suffix: the suffix of the segments' files; empty if segments are folders.
    """

    segment_frames = 120

    def __init__(self, target: Path, suffix: str) -> None:
        target = Path(os.path.abspath(named(target)))
        self.path = target.parent / f"{target.name}.part"
        self._suffix = suffix
        self._made: list[Path] = []  # the folders around it, the innermost first

    def segment(self, index: int) -> Path:
        """The path of a segment, counted from 0."""
        return self.path / f"segment-{index:06d}{self._suffix}"

    def state(self, index: int) -> Path:
        """The path of the recurrent state with which a segment begins."""
        return self.path / f"state-{index:06d}.safetensors"

    def begin(
        self,
        settings: Mapping[str, Any],
        *,
        resume: bool,
        overwrite: bool,
        reaches: Callable[[float, int], bool],
    ) -> int:
        """Make the folder, or continue what lies there.

        Args:
            settings: everything that the result depends on, as JSON can hold it. The ``"end"``
                alone may be another one than before, a number of seconds or None.
            resume: whether to continue after the segments that are finished.
            overwrite: whether to throw them away.
            reaches: tells whether the part of the video up to an end holds so many frames and what
                the network must see behind them.

        Returns:
            The number of finished segments.

        Raises:
            OutputError: if unfinished work lies there and neither was asked for, if it was begun
                with other settings or is damaged, if an earlier end leaves fewer frames than are
                finished, if something else lies there, or if the folder cannot be made.
        """
        note = self.path / "settings.json"
        try:
            if note.exists():
                if resume:
                    return self._go_on(note, settings, reaches)
                if not overwrite:
                    raise OutputError(
                        f"{self.path}: unfinished work lies here, go on with "
                        "--resume or start over with --overwrite"
                    )
                self.remove()
            self._make()
        except OSError as error:
            raise OutputError(
                f"{self.path}: cannot write here ({error.strerror}), choose another output with -o"
            ) from error
        try:
            _write_settings(note, settings)
        except BaseException:
            self.remove_if_empty()
            raise
        return 0

    def _go_on(
        self, note: Path, settings: Mapping[str, Any], reaches: Callable[[float, int], bool]
    ) -> int:
        """How many segments are finished; with another end, those must fit both."""
        before = _read_settings(note)
        _check_settings(note, before, settings)
        finished, ends = self._finished(), (before.get("end"), settings["end"])
        if ends[0] == ends[1]:
            return finished
        earlier = min(end for end in ends if end is not None)
        frames = finished * self.segment_frames
        if finished and not reaches(earlier, frames):
            raise OutputError(
                f"{self.path}: {frames} frames are finished that another end would change: repeat "
                "the --end of before, or start over with --overwrite and without --resume"
            )
        _write_settings(note, settings)
        return finished

    def _make(self) -> None:
        if self.path.is_dir():
            # A run that was killed while it began or cleaned up leaves files without a note.
            if not all(path.name.startswith(_OURS) for path in self.path.iterdir()):
                raise OutputError(
                    f"{self.path}: is in the way and no unfinished work, move it away "
                    "or choose another output with -o"
                )
            self.remove()
        self._made = [folder for folder in self.path.parents if not folder.exists()]
        self.path.mkdir(parents=True, exist_ok=True)

    def _finished(self) -> int:
        """How many segments, from the first on, are whole and have the state that follows them."""
        count = 0
        while self.segment(count).exists():
            count += 1
        while count and not self.state(count).exists():
            count -= 1
        return count

    def finish_segment(self, index: int) -> None:
        """Remove the state that a finished segment began with."""
        self.state(index).unlink(missing_ok=True)

    def remove_if_empty(self) -> bool:
        """Remove the folder unless it holds a finished segment, and say whether it was removed."""
        if self._finished():
            return False
        self.remove()
        with suppress(OSError):  # Others may have put something there.
            for folder in self._made:
                folder.rmdir()
        return True

    def remove(self) -> None:
        """Remove the folder with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)


def _write_settings(note: Path, settings: Mapping[str, Any]) -> None:
    with replacing(note) as temporary:
        temporary.write_text(json.dumps(settings, sort_keys=True, default=str), "utf-8")


def _read_settings(note: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(note.read_text(encoding="utf-8")))
    except (TypeError, ValueError) as error:
        raise OutputError(
            f"{note}: damaged, start over with --overwrite and without --resume"
        ) from error


def _check_settings(note: Path, before: dict[str, Any], settings: Mapping[str, Any]) -> None:
    now = json.loads(json.dumps(settings, default=str))
    differing = [
        key
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key) and key != "end"
    ]
    if differing:
        raise OutputError(
            f"{note.parent}: begun with another {', '.join(differing)}: repeat its "
            "options, or start over with --overwrite and without --resume"
        )
