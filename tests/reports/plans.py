"""Plans made by hand on the small abdomen of the planning tests: reports are tested without a search."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from navplan.geometry.table_angles import HEAD, table_frame
from navplan.model.case import Case
from navplan.model.device import Device
from navplan.model.error_model import ErrorModel
from navplan.model.plan import Plan, RankedTrajectory, SkinMap
from navplan.model.protocol import BleedingRisk, HardLimit, Need, Quantity
from navplan.model.safety import Finding, FindingKind, Interval, SafetyReport, Verdict
from navplan.model.structure import Presence, Structure
from navplan.model.trajectory import Target, Trajectory
from navplan.reports.pictures import Picture, jpeg_bytes
from navplan.verbs.plan import provenance_of
from tests.planning.scenes import TODAY, case_of, protocol_of

NEEDLE = Device("n17", "18 G in a 17 G introducer, 150 mm", 18, 1.47, 150.0, 22.0, "notch", "a sheet; throw: unsourced")
ROBOT = ErrorModel("robot", "robot-held guide", 0.5, 0.5, "a published series")
FREEHAND = ErrorModel("freehand", "freehand under CT", 5.4, 4.0, "another series; the split: unsourced")
AIM = (-40.0, 0.0, 0.0)
LATERAL = (-90.0, 0.0, 0.0)
THROUGH_AORTA = (90.0, 60.0, 0.0)
LIE = SafetyReport(
    (Finding(FindingKind.CLEARANCE, Verdict.PASS, "a stored verdict", "aorta", Interval(50, 51), 5.0, 0.0),),
    (), 0.99, "robot", "a published series",
)  # fmt: skip


def protocol(*models: ErrorModel, **changes):
    """The rules of a liver biopsy, with everything that a report shows."""
    hard = (
        HardLimit("colon", 5.0, "a textbook", Need.REQUIRED), HardLimit("aorta", 5.0, "unsourced", Need.REQUIRED),
        HardLimit("rib_*", 1.0, "unsourced", Need.REQUIRED),
        HardLimit("recess", 0.0, "unsourced", Need.NOT_IMAGED, note="The pleura reaches lower than the lung."),
    )  # fmt: skip
    return protocol_of(**{
        "title": "Biopsy of the liver", "hard": hard, "error_models": models or (ROBOT, FREEHAND),
        "checklist": ("Side compared with the request", "Consent"), "notes": ("A note <of> the protocol",),
        "bleeding_risk": BleedingRisk("high", "1.5-1.8", "50", "SIR 2019"),
        "max_breach_probability": Quantity(0.05, "probability", "unsourced"), **changes,
    })  # fmt: skip


def case(**changes) -> Case:
    """The scene, with a structure stated to be absent and one that is unknown."""
    return case_of(**changes).with_structures(
        Structure("gallbladder", Presence.ABSENT, stated_by="a reader", stated_on="2026-11-20"),
        Structure("kidney_left", Presence.UNKNOWN),
    )


def plan(
    on: Case,
    entries: tuple = (LATERAL,),
    models: tuple[ErrorModel, ...] = (ROBOT, FREEHAND),
    position: str = "HFS",
    **changes,
) -> Plan:
    """A plan whose stored reports all lie that everything passes."""
    ways = [Trajectory(tuple(map(float, entry)), AIM, NEEDLE, 11.0) for entry in entries]
    ranked = tuple(RankedTrajectory(way, {"depth_mm": way.depth_mm}, 0.5, LIE) for way in ways)
    skin = SkinMap(
        np.zeros((3, 3)), np.array([-1, 0, 0], dtype=np.int16), ("rib_right_9: in the way",),
        np.zeros(3, dtype=np.float32), np.zeros(3, dtype=np.float32),
    )  # fmt: skip
    made = Plan(
        "by-hand", protocol(*models), Target(AIM, "lesion"), "right", position, "", models[0], ranked,
        replace(provenance_of(on, "ct"), made_on=f"{TODAY}T10:00:00+00:00"), skin, ("3 entries tried",),
    )  # fmt: skip
    return replace(made, **changes)


def entry_set_at(in_plane_deg: float, tilt_deg: float, position: str, depth_mm: float = 60.0) -> tuple[float, ...]:
    """An entry from which the needle leans to the right of an observer at the feet, then tilts to the head."""
    frame = table_frame(position)
    across = np.cos(np.radians(in_plane_deg)) * frame.up + np.sin(np.radians(in_plane_deg)) * frame.right
    outward = np.cos(np.radians(tilt_deg)) * across + np.sin(np.radians(tilt_deg)) * HEAD
    return tuple((np.asarray(AIM) + depth_mm * outward).tolist())


def grey_pictures(size: tuple[int, int] = (90, 52)) -> tuple[Picture, ...]:
    """Three pictures of the right shape with nothing in them."""
    blank = np.full((size[1], size[0], 3), 128, dtype=np.uint8)
    return tuple(Picture(f"plane{n}", f"plane {n}", "", jpeg_bytes(blank)) for n in (1, 2, 3))
