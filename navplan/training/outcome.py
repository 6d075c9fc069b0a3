"""What the plan promised beside what happened: each structure's margin along the attempt, and its last needle judged.

Distances are planning's own intervals, measured along the shaft as it lay after each action, at the breath of that
moment, without the part of the tip that may rest on a structure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from navplan.errors import GeometryError
from navplan.geometry.lines import distance_points_to_segment, unit
from navplan.model.safety import Finding, FindingKind, Interval, SafetyReport, Verdict
from navplan.planning.check_plan import judge
from navplan.planning.margins import margins
from navplan.planning.situation import Risk
from navplan.training.attempt import Attempt
from navplan.training.log import Entry
from navplan.training.needle_path import NeedlePath

SHORTEST_MM = 2.0  # of a needle in the body that is judged
_UNKNOWN: tuple[Interval | None, Verdict | None] = (None, None)


@dataclass(frozen=True)
class StructureOutcome:
    """A risk structure. promised, verdict: the plan's clearance of it; last, last_verdict: that of the last needle, as
    if it were planned; least: the least distance in the whole attempt, -radius where the shaft goes through it (None:
    never in the body); touched: whether it ever was, by shaft or throw, None where it could not be evaluated and no
    touch was seen; stopped: whether the tip ever stopped hard on it, which is no touch of the shaft; touched_s,
    maybe_s: for how long for sure, and perhaps, to the action: what began and ended within
    one counts no time here."""

    name: str
    required_mm: float
    promised: Interval | None
    verdict: Verdict | None
    last: Interval | None
    last_verdict: Verdict | None
    least: Interval | None
    touched: bool | None
    stopped: bool
    touched_s: float
    maybe_s: float


@dataclass(frozen=True)
class Outcome:
    """structures: touched ones first, then the nearest. last: the straight line from entry to tip of the last needle
    (where it did what it is for, else where it was deepest), judged as a plan is, in the image's breath state; None
    where it never was in the body. bow_mm: how far the shaft lay off that line; breath: the phase then. entry_off_mm,
    angle_off_deg, tip_off_mm: from the plan's; depth_off_mm: deeper than the plan's tip (negative: short of it).
    unevaluated: structures of which nobody can tell whether they were touched, and why (`not_evaluated`)."""

    structures: tuple[StructureOutcome, ...]
    last: SafetyReport | None
    bow_mm: float
    breath: float
    entry_off_mm: float
    angle_off_deg: float
    depth_off_mm: float
    tip_off_mm: float
    unevaluated: tuple[tuple[str, str], ...]


def not_evaluated(*reports: SafetyReport | None) -> dict[str, str]:
    """Structures that the rules ask for and that a report could not evaluate or no image shows, with the words for it:
    they may have been touched."""
    found: dict[str, str] = {}
    for report in reports:
        for one in () if report is None else report.findings:
            if one.structure and _unseen(one):
                found.setdefault(one.structure, one.words)
    return found


def _unseen(finding: Finding) -> bool:
    if finding.kind in (FindingKind.NOT_IMAGED, FindingKind.PRESENCE):  # the latter tells only of what is not known
        return finding.verdict in (Verdict.WARN, Verdict.NOT_EVALUATED)
    measured = finding.kind in (FindingKind.CLEARANCE, FindingKind.CONTACT)
    return measured and finding.verdict is Verdict.NOT_EVALUATED


def outcome_of(attempt: Attempt, paths: Sequence[NeedlePath | None], promised: SafetyReport) -> Outcome:
    """Of an attempt whose needle lay so after each entry of its log."""
    log = attempt.log
    at = last_needle(log, paths)
    last, path = None, None if at is None else paths[at]
    numbers: tuple[float, ...] = (float("nan"),) * 5
    if at is not None and path is not None:
        last, numbers = _last_of(attempt, path)
    least = _least(attempt, paths)
    told, then = _clearances(promised), _clearances(last)
    touched = {event.structure for entry in log for event in entry.events if event.kind == "touched"}
    stopped = {event.structure for entry in log for event in entry.events if event.kind == "stopped"}
    unseen, rows = not_evaluated(promised, last), []
    for risk in attempt.patient.situation.risks:
        name = risk.name
        sure_s, maybe_s = (_seconds(log, name, sure) for sure in (True, False))
        here = name in touched or any(entry.needle and name in entry.needle.touched for entry in log)
        (plan, verdict), (at_last, last_verdict) = told.get(name, _UNKNOWN), then.get(name, _UNKNOWN)
        nearest = least.get(name)
        if here and nearest is not None:  # what planning counts as crossed is not farther than its surface
            nearest = Interval(min(nearest.low_mm, 0.0), min(nearest.high_mm, 0.0))
        rows.append(StructureOutcome(
            name, risk.required_mm, plan, verdict, at_last, last_verdict, nearest,
            None if name in unseen and not here else here, name in stopped, sure_s, maybe_s,
        ))  # fmt: skip
    rows.sort(key=lambda row: (not row.touched, row.least.low_mm if row.least else np.inf, row.name))
    bow, entry, angle, depth, tip = numbers
    breath = log[at].breath if at is not None else float("nan")
    return Outcome(tuple(rows), last, bow, breath, entry, angle, depth, tip, tuple(unseen.items()))


def last_needle(log: Sequence[Entry], paths: Sequence[NeedlePath | None]) -> int | None:
    """Which entry, counted from 0: the last that fired, else the one at which the needle was deepest; None where it
    never was in the body by more than SHORTEST_MM."""
    fired = [n for n, entry in enumerate(log) if any(event.kind == "fired" for event in entry.events)]
    deep = {n: path.inserted_mm for n, path in enumerate(paths) if path is not None}
    deep = {n: mm for n, mm in deep.items() if mm > SHORTEST_MM}
    if fired and fired[-1] in deep:
        return fired[-1]
    return max(deep, key=lambda n: deep[n]) if deep else None


def _last_of(attempt: Attempt, path: NeedlePath) -> tuple[SafetyReport | None, tuple[float, ...]]:
    way = attempt.way
    chord = path.tip_mm - path.entry_mm
    cosine = float(np.clip(unit(chord) @ way.direction, -1.0, 1.0))
    bow = float(distance_points_to_segment(path.points_mm, path.entry_mm, path.tip_mm)[0].max())
    numbers = (
        bow, float(np.linalg.norm(path.entry_mm - way.entry_mm)), float(np.degrees(np.arccos(cosine))),
        path.inserted_mm - way.tip_depth_mm, float(np.linalg.norm(path.tip_mm - way.point_at_mm(way.tip_depth_mm))),
    )  # fmt: skip
    aim = path.tip_mm + way.tip_short_of_target_mm * unit(chord)
    try:
        line = replace(way, entry_mm=_triple(path.entry_mm), target_mm=_triple(aim))
        return judge(line, attempt.patient.situation), numbers
    except GeometryError:  # too short to stand for a planned needle
        return None, numbers


def _clearances(report: SafetyReport | None) -> dict[str, tuple[Interval | None, Verdict | None]]:
    if report is None:
        return {}
    found = [one for one in report.findings if one.kind is FindingKind.CLEARANCE]
    return {one.structure: (one.distance, one.verdict) for one in reversed(found)}  # the worst comes first, and stays


def _seconds(log: Sequence[Entry], name: str, sure: bool) -> float:
    """For how long a structure was touched: from the action after which it was to the end of the next."""
    total, before_s, touching = 0.0, 0.0, False
    for entry in log:
        total += entry.time_s - before_s if touching else 0.0
        before_s, needle = entry.time_s, entry.needle
        touching = needle is not None and name in (needle.touched if sure else needle.maybe_touched)
    return total


def _least(attempt: Attempt, paths: Sequence[NeedlePath | None]) -> dict[str, Interval]:
    """Least distance of each risk structure to the needle's surface."""
    patient, radius = attempt.patient, attempt.way.device.radius_mm
    groups: dict[tuple[bool, float], list[Risk]] = {}
    for risk in patient.situation.risks:
        held = 0.0 if risk.contact is None else risk.contact.tip_mm
        groups.setdefault((patient.moves(risk.name), held), []).append(risk)
    found: dict[str, Interval] = {}
    for (moving, held), risks in groups.items():
        starts, ends = _pieces(attempt, paths, moving, held)
        if not len(starts):
            continue
        measured = margins([risk.boundary for risk in risks], starts, ends)
        low, high = measured.low_mm(radius).min(axis=0), measured.high_mm(radius)
        high = np.where(measured.centre_mm <= 0.0, -radius, high).min(axis=0)
        for risk, least, most in zip(risks, low, high, strict=True):
            found[risk.name] = Interval(float(min(least, most)), float(most))
    return found


def _pieces(
    attempt: Attempt, paths: Sequence[NeedlePath | None], moving: bool, held_mm: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Starts and ends (N, 3) of all pieces of shaft that lay in the body, once each, and of throws, from where the
    image has what moves."""
    starts, ends, throw = [np.zeros((0, 3))], [np.zeros((0, 3))], attempt.way.device.throw_mm
    seen: set[tuple[int, float]] = set()
    for entry, path in zip(attempt.log, paths, strict=True):
        phase = entry.breath if moving else 0.0
        fired = throw > 0.0 and any(event.kind == "fired" for event in entry.events)
        if path is None or ((id(path), phase) in seen and not fired):
            continue
        seen.add((id(path), phase))
        first, last = (path.withdrawn(held_mm) if held_mm else path).chords()
        if fired:
            first, last = np.vstack([first, path.tip_mm]), np.vstack([last, path.tip_mm + throw * path.direction])
        starts.append(first - attempt.patient.shift_mm(phase))
        ends.append(last - attempt.patient.shift_mm(phase))
    return np.concatenate(starts), np.concatenate(ends)


def _triple(point: NDArray[np.float64]) -> tuple[float, float, float]:
    return float(point[0]), float(point[1]), float(point[2])
