"""The networks. To add one, write a file with an ``Architecture`` and give it a line here.

A model is an architecture with hyperparameters and a name. Its weights, where there are any, are
``{name}.safetensors``, or those of other models that it names.
"""

from dataclasses import replace
from typing import Any

from enhance_cli.architectures.adapted import ADAPTED
from enhance_cli.architectures.autoencoder import AUTOENCODER, AutoencoderConfig
from enhance_cli.architectures.data_consistency import DataConsistency
from enhance_cli.architectures.data_consistent import (
    FRVSR_DC,
    SISR_DC,
    DataConsistentFrvsrConfig,
    DataConsistentSisrConfig,
)
from enhance_cli.architectures.dcgan import DCGAN, DcganConfig
from enhance_cli.architectures.digit_classifier import DIGIT_CLASSIFIER, DigitClassifierConfig
from enhance_cli.architectures.edsr import EDSR
from enhance_cli.architectures.enhancenet import ENHANCENET, EnhanceNetConfig
from enhance_cli.architectures.flow_net import FlowConfig
from enhance_cli.architectures.frvsr import FRVSR, SISR, VSR, FrvsrConfig
from enhance_cli.architectures.mnist import MNIST_ARCHITECTURES
from enhance_cli.architectures.pix2pix import PIX2PIX, Pix2PixConfig
from enhance_cli.architectures.residual_shuffle import RESIDUAL_SHUFFLE, ResidualShuffleConfig
from enhance_cli.architectures.rrdbnet import RRDBNET
from enhance_cli.architectures.sid_fcn import SID_FCN, SidFcnConfig
from enhance_cli.architectures.sid_net import SID_NET, SidNetConfig
from enhance_cli.architectures.spec import Architecture, ModelSpec
from enhance_cli.architectures.srnet import SisrConfig
from enhance_cli.architectures.srvgg import SRVGG
from enhance_cli.architectures.vdvae import FACES64, VDVAE, VDVAE_CONFIGS
from enhance_cli.architectures.vdvae_sr import SR64, SR256, VDVAE_SR
from enhance_cli.architectures.vdvae_sr_compact import VDVAE_SR_COMPACT, VdvaeSrCompactConfig

ARCHITECTURES: dict[str, Architecture] = {
    entry.name: entry
    for entry in (
        ENHANCENET,
        RESIDUAL_SHUFFLE,
        EDSR,
        RRDBNET,
        SRVGG,
        VDVAE_SR,
        VDVAE_SR_COMPACT,
        ADAPTED,
        SID_FCN,
        SID_NET,
        PIX2PIX,
        FRVSR,
        FRVSR_DC,
        SISR,
        SISR_DC,
        VSR,
        AUTOENCODER,
        DCGAN,
        DIGIT_CLASSIFIER,
        VDVAE,
        *MNIST_ARCHITECTURES,
    )
}

# These have a quarter of the filters of table 6.1, so that two CPU cores can train them. With
# --set width=128 they have all.
_DIGITS = AutoencoderConfig(side=28, padding=2, channels=1, latent=16, width=32, kernel=4)
_FACES = AutoencoderConfig(width=32)


def _autoencoders(family: str, base: AutoencoderConfig) -> tuple[ModelSpec, ...]:
    """One model for each line of tables 6.2 and 6.3."""
    kinds: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("vae", "VAE", {"posterior": "gaussian", "prior": True}),
        ("cv-vae", "VAE of constant variance", {"posterior": "constant"}),
        ("wae", "WAE-MMD", {"prior": True}),
        ("rae-gp", "RAE, gradient penalty", {}),
        ("rae-l2", "RAE, weight decay in decoder", {}),
        ("rae-sn", "RAE, spectral-norm decoder", {"spectral": True}),
        ("rae", "RAE, only codes regularised", {}),
        ("ae", "plain autoencoder", {}),
    )
    return tuple(
        ModelSpec(
            f"{family}-{kind}",
            "autoencoder",
            replace(base, **settings),
            f"{family}: {summary}",
            "tables 6.1 to 6.3",
        )
        for kind, summary, settings in kinds
    )


# DCGAN for plain digits; WGAN-GP for colour digits and LSGAN for faces, which have no batch
# normalisation.
_GANS = {
    "digits": (DcganConfig(side=28, padding=2, normalised=False), "colour digits"),
    "mnist": (DcganConfig(side=28, padding=2, channels=1), "digits"),
    "faces": (DcganConfig(normalised=False), "faces of 32x32"),
}


def _gans() -> tuple[ModelSpec, ...]:
    """A generator with a lens and one without for each set of pictures."""
    return tuple(
        ModelSpec(f"{family}-{kind}", "dcgan", config, f"{what}: {how}", "fig. 4.3")
        for family, (config, what) in _GANS.items()
        for kind, how in (("tempered", "GAN with a lens"), ("gan", "plain GAN"))
    )


# All video models estimate motion alike, so that they can be compared (ch. 3.4.1).
_FLOW = FlowConfig(passes=2, lucas_kanade_steps=1, warping="bicubic")
# The defaults of DataConsistency fit the dissertation's degradation, these any other.
_CAUTIOUS = DataConsistency(weight=0.9, tolerance=0.04, damping=0.5, noise_floor=0.05, iterations=2)

MODELS: dict[str, ModelSpec] = {
    spec.name: spec
    for spec in (
        ModelSpec(
            "fast-x2",
            "residual-shuffle",
            ResidualShuffleConfig(scale=2),
            "pictures, enlarged twice, quickest",
            "blocks of EDSR, pixel shuffle of ESPCN, by PSNR",
        ),
        ModelSpec(
            "fast-x4",
            "residual-shuffle",
            ResidualShuffleConfig(),
            "pictures, enlarged 4 times, quickest",
            "blocks of EDSR, pixel shuffle of ESPCN, by PSNR",
        ),
        ModelSpec(
            "enet-e-x2",
            "enhancenet",
            EnhanceNetConfig(scale=2),
            "pictures, enlarged 2 times",
            "EnhanceNet, squared error: ENet-E of table 2.4",
        ),
        ModelSpec(
            "enet-e-x4",
            "enhancenet",
            EnhanceNetConfig(scale=4),
            "pictures, enlarged 4 times",
            "EnhanceNet, squared error: ENet-E of tables 2.3 and 2.4",
            textured="enet-pat-x4",
        ),
        ModelSpec(
            "enet-pat-x4",
            "enhancenet",
            EnhanceNetConfig(scale=4),
            "pictures, enlarged 4 times, textured",
            "EnhanceNet, perceptual, adversarial and texture losses: ENet-PAT of table 2.3",
        ),
        ModelSpec(
            "enet-real-e-x4",
            "residual-shuffle",
            ResidualShuffleConfig(channels=64, blocks=16),
            "worn pictures, enlarged, smooth",
            "Residual blocks and a pixel shuffle, L1",
            textured="enet-real-x4",
        ),
        ModelSpec(
            "enet-real-x4",
            "residual-shuffle",
            ResidualShuffleConfig(channels=64, blocks=16),
            "worn pictures, enlarged 4 times",
            "Residual blocks and a pixel shuffle, LPIPS, taught by a larger network",
        ),
        ModelSpec(
            "vdvae-sr-x4",
            "vdvae-sr-compact",
            VdvaeSrCompactConfig(),
            "pictures, enlarged, several answers",
            "VDVAE-SR, thesis 002, ch. 5, made small",
        ),
        ModelSpec(
            "vdvae-sr-64-x4",
            "vdvae-sr",
            SR64,
            "16x16 to 64x64, several answers",
            "VDVAE-SR 64, thesis 002, tables 5.1 and 6.1",
        ),
        ModelSpec(
            "vdvae-sr-256-x4",
            "vdvae-sr",
            SR256,
            "64x64 to 256x256, several answers",
            "VDVAE-SR 256, thesis 002, tables 6.2 and 6.3",
        ),
        ModelSpec(
            "sid-fcn",
            "sid-fcn",
            SidFcnConfig(width=16, noise_plane=True, demosaicing="adaptive", refinements=2),
            "RAW to colour, full size, any camera",
        ),
        ModelSpec(
            "sid-fcn-grey",
            "sid-fcn",
            SidFcnConfig(width=16, colours=1),
            "RAW to grey, full size, any camera",
            "task 1",
        ),
        ModelSpec(
            "sid-fcn-srgb",
            "sid-fcn",
            SidFcnConfig(width=16, source="srgb", noise_plane=True, refinements=2, bounded=True),
            "dark JPEG or PNG pictures to colour",
            "task 2",
        ),
        ModelSpec(
            "sid-net",
            "sid-net",
            SidNetConfig(),
            "RAW to colour, half size, one camera",
            "tables 4 to 8",
        ),
        ModelSpec(
            "sid-net-no-skip",
            "sid-net",
            SidNetConfig(skips=False),
            "sid-net without skip connections",
            "tables 7 and 8",
        ),
        ModelSpec(
            "sid-net-small",
            "sid-net",
            SidNetConfig(width=16, latent=768),
            "sid-net with half the filters",
            "latent 768, tables 7 and 8",
        ),
        ModelSpec(
            "sid-net-grey",
            "sid-net",
            SidNetConfig(channels_out=1),
            "sid-net for RAW to grey",
            "task 1, table 11",
        ),
        ModelSpec(
            "sid-net-srgb",
            "sid-net",
            SidNetConfig(channels_in=3),
            "sid-net for dark sRGB pictures",
            "task 2, table 11",
        ),
        ModelSpec(
            "pix2pix",
            "pix2pix",
            Pix2PixConfig(),
            "RAW to colour, half size, baseline",
            "tables 7 and 8",
        ),
        ModelSpec(
            "frvsr-real",
            "frvsr-dc",
            DataConsistentFrvsrConfig(
                channels=64, blocks=3, flow=_FLOW, data_consistency=_CAUTIOUS
            ),
            "real video: blur, noise, compression",
            "FRVSR 3-64 with data consistency",
        ),
        ModelSpec(
            "frvsr-3-64",
            "frvsr-dc",
            DataConsistentFrvsrConfig(channels=64, blocks=3, flow=_FLOW),
            "clean video, blurred and sub-sampled",
            "FRVSR 3-64 with data consistency, table 3.2",
        ),
        ModelSpec(
            "frvsr-10-128",
            "frvsr-dc",
            DataConsistentFrvsrConfig(flow=_FLOW),
            "as frvsr-3-64, a larger network",
            "FRVSR 10-128 with data consistency, table 3.2",
        ),
        ModelSpec(
            "frvsr",
            "frvsr",
            FrvsrConfig(channels=64, blocks=3, flow=_FLOW),
            "frvsr-3-64 without data consistency",
            "ch. 3",
        ),
        ModelSpec(
            "sisr",
            "sisr",
            SisrConfig(channels=64, blocks=3),
            "each frame by itself, baseline",
            "SRNet 3-64 alone, ch. 3.4.1",
        ),
        ModelSpec(
            "sisr-dc",
            "sisr-dc",
            DataConsistentSisrConfig(channels=64, blocks=3),
            "sisr with data consistency, baseline",
            weights_from=("sisr",),
        ),
        ModelSpec(
            "sisr-dc-recurrent",
            "frvsr-dc",
            DataConsistentFrvsrConfig(channels=64, blocks=3, flow=_FLOW),
            "frvsr-3-64 with sisr's net, baseline",
            "what the fixed part brings",
            weights_from=("sisr", "frvsr-3-64"),
        ),
        ModelSpec(
            "vsr",
            "vsr",
            FrvsrConfig(channels=64, blocks=3, flow=_FLOW),
            "three warped frames, baseline",
            "SRNet 3-64, ch. 3.4.1",
        ),
        *_autoencoders("digits", _DIGITS),
        *_autoencoders("faces", _FACES),
        *_gans(),
        ModelSpec(
            "digits-classifier",
            "digit-classifier",
            DigitClassifierConfig(),
            "reads digits, to judge",
        ),
        ModelSpec(
            "faces-vae-white",
            "autoencoder",
            replace(_FACES, posterior="gaussian", prior=True, likelihood="white"),
            "faces: VAE, one variance of pixels",
            "document 004's baseline",
        ),
        ModelSpec(
            "faces-vae-blur",
            "autoencoder",
            replace(_FACES, posterior="gaussian", prior=True, likelihood="blur"),
            "faces: VAE, errors weighed by blur",
            "document 004",
        ),
        *(
            ModelSpec(
                f"vdvae-{name}",
                "vdvae",
                config,
                f"very deep VAE, {config.side}x{config.side}",
                f"Child 2020, {name}: fig. 6.1 of thesis 002",
            )
            for name, config in VDVAE_CONFIGS.items()
        ),
        ModelSpec(
            "vdvae-faces-64", "vdvae", FACES64, "faces: very deep VAE, small", "none; Child 2020"
        ),
    )
}
