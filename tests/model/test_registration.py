"""An image's place in another's frame: maps there and back, errors that are never made up, and doubt by default."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from navplan.errors import ChoiceError, GeometryError, InputError, MismatchError
from navplan.geometry.grid import Grid
from navplan.geometry.transform import Transform
from navplan.model.case import Case
from navplan.model.displacement import DisplacementField
from navplan.model.registration import ErrorGrid, ImageRegistration, RegistrationCheck
from navplan.model.volume import Volume

GOOD = RegistrationCheck("starts", "starts agree", 0.4, 2.0, passed=True)


def grid(spacing_mm: float, count: int) -> Grid:
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[:3, 3] = -spacing_mm * (count - 1) / 2
    return Grid(affine, (count, count, count))


def linear() -> Transform:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", (10, -20, 30), degrees=True).as_matrix()
    matrix[:3, 3] = (300.0, -20.0, 700.0)
    return Transform(matrix, "ct", "mr")


def registration(field: DisplacementField | None = None, checks=(GOOD,), digests=("a", "b")) -> ImageRegistration:
    errors = ErrorGrid(np.full((3, 3, 3), 2.0, dtype=np.float32), grid(50.0, 3))
    return ImageRegistration("ct", "mr", "rigid", linear(), errors, checks, *digests, "by hand", "2026-01-01", field)


def bump(peak_mm: float) -> DisplacementField:
    where = grid(5.0, 41)
    points = where.points_mm(np.stack(np.indices(where.shape), axis=-1))
    size = np.exp(-(points**2).sum(axis=-1) / (2 * 30.0**2))
    return DisplacementField((size[..., None] * np.array([0.6, -0.5, 0.62]) * peak_mm).astype(np.float32), where)


@pytest.mark.parametrize("field", [None, bump(12.0)])
def test_there_and_back_is_where_one_was(field):
    found = registration(field)
    points = np.random.default_rng(0).uniform(-60, 60, (200, 3))
    assert found.to_fixed(found.to_moving(points)) == pytest.approx(points, abs=0.01)
    if field is not None:
        moved = np.linalg.norm(found.to_moving(points) - registration().to_moving(points), axis=1)
        assert moved == pytest.approx(np.linalg.norm(field.at(points), axis=1))
        far = np.full((1, 3), 150.0)
        assert found.to_moving(far) == pytest.approx(registration().to_moving(far))


def test_a_field_that_folds_has_no_way_back():
    with pytest.raises(GeometryError, match="folds"):
        registration(bump(120.0)).to_fixed(linear().apply(np.random.default_rng(0).uniform(-40, 40, (50, 3))))


@pytest.mark.parametrize("scale", [0.8, 1.0, 1.3])
def test_how_much_a_field_shrinks_is_told_on_any_grid(scale):
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", (20, 50, -70), degrees=True).as_matrix() * (2.0, 3.0, 5.0)
    where = Grid(affine, (6, 5, 4))
    points = where.points_mm(np.stack(np.indices(where.shape), axis=-1))
    field = DisplacementField(((scale - 1) * points).astype(np.float32), where)
    assert field.least_volume == pytest.approx(scale**3, rel=1e-4)


def test_an_error_is_the_worst_around_and_unknown_where_nobody_looked():
    mm = np.ones((3, 3, 3), dtype=np.float32)
    mm[2, 2, 2], mm[0, 0, 0] = 7.0, np.nan
    errors = ErrorGrid(mm, grid(10.0, 3))
    points = [(5, 5, 5), (0, 0, 0), (10, 10, 10), (-5, -5, -5), (0, 0, 40), (14, 0, 0)]
    assert errors.error_mm(points) == pytest.approx([7.0, 1.0, 7.0, np.nan, np.nan, 1.0], nan_ok=True)


@pytest.mark.parametrize("checks", [(), (replace(GOOD, passed=None),), (GOOD, replace(GOOD, passed=False))])
def test_nothing_is_good_that_was_not_looked_at(checks):
    found = registration(checks=checks)
    assert not found.good and found.doubt


def test_a_good_one_has_no_doubt():
    assert registration().good and registration().doubt == ""


def test_a_case_gives_only_what_was_registered_of_these_images():
    voxels = np.zeros((3, 3, 3), dtype=np.int16)
    images = {name: Volume(voxels + n, grid(1.0, 3), "CT", "HU") for n, name in enumerate(("ct", "mr"))}
    digests = tuple(one.digest for one in images.values())
    case = Case(volumes=images).with_registration(registration(digests=digests))
    assert case.registration("ct", "mr").good
    with pytest.raises(ChoiceError, match="ct_from_mr"):
        case.registration("mr", "ct")
    other = replace(case, volumes={**case.volumes, "mr": Volume(voxels + 5, grid(1.0, 3), "CT", "HU")})
    with pytest.raises(MismatchError, match="another image mr"):
        other.registration("ct", "mr")


def test_a_new_one_stands_for_an_earlier_one_of_the_two_whichever_way_round():
    found = registration()
    back = replace(found, fixed="mr", moving="ct", transform=linear().inverse())
    case = Case().with_registration(found).with_registration(back)
    assert list(case.registrations.values()) == [back]
    assert list(case.with_registration(found).registrations.values()) == [found]


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match="kind"):
        replace(registration(), kind="magic")
    with pytest.raises(InputError, match="two images"):
        replace(registration(), moving="ct")
    with pytest.raises(InputError, match="mr_from_ct"):
        replace(registration(), transform=linear().inverse())
    with pytest.raises(GeometryError):
        ErrorGrid(np.full((3, 3, 3), -1.0, dtype=np.float32), grid(1.0, 3))
    with pytest.raises(GeometryError):
        DisplacementField(np.full((3, 3, 3, 3), np.nan, dtype=np.float32), grid(1.0, 3))
