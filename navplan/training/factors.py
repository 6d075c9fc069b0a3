"""What a needle went through, and which of the hazards' factors (`navplan.training.hazards.FACTORS`) that amounts
to."""

from __future__ import annotations

from dataclasses import dataclass, field

from navplan.model.anatomy import Tissue, anatomy_of
from navplan.model.structure import Presence
from navplan.model.trajectory import Trajectory
from navplan.planning.situation import Situation

DEEP_MM, SMALL_MM, THICK_GAUGE = 30.0, 40.0, 18
_SIDE_DOWN = {"HFDL": "L", "FFDL": "L", "HFDR": "R", "FFDR": "R"}
_ON_BACK_OR_FRONT = ("HFS", "HFP", "FFS", "FFP")


@dataclass
class Passage:
    """Of an attempt so far: entered, the tissues that its tip went into; touched, by the shaft for sure; pleura, how
    often the tip went into lung; lung_mm, its greatest way beyond the pleura, throw included; passes, needles set on
    the skin."""

    entered: set[str] = field(default_factory=set)
    touched: set[str] = field(default_factory=set)
    pleura: int = 0
    lung_mm: float = 0.0
    passes: int = 0
    _pleura_at_mm: float = float("inf")
    _inside: bool = False

    def goes(self, there: str, inserted_mm: float) -> None:
        """The tip is pushed into a tissue, or on in it, so far below the skin."""
        self.entered.add(there)
        if _is_lung(there) and not self._inside:
            self.pleura += 1
            self._inside, self._pleura_at_mm = True, min(self._pleura_at_mm, inserted_mm)
        elif not _is_lung(there) and not _lies_in_lung(there):
            self._inside = False
        if self._inside:
            self.lung_mm = max(self.lung_mm, inserted_mm - self._pleura_at_mm)

    def thrown(self, inserted_mm: float, throw_mm: float) -> None:
        """The needle fires from so deep: the throw counts as way in the lung."""
        if self._inside:
            self.lung_mm = max(self.lung_mm, inserted_mm + throw_mm - self._pleura_at_mm)

    def back_to(self, inserted_mm: float) -> None:
        """The tip is pulled back."""
        if inserted_mm <= self._pleura_at_mm:
            self._inside, self._pleura_at_mm = False, float("inf")


def _is_lung(tissue: str) -> bool:
    return anatomy_of(tissue).tissue is Tissue.LUNG


def _lies_in_lung(tissue: str) -> bool:
    """What lies in lung, so that lung behind it is no new puncture."""
    named = tissue.startswith(("lung_vessel", "pulmonary_", "fissure"))
    return named or anatomy_of(tissue).tissue in (Tissue.LESION, Tissue.AIRWAY)


def factors_of(passage: Passage, situation: Situation, way: Trajectory) -> frozenset[str]:
    """Factors that are present. depth_30mm: from the pleura; several_pleural_punctures: the tip went into lung from
    what is no part of it more than once; no_pleural_contact: lung was crossed."""
    everything = passage.touched | passage.entered
    position = situation.patient_position
    down = _SIDE_DOWN.get(position, "")
    other_side = down != "" and situation.side in ("L", "R") and situation.side != down
    present = [name for name, of in situation.structures.items() if of.presence is Presence.PRESENT]
    found = {
        "bulla_crossed": any(name.startswith("bulla") for name in everything),
        "fissure_crossed": any(name.startswith("fissure") for name in everything),
        "emphysema": any(name.startswith("emphysema") for name in present),
        "several_pleural_punctures": passage.pleura > 1,
        "depth_30mm": passage.lung_mm >= DEEP_MM,
        "lesion_below_40mm": _longest_mm(situation) < SMALL_MM,
        "no_pleural_contact": passage.pleura > 0,
        "gauge_18_or_thicker": way.device.gauge <= THICK_GAUGE,
        "vessel_crossed": any(anatomy_of(name).tissue is Tissue.VESSEL for name in everything),
        "several_passes": passage.passes > 1,
        "prone_or_supine": position in _ON_BACK_OR_FRONT or other_side,  # a side that is up: this and the next
        "side_up": other_side,
    }
    return frozenset(name for name, here in found.items() if here)


def _longest_mm(situation: Situation) -> float:
    """Of the target's box; without end for a bare point."""
    target = situation.structures.get(situation.target.structure)
    if target is None or target.presence is not Presence.PRESENT or target.grid is None:
        return float("inf")
    return float((target.grid.spacing_mm * target.grid.shape).max())
