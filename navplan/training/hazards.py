"""Whether something went wrong: the chance from a base and the odds ratios of what was done, then one draw."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from navplan.errors import InputError
from navplan.model.scenario import Hazard

FACTORS = (
    "bulla_crossed", "fissure_crossed", "emphysema", "several_pleural_punctures", "depth_30mm", "lesion_below_40mm",
    "no_pleural_contact", "gauge_18_or_thicker", "prone_or_supine", "side_up", "vessel_crossed", "several_passes",
)  # fmt: skip


@dataclass(frozen=True)
class Drawn:
    """A hazard's chance in this attempt, what made it, and whether it came."""

    name: str
    chance: float
    factors: tuple[str, ...]
    came: bool


def chance_of(hazard: Hazard, present: Collection[str]) -> tuple[float, tuple[str, ...]]:
    """The chance, and the factors that counted: base odds times the odds ratio of each factor that is present.

    Ratios of single studies are multiplied as if they were independent, which nobody has shown.
    Raises InputError for a factor that is not one of FACTORS.
    """
    unknown = (set(present) | {name for name, _ in hazard.factors}) - set(FACTORS)
    if unknown:
        raise InputError(f"factors {', '.join(sorted(unknown))}", ", ".join(FACTORS))
    odds = hazard.base / (1.0 - hazard.base)
    counted = tuple(name for name, _ in hazard.factors if name in present)
    for name, ratio in hazard.factors:
        odds *= ratio if name in counted else 1.0
    return odds / (1.0 + odds), counted


def drawn(hazard: Hazard, present: Collection[str], share: float) -> Drawn:
    """share: a draw from 0 to 1 that the attempt's seed gives."""
    chance, counted = chance_of(hazard, present)
    return Drawn(hazard.name, chance, counted, share < chance)
