"""C-arms by name and by file, and whether they would meet the patient."""

import numpy as np
import pytest

from navplan.errors import ChoiceError, InputError
from navplan.fluoroscopy.anatomy import Anatomy
from navplan.fluoroscopy.carms import carm_named, carms
from navplan.fluoroscopy.collision import room_about
from navplan.fluoroscopy.image import Machine
from navplan.fluoroscopy.shot import subject_of, take_shots
from navplan.geometry.carm import Beam, CArm, Detector, Kinematics, ViewAngles

FILE = """
name = "our arm"
source = "its data sheet"
kinematics = "tilt, then orbit"
sid_mm = 1000
sod_mm = 600.0
primary_reach_deg = [-30, 95]
secondary_reach_deg = [-40.0, 40.0]
"""


def test_those_that_come_with_navplan_say_where_their_numbers_are_from():
    names = {"generic", "angiography", "mobile", "biplane", "biplane-lateral"}
    assert set(carms()) == names and carm_named("generic") == CArm()
    assert all(one.source for one in carms().values()) and carm_named("mobile").kinematics is Kinematics.MOBILE
    with pytest.raises(ChoiceError, match="angiography"):
        carm_named("theirs")


def test_a_users_own_is_read_from_a_file(tmp_path):
    for number, text in enumerate((FILE, "[arm]" + FILE)):
        path = tmp_path / f"arm{number}.toml"
        path.write_text(text)
        arm = carm_named(str(path))
        assert (arm.name, arm.sid_mm, arm.primary_reach_deg) == ("our arm", 1000.0, (-30.0, 95.0))
        assert arm.reaches(ViewAngles(90, 0)) and not arm.reaches(ViewAngles(-60, 0))


@pytest.mark.parametrize(
    "change",
    [
        ('name = "our arm"', ""), ("sid_mm = 1000", 'sid_mm = "wide"'), ("sid_mm = 1000", "sid_mm = nan"),
        ("sid_mm = 1000", "sid_mm = 300"), ("[-30, 95]", "[95, -30]"), ("[-30, 95]", "[-30]"), ("[-30, 95]", "30"),
        ("tilt, then orbit", "about"), ("source", "origin"), ("sid_mm = 1000", "sid_mm = true"), ("[-40.0", "[-91.0"),
        ('name = "our arm"', "name = "), ('"our arm"', '""'),
    ],
)  # fmt: skip
def test_files_that_are_wrong_are_refused_in_words(tmp_path, change):
    path = tmp_path / "arm.toml"
    path.write_text(FILE.replace(*change))
    with pytest.raises(InputError):
        carm_named(str(path))


def test_files_that_are_no_files_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"none\.toml"):
        carm_named(str(tmp_path / "none.toml"))
    large = tmp_path / "large.toml"
    large.write_bytes(b"#" * 200_000)
    with pytest.raises(InputError, match="200000 bytes"):
        carm_named(str(large))
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError):
        carm_named(str(tmp_path / "bytes.toml"))


def test_the_room_about_panel_and_tube_is_that_of_a_box_and_a_ball():
    carm = CArm(panel_mm=400.0, tube_mm=150.0)
    beam = Beam.of(ViewAngles(0, 0), (0, 0, 0), carm)
    assert room_about(np.zeros((0, 3)), beam, carm).panel_mm == np.inf
    middle = room_about(np.zeros((1, 3)), beam, carm)
    assert (middle.panel_mm, middle.tube_mm) == pytest.approx((400.0, 650.0))
    in_front = beam.detector_centre_mm + np.array([[0, 30.0, 0]])  # AP: the panel is in front of the patient, at -y
    assert room_about(in_front, beam, carm).panel_mm == pytest.approx(30.0)
    behind_its_front = beam.detector_centre_mm + np.array([[50.0, -20.0, 0]])
    assert room_about(behind_its_front, beam, carm).panel_mm == pytest.approx(-20.0)
    beside = beam.detector_centre_mm + np.array([[203.0, 4.0, 0]])
    assert room_about(beside, beam, carm).panel_mm == pytest.approx(5.0)
    assert room_about(beam.source_mm[None] + 100.0, beam, carm).tube_mm == pytest.approx(100 * 3**0.5 - 150)

PLATE = Detector(64, 64, 3.0)


def test_a_shot_says_when_the_panel_would_meet_the_patient(body):
    near = CArm(sid_mm=840.0)
    shot = take_shots(subject_of(Anatomy(body), (0, 0, 0)), ("AP",), Machine(near, PLATE))[0]
    assert abs(shot.room.panel_mm - 0.0) < 4.0
    nearer = take_shots(subject_of(body, (0, 0, 0)), ("AP",), Machine(CArm(sid_mm=820.0), PLATE))[0]
    assert nearer.room.panel_mm < -15.0 and any("panel would meet" in words for words in nearer.overlay.warnings)
    far = take_shots(subject_of(body, (0, 0, 0)), ("AP",), Machine(detector=PLATE))[0]
    assert far.room.panel_mm > 300.0 and not any("meet" in words for words in far.overlay.warnings)


def test_a_mobile_arms_shot_names_its_dial(body):
    arm = carm_named("mobile")
    subject = subject_of(body, (0, 0, 0), patient_position="HFS")
    shot = take_shots(subject, ("LAO 40 CRA 20",), Machine(arm, PLATE))[0]
    assert "orbit" in shot.overlay.lines[1] and shot.reachable
    assert shot.dial is not None and shot.dial != shot.angles
