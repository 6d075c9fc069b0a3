"""What an ablation probe burns, and what a protocol asks of it, as data; every number with its source."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, pi

from navplan.errors import InputError

SHORTEST_ZONE_MM, LONGEST_ZONE_MM = 3.0, 120.0
FARTHEST_CENTRE_MM = 60.0  # of a zone's centre from the tip


@dataclass(frozen=True)
class AblationZone:
    """An ellipsoid of revolution about the probe, as a table states it for one setting.

    words: the setting for a person ("100 W, 10 min"); power_w, minutes: the same as numbers, where they apply.
    length_mm along the probe and width_mm across it: whole axes, as the table has them. centre_before_tip_mm: from the
    tip towards the hub; negative where the zone lies ahead of the tip. derating: what is left of both lengths in a
    patient, 0 < derating <= 1: coverage is judged with the derated zone, neighbours with the undegraded one. source:
    of table and derating; tables come from normal animal liver and do not predict clinical zones (Ruiter 2018).
    """

    id: str
    words: str
    length_mm: float
    width_mm: float
    centre_before_tip_mm: float
    derating: float
    source: str
    power_w: float | None = None
    minutes: float | None = None

    def __post_init__(self) -> None:
        lengths = (self.length_mm, self.width_mm)
        if not (self.id.strip() and self.words.strip() and self.source.strip()):
            raise InputError(f"ablation zone {self.id!r}, {self.words!r}, source {self.source!r}", "all three in words")
        if not all(SHORTEST_ZONE_MM <= length <= LONGEST_ZONE_MM for length in lengths):
            raise InputError(
                f"ablation zone {self.id}: {self.length_mm} x {self.width_mm} mm",
                f"{SHORTEST_ZONE_MM:g}-{LONGEST_ZONE_MM:g} mm along the probe and across it",
            )
        if not (0 < self.derating <= 1 and abs(self.centre_before_tip_mm) <= FARTHEST_CENTRE_MM):
            raise InputError(
                f"ablation zone {self.id}: derating {self.derating}, centre {self.centre_before_tip_mm} mm before the"
                " tip",
                f"derating above 0 and at most 1, the centre within {FARTHEST_CENTRE_MM:g} mm of the tip",
            )
        if abs(self.centre_before_tip_mm) > self.length_mm:
            raise InputError(
                f"ablation zone {self.id}: {self.length_mm} mm long, {self.centre_before_tip_mm} mm from the tip",
                "a zone no farther from the tip than it is long",
            )
        for what, value, most in (("power_w", self.power_w, 500.0), ("minutes", self.minutes, 120.0)):
            if value is not None and not 0 < value <= most:
                raise InputError(f"ablation zone {self.id}: {what} {value}", f"above 0 and at most {most:g}")

    @property
    def volume_ml(self) -> float:
        """Of the undegraded ellipsoid, pi/6 length width^2."""
        return pi / 6 * self.length_mm * self.width_mm**2 / 1000.0

    def shape_words(self, derated: bool) -> str:
        """ "36 x 28 mm, derated to 80 %"."""
        factor = self.derating if derated else 1.0
        lengths = f"{factor * self.length_mm:.1f} x {factor * self.width_mm:.1f} mm"
        return f"{lengths}, derated to {self.derating:.0%}" if derated else lengths


@dataclass(frozen=True)
class MarginGoal:
    """The least ablative margin that is asked for, and of which tumour."""

    words: str
    goal_mm: float
    source: str

    def __post_init__(self) -> None:
        if not (self.words.strip() and self.source.strip() and 0 <= self.goal_mm <= 30):
            raise InputError(
                f"margin of {self.goal_mm} mm for {self.words!r}, source {self.source!r}", "0-30 mm, words and a source"
            )


@dataclass(frozen=True)
class Protection:
    """How far a structure (a pattern) must stay from the UNDEGRADED zone, surface to surface. warn_only: nearer is a
    WARN and no FAIL."""

    structure: str
    min_clearance_mm: float
    source: str
    warn_only: bool = False
    note: str = ""

    def __post_init__(self) -> None:
        if not (self.structure.strip("*? ") and self.source.strip() and 0 <= self.min_clearance_mm <= 100):
            raise InputError(
                f"protection of {self.structure!r} by {self.min_clearance_mm} mm, source {self.source!r}",
                "a structure, 0-100 mm and a source",
            )


@dataclass(frozen=True)
class AblationMargin:
    """What a protocol asks of an ablation: the goal (for what `words` say), others to choose from, what is protected.

    heat_sink_mm: a vessel in the undegraded zone or nearer than this to it is told as a heat sink.
    leave_out_capsule_mm: tumour surface nearer than this to the surface of `organ` is left out of the margin, 0 for
    none (a request, never a default).
    """

    words: str
    goal_mm: float
    source: str
    alternatives: tuple[MarginGoal, ...] = ()
    protection: tuple[Protection, ...] = ()
    heat_sink_mm: float = 0.0
    heat_sink_source: str = ""
    leave_out_capsule_mm: float = 0.0
    leave_out_capsule_source: str = ""
    organ: str = ""

    def __post_init__(self) -> None:
        names = [goal.words for goal in self.goals]
        if len(set(names)) < len(names):
            raise InputError(f"margin goals {names}", "each with words of its own")
        for what, value, source in (
            ("heat_sink_mm", self.heat_sink_mm, self.heat_sink_source),
            ("leave_out_capsule_mm", self.leave_out_capsule_mm, self.leave_out_capsule_source),
        ):
            if not 0 <= value < inf or value > 20 or (value and not source.strip()):
                raise InputError(f"margin: {what} {value}, source {source!r}", "0-20 mm, and a source")
        if self.leave_out_capsule_mm and not self.organ:
            raise InputError("margin: leave_out_capsule_mm without an organ", 'organ = "liver"')

    @property
    def goals(self) -> tuple[MarginGoal, ...]:
        """All that may be chosen, the default first."""
        return (MarginGoal(self.words, self.goal_mm, self.source), *self.alternatives)

    def goal(self, words: str = "") -> MarginGoal:
        """The goal of these words, or the default. Raises InputError naming those that there are."""
        found = [goal for goal in self.goals if goal.words == words or not words]
        if not found:
            raise InputError(f"margin goal {words!r}", "; ".join(goal.words for goal in self.goals))
        return found[0]
