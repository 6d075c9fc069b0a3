"""C-arm geometry: DICOM angles, dial angles, and the words of a view."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from navplan.errors import GeometryError, InputError
from navplan.geometry.carm import (
    POSITIONS_WITH_A_DIAL,
    Beam,
    CArm,
    Detector,
    Kinematics,
    ViewAngles,
    bullseye,
    dial_from_patient,
    dial_words,
    dials_of,
    frontal,
    parse_view,
    patient_from_dial,
    toward_of_dials,
    view_words,
    wrap_deg,
)

LEFT, POSTERIOR, HEAD = np.eye(3)
primary = st.floats(-180, 180)
secondary = st.floats(-90, 90)


@pytest.mark.parametrize(
    ("words", "toward_detector", "columns", "up"),
    [
        ("AP", -POSTERIOR, LEFT, HEAD),
        ("PA", POSTERIOR, -LEFT, HEAD),
        ("lateral", LEFT, POSTERIOR, HEAD),
        ("right lateral", -LEFT, -POSTERIOR, HEAD),
        ("CRA 90", HEAD, LEFT, POSTERIOR),
        ("CAU 90", -HEAD, LEFT, -POSTERIOR),
    ],
)
def test_the_main_views_look_along_the_patients_axes(words, toward_detector, columns, up):
    angles = parse_view(words)
    assert np.allclose(angles.toward_detector, toward_detector, atol=1e-12)
    assert np.allclose(angles.columns, columns, atol=1e-12)
    assert np.allclose(angles.up, up, atol=1e-12)


def test_lao_30_cra_15_has_the_detector_at_the_left_front_and_towards_the_head():
    d = parse_view("LAO 30 CRA 15").toward_detector
    a, b = np.radians([30, 15])
    assert np.allclose(d, (np.sin(a) * np.cos(b), -np.cos(a) * np.cos(b), np.sin(b)))
    assert d[0] > 0 > d[1] and d[2] > 0


@given(primary, secondary)
def test_the_image_is_seen_from_the_detector(a, b):
    angles = ViewAngles(a, b)
    frame = np.stack([angles.columns, angles.up, angles.toward_detector])
    assert np.allclose(frame @ frame.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(frame) > 0


@given(primary, secondary, st.tuples(*[st.floats(-500, 500)] * 3))
def test_the_isocentre_is_in_the_middle_at_the_stated_distances(a, b, isocentre):
    carm, detector = CArm(), Detector(200, 301, 0.5)
    beam = Beam.of(ViewAngles(a, b), isocentre, carm)
    assert np.allclose(beam.project(isocentre, detector), (150.0, 99.5), atol=1e-6)
    assert np.isclose(np.linalg.norm(beam.source_mm - isocentre), carm.sod_mm)
    assert np.isclose(np.linalg.norm(beam.source_mm - beam.detector_centre_mm), carm.sid_mm)


@given(primary, secondary, st.floats(0, 63), st.floats(0, 47), st.floats(0.3, 1.0))
def test_projecting_a_point_of_a_ray_gives_the_rays_pixel(a, b, column, row, along):
    detector = Detector(48, 64, 3.0)
    beam = Beam.of(ViewAngles(a, b), (10, -20, 30), CArm())
    point = beam.source_mm + along * (beam.pixels_mm(column, row, detector) - beam.source_mm)
    assert np.allclose(beam.project(point, detector), (column, row), atol=1e-6)


def test_a_point_behind_the_source_has_no_pixel():
    beam = Beam.of(ViewAngles(0, 0), (0, 0, 0), CArm())
    assert np.isnan(beam.project(beam.source_mm + np.array([0, 10, 0]), Detector())).all()


def test_an_object_is_magnified_by_sid_over_sod_at_the_isocentre():
    detector = Detector(512, 512, 0.6)
    ends = Beam.of(ViewAngles(0, 0), (0, 0, 0), CArm()).project([(0, 0, 0), (20, 0, 0)], detector)
    assert np.isclose(ends[1, 0] - ends[0, 0], 20 * 1.5 / 0.6)


def test_patient_left_is_right_of_a_supine_ap_image_and_left_of_a_prone_one():
    for position, sign in (("HFS", 1), ("FFS", 1), ("", 1), ("HFP", -1), ("FFP", -1)):
        beam = Beam.of(parse_view("AP", position), (0, 0, 0), CArm())
        column, row = beam.project((30, 0, 0), Detector()) - 255.5
        assert np.sign(column) == sign and abs(row) < 1e-9
        assert beam.project((0, 0, 30), Detector())[1] < 255.5  # the head is at the top


@pytest.mark.parametrize(
    ("position", "dial"),
    [("HFS", (150, 5)), ("HFP", (-30, 5)), ("FFS", (-150, -5)), ("FFP", (30, -5))],
)
def test_dial_angles_of_30_degrees_left_of_the_back(position, dial):
    assert dial_from_patient(ViewAngles(150, 5), position) == ViewAngles(*dial)


TABLE_FROM_PATIENT = {  # where the patient's axes point on the table of a supine, head-first patient
    "HFS": np.diag([1, 1, 1]), "HFP": np.diag([-1, -1, 1]), "FFS": np.diag([-1, 1, -1]), "FFP": np.diag([1, -1, -1]),
}  # fmt: skip


@given(primary, secondary, st.sampled_from(POSITIONS_WITH_A_DIAL))
def test_dial_angles_put_the_detector_in_the_same_place_in_the_room(a, b, position):
    angles = ViewAngles(a, b)
    dial = dial_from_patient(angles, position)
    assert np.allclose(dial.toward_detector, TABLE_FROM_PATIENT[position] @ angles.toward_detector, atol=1e-9)
    back = patient_from_dial(dial, position)
    assert np.allclose(back.toward_detector, angles.toward_detector, atol=1e-9)


@pytest.mark.parametrize("position", POSITIONS_WITH_A_DIAL)
def test_ap_is_at_dial_zero_in_every_position_and_within_reach(position):
    dial = dial_from_patient(frontal(position), position)
    assert (dial.primary_deg, dial.secondary_deg) == (0.0, 0.0)
    assert CArm().reaches(dial)
    assert not CArm().reaches(dial_from_patient(parse_view("PA", position), position))


def test_a_posterior_approach_on_a_prone_patient_is_within_reach_by_its_dial():
    angles = ViewAngles(150, 0)
    assert CArm().reaches(dial_from_patient(angles, "HFP"))
    assert not CArm().reaches(dial_from_patient(angles, "HFS"))


@pytest.mark.parametrize("position", ["HFDL", "HFDR", "FFDL", "FFDR"])
def test_decubitus_is_refused(position):
    for attempt in (
        lambda: dial_from_patient(ViewAngles(0, 0), position),
        lambda: parse_view("AP", position),
        lambda: view_words(ViewAngles(0, 0), position),
    ):
        with pytest.raises(InputError, match="decubitus"):
            attempt()


def test_an_unstated_position_has_no_dial():
    with pytest.raises(InputError, match="patient position"):
        dial_from_patient(ViewAngles(0, 0), "")
    with pytest.raises(InputError, match="patient position"):
        parse_view("dial RAO 30", "")


@pytest.mark.parametrize(
    ("words", "angles"),
    [
        ("LAO 30 CRA 15", (30, 15)), ("lao30/cra15", (30, 15)), ("RAO 20", (-20, 0)), ("rao 20.5, caud 7", (-20.5, -7)),
        ("LAO 30° / CAU 15°", (30, -15)), ("cra 10 rao 5", (-5, 10)), ("LPO 20", (160, 0)), ("RPO 20", (-160, 0)),
        ("LAO 120", (120, 0)), ("left lateral", (90, 0)), ("Right Lateral", (-90, 0)), ("frontal", (0, 0)),
        ("PA CAU 12", (180, -12)), ("CRA 25", (0, 25)), ("LAO 0", (0, 0)),
    ],
)  # fmt: skip
def test_words_are_read(words, angles):
    assert parse_view(words) == ViewAngles(*angles)


def test_words_of_a_dial_are_read_for_the_patients_position():
    assert parse_view("dial RAO 30", "HFP") == ViewAngles(150, 0)
    assert parse_view("dial RAO 30 CRA 10", "FFS") == ViewAngles(30, -10)
    assert parse_view("dial AP", "HFP") == ViewAngles(180, 0)
    assert dial_words(ViewAngles(-30, 0)) == "RAO 30 / CRA 0"


@pytest.mark.parametrize(
    "words",
    ["", "sideways", "LAO", "30", "LAO 30 RAO 20", "LAO 30 LAO 30", "CRA 95", "LAO 190", "LPO 100", "AP PA", "LAO -30",
     "CRA 10 CAU 10", "LAO 30 CRA", "oblique 30", "lateral CRA 10", "dial", "AP LAO 10", "LAO nan"],
)  # fmt: skip
def test_other_words_are_refused_with_examples(words):
    with pytest.raises(InputError, match="LAO 30 CRA 15"):
        parse_view(words)


@given(primary, secondary, st.sampled_from(["", *POSITIONS_WITH_A_DIAL]))
def test_what_a_view_is_called_is_read_back(a, b, position):
    angles = ViewAngles(a, b)
    back = parse_view(view_words(angles, position), position)
    step = abs((back.primary_deg - angles.primary_deg + 180) % 360 - 180)
    assert step <= 0.0501 and abs(back.secondary_deg - angles.secondary_deg) <= 0.0501


@pytest.mark.parametrize(
    ("angles", "position", "words"),
    [
        ((0, 0), "", "AP"), ((180, 0), "", "PA"), ((180, 0), "HFP", "AP"), ((-180, 0), "HFP", "AP"),
        ((0, 0), "HFP", "PA"),
        ((30, 15), "HFS", "LAO 30 / CRA 15"), ((30, 15), "HFP", "LAO 30 / CRA 15"), ((90, 0), "", "left lateral"),
        ((-90, 0), "", "right lateral"), ((90, 5), "", "LAO 90 / CRA 5"), ((150, 0), "HFP", "LPO 30"),
        ((0, -10), "HFS", "AP / CAU 10"), ((179.99, 0.01), "HFP", "AP"), ((-0.04, 0), "", "AP"),
    ],
)  # fmt: skip
def test_what_a_view_is_called(angles, position, words):
    assert view_words(ViewAngles(*angles), position) == words


directions = st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda n: np.linalg.norm(n) > 0.1)


@given(directions, st.booleans())
def test_in_the_bullseye_view_every_point_of_the_needle_is_one_dot(direction, near):
    needle = np.asarray(direction) / np.linalg.norm(direction)
    angles = bullseye(direction, detector_on_entry_side=near)
    assert np.allclose(angles.toward_detector, -needle if near else needle, atol=1e-9)
    target, detector = np.array([12.0, -40.0, 7.0]), Detector()
    points = target - np.linspace(-20, 120, 8)[:, None] * needle
    pixels = Beam.of(angles, target, CArm()).project(points, detector)
    assert np.allclose(pixels, (255.5, 255.5), atol=1e-6)


def test_bullseye_puts_the_detector_where_the_machine_reaches():
    down_from_the_front, up_from_the_back = (0, 1, 0), (0, -1, 0)
    assert parse_view("bullseye", "HFS", down_from_the_front) == ViewAngles(0, 0)
    assert parse_view("bull's-eye", "HFP", up_from_the_back) == ViewAngles(180, 0)
    assert parse_view("bullseye", "HFS", up_from_the_back) == ViewAngles(0, 0)  # else beneath the table: not reached
    assert parse_view("bulls eye", "", up_from_the_back) == ViewAngles(180, 0)


def test_bullseye_needs_a_needle():
    with pytest.raises(InputError, match="plan"):
        parse_view("bullseye")
    with pytest.raises(GeometryError):
        bullseye((0, 0, 0))


@pytest.mark.parametrize("angles", [(np.nan, 0), (0, np.inf), (0, 91)])
def test_angles_that_make_no_sense_are_refused(angles):
    with pytest.raises(GeometryError):
        ViewAngles(*angles)


def test_machines_that_make_no_sense_are_refused():
    for attempt in (
        lambda: CArm(sid_mm=800, sod_mm=800),
        lambda: CArm(sod_mm=np.nan),
        lambda: Detector(0, 512),
        lambda: Detector(pixel_mm=-1),
        lambda: Beam((0, 0, 0), (0, 0, 0), (1, 0, 0), (0, 1, 0)),
        lambda: Beam((0, 0, -1000), (0, 0, 0), (1, 0, 0), (0.5, 1, 0)),
        lambda: Beam((0, 0, np.nan), (0, 0, 0), (1, 0, 0), (0, 1, 0)),
    ):
        with pytest.raises(GeometryError):
            attempt()


def test_a_mobile_arms_dial_of_45_and_30_is_dicoms_49_and_20():
    """FLUORO.md's example: the arm tilts about a fixed axis and orbits inside."""
    angles = patient_from_dial(ViewAngles(45, 30), "HFS", Kinematics.MOBILE)
    assert (angles.primary_deg, angles.secondary_deg) == pytest.approx((49.1, 20.7), abs=0.05)
    assert dial_words(ViewAngles(45, 30), Kinematics.MOBILE) == "orbit 45 / tilt 30"


@given(primary, secondary, st.sampled_from(POSITIONS_WITH_A_DIAL))
def test_a_mobile_arms_dial_puts_the_detector_in_the_same_place(a, b, position):
    angles = ViewAngles(a, b)
    dial = dial_from_patient(angles, position, Kinematics.MOBILE)
    assert abs(dial.secondary_deg) <= 90.0
    back = patient_from_dial(dial, position, Kinematics.MOBILE)
    assert np.allclose(back.toward_detector, angles.toward_detector, atol=1e-9)
    carm = CArm(kinematics=Kinematics.MOBILE)
    toward = toward_of_dials(dial.primary_deg, dial.secondary_deg, position, carm)
    assert np.allclose(toward, angles.toward_detector, atol=1e-9)


@given(primary, st.floats(-89.9, 89.9), st.sampled_from(POSITIONS_WITH_A_DIAL), st.sampled_from(list(Kinematics)))
def test_the_dials_of_many_directions_are_those_of_each(a, b, position, kinematics):
    carm = CArm(kinematics=kinematics)
    dial = carm.dial(ViewAngles(a, b), position)
    first, second = dials_of([ViewAngles(a, b).toward_detector] * 2, position, carm)
    assert -180.0 <= first[1] <= 180.0
    assert np.allclose([wrap_deg(first[1] - dial.primary_deg), second[1] - dial.secondary_deg], 0.0, atol=1e-5)
    if abs(dial.primary_deg) < 179.999:
        assert first[1] == pytest.approx(dial.primary_deg, abs=1e-5)


@given(primary, st.floats(-89, 89), st.sampled_from(POSITIONS_WITH_A_DIAL), st.sampled_from(list(Kinematics)))
def test_a_beam_looks_along_its_angles_whatever_the_arm(a, b, position, kinematics):
    beam = Beam.of(ViewAngles(a, b), (1, 2, 3), CArm(kinematics=kinematics), position)
    into = np.cross(beam.columns, beam.up)
    assert np.allclose(into, ViewAngles(a, b).toward_detector, atol=1e-9)


@pytest.mark.parametrize("position", POSITIONS_WITH_A_DIAL)
def test_straight_above_both_kinds_of_arm_show_the_same_picture_with_the_head_up(position):
    above = frontal(position)
    one, two = (Beam.of(above, (0, 0, 0), CArm(kinematics=kind), position) for kind in Kinematics)
    assert np.allclose(one.columns, two.columns) and np.allclose(one.up, two.up) and two.up[2] == pytest.approx(1.0)


def test_a_mobile_arms_picture_turns_with_it():
    carm = CArm(kinematics=Kinematics.MOBILE)
    angles = patient_from_dial(ViewAngles(45, 30), "HFS", Kinematics.MOBILE)
    turned, straight = Beam.of(angles, (0, 0, 0), carm, "HFS"), Beam.of(angles, (0, 0, 0), CArm(), "HFS")
    roll = np.degrees(np.arccos(turned.up @ straight.up))
    assert 15.0 < roll < 30.0 and np.allclose(turned.source_mm * CArm().sod_mm / carm.sod_mm, straight.source_mm)


def test_words_of_a_mobile_arms_dial_are_read_back():
    carm = CArm(kinematics=Kinematics.MOBILE)
    angles = parse_view("dial orbit 45 tilt 30", "HFP", carm=carm)
    assert dial_from_patient(angles, "HFP", Kinematics.MOBILE) == ViewAngles(45, 30) or np.allclose(
        dial_from_patient(angles, "HFP", Kinematics.MOBILE).toward_detector, ViewAngles(45, 30).toward_detector
    )
    for words in ("dial RAO 30", "dial orbit 30 tilt 95", "dial orbit"):
        with pytest.raises(InputError, match="orbit"):
            parse_view(words, "HFS", carm=carm)


@pytest.mark.parametrize(
    "wrong",
    [
        {"primary_reach_deg": (20.0, -20.0)},
        {"secondary_reach_deg": (-100.0, 10.0)},
        {"panel_mm": -1.0},
        {"tube_mm": np.nan},
    ],
)
def test_a_c_arm_that_cannot_be_is_refused(wrong):
    with pytest.raises(GeometryError):
        CArm(**wrong)
