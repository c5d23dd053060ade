"""Networks of other programs are recognised by the names and shapes of their tensors."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from enhance_cli.architectures.edsr import DIV2K_MEAN, Edsr, EdsrConfig
from enhance_cli.architectures.rrdbnet import RrdbNet, RrdbNetConfig
from enhance_cli.architectures.srvgg import Srvgg, SrvggConfig
from enhance_cli.engine.checkpoint import write_tensors
from enhance_cli.engine.foreign import read_foreign
from enhance_cli.engine.layouts import LAYOUTS, recognise
from enhance_cli.errors import CheckpointError

Tensors = dict[str, Tensor]


def rename(tensors: Tensors, *pairs: tuple[str, str]) -> Tensors:
    """The tensors under other names: each takes that of the first pattern it fits."""
    renamed = {}
    for key, value in tensors.items():
        pattern, new = next(pair for pair in pairs if re.fullmatch(pair[0], key))
        renamed[re.sub(pattern, new, key)] = value
    assert len(renamed) == len(tensors)
    return renamed


def first_esrgan(tensors: Tensors, doublings: int, blocks: int) -> Tensors:
    """The names that ESRGAN's first code gives; see its ``architecture.py``."""
    return rename(
        tensors,
        (r"conv_first\.", "model.0."),
        (r"body\.(\d+)\.rdb(\d)\.conv(\d)\.(\w+)", r"model.1.sub.\1.RDB\2.conv\3.0.\4"),
        (r"conv_body\.(\w+)", rf"model.1.sub.{blocks}.\1"),
        *((rf"conv_up{i}\.(\w+)", rf"model.{3 * i}.\1") for i in range(1, doublings + 1)),
        (r"conv_hr\.(\w+)", rf"model.{3 * doublings + 2}.\1"),
        (r"conv_last\.(\w+)", rf"model.{3 * doublings + 4}.\1"),
        (r"conv_first\.(\w+)", r"model.0.\1"),
    )


def later_esrgan(tensors: Tensors) -> Tensors:
    return rename(
        tensors,
        (r"body\.(\d+)\.rdb(\d)\.(.*)", r"RRDB_trunk.\1.RDB\2.\3"),
        (r"conv_body\.(\w+)", r"trunk_conv.\1"),
        (r"conv_up(\d)\.(\w+)", r"upconv\1.\2"),
        (r"conv_hr\.(\w+)", r"HRconv.\1"),
        (r"(.*)", r"\1"),
    )


def original_edsr(tensors: Tensors, levels: float, blocks: int) -> Tensors:
    """The names that EDSR's own code gives, with its constant layers for the mean."""
    mean = torch.tensor(DIV2K_MEAN)
    constants = {
        "sub_mean.weight": torch.eye(3).reshape(3, 3, 1, 1),
        "sub_mean.bias": -levels * mean,
        "add_mean.weight": torch.eye(3).reshape(3, 3, 1, 1),
        "add_mean.bias": levels * mean,
    }
    return constants | rename(
        tensors,
        (r"conv_first\.(\w+)", r"head.0.\1"),
        (r"body\.(\d+)\.conv1\.(\w+)", r"body.\1.body.0.\2"),
        (r"body\.(\d+)\.conv2\.(\w+)", r"body.\1.body.2.\2"),
        (r"conv_after_body\.(\w+)", rf"body.{blocks}.\1"),
        (r"upsample\.(\d)\.(\w+)", r"tail.0.\1.\2"),
        (r"conv_last\.(\w+)", r"tail.1.\1"),
    )


def random_state(network: nn.Module) -> Tensors:
    torch.manual_seed(0)
    return {key: torch.randn_like(value) * 0.3 for key, value in network.state_dict().items()}


def conv(tensors: Tensors, name: str, x: Tensor) -> Tensor:
    weight = tensors[f"{name}.weight"]
    return functional.conv2d(x, weight, tensors[f"{name}.bias"], padding=weight.shape[-1] // 2)


def esrgan_by_hand(tensors: Tensors, x: Tensor, blocks: int, doublings: int) -> Tensor:
    """ESRGAN as its paper describes it (sec. 3.1), from the names of its first code."""

    def leaky(value: Tensor) -> Tensor:
        return functional.leaky_relu(value, 0.2)

    y = first = conv(tensors, "model.0", x)
    for block in range(blocks):
        before = y
        for dense in (1, 2, 3):
            parts = [y]
            for layer in range(1, 6):
                name = f"model.1.sub.{block}.RDB{dense}.conv{layer}.0"
                parts.append(conv(tensors, name, torch.cat(parts, 1)))
                if layer < 5:
                    parts[-1] = leaky(parts[-1])
            y = y + 0.2 * parts[-1]
        y = before + 0.2 * y
    y = first + conv(tensors, f"model.1.sub.{blocks}", y)
    for number in range(1, doublings + 1):
        y = y.repeat_interleave(2, -1).repeat_interleave(2, -2)
        y = leaky(conv(tensors, f"model.{3 * number}", y))
    return conv(
        tensors,
        f"model.{3 * doublings + 4}",
        leaky(conv(tensors, f"model.{3 * doublings + 2}", y)),
    )


@pytest.mark.parametrize("scale", [1, 2, 4, 8])
def test_all_ways_to_name_an_rrdbnet_give_one_network(scale: int):
    config = RrdbNetConfig(scale, channels=6, blocks=2, growth=3)
    state = random_state(RrdbNet(config))
    image = torch.rand(1, 3, 7, 6)
    doublings = scale.bit_length() - 1
    old = first_esrgan(state, doublings, blocks=2)
    expected = esrgan_by_hand(old, image, 2, doublings)
    for tensors in (state, old, later_esrgan(state)):
        found = recognise(tensors, "file")
        assert found.network.config == config
        with torch.no_grad():
            made = found.network(image)
        assert torch.allclose(made, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("scale", "unshuffle"), [(2, 2), (1, 4)])
def test_real_esrgan_of_cells(scale: int, unshuffle: int):
    config = RrdbNetConfig(scale, channels=4, blocks=1, growth=2, unshuffle=unshuffle)
    assert recognise(random_state(RrdbNet(config)), "file").network.config == config


def test_compact_networks():
    config = SrvggConfig(scale=3, channels=5, layers=2)
    state = random_state(Srvgg(config))
    found = recognise(state, "file")
    assert found.network.config == config
    image = torch.rand(1, 3, 5, 4)
    y = image
    for layer in range(4):
        y = conv(state, f"body.{2 * layer}", y)
        if layer < 3:
            y = torch.where(y > 0, y, y * state[f"body.{2 * layer + 1}.weight"].reshape(-1, 1, 1))
    enlarged = image.repeat_interleave(3, -1).repeat_interleave(3, -2)
    with torch.no_grad():
        made = found.network(image)
    assert torch.allclose(made, enlarged + functional.pixel_shuffle(y, 3), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("levels", "scale", "channels"), [(255, 4, 4), (1, 3, 4), (255, 1, 256)])
def test_both_ways_to_name_an_edsr_give_one_network(levels: float, scale: int, channels: int):
    factor = 0.1 if channels == 256 else 1.0
    config = EdsrConfig(scale, channels, 2, factor, levels)
    state = random_state(Edsr(config))
    image = torch.rand(1, 3, 4, 5)
    theirs = original_edsr(state, levels, blocks=2)
    y = first = conv(theirs, "head.0", conv(theirs, "sub_mean", image * levels))
    for block in range(2):
        z = conv(theirs, f"body.{block}.body.0", y).relu()
        y = y + factor * conv(theirs, f"body.{block}.body.2", z)
    y = first + conv(theirs, "body.2", y)
    for layer, step in zip((0, 2), {1: (), 3: (3,), 4: (2, 2)}[scale], strict=False):
        y = functional.pixel_shuffle(conv(theirs, f"tail.0.{layer}", y), step)
    expected = conv(theirs, "add_mean", conv(theirs, "tail.1", y)) / levels
    for tensors in (theirs, state) if levels == 255 else (theirs,):
        found = recognise(tensors, "file")
        assert found.network.config == config
        assert found.remark
        with torch.no_grad():
            made = found.network(image)
        assert torch.allclose(made, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


def refusal(tensors: Tensors) -> str:
    with pytest.raises(CheckpointError) as refused:
        recognise(tensors, "there.pth")
    text = str(refused.value)
    assert text.startswith("there.pth")
    assert "\n" not in text
    return text


@pytest.mark.parametrize("style", [dict, later_esrgan, lambda s: first_esrgan(s, 2, blocks=4)])
def test_half_a_checkpoint_is_refused_with_counts(style: Callable):
    state = random_state(RrdbNet(RrdbNetConfig(channels=4, blocks=4, growth=2)))
    assert len(state) == 132
    tensors = style(state)
    half = {key: value for index, (key, value) in enumerate(tensors.items()) if index % 2}
    text = refusal(half)
    assert "do not fit the 132 tensors of RrdbNet; 66 missing: " in text
    assert "ESRGAN" in text
    text = refusal(half | {"model.1.sub.0.RDB1.conv1x1.weight": torch.zeros(1)})
    assert "66 missing" in text
    assert "1 unexpected: model.1.sub.0.RDB1.conv1x1.weight" in text


def test_unknown_names_are_told_with_the_nearest_layout():
    transformer = {
        f"layers.{i}.residual_group.blocks.0.norm1.weight": torch.ones(1) for i in range(9)
    }
    text = refusal(transformer | {"conv_first.weight": torch.ones(1)})
    assert "10 tensors (conv_first.weight, layers.0.residual_group" in text
    assert "10% fit the nearest, ESRGAN" in text
    assert any(layout.sample in text for layout in LAYOUTS)
    assert "0% fit the nearest" in refusal({"stem.0.weight": torch.ones(1)})


def test_a_grey_network_is_refused():
    state = random_state(Srvgg(SrvggConfig(scale=2, channels=4, layers=1)))
    state["body.0.weight"] = state["body.0.weight"][:, :1]
    assert "1 of another shape: body.0.weight" in refusal(state)


def test_shapes_that_are_of_no_network():
    edsr, rrdb = Edsr(EdsrConfig(2, 4, 1)), RrdbNet(RrdbNetConfig(2, 4, 1, 2))
    for network, names in (
        (edsr, ("conv_first.weight", "upsample.0.weight", "upsample.0.bias")),
        (rrdb, ("conv_first.weight", "body.0.rdb1.conv1.weight", "conv_last.bias")),
    ):
        for name in names:
            for shape in ((5,), (1, 2), (0, 0, 0, 0)):
                refusal({**network.state_dict(), name: torch.zeros(shape)})
    deep = f"body.{10**12}.conv1.weight"
    assert f"of layer {10**12}" in refusal({**edsr.state_dict(), deep: torch.zeros(1)})


# --- files ------------------------------------------------------------------------------------


class Trap:
    """A pickle that would run code."""

    def __reduce__(self) -> tuple:
        return (Path.touch, (Path("harm"),))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: s,
        lambda s: {"params": {"other.weight": torch.zeros(1)}, "params_ema": s},
        lambda s: {"epoch": 3, "state_dict": {f"module.{key}": value for key, value in s.items()}},
        lambda s: {"model_state_dict": {f"_orig_mod.{key}": value for key, value in s.items()}},
        lambda s: {"state_dict": {f"module.netG.{key}": value for key, value in s.items()}},
        lambda s: {f"_orig_mod.module.{key}": value for key, value in s.items()},
    ],
)
def test_where_programs_keep_the_network(wrap: Callable, tmp_path: Path):
    state = {"body.0.weight": torch.rand(2), "body.1.weight": torch.rand(3).half()}
    torch.save(wrap(state), tmp_path / "their.pth")
    found = read_foreign(tmp_path / "their.pth")
    assert found.keys() == state.keys()
    assert all(torch.equal(found[key], state[key]) for key in state)
    (tmp_path / "their.pth").rename(tmp_path / "pickle.safetensors")
    save_file(state, tmp_path / "their.pth")
    for name in ("pickle.safetensors", "their.pth"):  # The content counts.
        assert read_foreign(tmp_path / name).keys() == state.keys()


def test_shared_memory_and_small_floats_can_be_written_again(tmp_path: Path):
    tied = torch.rand(4)
    small = torch.tensor([0.5, -2.0]).to(torch.float8_e4m3fn)
    torch.save({"a": tied, "b": tied.view(2, 2).T, "c": small}, tmp_path / "their.pth")
    found = read_foreign(tmp_path / "their.pth")
    write_tensors(tmp_path / "ours.safetensors", found, {})
    written = load_file(tmp_path / "ours.safetensors")
    assert torch.equal(written["b"], tied.view(2, 2).T)
    assert written["c"].tolist() == [0.5, -2.0]
    assert torch.isfinite(written["c"]).all()


def test_what_a_file_may_not_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {"a": torch.zeros(1)}, "code": Trap()}, "code.pth")
    torch.save({}, "empty.pth")
    torch.save([torch.zeros(1)], "list.pth")
    torch.save({"epoch": 3}, "number.pth")
    for name, text in {
        "code.pth": r"asks for \w+, which is no tensor but code, and none was run",
        "empty.pth": "something else than tensors by name",
        "list.pth": "something else than tensors by name",
        "number.pth": "something else than tensors by name",
        "gone.pth": "no such file",
    }.items():
        with pytest.raises(CheckpointError, match=text):
            read_foreign(Path(name))
    assert not Path("harm").exists()
