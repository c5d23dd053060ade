"""``enhance weights import``: a network of another program runs like one of ours."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from enhance_cli.architectures.rrdbnet import RrdbNet, RrdbNetConfig
from enhance_cli.architectures.srvgg import Srvgg, SrvggConfig
from enhance_cli.engine import row_storage
from enhance_cli.engine.checkpoint import read_checkpoint_info, read_tensors

PHOTO = Path(__file__).resolve().parents[2] / "examples" / "astronaut.png"


@pytest.fixture(autouse=True)
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of imported weights."""
    folder = tmp_path / "mine"
    folder.mkdir()
    monkeypatch.setenv("ENHANCE_WEIGHTS", str(folder))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)
    return folder


def save_theirs(path: Path) -> None:
    torch.manual_seed(0)
    network = Srvgg(SrvggConfig(2, channels=4, layers=1))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(0.3)
    torch.save({"params": network.state_dict()}, path)


def test_an_imported_model_is_listed_and_run_by_its_name(mine: Path, enhance: Callable):
    save_theirs(Path("2x_Their-Net.pth"))
    ran = enhance("weights", "import", "2x_Their-Net.pth")
    assert ran.code == 0, ran.err
    assert "compact Real-ESRGAN (SRVGGNetCompact), x2" in ran.err
    assert "run it with --model 2x_Their-Net" in ran.err
    info = read_checkpoint_info(mine / "2x_Their-Net.safetensors")
    assert info.name == "2x_Their-Net"
    assert info.training["imported_from"] == "2x_Their-Net.pth"
    rows = {row["name"]: row for row in json.loads(enhance("models", "--json").out)}
    assert rows["2x_Their-Net"]["weights"] == str(mine / "2x_Their-Net.safetensors")
    assert rows["2x_Their-Net"]["scale"] == 2
    assert "x2, imported from 2x_Their-Net.pth" in enhance("models").out

    levels = np.random.default_rng(0).integers(0, 2**16, (40, 90), dtype=np.uint16)
    Image.fromarray(levels).save("grey.png")
    Image.open(PHOTO).crop((0, 0, 40, 90)).convert("RGBA").save("photo.png", dpi=(300, 300))
    ran = enhance("superres", "photo.png", "grey.png", "--model", "2x_Their-Net")
    assert ran.code == 0, ran.err
    with Image.open("photo_x2.png") as made:
        assert (made.mode, made.size) == ("RGBA", (80, 180))
        assert made.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        whole = np.asarray(made).copy()
    with Image.open("grey_x2.png") as made:
        assert made.mode == "I;16"
        assert made.size == (180, 80)
    by_file = enhance(
        "superres",
        "photo.png",
        "--weights",
        mine / "2x_Their-Net.safetensors",
        "--tile",
        "32",
        "-o",
        "tiled.png",
    )
    assert by_file.code == 0, by_file.err
    tiled = np.asarray(Image.open("tiled.png")).astype(int)
    assert np.abs(tiled - whole).max() <= 1  # float rounding
    ran = enhance("superres", "photo.png", "--model", "2x_Their", "-o", "no.png")
    assert "did you mean '2x_Their-Net'" in ran.err
    ran = enhance("lowlight", "photo.png", "--model", "2x_Their-Net", "-o", "no.png")
    assert "for superres, not for lowlight" in ran.err


def test_a_network_for_pictures_enlarges_videos_frame_by_frame(enhance: Callable):
    save_theirs(Path("small-x2.pth"))
    assert enhance("weights", "import", "small-x2.pth").code == 0
    Path("frames").mkdir()
    for number in range(3):
        Image.open(PHOTO).crop((9 * number, 0, 9 * number + 24, 18)).save(f"frames/{number}.png")
    assert enhance("video", "frames", "--model", "small", "-o", "large").code == 0
    assert enhance("superres", "frames", "--model", "small", "-o", "pictures").code == 0
    for number in range(3):
        frame, picture = (
            np.asarray(Image.open(path)).astype(int)
            for path in (f"large/{number}.png", f"pictures/{number}_x2.png")
        )
        assert frame.shape == (36, 48, 3)
        assert np.abs(frame - picture).max() <= 1
    assert enhance("video", "frames", "--model", "enet-e-x2", "--dry-run").code == 0
    assert "is for lowlight" in enhance("video", "frames", "--model", "sid-fcn").err


def test_names_of_imported_models(mine: Path, enhance: Callable, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(row_storage, "_FEW", 0)  # Small tensors stay as they are.
    save_theirs(Path("enet-e-x4.pth"))
    for arguments, code, text in (
        (["enet-e-x4.pth"], 2, "is a model of enhance: choose another name with --as"),
        (["enet-e-x4.pth", "--as", "a/b"], 2, "without folders"),
        (["enet-e-x4.pth", "--as", ""], 2, "without folders"),
        (["enet-e-x4.pth", "--as", ".."], 2, "without folders"),
        (["enet-e-x4.pth", "--as", "a\nb"], 2, "on one line"),
        (["enet-e-x4.pth", "--as", "a.safetensors"], 2, "leave .safetensors out"),
        (["enet-e-x4.pth", "--as", "fast"], 2, "would stand for models of enhance"),
        (["enet-e-x4.pth", "--as", "fast-x3"], 2, "would stand for models of enhance"),
        (["enet-e-x4.pth", "--as", "real"], 2, "would stand for models of enhance"),
        (["enet-e-x4.pth", "--as", "a", "-o", "b.pth"], 2, "is a .safetensors file, name one"),
        ([".", "--as", "a"], 1, "is a folder, name the file"),
        (["enet-e-x4.pth", "--as", "x", "--model", "enet-e-x4"], 2, "leave one of them out"),
        (["enet-e-x4.pth", "--as", "small-x2"], 0, "run it with --model small-x2"),
        (["enet-e-x4.pth", "--as", "small-x2"], 1, "add --overwrite or choose another with --as"),
        (
            [
                mine / "small-x2.safetensors",
                "--as",
                "a",
                "-o",
                mine / "small-x2.safetensors",
                "--overwrite",
            ],
            1,
            "the input would be replaced, choose another with -o",
        ),
        (["enet-e-x4.pth", "--as", "small-x2", "--half", "--overwrite"], 0, "small-x2"),
        ([mine / "small-x2.safetensors", "--as", "again"], 0, "a checkpoint of small-x2"),
        (["enet-e-x4.pth", "--as", "a", "--half", "--int8"], 2, "leave one of the two out"),
        (["enet-e-x4.pth", "--as", "rows-x2", "--int8"], 0, "run it with --model rows-x2"),
    ):
        ran = enhance("weights", "import", *arguments)
        assert ran.code == code, ran.err
        assert text in ran.err
    assert {t.dtype for t in read_tensors(mine / "small-x2.safetensors").values()} == {
        torch.float16
    }
    assert sorted(path.name for path in mine.iterdir()) == [
        "again.safetensors",
        "rows-x2.safetensors",
        "small-x2.safetensors",
    ]
    half, rows = (load_file(mine / f"{name}-x2.safetensors") for name in ("small", "rows"))
    for name, value in half.items():
        if value.ndim > 1:
            assert rows[name].dtype == torch.int8
    Image.open(PHOTO).crop((0, 0, 24, 24)).save("photo.png")
    assert enhance("superres", "photo.png", "-x2", "--model", "small").code == 0


def test_files_that_are_refused_leave_nothing(mine: Path, enhance: Callable):
    torch.manual_seed(0)
    state = RrdbNet(RrdbNetConfig(channels=4, blocks=2, growth=2)).state_dict()
    half = {key: value for key, value in state.items() if "rdb2" not in key}
    save_file(half, "half.safetensors")
    torch.save({"stem.0.weight": torch.zeros(1)}, "unknown.pth")
    for name, text in {
        "half.safetensors": "the 72 tensors of RrdbNet; 20 missing: body.0.rdb2.conv1.bias",
        "unknown.pth": "no network that enhance knows",
    }.items():
        ran = enhance("weights", "import", name)
        assert (ran.code, len(ran.err.splitlines())) == (1, 1)
        assert text in ran.err
    for name in ("half.safetensors", "unknown.pth"):
        ran = enhance("superres", PHOTO, "--weights", name, "-o", "no.png")
        assert (ran.code, len(ran.err.splitlines())) == (1, 1)
        assert "enhance weights import" in ran.err
    assert list(mine.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("realesrgan_x4plus", 16_697_987), ("realesr_animevideov3_x4", 621_424)],
)
def test_real_networks(name: str, parameters: int, shared_data: Path, enhance: Callable):
    ran = enhance("weights", "import", shared_data / "nets" / f"{name}.safetensors")
    assert ran.code == 0, ran.err
    assert f"{parameters:,} parameters" in ran.err
    photo = Image.open(PHOTO).crop((48, 24, 80, 56))
    photo.save("face.png")
    assert enhance("superres", "face.png", "--model", name).code == 0
    made = Image.open("face_x4.png")
    again = np.asarray(made.reduce(4)).astype(float)
    assert np.abs(again - np.asarray(photo)).mean() < 8  # the same picture
    detail, smooth = (
        np.abs(np.diff(np.asarray(picture.convert("L")).astype(float), axis=1)).max()
        for picture in (made, photo.resize(made.size, Image.Resampling.BICUBIC))
    )
    assert detail > 1.2 * smooth  # but its edges are steeper than interpolation makes them
