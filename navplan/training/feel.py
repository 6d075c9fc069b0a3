"""What a needle feels like in each tissue: forces, where it gives way, where it stops. Schematic.

The order of the numbers follows measurements (skin and fascia before fat, a capsule before its organ: Okamura et al.
2004, IEEE Trans Biomed Eng 51:1707; ligamentum flavum above muscle); the numbers themselves are starting values that
nobody has published for these needles, and they are told as such. Nothing of them decides a metric.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from navplan.model.anatomy import Tissue, anatomy_of

SKIN, FAT, MUSCLE, OUTSIDE = "skin_layer", "fat", "muscle", "outside"
FLAVUM, EPIDURAL, DURA = "ligamentum_flavum", "epidural_layer", "thecal_sac"


@dataclass(frozen=True)
class Feel:
    """puncture_n: what it takes to break in from outside; drag_n_per_mm: along the shaft; stops: bone; bends: share of
    the needle's own bend that the tissue brings about."""

    puncture_n: float
    drag_n_per_mm: float
    stops: bool = False
    bends: float = 1.0


_LAYERS = {
    OUTSIDE: Feel(0.0, 0.0, bends=0.0),
    SKIN: Feel(3.0, 0.04),
    FAT: Feel(0.2, 0.01, bends=0.5),
    MUSCLE: Feel(1.2, 0.03),
    FLAVUM: Feel(4.0, 0.10),
    EPIDURAL: Feel(0.0, 0.005, bends=0.1),
    DURA: Feel(1.0, 0.005, bends=0.0),
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
    Tissue.IMPLANT: Feel(100.0, 1.0, stops=True, bends=0.0),
}
_NAMED = (("*fascia*", Feel(2.5, 0.05)), ("*ligament*", _LAYERS[FLAVUM]), ("diaphragm", Feel(1.5, 0.03)))
_OTHER = Feel(1.0, 0.02)


def feel_of(tissue: str) -> Feel:
    """Of a layer of this module, or of a structure by its name."""
    if tissue in _LAYERS:
        return _LAYERS[tissue]
    for pattern, feel in _NAMED:
        if fnmatchcase(tissue, pattern):
            return feel
    return _KINDS.get(anatomy_of(tissue).tissue, _OTHER)
