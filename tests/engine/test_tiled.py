"""The tiling law, exactness, padding, and shrinking when memory ends."""

import itertools
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from enhance_cli.architectures.enhancenet import EnhanceNet, EnhanceNetConfig
from enhance_cli.architectures.spec import Contract
from enhance_cli.engine.grids import GRIDS
from enhance_cli.engine.merging import MERGERS, MergeSettings, tile_weights
from enhance_cli.engine.runnable import Runnable
from enhance_cli.engine.tiled import TilePlan, run_tiled, tile_side
from enhance_cli.errors import DeviceError, UnknownNameError, UsageError

CPU = torch.device("cpu")
IDENTITY = Contract(scale=1, halo=3)
# Smaller than any tile, a line, and odd by a multiple of the tiles.
SIZES = [(1, 1), (1, 40), (37, 64)]


def picture(height: int, width: int, channels: int = 3) -> Tensor:
    return torch.rand(channels, height, width, generator=torch.Generator().manual_seed(1))


def enlarge(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2, mode="nearest")


@pytest.mark.parametrize(("grid", "merger"), [*itertools.product(GRIDS, MERGERS)])
@pytest.mark.parametrize("size", SIZES)
def test_identity_through_any_tiling(grid: str, merger: str, size: tuple[int, int]):
    image = picture(*size)
    for tile, batch in ((16, 1), (17, 3), (0, 1)):
        plan = TilePlan(tile=tile, grid=grid, merger=merger, overlap=6, batch=batch)
        result = run_tiled(Runnable(lambda x: x, IDENTITY, CPU), image, plan)
        torch.testing.assert_close(result, image, rtol=0, atol=2e-6)


@pytest.mark.parametrize("power", [0, 2, 300])
def test_identity_at_any_power_of_inverse_distance(power: float):
    image = picture(70, 41)
    plan = TilePlan(tile=17, grid="even", merger="inverse-distance", overlap=6, power=power)
    result = run_tiled(Runnable(lambda x: x, IDENTITY, CPU), image, plan)
    torch.testing.assert_close(result, image, rtol=0, atol=2e-6)


@pytest.mark.parametrize("merger", MERGERS)
@pytest.mark.parametrize("size", SIZES)
def test_enlarging_identity(merger: str, size: tuple[int, int]):
    image = picture(*size)
    plan = TilePlan(tile=16, merger=merger, overlap=6, batch=2)
    result = run_tiled(Runnable(enlarge, replace(IDENTITY, scale=2), CPU), image, plan)
    torch.testing.assert_close(result, enlarge(image[None])[0], rtol=0, atol=2e-6)


@pytest.mark.parametrize("levels", [torch.uint8, torch.uint16])
@pytest.mark.parametrize("merger", MERGERS)
def test_levels_come_back_unchanged(levels: torch.dtype, merger: str):
    top = torch.iinfo(levels).max
    stored = (picture(41, 53) * top).round()
    plan = TilePlan(tile=16, merger=merger, overlap=6)
    result = run_tiled(Runnable(lambda x: x, IDENTITY, CPU), stored / top, plan, levels=levels)
    assert result.dtype == levels
    assert (result.int() == stored.int()).all()


@pytest.mark.parametrize("multiple", [2, 8])
@pytest.mark.parametrize("size", SIZES)
def test_networks_with_a_size_multiple_see_only_multiples(multiple: int, size: tuple[int, int]):
    seen = []

    def network(x: Tensor) -> Tensor:
        seen.append(tuple(x.shape[-2:]))
        return x

    contract = Contract(scale=1, halo=4, size_multiple=multiple)
    image = picture(*size)
    result = run_tiled(Runnable(network, contract, CPU), image, TilePlan(tile=33))
    torch.testing.assert_close(result, image)
    assert all(side % multiple == 0 for shape in seen for side in shape)


@pytest.mark.parametrize("size", [(1, 1), (33, 90)])
def test_networks_with_a_patch_size_see_only_patches(size: tuple[int, int]):
    seen = set()

    def network(x: Tensor) -> Tensor:
        seen.add(tuple(x.shape[-2:]))
        return x

    contract = Contract(scale=1, patch_size=32, tiling="blended")
    for merger in ("average", "inverse-distance", "feather"):
        image = picture(*size)
        result = run_tiled(Runnable(network, contract, CPU), image, TilePlan(merger=merger))
        torch.testing.assert_close(result, image)
    assert seen == {(32, 32)}


def test_patches_are_merged_by_inverse_distance_unless_asked_otherwise():
    """Thesis 000, eq. 16 with p = 2, its baseline (ch. 7)."""
    contract = Contract(scale=1, patch_size=32, tiling="blended")
    count = iter(range(1, 100))
    network = Runnable(lambda x: torch.full_like(x, next(count)), contract, CPU)
    made = run_tiled(network, picture(32, 50), TilePlan(batch=1))
    count = iter(range(1, 100))
    plan = TilePlan(merger="inverse-distance", power=2.0, batch=1)
    torch.testing.assert_close(run_tiled(network, picture(32, 50), plan), made)
    assert 1 < made[0, 16, 25] < 2


def test_small_pictures_are_continued_by_reflection():
    seen = []
    contract = Contract(scale=1, patch_size=8, tiling="blended")
    image = torch.tensor([[[1.0, 2.0, 3.0]]])
    run_tiled(Runnable(lambda x: seen.append(x) or x, contract, CPU), image, TilePlan())
    assert seen[0][0, 0, 0].tolist() == [1, 2, 3, 2, 1, 2, 3, 2]
    assert (seen[0][0, 0] == seen[0][0, 0, 0]).all()


def random_network(scale: int) -> EnhanceNet:
    torch.manual_seed(3)
    network = EnhanceNet(EnhanceNetConfig(scale=scale, channels=6)).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.08)
    return network


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("grid", GRIDS)
def test_tiled_equals_whole_for_a_fully_convolutional_network(scale: int, grid: str):
    network = random_network(scale)
    image = picture(108, 161)
    with torch.no_grad():
        whole = network(image[None])[0]
    for tile in (92, 101):
        result = run_tiled(
            Runnable(network, network.contract, CPU), image, TilePlan(tile=tile, grid=grid)
        )
        torch.testing.assert_close(result, whole, rtol=1e-4, atol=1e-4 * float(whole.std()))


def test_a_halo_one_pixel_short_is_not_exact():
    # The law above must be able to fail, or it proves nothing about the halo.
    network = random_network(4)
    image = picture(60, 133)
    whole = network(image[None])[0].detach()
    short = replace(network.contract, halo=8)
    result = run_tiled(Runnable(network, short, CPU), image, TilePlan(tile=50))
    assert (result - whole).abs().max() > 1e-3 * whole.std()


def test_only_a_batch_of_tiles_is_given_to_the_network():
    shapes = []

    def network(x: Tensor) -> Tensor:
        shapes.append(x.shape)
        return x

    run_tiled(
        Runnable(network, IDENTITY, CPU), picture(300, 200), TilePlan(tile=32, grid="even", batch=4)
    )
    assert max(shape[0] for shape in shapes) == 4
    assert all(shape[-2:] == (32, 32) for shape in shapes)


def test_tiles_that_do_not_hold_the_halo_are_refused():
    with pytest.raises(UsageError, match="--tile 6: must be at least 12"):
        run_tiled(Runnable(lambda x: x, IDENTITY, CPU), picture(50, 50), TilePlan(tile=6))


def test_tiles_that_nobody_chose_hold_any_halo():
    seen = []
    model = Runnable(
        lambda x: seen.append(x.shape) or x, replace(IDENTITY, halo=150, size_multiple=8), CPU
    )
    image = picture(8, 2000)
    assert run_tiled(model, image, TilePlan()).equal(image)
    assert len(seen) > 1
    assert 300 < max(shape[-1] for shape in seen) <= tile_side(TilePlan(), model) == 900


def test_networks_that_must_see_all_are_not_tiled():
    contract = Contract(scale=1, tiling="forbidden")
    shapes = []
    image = picture(700, 9)
    run_tiled(Runnable(lambda x: shapes.append(x.shape) or x, contract, CPU), image, TilePlan())
    assert shapes == [(1, 3, 700, 9)]
    with pytest.raises(UsageError, match="whole picture"):
        run_tiled(Runnable(lambda x: x, contract, CPU), image, TilePlan(tile=64))


@pytest.mark.parametrize("plan", [TilePlan(grid="hex"), TilePlan(merger="median")])
def test_unknown_names_list_the_known(plan: TilePlan):
    with pytest.raises(UnknownNameError, match="choose from"):
        run_tiled(Runnable(lambda x: x, IDENTITY, CPU), picture(5, 5), plan)


class Cramped:
    """An identity that has memory for so many pixels at once."""

    def __init__(self, pixels: int, error: Exception) -> None:
        self.pixels, self.error, self.calls = pixels, error, []

    def __call__(self, x: Tensor) -> Tensor:
        self.calls.append(tuple(x.shape))
        if x.shape[0] * x.shape[2] * x.shape[3] > self.pixels:
            raise self.error
        return x


OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
    MemoryError(),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: type(error).__name__)
def test_out_of_memory_halves_the_batch_then_the_tile(error: Exception):
    network = Cramped(32 * 32, error)
    image = picture(150, 130)
    notices = []
    plan = TilePlan(tile=64, grid="even", batch=4)
    result = run_tiled(Runnable(network, IDENTITY, CPU), image, plan, notice=notices.append)
    torch.testing.assert_close(result, image)
    shapes = [shape for shape, _ in itertools.groupby(network.calls)]
    assert [(n, h) for n, _, h, _ in shapes] == [(4, 64), (2, 64), (1, 64), (1, 32)]
    assert len(notices) == 3
    assert "2 tiles of 64 pixels" in notices[0]
    assert "1 tile of 32 pixels" in notices[2]


def test_out_of_memory_at_the_smallest_tile_is_told():
    network = Cramped(1, MemoryError())
    with pytest.raises(DeviceError, match="even with 1 tile of 16 pixels"):
        run_tiled(Runnable(network, IDENTITY, CPU), picture(50, 50), TilePlan(tile=32))


def test_other_errors_are_not_taken_for_memory():
    def network(x: Tensor) -> Tensor:
        raise RuntimeError("shape mismatch")

    with pytest.raises(RuntimeError, match="shape mismatch"):
        run_tiled(Runnable(network, IDENTITY, CPU), picture(5, 5), TilePlan())


def test_tiles_that_overflow_in_reduced_precision_run_again_in_fp32():
    precisions = []

    def network(x: Tensor) -> Tensor:
        reduced = torch.is_autocast_enabled("cpu")
        precisions.append((reduced, x.shape[0]))
        if not reduced:
            return x
        broken = x.amax((1, 2, 3), keepdim=True) > 0.9999
        return torch.where(broken, torch.full_like(x, torch.nan), x)

    image = picture(40, 40) * 0.9
    image[0, 2, 3] = 1  # makes the first of four tiles fail
    plan = TilePlan(tile=23, grid="even", merger="average", overlap=0, batch=4)
    result = run_tiled(Runnable(network, IDENTITY, CPU, torch.bfloat16), image, plan)
    torch.testing.assert_close(result, image)
    assert precisions == [(True, 4), (False, 1)]


def test_progress_counts_every_input_pixel_once():
    seen = []
    run_tiled(
        Runnable(lambda x: x, IDENTITY, CPU),
        picture(60, 50),
        TilePlan(tile=32, batch=2),
        progress=lambda done, total: seen.append((done, total)),
    )
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert seen[-1][0] == seen[-1][1]


def test_inverse_distance_weights_by_hand():
    # Thesis 000, eq. 16 with p = 2: the ratio of two weights is that of the squared distances.
    weights = tile_weights("inverse-distance", 4, 4, (True,) * 4, MergeSettings(power=2))
    near, far = 0.5**2 + 0.5**2, 1.5**2 + 1.5**2
    assert float(weights[0, 0] / weights[1, 1]) == pytest.approx(near / far)
    flat = tile_weights("inverse-distance", 5, 8, (True,) * 4, MergeSettings(power=0))
    assert (flat == 1).all()


def test_two_overlapping_tiles_mix_by_eq_16():
    # Two 1-row tiles of constants 0 and 1; pixel 3 lies 1.5 from the first centre, 0.5 from the
    # second (both tiles 4 wide, starts 0 and 2): weight 1/2.25 against 1/0.25.
    calls = iter([0.0, 1.0])
    contract = Contract(scale=1, channels_in=1, channels_out=1, tiling="blended")
    plan = TilePlan(tile=4, grid="even", merger="inverse-distance", overlap=2, power=2)
    result = run_tiled(
        Runnable(lambda x: torch.full_like(x, next(calls)), contract, CPU),
        torch.zeros(1, 1, 6),
        plan,
    )
    expected = (1 / 0.25) / (1 / 0.25 + 1 / 2.25)
    assert float(result[0, 0, 3]) == pytest.approx(expected)
