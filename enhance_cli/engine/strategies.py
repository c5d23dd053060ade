"""The thesis's ways to cut and merge a picture (000, ch. 6.2 and 7.1.3).

Patches are 256x256. Strategy 1 lays them with strides of 146 rows and 144 columns at most,
strategy 2 with an overlap of 22; merging weighs by the inverse distance to a patch's centre to
the power p (eq. 16). A picture of 1424x2128 gives 126 and 54 patches.
"""

from enhance_cli.engine.tiled import TilePlan

PATCH = 256
_BATCH = 4
_DENSE = (PATCH - 146, PATCH - 144)
_SPARSE = 22


def _strategy(overlap: int | tuple[int, int], power: float) -> TilePlan:
    # p = 0 weighs all patches alike: the average, which needs no multiplications.
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
