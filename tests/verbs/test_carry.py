"""Structures of one image on another: where they lie, how far off they may be, and what is never made safe by it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from navplan.errors import ChoiceError, InputError
from navplan.geometry.grid import Grid
from navplan.geometry.transform import Transform
from navplan.model.case import Case
from navplan.model.displacement import DisplacementField
from navplan.model.registration import ErrorGrid, ImageRegistration, RegistrationCheck
from navplan.model.structure import Presence, Structure
from navplan.model.volume import Volume
from navplan.verbs.carry import carry
from navplan.verbs.register import with_registered

GOOD = (RegistrationCheck("starts", "starts agree", 0.4, 2.0, passed=True),)
CENTRE = np.array([10.0, -6.0, 4.0])


def grid(spacing_mm: float, count: int) -> Grid:
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[:3, 3] = -spacing_mm * (count - 1) / 2
    return Grid(affine, (count, count, count))


def linear(stretch: float = 1.0) -> Transform:
    matrix = np.eye(4)
    turn = Rotation.from_euler("xyz", (10, -20, 30), degrees=True).as_matrix()
    matrix[:3, :3] = turn @ np.diag([stretch, 1.0, 1.0]) @ Rotation.from_euler("z", 35, degrees=True).as_matrix()
    matrix[:3, 3] = (30.0, -20.0, 70.0)
    return Transform(matrix, "ct", "mr")


def ball(where: Grid, centre: np.ndarray, radius_mm: float, name: str = "liver", image: str = "mr") -> Structure:
    inside = np.linalg.norm(where.points_mm(np.moveaxis(np.indices(where.shape), 0, -1)) - centre, axis=-1) <= radius_mm
    return Structure(
        name, Presence.PRESENT, np.where(inside, np.uint8(255), np.uint8(0)), where, evaluated_in=where, image_id=image,
        working_resolution_mm=(2.0, 2.0, 2.0),
    )  # fmt: skip


def bump(peak_mm: float) -> DisplacementField:
    where = grid(5.0, 41)
    points = where.points_mm(np.moveaxis(np.indices(where.shape), 0, -1))
    size = np.exp(-((points - CENTRE) ** 2).sum(axis=-1) / (2 * 30.0**2))
    return DisplacementField((size[..., None] * np.array([0.6, -0.5, 0.62]) * peak_mm).astype(np.float32), where)


def a_case(map_: Transform, field: DisplacementField | None = None, checks=GOOD, error_mm: float = 1.5) -> Case:
    images = {
        "ct": Volume(np.zeros((90, 90, 90), dtype=np.int16), grid(2.0, 90), "CT", "HU"),
        "mr": Volume(np.ones((80, 80, 80), dtype=np.int16), grid(2.5, 80), "MR", "signal"),
    }
    moved = replace(images["mr"], grid=Grid(np.linalg.inv(map_.matrix) @ grid(2.5, 80).affine, (80, 80, 80))) \
        if np.allclose(np.linalg.det(map_.matrix[:3, :3]), 1) else images["mr"]  # fmt: skip
    images["mr"] = moved
    errors = ErrorGrid(np.full((9, 9, 9), error_mm, dtype=np.float32), grid(25.0, 9))
    digests = (images["ct"].digest, images["mr"].digest)
    kind = "rigid" if field is None else "deformable"
    found = ImageRegistration("ct", "mr", kind, map_, errors, checks, *digests, "by hand", "2026-01-01", field)
    there = map_.inverse().apply(CENTRE)
    liver = ball(Grid(moved.grid.affine, moved.grid.shape), there, 22.0)
    return Case(volumes=images).with_registration(found).with_structures(liver)


def middle(structure: Structure) -> np.ndarray:
    return structure.voxel_centres_mm().mean(axis=0)


def test_a_rigid_map_moves_a_structures_own_grid():
    case = carry(a_case(linear()), "mr", "ct")
    found, seen = case.structures_of("ct")["liver"], case.structures_of("mr")["liver"]
    assert middle(found) == pytest.approx(CENTRE, abs=0.1)
    assert (found.occupancy == seen.occupancy).all() and seen.carried_from == ""
    assert found.carried_from == "mr" and found.carried_error_mm == pytest.approx(1.5) and found.carried_doubt == ""
    assert case.audit[-1].action == "carry" and case.audit[-1].details["error_mm"] == {"liver": 1.5}


@pytest.mark.parametrize("field", [bump(0.0), bump(9.0)])
def test_a_map_that_bends_looks_the_voxels_up(field):
    case = a_case(linear(), field)
    found = carry(case, "mr", "ct").structures_of("ct")["liver"]
    points = found.voxel_centres_mm()
    there = case.registration("ct", "mr").to_moving(points)
    away = np.linalg.norm(there - linear().inverse().apply(CENTRE), axis=1)
    assert away.max() < 22 + 2.5 and len(points) * 8.0 == pytest.approx(4 / 3 * np.pi * 22**3, rel=0.12)
    seen = case.structures_of("mr")["liver"].voxel_centres_mm()
    assert middle(found) == pytest.approx(case.registration("ct", "mr").to_fixed(seen).mean(axis=0), abs=1.0)
    assert found.evaluated_in is not None and case.volumes["ct"].grid.contains(found.evaluated_in.corners_mm()).all()


def test_an_affine_map_that_shears_is_looked_up_too():
    case = a_case(linear(1.2))
    found = carry(case, "mr", "ct").structures_of("ct")["liver"]
    assert middle(found) == pytest.approx(CENTRE, abs=0.6)
    assert found.occupancy.sum() / 255 * 8.0 == pytest.approx(1.2 * 4 / 3 * np.pi * 22**3, rel=0.05)


@pytest.mark.parametrize("checks", [(), (replace(GOOD[0], passed=None),), (replace(GOOD[0], passed=False),)])
def test_what_is_not_good_enough_leaves_it_in_doubt(checks):
    assert carry(a_case(linear(), checks=checks), "mr", "ct").structures_of("ct")["liver"].carried_doubt


def test_an_error_that_is_not_known_leaves_it_in_doubt():
    found = carry(a_case(linear(), error_mm=np.nan), "mr", "ct").structures_of("ct")["liver"]
    assert "not known" in found.carried_doubt


def test_what_the_image_has_by_itself_is_kept():
    case = a_case(linear())
    own = ball(grid(2.0, 90), np.zeros(3), 10.0, image="ct")
    with pytest.raises(InputError, match="nothing to carry: liver"):
        carry(case.with_structures(own), "mr", "ct")
    unknown = Structure("liver", Presence.UNKNOWN, image_id="ct")
    assert carry(case.with_structures(unknown), "mr", "ct").structures_of("ct")["liver"].presence is Presence.PRESENT
    again = carry(carry(case, "mr", "ct"), "mr", "ct")
    assert again.structures_of("ct")["liver"].carried_error_mm == pytest.approx(1.5)


def test_what_was_carried_before_the_images_were_registered_anew_is_in_doubt():
    case = carry(a_case(linear()), "mr", "ct")
    assert not case.structures_of("ct")["liver"].carried_doubt
    anew = with_registered(case, case.registration("ct", "mr"))
    assert "registered anew" in anew.structures_of("ct")["liver"].carried_doubt
    assert not anew.structures_of("mr")["liver"].carried_doubt
    assert not carry(anew, "mr", "ct").structures_of("ct")["liver"].carried_doubt


def test_what_is_not_there_is_refused():
    case = a_case(linear())
    with pytest.raises(ChoiceError, match="spleen"):
        carry(case, "mr", "ct", ["spleen"])
    with pytest.raises(ChoiceError, match="register"):
        carry(case, "ct", "mr")
    far = replace(linear(), matrix=linear().matrix + np.array([[0, 0, 0, 900.0]] + [[0.0] * 4] * 3))
    beside = replace(case.registration("ct", "mr"), transform=far)
    with pytest.raises(InputError, match="nothing to carry"):
        carry(case.with_registration(beside), "mr", "ct")


def test_what_an_image_does_not_show_by_itself_is_not_left_out_in_silence():
    case = a_case(linear())
    case = case.with_structures(
        replace(ball(case.volumes["mr"].grid, CENTRE, 20.0, "spleen"), carried_from="ct"),
        Structure("trachea", Presence.UNKNOWN, image_id="mr"),
    )
    with pytest.raises(ChoiceError, match=r"spleen \(carried from image ct\), trachea \(unknown\) on image mr"):
        carry(case, "mr", "ct", ["liver", "spleen", "trachea"])
    done = carry(case, "mr", "ct")
    assert set(done.structures_of("ct")) & {"liver", "spleen", "trachea"} == {"liver"}
    with pytest.raises(InputError, match="image mr shows no structure by itself"):
        carry(replace(case, structures={}), "mr", "ct")
