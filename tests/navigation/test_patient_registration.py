"""The patient's registration: what it is worth, how far off it is expected to be, and when it is no longer trusted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from navplan.errors import GeometryError, InputError
from navplan.geometry.transform import Transform
from navplan.model.pose import ToolPose
from navplan.navigation.checkpoints import Checkpoint, missed_mm, standing
from navplan.navigation.frames import Edge, Frames, PoseError
from navplan.navigation.limits import GuidanceLimits
from navplan.navigation.patient_registration import (
    CELL_MM,
    ErrorNearby,
    PatientRegistration,
    RegisteredImage,
    register_landmarks,
)

LIMITS = GuidanceLimits()
POINTS = np.array([[-60, -40, 10], [50, -55, -20], [70, 30, 25], [-45, 45, -15], [5, -70, 60], [0, 20, -70.0]])
NAMES = tuple("abcdef")
PLACES = {"target": (10.0, 20.0, 30.0), "entry": (60.0, -80.0, 0.0)}
WAY = (PLACES["entry"], PLACES["target"])
REFERENCE_FROM_PATIENT = np.eye(4)
REFERENCE_FROM_PATIENT[:3, :3] = Rotation.from_rotvec((0.4, -0.2, 0.9)).as_matrix()
REFERENCE_FROM_PATIENT[:3, 3] = 12, -30, 150


def registered(noise_mm: float = 0.5, seed: int = 0, count: int = 6, made_s: float = 100.0) -> PatientRegistration:
    touched = POINTS[:count] @ REFERENCE_FROM_PATIENT[:3, :3].T + REFERENCE_FROM_PATIENT[:3, 3]
    touched = touched + np.random.default_rng(seed).normal(0, noise_mm / np.sqrt(3), touched.shape)
    return register_landmarks(NAMES[:count], POINTS[:count], touched, "reference", PLACES, made_s)


def test_landmarks_register_and_the_error_at_the_target_is_told() -> None:
    found = registered()
    assert not found.doubts and found.transform.target == "patient" and found.transform.source == "reference"
    assert np.allclose(found.transform.matrix, np.linalg.inv(REFERENCE_FROM_PATIENT), atol=3)
    assert 0 < found.errors_mm["target"] < 1.5 and "at target" in found.words and "largest residual" in found.words
    assert found.residuals_mm.shape == found.left_out_mm.shape == (6,)


def test_the_error_that_is_told_is_an_upper_bound_of_the_true_one() -> None:
    true, told = [], []
    for seed in range(200):
        found = registered(seed=seed)
        place = np.asarray(PLACES["target"])
        there = found.transform.apply(REFERENCE_FROM_PATIENT[:3, :3] @ place + REFERENCE_FROM_PATIENT[:3, 3])
        true.append(np.linalg.norm(there - place))
        told.append(found.errors_mm["target"])
    assert np.sqrt(np.mean(np.square(true))) < np.mean(told)


def test_a_reference_that_moves_carries_the_patient() -> None:
    found = registered(0.0)
    for seed in range(5):
        tracker_from_reference = np.eye(4)
        tracker_from_reference[:3, :3] = Rotation.random(random_state=seed).as_matrix()
        tracker_from_reference[:3, 3] = np.random.default_rng(seed).uniform(-900, 900, 3)
        pose = ToolPose("reference", "tracker", tracker_from_reference, 200.0)
        frames = Frames((found.edge(), Edge.of_pose(pose, 0.1, PoseError(0.25))))
        chain = frames.chain("patient", "tracker", 200.0)
        point = tracker_from_reference @ REFERENCE_FROM_PATIENT @ (10, 20, 30, 1)
        assert np.allclose(chain.transform.apply(point[:3]), (10, 20, 30), atol=1e-6)


def test_a_landmark_that_is_off_is_named() -> None:
    touched = POINTS @ REFERENCE_FROM_PATIENT[:3, :3].T + REFERENCE_FROM_PATIENT[:3, 3]
    touched[2] += (0, 0, 12)
    found = register_landmarks(NAMES, POINTS, touched, "reference", PLACES, 0.0)
    assert any(doubt.startswith("c lies") for doubt in found.doubts)
    assert "does not serve" in standing(found, (), 1.0, LIMITS, WAY).fault


def test_three_landmarks_cannot_check_one_another_and_few_or_straight_ones_are_refused() -> None:
    assert any("three landmarks only" in doubt for doubt in registered(count=3).doubts)
    with pytest.raises(GeometryError):
        registered(count=2)
    line = np.outer(np.arange(5.0), (10, 20, 5))
    with pytest.raises(GeometryError, match="line"):
        register_landmarks("abcde", line, line, "reference", PLACES, 0.0)
    with pytest.raises(GeometryError, match="one name each"):
        register_landmarks(("a", "a", "b", "c"), POINTS[:4], POINTS[:4], "reference", PLACES, 0.0)
    with pytest.raises(GeometryError):
        register_landmarks(NAMES, POINTS, np.where(POINTS == 60, np.nan, POINTS), "reference", PLACES, 0.0)


def test_a_large_error_at_the_target_is_a_doubt() -> None:
    found = registered(noise_mm=6.0, seed=3)
    assert any("expected error" in doubt and "target" in doubt for doubt in found.doubts)


def test_the_error_nearby_is_kept_and_never_below_the_map() -> None:
    fit = registered().error
    nearby, rng = ErrorNearby(fit), np.random.default_rng(1)
    points = rng.uniform(-150, 150, (300, 3))
    told, truth = nearby.error_mm(points), fit.error_mm(points)
    assert (told >= truth - 1e-12).all() and (told - truth).max() < 0.2 * CELL_MM
    assert np.array_equal(nearby.error_mm(points), told)


PLACE = {
    "between": (40.0, 1.0, 1.5), "xiphoid": (1.0, 2.0, 3.0), "rib": (80.0, 0.0, 0.0), "crest": (0.0, 90.0, -20.0),
    "entry": WAY[0],
}  # fmt: skip


def touched(off_mm: float, time_s: float, name: str = "xiphoid", limit_mm: float = 2.0) -> Checkpoint:
    x, y, z = PLACE.get(name, (1.0, 2.0, 3.0))
    return Checkpoint(name, (x, y, z), (x, y, z + off_mm), limit_mm, time_s)


HELD = tuple(touched(0.5, 102.0 + n, name) for n, name in enumerate(("xiphoid", "rib", "crest")))


@pytest.mark.parametrize(
    ("checkpoints", "now_s", "words"),
    [
        ((), 110.0, "no checkpoint was touched"),
        ((touched(1.2, 90.0),), 110.0, "no checkpoint was touched since"),  # before the registration
        ((touched(2.4, 105.0),), 110.0, "does not hold: checkpoint xiphoid 2.4 mm off, at most 2 mm allowed"),
        ((touched(0.5, 105.0), touched(2.4, 106.0)), 110.0, "does not hold"),
        ((touched(0.5, 105.0), touched(2.4, 106.0, "rib")), 110.0, "checkpoint rib 2.4 mm off"),
        ((touched(4.0, 105.0, limit_mm=9.0),), 110.0, "does not hold"),  # a wide limit of its own does not help
        (HELD, 706.0, "the last checkpoint was 10 min ago"),
        ((touched(0.5, 105.0),), 110.0, "checkpoints at xiphoid do not see a turn about an axis through it: touch 2"),
        (HELD[:2], 110.0, "do not see a turn about the line through both: touch 1 more"),
        ((touched(0.5, 105.0, "entry"),), 110.0, "the planned entry agrees with any registration: touch 3"),
        ((*HELD[:2], touched(0.5, 105.0, "entry")), 110.0, "touch 1 more"),
        ((*HELD[:2], touched(0.5, 105.0, "between")), 110.0, "so near to one line"),
        ((touched(0.5, 120.0),), 110.0, "the clock went back"),
        ((touched(0.5, 105.0),), 90.0, "the clock went back"),
    ],
)
def test_a_registration_is_not_trusted(checkpoints: tuple[Checkpoint, ...], now_s: float, words: str) -> None:
    assert words in standing(registered(), checkpoints, now_s, LIMITS, WAY).fault


def test_a_registration_is_trusted_while_its_checkpoints_hold() -> None:
    found = standing(registered(), (touched(2.4, 104.0), *HELD, touched(1.2, 105.0)), 300.0, LIMITS, WAY)
    assert found.fault == "" and found.verified_s == 105.0 and "1.2 mm off" in found.words
    assert standing(None, (), 0.0, LIMITS, WAY).fault == "the patient is not registered"
    old = replace(LIMITS, checkpoint_age_s=1e6)
    assert "registration is" in standing(registered(), HELD, 100.0 + 5 * 3600, old, WAY).fault


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_checkpoint_is_refused(bad: float) -> None:
    for make in (
        lambda: touched(bad, 1.0), lambda: touched(1.0, bad), lambda: touched(1.0, 1.0, limit_mm=bad),
        lambda: touched(1.0, 1.0, ""), lambda: touched(1.0, 1.0, limit_mm=0.0),
    ):  # fmt: skip
        with pytest.raises(InputError):
            make()
    with pytest.raises(InputError):
        PatientRegistration(Transform.identity("tracker"), registered().error, 0.0)


def test_limits_say_where_they_come_from() -> None:
    assert "checkpoint_mm" in LIMITS.unsourced
    with pytest.raises(InputError, match="pose_age"):
        GuidanceLimits(pose_age_s=np.nan)


@pytest.mark.parametrize("seed", range(40))
def test_places_that_all_hold_bound_every_motion_that_a_registration_may_be_off_by(seed: int) -> None:
    """Any small turn about any axis through any point, and any shift, as large as the three places let pass."""
    rng = np.random.default_rng(seed)
    places, way = np.asarray([point.patient_mm for point in HELD]), np.asarray(WAY)
    turn = Rotation.from_rotvec(rng.normal(0, 0.05, 3))
    about, shift = rng.uniform(-100, 100, 3), rng.normal(0, 2, 3)

    def off(points: np.ndarray, share: float) -> np.ndarray:
        part = Rotation.from_rotvec(share * turn.as_rotvec())
        return np.linalg.norm(part.apply(points - about) + about + share * shift - points, axis=1)

    share = min(LIMITS.checkpoint_mm / off(places, 1.0).max(), 1.0)
    assert off(places, share).max() <= LIMITS.checkpoint_mm + 0.1
    told = missed_mm(tuple(map(tuple, places.tolist())), LIMITS.checkpoint_mm, WAY)
    assert off(way, share).max() <= 3.0 * told < 3.0 * LIMITS.target_error_mm  # all three off at once, and as is worst


def test_two_places_let_a_turn_about_their_line_pass() -> None:
    first, second = np.asarray(HELD[0].patient_mm), np.asarray(HELD[1].patient_mm)
    turn = Rotation.from_rotvec(0.2 * (second - first) / np.linalg.norm(second - first))
    assert np.allclose(turn.apply(second - first), second - first)
    assert np.linalg.norm(turn.apply(np.asarray(WAY[0]) - first) + first - WAY[0]) > 15.0
    assert missed_mm((HELD[0].patient_mm, HELD[1].patient_mm), 2.0, WAY) == np.inf


def test_landmarks_that_agree_to_the_last_digit_are_not_known_without_an_error() -> None:
    found = registered(noise_mm=0.0)
    assert found.residuals_mm.max() < 1e-9
    assert found.errors_mm["target"] > 0.5 * LIMITS.landmark_error_mm / np.sqrt(len(POINTS))
    noisy = registered(noise_mm=2.0)
    assert noisy.error.fle_mm > LIMITS.landmark_error_mm


def test_a_registration_says_which_image_it_is_of_and_where_its_landmarks_lie() -> None:
    image = RegisteredImage("ct", "a" * 64, "p1")
    assert image.other_than("ct", "a" * 64, "") == ""
    assert "another patient" in image.other_than("mr", "b" * 64, "p2")
    assert "of the same patient" in image.other_than("mr", "b" * 64, "p1")
    found = registered()
    assert found.place_of("b") == tuple(POINTS[1]) and found.image is None
    with pytest.raises(InputError, match="landmark 'z'"):
        found.place_of("z")
    with pytest.raises(InputError):
        RegisteredImage("ct", "")
