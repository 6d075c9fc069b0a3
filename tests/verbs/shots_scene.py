"""A small body with balls of bone and air in it, planned on, and its pictures as XA files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import navplan as nv
from navplan.files.image_files import patient_digest
from navplan.fluoroscopy.materials import water_and_bone_of_hu
from navplan.fluoroscopy.project import line_integrals
from navplan.fluoroscopy.rigid_pose import apply, beam_seen_from, moved
from navplan.geometry.carm import Beam, CArm, Detector, ViewAngles
from navplan.model.case import Case
from navplan.model.trajectory import Trajectory
from navplan.model.volume import Volume
from tests.planning.scenes import case_of, grid_of
from tests.xa_pictures import grey_of, save_xa_picture

SALT, PATIENT = "0123456789abcdef", "P1"
DETECTOR = Detector(128, 128, 2.2)
VIEWS = (ViewAngles(0, 0), ViewAngles(90, 0))
OFF = (7.0, -5.0, 4.0, 4.0, -3.0, 5.0)  # of the patient from where the isocentre in the target would have it
FRONT, SIDE, OTHER, BARE = "front.dcm", "side.dcm", "other.dcm", "bare.dcm"


def planned_case() -> Case:
    """The scene of tests of planning, with a way that was drawn."""
    case = case_of(grid=grid_of((2.5, 2.5, 2.5)))
    volume = case.volumes["ct"]
    x, y, z = np.moveaxis(volume.grid.points_mm(np.moveaxis(np.indices(volume.grid.shape), 0, -1)), -1, 0)
    hu, draw = volume.voxels.copy(), np.random.default_rng(3)
    for number in range(150):
        a, b, c = draw.uniform(-70, 70), draw.uniform(-50, 50), draw.uniform(-55, 55)
        inside = (x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2 < draw.uniform(3, 10) ** 2
        hu[inside & (hu > -900)] = (700, -800, 300)[number % 3]
    digest = patient_digest(SALT, PATIENT)
    known = replace(volume.acquisition, patient_digest=digest)
    case = replace(case, volumes={"ct": Volume(hu, volume.grid, "CT", "HU", known)}, patient_digest=digest, salt=SALT)
    return case.with_plan(nv.drawn_way(case, "liver-biopsy", "lesion", (-40.0, -70.0, 10.0)))


def way_of(case: Case) -> Trajectory:
    return case.plan().best.trajectory


def true_pose(case: Case) -> NDArray[np.float64]:
    """(4, 4) C-arm from CT."""
    pose = np.eye(4)
    pose[:3, 3] = -np.asarray(way_of(case).target_mm)
    return moved(OFF, np.zeros(3), pose)


def tip_marks(case: Case) -> list[tuple[float, float]]:
    """(row, column) of the planned tip in both pictures."""
    way = way_of(case)
    tip = apply(true_pose(case), way.point_at_mm(way.tip_depth_mm))
    places = [Beam.of(view, np.zeros(3), CArm()).project(tip, DETECTOR) for view in VIEWS]
    return [(float(row), float(column)) for column, row in places]


def save_pictures(case: Case, folder: Path) -> None:
    """A front and a side view, the same of another patient, and a run of three that says angles alone."""
    volume, pose, draw = case.volumes["ct"], true_pose(case), np.random.default_rng(5)
    water, bone = water_and_bone_of_hu(volume.voxels)
    for view, name in zip(VIEWS, (FRONT, SIDE), strict=True):
        beam = beam_seen_from(pose, Beam.of(view, np.zeros(3), CArm()))
        values = line_integrals(water + 2.4 * bone, volume.grid, beam, DETECTOR)
        grey = grey_of(values + 0.4 * draw.standard_normal(values.shape))
        save_xa_picture(folder / name, grey, view, DETECTOR.pixel_mm, patient_id=PATIENT)
        if name == FRONT:
            save_xa_picture(folder / OTHER, grey, view, DETECTOR.pixel_mm, patient_id="P2")
            save_xa_picture(folder / BARE, np.stack([grey] * 3), view, DETECTOR.pixel_mm, geometry=False)
