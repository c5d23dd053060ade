"""Colour profiles from the numbers by which PNG, AVIF and TIFF describe their colours.

Instead of an ICC profile a file may name the chromaticities of its primaries and its transfer
function, by code points of ISO/IEC 23091-2 ("coding-independent code points", the chunk cICP of
PNG and the property nclx of AVIF) or as plain numbers (the chunks gAMA and cHRM of PNG, tags of
TIFF). Here they become an ICC profile that says the same, which all formats that we write can hold.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

Chromaticity = tuple[float, float]

D65 = (0.3127, 0.3290)
ILLUMINANT_C = (0.310, 0.316)


@dataclass(frozen=True)
class Primaries:
    """The chromaticities (x, y) of CIE 1931 of the primaries and of white."""

    red: Chromaticity
    green: Chromaticity
    blue: Chromaticity
    white: Chromaticity = D65

    def is_close(self, other: "Primaries") -> bool:
        """Whether the two are the same but for rounding."""
        mine, theirs = (np.array([p.red, p.green, p.blue, p.white]) for p in (self, other))
        return bool(np.abs(mine - theirs).max() < 0.002)


BT709 = Primaries((0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
_SMPTE_C = Primaries((0.630, 0.340), (0.310, 0.595), (0.155, 0.070))
_P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
# ISO/IEC 23091-2, table 2; 2 means unspecified, which is read as sRGB.
PRIMARIES = {
    1: BT709,
    2: BT709,
    4: Primaries((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), ILLUMINANT_C),
    5: Primaries((0.64, 0.33), (0.29, 0.60), (0.15, 0.06)),
    6: _SMPTE_C,
    7: _SMPTE_C,
    8: Primaries((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), ILLUMINANT_C),
    9: Primaries((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    11: Primaries(*_P3, (0.314, 0.351)),
    12: Primaries(*_P3),
    22: Primaries((0.630, 0.340), (0.295, 0.605), (0.155, 0.077)),
}
# ISO/IEC 23091-2, table 3, as exponents of a decoding power function; None stands for the curve of
# sRGB. The camera curves of BT.709, BT.601 and BT.2020 are shown with it too: such pictures come
# from videos, and players and browsers do so.
TRANSFERS = {1: None, 2: None, 4: 2.2, 5: 2.8, 6: None, 8: 1.0, 13: None, 14: None, 15: None}
HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
UNSPECIFIED = 2
# Tags of TIFF.
TRANSFER_FUNCTION, WHITE_POINT, PRIMARY_CHROMATICITIES, REFERENCE_BLACK_WHITE = 301, 318, 319, 532
SRGB_GAMMA = 1 / 0.45455  # what PNG calls sRGB in its chunk gAMA

# White of ICC profiles, and the transform of Bradford to it (ICC.1:2022, annex E).
_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


class ColourTagError(ValueError):
    """Colours that no picture of ours can hold; the message says which, and what to do."""


def avif_code_points(file: IO[bytes]) -> tuple[int, int]:
    """The code points of the primaries and the transfer function of an AVIF; 2 if it has none."""
    import av

    file.seek(0)
    try:
        with av.open(file, metadata_errors="ignore") as container:
            context = container.streams.video[0].codec_context
            return int(context.color_primaries), int(context.color_trc)
    except (av.FFmpegError, IndexError):
        return UNSPECIFIED, UNSPECIFIED


def profile_of_code_points(
    primaries: int, transfer: int, channels: int, *, full_range: bool = True
) -> bytes | None:
    """An ICC profile of the colours that code points stand for; None if they are sRGB.

    Args:
        primaries: the code point of the primaries.
        transfer: the code point of the transfer function.
        channels: 1 for a grey picture, 3 for RGB.
        full_range: whether black and white are the lowest and highest level.

    Raises:
        ColourTagError: for PQ and HLG, for narrow range, and for code points without a meaning.
    """
    if transfer in HDR_TRANSFERS:
        raise ColourTagError(
            f"high dynamic range ({HDR_TRANSFERS[transfer]}), which would look pale and flat: "
            "tone-map it to sRGB or Display P3 first, for example in darktable or GIMP"
        )
    if not full_range:
        raise ColourTagError(
            "levels of narrow range, as videos have them: convert it to full range first"
        )
    if primaries not in PRIMARIES or transfer not in TRANSFERS:
        raise ColourTagError(
            f"colours of an unusual kind (code points {primaries} and {transfer}): convert it "
            "to sRGB first"
        )
    return make_profile(PRIMARIES[primaries], TRANSFERS[transfer], channels)


def profile_of_gamma(
    gamma: float | None, chromaticities: tuple[float, ...] | None, channels: int
) -> bytes | None:
    """An ICC profile of the colours that gAMA and cHRM describe; None if they are sRGB.

    Args:
        gamma: the exponent that encodes light, such as 0.45455, or None.
        chromaticities: x and y of white, red, green and blue, or None.
        channels: 1 for a grey picture, 3 for RGB.
    """
    primaries = BT709
    if chromaticities is not None and len(chromaticities) == 8:
        white, red, green, blue = zip(chromaticities[::2], chromaticities[1::2], strict=True)
        primaries = Primaries(red, green, blue, white)
    decoding = 1 / gamma if gamma else None
    is_srgb = primaries.is_close(BT709) or channels == 1
    if decoding is not None and is_srgb and abs(decoding - SRGB_GAMMA) < 0.02:
        decoding = None
    return make_profile(primaries, decoding, channels)


def profile_of_tiff(tags: Mapping[int, Any], channels: int) -> tuple[bytes | None, list[str]]:
    """An ICC profile of the colours that the tags of a TIFF describe (TIFF 6.0, section 20).

    Args:
        tags: the tags by their numbers.
        channels: 1 for a grey picture, 3 for RGB.

    Returns:
        The profile, None if they are sRGB or not told; and the names of tags that say more than
        the profile can.

    Raises:
        ColourTagError: if the primaries enclose no colours.
    """
    primaries, left_out = BT709, []
    white, others = _numbers(tags, WHITE_POINT), _numbers(tags, PRIMARY_CHROMATICITIES)
    if len(others) == 6:
        red, green, blue = zip(others[::2], others[1::2], strict=True)
        around = (white[0], white[1]) if len(white) == 2 else D65
        primaries = Primaries(red, green, blue, around)
    elif white and np.abs(np.array(white) - D65).max() > 0.002:
        left_out.append("WhitePoint")
    exponent = None
    if table := _numbers(tags, TRANSFER_FUNCTION):
        exponent = _exponent_of(table)
        if exponent is None:
            left_out.append("TransferFunction")
        elif abs(exponent - SRGB_GAMMA) < 0.02 and primaries.is_close(BT709):
            exponent = None
    limits = _numbers(tags, REFERENCE_BLACK_WHITE)
    if limits[:2] and limits[:2] != (0, 255) and limits[:2] != (0, 65535):
        left_out.append("ReferenceBlackWhite")
    return make_profile(primaries, exponent, channels), left_out


def _numbers(tags: Mapping[int, Any], tag: int) -> tuple[float, ...]:
    """The numbers of a tag; none if it is absent or they make no sense."""
    value = tags.get(tag, ())
    try:
        return tuple(map(float, value if isinstance(value, tuple | list) else (value,)))
    except (TypeError, ValueError, ZeroDivisionError):
        return ()


def _exponent_of(table: tuple[float, ...]) -> float | None:
    """The exponent of the power function that a table of light by level follows, if it does."""
    colours = 3 if len(table) % 3 == 0 else 1  # 2 to the power of the depth, once or for each
    light = np.array(table).reshape(colours, -1) / 65535
    level = np.linspace(0, 1, light.shape[1])
    if np.abs(light - ((level + 0.055) / 1.055) ** 2.4).max() < 0.005:
        return SRGB_GAMMA
    middle = light[0, len(level) // 2]
    if not 0 < middle < 1:
        return None
    exponent = float(np.log(middle) / np.log(level[len(level) // 2]))
    return exponent if np.abs(light - level**exponent).max() < 0.01 else None


def make_profile(primaries: Primaries, exponent: float | None, channels: int) -> bytes | None:
    """A small ICC profile, version 4 (ICC.1:2022); None if it would be that of sRGB.

    Args:
        primaries: primaries and white; a grey picture has no use for them.
        exponent: of the power function that decodes levels; None for the curve of sRGB.
        channels: 1 for a grey picture, 3 for RGB.

    Raises:
        ColourTagError: if the primaries enclose no colours.
    """
    if exponent is None and (channels == 1 or primaries.is_close(BT709)):
        return None
    curve = _parametric_curve(exponent)
    tags = {b"desc": _text("RGB as tagged"), b"cprt": _text("CC0"), b"wtpt": _xyz(_D50)}
    if channels == 1:
        tags |= {b"kTRC": curve, b"desc": _text("Grey as tagged")}
    else:
        matrix = _to_d50(primaries)
        for index, name in enumerate((b"r", b"g", b"b")):
            tags |= {name + b"XYZ": _xyz(matrix[:, index]), name + b"TRC": curve}
    return _assemble(tags, b"GRAY" if channels == 1 else b"RGB ")


def _to_d50(primaries: Primaries) -> NDArray[np.float64]:
    """The matrix from linear RGB to CIE XYZ with white D50 (SMPTE RP 177)."""
    try:
        red, green, blue, white = (
            np.array([x / y, 1.0, (1 - x - y) / y])
            for x, y in (primaries.red, primaries.green, primaries.blue, primaries.white)
        )
        columns = np.stack([red, green, blue], axis=1)
        matrix = columns * np.linalg.solve(columns, white)
    except (ZeroDivisionError, np.linalg.LinAlgError) as error:
        raise ColourTagError("primaries that enclose no colours: remove the chunk cHRM") from error
    scale = np.diag((_BRADFORD @ _D50) / (_BRADFORD @ white))
    adapted: NDArray[np.float64] = np.linalg.inv(_BRADFORD) @ scale @ _BRADFORD @ matrix
    return adapted


def _fixed(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def _xyz(values: NDArray[np.float64]) -> bytes:
    return b"XYZ " + bytes(4) + _fixed(*values)


def _parametric_curve(exponent: float | None) -> bytes:
    if exponent is not None:
        return b"para" + bytes(4) + struct.pack(">HH", 0, 0) + _fixed(exponent)
    # IEC 61966-2-1: ((x + 0.055) / 1.055) ** 2.4 above 0.04045, x / 12.92 below.
    slopes = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    return b"para" + bytes(4) + struct.pack(">HH", 3, 0) + _fixed(*slopes)


def _text(text: str) -> bytes:
    encoded = text.encode("utf-16-be")
    return b"mluc" + struct.pack(">IIIHHII", 0, 1, 12, 0x656E, 0x5553, len(encoded), 28) + encoded


def _assemble(tags: dict[bytes, bytes], space: bytes) -> bytes:
    body, entries = b"", b""
    start = 128 + 4 + 12 * len(tags)
    places: dict[bytes, int] = {}  # equal curves are stored once
    for name, data in tags.items():
        if data not in places:
            places[data] = start + len(body)
            body += data + bytes(-len(data) % 4)
        entries += name + struct.pack(">II", places[data], len(data))
    header = struct.pack(
        ">I4xI4s4s4s12s4s28x12s48x",
        start + len(body),
        0x04400000,
        b"mntr",
        space,
        b"XYZ ",
        struct.pack(">6H", 2000, 1, 1, 0, 0, 0),
        b"acsp",
        _fixed(*_D50),
    )
    return header + struct.pack(">I", len(tags)) + entries + body
