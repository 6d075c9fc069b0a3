"""Needles, probes and guides, as data."""

from __future__ import annotations

from dataclasses import dataclass

from navplan.errors import InputError
from navplan.model.ablation import AblationZone

# Nominal outer diameters, mm (Birmingham gauge).
NEEDLE_DIAMETER_MM: dict[int, float] = {
    8: 4.19, 10: 3.40, 11: 3.05, 12: 2.77, 13: 2.41, 14: 2.11, 15: 1.83, 16: 1.65, 17: 1.47, 18: 1.27,
    19: 1.07, 20: 0.91, 21: 0.82, 22: 0.72, 23: 0.64, 25: 0.51,
}  # fmt: skip


@dataclass(frozen=True)
class Device:
    """A needle as far as planning needs it.

    diameter_mm: of the WIDEST thing that follows the path (introducer, not stylet); length_mm: usable, hub to tip;
    throw_mm: how far the tip moves when it fires; tip: words; source: where the numbers come from; zones: what it
    ablates, one a setting, none for a device that ablates nothing.
    """

    id: str
    name: str
    gauge: int
    diameter_mm: float
    length_mm: float
    throw_mm: float = 0.0
    tip: str = ""
    source: str = "unsourced"
    zones: tuple[AblationZone, ...] = ()

    def __post_init__(self) -> None:
        if not (0.1 <= self.diameter_mm <= 15 and 10 <= self.length_mm <= 500 and 0 <= self.throw_mm <= 60):
            raise InputError(
                f"device {self.id}: diameter {self.diameter_mm}, length {self.length_mm}, throw {self.throw_mm} mm",
                "diameter 0.1-15, length 10-500, throw 0-60 mm",
            )
        ids = [zone.id for zone in self.zones]
        if len(set(ids)) < len(ids) or (self.zones and self.throw_mm):
            raise InputError(
                f"device {self.id}: zones {', '.join(ids)}, throw {self.throw_mm} mm",
                "one id a zone, and no throw where there are zones",
            )

    @property
    def radius_mm(self) -> float:
        """Half the diameter of the widest thing on the path."""
        return self.diameter_mm / 2

    @property
    def stands_short_mm(self) -> float:
        """How far before the target the tip stands: half a throw; negative (beyond it) for a probe whose zones lie
        behind its tip, so that the zone's centre is the target. Of several zones the one that needs the deepest tip."""
        if self.zones:
            return -max(zone.centre_before_tip_mm for zone in self.zones)
        return self.throw_mm / 2

    @property
    def ends_beyond_mm(self) -> float:
        """How far past the target the tip gets, throw included; 0 where it stays before it."""
        return max(self.throw_mm - self.stands_short_mm, 0.0)
