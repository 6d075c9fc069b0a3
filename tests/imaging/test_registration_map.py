"""The error of a registration place by place: its parts, what is shared, and that it covers what is true."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from navplan.geometry.error_map import ErrorMap
from navplan.geometry.landmarks import fit_landmarks
from navplan.imaging import registration_map as module
from navplan.imaging.register import Registration, register_rigid, registration_given
from navplan.imaging.registration_error import apart_mm
from navplan.imaging.registration_map import ImageErrorMap
from navplan.model.volume import Volume
from navplan.verbs.phantom import phantom
from tests.imaging.test_register import MOTION, PLACE, given, motion_of, seen_again

pytestmark = pytest.mark.xdist_group("registration_map")  # one registration for all


@pytest.fixture(scope="module")
def old() -> Volume:
    return phantom("abdomen", spacing_mm=(8.0, 8.0, 8.0)).volumes["ct"]


@pytest.fixture(scope="module")
def today(old: Volume) -> Volume:
    return seen_again(old, MOTION)


@pytest.fixture(scope="module")
def found(old: Volume, today: Volume) -> Registration:
    return register_rigid(today, old, PLACE)


def carried(points: np.ndarray, matrix: np.ndarray = MOTION) -> np.ndarray:
    return np.asarray(points @ matrix[:3, :3].T + matrix[:3, 3])


def in_the_body(found: Registration, count: int) -> np.ndarray:
    """Places of the old image."""
    image = found.error_map.moving
    body = image.grid.points_mm(np.argwhere(image.body))
    return np.asarray(body[np.random.default_rng(4).choice(len(body), count)])


def test_a_known_motion_lies_within_the_map_everywhere(found: Registration) -> None:
    places = in_the_body(found, 60)
    there = found.transform.apply(places)
    found.error_map.look_at(there)
    true = np.linalg.norm(there - carried(places), axis=1)
    told = found.error_map.error_mm(there)
    assert (true <= told).all()
    assert float(np.sqrt(((true / told) ** 2).mean())) < 1.0


def test_at_the_target_the_map_says_what_the_registration_says(found: Registration) -> None:
    here = found.transform.apply(PLACE)
    assert found.error_map.error_mm(here)[0] == pytest.approx(found.transform.expected_error_mm)
    parts = found.error_map.parts_at(here)
    assert (parts.starts_mm, parts.local_mm) == pytest.approx((found.parts.starts_mm, found.parts.local_mm))


def test_a_turn_that_restarts_disagree_about_counts_the_more_the_farther_away(found: Registration) -> None:
    off = motion_of((0.0, 0.0, 2.0), (0.0, 0.0, 0.0))
    turned = replace(found.error_map, others=(found.error_map.moving_from_fixed @ off,), back=None)
    near, far = turned.error_mm([[0.0, 1.0, 30.0], [0.0, 150.0, 30.0]])
    assert turned.parts_at(np.array([0.0, 150.0, 30.0])).starts_mm == pytest.approx(150.0 * np.radians(2.0), rel=1e-3)
    assert far > near + 1.5


def test_the_way_back_is_followed_there_and_back(found: Registration) -> None:
    off = motion_of((0.0, 0.0, 0.0), (3.0, 0.0, 4.0))
    moved = replace(found.error_map, others=(), back=off @ np.linalg.inv(found.error_map.moving_from_fixed))
    assert moved.parts_at(np.zeros(3)).inverse_mm == pytest.approx(5.0)


def test_a_place_that_nobody_looked_at_takes_the_largest_shift_that_was_found(
    found: Registration, monkeypatch: pytest.MonkeyPatch
) -> None:
    shifts = iter([2.0, None, 7.0])
    monkeypatch.setattr(module, "surroundings_shift_mm", lambda *_: next(shifts))
    fresh = replace(found.error_map, _looked=[])
    assert fresh.parts_at(np.zeros(3)).local_mm == 0.0
    fresh.look_at(np.array([[0.0, 0, 0], [100, 0, 0], [200, 0, 0], [1, 1, 1], [400, 0, 0]]), most=3)
    at = [fresh.parts_at(np.array([x, 0.0, 0.0])).local_mm for x in (5.0, 100.0, 205.0, 400.0)]
    assert at == [2.0, 7.0, 7.0, 7.0]


def test_landmarks_and_images_have_one_interface(old: Volume, today: Volume) -> None:
    corners = np.array([[-60.0, 20, 30], [50, -30, 10], [0, 40, -40], [30, 30, 50]])
    noise = np.random.default_rng(1).normal(0.0, 1.0, corners.shape)
    fit: ErrorMap = fit_landmarks(carried(corners) + noise, corners)
    taken = registration_given(today, old, PLACE, given(MOTION, 3.0), stated_map=fit)
    images: ErrorMap = taken.error_map
    far = carried(np.array([[150.0, 60.0, -60.0], [-150.0, 60.0, 60.0]]))
    assert (images.error_mm(far) >= fit.error_mm(far)).all()
    assert taken.transform.expected_error_mm is not None and taken.transform.expected_error_mm >= 3.0
    assert isinstance(taken.error_map, ImageErrorMap)
    beside = taken.error_map.moving_from_fixed
    assert taken.error_map.parts_at(far[0]).starts_mm == pytest.approx(
        apart_mm(beside, taken.error_map.others[0], far[0])
    )
