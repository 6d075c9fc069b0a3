"""Where contrast medium goes: SCHEMATIC blobs that tell epidural from vascular, intrathecal and soft tissue by shape.

No flow is computed. A pattern fills the voxels of what it fills in the order of a distance that is shorter along the
way it runs: epidural up and down the canal (from a foramen about the root as well), in a sac down to the side that
the patient lies on, in a vessel along it at once, in soft tissue a ball. Shapes as fluoroscopy texts describe them;
stretches and shares are unsourced.

A vessel that no label shows may be hit beside a nerve root: 6.1 % of 1056 lumbar transforaminal injections were
intravascular (Anaesthesia 2010;65:917).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from navplan.geometry.conventions import DOWN_BY_PATIENT_POSITION
from navplan.model.anatomy import Tissue, anatomy_of
from navplan.model.structure import Presence
from navplan.planning.boundary import MOSTLY_INSIDE
from navplan.training.feel import DURA, EPIDURAL, OUTSIDE, feel_of
from navplan.training.layers import EPIDURAL_LAYER, SAC_LAYER
from navplan.training.patient import SimulatedPatient

VASCULAR_SHARE = 0.061  # of injections at a nerve root, into vessels that nothing shows
ROOTS = ("foramen_", "nerve_root_")
MOST_POINTS, BALL_STEP_MM = 600, 1.0
FARTHEST_MM = 80.0  # that anything spreads (unsourced)
STRETCHED = 5.0  # how much farther epidural contrast runs along the canal than across (unsourced)
ROOT_SHARE = 0.5  # of what is given in a foramen stays about its root, the rest runs into the canal (unsourced)
VESSEL_MM_PER_ML, SAC_SHARE = 60.0, 4.0
Points = NDArray[np.float64]


class Pattern(StrEnum):
    """What a picture shows of it."""

    EPIDURAL = "epidural"
    VASCULAR = "vascular"
    INTRATHECAL = "intrathecal"
    INTRA_ARTICULAR = "intra-articular"
    INTRADISCAL = "intradiscal"
    HOLLOW = "in a hollow organ"
    SOFT_TISSUE = "soft tissue"
    BONE = "in bone"
    OUTSIDE = "outside the body"


UNSAFE = (Pattern.VASCULAR, Pattern.INTRATHECAL)


@dataclass(frozen=True, eq=False)
class Spread:
    """points_mm: (N, 3) LPS, N up to MOST_POINTS, from the tip outwards; pattern; where: the structure or layer."""

    points_mm: Points
    pattern: Pattern
    where: str

    @property
    def words(self) -> str:
        """For the learner."""
        told = {
            Pattern.EPIDURAL: "runs up and down along the canal",
            Pattern.VASCULAR: "runs off along a vessel at once",
            Pattern.INTRATHECAL: "layers in the thecal sac",
            Pattern.SOFT_TISSUE: "stays about the tip",
        }.get(self.pattern, f"fills {self.where}")
        return f"contrast medium {told}: {self.pattern} (schematic)"


def at_a_root(tissue: str) -> bool:
    """Whether a tissue lies beside a nerve root, where vessels hide."""
    return tissue.startswith(ROOTS)


def spread_of(patient: SimulatedPatient, tip_mm: Points, ml: float, phase: float = 0.0, hidden: bool = False) -> Spread:
    """What so much contrast medium at a tip (3,) looks like. hidden: in a vessel that nothing shows."""
    tip = np.asarray(tip_mm, dtype=np.float64)
    tissue = patient.tissues_at(tip, phase)[0]
    kind, volume_mm3 = anatomy_of(tissue).tissue, 1000.0 * max(ml, 0.0)
    if hidden:
        return Spread(_hidden_vessel(patient, tip, ml), Pattern.VASCULAR, tissue)
    if tissue == OUTSIDE:
        return Spread(np.zeros((0, 3)), Pattern.OUTSIDE, tissue)
    if tissue == DURA:
        return Spread(_in_sac(patient, tip, volume_mm3), Pattern.INTRATHECAL, tissue)
    if tissue == EPIDURAL or at_a_root(tissue):
        return Spread(_epidural(patient, tip, volume_mm3, tissue), Pattern.EPIDURAL, tissue)
    if kind in (Tissue.VESSEL, Tissue.HEART):
        return Spread(_filled(patient, tip, tissue, phase, VESSEL_MM_PER_ML * ml), Pattern.VASCULAR, tissue)
    cavities = (
        (Pattern.INTRADISCAL, tissue.startswith("disc") or tissue == "intervertebral_discs"),
        (Pattern.INTRA_ARTICULAR, "joint" in tissue or "facet" in tissue),
        (Pattern.HOLLOW, kind in (Tissue.BOWEL, Tissue.FLUID, Tissue.AIRWAY)),
    )
    for pattern, here in cavities:
        if here:
            return Spread(_filled(patient, tip, tissue, phase, _radius_mm(2.0 * volume_mm3)), pattern, tissue)
    pattern = Pattern.BONE if feel_of(tissue).stops else Pattern.SOFT_TISSUE
    return Spread(_ball(patient, tip, volume_mm3, pattern is Pattern.BONE, phase), pattern, tissue)


def _radius_mm(volume_mm3: float) -> float:
    return float((3.0 * volume_mm3 / (4.0 * np.pi)) ** (1.0 / 3.0))


def _nearest(points: Points, cost: NDArray[np.float64], most: int) -> Points:
    """The cheapest of points, in that order, thinned out evenly to MOST_POINTS."""
    order = np.argsort(cost, kind="stable")[: max(most, 0)]
    if len(order) > MOST_POINTS:
        order = order[np.linspace(0, len(order) - 1, MOST_POINTS).round().astype(int)]
    return points[order]


def _along(patient: SimulatedPatient) -> Points:
    """(3,) unit, the direction of the canal's grid that is nearest to the patient's long axis, towards the head."""
    assert patient.canal is not None
    axes = patient.canal.grid.axes
    axis = axes[:, int(np.argmax(np.abs(axes[2])))]
    return np.asarray(axis * np.sign(axis[2]))


def _epidural(patient: SimulatedPatient, tip: Points, volume_mm3: float, tissue: str) -> Points:
    """Along the canal's epidural layer; from a foramen half of it about the root, the other half in the canal."""
    if patient.canal is None:
        return _ball(patient, tip, volume_mm3, False, 0.0)
    points, voxel_mm3 = patient.canal.voxels(EPIDURAL_LAYER), float(np.prod(patient.canal.grid.spacing_mm))
    count = round(volume_mm3 / voxel_mm3)
    if not at_a_root(tissue):
        return _nearest_along(patient, tip, points, count)
    beside = _voxels(patient, tissue)
    there = min(round(ROOT_SHARE * count), len(beside))
    about, in_canal = _nearest_along(patient, tip, beside, there), _nearest_along(patient, tip, points, count - there)
    return np.vstack([about, in_canal])


def _nearest_along(patient: SimulatedPatient, tip: Points, points: Points, most: int) -> Points:
    """The nearest of points, where the way along the canal is short."""
    offset, axis = points - tip, _along(patient)
    along = offset @ axis
    cost = np.hypot(along / STRETCHED, np.linalg.norm(offset - along[:, None] * axis, axis=1))
    near = np.abs(along) <= FARTHEST_MM
    return _nearest(points[near], cost[near], most)


def _in_sac(patient: SimulatedPatient, tip: Points, volume_mm3: float) -> Points:
    """The lowest part of the sac, long and thinned out by what is in it: half of it at most."""
    assert patient.canal is not None
    points, voxel_mm3 = patient.canal.voxels(SAC_LAYER), float(np.prod(patient.canal.grid.spacing_mm))
    down = np.asarray(DOWN_BY_PATIENT_POSITION.get(patient.situation.patient_position, (0, 1, 0)), dtype=np.float64)
    along = np.abs((points - tip) @ _along(patient))
    cost = along / STRETCHED - (points - tip) @ down
    near = along <= FARTHEST_MM
    most = min(round(SAC_SHARE * volume_mm3 / voxel_mm3), int(near.sum()) // 2)
    return _nearest(points[near], cost[near], most)


def _voxels(patient: SimulatedPatient, name: str) -> Points:
    structure = patient.situation.structures.get(name)
    if structure is None or structure.presence is not Presence.PRESENT:
        return np.zeros((0, 3))
    assert structure.grid is not None and structure.occupancy is not None
    return np.asarray(structure.grid.points_mm(np.argwhere(structure.occupancy >= MOSTLY_INSIDE)))


def _filled(patient: SimulatedPatient, tip: Points, name: str, phase: float, reach_mm: float) -> Points:
    """What of a structure lies within reach of the tip."""
    points = _voxels(patient, name)
    if patient.moves(name):
        points = points + patient.shift_mm(phase)
    far = np.linalg.norm(points - tip, axis=1)
    near = far <= min(reach_mm, FARTHEST_MM)
    return _nearest(points[near], far[near], int(near.sum()))


def _hidden_vessel(patient: SimulatedPatient, tip: Points, ml: float) -> Points:
    """A thin line from the tip towards the head, as a radicular vessel runs."""
    axis = _along(patient) if patient.canal is not None else np.array([0.0, 0.0, 1.0])
    steps = np.arange(0.0, min(VESSEL_MM_PER_ML * max(ml, 0.1), FARTHEST_MM), BALL_STEP_MM)
    return np.asarray(tip + steps[:, None] * axis)


def _ball(patient: SimulatedPatient, tip: Points, volume_mm3: float, bone: bool, phase: float) -> Points:
    """About the tip, in bone or beside it."""
    radius = 1.5 * _radius_mm(volume_mm3) + BALL_STEP_MM
    side = np.arange(-radius, radius + 1e-9, BALL_STEP_MM)
    points = tip + np.stack(np.meshgrid(side, side, side, indexing="ij"), axis=-1).reshape(-1, 3)
    far = np.linalg.norm(points - tip, axis=1)
    points, far = points[far <= radius], far[far <= radius]
    kept = np.array([name != OUTSIDE and feel_of(name).stops is bone for name in patient.tissues_at(points, phase)])
    if not kept.any():
        return tip[None]
    return _nearest(points[kept], far[kept], max(round(volume_mm3 / BALL_STEP_MM**3), 1))
