"""The thesis's strategies: how many patches, where, and that nothing is lost."""

from collections.abc import Iterator
from dataclasses import replace
from unittest import mock

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from enhance_cli.architectures.spec import Contract
from enhance_cli.engine import merging
from enhance_cli.engine.grids import GRIDS, Box, even_spans, make_boxes
from enhance_cli.engine.merging import MERGERS, WEIGHTS, MergeSettings, tile_weights
from enhance_cli.engine.runnable import Runnable
from enhance_cli.engine.strategies import PATCH, STRATEGIES
from enhance_cli.engine.tiled import run_tiled

CPU = torch.device("cpu")
PATCHES = Contract(scale=1, channels_in=4, channels_out=4, patch_size=PATCH, tiling="blended")
FCN = Contract(scale=2, channels_in=4, channels_out=4, halo=107, size_multiple=16)
SIZES = [(1, 1), (257, 256), (401, 259)]


@pytest.fixture(autouse=True)
def fresh_weights() -> Iterator[None]:
    yield
    tile_weights.cache_clear()


def picture(height: int, width: int) -> Tensor:
    return torch.rand(4, height, width, generator=torch.Generator().manual_seed(1))


def enlarge(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2, mode="nearest")


def boxes(name: str, height: int, width: int) -> list[Box]:
    plan = STRATEGIES[name]
    assert plan.grid is not None
    assert plan.overlap is not None
    return make_boxes(plan.grid, height, width, PATCH, plan.overlap)


def test_there_are_four() -> None:
    """Table of ch. 7.1.3: which grid, and which power of the distance."""
    assert {name: plan.power for name, plan in STRATEGIES.items()} == {
        "baseline": 2,
        "faster1": 0,
        "faster2": 2,
        "fastest": 0,
    }
    for plan in STRATEGIES.values():
        assert plan.tile == PATCH
        assert plan.grid in GRIDS
        assert plan.merger in MERGERS


@pytest.mark.parametrize(
    ("name", "count"), [("baseline", 126), ("faster1", 126), ("faster2", 54), ("fastest", 54)]
)
def test_patches_of_a_sony_picture(name: str, count: int) -> None:
    """1424x2128 packed pixels: 126 and 54 patches (ch. 6.2 and 7.1.3), by the run itself."""
    seen: list[Tensor] = []

    def network(x: Tensor) -> Tensor:
        seen.append(x)
        return x[:, :1]

    image = torch.zeros(1, 1424, 2128).expand(4, -1, -1)
    run_tiled(Runnable(network, replace(PATCHES, channels_out=1), CPU), image, STRATEGIES[name])
    assert sum(len(batch) for batch in seen) == count
    assert {tuple(batch.shape[1:]) for batch in seen} == {(4, PATCH, PATCH)}
    assert max(len(batch) for batch in seen) > 1


@pytest.mark.parametrize("name", STRATEGIES)
def test_strides_of_a_sony_picture(name: str) -> None:
    found = boxes(name, 1424, 2128)
    rows, columns = (sorted({getattr(box, side) for box in found}) for side in ("top", "left"))
    down, across = (
        [b - a for a, b in zip(line, line[1:], strict=False)] for line in (rows, columns)
    )
    if name in ("baseline", "faster1"):
        assert (len(rows), len(columns)) == (9, 14)
        assert set(down) == {146}
        assert set(across) == {144}
    else:
        assert (len(rows), len(columns)) == (6, 9)
        assert max(down) <= PATCH - 22
        assert set(across) == {PATCH - 22}
        assert max(down) - min(down) <= 1
    assert (rows[-1], columns[-1]) == (1424 - PATCH, 2128 - PATCH)


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("size", [(256, 257), (777, 1023)])
def test_other_sizes_have_even_strides_to_the_edge(name: str, size: tuple[int, int]) -> None:
    found = boxes(name, *size)
    overlap = STRATEGIES[name].overlap
    both = overlap if isinstance(overlap, tuple) else (overlap, overlap)
    for length, least, line in (
        (size[0], both[0], sorted({box.top for box in found})),
        (size[1], both[1], sorted({box.left for box in found})),
    ):
        assert line[0] == 0
        assert line[-1] == length - PATCH
        strides = [b - a for a, b in zip(line, line[1:], strict=False)]
        if strides:
            assert max(strides) <= PATCH - least
            assert max(strides) - min(strides) <= 1
            # One patch less would not do.
            assert (len(line) - 2) * (PATCH - least) < length - PATCH
    assert all((box.height, box.width) == (PATCH, PATCH) for box in found)


def test_even_spans_for_every_length() -> None:
    for length in range(1, 400):
        spans = even_spans(length, 32, 10)
        starts = [start for start, _ in spans]
        assert starts == sorted(set(starts))
        assert spans[0][0] == 0
        assert sum(spans[-1]) == length
        assert all(later - start <= 22 for start, later in zip(starts, starts[1:], strict=False))


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("size", SIZES)
def test_identity_comes_back(name: str, size: tuple[int, int]) -> None:
    image = picture(*size)
    seen = set()

    def network(x: Tensor) -> Tensor:
        seen.add(tuple(x.shape[-2:]))
        return x

    result = run_tiled(Runnable(network, PATCHES, CPU), image, STRATEGIES[name])
    torch.testing.assert_close(result, image, rtol=0, atol=2e-6)
    assert seen == {(PATCH, PATCH)}


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("size", SIZES)
def test_enlarging_identity_of_a_fully_convolutional_network(
    name: str, size: tuple[int, int]
) -> None:
    image = picture(*size)
    seen = set()

    def network(x: Tensor) -> Tensor:
        seen.add(tuple(x.shape[-2:]))
        return enlarge(x)

    result = run_tiled(Runnable(network, FCN, CPU), image, STRATEGIES[name])
    torch.testing.assert_close(result, enlarge(image[None])[0], rtol=0, atol=2e-6)
    assert all(side % 16 == 0 and side <= PATCH for shape in seen for side in shape)


@pytest.mark.parametrize("name", STRATEGIES)
def test_constants_stay_constants_at_any_level(name: str) -> None:
    """Weights add up to the same everywhere: no grid shows in a flat picture."""
    image = torch.full((4, 300, 517), 0.6)
    result = run_tiled(
        Runnable(lambda x: x, PATCHES, CPU), image, STRATEGIES[name], levels=torch.uint16
    )
    assert len(result.int().unique()) == 1


def test_small_pictures_are_continued_by_reflection() -> None:
    seen: list[Tensor] = []
    image = picture(3, 200)

    def network(x: Tensor) -> Tensor:
        seen.append(x.clone())
        return x

    run_tiled(Runnable(network, PATCHES, CPU), image, STRATEGIES["fastest"])
    (patch,) = seen
    assert torch.equal(patch[0, :, :3, :200], image)
    assert torch.equal(patch[0, :, 3, :200], image[:, 1])
    assert torch.equal(patch[0, :, 4:7, :200], image)  # 0, 1, 2 of the next wave
    assert torch.equal(patch[0, :, :3, 200:], image.flip(2)[:, :, 1:57])


def test_strategies_merge_by_eq_16() -> None:
    """Each patch says its number: the mixture is by 1/d^2, or the plain mean."""

    def numbered() -> object:
        calls = iter(range(100))
        return lambda x: torch.stack([torch.full_like(one, next(calls)) for one in x])

    image = torch.zeros(4, 256, 402)
    for name, power in (("baseline", 2), ("fastest", 0)):
        made = run_tiled(Runnable(numbered(), PATCHES, CPU), image, STRATEGIES[name])  # type: ignore[arg-type]
        lefts = sorted({box.left for box in boxes(name, 256, 402)})
        for row, column in ((0, 150), (128, 170), (200, 250), (9, 400)):
            total = weight = 0.0
            for index, left in enumerate(lefts):
                if left <= column < left + PATCH:
                    squared = (row - 127.5) ** 2 + (column - left - 127.5) ** 2
                    share = squared ** (-power / 2)
                    total, weight = total + share * index, weight + share
            assert float(made[0, row, column]) == pytest.approx(total / weight, abs=1e-4)


@pytest.mark.parametrize("name", STRATEGIES)
def test_weights_are_made_once_for_each_kind_of_place(name: str) -> None:
    """Corners, edges and the inside: nine maps at most, however many patches."""
    merger = STRATEGIES[name].merger
    assert merger is not None
    made = mock.Mock(side_effect=WEIGHTS[merger])
    with mock.patch.dict(merging.WEIGHTS, {merger: made}):
        tile_weights.cache_clear()
        for _ in range(2):
            run_tiled(
                Runnable(lambda x: x, PATCHES, CPU), torch.zeros(4, 900, 700), STRATEGIES[name]
            )
    count = len(boxes(name, 900, 700))
    assert made.call_count <= 9 < count
    assert tile_weights.cache_info().hits == 2 * count - made.call_count


def test_cached_weights_are_not_changed_by_use() -> None:
    settings = MergeSettings(power=2)
    tile_weights.cache_clear()
    before = tile_weights("inverse-distance", PATCH, PATCH, (True,) * 4, settings).clone()
    run_tiled(Runnable(lambda x: x, PATCHES, CPU), picture(600, 600), STRATEGIES["baseline"])
    after = tile_weights("inverse-distance", PATCH, PATCH, (True,) * 4, settings)
    assert torch.equal(before, after)
