"""Which networks enlarge a file: those the user named, or those that suit how it was stored."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from enhance_cli.defaults import TASKS, WORN_NOISE, WORN_QUALITY, WORN_SCALE
from enhance_cli.engine.catalogue import Model, ModelOptions
from enhance_cli.engine.scales import Networks, load_networks
from enhance_cli.engine.tiled import TilePlan, tile_side
from enhance_cli.errors import UsageError
from enhance_cli.io.image import Picture, is_compressed
from enhance_cli.io.isolation import decode
from enhance_cli.io.jpeg_history import find_jpeg_quality
from enhance_cli.io.picture import Samples, round_to_8_bits
from enhance_cli.noise import estimate_noise
from enhance_cli.sizes import FrameSize, WantedSize
from enhance_cli.talk import Talk

_JUDGED = 512  # side in pixels of the part that is judged


class NetworksByFile:
    """The networks of a run.

    Where the user names no model, pictures that were compressed much or are noisy go through one
    that has learnt what that does. It is loaded when the first of them comes.

    Args:
        options: Which model runs, and where and how.
        size: The size of the results; None stands for that which the network makes.
        talk: Where it is told what runs.

    Attributes:
        usual: The networks of all other files.
        plan: How pictures are cut into tiles.

    Raises:
        EnhanceError: See :meth:`ModelOptions.load`, of the networks that are loaded first.
    """

    def __init__(self, options: ModelOptions, size: WantedSize | None, talk: Talk) -> None:
        self._options, self._talk = options, talk
        self.plan = TilePlan(tile=options.tile)
        self.usual = self._load(options, size)
        self._worn: Networks | None = None
        self._varies = options.name is None and options.weights is None

    @property
    def size(self) -> WantedSize:
        """The size of the results."""
        return self.usual.size

    @property
    def header(self) -> dict[str, Any]:
        """What the JSON document says of the networks for all inputs alike."""
        header = self.usual.header
        return {key: header[key] for key in header if key != "model" or not self._varies}

    def row(self, model: Model) -> dict[str, Any]:
        """What the JSON document says of the network that served one input."""
        return {"model": model.info.name} if self._varies else self.usual.row(model)

    def check_consistent(self) -> None:
        """Refuse ``--consistent`` for sizes that the networks do not make themselves.

        Raises:
            UsageError: If it is so.
        """
        scales = [model.contract.scale for model in self.usual.models]
        if self.size.times not in scales:
            known = " or ".join(f"-x{scale}" for scale in scales)
            raise UsageError(
                f"--consistent: is for what the network makes itself, choose {known} in place of "
                f"{self.size.tag.removeprefix('_')}"
            )

    def choose(
        self,
        source: Path,
        size: FrameSize,
        read: Callable[[], Picture],
        load: Callable[[Callable[[], Networks]], Networks] = lambda loading: loading(),
    ) -> Model:
        """The network for a picture.

        Args:
            source: Its file, whose header is read.
            size: Of its result.
            read: Gives the picture; called only if the header does not decide.
            load: Calls what loads networks, if that has to wait for its turn.

        Raises:
            InputError: If the file is no picture.
        """
        worn = self._varies and _is_worn(source, read, size.factor > WORN_SCALE)
        return (load(self._for_worn) if worn else self.usual).reaching(size)

    def _for_worn(self) -> Networks:
        if self._worn is None:
            name = TASKS["superres"].variants["worn"]
            options = replace(self._options, name=name)
            self._worn = self._load(options, self.size, known=self.usual.models)
            self._talk.console.print(
                f"{name} enlarges what is noisy or was compressed much; name a --model for another"
            )
        return self._worn

    def _load(
        self, options: ModelOptions, size: WantedSize | None, known: Sequence[Model] = ()
    ) -> Networks:
        networks = load_networks(options, "superres", size)
        for model in networks.models:
            self._talk.explain(model.describe(tile_side(self.plan, model)))
        networks.tell(self._talk.console.print, known)
        return networks


def _is_worn(source: Path, read: Callable[[], Picture], much: bool) -> bool:
    """Whether a picture is noisy or was compressed so much that it shows, ``much`` enlarged or not.

    The pixels tell also of a JPEG of low quality that was stored otherwise since, often as PNG.
    """
    limit = WORN_QUALITY[much]
    if decode(is_compressed, source, below=limit, untold=much):
        return True
    pixels = round_to_8_bits(_cut_middle(read().pixels))
    quality = find_jpeg_quality(pixels)
    if quality is not None and quality < limit:
        return True
    noise = estimate_noise(pixels) if pixels.shape[2] == 3 else None
    return noise is not None and noise > WORN_NOISE


def _cut_middle(pixels: Samples) -> Samples:
    """The middle of a picture (H, W, C), at most 512x512 pixels, which tells how worn it is."""
    top, left = (max(0, side - _JUDGED) // 2 for side in pixels.shape[:2])
    return pixels[top : top + _JUDGED, left : left + _JUDGED]
