"""The ways to cut and merge a picture that the thesis compares (000, ch. 6.2 and 7.1.3).

Patches are 256x256. The dense grid has strides of at most 146 rows and 144 columns, and the sparse
one an overlap of 22, which makes 126 and 54 patches of a picture of 1424x2128. Merging weighs by
the inverse distance to the centre of the patch to the power p (eq. 16).
"""

from enhance_cli.engine.tiled import TilePlan
from enhance_cli.errors import UnknownNameError, UsageError

PATCH = 256
_BATCH = 4
_DENSE = (PATCH - 146, PATCH - 144)
_SPARSE = 22


def _strategy(overlap: int | tuple[int, int], power: float) -> TilePlan:
    # With p = 0 all patches weigh alike, and their average needs no multiplications.
    merger = "inverse-distance" if power else "average"
    return TilePlan(
        tile=PATCH, grid="even", merger=merger, overlap=overlap, power=power, batch=_BATCH
    )


STRATEGIES: dict[str, TilePlan] = {
    "baseline": _strategy(_DENSE, 2),
    "faster1": _strategy(_DENSE, 0),
    "faster2": _strategy(_SPARSE, 2),
    "fastest": _strategy(_SPARSE, 0),
}


def choose_plan(strategy: str | None, tile: int | None) -> TilePlan:
    """The way to cut and merge that the options ``--strategy`` and ``--tile`` ask for.

    Args:
        strategy: a key of ``STRATEGIES``, or None for tiles as the model wants them.
        tile: side of the tiles in input pixels, or None; a strategy has patches of its own size.

    Raises:
        UnknownNameError: if there is no such strategy.
        UsageError: if a strategy and a tile size are asked for at once.
    """
    if strategy is None:
        return TilePlan(tile=tile)
    if strategy not in STRATEGIES:
        raise UnknownNameError("strategy", strategy, STRATEGIES)
    if tile is not None:
        raise UsageError(
            f"--tile {tile}: a strategy has patches of {PATCH}, leave one of the two out"
        )
    return STRATEGIES[strategy]
