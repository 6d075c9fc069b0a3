"""Runs, sweeps and both planes at once."""

import numpy as np
import pytest

from navplan.errors import InputError
from navplan.fluoroscopy.carms import carm_named
from navplan.fluoroscopy.collision import planes_apart_mm
from navplan.fluoroscopy.image import Machine
from navplan.fluoroscopy.run import needle_steps, sweep_views
from navplan.fluoroscopy.shot import subject_of, take_biplane, take_run
from navplan.geometry.carm import Beam, CArm, Detector, Kinematics, ViewAngles

DETECTOR = Detector(64, 64, 3.6)
MACHINE = Machine(detector=DETECTOR)


def test_the_needle_goes_in_and_the_anatomy_stays(body, needle):
    subject = subject_of(body, way=needle, patient_position="HFS")
    steps = needle_steps(needle, 5)
    depths = [step.tip_depth_mm for step in steps]
    assert depths[0] == pytest.approx(1.0) and depths[-1] == pytest.approx(needle.tip_depth_mm)
    assert np.allclose(np.diff(depths), depths[1] - depths[0])
    shots = list(take_run(subject, ["lateral"], MACHINE, steps))
    assert len(shots) == 5 and all(shot.image.pulses == 1 for shot in shots)
    seen = [int((shot.image.added > 0).sum()) for shot in shots]
    tips = [shots[0].image.beam.project(step.point_at_mm(step.tip_depth_mm), DETECTOR) for step in steps]
    assert np.linalg.norm(tips[-1] - tips[0]) > 8.0 and min(seen) > 0
    still = [shot.image.attenuation - shot.image.added for shot in shots]
    assert np.allclose(still[0], still[-1])
    assert not (shots[0].pixels == shots[1].pixels).all()  # noise of its own


def test_a_runs_dose_is_the_sum_of_its_pulses(body, needle):
    shots = list(take_run(subject_of(body, way=needle), ["AP"], MACHINE, needle_steps(needle, 4)))
    one = shots[0].image.exposure
    assert all(shot.image.dose.pulses == 1 for shot in shots)
    line = next(words for words in shots[-1].overlay.lines if words.startswith("picture 4 of 4"))
    assert f"4 pulses, {4 * one.reference_kerma_ugy:.3g} uGy" in line


@pytest.mark.parametrize("position", ["HFS", "HFP", "FFP", ""])
def test_a_sweep_turns_both_dials_evenly(body, position):
    machine = Machine(CArm(), DETECTOR)
    subject = subject_of(body, patient_position=position)
    views = sweep_views(subject, "AP", "LAO 40 CRA 20" if position != "HFP" else "LPO 40 CRA 20", 9, machine)
    shown = [machine.carm.dial(view, position) for view in views] if position else views
    for name in ("primary_deg", "secondary_deg"):
        steps = np.diff([getattr(view, name) for view in shown])
        assert np.allclose(steps, steps[0]) and abs(steps[0]) > 0.1
    assert len(views) == 9


def test_a_mobile_arm_sweeps_on_its_own_dials(body):
    machine = Machine(CArm(kinematics=Kinematics.MOBILE), DETECTOR)
    subject = subject_of(body, patient_position="HFS")
    views = sweep_views(subject, "dial orbit -20 tilt 0", "dial orbit 30 tilt 25", 6, machine)
    dials = [machine.carm.dial(view, "HFS") for view in views]
    assert np.allclose([dial.primary_deg for dial in dials], np.linspace(-20, 30, 6), atol=1e-6)
    assert np.allclose([dial.secondary_deg for dial in dials], np.linspace(0, 25, 6), atol=1e-6)


def test_wrong_runs_are_refused_before_the_first_picture(body, needle):
    subject = subject_of(body, way=needle)
    for views, ways in ((["upside down"], ()), ([], ()), (["AP", "lateral"], needle_steps(needle, 2))):
        with pytest.raises(InputError):
            take_run(subject, views, MACHINE, ways)


def test_both_planes_share_the_isocentre_and_tell_when_they_would_meet(body):
    planes = Machine(carm_named("biplane"), DETECTOR), Machine(carm_named("biplane-lateral"), DETECTOR)
    subject = subject_of(body, (0, 0, 0), patient_position="HFS")
    one, other = take_biplane(subject, ("AP", "lateral"), planes)
    assert one.words == "AP" and other.words == "left lateral"
    assert not any("two planes" in words for shot in (one, other) for words in shot.overlay.warnings)
    assert one.reachable and other.reachable
    near = take_biplane(subject, ("AP", "LAO 20"), planes)
    assert all(any("two planes would meet" in words for words in shot.overlay.warnings) for shot in near)


def test_planes_keep_as_far_apart_as_their_balls_are():
    carm = CArm(panel_mm=0.0, tube_mm=100.0)
    beams = [Beam.of(ViewAngles(angle, 0.0), (0, 0, 0), carm) for angle in (0.0, 60.0)]
    apart = 2 * 800.0 * np.sin(np.radians(30.0)) - 200.0
    found = planes_apart_mm(beams[0], carm, beams[1], carm)
    panels = 2 * 400.0 * np.sin(np.radians(30.0)) - 150.0  # their boxes are 150 mm deep, and stand behind
    assert panels <= found <= apart
