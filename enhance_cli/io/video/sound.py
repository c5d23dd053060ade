"""Sound that an output cannot hold as it is: decoded, and encoded with a codec that it holds."""

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from io import BytesIO
from typing import Any

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer

from enhance_cli.errors import UnknownNameError
from enhance_cli.io.video.clock import Window
from enhance_cli.io.video.types import OutputPlan

# What sound is converted to, by the choice of the user: the first encoder whose codec the
# container holds. MOV holds no FLAC, and WebM holds nothing but Opus and Vorbis.
_WITHOUT_LOSS = ("flac", "alac", "libopus")
ENCODERS = {"copy": _WITHOUT_LOSS, "flac": _WITHOUT_LOSS, "aac": ("aac", "libopus")}
DEFAULT = "copy"
LOSSLESS = ("flac", "alac")
# Of speakers, for 128 kbit/s in stereo, at which neither AAC nor Opus is told from the original.
BITS_PER_CHANNEL = 64_000
# FFmpeg's names of the usual layouts by their number of channels.
LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
SHORT_FORMATS = ("u8", "u8p", "s16", "s16p")  # FFmpeg's names of sample formats up to 16 bits


def check_audio(name: str | None) -> None:
    """Check the codec of sound that the user chose.

    Raises:
        UnknownNameError: if there is no such choice.
    """
    if name is not None and name not in ENCODERS:
        raise UnknownNameError("audio", name, ENCODERS)


def find_encoder(plan: OutputPlan, stream: Any) -> str | None:
    """FFmpeg's name of the encoder that a stream of sound is converted with.

    Returns:
        None if the stream cannot be decoded, or the container holds none of the codecs.
    """
    if stream.type != "audio" or stream.codec_context is None or not stream.rate:
        return None
    for name in ENCODERS[plan.audio]:
        with suppress(ValueError, av.FFmpegError):
            trial = av.open(BytesIO(), "w", format=plan.container)
            _add_encoder(trial, name, stream)
            trial.start_encoding()
            return name
    return None


class SoundConverter:
    """Converts one stream of sound, packet by packet.

    Args:
        output: the output, whose header is not yet written.
        stream: the stream of the source.
        encoder: FFmpeg's name of the encoder, from :func:`find_encoder`.
        window: the part of the source that is kept.

    Attributes:
        stream: the new stream of the output.
    """

    def __init__(self, output: OutputContainer, stream: Any, encoder: str, window: Window) -> None:
        self.stream = _add_encoder(output, encoder, stream)
        self._window = window
        self._end = Fraction(0)  # of the last frame, on the clock of the source
        context = self.stream.codec_context
        self._resampler = av.AudioResampler(context.format, context.layout, context.sample_rate)

    def convert(self, packet: "av.Packet[Any]") -> Iterator["av.Packet[Any]"]:
        """The packets that result from one packet of the source; an empty one ends the stream."""
        decoded: list[Any] = []
        with suppress(av.InvalidDataError):  # A damaged packet is a gap in the sound.
            decoded = packet.decode()
        for frame in decoded:
            if isinstance(frame, AudioFrame) and self._cut(frame):
                for resampled in self._resampler.resample(frame):
                    yield from self.stream.encode(resampled)
        if not packet.size:
            for resampled in self._resampler.resample(None):
                yield from self.stream.encode(resampled)
            yield from self.stream.encode(None)

    def _cut(self, frame: AudioFrame) -> bool:
        """Move a decoded frame to the output's clock; False if it is outside the window."""
        unit = Fraction(1, frame.sample_rate)
        time = self._end  # Some decoders give the last frame no time.
        if frame.pts is not None and frame.time_base is not None:
            time = frame.pts * frame.time_base
        self._end = time + frame.samples * unit
        frame.pts, frame.time_base = round((time - self._window.shift) / unit), unit
        return self._window.holds(time)


def _add_encoder(output: OutputContainer, name: str, stream: Any) -> AudioStream:
    """Add a stream for converted sound to an output, set up like the stream of the source."""
    codec = av.Codec(name, "w")
    rates = codec.audio_rates or [stream.rate]
    rate = min((r for r in rates if r >= stream.rate), default=max(rates))
    added = output.add_stream(name, rate=rate)
    assert isinstance(added, AudioStream)
    context = added.codec_context
    # Old containers count the channels without telling which is which, and encoders need to know.
    unnamed = stream.layout.name.endswith("channels")
    context.layout = LAYOUTS.get(stream.channels, stream.layout) if unnamed else stream.layout
    if name in LOSSLESS:
        bits = 16 if stream.format.name in SHORT_FORMATS else 32
        formats = [known.name for known in codec.audio_formats or []]
        context.format = next(known for known in formats if known.startswith(f"s{bits}"))
    else:
        context.bit_rate = BITS_PER_CHANNEL * stream.channels
    added.time_base = Fraction(1, rate)
    return added
