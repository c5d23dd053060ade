"""Checkpoints: what goes in comes out, and nothing damaged, foreign or tampered gets in."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from enhance_cli.architectures import ARCHITECTURES
from enhance_cli.architectures.enhancenet import ENHANCENET, EnhanceNetConfig
from enhance_cli.engine import row_storage
from enhance_cli.engine.checkpoint import (
    FORMAT_VERSION,
    build,
    build_empty,
    load_network,
    load_tensors,
    read_checkpoint_info,
    read_tensors,
    save_checkpoint,
)
from enhance_cli.errors import CheckpointError, OutputError

CONFIG = EnhanceNetConfig(scale=2, channels=4, blocks=1)


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return build(ENHANCENET, CONFIG)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.safetensors"
    save_checkpoint(path, network(), ENHANCENET, "tiny", training={"steps": 7, "photos": ["a"]})
    return path


def metadata_of(path: Path) -> dict[str, str]:
    with safe_open(path, framework="pt") as file:
        return dict(file.metadata() or {})


def rewrite(path: Path, **changes: str | None) -> None:
    """Change values of the metadata, or with None remove them."""
    tensors = read_tensors(path)
    metadata = {k: v for k, v in (metadata_of(path) | changes).items() if v is not None}
    save_file(tensors, path, metadata=metadata)


def change_json(path: Path, key: str, **changes: object) -> None:
    rewrite(path, **{key: json.dumps(json.loads(metadata_of(path)[key]) | changes)})


def refusal(action: Callable[[], object]) -> str:
    """The message of the CheckpointError, which must be one line of reasonable length."""
    with pytest.raises(CheckpointError) as caught:
        action()
    message = str(caught.value)
    assert "\n" not in message
    assert 10 < len(message) < 1500
    return message


def load(path: Path) -> nn.Module:
    return load_network(read_checkpoint_info(path))


def test_round_trip(good: Path) -> None:
    info = read_checkpoint_info(good)
    assert info.path == good
    assert info.name == "tiny"
    assert info.architecture is ENHANCENET
    assert info.config == CONFIG
    assert info.training == {"steps": 7, "photos": ["a"]}
    saved, loaded = network(), load_network(info)
    assert info.contract == saved.contract == loaded.contract
    assert not loaded.training
    for key, value in saved.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[key]), key
    frame = torch.rand(1, 3, 6, 5)
    with torch.no_grad():
        assert torch.equal(saved.eval()(frame), loaded(frame))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_storage_loads_as_float32(tmp_path: Path, dtype: torch.dtype) -> None:
    path = tmp_path / "half.safetensors"
    save_checkpoint(path, network(), ENHANCENET, "half", dtype=dtype)
    assert {value.dtype for value in read_tensors(path).values()} == {dtype}
    loaded = load(path).state_dict()
    for key, value in network().state_dict().items():
        assert loaded[key].dtype == torch.float32
        assert torch.equal(loaded[key], value.to(dtype).float())


def test_storage_in_eight_bits_has_a_scale_for_each_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_storage, "_FEW", 0)  # Small tensors stay as they are.
    path, net = tmp_path / "rows.safetensors", network()
    with torch.no_grad():
        net.hr.weight[1].mul_(100)
        net.hr.weight[2].zero_()
    save_checkpoint(path, net, ENHANCENET, "rows", dtype=torch.int8)
    loaded = load(path).state_dict()
    for key, value in net.state_dict().items():
        assert loaded[key].dtype == torch.float32
        rows = value.abs().flatten(1).amax(1) if value.ndim > 1 else torch.zeros(len(value))
        off = (loaded[key] - value).abs().flatten(1 if value.ndim > 1 else 0).reshape(len(rows), -1)
        assert (off.amax(1) <= rows / 127 / 2 * 1.001).all(), key
    with safe_open(path, framework="pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    assert tensors["hr.weight"].dtype == torch.int8
    tensors["hr.weight.row_scale"] = torch.ones(3)
    save_file(tensors, path, metadata=metadata_of(path))
    assert "its scales do not fit" in refusal(lambda: load(path))


def test_other_values_than_the_network_s_can_be_saved(tmp_path: Path) -> None:
    path = tmp_path / "average.safetensors"
    average = {key: value + 1 for key, value in network().state_dict().items()}
    save_checkpoint(path, network(), ENHANCENET, "average", tensors=average)
    loaded = load(path).state_dict()
    for key, value in average.items():
        assert torch.equal(loaded[key], value)


def test_memory_layout_of_the_network_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    net = network()
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    save_checkpoint(path, net, ENHANCENET, "last")
    for key, value in load(path).state_dict().items():
        assert torch.equal(value, network().state_dict()[key])


def test_metadata_is_as_documented(good: Path) -> None:
    metadata = metadata_of(good)
    assert set(metadata) == {
        "format",
        "format_version",
        "architecture",
        "task",
        "name",
        "config",
        "contract",
        "training",
    }
    assert metadata["format"] == "enhance"
    assert metadata["format_version"] == str(FORMAT_VERSION)
    assert metadata["task"] == "superres"
    assert json.loads(metadata["config"]) == {"scale": 2, "channels": 4, "blocks": 1}
    assert json.loads(metadata["contract"])["scale"] == 2


def test_reading_the_description_reads_no_tensor(good: Path) -> None:
    """Listing models must work on any, and be quick: the values may even be useless."""
    tensors = {key: torch.full_like(value, torch.nan) for key, value in read_tensors(good).items()}
    save_file(tensors, good, metadata=metadata_of(good))
    assert read_checkpoint_info(good).name == "tiny"


def test_saving_replaces_whole_or_not_at_all(good: Path) -> None:
    before = good.read_bytes()
    with pytest.raises(TypeError):
        save_checkpoint(good, network(1), ENHANCENET, "bad", training={"path": object()})
    with pytest.raises(Exception):  # noqa: B017, PT011 (safetensors' own complaint)
        save_checkpoint(
            good, network(1), ENHANCENET, "bad", tensors={"a": torch.zeros(3).to_sparse()}
        )
    assert good.read_bytes() == before
    assert list(good.parent.iterdir()) == [good]
    save_checkpoint(good, network(1), ENHANCENET, "new")
    assert read_checkpoint_info(good).name == "new"
    assert list(good.parent.iterdir()) == [good]


def test_saving_where_no_folder_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="file"):
        save_checkpoint(tmp_path / "file" / "x.safetensors", network(), ENHANCENET, "x")


def test_saving_makes_the_folder(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "x4" / "x.safetensors"
    save_checkpoint(path, network(), ENHANCENET, "x")
    assert load(path) is not None


# --- damaged files ---------------------------------------------------------------------------


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def cut_header(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:40])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("<html>404: Not Found</html>\n" * 20)


def git_lfs_pointer(path: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n")


def pickle(path: Path) -> None:
    torch.save({"a": torch.zeros(2)}, path)


def huge_header(path: Path) -> None:
    path.write_bytes((2**62).to_bytes(8, "little") + b"{}")


def damaged_header(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[12] = 0xFF
    path.write_bytes(bytes(content))


def appended(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0" * 8)


def removed(path: Path) -> None:
    path.unlink()


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        cut_header,
        empty,
        text,
        git_lfs_pointer,
        pickle,
        huge_header,
        damaged_header,
        appended,
        removed,
        folder,
    ],
)
def test_damaged_file(good: Path, damage: Callable[[Path], None]) -> None:
    damage(good)
    for action in (read_checkpoint_info, read_tensors):
        message = refusal(lambda action=action: action(good))  # type: ignore[misc]
        assert str(good) in message
    if damage is removed:
        assert "no such checkpoint" in message


# --- foreign and tampered descriptions -------------------------------------------------------


def test_foreign_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    for metadata in (
        None,
        {"format": "pt"},
        {"format": "enhance"},
        {"format": "enhance", "format_version": "one"},
    ):
        save_file({"a": torch.zeros(2)}, path, metadata=metadata)
        message = refusal(lambda: read_checkpoint_info(path))
        assert "not a checkpoint of enhance" in message
        assert "enhance weights import" in message
    assert read_tensors(path).keys() == {"a"}


@pytest.mark.parametrize("version", [FORMAT_VERSION + 1, 10**30])
def test_newer_format(good: Path, version: int) -> None:
    rewrite(good, format_version=str(version))
    message = refusal(lambda: read_checkpoint_info(good))
    assert str(version) in message
    assert "upgrade" in message


@pytest.mark.parametrize("version", ["", "1.5", "²"])
def test_nonsense_format_version(good: Path, version: str) -> None:
    rewrite(good, format_version=version)
    refusal(lambda: read_checkpoint_info(good))


@pytest.mark.parametrize("name", ["frvsr9000", "", None, "EnhanceNet"])
def test_unknown_architecture(good: Path, name: str | None) -> None:
    rewrite(good, architecture=name)
    message = refusal(lambda: read_checkpoint_info(good))
    assert repr(name or "") in message
    for known in ARCHITECTURES:
        assert known in message


@pytest.mark.parametrize("key", ["config", "contract", "training"])
@pytest.mark.parametrize("value", ["", "{", "[1]", "null"])
def test_description_that_is_no_json_object(good: Path, key: str, value: str) -> None:
    rewrite(good, **{key: value})
    refusal(lambda: read_checkpoint_info(good))


@pytest.mark.parametrize("key", ["config", "contract"])
def test_description_left_out(good: Path, key: str) -> None:
    rewrite(good, **{key: None})
    assert key in refusal(lambda: read_checkpoint_info(good))


@pytest.mark.parametrize(
    "changes",
    [
        {"depth": 3},
        {"scale": 3},
        {"scale": "2"},
        {"scale": 4.0},
        {"scale": None},
        {"channels": -4},
        {"channels": 0.5},
        {"channels": "many"},
        {"channels": 10**12},
        {"blocks": 1.5},
        {"blocks": [1]},
    ],
    ids=str,
)
def test_config_that_is_not_the_architecture_s(good: Path, changes: dict[str, Any]) -> None:
    change_json(good, "config", **changes)
    assert "enhancenet" in refusal(lambda: read_checkpoint_info(good))


@pytest.mark.parametrize(
    "changes",
    [
        {"scale": 4},
        {"halo": 0},
        {"halo": 10**9},
        {"tiling": "blended"},
        {"colour": "linear"},
        {"size_multiple": 0},
        {"channels_in": 4},
        {"secret": True},
    ],
    ids=str,
)
def test_tampered_contract(good: Path, changes: dict[str, Any]) -> None:
    change_json(good, "contract", **changes)
    refusal(lambda: read_checkpoint_info(good))


def test_config_of_another_size_does_not_fit_the_tensors(good: Path) -> None:
    change_json(good, "config", channels=8)
    info = read_checkpoint_info(good)  # the description is consistent in itself
    assert "of another shape: body.0.conv1.bias" in refusal(lambda: load_network(info))


# --- tensors that do not fit -----------------------------------------------------------------


def tensors() -> dict[str, Tensor]:
    return {key: value.clone() for key, value in network().state_dict().items()}


def test_missing_unexpected_and_misshapen_are_all_listed() -> None:
    values = tensors()
    del values["head.bias"], values["out.weight"]
    values["alien"] = torch.zeros(3)
    values["hr.bias"] = torch.zeros(5)
    values["up1.weight"][0, 0, 0, 0] = torch.nan
    values["up1.bias"][1] = torch.inf
    net = network(1)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    message = refusal(lambda: load_tensors(net, values, "there.safetensors"))
    assert message.startswith("there.safetensors: ")
    for part in (
        "missing: head.bias, out.weight;",
        "unexpected: alien;",
        "of another shape: hr.bias;",
        "not finite: up1.bias, up1.weight",
    ):
        assert part in message
    for key, value in net.state_dict().items():
        assert torch.equal(value, before[key]), "a refused load changed the network"


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_one_value_that_is_not_finite(good: Path, value: float) -> None:
    values = read_tensors(good)
    values["body.0.conv2.weight"][3, 2, 1, 0] = value
    save_file(values, good, metadata=metadata_of(good))
    assert "not finite: body.0.conv2.weight" in refusal(lambda: load(good))


def test_a_transposed_tensor_is_of_another_shape() -> None:
    values = tensors()
    values["out.weight"] = values["out.weight"].transpose(0, 1).contiguous()
    assert "of another shape: out.weight" in refusal(lambda: load_tensors(network(), values, "x"))


def test_long_lists_are_cut() -> None:
    message = refusal(lambda: load_tensors(network(), {}, "empty"))
    assert message.endswith("...")
    assert message.count(",") == 5


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    """A pickle under our name must be refused without running its code."""
    path, trace = tmp_path / "evil.safetensors", tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
            return trace.touch, ()

    torch.save(Evil(), path)
    refusal(lambda: load(path))
    assert not trace.exists()


def test_building_on_meta_costs_no_memory() -> None:
    net = build(ENHANCENET, EnhanceNetConfig(channels=4096), "meta")
    assert {parameter.device.type for parameter in net.parameters()} == {"meta"}


def test_a_network_to_be_loaded_draws_no_numbers():
    state = torch.get_rng_state()
    entry = ARCHITECTURES["enhancenet"]
    empty = build_empty(entry, EnhanceNetConfig(4, channels=4, blocks=1))
    assert torch.get_rng_state().equal(state)
    drawn = build(entry, EnhanceNetConfig(4, channels=4, blocks=1))
    assert not torch.get_rng_state().equal(state)
    shapes = [
        {name: value.shape for name, value in network.state_dict().items()}
        for network in (empty, drawn)
    ]
    assert shapes[0] == shapes[1]
