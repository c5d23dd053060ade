"""Names of devices and precisions, on machines with and without a GPU (made up here)."""

import pytest
import torch

from enhance_cli.engine.device import DEVICES, PRECISIONS, choose_device, choose_dtype
from enhance_cli.errors import DeviceError, UsageError


@pytest.fixture(autouse=True)
def no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ENHANCE_DEVICE", raising=False)


def pretend(monkeypatch: pytest.MonkeyPatch, cuda: int = 0, mps: bool = False) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"),
    [(0, False, "cpu"), (0, True, "mps"), (1, False, "cuda"), (2, True, "cuda")],
)
def test_auto_takes_the_fastest(
    monkeypatch: pytest.MonkeyPatch, cuda: int, mps: bool, expected: str
) -> None:
    pretend(monkeypatch, cuda, mps)
    assert choose_device() == choose_device("auto") == torch.device(expected)


@pytest.mark.parametrize("name", ["cpu", "cuda", "cuda:0", "cuda:1", "mps"])
def test_every_name_gives_its_device(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    pretend(monkeypatch, cuda=2, mps=True)
    assert choose_device(name) == torch.device(name)


def test_the_variable_stands_in_for_auto_only(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, cuda=2)
    monkeypatch.setenv("ENHANCE_DEVICE", "cuda:1")
    assert choose_device() == torch.device("cuda:1")
    assert choose_device("cpu") == torch.device("cpu")
    monkeypatch.setenv("ENHANCE_DEVICE", "auto")
    assert choose_device() == torch.device("cuda")
    monkeypatch.setenv("ENHANCE_DEVICE", "tpu")
    with pytest.raises(UsageError, match="tpu"):
        choose_device()
    monkeypatch.setenv("ENHANCE_DEVICE", "cuda:7")
    with pytest.raises(DeviceError, match="cuda:7"):
        choose_device()


def test_an_empty_variable_is_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch)
    monkeypatch.setenv("ENHANCE_DEVICE", "")
    assert choose_device() == torch.device("cpu")


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:3", "mps"])
def test_a_device_that_is_not_there(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    pretend(monkeypatch)
    with pytest.raises(DeviceError, match=f"'{name}'.*--device cpu") as caught:
        choose_device(name)
    assert caught.value.exit_code == 1


def test_an_index_past_the_last_device(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, cuda=2)
    assert choose_device("cuda:1").index == 1
    with pytest.raises(DeviceError, match=r"'cuda:2'.*2 CUDA device"):
        choose_device("cuda:2")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "gpu",
        "CUDA",
        "cuda:",
        "cuda:x",
        "cuda:-1",
        "cuda:1.0",
        "cuda:²",
        "cpu:",
        "cpu:0",
        "mps:",
        "mps:0",
        "meta",
        " cpu",
        "cpu\n",
    ],
)
def test_unknown_names(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    pretend(monkeypatch, cuda=2, mps=True)
    with pytest.raises(UsageError) as caught:
        choose_device(name)
    assert caught.value.exit_code == 2
    assert repr(name) in str(caught.value)
    for known in DEVICES:
        assert known in str(caught.value)


@pytest.mark.parametrize("device", ["cpu", "mps", "cuda"])
@pytest.mark.parametrize(
    ("name", "dtype"),
    [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)],
)
def test_precision_by_name(device: str, name: str, dtype: torch.dtype) -> None:
    assert choose_dtype(name, torch.device(device)) == dtype


@pytest.mark.parametrize(
    ("native", "emulated", "expected"),
    [(True, True, torch.bfloat16), (False, False, torch.float16), (False, True, torch.float16)],
)
def test_automatic_precision_on_cuda(
    monkeypatch: pytest.MonkeyPatch, native: bool, emulated: bool, expected: torch.dtype
) -> None:
    """Older GPUs (T4, V100) only emulate bf16, slowly: that does not count."""

    def supported(including_emulation: bool = True) -> bool:
        return native or (emulated and including_emulation)

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert choose_dtype("auto", torch.device("cuda")) == expected


@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_automatic_precision_elsewhere(device: str) -> None:
    assert choose_dtype("auto", torch.device(device)) == torch.float32


@pytest.mark.parametrize("name", ["", "float32", "FP32", "int4", "fp8"])
def test_unknown_precision(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        choose_dtype(name, torch.device("cpu"))
    for known in (repr(name), *PRECISIONS):
        assert known in str(caught.value)
