"""The networks. To add one: a file with an ``Architecture``, and its line here.

A model is an architecture with hyperparameters and a name; its weights, where there are any,
are ``{name}.safetensors``.
"""

from enhance_cli.architectures.enhancenet import ENHANCENET, EnhanceNetConfig
from enhance_cli.architectures.spec import Architecture, ModelSpec

ARCHITECTURES: dict[str, Architecture] = {entry.name: entry for entry in (ENHANCENET,)}

MODELS: dict[str, ModelSpec] = {
    spec.name: spec
    for spec in (
        ModelSpec("enet-e-x2", "enhancenet", EnhanceNetConfig(scale=2),
                  "EnhanceNet x2, squared error (ENet-E of table 2.4)"),
        ModelSpec("enet-e-x4", "enhancenet", EnhanceNetConfig(scale=4),
                  "EnhanceNet x4, squared error (ENet-E of tables 2.3 and 2.4)"),
    )
}
