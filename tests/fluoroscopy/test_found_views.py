"""Views that are searched for, views of procedures by their data, and the place a real picture was taken from."""

import numpy as np
import pytest

from navplan.errors import ChoiceError, InputError
from navplan.files.xa_read import XaPlace, read_xa
from navplan.fluoroscopy.anatomy import Anatomy
from navplan.fluoroscopy.free_views import free_view, profile_view
from navplan.fluoroscopy.image import Machine
from navplan.fluoroscopy.like import machine_like
from navplan.fluoroscopy.procedure_views import obliques, patient_view, vertebra_view, views_of
from navplan.fluoroscopy.purposes import parse_purpose, program_for, purposes_about
from navplan.fluoroscopy.shot import subject_of, take_shots
from navplan.fluoroscopy.solid import Solid
from navplan.fluoroscopy.vertebra import VertebraFrame
from navplan.fluoroscopy.view_finder import over_points, path_points
from navplan.geometry.carm import CArm, Detector, Kinematics, ViewAngles, angles_of
from navplan.geometry.grid import Grid
from navplan.model.structure import Presence, Structure
from navplan.model.volume import Volume

STRAIGHT = VertebraFrame("L3", np.zeros(3), np.eye(3)[2], -np.eye(3)[1], np.eye(3)[0], 0.0, 1.0)
CHEAP = CArm(primary_reach_deg=(-60.0, 60.0), secondary_reach_deg=(-30.0, 30.0))


def between_deg(a, b):
    return float(np.degrees(np.arccos(np.clip(np.dot(a, b), -1, 1))))


@pytest.fixture(scope="module")
def bars() -> Anatomy:
    """Water with a bone plate behind the middle that has one slot, seen through from 30 degrees to the left."""
    grid = Grid(np.diag([2.0, 2.0, 2.0, 1.0]) + np.array([[0, 0, 0, -80]] * 3 + [[0] * 4]), (81, 81, 81))
    x, y, z = np.moveaxis(grid.points_mm(np.stack(np.indices(grid.shape), -1)), -1, 0)
    hu = np.where((abs(x) < 70) & (abs(y) < 70), 40, -1000).astype(np.int16)
    slot = -40.0 * np.tan(np.radians(30.0))  # where the line through the middle meets the plate
    hu[(abs(y - 40) < 6) & ~((abs(x - slot) < 12) & (abs(z) < 30))] = 1200
    return Anatomy(Volume(hu, grid))


@pytest.mark.parametrize("kinematics", list(Kinematics))
def test_the_free_view_looks_through_the_gap_in_the_bone(bars, kinematics):
    carm = CArm(primary_reach_deg=(-60, 60), secondary_reach_deg=(-30, 30), kinematics=kinematics)
    skin, target = np.array([0.0, 0.0, -12.0]), np.array([0.0, 0.0, 12.0])  # along the body, in front of the plate
    view = free_view(bars, skin, target, "HFS", carm)
    assert between_deg(view.angles.toward_detector, ViewAngles(30.0, 0.0).toward_detector) < 12.0
    points = path_points(skin, target)
    assert view.bone_mm < 0.6 and over_points(bars, ViewAngles(0, 0), points, carm).bone_mm > 4.0
    assert carm.reaches(carm.dial(view.angles, "HFS")) and "of its length" in view.why


def test_a_free_view_never_looks_down_the_needle_and_needs_a_position(bars):
    skin, target = np.array([20.0, -34.6, 0.0]), np.zeros(3)  # the gap is down this needle
    view = free_view(bars, skin, target, "HFS", CHEAP)
    needle = (target - skin) / np.linalg.norm(target - skin)
    assert np.sqrt(1 - (view.angles.toward_detector @ needle) ** 2) >= 0.499
    with pytest.raises(InputError, match="position"):
        free_view(bars, skin, target, "", CHEAP)


def vessel(direction, length_mm=70.0, name="aorta") -> Structure:
    grid = Grid(np.diag([2.0, 2.0, 2.0, 1.0]) + np.array([[0, 0, 0, -50]] * 3 + [[0] * 4]), (51, 51, 51))
    points = grid.points_mm(np.stack(np.indices(grid.shape), -1))
    along = points @ direction
    inside = (np.linalg.norm(points - along[..., None] * direction, axis=-1) < 6) & (abs(along) < length_mm / 2)
    return Structure(name, Presence.PRESENT, (255 * inside).astype(np.uint8), grid, evaluated_in=grid, image_id="ct")


@pytest.mark.parametrize("direction", [(0.0, 0.0, 1.0), (1.0, 0.2, 0.3), (0.3, -1.0, 0.4)])
def test_a_vessel_is_shown_in_its_full_length(bars, direction):
    direction = np.asarray(direction) / np.linalg.norm(direction)
    view = profile_view(bars, Solid(vessel(direction)), "HFS")
    assert abs(90.0 - between_deg(view.angles.toward_detector, direction)) < view.off_deg + 1.5
    assert ("without foreshortening" in view.why) == (view.off_deg < 11.0)
    with pytest.raises(InputError, match="long axis"):
        profile_view(bars, Solid(vessel(direction, 14.0)), "HFS")


def test_every_row_of_the_procedures_views_has_a_source_and_both_sides():
    for row in obliques().values():
        assert row.source and row.why and row.purpose and 0.0 < row.oblique_deg < 90.0 and abs(row.cranial_deg) < 60.0
    assert len(views_of(True)) == 2 + 2 * sum(row.of_vertebra for row in obliques().values())


@pytest.mark.parametrize("name", [*views_of(True)[2:], *views_of(False)])
def test_an_oblique_view_is_turned_and_tilted_as_its_row_says(name):
    kind, _, side = name.rpartition(" ")
    row, sign = obliques()[kind], 1.0 if side == "left" else -1.0
    wide = CArm(primary_reach_deg=(-180.0, 180.0), secondary_reach_deg=(-90.0, 90.0))
    prone = vertebra_view(name, STRAIGHT, "HFP", wide) if row.of_vertebra else patient_view(name, "HFP", wide)
    supine = vertebra_view(name, STRAIGHT, "HFS", wide) if row.of_vertebra else patient_view(name, "HFS", wide)
    d = prone.angles.toward_detector  # the detector at the back
    assert np.degrees(np.arcsin(d[2])) == pytest.approx(row.cranial_deg, abs=1e-6)
    turned = np.degrees(np.arctan2(d[0], d[1]))  # from straight behind to the patient's left
    assert turned == pytest.approx(sign * row.oblique_deg * (1.0 if row.same_side else -1.0), abs=1e-6)
    assert np.allclose(supine.angles.toward_detector, -d)  # the same line from its other end
    assert f"{row.oblique_deg:g} degrees from AP" in prone.why


def test_purposes_are_read_or_refused_with_what_there_is():
    assert parse_purpose("Scottie dog left of vertebrae_L3") == ("Scottie dog left", "vertebrae_L3")
    assert parse_purpose("profile of aorta") == ("profile", "aorta")
    assert parse_purpose("sacroiliac right") == ("sacroiliac right", "")
    assert program_for("AP of vertebrae_L3").name == "spine"
    assert {program_for(words).name for words in ("", "AP", "profile of aorta", "coaxial")} == {"general"}
    for wrong in ("", "of", "Scottie dog left", "sacroiliac", "profile", "oblique of vertebrae_L3"):
        with pytest.raises(InputError, match="coaxial"):
            parse_purpose(wrong)
    for wrong in ("oblique", "sacroiliac left", "pillar"):
        with pytest.raises(ChoiceError):
            vertebra_view(wrong, STRAIGHT)
    with pytest.raises(ChoiceError):
        patient_view("Scottie dog left")


def a_place(**more) -> XaPlace:
    said = {
        "rows": 512, "cols": 512, "patient_position": "", "angles": ViewAngles(-32, 2), "sid_mm": None, "sod_mm": None,
        "pixel_mm": None,
    }  # fmt: skip
    return XaPlace(**{**said, **more})


def test_what_a_file_does_not_say_is_the_machines_and_is_told():
    machine = Machine(CArm(), Detector(256, 256, 1.0))
    view, used = machine_like(a_place(), 0, machine)
    assert view.angles == ViewAngles(-32, 2) and used.carm.sid_mm == 1200.0 and used.detector == Detector(512, 512, 0.5)
    assert "SID, SOD, pixel spacing not in it" in view.reason
    view, used = machine_like(a_place(sid_mm=1000.0, sod_mm=700.0, pixel_mm=0.2, rows=1024, cols=2048), 0, machine)
    assert (used.carm.sid_mm, used.carm.sod_mm) == (1000.0, 700.0) and used.detector == Detector(512, 1024, 0.4)
    assert "not in it" not in view.reason and "turned" not in view.reason
    assert "turned by 22 degrees" in machine_like(a_place(turned_deg=22.0), 0, machine)[0].reason
    for wrong in (a_place(angles=None), a_place(sid_mm=500.0)):
        with pytest.raises(InputError):
            machine_like(wrong, 0, machine)


def test_a_simulated_file_is_taken_again_as_it_was(tmp_path, body):
    from navplan.files.xa_write import save_xa

    subject = subject_of(body, (3.0, 2.0, 1.0), patient_position="HFS")
    machine = Machine(CArm(sid_mm=1100.0, sod_mm=700.0), Detector(64, 80, 3.0))
    shot = take_shots(subject, [ViewAngles(25.0, -10.0)], machine)[0]
    run = read_xa(save_xa([shot], tmp_path / "shot.dcm"))
    view, used = machine_like(run.place(0), 0, Machine())
    again = take_shots(subject, [view], used)[0]
    assert np.allclose(again.attenuation, shot.attenuation, atol=1e-5) and (again.pixels == shot.pixels).mean() > 0.999


def test_what_can_be_asked_for_is_of_the_needle_and_the_nearest_vertebra():
    grid = Grid(np.eye(4), (10, 10, 10))
    structures = {}
    for name, up in (("vertebrae_L1", 60.0), ("vertebrae_L2", 20.0), ("aorta", 0.0)):
        affine = np.eye(4)
        affine[2, 3] = up
        full = np.full(grid.shape, 255, np.uint8)
        structures[name] = Structure(
            name, Presence.PRESENT, full, Grid(affine, grid.shape), evaluated_in=grid, image_id="ct"
        )
    structures["vertebrae_L3"] = Structure("vertebrae_L3", Presence.UNKNOWN, image_id="ct")
    found = purposes_about(np.zeros(3), structures, True)
    assert found[:3] == ("coaxial", "perpendicular", "free") and "Scottie dog left of vertebrae_L2" in found
    assert not any("L1" in words or "L3" in words for words in found)
    assert purposes_about(np.zeros(3), {}, False) == ()


def test_an_angle_pair_has_one_direction():
    assert angles_of(ViewAngles(25.0, -10.0).toward_detector).primary_deg == pytest.approx(25.0)
