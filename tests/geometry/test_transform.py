"""Transforms: frames that meet, inverses, and what is refused."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from navplan.errors import GeometryError, MismatchError
from navplan.geometry.conventions import LPS_FROM_RAS, lps_from_ras_affine, lps_from_ras_points, orientation_letters
from navplan.geometry.lines import distance_points_to_segment, perpendicular_axes, unit
from navplan.geometry.transform import Transform


def rigid(seed: int) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.random(rng=np.random.default_rng(seed)).as_matrix()
    matrix[:3, 3] = np.random.default_rng(seed).uniform(-99, 99, 3)
    return matrix


def test_chain_applies_the_right_one_first_and_joins_errors() -> None:
    patient_from_ct = Transform(rigid(1), "patient", "ct", expected_error_mm=3.0)
    ct_from_mr = Transform(rigid(2), "ct", "mr", expected_error_mm=4.0)
    chain = patient_from_ct @ ct_from_mr
    point = np.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(chain.apply(point), patient_from_ct.apply(ct_from_mr.apply(point)))
    assert (chain.target, chain.source, chain.expected_error_mm) == ("patient", "mr", 5.0)
    np.testing.assert_allclose(chain.inverse().apply(chain.apply(point)), point, atol=1e-9)


def test_an_unknown_error_stays_unknown_in_a_chain() -> None:
    known, unknown = Transform(rigid(1), "a", "b", expected_error_mm=1.0), Transform(rigid(2), "b", "c")
    assert (known @ unknown).expected_error_mm is None


def test_frames_that_do_not_meet_are_refused() -> None:
    with pytest.raises(MismatchError, match="ct_from_mr"):
        _ = Transform(np.eye(4), "ct", "mr") @ Transform(np.eye(4), "ct", "mr")


@pytest.mark.parametrize(
    "matrix", [np.eye(3), np.full((4, 4), np.nan), np.diag([1.0, 1.0, 0.0, 1.0]), np.diag([1.0, 1.0, 1.0, 2.0])]
)
def test_what_is_no_transform(matrix: np.ndarray) -> None:
    with pytest.raises(GeometryError):
        Transform(matrix, "a", "b")


def test_ras_and_lps_are_one_flip_and_its_own_inverse() -> None:
    np.testing.assert_array_equal(lps_from_ras_points((1.0, 2.0, 3.0)), (-1.0, -2.0, 3.0))
    np.testing.assert_array_equal(lps_from_ras_affine(LPS_FROM_RAS), np.eye(4))


def test_letters_of_directions() -> None:
    assert orientation_letters((1, 0, 0)) == "L" and orientation_letters((0, 0, -1)) == "I"
    assert orientation_letters((-0.5, -0.8, 0.0)) == "AR"


def test_distance_to_a_segment_ends_at_its_ends() -> None:
    distance, along = distance_points_to_segment([[0, 3, 4], [-3, 4, 0], [13, 0, 4]], (0, 0, 0), (10, 0, 0))
    np.testing.assert_allclose(distance, [5, 5, 5])
    np.testing.assert_allclose(along, [0, 0, 10])


def test_axes_across_a_needle_are_right_handed_and_refuse_no_direction() -> None:
    direction = unit((1.0, -2.0, 0.5))
    first, second = perpendicular_axes(direction)
    np.testing.assert_allclose(np.cross(first, second), direction, atol=1e-12)
    with pytest.raises(GeometryError):
        unit((0.0, 0.0, 0.0))
