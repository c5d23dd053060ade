"""Feature networks by name and by file: what they give, and every error in one line."""

import hashlib
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from enhance_cli.architectures.inception import FidInception
from enhance_cli.architectures.squeezenet import SqueezeNet
from enhance_cli.engine import features
from enhance_cli.engine.features import (
    FEATURES,
    LPIPS_FILE,
    FeatureExtractor,
    extract,
    fit_for_squeezenet,
    load_features,
    load_perceptual_distance,
)
from enhance_cli.errors import CheckpointError, InputError, UnknownNameError
from enhance_cli.metrics.frechet import FeatureStatistics, frechet_distance

CPU = torch.device("cpu")
SQUEEZENET = FEATURES["squeezenet"].filename


def images(seed: int, *shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of data with a random SqueezeNet and weights of LPIPS."""
    root = tmp_path_factory.mktemp("data")
    (root / "nets").mkdir()
    torch.manual_seed(0)
    network = SqueezeNet()
    save_file(network.state_dict(), root / "nets" / SQUEEZENET)
    channels = (64, 128, 256, 384, 384, 512, 512)
    save_file(
        {f"lin{i}.weight": torch.rand(1, c, 1, 1) for i, c in enumerate(channels)},
        root / "nets" / LPIPS_FILE,
    )
    return root


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Inception as the published file has it: with a classifier, without counters."""
    torch.manual_seed(0)
    state = {
        key: value.half()
        for key, value in FidInception().state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    path = tmp_path_factory.mktemp("weights") / "mine.pth"
    torch.save({**state, "fc.weight": torch.zeros(1008, 2), "fc.bias": torch.zeros(1008)}, path)
    return path


@pytest.fixture
def squeeze(root: Path, tmp_path: Path) -> FeatureExtractor:
    return load_features("squeezenet", roots=[tmp_path, root], cache=tmp_path, device=CPU)


def test_squeezenet_by_name(squeeze: FeatureExtractor, root: Path) -> None:
    assert squeeze.name == "Frechet distance (SqueezeNet 1.1)"
    assert (squeeze.title, squeeze.dimensions) == ("SqueezeNet 1.1", 512)
    assert squeeze.path == root / "nets" / SQUEEZENET
    assert not squeeze.network.training
    found = squeeze(images(0, 2, 3, 64, 64))
    assert (found.shape, found.dtype) == ((2, 512), torch.float32)
    torch.testing.assert_close(found, squeeze.network(images(0, 2, 3, 64, 64)))


def test_in_the_cache_and_by_file(root: Path, tmp_path: Path, squeeze: FeatureExtractor) -> None:
    cache = root / "nets"
    named = load_features("squeezenet", roots=[], cache=cache, device=CPU)
    given = load_features(cache / SQUEEZENET, roots=[], cache=tmp_path, device=CPU)
    x = images(1, 2, 3, 40, 40)
    assert given.name == named.name == squeeze.name
    assert torch.equal(given(x), squeeze(x))
    assert torch.equal(named(x), squeeze(x))


def test_grey_is_red_green_and_blue(squeeze: FeatureExtractor) -> None:
    digits = images(0, 3, 1, 28, 28)
    assert torch.equal(squeeze(digits), squeeze(digits.expand(-1, 3, -1, -1)))
    enlarged = torch.nn.functional.interpolate(digits, (64, 64), mode="bilinear")
    torch.testing.assert_close(squeeze(digits), squeeze(enlarged))


def test_batches_make_no_difference(squeeze: FeatureExtractor) -> None:
    x = images(2, 7, 3, 32, 32)
    told: list[int] = []
    streamed = extract(squeeze, x.split(3), told.append)
    assert told == [3, 3, 1]
    torch.testing.assert_close(streamed, squeeze(x))
    assert extract(squeeze, []).shape == (0, 512)


def test_the_distance_agrees_with_float64_throughout(shared_data: Path, tmp_path: Path) -> None:
    squeeze = load_features("squeezenet", roots=[shared_data], cache=tmp_path, device=CPU)
    exact = SqueezeNet().double()
    exact.load_state_dict(squeeze.network.state_dict())
    sets = images(7, 40, 3, 64, 64), images(8, 30, 3, 64, 64) ** 2
    single = [FeatureStatistics.from_features(squeeze(one)) for one in sets]
    with torch.no_grad():
        double = [FeatureStatistics.from_features(exact(one.double())) for one in sets]
    assert frechet_distance(*single) == pytest.approx(frechet_distance(*double), rel=1e-4)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((28, 28), (64, 64)),
        ((32, 48), (64, 96)),
        ((64, 64), (64, 64)),
        ((200, 90), (200, 90)),
        ((256, 400), (256, 400)),
        ((512, 300), (437, 256)),
        ((1, 3), (64, 192)),
    ],
)
def test_the_rule_of_sizes(size: tuple[int, int], expected: tuple[int, int]) -> None:
    x = images(0, 1, 3, *size)
    fitted = fit_for_squeezenet(x)
    assert tuple(fitted.shape[2:]) == expected
    if size == expected:
        assert fitted is x
    assert fitted.mean() == pytest.approx(float(x.mean()), abs=0.05)


@pytest.mark.parametrize("shape", [(3, 64, 64), (1, 2, 64, 64), (1, 4, 64, 64)])
def test_no_pictures(squeeze: FeatureExtractor, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="N, 1 or 3, H, W"):
        squeeze(torch.zeros(shape))


def test_inception_of_a_file_is_not_called_fid(inception_file: Path, tmp_path: Path) -> None:
    found = load_features(inception_file, roots=[], cache=tmp_path, device=CPU)
    assert found.name == "Frechet distance (Inception-v3 of mine.pth)"
    assert found.dimensions == 2048
    assert isinstance(found.network, FidInception)
    assert found(images(0, 1, 1, 28, 28)).shape == (1, 2048)


def test_the_official_file_gives_fid(
    inception_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its sum alone: in a root, in the cache and under another name."""
    sha256 = hashlib.sha256(inception_file.read_bytes()).hexdigest()
    entry = replace(FEATURES["inception"], sha256=sha256, url="nonsense")
    monkeypatch.setitem(FEATURES, "inception", entry)
    assert load_features(inception_file, roots=[], cache=tmp_path, device=CPU).name == "FID"
    (tmp_path / "nets").mkdir()
    for path in (tmp_path / "nets" / entry.filename, tmp_path / entry.filename):
        path.symlink_to(inception_file)
        found = load_features("inception", roots=[tmp_path], cache=tmp_path, device=CPU)
        assert (found.name, found.path) == ("FID", path)
        path.unlink()
        path.write_bytes(b"something else")
        with pytest.raises(CheckpointError, match=f"{sha256[:8]}.*remove it"):
            load_features("inception", roots=[tmp_path], cache=tmp_path, device=CPU)
        path.unlink()


def test_the_published_weights_are_named() -> None:
    entry = FEATURES["inception"]
    assert entry.url.startswith("https://")
    assert entry.url.endswith(entry.filename)
    assert entry.filename == f"pt_inception-2015-12-05-{entry.sha256[:8]}.pth"
    assert len(entry.sha256) == 64


def test_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = replace(FEATURES["inception"], url="nonsense")
    monkeypatch.setitem(FEATURES, "inception", entry)
    told: list[str] = []
    with pytest.raises(InputError) as error:
        load_features("inception", roots=[], cache=tmp_path, device=CPU, say=told.append)
    text = str(error.value)
    assert "\n" not in text
    assert f"put the file at {tmp_path / entry.filename} by hand" in text
    assert text.endswith("or use --features squeezenet")
    assert told == ["fetching nonsense"]


def test_names_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'squeezenet'.*inception, squeezenet"):
        load_features("squeezent", roots=[], cache=tmp_path, device=CPU)
    with pytest.raises(CheckpointError, match=f"no {SQUEEZENET} in .*nets or .*put it there"):
        load_features("squeezenet", roots=[tmp_path], cache=tmp_path, device=CPU)
    with pytest.raises(CheckpointError, match="no folder of data"):
        load_features("squeezenet", roots=[], cache=tmp_path, device=CPU)
    for name in ("none.pth", "none.safetensors", "no/where"):
        with pytest.raises(CheckpointError, match="no such"):
            load_features(tmp_path / name, roots=[], cache=tmp_path, device=CPU)


class _Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("harm"),)


def test_files_that_are_none(root: Path, tmp_path: Path, inception_file: Path) -> None:
    state = load_file(root / "nets" / SQUEEZENET)
    (tmp_path / "harmful.pth").write_bytes(pickle.dumps(_Harmful()))
    (tmp_path / "cut.pth").write_bytes(inception_file.read_bytes()[:50_000])
    (tmp_path / "empty.pth").write_bytes(b"")
    (tmp_path / "text.pt").write_bytes(b"not found")
    (tmp_path / "text.safetensors").write_bytes(b"not found")
    torch.save({"epoch": 3, "weights": state}, tmp_path / "nested.pth")
    save_file({"conv1.weight": torch.zeros(3)}, tmp_path / "foreign.safetensors")
    save_file({**state, "extra": torch.zeros(1)}, tmp_path / "more.safetensors")
    save_file({k: v for k, v in state.items() if k != "conv1.bias"}, tmp_path / "less.safetensors")
    nan = torch.full((64,), float("nan"))
    save_file({**state, "conv1.bias": nan}, tmp_path / "nan.safetensors")
    for name, text in {
        "harmful.pth": "cannot be read as weights",
        "cut.pth": "cannot be read as weights",
        "empty.pth": "cannot be read as weights",
        "text.pt": "cannot be read as weights",
        "text.safetensors": "not a readable safetensors file",
        "nested.pth": "something else",
        "foreign.safetensors": "no weights of Inception-v3 or SqueezeNet 1.1",
        "more.safetensors": "unexpected: extra",
        "less.safetensors": "missing: conv1.bias",
        "nan.safetensors": "not finite: conv1.bias",
    }.items():
        with pytest.raises(CheckpointError, match=text) as error:
            load_features(tmp_path / name, roots=[], cache=tmp_path, device=CPU)
        assert str(tmp_path / name) in str(error.value)
        assert "\n" not in str(error.value)
    assert not Path("harm").exists()


def test_perceptual_distance(root: Path, tmp_path: Path) -> None:
    distance = load_perceptual_distance(roots=[root], cache=tmp_path, device=CPU)
    assert "Keras port" in distance.name  # not the published LPIPS
    x, y = images(0, 3, 3, 40, 40), images(1, 3, 3, 40, 40)
    assert distance(x, x).tolist() == [0, 0, 0]
    found = distance(x, y)
    assert (found.shape, found.dtype) == ((3,), torch.float32)
    assert (found > 0).all()
    torch.testing.assert_close(found, distance(y, x))
    torch.testing.assert_close(found[1:2], distance(x[1:2], y[1:2]))
    assert distance(x[:, :1], y[:, :1]).shape == (3,)
    with pytest.raises(ValueError, match="one shape"):
        distance(x, y[..., 1:])


def test_perceptual_distance_sees_the_finest_detail_of_a_large_picture(
    root: Path, tmp_path: Path
) -> None:
    """Measured on pictures reduced to 256 pixels, a checkerboard of single pixels went unseen."""
    distance = load_perceptual_distance(roots=[root], cache=tmp_path, device=CPU)
    checks = torch.arange(512).add(torch.arange(512)[:, None]).remainder(2) - 0.5
    flat = torch.full((1, 3, 512, 512), 0.5)
    flat.requires_grad_()
    strong, weak = (distance.compare(flat, flat + share * checks) for share in (0.4, 0.1))
    assert strong.item() > weak.item() > 1e-3
    (gradient,) = torch.autograd.grad(strong, flat)
    assert bool(gradient.isfinite().all())
    assert float(gradient.abs().sum()) > 0


def test_weights_of_lpips_that_are_none(root: Path, tmp_path: Path) -> None:
    nets = tmp_path / "nets"
    nets.mkdir()
    (nets / SQUEEZENET).symlink_to(root / "nets" / SQUEEZENET)

    def load() -> None:
        load_perceptual_distance(roots=[tmp_path], cache=tmp_path, device=CPU)

    with pytest.raises(CheckpointError, match="weights of LPIPS v0.1 there"):
        load()
    weights = load_file(root / "nets" / LPIPS_FILE)
    save_file({k: v for k, v in weights.items() if k != "lin6.weight"}, nets / LPIPS_FILE)
    with pytest.raises(CheckpointError, match="no weights of LPIPS for SqueezeNet"):
        load()
    save_file({**weights, "lin3.weight": -weights["lin3.weight"]}, nets / LPIPS_FILE)
    with pytest.raises(CheckpointError, match="at least 0"):
        load()


def test_the_trunk_at_hand_tells_pictures_apart(shared_data: Path, tmp_path: Path) -> None:
    """Worse noise and blur are farther, by the distance of sets and of pairs."""
    squeeze = load_features("squeezenet", roots=[shared_data], cache=tmp_path, device=CPU)
    photograph = sorted((shared_data / "photos_val").glob("*.png"))[0]
    picture = torch.from_numpy(np.asarray(Image.open(photograph).convert("RGB")) / 255).float()
    patches = picture.unfold(0, 64, 64).unfold(1, 64, 64).flatten(0, 1)
    noise = images(3, *patches.shape) - 0.5
    sets = [patches, *((patches + strength * noise).clamp(0, 1) for strength in (0.1, 0.4))]
    whole = [FeatureStatistics.from_features(squeeze(one)) for one in sets]
    assert frechet_distance(whole[0], whole[0]) < 1e-6 * frechet_distance(whole[0], whole[1])
    assert 2 * frechet_distance(whole[0], whole[1]) < frechet_distance(whole[0], whole[2])
    distance = load_perceptual_distance(roots=[shared_data], cache=tmp_path, device=CPU)
    weak, strong = (distance(sets[0], one) for one in sets[1:])
    assert (2 * weak < strong).float().mean() > 0.9
    assert 0 < float(strong.mean()) < 2


@pytest.mark.gpu
def test_a_gpu_gives_the_same(root: Path, tmp_path: Path, squeeze: FeatureExtractor) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    there = load_features("squeezenet", roots=[root], cache=tmp_path, device=torch.device("cuda"))
    x = images(5, 4, 3, 64, 64)
    torch.testing.assert_close(there(x), squeeze(x), rtol=1e-4, atol=1e-4)


def test_the_table_is_whole() -> None:
    for entry in features.FEATURES.values():
        with torch.device("meta"):
            names = entry.build().state_dict()
        assert entry.mark in names
        assert sum(other.mark in names for other in FEATURES.values()) == 1
