"""Sets of small pictures: their splits, and files that are not what they should be."""

import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from enhance_cli.data.picture_sets import (
    FACES_FILE,
    PICTURE_SETS,
    find_picture_set,
    read_colour_digits,
    read_digits,
    read_faces,
    read_small_faces,
)
from enhance_cli.errors import DatasetError


def jpeg(value: int, side: int = 64) -> bytes:
    file = BytesIO()
    Image.new("RGB", (side, side), (value, 2 * value % 256, 128)).save(file, "JPEG", quality=95)
    return file.getvalue()


def write_digits(folder: Path) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    arrays = {
        "x_train": rng.integers(0, 256, (25, 28, 28), dtype=np.uint8),
        "y_train": np.zeros(25, np.uint8),
        "x_test": rng.integers(0, 256, (4, 28, 28), dtype=np.uint8),
        "y_test": np.zeros(4, np.uint8),
    }
    np.savez(folder / "mnist.npz", **arrays)
    return arrays


def write_faces(folder: Path, files: list[bytes]) -> Path:
    offsets = np.cumsum([0, *map(len, files)])
    path = folder / FACES_FILE
    np.savez(path, data=np.frombuffer(b"".join(files), np.uint8), offsets=offsets)
    return path


def test_faces_are_parted_in_order(tmp_path: Path):
    path = write_faces(tmp_path, [jpeg(10 * index) for index in range(10)])
    for given in (path, tmp_path):
        sets = read_faces(given)
        assert [len(part) for part in (sets.train, sets.validation, sets.test)] == [6, 2, 2]
        for index, face in enumerate(torch.cat([sets.train, sets.validation, sets.test])):
            assert face.dtype == torch.uint8 and face.shape == (3, 64, 64)
            wanted = torch.tensor([10 * index, 20 * index % 256, 128])
            assert (face.float().mean((1, 2)) - wanted).abs().max() < 4


def test_digits_keep_their_own_test_set(tmp_path: Path):
    arrays = write_digits(tmp_path)
    sets = read_digits(tmp_path)
    assert (sets.validation[:, 0].numpy() == arrays["x_train"][::6]).all()
    rest = np.delete(arrays["x_train"], np.s_[::6], axis=0)
    assert (sets.train[:, 0].numpy() == rest).all()
    assert (sets.test[:, 0].numpy() == arrays["x_test"]).all()


def test_colour_digits_hold_each_digit_of_their_part_once_in_each_channel(tmp_path: Path):
    write_digits(tmp_path)
    sets, grey = read_colour_digits(tmp_path), read_digits(tmp_path)
    for part, digits in ((sets.train, grey.train), (sets.test, grey.test)):
        assert part.shape == (len(digits), 3, 28, 28) and part.dtype == torch.uint8
        for channel in part.unbind(1):
            order = [int((digits[:, 0] == one).all((1, 2)).nonzero()) for one in channel]
            assert sorted(order) == list(range(len(digits)))
    assert torch.equal(sets.train, read_colour_digits(tmp_path).train)  # no new draw
    assert not torch.equal(sets.train[:, 0], sets.train[:, 1])


def test_small_faces_are_means_of_four_pixels(tmp_path: Path):
    write_faces(tmp_path, [jpeg(10 * index) for index in range(10)])
    large, small = read_faces(tmp_path).test, read_small_faces(tmp_path).test
    assert small.shape == (2, 3, 32, 32) and small.dtype == torch.uint8
    means = functional.avg_pool2d(large.float(), 2)
    assert (small - means).abs().max() <= 0.5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: None, "no such file, give --data the path of faces64.npz"),
        (lambda p: p.write_bytes(b"PK\3\4 rubbish"), "not an npz file, or a damaged one"),
        (lambda p: p.write_bytes(b""), "not an npz file, or a damaged one"),
        (lambda p: np.savez(p, data=np.zeros(3, np.uint8)), "holds no offsets"),
        (
            lambda p: np.savez(p, data=np.zeros(3, np.uint8), offsets=np.array([0, 1, 2])),
            "offsets must rise from 0",
        ),
        (
            lambda p: np.savez(p, data=np.zeros(9, np.float32), offsets=np.arange(10)),
            "data must be uint8",
        ),
        (lambda p: write_faces(p.parent, [jpeg(1)] * 7 + [b"no picture"]), "picture 7 is damaged"),
        (lambda p: write_faces(p.parent, [jpeg(1)] * 7 + [jpeg(1)[:200]]), "picture 7 is damaged"),
        (
            lambda p: write_faces(p.parent, [jpeg(1)] * 7 + [jpeg(1, 32)]),
            "picture 7 has 32x32 pixels",
        ),
    ],
)
def test_a_file_that_holds_no_faces_is_told(tmp_path: Path, make, message: str):
    path = tmp_path / FACES_FILE
    make(path)
    with pytest.raises(DatasetError, match=f"^{re.escape(str(path))}: .*{message}"):
        read_faces(path)


def test_sets_are_found_in_a_root_and_in_its_folder(tmp_path: Path):
    (tmp_path / "a" / "generative").mkdir(parents=True)
    (tmp_path / "b").mkdir()
    one = write_faces(tmp_path / "a" / "generative", [jpeg(1)])
    two = write_faces(tmp_path / "b", [jpeg(1)])
    assert find_picture_set("faces", [tmp_path / "a", tmp_path / "b"]) == one
    assert find_picture_set("faces", [tmp_path / "c", tmp_path / "b"]) == two
    with pytest.raises(DatasetError, match="'mnist' is not in .*--data-root"):
        find_picture_set("mnist", [tmp_path / "a"])


@pytest.mark.parametrize("name", PICTURE_SETS)
def test_the_real_sets(name: str, shared_data: Path):
    sets = PICTURE_SETS[name].read(find_picture_set(name, [shared_data]))
    counts = [50_000, 10_000, 10_000] if "mnist" in name else [3000, 1000, 1000]
    assert [len(part) for part in (sets.train, sets.validation, sets.test)] == counts


def test_no_part_of_the_real_digits_lacks_a_digit(shared_data: Path):
    """The file is sorted by digit: its last 10,000 are eights and nines."""
    torch.manual_seed(0)
    sets = read_digits(find_picture_set("mnist", [shared_data]))
    ink = [
        part[torch.randperm(len(part))[:2000]].float().mean((0, 1))
        for part in (sets.train, sets.validation, sets.test)
    ]
    for mean in ink[1:]:
        assert float((mean - ink[0]).abs().mean()) < 3
