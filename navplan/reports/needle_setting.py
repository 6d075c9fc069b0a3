"""What a person needs to set a needle by hand, in numbers: angles, depths, stops, what lies near and ahead."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from navplan.geometry.table_angles import TableAngles, direction_words, table_angles, table_frame
from navplan.model.anatomy import Tissue, anatomy_of
from navplan.model.case import Case
from navplan.model.plan import Plan
from navplan.model.safety import Finding, SafetyReport
from navplan.model.structure import Presence
from navplan.model.trajectory import Trajectory
from navplan.planning.boundary import MOSTLY_INSIDE, occupancy_at
from navplan.reports.entry_position import EntryPosition, entry_position

AHEAD_MM = 80.0  # how far beyond the end of the throw it is looked for what lies straight ahead
AHEAD_STEP_MM = 0.5
NEAREST_SHOWN = 3
_QUIET = (Tissue.SKIN, Tissue.OUTSIDE, Tissue.FAT, Tissue.LESION)


@dataclass(frozen=True)
class DepthStop:
    """A depth below the skin at which something begins or is done; sets_stop: where the tip stands before it fires."""

    depth_mm: float
    name: str
    sets_stop: bool = False


@dataclass(frozen=True)
class Ahead:
    """The first labelled structure straight ahead of the end of the throw, and how far beyond it."""

    structure: str
    beyond_mm: float


@dataclass(frozen=True)
class Danger:
    """A structure that may not be touched: its finding, and words for where it lies."""

    finding: Finding
    where: str


@dataclass(frozen=True)
class NeedleSetting:
    """All numbers of a freehand card. outside_mm: needle left outside before it fires, negative if it is too short."""

    trajectory: Trajectory
    patient_position: str
    angles: TableAngles
    entry: EntryPosition
    outside_mm: float
    breath_state: str
    stops: tuple[DepthStop, ...]
    ends_in: str
    ahead: Ahead | None
    dangers: tuple[Danger, ...]


def needle_setting(case: Case, plan: Plan, trajectory: Trajectory, report: SafetyReport) -> NeedleSetting:
    """Gather them for one trajectory of a plan with its (newly made) safety report.

    Raises InputError for a patient position that is none.
    """
    image_id, volume = case.image(plan.provenance.image_id)
    structures = case.structures_of(image_id)
    entry, target = np.asarray(trajectory.entry_mm), np.asarray(trajectory.target_mm)
    frame = table_frame(plan.patient_position)
    return NeedleSetting(
        trajectory=trajectory,
        patient_position=plan.patient_position,
        angles=table_angles(entry, target, plan.patient_position),
        entry=entry_position(volume, structures, entry, target, frame),
        outside_mm=trajectory.device.length_mm - trajectory.tip_depth_mm,
        breath_state=_breath(plan.breath_state, volume.acquisition.breath_state),
        stops=depth_stops(trajectory, report, plan.target.structure, plan.protocol.pleura_punctures_max is not None),
        ends_in=report.path[-1].structure if report.path else "",
        ahead=straight_ahead(case, plan, trajectory),
        dangers=tuple(
            Danger(finding, where_words(finding, trajectory)) for finding in report.clearances[:NEAREST_SHOWN]
        ),
    )


def _breath(planned: str, imaged: str) -> str:
    if planned and imaged and planned != imaged:
        return f"{planned} (the image was made in {imaged})"
    if planned or imaged:
        return planned or f"{imaged}, as in the image"
    return "as in the image (not stated)"


def depth_stops(
    trajectory: Trajectory, report: SafetyReport, target: str = "", through_pleura: bool = False
) -> tuple[DepthStop, ...]:
    """Pleura (first lung) and capsule (first organ), tip before firing, target, end of the throw; in order of depth.

    through_pleura: the procedure crosses the pleura; where no lung is labelled before the target (a lesion at the chest
    wall), the pleura lies at the target's near surface at the latest.
    """
    stops = []
    lung = next((s for s in report.path if anatomy_of(s.structure).tissue is Tissue.LUNG), None)
    organ = next((s for s in report.path if anatomy_of(s.structure).tissue is Tissue.ORGAN), None)
    aim = next((s for s in report.path if target and s.structure == target), None)
    if through_pleura and aim is not None and (lung is None or lung.from_mm > aim.from_mm):
        stops.append(DepthStop(aim.from_mm, "pleura, at the latest"))
    elif lung is not None:
        stops.append(DepthStop(lung.from_mm, "pleura"))
    if organ is not None:
        stops.append(DepthStop(organ.from_mm, "capsule"))
    if trajectory.tip_depth_mm < trajectory.depth_mm - 0.05:
        words = "tip before firing" if trajectory.device.throw_mm else "tip, before the target"
        stops.append(DepthStop(trajectory.tip_depth_mm, words, sets_stop=True))
        stops.append(DepthStop(trajectory.depth_mm, "target"))
    elif trajectory.tip_depth_mm > trajectory.depth_mm + 0.05:
        stops.append(DepthStop(trajectory.depth_mm, "target"))
        stops.append(DepthStop(trajectory.tip_depth_mm, "tip, beyond the target", sets_stop=True))
    else:
        stops.append(DepthStop(trajectory.depth_mm, "tip, at the target", sets_stop=True))
    if trajectory.device.throw_mm > 0:
        stops.append(DepthStop(trajectory.swept_depth_mm, "tip after firing"))
    return tuple(sorted(stops, key=lambda stop: stop.depth_mm))


def straight_ahead(case: Case, plan: Plan, trajectory: Trajectory) -> Ahead | None:
    """What the tip would meet first if it went on straight beyond the end of the throw; None within AHEAD_MM.

    The organ that the throw ends in, skin, fat and the target itself are not counted. To orient: voxels on the axis.
    """
    structures = case.structures_of(plan.provenance.image_id)
    beyond = np.arange(0.0, AHEAD_MM, AHEAD_STEP_MM)
    points = trajectory.swept_end_mm + beyond[:, None] * trajectory.direction
    found: Ahead | None = None
    for name, structure in structures.items():
        if structure.presence is not Presence.PRESENT or structure.anatomy.tissue in _QUIET:
            continue
        inside = occupancy_at(structure, points) >= MOSTLY_INSIDE
        if name == plan.target.structure or inside[0] or not inside.any():
            continue
        distance = float(beyond[int(np.argmax(inside))])
        if found is None or distance < found.beyond_mm:
            found = Ahead(name, distance)
    return found


def where_words(finding: Finding, trajectory: Trajectory) -> str:
    """Where a structure's nearest point lies from the needle, in the patient's directions, and at which depth."""
    if finding.nearest_mm is None or finding.needle_mm is None:
        return ""
    offset = np.subtract(finding.nearest_mm, finding.needle_mm)
    depth = finding.at_depth_mm
    if depth is not None and depth >= trajectory.swept_depth_mm - 0.5 and offset @ trajectory.direction > 0:
        ahead = ", ahead of the fired tip" if trajectory.device.throw_mm else ", ahead of the tip"
    else:
        ahead = ""
    return f"{direction_words(offset)}{ahead}".strip(", ")
