"""The dark datasets: layouts, names and lists, and scenes that are the same every time."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from enhance_cli.data.benchmarks import data_roots
from enhance_cli.data.dark_sets import (
    DARK_DATASETS,
    ISO_GRID,
    RATIOS,
    DarkCase,
    DarkScene,
    View,
    load_cases,
)
from enhance_cli.data.darkness import draw_conditions
from enhance_cli.data.sid import load_sid_pairs
from enhance_cli.errors import DatasetError, UsageError
from enhance_cli.io.dng import write_dng
from enhance_cli.io.exposure import Exposure

VIEWS = [
    View(),
    View(half=True),
    View("srgb"),
    View("srgb", half=True),
    View(grey=True),
    View("srgb", grey=True),
]


def photo(path: Path, seed: int, side: int = 32) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def dng(path: Path, level: int, iso: float | None = None, side: int = 32) -> None:
    """A ramp in a DNG under any name: LibRaw goes by what is in a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ramp = 512 + level * (np.arange(side * side).reshape(side, side) % side + 1)
    write_dng(
        path,
        ramp.astype(np.uint16),
        white=16_383,
        black=512,
        exposure=Exposure(iso=iso),
        as_shot_neutral=(0.5, 1.0, 0.625),
        color_matrix=np.eye(3),
    )


def sid(root: Path, *names: str) -> Path:
    for name in names:
        dng(root / "SID" / "Sony" / name, 1 if name.startswith("short") else 100, iso=640)
    return root / "SID"


def assert_equal(first: DarkScene, second: DarkScene) -> None:
    assert torch.equal(first.planes, second.planes)
    assert torch.equal(first.reference(), second.reference())
    assert torch.equal(first.camera_to_srgb, second.camera_to_srgb)
    assert first.gains == second.gains
    if first.mosaic is not None:
        assert first.mosaic.getvalue() == second.mosaic.getvalue()


# --- SID


def test_sid_by_its_lists(tmp_path: Path) -> None:
    root = sid(
        tmp_path,
        "short/10003_00_0.04s.ARW",
        "short/10011_03_0.033s.ARW",
        "long/10003_00_10s.ARW",
        "long/10011_00_30s.ARW",
    )
    (root / "Sony_test_list.txt").write_text(
        "./Sony/short/10003_00_0.04s.ARW ./Sony/long/10003_00_10s.ARW ISO200 F9\n\n"
        "./Sony/short/10011_03_0.033s.ARW ./Sony/long/10011_00_30s.ARW ISO25600 F5.6\n"
    )
    first, second = load_sid_pairs(root, "test")
    assert (first.ratio, first.iso, first.long.name) == (250, 200, "10003_00_10s.ARW")
    assert (second.ratio, second.iso) == (300, 25_600)  # and not 909
    cases = load_cases("sid", View(), [tmp_path])
    assert [(case.name, case.ratio, case.iso) for case in cases] == [
        ("10003_00_0.04s", 250, 200),
        ("10011_03_0.033s", 300, 25_600),
    ]


def test_sid_by_its_names(tmp_path: Path) -> None:
    root = sid(
        tmp_path,
        "short/10003_00_0.1s.ARW",
        "short/10003_01_0.1s.ARW",
        "long/10003_00_10s.ARW",
        "short/00001_00_0.04s.ARW",
        "long/00001_00_10s.ARW",
        "short/20002_00_0.033s.ARW",
        "long/20002_00_10s.ARW",
    )
    assert [pair.short.name for pair in load_sid_pairs(root, "train")] == ["00001_00_0.04s.ARW"]
    assert [pair.ratio for pair in load_sid_pairs(root, "val")] == [300]  # of 303
    test = load_sid_pairs(root, "test")
    assert [pair.ratio for pair in test] == [100, 100]
    assert {pair.long.name for pair in test} == {"10003_00_10s.ARW"}
    assert test[0].iso == 640  # of the file


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("./Sony/short/10003_00_0.1s.ARW ISO200", "Sony_test_list.txt:1: not understood"),
        (
            "./Sony/short/10003_00_0.1s.ARW ./Sony/long/10003_00_10s.ARW ISO200 F9",
            "10003_00_10s.ARW is missing",
        ),
        (
            "./Sony/short/10003_00_0.1s.ARW ./Sony/long/bright.ARW ISO200 F9",
            "not a name of the SID",
        ),
        ("./Sony/short/10003_00_0s.ARW ./Sony/long/10003_00_10s.ARW ISO200 F9", "not a name of"),
        (
            "./Sony/short/10004_00_1s.ARW ./Sony/long/10004_00_9s.ARW ISO200 F9",
            "and 1 more files are missing",
        ),
    ],
)
def test_sid_that_is_incomplete(line: str, text: str, tmp_path: Path) -> None:
    root = sid(tmp_path, "short/10003_00_0.1s.ARW")
    (root / "Sony_test_list.txt").write_text(line + "\n")
    with pytest.raises(DatasetError, match=text):
        load_sid_pairs(root, "test")


def test_sid_without_a_long_exposure_or_anything(tmp_path: Path) -> None:
    root = sid(tmp_path, "short/10003_00_0.1s.ARW")
    with pytest.raises(DatasetError, match="no long exposure of this scene"):
        load_sid_pairs(root, "test")
    with pytest.raises(DatasetError, match="no pairs for val"):
        load_sid_pairs(root, "val")


@pytest.mark.parametrize("view", VIEWS)
def test_sid_scenes(view: View, tmp_path: Path) -> None:
    sid(tmp_path, "short/10003_00_0.1s.ARW", "long/10003_00_10s.ARW")
    (case,) = load_cases("sid", view, [tmp_path])
    scene = case.load()
    reference = scene.reference()
    side = 16 if view.half else 32
    assert reference.shape == (1 if view.grey else 3, side, side)
    assert scene.planes.shape == ((4, 16, 16) if view.source == "raw" else (3, side, side))
    assert scene.gains == ((2, 1, pytest.approx(1.6)) if view.source == "raw" else (1, 1, 1))
    if view.source == "raw":  # the long exposure is a hundred times as bright as the short one
        linear = (scene.planes[0] * 2 * 100).clamp(max=1)
        torch.testing.assert_close(scene.clean[0, ::2, ::2], linear, atol=1e-4, rtol=0)


def test_sid_exposures_of_different_sizes(tmp_path: Path) -> None:
    sid(tmp_path, "short/10003_00_0.1s.ARW")
    dng(tmp_path / "SID/Sony/long/10003_00_10s.ARW", 100, side=40)
    (case,) = load_cases("sid", View(), [tmp_path])
    with pytest.raises(DatasetError, match="40x40 pixels, but"):
        case.load()


# --- LOL


def test_lol(tmp_path: Path) -> None:
    for kind, seed in (("low", 0), ("high", 1)):
        for name in ("1", "22"):
            photo(tmp_path / "LOL" / "eval15" / kind / f"{name}.png", seed)
    cases = load_cases("lol", View("srgb"), [tmp_path])
    assert [(case.name, case.ratio, case.iso) for case in cases] == [
        ("1", None, None),
        ("22", None, None),
    ]
    scene = cases[0].load()
    bright = np.array(Image.open(tmp_path / "LOL/eval15/high/1.png")).transpose(2, 0, 1) / 255
    np.testing.assert_allclose(scene.reference(), bright, atol=1e-5)
    assert scene.planes.min() >= 0
    photo(tmp_path / "LOL" / "eval15" / "low" / "1.png", 0, side=24)
    with pytest.raises(DatasetError, match="24x24 pixels, but"):
        cases[0].load()
    with pytest.raises(UsageError, match="lol has no raw input"):
        load_cases("lol", View(), [tmp_path])
    (tmp_path / "LOL" / "eval15" / "low" / "1.png").unlink()
    with pytest.raises(DatasetError, match="no picture of this name"):
        load_cases("lol", View("srgb"), [tmp_path])


# --- synthetic-dark


def synthetic(root: Path, count: int, view: View) -> list[DarkCase]:
    for index in range(count):
        photo(root / "photos_val" / f"p{index}.png", index)
    return load_cases("synthetic-dark", view, [root])


def test_synthetic_grid(tmp_path: Path) -> None:
    cases = synthetic(tmp_path, 6, View())
    assert [case.name for case in cases[:4]] == ["p0-100", "p0-250", "p0-300", "p1-100"]
    taken = {(case.ratio, case.iso) for case in cases}
    assert taken == {(ratio, iso) for ratio in RATIOS for iso in ISO_GRID}


@pytest.mark.parametrize("view", VIEWS)
def test_synthetic_scenes_are_fixed(view: View, tmp_path: Path) -> None:
    alone = synthetic(tmp_path, 1, view)[2].load()
    cases = synthetic(tmp_path, 3, view)
    for index in (5, 0, 2):
        again = cases[index].load()
    assert_equal(alone, again)
    assert not torch.equal(cases[1].load().planes, again.planes)


def test_synthetic_scene_is_the_photograph(tmp_path: Path) -> None:
    for view in (View(), View("srgb")):
        case = synthetic(tmp_path, 1, view)[0]
        pixels = np.array(Image.open(tmp_path / "photos_val/p0.png")).transpose(2, 0, 1) / 255
        reference = case.load().reference().numpy()
        # Colours that the camera's gamut has not are clipped, most are not.
        assert np.median(np.abs(reference - pixels)) < 0.01
    scene = synthetic(tmp_path, 1, View())[0].load()
    assert scene.planes.mean() * case.ratio < 2


def test_views_share_the_camera_unless_it_is_the_only_one(tmp_path: Path) -> None:
    full, half = (synthetic(tmp_path, 1, view)[0].load() for view in (View(), View(half=True)))
    assert not torch.equal(full.camera_to_srgb, half.camera_to_srgb)
    assert half.reference().shape == (3, 16, 16)


def test_photographs_too_small(tmp_path: Path) -> None:
    photo(tmp_path / "photos_val" / "a.png", 0, side=20)
    with pytest.raises(DatasetError, match="at least 22x22"):
        load_cases("synthetic-dark", View(), [tmp_path])[0].load()


# --- where they are


@pytest.mark.parametrize("name", DARK_DATASETS)
def test_absent_datasets_say_what_to_put_where(name: str, tmp_path: Path) -> None:
    view = View(DARK_DATASETS[name].sources[0])
    with pytest.raises(DatasetError, match=f"'{name}' is not in .*: put .* there or name its"):
        load_cases(name, view, [tmp_path])


def test_found_beside_the_benchmarks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo(tmp_path / "photos_val" / "a.png", 0)
    assert load_cases("synthetic-dark", View(), [tmp_path / "benchmarks"])
    monkeypatch.setenv("ENHANCE_DATA", str(tmp_path))
    assert len(load_cases("synthetic-dark", View(), data_roots(None, tmp_path / "c"))) == 3


def test_the_conditions_of_a_seed_never_change() -> None:
    """Scores on synthetic-dark are comparable only while the same seed draws the same sensors.

    Golden values of 2026-11-21; a change here means that every published figure of the set has
    to be measured again.
    """
    generator = torch.Generator().manual_seed(2020)
    taken = draw_conditions(
        2,
        generator,
        ratio=torch.tensor([100.0, 300.0]),
        iso=torch.tensor([800.0, 25_600.0]),
        vary_brightness=False,
    )
    close = partial(torch.testing.assert_close, rtol=2e-4, atol=0)
    close(taken.gains, torch.tensor([[1.5106, 2.0386], [2.1388, 2.6384]]))
    close(taken.xyz_to_camera[0, 0], torch.tensor([0.8635, -0.2538, -0.1208]), rtol=1e-3)
    close(taken.sensor.gain, torch.tensor([0.93567, 162.0535]))
    close(taken.sensor.read, torch.tensor([0.7632, 90.2514]))
    close(taken.sensor.row, torch.tensor([0.1037, 12.0194]), rtol=1e-3)
    assert taken.sensor.black.tolist() == [433, 1214]
    assert taken.sensor.white.tolist() == [4095, 16383]
    close(torch.rand(1, generator=generator), torch.tensor([0.8525]))  # and no draw more
