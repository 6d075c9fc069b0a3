"""Slices and shots as bytes: what is unpacked, as a page does it, is what was packed."""

from __future__ import annotations

import json
import struct
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from navplan.app.packing import packed, packed_shot
from navplan.view.plane_values import NOTHING, PlaneValues
from navplan.view.slices import SlicePlane, axial_plane, sagittal_plane


def unpacked(data: bytes, pixel: str = "<i2") -> tuple[dict[str, Any], dict[str, NDArray[np.float32]], NDArray[Any]]:
    """As api.js does: header, outlines, what follows. A browser's typed arrays begin at a multiple of their size."""
    (length,) = struct.unpack_from("<I", data)
    header = json.loads(data[4 : 4 + length].decode(), parse_constant=lambda name: pytest.fail(name))
    at, outlines = 4 + length, {}
    for name, count in header.get("outlines", []):
        assert at % 4 == 0
        outlines[name] = np.frombuffer(data, "<f4", 4 * count, at).reshape(count, 4)
        at += 16 * count
    assert at % np.dtype(pixel).itemsize == 0
    values = np.frombuffer(data, pixel, offset=at)
    assert len(values) == header["width"] * header["height"], "nothing is left over"
    return header, outlines, values.reshape(header["height"], header["width"])


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
pieces = st.integers(0, 5).flatmap(lambda n: arrays(np.float32, (n, 4), elements=st.floats(-1e6, 1e6, width=32)))


@given(
    arrays(np.int16, st.tuples(st.integers(1, 9), st.integers(1, 9))),
    st.dictionaries(names, pieces, max_size=4),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=9),
)
@settings(max_examples=60)
def test_what_is_packed_is_unpacked(
    values: NDArray[np.int16], outlines: dict[str, NDArray[np.float32]], more: str
) -> None:
    plane = SlicePlane((1.0, 2.0, 3.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), "axial")
    found = PlaneValues(values, plane, (0.5, 0.75), 2.5, 3, 9, -2.5)
    header, lines, pixels = unpacked(packed(found, outlines, more=more))
    np.testing.assert_array_equal(pixels, values)
    assert lines.keys() == outlines.keys() and header["more"] == more
    for name, line in lines.items():
        np.testing.assert_array_equal(line, outlines[name])
    assert (header["pixel_mm"], header["thick_mm"], header["step_mm"]) == ([0.5, 0.75], 2.5, -2.5)
    assert (header["number"], header["count"], header["nothing"]) == (3, 9, NOTHING)
    assert (header["centre_mm"], header["right"], header["down"]) == ([1, 2, 3], [1, 0, 0], [0, 1, 0])


def test_arrays_of_any_layout_are_packed_row_by_row() -> None:
    whole = np.arange(24, dtype=np.int16).reshape(4, 6)
    for values in (whole[:, ::-1], whole.T, whole[::2, 1::2], np.asfortranarray(whole), whole.astype(">i2")):
        found = PlaneValues(values, axial_plane((0, 0, 0)), (1.0, 1.0), 1.0)
        np.testing.assert_array_equal(unpacked(packed(found, {}))[2], values)


def test_letters_stand_at_left_right_top_and_bottom() -> None:
    square = np.zeros((2, 2), np.int16)
    axial = unpacked(packed(PlaneValues(square, axial_plane((0, 0, 0)), (1.0, 1.0), 1.0), {}))[0]
    assert axial["letters"] == ["R", "L", "A", "P"] and axial["into"] == [0, 0, 1]
    sagittal = unpacked(packed(PlaneValues(square, sagittal_plane((0, 0, 0)), (1.0, 1.0), 1.0), {}))[0]
    assert sagittal["letters"] == ["A", "P", "S", "I"]


def test_what_is_not_finite_is_refused_and_not_sent() -> None:
    plane = SlicePlane((float("nan"), 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    with pytest.raises(ValueError, match="JSON"):
        packed(PlaneValues(np.zeros((2, 2), np.int16), plane, (1.0, 1.0), 1.0), {})


def test_a_shot_is_packed_by_the_same_pattern() -> None:
    from navplan.fluoroscopy.exposure import Dose
    from navplan.fluoroscopy.overlay import Mark, Overlay, Place, Role

    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    marks = Mark(Role.TIP, ((1.0, 2.0),)), Mark(Role.OUTLINE, ((0.0, 2.0),), "aorta")
    sides = {Place.LEFT: "R", Place.RIGHT: "L", Place.TOP: "H", Place.BOTTOM: "F"}
    overlay = Overlay(marks, sides, "10 mm", ("a",), ("w",), ("L", Place.RIGHT))
    image = SimpleNamespace(detector=SimpleNamespace(rows=3, cols=4), dose=Dose(2.0, 30.0, 4))
    shot: Any = SimpleNamespace(
        overlay=overlay, image=image, dial=None, words="AP",
        angles=SimpleNamespace(primary_deg=0.0, secondary_deg=10.0), reachable=True, patient_position="HFS",
        pixels=pixels,
    )  # fmt: skip
    header, _, found = unpacked(packed_shot(shot, so_far="x"), "u1")
    np.testing.assert_array_equal(found, pixels)
    assert header["letters"] == ["R", "L", "H", "F"] and header["marker"] == ["L", "right"]
    assert header["marks"][0] == {"role": "tip", "points": [[1.0, 2.0]], "name": "", "tint": ""}
    assert header["marks"][1]["name"] == "aorta" and header["marks"][1]["tint"].startswith("#")
    assert header["dose"].startswith("4 pulses") and header["so_far"] == "x"
    assert (header["primary_deg"], header["secondary_deg"], header["dial"]) == (0.0, 10.0, "")
