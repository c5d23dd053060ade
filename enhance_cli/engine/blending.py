"""Networks between two ends: one network whose weights lie between those of two models.

The weights of two models of one network, of which one was trained from the other, can be blended;
see Wang et al., ESRGAN, 2018, ch. 3.4 (network interpolation). The blend is a network like any
other, so it costs nothing.
"""

from dataclasses import replace

from torch import nn

from enhance_cli.architectures import MODELS
from enhance_cli.engine.checkpoint import CheckpointInfo, load_network
from enhance_cli.errors import CheckpointError, UsageError


def texture_ends(name: str) -> tuple[str, str] | None:
    """The models at texture 0 and 1 between which a model of ``MODELS`` can be blended.

    Args:
        name: a model at either end.

    Returns:
        None if the model is at no end.
    """
    pairs = ((spec.name, spec.textured) for spec in MODELS.values() if spec.textured)
    return next((pair for pair in pairs if name in pair), None)


def check_texture(name: str) -> tuple[str, str]:
    """The two ends of a model, as ``texture_ends`` has them.

    Raises:
        UsageError: if the model is at no end.
    """
    ends = texture_ends(name)
    if ends is None:
        others = ", ".join(spec.name for spec in MODELS.values() if spec.textured)
        raise UsageError(
            f"--texture: model {name!r} has no counterpart that draws texture, choose {others} "
            "or leave --texture out"
        )
    return ends


def blend(
    smooth: CheckpointInfo, textured: CheckpointInfo, share: float
) -> tuple[nn.Module, CheckpointInfo]:
    """Build the network whose weights are those of two checkpoints in some mixture.

    Args:
        smooth: the checkpoint of which ``1 - share`` is taken.
        textured: the checkpoint of which ``share`` is taken.
        share: from 0 to 1. At 0 and 1 the network is that of one checkpoint.

    Returns:
        The network, in float32 on the CPU and in evaluation mode, and what it is.

    Raises:
        CheckpointError: if a file is damaged, or they hold different networks.
    """
    if (smooth.architecture, smooth.config) != (textured.architecture, textured.config):
        raise CheckpointError(
            f"{textured.path}: holds another network than {smooth.path}, so their weights cannot "
            "be blended: train it from that one"
        )
    if share in (0, 1):
        info = textured if share else smooth
        return load_network(info), info
    network, other = load_network(smooth), load_network(textured)
    second = other.state_dict()
    network.load_state_dict(
        {key: value.lerp(second[key], share) for key, value in network.state_dict().items()}
    )
    name = f"{smooth.name} with {share:g} of {textured.name}"
    return network, replace(smooth, name=name, training={}, sources=(smooth, textured))
