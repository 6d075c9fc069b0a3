"""Which of the hazards' factors (`navplan.training.hazards.FACTORS`) an attempt brought about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from navplan.model.anatomy import Tissue, anatomy_of
from navplan.model.structure import Presence
from navplan.model.trajectory import Trajectory
from navplan.planning.situation import Situation

if TYPE_CHECKING:
    from navplan.training.attempt import Entry

DEEP_MM, SMALL_MM, THICK_GAUGE = 30.0, 40.0, 18


def factors_of(log: Sequence[Entry], situation: Situation, way: Trajectory) -> frozenset[str]:
    """From what the needle went through: layers entered, structures touched, passes."""
    entered = [event.structure for entry in log for event in entry.events if event.kind in ("entered", "gives_way")]
    touched = {event.structure for entry in log for event in entry.events if event.kind == "touched"}
    everything = touched | set(entered)
    lung = [anatomy_of(name).tissue is Tissue.LUNG for name in entered]
    punctures = sum(now and not before for before, now in zip([False, *lung], lung, strict=False))
    deepest = max((entry.needle.inserted_mm for entry in log if entry.needle), default=0.0)
    passes = sum(entry.action["do"] == "place" for entry in log)
    found = {
        "bulla_crossed": any(name.startswith("bulla") for name in everything),
        "fissure_crossed": any(name.startswith("fissure") for name in everything),
        "several_pleural_punctures": punctures > 1,
        "depth_30mm": deepest >= DEEP_MM and punctures > 0,
        "lesion_below_40mm": _longest_mm(situation) < SMALL_MM,
        "no_pleural_contact": punctures > 0,
        "gauge_18_or_thicker": way.device.gauge <= THICK_GAUGE,
        "vessel_crossed": any(anatomy_of(name).tissue is Tissue.VESSEL for name in everything),
        "several_passes": passes > 1,
        "prone_or_supine": situation.patient_position in ("HFS", "HFP", "FFS", "FFP"),
    }
    return frozenset(name for name, here in found.items() if here)


def _longest_mm(situation: Situation) -> float:
    """Of the target's box; without end for a bare point."""
    target = situation.structures.get(situation.target.structure)
    if target is None or target.presence is not Presence.PRESENT or target.grid is None:
        return float("inf")
    return float((target.grid.spacing_mm * target.grid.shape).max())
