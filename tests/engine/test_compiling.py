"""Networks that OpenVINO runs, against torch; and the cache of what is compiled."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from enhance_cli.architectures import enhancenet
from enhance_cli.architectures.enhancenet import EnhanceNet, EnhanceNetConfig
from enhance_cli.engine import backend, compiling
from enhance_cli.engine.backend import choose_engine
from enhance_cli.engine.catalogue import ModelOptions, load_model, speed_up
from enhance_cli.engine.compiling import CompilationError, compile_network
from enhance_cli.engine.device import DEVICES
from enhance_cli.engine.tiled import TilePlan, run_tiled
from enhance_cli.errors import DeviceError, UsageError
from enhance_cli.levels import to_planes, to_values
from enhance_cli.metrics.quality import psnr
from enhance_cli.resize import imresize

pytest.importorskip("openvino")

PROJECT = Path(__file__).resolve().parents[2]
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("ENHANCE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ENHANCE_BACKEND", raising=False)
    return tmp_path / "cache" / "openvino"


@pytest.fixture(scope="module")
def photo() -> Tensor:
    """A part of the shipped photograph, (3, 128, 128)."""
    with Image.open(PROJECT / "examples" / "astronaut.png") as image:
        return to_values(to_planes(np.asarray(image.convert("RGB"))))[:, :128, :128]


def small(seed: int = 0) -> EnhanceNet:
    torch.manual_seed(seed)
    return EnhanceNet(EnhanceNetConfig(4, channels=4, blocks=1)).eval()


def run(network: nn.Module, *inputs: Tensor) -> Tensor:
    with torch.inference_mode():
        result: Tensor = network(*inputs)
    return result


@pytest.mark.parametrize("name", ["enet-e-x4", "fast-x4"])
def test_the_shipped_photograph(name: str, photo: Tensor):
    """Within 1e-4 in fp32; in bf16 half a level on average, and 0.02 dB from the truth."""
    small = imresize(photo, 0.25)
    results = {}
    for precision in ("fp32", "bf16"):
        model = ModelOptions(name, precision=precision, backend="openvino").load("superres")
        assert model.compiled == precision
        results[precision] = run_tiled(model, small, TilePlan())
    reference = run_tiled(ModelOptions(name).load("superres"), small, TilePlan())
    assert (results["fp32"] - reference).abs().max() < 1e-4
    assert (results["bf16"] - reference).abs().mean() < 0.5 / 255
    scores = [psnr(one.clamp(0, 1), photo, 1.0) for one in (results["bf16"], reference)]
    assert scores[0] == pytest.approx(scores[1], abs=0.02)


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("sid-fcn", "lowlight"),
        ("sid-fcn-srgb", "lowlight"),
        ("sisr", "video"),
        ("frvsr-real", "video"),
        ("fast-x4", "video"),
    ],
)
def test_every_size_gives_what_torch_gives(name: str, task: str):
    """The parts are traced with 64 pixels, and run here in sizes that are no squares."""
    reference = load_model(task, name=name, device=CPU)
    model = ModelOptions(name, precision="fp32", backend="openvino").load(task)
    for height, width in ((32, 96), (96, 64)):
        inputs = torch.rand(1, reference.contract.channels_in, height, width)
        assert (run(model.network, inputs) - run(reference.network, inputs)).abs().max() < 1e-4


def test_motion_is_estimated_too():
    reference = load_model("video", name="frvsr-real", device=CPU).network.fnet
    fnet = ModelOptions("frvsr-real", precision="fp32", backend="openvino").load("video")
    frame = torch.nn.functional.avg_pool2d(torch.rand(1, 3, 47, 75), 5, 1)
    flows = [run(network, frame, frame.roll(1, -1)) for network in (reference, fnet.network.fnet)]
    assert isinstance(vars(fnet.network.fnet)["estimate"], compiling._Compiled)
    assert (flows[0] - flows[1]).abs().max() < 1e-3


def test_what_is_compiled_once_is_kept(cache: Path, monkeypatch: pytest.MonkeyPatch):
    inputs = torch.rand(1, 3, 20, 28)
    first, second, other = small(), small(), small(seed=1)
    assert compile_network(first, "bf16") is None
    (kept,) = cache.iterdir()
    monkeypatch.setattr(torch.jit, "trace", lambda *_, **__: pytest.fail("compiled again"))
    compile_network(second, "bf16")
    assert run(first, inputs).equal(run(second, inputs))
    monkeypatch.undo()
    monkeypatch.setenv("ENHANCE_CACHE", str(cache.parent))
    before = kept.read_bytes()
    kept.write_bytes(before[:-1])  # damaged
    again = small()
    compile_network(again, "bf16")
    assert run(again, inputs).equal(run(first, inputs))
    compile_network(other, "bf16")
    compile_network(small(), "fp32")
    assert len(list(cache.iterdir())) == 3


def test_the_cache_keeps_what_was_used_last(cache: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(compiling, "_KEPT", 2)
    made: list[Path] = []
    for seed in (0, 1):
        compile_network(small(seed), "fp32")
        (new,) = set(cache.iterdir()) - set(made)
        os.utime(new, (seed, seed))
        made.append(new)
    compile_network(small(0), "fp32")  # which is used once more
    compile_network(small(2), "fp32")
    assert made[0].exists()
    assert not made[1].exists()
    assert len(list(cache.iterdir())) == 2


def test_changed_code_compiles_again(cache: Path, monkeypatch: pytest.MonkeyPatch):
    """That of networks, and that which compiles them."""
    compile_network(small(), "fp32")
    sources = {path.read_bytes() for path in map(Path, (compiling.__file__, enhancenet.__file__))}
    before = list(compiling._code())
    assert sources <= set(before)
    monkeypatch.setattr(compiling, "_code", lambda: [*before[:-1], before[-1] + b"# changed"])
    compile_network(small(), "fp32")
    assert len(list(cache.iterdir())) == 2


def test_a_cache_that_cannot_be_written_is_told(cache: Path):
    cache.parent.write_text("a file where a folder should be")
    network = small()
    model = load_model("superres", name="fast-x4", device=CPU)
    failure = compile_network(network, "fp32")
    assert failure is not None
    inputs = torch.rand(1, 3, 20, 28)
    assert (run(network, inputs) - run(small(), inputs)).abs().max() < 1e-4
    notice = speed_up(model, choose_engine("openvino", "cpu", "fp32")).notice
    assert notice.startswith("the compiled network cannot be kept: ")


def test_a_network_that_does_not_convert_runs_in_torch(monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise CompilationError("no")

    monkeypatch.setattr("enhance_cli.engine.catalogue.compile_network", refuse)
    model = ModelOptions("fast-x4", backend="auto").load("superres")
    assert model.compiled is None
    assert model.notice == (
        "torch runs the network, which is slower: OpenVINO does not run fast-x4: no"
    )
    with pytest.raises(DeviceError, match="OpenVINO does not run fast-x4: no; use --backend torch"):
        ModelOptions("fast-x4", backend="openvino").load("superres")


def test_a_network_with_nothing_to_compile_stays_as_it_is():
    with pytest.raises(CompilationError, match="learned part"):
        compile_network(nn.Conv2d(3, 3, 3), "fp32")


class Stubborn(EnhanceNet):
    """A network whose learned part cannot be traced."""

    def residual(self, frame_lr: Tensor) -> Tensor:
        raise RuntimeError("first\n\nno such\noperation")


def test_the_reason_is_told_in_one_line():
    network = Stubborn(EnhanceNetConfig(4, channels=4, blocks=1))
    with pytest.raises(CompilationError, match="^RuntimeError operation$"):
        compile_network(network, "fp32")
    assert "residual" not in vars(network)


@pytest.mark.parametrize(
    ("backend_name", "device", "precision", "expected"),
    [
        ("auto", "cpu", "auto", "bf16"),
        ("auto", "auto", "fp32", "fp32"),
        ("openvino", "auto", "auto", "bf16"),
        ("torch", "cpu", "auto", None),
        ("auto", "cpu", "fp16", None),
        ("auto", "cuda", "auto", None),
    ],
)
def test_engines(
    backend_name: str,
    device: str,
    precision: str,
    expected: str | None,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(backend, "native_precision", lambda: "bf16")
    monkeypatch.setattr(
        backend,
        "choose_device",
        lambda name: torch.device("cuda" if name == "cuda" else "cpu"),
    )
    engine = choose_engine(backend_name, device, precision)
    assert engine.compiled == expected
    assert bool(engine.notice) == (precision == "fp16")


def test_impossible_engines(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(backend, "native_precision", lambda: "fp32")
    with pytest.raises(UsageError, match="computes in fp32 on this CPU, not in bf16"):
        choose_engine("openvino", "cpu", "bf16")
    with pytest.raises(UsageError, match="unknown backend 'onnx': choose from auto, openvino"):
        choose_engine("onnx", "cpu", "auto")
    monkeypatch.setattr(backend, "choose_device", torch.device)
    assert "mps" in DEVICES
    with pytest.raises(UsageError, match="openvino: OpenVINO runs on the CPU, not on mps"):
        choose_engine("openvino", "mps", "fp32")


def test_the_variable_stands_in_for_auto_only(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ENHANCE_BACKEND", "torch")
    assert choose_engine("auto", "cpu", "auto").compiled is None
    assert choose_engine("openvino", "cpu", "fp32").compiled == "fp32"


def test_without_openvino_torch_computes_and_says_so(monkeypatch: pytest.MonkeyPatch):
    def absent(_: str) -> None:
        raise ModuleNotFoundError

    monkeypatch.setattr(compiling, "_module", absent)
    compiling._core.cache_clear()
    engine = choose_engine("auto", "cpu", "auto")
    assert (engine.compiled, engine.dtype) == (None, torch.float32)
    assert "OpenVINO is not installed: pip install 'enhance-cli[openvino]'" in engine.notice
    with pytest.raises(DeviceError, match="--backend openvino: OpenVINO is not installed"):
        choose_engine("openvino", "cpu", "auto")


def test_the_command_gives_the_same_bytes_again_and_calls_nobody(tmp_path: Path):
    """The cache is the only thing that is written besides the output, and no line is opened."""
    picture = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path / "in.png")
    code = (
        "import sys\n"
        "def watch(event, arguments):\n"
        "    if event in ('socket.connect', 'socket.getaddrinfo', 'urllib.Request'):\n"
        "        print(event, arguments, file=sys.stderr)\n"
        "sys.addaudithook(watch)\n"
        "from enhance_cli.app import main\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        "    slow = {'scipy', 'sympy', 'torch._dynamo'} & sys.modules.keys()\n"
        "    print(f'loaded: {slow}', file=sys.stderr)\n"
    )
    home = tmp_path / "home"
    home.mkdir()
    env = {**os.environ, "HOME": str(home), "ENHANCE_CACHE": str(tmp_path / "cache")}
    for name in ("first.png", "second.png"):
        command = [sys.executable, "-c", code, "superres", tmp_path / "in.png", "-o"]
        options = ["--backend", "auto", "--model", "fast", "-v"]
        ran = subprocess.run(
            [*command, tmp_path / name, *options], env=env, capture_output=True, text=True
        )
        assert ran.returncode == 0, ran.stderr
        lines = ran.stderr.splitlines()
        assert len(lines) == 3
        assert lines[2] == "loaded: set()"  # what takes long to load, and is not needed
        assert " by OpenVINO, tiles of at most " in lines[0]
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()
    assert list(home.iterdir()) == []
    assert len(list((tmp_path / "cache" / "openvino").iterdir())) == 1
