"""What an attempt comes to, in raw numbers with their definitions. No composite and no pass mark.

Which of them tell novices from experts (DISCRIMINATING): liver biopsy simulator (Johnson et al. 2012, Br J Radiol
85:555, PMC3479890): no-go area touched and time in it, targeting, session length, needle distance, skin contacts; for
fluoroscopy shots, time, dose-area product, error of the view; under CT control scans and their dose-length product
stand for shots and dose-area product. Path length and time alone did not discriminate in a randomised trial with Perk
Tutor: each is one of several. """

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError
from navplan.geometry.carm import ViewAngles
from navplan.model.trajectory import Trajectory
from navplan.training.attempt import Attempt
from navplan.training.feel import DURA
from navplan.training.log import Entry
from navplan.training.views import JudgedView, SeenVertebra, judged

BIOPSY = "PMC3479890"
FLUOROSCOPY = "listed for fluoroscopic training; no single study"
IN_PLACE = "navplan: under CT in place of shots and dose-area product"
PLAN = "navplan: the plan against what happened"
NAMES: dict[str, tuple[str, str, str]] = {
    "no_go_touched": ("structures", "risk structures that the shaft touched for sure, each once", BIOPSY),
    "no_go_s": ("s", "time with a risk structure touched for sure", BIOPSY),
    "target_off_mm": ("mm", "of what the needle was for from what it aimed at; inf: never done", BIOPSY),
    "goal_missed": ("0 or 1", "whether the scenario's own goal was missed", PLAN),
    "session_s": ("s", "room time to the end", BIOPSY),
    "needle_mm": ("mm", "way of the tip in the body, forwards and back", BIOPSY),
    "skin_contacts": ("times", "needle set on the skin", BIOPSY),
    "redirections": ("times", "levered in the body, or pulled back by 5 mm and more", PLAN),
    "shots": ("shots", "single shots", FLUOROSCOPY),
    "fluoroscopy_s": ("s", "X-rays on, each plane by itself, single shots aside", FLUOROSCOPY),
    "dap_ugy_cm2": ("uGy cm2", "dose-area product of all X-rays, estimated", FLUOROSCOPY),
    "view_error_deg": ("degrees", "mean angle of the views used to the nearest wanted one", FLUOROSCOPY),
    "endplates_deg": ("degrees", "mean angle between the beam and the endplates of the target's vertebra", PLAN),
    "pedicle_off_share": (
        "share", "pedicle from the body's middle, of its half width: mean of views 15 to 60 degrees from AP", PLAN
    ),
    "ct_scans": ("scans", "control scans", IN_PLACE),
    "ct_mgy_cm": ("mGy cm", "dose-length product of control scans: index of the scenario by their length", IN_PLACE),
    "entry_off_mm": ("mm", "last entry from the planned one", PLAN),
    "angle_off_deg": ("degrees", "chord from entry to tip against the planned way, at the end", PLAN),
    "dural_punctures": ("times", "the tip was pushed into the thecal sac", PLAN),
    "hazards": ("times", "hazards that came, drawn at their chance", PLAN),
}  # fmt: skip
DISCRIMINATING = (
    "no_go_touched", "no_go_s", "target_off_mm", "session_s", "needle_mm", "skin_contacts", "shots", "fluoroscopy_s",
    "dap_ugy_cm2", "view_error_deg", "ct_scans", "ct_mgy_cm",
)  # fmt: skip
OF_TOUCHING = ("no_go_touched", "no_go_s")
OBLIQUE_DEG = (15.0, 60.0)
BACK_MM = 5.0


@dataclass(frozen=True)
class Metric:
    """One number: name, value, unit, what it means and where it is from."""

    name: str
    value: float
    unit: str
    words: str
    source: str


def metrics_of(
    log: Sequence[Entry], way: Trajectory, wanted_views: Sequence[ViewAngles] = (), names: Sequence[str] = tuple(NAMES),
    seen: SeenVertebra | None = None, unevaluated: Collection[str] = (),
) -> tuple[Metric, ...]:  # fmt: skip
    """The metrics of a finished attempt's log, in the order of names. seen: the vertebra that views are judged by.
    unevaluated: structures that the rules ask for and nobody could evaluate: what was touched is then not known (NaN),
    and neither where the needle never was in the body.
    Raises InputError for one that is not known, and for a log without its end."""
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise InputError(f"metrics {', '.join(unknown)}", ", ".join(NAMES))
    if not log or log[-1].action["do"] != "finish":
        raise InputError("an attempt that is not finished", "one that ends with finish")
    found = _all(log, way, views_judged(log, way, wanted_views, seen))
    in_body = any(entry.needle is not None and entry.needle.inserted_mm > 0.0 for entry in log)
    if unevaluated or not in_body:
        found |= dict.fromkeys(OF_TOUCHING, float("nan"))
    return tuple(Metric(name, found[name], *NAMES[name]) for name in names)


def of_attempt(
    attempt: Attempt, wanted_views: Sequence[ViewAngles] = (), unevaluated: Collection[str] = ()
) -> tuple[Metric, ...]:  # fmt: skip
    """Those that its scenario counts; punctures of the dura are not known where no spinal canal is outlined."""
    counted = attempt.scenario.counted
    asked = {"endplates_deg", "pedicle_off_share"} & set(counted)
    seen = attempt.patient.vertebra if asked else None
    found = metrics_of(attempt.log, attempt.way, wanted_views, counted, seen, unevaluated)
    if attempt.patient.canal is not None:
        return found
    return tuple(replace(one, value=float("nan")) if one.name == "dural_punctures" else one for one in found)


def _all(log: Sequence[Entry], way: Trajectory, views: Sequence[JudgedView]) -> dict[str, float]:
    events = [(entry, event) for entry in log for event in entry.events]
    fired = [event for _, event in events if event.kind == "fired"]
    last = next((entry.needle for entry in reversed(log) if entry.needle is not None), None)
    entry_off, angle_off = float("nan"), float("nan")
    if last is not None:
        entry_off = float(np.linalg.norm(np.subtract(last.entry_mm, way.entry_mm)))
        chord = np.subtract(last.tip_mm, last.entry_mm)
        if np.linalg.norm(chord) > 1.0:
            angle_off = _angle_deg(chord, way.direction)
    return {
        "no_go_touched": float(len({event.structure for _, event in events if event.kind == "touched"})),
        "no_go_s": log[-1].touched_s,
        "target_off_mm": fired[-1].value if fired else float("inf"),
        "goal_missed": 0.0 if _met(log) else 1.0,
        "session_s": log[-1].time_s,
        "needle_mm": _needle_mm(log),
        "skin_contacts": float(sum(entry.action["do"] == "place" for entry in log)),
        "redirections": float(sum(_redirects(entry) for entry in log)),
        "shots": float(sum(event.kind == "shot" for _, event in events)),
        "fluoroscopy_s": float(sum(event.value for _, event in events if event.kind == "fluoroscopy")),
        "dap_ugy_cm2": log[-1].dose.dap_ugy_cm2,
        "view_error_deg": _mean([view.off_deg for view in views]),
        "endplates_deg": _mean([view.endplates_deg for view in views]),
        "pedicle_off_share": _mean([view.pedicle_share for view in views]),
        "ct_scans": float(sum(event.kind == "ct_scan" for _, event in events)),
        "ct_mgy_cm": log[-1].ct_mgy_cm,
        "entry_off_mm": entry_off,
        "angle_off_deg": angle_off,
        "dural_punctures": float(
            sum(event.structure == DURA for _, event in events if event.kind in ("entered", "gives_way"))
        ),
        "hazards": float(sum(event.kind == "hazard_came" for _, event in events)),
    }


def _met(log: Sequence[Entry]) -> bool:
    return any(event.kind == "goal_met" for event in log[-1].events)


def _needle_mm(log: Sequence[Entry]) -> float:
    total, before = 0.0, None
    for entry in log:
        if entry.needle is None or entry.action["do"] == "place":
            before = entry.needle.tip_mm if entry.needle else None
            continue
        if before is not None:
            total += float(np.linalg.norm(np.subtract(entry.needle.tip_mm, before)))
        before = entry.needle.tip_mm
    return total


def _redirects(entry: Entry) -> bool:
    action = entry.action
    if action["do"] == "lever":
        return entry.needle is not None and entry.needle.inserted_mm > 0.0
    return bool(action["do"] == "advance" and action["mm"] <= -BACK_MM)


def views_judged(
    log: Sequence[Entry], way: Trajectory, wanted: Sequence[ViewAngles], seen: SeenVertebra | None = None
) -> tuple[JudgedView, ...]:
    """Every view that X-rays were used in, each time that the C-arm stood there, in the order of first use."""
    standing: dict[int, ViewAngles] = {}
    used: dict[int, ViewAngles] = {}
    found = []
    for entry in log:
        action = entry.action
        if action["do"] == "move_carm":
            standing[action["plane"]] = ViewAngles(action["primary_deg"], action["secondary_deg"])
            used.pop(action["plane"], None)
        for event in entry.events:
            plane = int(event.structure) if event.kind in ("shot", "fluoroscopy") else -1
            if plane < 0 or plane in used:
                continue
            used[plane] = standing[plane]
            view = judged(standing[plane], wanted, seen, np.asarray(way.entry_mm))
            oblique = OBLIQUE_DEG[0] <= _from_frontal_deg(standing[plane]) <= OBLIQUE_DEG[1]
            found.append(view if oblique else replace(view, pedicle_share=float("nan")))
    return tuple(found)


def _from_frontal_deg(view: ViewAngles) -> float:
    """How far a view is turned about the patient's long axis from AP or PA."""
    turned = abs(view.primary_deg)
    return min(turned, 180.0 - turned)


def _mean(values: Sequence[float]) -> float:
    """Of what is known, NaN of nothing."""
    known = [value for value in values if value == value]
    return float(np.mean(known)) if known else float("nan")


def _angle_deg(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    cosine = float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))
