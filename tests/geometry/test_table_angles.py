"""Angles at the table: cases that can be drawn on paper, and what holds for every needle."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from navplan.errors import GeometryError, InputError
from navplan.geometry.conventions import DOWN_BY_PATIENT_POSITION
from navplan.geometry.table_angles import direction_words, side_of_patient, table_angles, table_frame

TARGET = np.array([10.0, -20.0, 30.0])
LEFT, RIGHT = np.array([1.0, 0, 0]), np.array([-1.0, 0, 0])
FRONT, BACK = np.array([0, -1.0, 0]), np.array([0, 1.0, 0])
HEAD, FEET = np.array([0, 0, 1.0]), np.array([0, 0, -1.0])


def leaning(up: np.ndarray, towards: np.ndarray, degrees: float, tilt_deg: float = 0.0) -> np.ndarray:
    """An entry 80 mm from the target: turned from `up` towards a side, then tilted to the head."""
    in_plane = np.cos(np.radians(degrees)) * up + np.sin(np.radians(degrees)) * towards
    return TARGET + 80 * (np.cos(np.radians(tilt_deg)) * in_plane + np.sin(np.radians(tilt_deg)) * HEAD)


@pytest.mark.parametrize(
    ("position", "up", "towards", "side", "sign"),
    [
        ("HFS", FRONT, LEFT, "left", 1), ("HFS", FRONT, RIGHT, "right", -1),
        ("FFS", FRONT, LEFT, "left", 1), ("FFS", FRONT, RIGHT, "right", -1),
        ("HFP", BACK, LEFT, "left", -1), ("HFP", BACK, RIGHT, "right", 1),
        ("FFP", BACK, LEFT, "left", -1), ("FFP", BACK, RIGHT, "right", 1),
        ("HFDL", RIGHT, FRONT, "front", 1), ("HFDL", RIGHT, BACK, "back", -1),
        ("HFDR", LEFT, FRONT, "front", -1), ("HFDR", LEFT, BACK, "back", 1),
        ("FFDR", LEFT, BACK, "back", 1), ("FFDL", RIGHT, FRONT, "front", 1),
    ],
)  # fmt: skip
@pytest.mark.parametrize("degrees", [5.0, 38.0, 90.0, 98.0])
@pytest.mark.parametrize("tilt", [-25.0, 0.0, 12.0])
def test_needle_set_at_the_table(position, up, towards, side, sign, degrees, tilt):
    found = table_angles(leaning(up, towards, degrees, tilt), TARGET, position)
    assert found.hub_side == side
    assert found.from_vertical_deg == pytest.approx(degrees, abs=1e-9)
    assert np.sign(found.in_plane_deg) == sign  # the drawing leans to this side of an observer at the feet
    assert found.tilt_deg == pytest.approx(tilt, abs=1e-9)
    assert found.tilt_side == {-25.0: "feet", 0.0: "", 12.0: "head"}[tilt]
    assert f"patient's {side}, {degrees:.0f}° from vertical" in found.in_plane_words
    assert ("BELOW" in found.in_plane_words) == (degrees > 90)


@pytest.mark.parametrize("position", DOWN_BY_PATIENT_POSITION)
def test_straight_down_is_zero_in_every_position(position):
    up = -np.asarray(DOWN_BY_PATIENT_POSITION[position], dtype=float)
    found = table_angles(TARGET + 50 * up, TARGET, position)
    assert found.from_vertical_deg == pytest.approx(0, abs=1e-9)
    assert found.in_plane_words == "vertical, hub straight up"
    assert found.tilt_words == "no tilt: the whole needle in the scan plane"


def test_prone_keeps_left_and_right():
    """The needle of a left posterior approach leans to the patient's left, who lies on the observer's left."""
    entry = leaning(BACK, LEFT, 30)
    assert table_angles(entry, TARGET, "HFP").hub_side == "left"
    assert table_frame("HFP").left_side == "left"
    assert table_frame("HFS").right_side == "left"


def test_observer_at_the_feet():
    """right, up and towards the observer make a right-handed frame: so an axial picture is seen from the feet."""
    for position in DOWN_BY_PATIENT_POSITION:
        frame = table_frame(position)
        assert np.cross(frame.right, frame.up) == pytest.approx(FEET)


def test_along_the_body_there_is_no_in_plane_angle():
    found = table_angles(TARGET + 70 * HEAD, TARGET, "HFS")
    assert not found.in_plane_known and found.tilt_deg == pytest.approx(90)
    assert "no in-plane angle" in found.in_plane_words


@given(st.floats(-179, 179), st.floats(-80, 80), st.sampled_from(sorted(DOWN_BY_PATIENT_POSITION)), st.floats(20, 300))
def test_the_angles_give_the_needle_back(in_plane, tilt, position, depth):
    frame = table_frame(position)
    plane = np.cos(np.radians(in_plane)) * frame.up + np.sin(np.radians(in_plane)) * frame.right
    outward = np.cos(np.radians(tilt)) * plane + np.sin(np.radians(tilt)) * HEAD
    found = table_angles(TARGET + depth * outward, TARGET, position)
    assert found.in_plane_deg == pytest.approx(in_plane, abs=1e-6)
    assert found.tilt_deg == pytest.approx(tilt, abs=1e-6)


def test_words_of_directions():
    assert direction_words([0, 0, 5]) == "towards the head"
    assert direction_words([-4, 0, -3]) == "towards right and feet"
    assert direction_words([3, -4, 5]) == "towards head, front and left"
    assert direction_words([1, 9, 1]) == "towards the back"
    assert direction_words([0, 0, 0]) == ""
    assert side_of_patient([0, -1, 0.5]) == "front"


def test_refusals():
    with pytest.raises(GeometryError):
        table_angles(TARGET, TARGET, "HFS")
    with pytest.raises(InputError, match="patient position"):
        table_angles(TARGET + 1, TARGET, "sitting")
