"""What a needle feels like in each tissue: forces, where it gives way, where it stops. Schematic.

The order of the numbers follows measurements (skin and fascia before fat, a capsule before its organ: Okamura et al.
2004, IEEE Trans Biomed Eng 51:1707; ligamentum flavum above muscle); the numbers themselves are starting values that
nobody has published for these needles, and they are told as such. Nothing of them decides a metric.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from navplan.model.anatomy import Tissue, anatomy_of

GIVES_WAY_N = 1.0  # of force that falls away at once, for a hand to feel it (unsourced)
SKIN, FAT, MUSCLE, OUTSIDE = "skin_layer", "fat", "muscle", "outside"
GEL, PRINTED = "gel", "printed_"  # the latter before what is printed: a structure, or "box"
FLAVUM, EPIDURAL, DURA = "ligamentum_flavum", "epidural_layer", "thecal_sac"


@dataclass(frozen=True)
class Feel:
    """puncture_n: what it takes to break in from outside; drag_n_per_mm: along the shaft; stops: bone; bends: share of
    the needle's own bend that the tissue brings about; hardest: not even a needle for bone goes in."""

    puncture_n: float
    drag_n_per_mm: float
    stops: bool = False
    bends: float = 1.0
    hardest: bool = False


_LAYERS = {
    OUTSIDE: Feel(0.0, 0.0, bends=0.0),
    SKIN: Feel(3.0, 0.04),
    FAT: Feel(0.2, 0.01, bends=0.5),
    MUSCLE: Feel(1.2, 0.03),
    FLAVUM: Feel(4.0, 0.10),
    EPIDURAL: Feel(0.0, 0.005, bends=0.1),
    DURA: Feel(1.0, 0.005, bends=0.0),
    GEL: Feel(0.3, 0.02),
}
_KINDS = {
    Tissue.SKIN: _LAYERS[MUSCLE],
    Tissue.BONE: Feel(30.0, 0.5, stops=True, bends=0.0),
    Tissue.CARTILAGE: Feel(8.0, 0.2),
    Tissue.LUNG: Feel(0.8, 0.005, bends=0.1),
    Tissue.AIRWAY: Feel(1.0, 0.0, bends=0.0),
    Tissue.HEART: Feel(1.5, 0.03),
    Tissue.VESSEL: Feel(1.0, 0.005, bends=0.1),
    Tissue.BOWEL: Feel(0.8, 0.01, bends=0.5),
    Tissue.ORGAN: Feel(1.5, 0.02),
    Tissue.FLUID: Feel(0.3, 0.002, bends=0.0),
    Tissue.NERVE: Feel(0.8, 0.02),
    Tissue.MUSCLE: _LAYERS[MUSCLE],
    Tissue.FAT: _LAYERS[FAT],
    Tissue.LESION: Feel(2.0, 0.05),
    Tissue.IMPLANT: Feel(100.0, 1.0, stops=True, bends=0.0, hardest=True),
}
_NAMED = (
    (f"{PRINTED}*", _KINDS[Tissue.IMPLANT]), ("*fascia*", Feel(2.5, 0.05)), ("*ligament*", _LAYERS[FLAVUM]),
    ("diaphragm", Feel(1.5, 0.03)),
)  # fmt: skip
_OTHER = Feel(1.0, 0.02)


@lru_cache(maxsize=512)
def feel_of(tissue: str) -> Feel:
    """Of a layer of this module, or of a structure by its name."""
    if tissue in _LAYERS:
        return _LAYERS[tissue]
    for pattern, feel in _NAMED:
        if fnmatchcase(tissue, pattern):
            return feel
    return _KINDS.get(anatomy_of(tissue).tissue, _OTHER)


def gives_way(here: str, there: str) -> bool:
    """Whether a hand that pushes from one tissue into another feels resistance lost."""
    before, after = feel_of(here).puncture_n, feel_of(there).puncture_n
    return before - after >= GIVES_WAY_N and after < before / 2.0


def drag_n(tissues: Sequence[str], lengths_mm: NDArray[np.float64]) -> float:
    """Force along the shaft (N), of pieces that lie in tissues."""
    return float(sum(feel_of(name).drag_n_per_mm * mm for name, mm in zip(tissues, lengths_mm, strict=True)))
