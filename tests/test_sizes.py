"""The sizes that users ask for."""

from fractions import Fraction
from pathlib import Path

import pytest

from enhance_cli.errors import InputError, UsageError
from enhance_cli.sizes import WantedSize, enlarged_by, parse_size

INPUT = Path("a.png")


def wanted(text: str) -> WantedSize:
    size = parse_size(None, text)
    assert size is not None
    return size


def test_times_keep_the_shape_of_pixels():
    for text, tag, side in (("2", "_x2", 20), ("1.5", "_x1.5", 15), ("4.0", "_x4", 40)):
        size = parse_size(text, None)
        assert size is not None and size.tag == tag
        made = size.of(INPUT, 10, 20, Fraction(16, 15), turned=True)
        assert (made.rounded(), made.aspect) == ((side, 2 * side), Fraction(16, 15))
    assert parse_size(None, None) is None


def test_lines_and_boxes_count_what_is_shown():
    lines, box = wanted("1080p"), wanted("1920X1080")
    assert (lines.tag, box.tag) == ("_1080p", "_1920x1080")
    assert lines.of(INPUT, 853, 480).rounded() == (1919, 1080)
    assert lines.of(INPUT, 853, 480).rounded(2) == (1920, 1080)
    assert box.of(INPUT, 800, 800).rounded() == (1080, 1080)
    assert box.of(INPUT, 640, 272).rounded() == (1920, 816)
    # PAL in 16:9: 720x576 pixels, each 64/45 as wide as high; the result has square pixels
    wide = box.of(INPUT, 720, 576, Fraction(64, 45))
    assert (wide.rounded(), wide.aspect) == ((1920, 1080), 1)
    # On its side it is shown 576 wide and 1024 high, and is stored as it was.
    assert lines.of(INPUT, 720, 576, Fraction(64, 45), turned=True).rounded(2) == (1080, 608)


def test_rounding_leaves_no_box():
    for width in range(1, 40):
        for size in ("71x71", "70x71", "71x70"):
            across, down = map(int, size.split("x"))
            made = wanted(size).of(INPUT, width, 17)
            assert all(a <= b for a, b in zip(made.rounded(), (across, down), strict=True))
            if width > 1:  # of a pixel in width, two are the least
                assert all(a <= b for a, b in zip(made.rounded(2), (across, down), strict=True))


def test_a_result_that_is_not_larger_is_refused():
    for size in ("720p", "1280x2000", "720x720"):
        with pytest.raises(InputError, match="a.png: shown with 1280x720 pixels, --size"):
            wanted(size).of(INPUT, 1280, 720)


@pytest.mark.parametrize("text", ["1", "0.5", "0", "-2", "two", "nan", "inf", "1e3", ""])
def test_scales_that_cannot_be(text: str):
    with pytest.raises(UsageError, match="must be a number above 1"):
        parse_size(text, None)


@pytest.mark.parametrize("text", ["1080", "p", "0p", "1920x", "x1080", "0x5", "1920x1080p", "4k"])
def test_sizes_that_cannot_be(text: str):
    with pytest.raises(UsageError, match=f"--size {text}: must be WxH"):
        parse_size(None, text)


def test_both_at_once():
    with pytest.raises(UsageError, match="give one of them"):
        parse_size("2", "1080p")


def test_what_is_typed_is_what_is_named():
    assert enlarged_by(4).text == "-x4"
    assert enlarged_by(Fraction(5, 2)).tag == "_x2.5"
