"""Training patches: aligned, fairly drawn, repeatable."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from enhance_cli.data.patches import (
    PatchSampler,
    crop_to_multiple,
    load_photos,
    small_copies,
    soft_copies,
)
from enhance_cli.errors import DatasetError, InputError
from enhance_cli.resize import imresize

CPU = torch.device("cpu")


def texture(height: int, width: int, seed: int = 0) -> Tensor:
    """Strong detail at LR scale that stays away from black and white: nothing saturates."""
    generator = torch.Generator().manual_seed(seed)
    rough = torch.rand(3, -(-height // 4), -(-width // 4), generator=generator)
    smooth = imresize(rough, 4)[:, :height, :width].clamp(0, 1)
    return (64 + 128 * smooth).round().to(torch.uint8)


def coordinates(height: int, width: int) -> Tensor:
    """Red is the column, green the row, blue nothing."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([columns, rows, torch.zeros_like(rows)]).to(torch.uint8)


def draw(sampler: PatchSampler, count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    return sampler.batch(count, torch.Generator().manual_seed(seed))


def orientation(patch: Tensor) -> tuple[int, int, int]:
    """Which way a ``coordinates`` patch is turned: one of eight triples."""
    across = (patch[:, 0, 1] - patch[:, 0, 0]).mul(255).round().int().tolist()
    down = (patch[:, 1, 0] - patch[:, 0, 0]).mul(255).round().int().tolist()
    return across[0], across[1], down[0] or down[1]


@pytest.mark.parametrize("scale", [2, 4])
def test_lr_patch_is_the_downscaled_hr_patch(scale: int) -> None:
    photos = [texture(101, 90), texture(77, 130, seed=1)]
    sampler = PatchSampler(photos, scale, 10, CPU)
    frame_lr, frame_hr = draw(sampler, 200)
    assert frame_lr.shape == (200, 3, 10, 10)
    assert frame_hr.shape == (200, 3, 10 * scale, 10 * scale)
    inner = slice(2, -2)
    made = imresize(frame_hr, 1 / scale)[..., inner, inner]
    error = (made - frame_lr[..., inner, inner]).abs().mul(255).amax((1, 2, 3))
    assert error.max() < 1.3  # two roundings, the first seen through the kernel's lobes
    for shift in ((0, 1), (1, 0), (0, -1), (-1, 0)):
        shifted = made.roll(shift, (2, 3))
        off = (shifted - frame_lr[..., inner, inner])[..., 1:-1, 1:-1].abs().mul(255)
        assert off.amax((1, 2, 3)).min() > 5  # the test would see a pixel of misalignment


def test_all_eight_orientations_come_equally_often() -> None:
    sampler = PatchSampler([coordinates(64, 80)], 2, 4, CPU)
    frame_lr, frame_hr = draw(sampler, 4000)
    seen = Counter(orientation(patch) for patch in frame_hr)
    assert set(seen) == {(x, 0, y) for x in (-1, 1) for y in (-1, 1)} | {
        (0, x, y) for x in (-1, 1) for y in (-1, 1)
    }
    assert min(seen.values()) > 400  # 500 expected, deviation 21
    for patch_lr, patch_hr in zip(frame_lr[:100], frame_hr[:100], strict=True):
        way = patch_lr[:2, 0, -1] - patch_lr[:2, 0, 0]
        assert torch.equal(way.sign(), (patch_hr[:2, 0, -1] - patch_hr[:2, 0, 0]).sign())


def test_hr_patches_are_cut_from_the_photo_at_multiples_of_the_scale() -> None:
    photo = coordinates(33, 41)
    sampler = PatchSampler([photo], 4, 6, CPU)
    _, frame_hr = draw(sampler, 600)
    whole = frame_hr.mul(255).round().int()
    lows = whole[:, :2].amin((2, 3))
    assert (lows % 4 == 0).all()
    assert (whole[:, :2].amax((2, 3)) - lows == 23).all()
    # 32 x 40 remain: rows 0, 4, 8 and columns 0, 4, ..., 16 are all the places there are.
    assert set(map(tuple, lows.tolist())) == {
        (x, y) for x in range(0, 17, 4) for y in range(0, 9, 4)
    }


def test_a_photo_of_exactly_one_patch() -> None:
    photo = texture(24, 24)
    frame_lr, frame_hr = draw(PatchSampler([photo], 4, 6, CPU), 50)
    turns = {
        tuple(torch.rot90(flipped, quarter, (1, 2)).flatten().tolist())
        for flipped in (photo, photo.flip(2))
        for quarter in range(4)
    }
    drawn = {tuple(patch.mul(255).round().byte().flatten().tolist()) for patch in frame_hr}
    assert drawn == turns
    assert len(turns) == 8
    assert frame_lr.shape == (50, 3, 6, 6)


def test_lr_content_is_that_of_the_whole_photo() -> None:
    """The LR patch's border knows what lies outside the HR patch, as in a benchmark's LR file."""
    photo = texture(64, 64)
    whole = imresize(photo, 1 / 4).float() / 255
    frame_lr, _ = draw(PatchSampler([photo], 4, 5, CPU), 40)
    windows = whole.unfold(1, 5, 1).unfold(2, 5, 1).permute(1, 2, 0, 3, 4).reshape(-1, 3, 5, 5)
    turned = torch.cat(
        [
            torch.rot90(flipped, quarter, (2, 3))
            for flipped in (windows, windows.flip(3))
            for quarter in range(4)
        ]
    )
    for patch in frame_lr:
        assert (turned == patch).flatten(1).all(1).any()


def test_same_generator_state_same_batch() -> None:
    photos = [texture(40, 50), texture(60, 44, seed=1)]
    first, second = (PatchSampler(photos, 2, 8, CPU) for _ in range(2))
    for left, right in zip(draw(first, 9, seed=5), draw(second, 9, seed=5), strict=True):
        assert torch.equal(left, right)
    assert not torch.equal(draw(first, 9, seed=5)[1], draw(first, 9, seed=6)[1])
    generator = torch.Generator().manual_seed(5)
    batches = [first.batch(9, generator)[1] for _ in range(2)]
    assert not torch.equal(*batches)
    torch.manual_seed(1)
    again = draw(first, 9, seed=5)[1]
    torch.manual_seed(2)
    assert torch.equal(draw(first, 9, seed=5)[1], again), "global random numbers are used"


def test_shares_of_a_batch_make_the_batch() -> None:
    """What several processes take by ``share`` is the batch of one, nothing twice."""
    sampler = PatchSampler([texture(64, 64)], 2, 8, CPU)
    whole = draw(sampler, 10)[1]
    for count in (2, 3):
        shares = [draw(sampler, 10)[1][slice(rank, None, count)] for rank in range(count)]
        rows = torch.cat(shares)
        order = torch.cat([torch.arange(10)[slice(rank, None, count)] for rank in range(count)])
        assert sorted(order.tolist()) == list(range(10))
        assert torch.equal(rows, whole[order])


def test_photos_are_drawn_by_area() -> None:
    photos = [
        torch.full((3, 32, side), value, dtype=torch.uint8)
        for side, value in ((32, 10), (96, 20), (64, 30))
    ]
    _, frame_hr = draw(PatchSampler(photos, 2, 8, CPU), 6000)
    drawn = Counter(frame_hr[:, 0, 0, 0].mul(255).round().int().tolist())
    for value, share in ((10, 1 / 6), (20, 3 / 6), (30, 2 / 6)):
        deviation = (6000 * share * (1 - share)) ** 0.5
        assert abs(drawn[value] - 6000 * share) < 4 * deviation


def test_patches_never_cross_from_one_photo_into_the_next() -> None:
    photos = [
        torch.full((3, height, width), value, dtype=torch.uint8)
        for height, width, value in ((17, 40, 10), (40, 17, 200), (33, 29, 90))
    ]
    frame_lr, frame_hr = draw(PatchSampler(photos, 2, 8, CPU), 400)
    for patch_lr, patch_hr in zip(frame_lr, frame_hr, strict=True):
        assert len(patch_hr.unique()) == 1
        assert torch.equal(patch_lr.unique(), patch_hr.unique())


def test_small_photos_are_left_out() -> None:
    small = [torch.zeros(3, 31, 500, dtype=torch.uint8), torch.zeros(3, 500, 31, dtype=torch.uint8)]
    large = torch.full((3, 32, 35), 50, dtype=torch.uint8)
    _, frame_hr = draw(PatchSampler([*small, large], 4, 8, CPU), 100)
    assert frame_hr.min() == frame_hr.max() == 50 / 255
    with pytest.raises(DatasetError, match="32x32"):
        PatchSampler(small, 4, 8, CPU)
    with pytest.raises(DatasetError):
        PatchSampler([], 4, 8, CPU)


def test_values_are_8_bit_levels_over_255() -> None:
    frame_lr, frame_hr = draw(PatchSampler([texture(40, 40)], 2, 8, CPU), 20)
    for frame in (frame_lr, frame_hr):
        assert frame.dtype == torch.float32
        assert torch.equal(frame, (frame * 255).round() / 255)
        assert 0.2 < frame.min() < frame.max() < 0.8


@pytest.mark.parametrize(("size", "cut"), [((7, 9), (4, 8)), ((8, 4), (8, 4)), ((3, 5), (0, 4))])
def test_crop_to_multiple(size: tuple[int, int], cut: tuple[int, int]) -> None:
    image = torch.rand(2, 3, *size)
    assert torch.equal(crop_to_multiple(image, 4), image[..., : cut[0], : cut[1]])


def write(path: Path, image: Tensor) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(path)


def test_load_photos_finds_all_in_name_order(tmp_path: Path) -> None:
    images = [torch.full((3, 4, 5 + i), 40 * i, dtype=torch.uint8) for i in range(4)]
    for name, image in zip(["b/2.png", "a/1.bmp", "c.png", "d.PNG"], images, strict=True):
        write(tmp_path / name, image)
    (tmp_path / "manifest.csv").write_text("not a picture")
    loaded = load_photos(tmp_path)
    assert [photo.shape[2] for photo in loaded] == [6, 5, 7, 8]
    for photo, image in zip(loaded, (images[i] for i in (1, 0, 2, 3)), strict=True):
        assert torch.equal(photo, image)
    assert [photo.shape[2] for photo in load_photos(tmp_path, limit=2)] == [6, 5]


def test_load_photos_makes_rgb_of_grey_and_palette(tmp_path: Path) -> None:
    grey = np.arange(48, dtype=np.uint8).reshape(6, 8)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(grey).convert("P").save(tmp_path / "palette.png")
    for photo in load_photos(tmp_path):
        assert photo.dtype == torch.uint8
        assert torch.equal(photo, torch.tensor(grey).expand(3, 6, 8))


def test_load_photos_needs_a_picture(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(DatasetError, match="no pictures"):
        load_photos(tmp_path)
    with pytest.raises(DatasetError, match="absent: no such folder"):
        load_photos(tmp_path / "absent")


def test_load_photos_names_all_that_are_damaged(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_text("no picture")
    with pytest.raises(InputError) as caught:
        load_photos(tmp_path)
    assert "a.png" in str(caught.value)
    assert "b.png" in str(caught.value)


def test_load_photos_names_the_file_that_is_damaged(tmp_path: Path) -> None:
    write(tmp_path / "a.png", texture(8, 8))
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    with pytest.raises(InputError, match=r"b\.png"):
        load_photos(tmp_path)


def test_flat_patches_are_dropped_and_the_others_stay_pairs() -> None:
    """Half of each picture is flat, and so are half of its patches, more or less."""
    photos = [torch.cat([texture(64, 96, seed), torch.full((3, 64, 96), 90)], 2) for seed in (0, 1)]
    photos = [photo.to(torch.uint8) for photo in photos]
    flat = [
        int((frame_hr.flatten(1).std(1) < 0.02).sum())
        for share in (0.0, 0.5)
        for _, frame_hr in [draw(PatchSampler(photos, 2, 8, CPU, share), 40)]
    ]
    assert flat[0] > 10 and flat[1] <= 4
    frame_lr, frame_hr = draw(PatchSampler(photos, 2, 8, CPU, 0.5), 40)
    assert len(frame_lr) == len(frame_hr) == 40
    assert (imresize(frame_hr, 0.5) - frame_lr)[..., 3:-3, 3:-3].abs().max() < 0.02


def test_soft_copies_have_their_share_of_pixels_and_less_detail() -> None:
    photos = [texture(200, 240), texture(120, 100)]
    assert soft_copies(photos, 0.0, 0) == []
    copies = soft_copies(photos, 0.3, 0)
    for photo, copy in zip(photos, copies, strict=True):
        share = copy[0].numel() / (copy[0].numel() + photo[0].numel())
        assert share == pytest.approx(0.3, abs=0.01)
        steps, soft = (part.float().diff().abs().mean() for part in (photo, copy))
        assert soft < 0.9 * steps
    assert all(torch.equal(*pair) for pair in zip(copies, soft_copies(photos, 0.3, 0), strict=True))


def test_small_copies_are_whole_pictures_of_sizes_spread_over_the_range() -> None:
    photos = [texture(200, 240), texture(120, 100)]
    assert small_copies(photos, 0, 0) == []
    copies = small_copies(photos, 2, 0)
    for index, photo in enumerate(photos):
        factors = [copy.shape[-1] / photo.shape[-1] for copy in copies[index :: len(photos)]]
        assert 0.49 < factors[0] < 0.71 and 0.69 < factors[1] < 0.91
        for copy, factor in zip(copies[index :: len(photos)], factors, strict=True):
            assert copy.shape[-2] == pytest.approx(photo.shape[-2] * factor, abs=1)
            assert copy.float().mean() == pytest.approx(float(photo.float().mean()), abs=1)
    assert all(torch.equal(*pair) for pair in zip(copies, small_copies(photos, 2, 0), strict=True))
