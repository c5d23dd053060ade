"""Geometry of tiles."""

from itertools import pairwise

import pytest

from enhance_cli.engine.grids import GRIDS, Box, make_boxes


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize(("tile", "overlap"), [(32, 0), (32, 5), (48, 46)])
def test_spans_cover_the_axis_and_stay_in_it(name: str, tile: int, overlap: int):
    for length in (*range(1, 130), 257, 1000):
        covered = set()
        for start, size in GRIDS[name](length, tile, overlap):
            assert start >= 0
            assert start + size <= length
            assert size <= tile
            covered |= set(range(start, start + size))
        assert covered == set(range(length))


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize(("tile", "overlap"), [(32, 0), (32, 6), (48, 46)])
def test_neighbours_share_the_overlap(name: str, tile: int, overlap: int):
    for length in (*range(33, 130), 257, 1000):
        for (start, size), (following, next_size) in pairwise(GRIDS[name](length, tile, overlap)):
            # Widened parts smaller than their margin may begin together at the picture's edge.
            assert (start, start + size) < (following, following + next_size)
            clipped = following == 0 or start + size == length
            assert clipped or start + size - following >= overlap


def test_thesis_grids_have_126_and_54_patches():
    # Thesis 000, ch. 6.2 and 7.1.3: strides 146 and 144, or an overlap of 22, on 1424x2128.
    assert len(make_boxes("even", 1424, 2128, 256, (256 - 146, 256 - 144))) == 126
    assert len(make_boxes("even", 1424, 2128, 256, 22)) == 54


def test_the_first_thesis_grid_has_its_strides():
    boxes = make_boxes("even", 1424, 2128, 256, (256 - 146, 256 - 144))
    assert sorted({box.top for box in boxes}) == [146 * index for index in range(9)]
    assert sorted({box.left for box in boxes}) == [144 * index for index in range(14)]


def test_cores_spend_less_on_overlap_than_fixed_tiles():
    def work(name: str) -> int:
        return sum(box.height * box.width for box in make_boxes(name, 300, 500, 128, 46))

    assert work("cores") < work("even") <= work("fixed")


def test_a_tile_that_does_not_hold_the_overlap_is_refused():
    with pytest.raises(ValueError, match="does not hold"):
        make_boxes("even", 100, 100, 16, 16)
    with pytest.raises(ValueError, match="does not hold"):
        make_boxes("cores", 100, 100, 16, 15)


def test_box():
    box = Box(2, 3, 10, 20)
    assert (box.bottom, box.right) == (12, 23)
    assert box.scaled(4) == Box(8, 12, 40, 80)
