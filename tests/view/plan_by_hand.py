"""A plan made by hand, with distances measured by brute force: pictures are tested without the planner."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.spatial import cKDTree

from navplan.imaging.skin_surface import body_surface
from navplan.model.anatomy import Tissue
from navplan.model.case import Case
from navplan.model.device import Device
from navplan.model.error_model import ErrorModel
from navplan.model.plan import Plan, Provenance, RankedTrajectory, SkinMap
from navplan.model.protocol import HardLimit, ProcedureProtocol, Quantity
from navplan.model.safety import Finding, FindingKind, Interval, PathSection, SafetyReport, Verdict
from navplan.model.structure import Structure
from navplan.model.trajectory import Target, Trajectory

NEEDLE = Device("coaxial-17", "17 G coaxial", 17, 1.47, 150.0, 22.0, "trocar")
ERROR_MODEL = ErrorModel("freehand", "CT freehand", 2.0, 1.5, "made up for tests")
PASSED = (Tissue.SKIN, Tissue.LUNG, Tissue.MUSCLE, Tissue.FAT, Tissue.OUTSIDE, Tissue.LESION)


def plan_by_hand(
    case: Case,
    target: str,
    crossed: tuple[str, ...] = (),
    entry_side: tuple[float, float, float] = (0.6, 0.8, 0.0),
    reach_mm: float = 120.0,
    patient_position: str = "HFP",
) -> Plan:
    """Ways from the skin on one side of a lesion, ranked by their clearance."""
    image_id, volume = case.image()
    lesion = case.structures[target]
    aim = lesion.voxel_centres_mm().mean(axis=0)
    skin = body_surface(volume, spacing_mm=4.0)
    used = np.unique(skin.triangles)
    points = skin.points_mm[used]
    outward = points - aim
    length = np.linalg.norm(outward, axis=1)
    kept = (length < reach_mm) & (outward @ np.asarray(entry_side) / length > 0.35)
    points = points[kept][:: max(1, int(kept.sum()) // 2500)]
    risks = {
        name: structure
        for name, structure in case.structures.items()
        if structure.occupancy is not None and structure.anatomy.tissue not in PASSED and name not in crossed
    }
    clearance = {name: _clearance(structure, points, aim) for name, structure in risks.items()}
    names = list(risks)
    table = np.stack([clearance[name] for name in names])
    worst = table.argmin(axis=0)
    least = table.min(axis=0)
    depth = np.linalg.norm(points - aim, axis=1)
    tilt = np.abs(points[:, 2] - aim[2]) / depth
    wish = np.clip(least / 12.0, 0, 1) * np.clip(1.4 - depth / 100.0, 0.05, 1) * (1 - 0.6 * tilt)
    reasons = [f"{name}: clearance below 2 mm" for name in names] + ["other lung"]
    reason = np.where(least >= 2.0, -1, worst).astype(np.int16)
    skin_map = SkinMap(
        points, reason, tuple(reasons), np.where(reason < 0, wish, 0).astype(np.float32),
        np.where(reason < 0, 0, 2.0 - least).astype(np.float32),
    )  # fmt: skip
    order = np.argsort(-np.where(reason < 0, wish, -1))
    ranked = []
    for place in (order[0], order[min(len(order) - 1, 60)]):
        trajectory = Trajectory(tuple(points[place]), tuple(aim), NEEDLE, tip_short_of_target_mm=11.0)
        report = _report(case, trajectory, risks, target)
        ranked.append(RankedTrajectory(trajectory, {"depth_mm": trajectory.depth_mm}, float(wish[place]), report))
    return Plan(
        "by-hand", PROTOCOL, Target(tuple(aim), target), lesion.side, patient_position, "expiration", ERROR_MODEL,
        tuple(ranked), Provenance(image_id, volume.digest, "", {}, "", "2000-01-01", "tests"), skin_map,
    )  # fmt: skip


PROTOCOL = ProcedureProtocol(
    id="by-hand", version="1", title="Biopsy by hand", procedure="biopsy", region="thorax",
    patient_positions=("HFS", "HFP"), breath_state="expiration", devices=("coaxial-17",),
    hard=(HardLimit("rib_*", 2.0, "made up for tests"),), pass_through=(), soft=(), error_models=(ERROR_MODEL,),
    max_breach_probability=Quantity(0.05, "", "made up for tests"),
    max_image_age_days=Quantity(30, "d", "made up for tests"),
)  # fmt: skip


def _clearance(structure: Structure, entries: np.ndarray, aim: np.ndarray) -> np.ndarray:
    tree = cKDTree(structure.voxel_centres_mm())
    along = np.linspace(0, 1, 60)
    samples = entries[:, None] + along[None, :, None] * (aim - entries)[:, None]
    bound = 40.0
    distance, _ = tree.query(samples.reshape(-1, 3), distance_upper_bound=bound)
    slack = structure.grid.diagonal_mm + NEEDLE.radius_mm
    return np.minimum(distance, bound).reshape(len(entries), -1).min(axis=1) - slack


def _report(case: Case, trajectory: Trajectory, risks: dict[str, Structure], target: str) -> SafetyReport:
    depths = np.arange(0, trajectory.swept_depth_mm, 0.5)
    shaft = np.asarray(trajectory.entry_mm) + np.outer(depths, trajectory.direction)
    findings = []
    for name, structure in risks.items():
        centres = structure.voxel_centres_mm()
        distance, index = cKDTree(centres).query(shaft)
        place = int(distance.argmin())
        high = float(distance[place]) - NEEDLE.radius_mm
        low = high - structure.grid.diagonal_mm
        verdict = Verdict.FAIL if high < 2 else Verdict.PASS if low >= 2 else Verdict.WARN
        findings.append(
            Finding(
                FindingKind.CLEARANCE, verdict, f"{name} {low:.1f} to {high:.1f} mm", name, Interval(low, high), 2.0,
                0.01, tuple(centres[index[place]]), tuple(shaft[place]), float(depths[place]),
            )
        )  # fmt: skip
    findings.append(
        Finding(FindingKind.NOT_IMAGED, Verdict.WARN, "intercostal bundle is not imaged", "intercostal_bundle",
                remedy="Stay at the upper edge of the lower rib")
    )  # fmt: skip
    path = _path(case, shaft, depths, target)
    return SafetyReport(
        tuple(findings), path, 0.93, ERROR_MODEL.name, ERROR_MODEL.source, 0.01, checked_on="2000-01-01"
    )


def _path(case: Case, shaft: np.ndarray, depths: np.ndarray, target: str) -> tuple[PathSection, ...]:
    names = np.full(len(shaft), "unlabelled", dtype=object)
    ordered = sorted(case.structures.values(), key=lambda structure: structure.name == target)
    for structure in ordered:
        if structure.occupancy is None:
            continue
        cells = np.round(structure.grid.indices(shaft)).astype(int)
        inside = ((cells >= 0) & (cells < structure.grid.shape)).all(axis=1)
        inside[inside] = structure.occupancy[tuple(cells[inside].T)] > 127
        names[inside] = structure.name
    starts = [0, *[place for place in range(1, len(names)) if names[place] != names[place - 1]], len(names)]
    return tuple(
        PathSection(str(names[first]), float(depths[first]), float(depths[last - 1]) + 0.5)
        for first, last in pairwise(starts)
    )
