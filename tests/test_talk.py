"""What commands say: progress bars."""

import time
from io import StringIO

from rich.console import Console

from enhance_cli.talk import Bars, Talk


def test_progress_shows_rate_and_what_is_left():
    console = Console(file=StringIO(), force_terminal=True, width=160)
    with Bars(console, shown=True) as bars, bars.bar("a[1].mkv", None, "frames") as bar:
        bar.update(39, None, "frames")
        bars._progress.refresh()
        for done in (40, 41, 42):  # a resumed run found 40 frames done
            bar.update(done, 50, "frames")
            time.sleep(0.01)
        (task,) = bars._progress.tasks
        assert task.time_remaining is not None
        assert 0 < task.speed < 250  # that of the two that were done, not of the 40 found
        bars._progress.refresh()
    shown = console.file.getvalue()
    assert "39 frames" in shown
    assert "a[1].mkv" in shown and "42/50 frames  " in shown and " frames/s" in shown


def test_no_bar_is_drawn_where_none_can_be_seen(capsys):
    with Talk().progress("pictures", 3, "pictures") as bar:
        bar.advance()
    assert capsys.readouterr() == ("", "")
