"""What ties two images: a registration made either way round, one frame of reference, or nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from navplan.errors import ChoiceError, InputError, MismatchError
from navplan.geometry.grid import Grid
from navplan.model.case import Case
from navplan.model.image_pair import Tie, image_pair
from navplan.model.registration import ErrorGrid
from navplan.model.volume import Volume
from tests.verbs.test_carry import GOOD, a_case, bump, linear

POINTS = np.array([[1.0, 2.0, 3.0], [-20.0, 14.0, 30.0], [10.0, -6.0, 4.0]])


def framed(first: str = "1.2.3", second: str = "1.2.3") -> Case:
    """Two images, not registered, in these frames of reference."""
    grids = (Grid(np.eye(4), (9, 9, 9), uid) for uid in (first, second))
    volumes = [Volume(np.zeros((9, 9, 9), dtype=np.int16), grid) for grid in grids]
    return Case(volumes={"ct": volumes[0], "mr": volumes[1]})


def test_a_registration_is_taken_either_way_round() -> None:
    case = a_case(linear())
    pair, back = image_pair(case, "ct", "mr"), image_pair(case, "mr", "ct")
    assert pair.tie is back.tie is Tie.GOOD and not pair.turned and back.turned
    there = pair.to_second(POINTS)
    np.testing.assert_allclose(there, linear().inverse().apply(POINTS), atol=1e-9)
    np.testing.assert_allclose(back.to_second(there), POINTS, atol=1e-9)
    np.testing.assert_allclose(back.to_first(POINTS), there, atol=1e-9)
    np.testing.assert_allclose(pair.to_first(there), POINTS, atol=1e-9)
    assert pair.error_mm(POINTS).tolist() == back.error_mm(there).tolist() == [1.5, 1.5, 1.5]
    assert np.isnan(pair.error_mm([[900.0, 0.0, 0.0]])).all()


def test_the_error_is_that_at_the_place_whichever_image_is_looked_at() -> None:
    case = a_case(linear())
    found = case.registration("ct", "mr")
    mm = np.broadcast_to(np.arange(9, dtype=np.float32), (9, 9, 9)).copy()  # by 1 each 25 mm towards the head
    case = case.with_registration(replace(found, errors=ErrorGrid(mm, found.errors.grid)))
    places = np.array([[0.0, 0.0, -75.0], [10.0, 20.0, 0.0], [-30.0, 0.0, 50.0]])  # of voxels' centres, in z
    pair, back = image_pair(case, "ct", "mr"), image_pair(case, "mr", "ct")
    assert pair.error_mm(places).tolist() == [1.0, 4.0, 6.0]
    np.testing.assert_allclose(back.error_mm(pair.to_second(places)), [1.0, 4.0, 6.0], atol=1.0)
    assert back.error_mm(pair.to_second(places))[0] <= 2.0 <= 6.0 <= back.error_mm(pair.to_second(places))[2]


def test_a_map_that_bends_is_taken_backwards() -> None:
    case = a_case(linear(), bump(9.0))
    there = image_pair(case, "ct", "mr").to_second(POINTS)
    np.testing.assert_allclose(image_pair(case, "mr", "ct").to_second(there), POINTS, atol=0.01)
    assert np.abs(there - linear().inverse().apply(POINTS)).max() > 3.0


@pytest.mark.parametrize("checks", [(), (replace(GOOD[0], passed=False),)])
def test_what_is_not_good_enough_says_why(checks) -> None:
    case = a_case(linear(), checks=checks)
    for pair in (image_pair(case, "ct", "mr"), image_pair(case, "mr", "ct")):
        assert pair.tie is Tie.DOUBTFUL and case.registration("ct", "mr").doubt in pair.words


def test_one_frame_of_reference_is_said_and_its_error_is_not_known() -> None:
    pair = image_pair(framed(), "ct", "mr")
    assert pair.tie is Tie.FRAME and "not registered" in pair.words
    np.testing.assert_array_equal(pair.to_second(POINTS), POINTS)
    assert np.isnan(pair.error_mm(POINTS)).all()


@pytest.mark.parametrize("frames", [("1.2.3", "1.2.4"), ("", "")])
def test_images_that_nothing_ties_are_refused(frames: tuple[str, str]) -> None:
    with pytest.raises(ChoiceError, match="navplan register CASE --fixed ct --moving mr"):
        image_pair(framed(*frames), "ct", "mr")


def test_what_is_no_pair_is_refused() -> None:
    with pytest.raises(InputError, match="over itself"):
        image_pair(framed(), "ct", "ct")
    with pytest.raises(ChoiceError):
        image_pair(framed(), "ct", "pet")


def test_another_image_than_the_registered_one_is_not_laid_over_by_its_frame() -> None:
    """Never silently by something else than what the case says."""
    case = a_case(linear())
    volumes = {
        name: replace(one, grid=Grid(one.grid.affine, one.grid.shape, "1.2")) for name, one in case.volumes.items()
    }
    other = replace(case, volumes={**volumes, "mr": replace(volumes["mr"], voxels=volumes["mr"].voxels + np.int16(1))})
    with pytest.raises(MismatchError, match="Register anew"):
        image_pair(other, "mr", "ct")
