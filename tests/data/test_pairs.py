"""Files of pairs: the three pictures of an item stay aligned, and damaged files are named."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from enhance_cli.data.pairs import Pairs, PairSampler, load_pairs, split_pairs
from enhance_cli.errors import DatasetError


def write_pairs(path: Path, count: int = 2, side: int = 16) -> Pairs:
    """Small pictures in which every pixel is different, enlarged twice by nearest neighbours."""
    pixels = torch.arange(count * 3 * side * side).reshape(count, 3, side, side) % 251
    small = pixels.to(torch.uint8)
    large = small.repeat_interleave(2, -1).repeat_interleave(2, -2)
    pairs = Pairs(small, large, 255 - large, 19 + torch.arange(count))
    save_file({name: tensor.contiguous() for name, tensor in pairs._asdict().items()}, path)
    return pairs


def test_the_three_squares_show_the_same_place(tmp_path: Path) -> None:
    write_pairs(tmp_path / "a.safetensors")
    write_pairs(tmp_path / "b.safetensors", count=3)
    pairs = load_pairs(tmp_path)
    assert len(pairs.input) == 5
    generator = torch.Generator().manual_seed(0)
    batch = PairSampler(pairs, patch=5, border=2).batch(32, generator)
    assert batch.input.shape == (32, 3, 5, 5)
    large = batch.input.repeat_interleave(2, -1).repeat_interleave(2, -2)
    torch.testing.assert_close(batch.teacher, large)
    torch.testing.assert_close(batch.truth, 1 - large)
    assert len({tuple(item.flatten().tolist()) for item in batch.input}) > 24


def test_every_twentieth_photograph_is_held_out(tmp_path: Path) -> None:
    pairs = write_pairs(tmp_path / "a.safetensors", count=4)
    train, held = split_pairs(pairs)
    assert train.photo.tolist() == [19, 21, 22]
    assert train.input.equal(pairs.input[[0, 2, 3]])
    assert held.truth.equal(pairs.truth[[1]])
    with pytest.raises(DatasetError, match="too few photographs"):
        split_pairs(held)


def test_files_that_hold_no_pairs_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no pairs in this folder"):
        load_pairs(tmp_path)
    (tmp_path / "a.safetensors").write_bytes(b"no file of pairs")
    with pytest.raises(DatasetError, match=r"a\.safetensors: no file of pairs"):
        load_pairs(tmp_path)
    write_pairs(tmp_path / "a.safetensors")
    write_pairs(tmp_path / "b.safetensors", side=8)
    with pytest.raises(DatasetError, match=r"b\.safetensors: its pictures do not fit"):
        load_pairs(tmp_path)
    (tmp_path / "b.safetensors").unlink()
    with pytest.raises(DatasetError, match="hold no patch of 20"):
        PairSampler(load_pairs(tmp_path), patch=20)
