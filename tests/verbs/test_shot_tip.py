"""A tip in two pictures against a planned way: the verdict says no more than registration and marks allow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from navplan.errors import GeometryError, InputError
from navplan.fluoroscopy.known_shot import KnownShot
from navplan.fluoroscopy.posed_shot import PosedShot, radius_95_mm
from navplan.fluoroscopy.shot_registration import ShotRegistration, ViewFit
from navplan.geometry.carm import Beam, CArm, Detector, ViewAngles
from navplan.geometry.transform import Transform
from navplan.model.device import Device
from navplan.model.error_model import ErrorModel
from navplan.model.safety import Verdict
from navplan.model.trajectory import Trajectory
from navplan.verbs.given_shots import GivenShot
from navplan.verbs.shot_tip import FoundTip, found_tip

DETECTOR = Detector(256, 256, 1.2)
STRAYS = ErrorModel("m", "m", 1.0, 0.0, "test", depth_sigma_mm=1.0)
WAY = Trajectory((0.0, -80.0, 0.0), (0.0, 0.0, 0.0), Device("n", "n", 18, 1.3, 150.0), 0.0)


@dataclass(frozen=True)
class Planned:
    """What of a plan counts here: its needle strays by 2.45 mm in 95 of 100."""

    error_model: ErrorModel


def given(primary: float) -> GivenShot:
    ramp = np.linspace(0, 1, 256 * 256, dtype=np.float32).reshape(256, 256)
    beam = Beam.of(ViewAngles(primary, 0), np.zeros(3), CArm())
    shot = KnownShot(ramp, beam, DETECTOR, f"at {primary:g}")
    return GivenShot(Path(f"{primary:g}.dcm"), 0, 1, None, ramp.astype(np.uint8), shot, "", False)


SHOTS = (given(0.0), given(90.0))


def registration(sigma_mm: float = 0.2, good: bool = True, in_plane: bool = True) -> ShotRegistration:
    covariance = np.diag([sigma_mm**2] * 3 + [1e-4] * 3)
    fit = ViewFit("", 0.9, 1.0, 0.3, 0.0, 0.1, 0.0)
    return ShotRegistration(
        Transform(np.eye(4), "carm", "ct"), covariance, np.zeros(3), (fit, fit), sigma_mm, sigma_mm, 2, 0.0, 0.0, 0.0,
        good, in_plane, () if good else ("for a reason",), 0.0, 0.0, 0,
    )  # fmt: skip


def judged(point: tuple[float, float, float], found: ShotRegistration | None = None, up: float = 0.0) -> FoundTip:
    places = [one.shot.beam.project(np.array(point), DETECTOR) for one in SHOTS]
    marks = [(float(row) - up * number, float(column)) for number, (column, row) in enumerate(places)]
    return found_tip(SHOTS, marks, found or registration(), Planned(STRAYS), WAY)


def test_within_for_sure_is_warn_and_never_pass() -> None:
    tip = judged((0.3, -20.0, 0.0))
    assert tip.verdict is Verdict.WARN and "within what the plan allows for; the tip alone" in tip.words[-1]
    assert tip.point_mm == pytest.approx((0.3, -20.0, 0.0), abs=1e-6)
    assert tip.beside_mm == pytest.approx(0.3) and tip.before_mm == pytest.approx(20.0)
    assert tip.beside_95_mm < tip.error_95_mm


def test_far_beside_or_deep_for_sure_is_fail() -> None:
    aside, deep = judged((0.0, -20.0, 9.0)), judged((0.0, 9.0, 0.0))
    assert aside.verdict is Verdict.FAIL and "farther beside" in aside.words[-1]
    assert deep.verdict is Verdict.FAIL and "9.0 mm PAST the target" in deep.words[-2]
    assert "deeper than the way was judged" in deep.words[-1]


def test_what_cannot_be_told_is_not_evaluated() -> None:
    near, deep = judged((0.0, -20.0, 2.4)), judged((0.0, 1.5, 0.0))
    assert near.verdict is Verdict.NOT_EVALUATED and "cannot be told" in near.words[-1]
    assert deep.verdict is Verdict.NOT_EVALUATED and "deeper" in deep.words[-1]
    unsure = judged((0.3, -20.0, 0.0), registration(sigma_mm=1.2))  # the same tip, a worse registration
    assert unsure.verdict is Verdict.NOT_EVALUATED and unsure.error_95_mm > judged((0.3, -20.0, 0.0)).error_95_mm


def test_a_registration_that_is_not_good_tells_no_tip() -> None:
    tip = judged((0.3, -20.0, 0.0), registration(good=False))
    assert tip.verdict is Verdict.NOT_EVALUATED and tip.point_mm is None and tip.gap_mm == pytest.approx(0.0, abs=1e-6)


def test_rays_that_do_not_meet_are_told() -> None:
    tip = judged((0.3, -20.0, 0.0), up=20.0)
    assert tip.verdict is Verdict.NOT_EVALUATED and tip.point_mm is None
    assert "mm from each other" in tip.words[0] and "the needle or the patient moved" in tip.words[0]


def test_marks_are_one_in_each_of_two_pictures() -> None:
    with pytest.raises(InputError, match="1 marks of the tip in 2 pictures"):
        found_tip(SHOTS, [(1.0, 1.0)], registration(), None, None)
    with pytest.raises(GeometryError, match="row 300"):
        found_tip(SHOTS, [(300.0, 1.0), (1.0, 1.0)], registration(), None, None)


def test_95_of_100_lie_within_the_radius() -> None:
    draw = np.random.default_rng(0)
    for covariance in (np.diag([4.0, 1.0, 0.1]), np.eye(3), np.diag([9.0, 1e-9])):
        errors = draw.multivariate_normal(np.zeros(len(covariance)), covariance, 20_000)
        share = (np.linalg.norm(errors, axis=1) < radius_95_mm(covariance)).mean()
        assert share == pytest.approx(0.95, abs=0.006)


def test_the_error_is_drawn_as_wide_as_it_is_cast() -> None:
    posed = PosedShot(SHOTS[0].shot, np.eye(4))
    ellipse, *sides = posed.error_marks(registration(0.5), WAY)
    wide_px = np.ptp(np.array(ellipse.points)[:, 0]) / 2.0
    pixel = DETECTOR.pixel_mm * CArm().sod_mm / CArm().sid_mm
    assert wide_px * pixel == pytest.approx(2.4477 * 0.5, rel=0.03)
    assert len(sides) == 0  # seen end on
    assert len(PosedShot(SHOTS[1].shot, np.eye(4)).error_marks(registration(0.5), WAY)) == 3
    assert posed.error_marks(registration(good=False, in_plane=False), WAY) == ()
