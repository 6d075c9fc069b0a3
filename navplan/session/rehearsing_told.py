"""A rehearsal as plain data for a page. While it goes on only what a person in the room would know: pictures that were
taken, what the hand feels, depth and angles; where the needle's tip is and what it touches is told at the end."""

from __future__ import annotations

from math import isfinite, isinf
from typing import Any

import numpy as np

from navplan.fluoroscopy.exposure import Dose
from navplan.model.scenario import GoalKind, Sight
from navplan.session.rehearsing import PULSES, Rehearsing
from navplan.session.rehearsing_hand import carm_words, dial_of
from navplan.session.rehearsing_scan import needle_line_mm
from navplan.training.attempt import Entry, Event
from navplan.training.metrics import NAMES
from navplan.training.outcome import not_evaluated

SAID = 6  # things that happened, the last ones
BREATH_STEP_S, BREATH_TOLD_S = 0.25, 30.0
FEELS = ((0.3, "nothing"), (1.5, "soft"), (3.5, "firm"), (8.0, "stiff"), (float("inf"), "very hard"))  # N, at most
FELT = {
    "placed": "The needle rests on the skin.", "gives_way": "Gives way: resistance is lost.",
    "stopped": "Stops hard.",
    "hub": "The hub is at the skin: it goes no farther.", "out": "The tip comes out.",
    "ct_scan": "Control scan taken.", "breath_held": "The breath is held.", "patient_moved": "The patient moved.",
    "contrast": "Contrast medium injected: look where it goes.", "breathes": "The breath could not be held any longer.",
    "fired": "Done. What it came to is told at the end.",
}  # fmt: skip
STIFFER_N = 1.0  # from layer to layer, for a hand to say so


def told(rehearsing: Rehearsing) -> dict[str, Any]:
    """The state of a rehearsal."""
    with rehearsing.lock:
        attempt, scenario = rehearsing.attempt, rehearsing.ready.scenario
        last = attempt.log[-1] if attempt.log else None
        ended = attempt.ending is not None
        return {
            "state": "ended" if ended else "going", "key": rehearsing.key, "seed": rehearsing.seed,
            "difficulty": rehearsing.difficulty, "scenario": _scenario(rehearsing),
            "time_s": round(rehearsing.time_s, 2), "needle": _needle(rehearsing), "breath": _breath(rehearsing),
            "said": said(attempt.log), "xray": _xray(rehearsing), "scans": _scans(rehearsing),
            "ct_mgy_cm": last.ct_mgy_cm if last else 0.0, "actions": len(attempt.log),
            "target_mm": rehearsing.ready.situation.target_mm.tolist(), "offered_mm": list(attempt.offered[0]),
            "tracked": _tracked(rehearsing) if Sight.TRACKED in scenario.sight else None,
            "result": result(rehearsing) if ended else None,
        }  # fmt: skip


def _scenario(rehearsing: Rehearsing) -> dict[str, Any]:
    one, way = rehearsing.ready.scenario, rehearsing.ready.way
    return {
        "id": one.id, "title": one.title, "words": one.words, "sight": [sight.value for sight in one.sight],
        "target": one.target, "side": one.side, "level": one.level, "goal": one.goal.kind.value,
        "within_mm": one.goal.within_mm, "goal_source": one.goal.source, "device": way.device.name,
        "length_mm": way.device.length_mm, "throw_mm": way.device.throw_mm, "zone": _zone(rehearsing),
        "breath": one.breath is not None,
        "position": rehearsing.position, "into_bone": one.into_bone,
    }  # fmt: skip


def _zone(rehearsing: Rehearsing) -> dict[str, float] | None:
    """Of an ablation: how long and wide it is taken to be, and where its middle lies, mm before the tip."""
    if rehearsing.ready.scenario.goal.kind is not GoalKind.ABLATE:
        return None
    zone = rehearsing.ready.way.device.zones[0]
    return {
        "long": round(zone.derating * zone.length_mm), "wide": round(zone.derating * zone.width_mm),
        "before": round(zone.centre_before_tip_mm),
    }  # fmt: skip


def _needle(rehearsing: Rehearsing) -> dict[str, Any] | None:
    path = rehearsing.attempt.path
    if path is None:
        return None
    state = next((entry.needle for entry in reversed(rehearsing.attempt.log) if entry.needle is not None), None)
    force = state.force_n if state else 0.0
    feels = next(words for most, words in FEELS if force <= most)
    at_skin = path.points_mm[1] - path.points_mm[0] if len(path.points_mm) > 1 else path.direction
    return {
        "inserted_mm": round(path.inserted_mm, 1), "force_n": round(force, 2), "feels": feels,
        "turned_deg": round(path.turned_deg % 360.0), **_hub_words(at_skin, rehearsing.position),
    }  # fmt: skip


def _hub_words(direction: Any, position: str) -> dict[str, str]:
    from navplan.geometry.table_angles import table_angles

    found = table_angles(-np.asarray(direction), (0.0, 0.0, 0.0), position or "HFS")
    return {"in_plane": found.in_plane_words, "tilt": found.tilt_words}


def _breath(rehearsing: Rehearsing) -> dict[str, Any] | None:
    if rehearsing.ready.scenario.breath is None:
        return None
    now, attempt = rehearsing.time_s, rehearsing.attempt
    times = now + np.arange(-8.0, BREATH_TOLD_S, BREATH_STEP_S)
    return {
        "from_s": round(float(times[0]), 2), "step_s": BREATH_STEP_S, "held": rehearsing.held(),
        "phase": [round(attempt.breath_at(float(at)), 3) for at in times],
    }  # fmt: skip


def said(log: tuple[Entry, ...]) -> list[dict[str, Any]]:
    """What a person in the room noticed of what happened, the last first."""
    found = [
        {"time_s": round(entry.time_s), "words": words}
        for entry in log for event in entry.events if (words := _noticed(event))
    ]  # fmt: skip
    return found[: -SAID - 1 : -1]


def _noticed(event: Event) -> str:
    if event.kind == "entered":
        return "The resistance rises." if event.value >= STIFFER_N else ""
    return FELT.get(event.kind, "")


def _xray(rehearsing: Rehearsing) -> dict[str, Any] | None:
    if not rehearsing.xrayed:
        return None
    attempt = rehearsing.attempt
    planes = []
    for plane in rehearsing.planes:
        standing = attempt.carm(plane)
        assert standing is not None
        words, dial_words = carm_words(standing, rehearsing.position)
        dial = dial_of(standing, rehearsing.position)
        planes.append({
            "plane": plane, "words": words, "dial_words": dial_words, "dial": [dial.primary_deg, dial.secondary_deg],
            "field_mm": standing.field_mm, "zoom_mm": standing.zoom_mm,
            "picture": rehearsing.pictures[plane][0] if plane in rehearsing.pictures else 0,
        })  # fmt: skip
    events = [event for entry in attempt.log for event in entry.events]
    return {
        "planes": planes, "pedal": rehearsing.pedal, "pulses_per_s": rehearsing.pulses_per_s, "rates": list(PULSES),
        "shots": sum(event.kind == "shot" for event in events),
        "seconds": round(sum(event.value for event in events if event.kind == "fluoroscopy"), 1),
        "dose": _dose(attempt.log[-1].dose) if attempt.log and attempt.log[-1].dose.pulses else None,
        "saved": [carm_words(views[0], rehearsing.position)[0] for views in rehearsing.saved],
    }  # fmt: skip


def _dose(dose: Dose) -> dict[str, Any]:
    return {
        "kerma_mgy": dose.reference_kerma_ugy / 1e3, "dap_gy_cm2": dose.dap_ugy_cm2 / 1e6, "pulses": dose.pulses,
    }  # fmt: skip


def _scans(rehearsing: Rehearsing) -> list[dict[str, Any]]:
    return [
        {
            "number": scan.number, "time_s": round(scan.time_s), "held": scan.held, "range_mm": list(scan.range_mm),
            "about_mm": scan.about_mm.tolist(), "needle": scan.path is not None and scan.path.inserted_mm > 4.0,
        }
        for scan in rehearsing.scans
    ]  # fmt: skip


def _tracked(rehearsing: Rehearsing) -> dict[str, Any]:
    """A navigated needle is seen, with the way that was planned: straight, as a tracker takes it to be."""
    path, way = rehearsing.attempt.path, rehearsing.ready.way
    plan = {"entry_mm": list(way.entry_mm), "target_mm": list(way.target_mm)}
    if path is None:
        return {"plan": plan, "line_mm": None}
    line = needle_line_mm(path, way.device.length_mm, 1)
    along = (line[1] - line[0]) / max(float(np.linalg.norm(line[1] - line[0])), 1e-9)
    straight = [line[0].tolist(), (line[0] + way.device.length_mm * along).tolist()]
    return {"plan": plan, "line_mm": straight, "to_target_mm": round(
        float(np.linalg.norm(np.subtract(straight[1], way.target_mm))), 1)}  # fmt: skip


def result(rehearsing: Rehearsing) -> dict[str, Any]:
    """What it came to: metrics, what was promised against what happened, hazards."""
    ready, attempt = rehearsing.ready, rehearsing.attempt
    ending = attempt.ending
    assert ending is not None
    limits = {limit.metric: limit for limit in ready.scenario.limits}
    metrics = [
        {
            "name": one.name, "value": one.value if isfinite(one.value) else None, "never": isinf(one.value),
            "unit": one.unit, "words": one.words, "source": one.source,
            "limit": limits[one.name].most if one.name in limits else None,
            "limit_source": limits[one.name].source if one.name in limits else "",
            "beyond": one.name in limits and not one.value <= limits[one.name].most,
        }
        for one in rehearsing.metrics()
    ]  # fmt: skip
    events = [event for entry in attempt.log for event in entry.events]
    return {
        "goal_met": ending.goal_met, "words": ending.words, "metrics": metrics, "unknown": len(NAMES) - len(metrics),
        "promised": {
            "verdict": ready.promised.verdict.value, "headline": ready.promised.headline,
            "depth_mm": round(ready.way.tip_depth_mm, 1), "hit": ready.promised.hit_probability,
        },
        "structures": _structures(rehearsing),
        "hazards": [
            {"words": event.words, "came": event.kind == "hazard_came"}
            for event in events if event.kind.startswith("hazard")
        ],
        "kept": rehearsing.kept_words,
    }  # fmt: skip


def _structures(rehearsing: Rehearsing) -> list[dict[str, Any]]:
    """What the shaft touched for sure or maybe, and for how long, beside the clearance that the plan promised; then
    what the tip alone stopped on, what was promised the least room and not touched, and what nobody could evaluate."""
    promised = {
        finding.structure: finding.distance for finding in rehearsing.ready.promised.clearances if finding.distance
    }  # fmt: skip
    seconds: dict[str, float] = {}
    maybe: dict[str, float] = {}
    before_s = 0.0
    sure_now: tuple[str, ...] = ()
    maybe_now: tuple[str, ...] = ()
    for entry in rehearsing.attempt.log:
        for names, into in ((sure_now, seconds), (maybe_now, maybe)):
            for name in names:
                into[name] = into.get(name, 0.0) + entry.time_s - before_s
        before_s = entry.time_s
        sure_now = entry.needle.touched if entry.needle else ()
        maybe_now = entry.needle.maybe_touched if entry.needle else ()
    for event in (event for entry in rehearsing.attempt.log for event in entry.events if event.kind == "touched"):
        seconds.setdefault(event.structure, 0.0)
    touched = sorted(seconds, key=lambda name: -seconds[name])
    perhaps = sorted(set(maybe) - set(seconds))
    told = {*seconds, *maybe}
    unseen = [name for name in not_evaluated(rehearsing.ready.promised) if name not in told]
    events = [event for entry in rehearsing.attempt.log for event in entry.events]
    met = sorted({event.structure for event in events if event.kind == "stopped"} - told - set(unseen))
    spared = [name for name in promised if name not in told and name not in unseen and name not in met][:4]
    rows = [(name, "touched", seconds[name]) for name in touched] + [(name, "maybe", maybe[name]) for name in perhaps]
    rows += [(name, "stopped", 0.0) for name in met] + [(name, "not", 0.0) for name in spared]
    rows += [(", ".join(unseen), "unknown", 0.0)] if unseen else []
    return [
        {
            "name": name, "how": how, "seconds": round(at, 1),
            "promised_mm": [round(promised[name].low_mm, 1), round(promised[name].high_mm, 1)]
            if name in promised else None,
        }
        for name, how, at in rows
    ]  # fmt: skip


def replay(rehearsing: Rehearsing) -> dict[str, Any]:
    """Each step of a finished attempt with the needle as it lay, beside the expert's way."""
    ready = rehearsing.ready
    length = ready.way.device.length_mm
    steps = [
        {
            "time_s": round(entry.time_s, 1), "do": entry.action["do"],
            "words": [event.words for event in entry.events],
            "line_mm": None if path is None else np.round(needle_line_mm(path, length), 2).tolist(),
        }
        for entry, path in zip(rehearsing.attempt.log, rehearsing.paths, strict=True)
    ]  # fmt: skip
    way = ready.way
    return {
        "steps": steps,
        "expert": {
            "entry_mm": list(way.entry_mm), "target_mm": list(way.target_mm),
            "tip_mm": way.point_at_mm(way.tip_depth_mm).tolist(),
        },
    }  # fmt: skip
