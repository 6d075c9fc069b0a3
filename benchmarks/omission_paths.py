"""Ways that one structure alone must stop: in the case that is not spoiled nothing else keeps them from PASS."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from benchmarks.omission_worlds import STATED_BY, World, only_answered
from benchmarks.skin_entries import skin_entries_mm
from navplan.model.protocol import Need, fits
from navplan.model.safety import SafetyReport, Verdict
from navplan.model.structure import Presence, Structure
from navplan.model.trajectory import Trajectory
from navplan.planning.boundary import crossed_mm
from navplan.planning.check_plan import judge
from navplan.planning.margins import margins
from navplan.planning.situation import Situation

ENTRIES = 20000
THROUGH, GRAZED, CLOSE = "through", "grazed", "close"
DEEP_MM = 3.0  # a chord from which a way goes through a structure, and does not merely graze it
UNMEASURED_MM = 0.1  # by how much less than its limit a way must be to count as too close
NEVER_NEAR_MM = 30.0  # structures that no way comes this close to are left out: they change no judgement
FROM_BELOW = 0.2  # largest share of the way that may lead upwards from the table
SPARE_MM = 15.0  # needle that stays outside
MOST_MEASURED, MOST_JUDGED = 300, 6  # ways of a structure; for each one that is wanted
TRIES, EVERY_NEAREST = 4, 10  # counterparts: how many are judged, every which of the nearest free ways


@dataclass(frozen=True, eq=False)
class Way:
    """One trajectory, how it meets the structure that must stop it (kind), the structure's true distance from the
    needle's surface, and the limit that the shipped rules set. counterpart: the nearest way that PASSes, if any."""

    trajectory: Trajectory
    kind: str
    clearance_mm: float
    required_mm: float
    counterpart: Trajectory | None = None

    @property
    def start_mm(self) -> NDArray[np.float64]:
        """(3,) on the skin."""
        return np.asarray(self.trajectory.entry_mm)

    @property
    def end_mm(self) -> NDArray[np.float64]:
        """(3,) what the tip reaches."""
        return self.trajectory.swept_end_mm


@dataclass(frozen=True, eq=False)
class Candidates:
    """All entries (N, 3) of a world, and the lower ends of their clearances (N, S) beside the limits (S,)."""

    world: World
    situation: Situation
    trajectories: tuple[Trajectory, ...]
    low_mm: NDArray[np.float64]

    @property
    def too_close(self) -> NDArray[np.bool_]:
        """(N, S) whether a limit is not proven to be kept."""
        return self.low_mm < self.situation.required_mm

    def column(self, name: str) -> int:
        """The structure's place among the risks."""
        return [risk.name for risk in self.situation.risks].index(name)


def candidates(world: World, entries: int = ENTRIES) -> Candidates:
    """Seeded ways from the skin to the world's target, in a world without the structures that no way comes near."""
    situation = world.situation()
    device, aim = world.device, np.asarray(world.aim.point_mm)
    start = skin_entries_mm(world.case.structures["body"], aim, device.length_mm - SPARE_MM, entries)
    axis = (aim - start) / np.linalg.norm(aim - start, axis=1)[:, None]
    start = start[axis[:, 1] > -FROM_BELOW]
    short = device.throw_mm / 2
    ways = tuple(Trajectory(_triple(point), _triple(aim), device, short) for point in start)
    measured = margins(situation.boundaries, start, np.asarray([way.swept_end_mm for way in ways]))
    low = measured.low_mm(device.radius_mm)
    near = low.min(axis=0) < NEVER_NEAR_MM
    far = {risk.name for risk, kept in zip(situation.risks, near, strict=True) if not kept}
    needed = [limit.structure for limit in world.protocol.hard if limit.needs is Need.REQUIRED]
    kept = {
        name: s if name not in far or any(fits(name, pattern, world.side) for pattern in needed) else _set_aside(s)
        for name, s in world.case.structures.items()
    }
    case = replace(world.case, structures=kept)
    smaller = replace(world, case=case, protocol=only_answered(world.protocol, case, world.side))
    again = smaller.situation()
    columns = [[risk.name for risk in situation.risks].index(risk.name) for risk in again.risks]
    return Candidates(smaller, again, ways, low[:, columns])


def _set_aside(structure: Structure) -> Structure:
    """Known, and nowhere: a label that were missing altogether would be noticed by those that it belongs with."""
    return Structure(structure.name, Presence.ABSENT, image_id=structure.image_id, stated_by=STATED_BY,
                     stated_on="2026-01-01")  # fmt: skip


def stopped_by(found: Candidates, name: str, count: int) -> list[Way]:
    """Up to `count` ways, of each kind in turn, that the named structure truly must stop and nothing else does."""
    column = found.column(name)
    alone = found.too_close[:, column] & (found.too_close.sum(axis=1) == 1)
    required = float(found.situation.required_mm[column])
    waiting: dict[str, list[Way]] = {THROUGH: [], GRAZED: [], CLOSE: []}
    for n in np.flatnonzero(alone)[:MOST_MEASURED]:
        kind, clearance = _meets(found, name, found.trajectories[n], required)
        if kind:
            waiting[kind].append(Way(found.trajectories[n], kind, clearance, required))
    ways: list[Way] = []
    turns = [way for turn in zip_longest(*waiting.values()) for way in turn if way is not None]
    for way in turns[: MOST_JUDGED * count]:
        if len(ways) == count:
            break
        if _stops_alone(judge(way.trajectory, found.situation), name):
            ways.append(replace(way, counterpart=_counterpart(found, way)))
    return ways


def _meets(found: Candidates, name: str, way: Trajectory, required_mm: float) -> tuple[str, float]:
    start, end = np.asarray(way.entry_mm), way.swept_end_mm
    clearance = found.world.distance_mm(name, start, end) - way.device.radius_mm
    if clearance <= 0:
        chord = crossed_mm(found.world.case.structures[name], start, end)
        return (THROUGH if chord >= DEEP_MM else GRAZED), clearance
    return (CLOSE if clearance < required_mm - UNMEASURED_MM else ""), clearance


def _stops_alone(report: SafetyReport, name: str) -> bool:
    bad = [finding for finding in report.findings if finding.verdict is not Verdict.PASS]
    return bool(bad) and all(finding.structure == name for finding in bad)


def _counterpart(found: Candidates, way: Way) -> Trajectory | None:
    """A near way that keeps all limits and PASSes; None if none of a few does."""
    free = np.flatnonzero(~found.too_close.any(axis=1))
    starts = np.asarray([found.trajectories[n].entry_mm for n in free]).reshape(-1, 3)
    apart = np.linalg.norm(starts - way.start_mm, axis=1)
    for n in free[np.argsort(apart, kind="stable")][EVERY_NEAREST::EVERY_NEAREST][:TRIES]:
        if judge(found.trajectories[n], found.situation).verdict is Verdict.PASS:
            return found.trajectories[n]
    return None


def _triple(point: NDArray[np.float64]) -> tuple[float, float, float]:
    return float(point[0]), float(point[1]), float(point[2])
