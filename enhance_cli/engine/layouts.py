"""Recognise the networks of other programs by the names and shapes of their tensors.

``LAYOUTS`` says how programs name the tensors of the architectures here. To add one, write a line.
What hyperparameters a network has is read from the shapes.
"""

import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from enhance_cli.architectures import ARCHITECTURES
from enhance_cli.architectures.edsr import DIV2K_MEAN, EdsrConfig
from enhance_cli.architectures.rrdbnet import RrdbNetConfig
from enhance_cli.architectures.spec import Architecture
from enhance_cli.architectures.srvgg import SrvggConfig
from enhance_cli.architectures.vdvae import VDVAE_CONFIGS, VdvaeConfig
from enhance_cli.architectures.vdvae_blocks import parse_blocks
from enhance_cli.engine.checkpoint import build, load_tensors
from enhance_cli.errors import CheckpointError

Tensors = Mapping[str, Tensor]
Names = Mapping[str, str]  # of the file -> of the architecture


@dataclass(frozen=True)
class Layout:
    """How a program names the tensors of an architecture.

    Attributes:
        title: what users call the network and its program.
        architecture: key of ``ARCHITECTURES``.
        sample: a name that tells this layout from others.
        rename: gives those names of a file that belong to the layout, with the architecture's own.
        configure: gives the hyperparameters from the tensors under the architecture's own names.
            What cannot be read because tensors are missing has its default.
        aside: beginnings of names of constants, which ``configure`` reads and the network lacks.
        remark: what the file cannot tell, and what is assumed.
    """

    title: str
    architecture: str
    sample: str
    rename: Callable[[Collection[str]], Names]
    configure: Callable[[Tensors], Any]
    aside: tuple[str, ...] = ()
    remark: str | None = None


@dataclass(frozen=True)
class Recognised:
    """A network that was found in a file of another program.

    Attributes:
        title: what it is, for people.
        architecture: its entry in ``ARCHITECTURES``.
        network: with the file's weights, in float32.
        remark: what had to be assumed, or None.
    """

    title: str
    architecture: Architecture
    network: nn.Module
    remark: str | None = None


def recognise(tensors: Tensors, origin: str) -> Recognised:
    """Find the layout that most names of a file belong to, and build its network.

    Args:
        tensors: by name, as in the file.
        origin: the file, for messages.

    Raises:
        CheckpointError: if at least half of the names belong to no known layout, or if tensors are
            missing, unexpected or of another shape.
    """
    layout, share = nearest_layout(tensors)
    if share < 0.5:
        raise CheckpointError(
            f"{origin}: no network that enhance knows; of the names of its {len(tensors)} tensors "
            f"({', '.join(sorted(tensors)[:3])} ...) {share:.0%} fit the nearest, {layout.title} "
            f"({layout.sample} ...)"
        )
    names = layout.rename(tensors)
    renamed = {names.get(name, name): value for name, value in tensors.items()}
    origin = f"{origin} (by its names {layout.title})"
    try:
        config = layout.configure(renamed)
        architecture = ARCHITECTURES[layout.architecture]
        network = build(architecture, config)
    except ValueError as error:
        raise CheckpointError(f"{origin}: its shapes are of no such network ({error})") from error
    kept = {key: value for key, value in renamed.items() if not key.startswith(layout.aside)}
    load_tensors(network, kept, origin)
    return Recognised(layout.title, architecture, network, layout.remark)


def nearest_layout(names: Collection[str]) -> tuple[Layout, float]:
    """The layout to which most of some names belong, and their share; never none."""
    words = {word for name in names for word in _words(name)}

    def likeness(layout: Layout) -> tuple[float, int]:
        return len(layout.rename(names)) / len(names), len(words & _words(layout.sample))

    best = max(LAYOUTS, key=likeness)
    return best, likeness(best)[0]


def _words(name: str) -> set[str]:
    return set(re.findall("[A-Za-z_]+", name))


def _by_patterns(*patterns: tuple[str, str]) -> Callable[[Collection[str]], Names]:
    """A ``rename`` of patterns of whole names, and what they become, as in ``re.sub``."""
    compiled = [(re.compile(pattern), name) for pattern, name in patterns]

    def rename(names: Collection[str]) -> Names:
        return {
            name: match.expand(own)
            for name in names
            for pattern, own in compiled
            if (match := pattern.fullmatch(name))
        }

    return rename


_VALUES = r"\.(weight|bias)"


def _rename_first_esrgan(names: Collection[str]) -> Names:
    """The first code of ESRGAN numbers its layers: how many doublings there are moves the last."""
    numbers = {int(match[1]) for name in names if (match := re.match(r"model\.(\d+)\.", name))}
    last = max(numbers, default=0)
    doublings = [(rf"model\.{3 * i}{_VALUES}", rf"conv_up{i}.\1") for i in range(1, last // 3)]
    return _by_patterns(
        (rf"model\.0{_VALUES}", r"conv_first.\1"),
        (
            rf"model\.1\.sub\.(\d+)\.RDB([123])\.conv([1-5])\.0{_VALUES}",
            r"body.\1.rdb\2.conv\3.\4",
        ),
        (rf"model\.1\.sub\.\d+{_VALUES}", r"conv_body.\1"),
        *doublings,
        (rf"model\.{last - 2}{_VALUES}", r"conv_hr.\1"),
        (rf"model\.{last}{_VALUES}", r"conv_last.\1"),
    )(names)


def _configure_rrdbnet(tensors: Tensors) -> RrdbNetConfig:
    usual = RrdbNetConfig()
    cells, channels = _sides(tensors, "conv_first.weight", (3, usual.channels))
    blocks = _length(tensors, r"body\.(\d+)\.", usual.blocks)
    inner = f"body.{blocks - 1}.rdb1.conv1.weight"
    _, growth = _sides(tensors, inner, (channels, usual.growth))
    unshuffle = {12: 2, 48: 4}.get(cells, 1)
    doublings = _length(tensors, r"conv_up(\d+)\.", 0, first=1)
    return RrdbNetConfig(
        max(1, 2**doublings // unshuffle), channels, blocks, growth, unshuffle=unshuffle
    )


def _configure_srvgg(tensors: Tensors) -> SrvggConfig:
    usual = SrvggConfig()
    _, channels = _sides(tensors, "body.0.weight", (3, usual.channels))
    last = _length(tensors, r"body\.(\d+)\.", 2 * usual.layers + 3) - 1
    _, pixels = _sides(tensors, f"body.{last}.weight", (channels, 3 * usual.scale**2))
    return SrvggConfig(math.isqrt(pixels // 3), channels, (last - 2) // 2)


def _configure_edsr(tensors: Tensors) -> EdsrConfig:
    usual = EdsrConfig()
    _, channels = _sides(tensors, "conv_first.weight", (3, usual.channels))
    scale = 1
    for layer in range(0, 8, 2):
        wide, wider = _sides(tensors, f"upsample.{layer}.weight", (1, 1))
        scale *= math.isqrt(wider // wide)
    levels = usual.levels
    if "sub_mean.bias" in tensors:
        shares = [-float(b) / m for b, m in zip(tensors["sub_mean.bias"], DIV2K_MEAN, strict=True)]
        levels = round(shares[0], 3)
        if max(shares) - min(shares) > 1e-3 * levels:
            raise ValueError("sub_mean is not the mean of DIV2K")
    return EdsrConfig(
        scale,
        channels,
        blocks=_length(tensors, r"body\.(\d+)\.conv", usual.blocks),
        residual_scale=0.1 if channels >= 256 else 1.0,
        levels=levels,
    )


def _configure_vdvae(tensors: Tensors) -> VdvaeConfig:
    """One of Child's networks: block strings cannot be read from shapes, but told apart by them."""
    up = _length(tensors, r"encoder\.enc_blocks\.(\d+)\.", 0)
    down = _length(tensors, r"decoder\.dec_blocks\.(\d+)\.", 0)
    _, width = _sides(tensors, "encoder.in_conv.weight", (3, VdvaeConfig().width))
    for config in VDVAE_CONFIGS.values():
        lengths = tuple(len(parse_blocks(blocks)) for blocks in (config.encoder, config.decoder))
        if (*lengths, config.width) == (up, down, width):
            return config
    raise ValueError(
        f"{up} blocks up, {down} down and {width} channels are none of {', '.join(VDVAE_CONFIGS)}"
    )


def _sides(tensors: Tensors, name: str, usual: tuple[int, int]) -> tuple[int, int]:
    """Channels in and out of a convolution, or the usual ones if it is missing."""
    if name not in tensors:
        return usual
    shape = tensors[name].shape
    if len(shape) != 4 or not all(shape):
        raise ValueError(f"{name} is {tuple(shape)}, no convolution")
    return shape[1], shape[0]


def _length(names: Collection[str], pattern: str, usual: int, first: int = 0) -> int:
    """How many numbers there are from ``first`` to the highest at the only group of a pattern."""
    highest = max((int(m[1]) for name in names if (m := re.match(pattern, name))), default=None)
    if highest is None:
        return usual
    if highest > len(names):
        raise ValueError(f"{len(names)} tensors, but one is of layer {highest}")
    return highest + 1 - first


_RESIDUALS = (
    "the factor of its residuals is not in the file: 0.1 from 256 channels on, else 1, as in "
    "the paper"
)

LAYOUTS: tuple[Layout, ...] = (
    Layout(
        "ESRGAN or Real-ESRGAN (RRDBNet of BasicSR)",
        "rrdbnet",
        "body.0.rdb1.conv1.weight",
        _by_patterns(
            (rf"(?:conv_first|conv_body|conv_up\d|conv_hr|conv_last){_VALUES}", r"\g<0>"),
            (rf"body\.\d+\.rdb[123]\.conv[1-5]{_VALUES}", r"\g<0>"),
        ),
        _configure_rrdbnet,
    ),
    Layout(
        "ESRGAN (RRDBNet of its first code)",
        "rrdbnet",
        "model.1.sub.0.RDB1.conv1.0.weight",
        _rename_first_esrgan,
        _configure_rrdbnet,
    ),
    Layout(
        "ESRGAN, BSRGAN or RealSR (RRDBNet of ESRGAN's later code)",
        "rrdbnet",
        "RRDB_trunk.0.RDB1.conv1.weight",
        _by_patterns(
            (rf"(conv_first|conv_last){_VALUES}", r"\g<0>"),
            (rf"RRDB_trunk\.(\d+)\.RDB([123])\.conv([1-5]){_VALUES}", r"body.\1.rdb\2.conv\3.\4"),
            (rf"trunk_conv{_VALUES}", r"conv_body.\1"),
            (rf"upconv(\d){_VALUES}", r"conv_up\1.\2"),
            (rf"HRconv{_VALUES}", r"conv_hr.\1"),
        ),
        _configure_rrdbnet,
    ),
    Layout(
        "compact Real-ESRGAN (SRVGGNetCompact)",
        "srvgg",
        "body.1.weight",
        _by_patterns((rf"body\.\d+{_VALUES}", r"\g<0>")),
        _configure_srvgg,
    ),
    Layout(
        "EDSR (its authors' code)",
        "edsr",
        "body.0.body.0.weight",
        _by_patterns(
            (rf"head\.0{_VALUES}", r"conv_first.\1"),
            (rf"body\.(\d+)\.body\.0{_VALUES}", r"body.\1.conv1.\2"),
            (rf"body\.(\d+)\.body\.2{_VALUES}", r"body.\1.conv2.\2"),
            (rf"body\.\d+{_VALUES}", r"conv_after_body.\1"),
            (rf"tail\.0\.(\d){_VALUES}", r"upsample.\1.\2"),
            (rf"tail\.1{_VALUES}", r"conv_last.\1"),
            (rf"(?:sub|add)_mean{_VALUES}", r"\g<0>"),
        ),
        _configure_edsr,
        aside=("sub_mean.", "add_mean."),
        remark=_RESIDUALS,
    ),
    Layout(
        "EDSR (BasicSR)",
        "edsr",
        "conv_after_body.weight",
        _by_patterns(
            (rf"(?:conv_first|conv_after_body|conv_last){_VALUES}", r"\g<0>"),
            (rf"body\.\d+\.conv[12]{_VALUES}", r"\g<0>"),
            (rf"upsample\.\d{_VALUES}", r"\g<0>"),
        ),
        _configure_edsr,
        remark=_RESIDUALS,
    ),
    Layout(
        "VDVAE (its author's code)",
        "vdvae",
        "decoder.dec_blocks.0.z_proj.weight",
        _by_patterns(
            (rf"(?:module\.)?(encoder\.in_conv|decoder\.out_net\.out_conv){_VALUES}", r"\1.\2"),
            (rf"(?:module\.)?(encoder\.enc_blocks\.\d+\.c[1-4]){_VALUES}", r"\1.\2"),
            (
                rf"(?:module\.)?(decoder\.dec_blocks\.\d+\.(?:enc|prior|resnet)\.c[1-4]){_VALUES}",
                r"\1.\2",
            ),
            (rf"(?:module\.)?(decoder\.dec_blocks\.\d+\.z_proj){_VALUES}", r"\1.\2"),
            (r"(?:module\.)?(decoder\.(?:bias_xs\.\d+|gain|bias))", r"\1"),
        ),
        _configure_vdvae,
    ),
)
