"""Pictures over HTTP: what comes is the image itself, and hostile words get words back."""

from __future__ import annotations

from urllib.parse import quote

import numpy as np
import pytest

from navplan.app.pictures import numbers, point
from navplan.errors import InputError
from navplan.session.document import document
from navplan.view.plane_values import NOTHING, Cut, native_slice, slice_count, slice_through
from tests.app.served import Served, plan_of, way_of
from tests.app.test_packing import unpacked

pytestmark = pytest.mark.xdist_group("served")  # one case for all

HUGE = ("nan", "inf", "-inf", "1e308", "-1e308", "1e309", "1e6", "0x10", "", "a", "1,2", "9" * 400, "١٢" * 400)
HALF_A_LETTER = "\ud800"


def refused(served: Served, path: str) -> str:
    """4xx with words, quickly enough for a person, and nothing of the program's innards in them."""
    files = served.files()
    answer = served.get(path)
    assert 400 <= answer.status < 500, (path, answer.status, answer.body[:300])
    words = answer.words
    assert words and len(words) < 600 and "Traceback" not in words and "File \"" not in words
    assert served.files() == files
    return words


@pytest.mark.parametrize("cut", list(Cut))
@pytest.mark.parametrize("slab", [0.0, 20.0])
def test_a_slice_is_the_slice_of_the_image_with_its_outlines(served: Served, cut: Cut, slab: float) -> None:
    target = plan_of(served.session).target.point_mm
    at = ",".join(f"{value:.3f}" for value in target)
    answer = served.get(f"/api/slice?cut={cut.name.lower()}&at={at}&slab={slab}")
    assert answer.status == 200 and answer.headers["content-type"] == "application/octet-stream"
    header, outlines, values = unpacked(answer.body)
    _, volume = served.session.image()
    number = slice_through(volume.grid, cut, target)
    expected = native_slice(volume, cut, number, slab)
    np.testing.assert_array_equal(values, expected.values)
    assert (header["number"], header["count"]) == (number, slice_count(volume.grid, cut))
    assert header["revision"] == served.session.case.revision and header["title"] == cut.name.lower()
    assert {"liver", "lesion"} <= outlines.keys() and "body" not in outlines
    right, down = np.asarray(header["right"]), np.asarray(header["down"])
    line = outlines["lesion"]
    pixel = np.asarray([line[:, 0].mean(), line[:, 1].mean()])
    middle = (np.asarray([header["width"], header["height"]]) - 1) / 2
    x, y = (pixel - middle) * header["pixel_mm"]
    seen = np.asarray(header["centre_mm"]) + x * right + y * down
    beside = np.abs((seen - target) @ np.stack([right, down]).T)
    assert (beside < 4.0).all()  # the lesion's outline lies about the point that is aimed at


def test_a_point_beyond_the_image_gives_the_slice_at_its_edge(served: Served) -> None:
    first = unpacked(served.get("/api/slice?cut=axial&at=0,0,-99999").body)[0]
    last = unpacked(served.get("/api/slice?cut=axial&at=0,0,99999").body)[0]
    assert {first["number"], last["number"]} == {0, first["count"] - 1}


@pytest.mark.parametrize("bad", (*HUGE, HALF_A_LETTER), ids=ascii)
def test_no_number_of_a_slice_does_harm(served: Served, bad: str) -> None:
    word = quote(bad.encode("utf-8", "surrogatepass"))
    refused(served, f"/api/slice?cut=axial&at={word},0,0")
    refused(served, f"/api/slice?cut=axial&at=0,0,{word}")
    refused(served, f"/api/slice?cut=axial&at=0,0,0&slab={word}")
    refused(served, f"/api/plane?kind=across&depth={word}")
    refused(served, f"/api/plane?kind=along&shape={word}")
    refused(served, f"/api/fluoro?size={word}")


@pytest.mark.parametrize(
    "query",
    ["", "cut=axial", "at=0,0,0", "cut=oblique&at=0,0,0", "cut=AXIAL&at=0,0,0", "cut=axial&at=0,0",
     "cut=axial&at=0,0,0,0", "cut=axial&at=0,0,0&slab=-1", "cut=axial&at=0,0,0&slab=1001", "cut=axial&at=[0,0,0]",
     "cut=&at=", "cut=%00&at=0,0,0",
     "cut=" + "a" * 4000 + "&at=0,0,0", "cut=axial&at=" + "0," * 2000],
)  # fmt: skip
def test_what_is_no_slice_is_refused(served: Served, query: str) -> None:
    refused(served, f"/api/slice?{query}")


@pytest.mark.parametrize("kind", ["along", "square", "across", "strip"])
def test_a_plane_of_the_needle_goes_through_it(served: Served, kind: str) -> None:
    answer = served.get(f"/api/plane?kind={kind}&shape=1.5")
    assert answer.status == 200
    header, outlines, values = unpacked(answer.body)
    way = way_of(served.session).way
    into = np.asarray(header["into"])
    if kind in ("along", "square"):
        for place in (way.entry_mm, way.target_mm):
            assert abs((np.asarray(place) - header["centre_mm"]) @ into) < 1e-3
        assert header["width"] / header["height"] == pytest.approx(1.5, abs=0.01)
    if kind == "across":
        np.testing.assert_allclose(into, way.direction, atol=1e-6)
    assert (kind == "strip") == (not outlines)
    assert (values != NOTHING).mean() > 0.3


def test_the_probes_eye_is_at_the_depth_asked_for(served: Served) -> None:
    way = way_of(served.session).way
    for depth in (0.0, 12.5, way.depth_mm):
        header = unpacked(served.get(f"/api/plane?kind=across&depth={depth}").body)[0]
        np.testing.assert_allclose(header["centre_mm"], way.point_at_mm(depth), atol=1e-6)
    far = unpacked(served.get("/api/plane?kind=across&depth=-5000").body)[2]
    assert (far == NOTHING).all()


@pytest.mark.parametrize("shape", ["0", "-3", "0.0001", "99999", "0.25", "4"])
def test_no_shape_makes_a_picture_too_large(served: Served, shape: str) -> None:
    header = unpacked(served.get(f"/api/plane?kind=along&shape={shape}").body)[0]
    assert max(header["width"], header["height"]) <= 1200 and min(header["width"], header["height"]) == 300


@pytest.mark.parametrize("kind", ["", "up", "ALONG", "../../etc/passwd", "%00", "a" * 4000])
def test_what_is_no_plane_is_refused(served: Served, kind: str) -> None:
    refused(served, f"/api/plane?kind={kind}")


@pytest.mark.parametrize("view", ["AP", "lateral", "bullseye", "LAO 30 CRA 15"])
def test_a_shot_has_pixels_marks_and_letters(served: Served, view: str) -> None:
    answer = served.get(f"/api/fluoro?view={view.replace(' ', '%20')}&size=96")
    assert answer.status == 200
    header, _, pixels = unpacked(answer.body, "u1")
    assert pixels.shape == (96, 96) and np.ptp(pixels) > 50
    assert all(np.isfinite(mark["points"]).all() for mark in header["marks"])
    assert len(header["letters"]) == 4 and header["position"] == "HFS"


def test_a_shot_that_was_looked_at_is_told_to_the_steps(served: Served) -> None:
    served.session.take_way(2)
    step = next(one for one in document(served.session)["steps"] if one["id"] == "fluoroscopy")
    assert step["state"] == "open"
    assert served.get("/api/fluoro?view=AP&size=64").status == 200
    pushed = served.app._server.state.doc["steps"]
    assert next(one for one in pushed if one["id"] == "fluoroscopy")["state"] == "done"
    served.session.undo()


def shot_of(served: Served, query: str) -> dict:
    answer = served.get(f"/api/fluoro?size=96&{query}")
    assert answer.status == 200, answer.body
    return unpacked(answer.body, "u1")[0]


def test_a_shot_is_taken_by_the_machine_that_was_asked_for(served: Served) -> None:
    plain, mobile = (shot_of(served, f"view=LAO+20&carm={name}") for name in ("generic", "mobile"))
    assert "orbit" in mobile["dial"] and "LAO" in plain["dial"]
    small = shot_of(served, "view=AP&field=80&zoom=150")
    assert "detector 150 x 150 mm" in small["lines"][2] and "collimated to 80 x 80 mm" in small["lines"][2]


def test_the_dose_is_summed_up_for_stills_and_not_for_a_moving_arm(served: Served) -> None:
    first = shot_of(served, "view=AP")
    moving = shot_of(served, "view=LAO+10&moving=1")
    after = shot_of(served, "view=AP")
    pulses = [int(header["so_far"].split()[0]) for header in (first, moving, after)]
    assert pulses == [pulses[0], pulses[0], pulses[0] + 4] and after["dose"].startswith("4 pulses")


def test_a_view_is_found_for_a_purpose_and_says_why(served: Served) -> None:
    offered = shot_of(served, "view=AP")["purposes"]
    assert offered[:3] == ["coaxial", "perpendicular", "free"]
    direction = way_of(served.session).way.direction
    for purpose in ("coaxial", "perpendicular", "free"):
        header = shot_of(served, f"find={purpose}")
        a, b = np.radians([header["primary_deg"], header["secondary_deg"]])
        along = abs(np.dot((np.sin(a) * np.cos(b), -np.cos(a) * np.cos(b), np.sin(b)), direction))
        assert along > 0.999 if purpose == "coaxial" else along < 0.9
        assert len(header["lines"][1]) > 20


def test_outlines_are_of_the_target_and_its_neighbours(served: Served) -> None:
    marks = shot_of(served, "view=AP&outlines=1")["marks"]
    names = {mark["name"] for mark in marks if mark["role"] == "outline"}
    shown = way_of(served.session)
    assert shown.plan.target.structure in names and 2 <= len(names) <= 4
    assert all(mark["tint"].startswith("#") for mark in marks if mark["role"] == "outline")
    assert not any(mark["role"] == "outline" for mark in shot_of(served, "view=AP")["marks"])


@pytest.mark.parametrize(
    "query",
    ["carm=none", "carm=../x.toml", "field=-1", "field=5", "field=nan", "zoom=10", "zoom=1000", "zoom=x",
     "find=oblique", "find=AP+of+nothing", "find=%00", "find=" + "a" * 4000],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused(served: Served, query: str) -> None:
    refused(served, f"/api/fluoro?view=AP&size=64&{query}")


@pytest.mark.parametrize(
    "query",
    ["view=sideways", "view=LAO+999", "view=", "view=LAO+nan", "view=LAO+1e308", "view=%00", "view=" + "A" * 4000,
     "view=AP&size=63", "view=AP&size=1025", "view=AP&size=-96", "view=AP&size=96,96", "view=LAO+30+CRA",
     "view=..%2f.."],
)  # fmt: skip
def test_what_is_no_shot_is_refused(served: Served, query: str) -> None:
    refused(served, f"/api/fluoro?{query}")


def test_parts_of_numbers() -> None:
    assert numbers("1,2.5,-3e2", 3) == (1.0, 2.5, -300.0)
    assert point("0,0,0") == (0.0, 0.0, 0.0)
    for bad in ("1,2", "1,2,3,4", "1,2,nan", "", ",,", "1;2;3", "1e6,0,0", "1," * 100_000):
        with pytest.raises(InputError, match="3 finite numbers"):
            numbers(bad, 3)
