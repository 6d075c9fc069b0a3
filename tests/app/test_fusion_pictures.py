"""A second image as the page asks for it: at the slice's pixels, by itself, at the cursor; structures carried over."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

import navplan as nv
from navplan.app.scene_views import SceneViews
from navplan.errors import Cancelled
from navplan.geometry.grid import Grid
from navplan.geometry.transform import Transform
from navplan.model.displacement import DisplacementField
from navplan.model.registration import ErrorGrid, ImageRegistration
from navplan.model.structure import Presence
from navplan.session.document import document
from navplan.session.fusion import carry_structures
from navplan.session.session import Session
from navplan.view.plane_values import NOTHING, Cut, native_slice, sampled_steps, slice_through
from tests.app.served import Served
from tests.session.saved_case import copy_of
from tests.verbs.test_carry import a_case, linear


def values_of(body: bytes) -> tuple[dict, np.ndarray, np.ndarray]:
    """As api.js does: header, the first image's values, the second's."""
    length = int(np.frombuffer(body, "<u4", 1)[0])
    header = json.loads(body[4 : 4 + length])
    at = 4 + length + 16 * sum(count for _, count in header["outlines"])
    shape, count = (header["height"], header["width"]), header["height"] * header["width"]
    values = np.frombuffer(body, "<i2", offset=at)
    assert len(values) == count * (2 if header["over"] else 1), "nothing is left over"
    return header, values[:count].reshape(shape), values[count:].reshape(shape if header["over"] else (0, 0))


@pytest.fixture
def served(tmp_path, monkeypatch) -> Iterator[Served]:
    """A CT that is looked at; a PET of SUV 2 + 0.01 x, x of the CT, registered with an error that is known in part; an
    image that nothing ties to them."""
    case = a_case(linear())
    mr, map_ = case.volumes["mr"], linear()
    x = map_.apply(mr.grid.points_mm(np.moveaxis(np.indices(mr.grid.shape), 0, -1)))[..., 0]
    pet = replace(mr, voxels=(2.0 + 0.01 * x).astype(np.float32), modality="PT", quantity="SUV")
    alone = replace(mr, grid=Grid(mr.grid.affine, mr.grid.shape, "9.9"))
    errors = np.full((9, 9, 9), 1.5, dtype=np.float32)
    errors[:, :, 7:] = np.nan
    found = case.registration("ct", "mr")
    found = replace(found, errors=ErrorGrid(errors, found.errors.grid), moving_digest=pet.digest)
    case = replace(case, volumes={**case.volumes, "mr": pet, "alone": alone}).with_registration(found)
    nv.save_case(case, tmp_path / "case")
    monkeypatch.setattr(SceneViews, "start", lambda self: None)
    running = Served(Session(tmp_path / "case"))
    running.session.choose(image_id="ct")
    yield running
    running.close()


@pytest.fixture(scope="module")
def planned(tmp_path_factory) -> Iterator[Served]:
    """The planned phantom, and its own voxels as a second image, registered 8 mm further to the left."""
    case = nv.open_case(copy_of("planned", tmp_path_factory.mktemp("planned") / "case"))
    name, volume = next(iter(case.volumes.items()))
    shift = np.eye(4)
    shift[0, 3] = 8.0
    errors = ErrorGrid(np.ones((2, 2, 2), dtype=np.float32), Grid(np.eye(4), (2, 2, 2)))
    found = ImageRegistration(
        name, "again", "given", Transform(shift, name, "again"), errors, (), volume.digest, volume.digest, "by hand", ""
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("twice") / "case"
    nv.save_case(case.with_volume("again", volume).with_registration(found), folder)
    with pytest.MonkeyPatch.context() as quiet:
        quiet.setattr(SceneViews, "start", lambda self: None)
        running = Served(Session(folder))
        running.session.take_way(0, next(iter(case.plans)))
        yield running
        running.close()


def test_the_second_images_values_go_beside_the_slices(served: Served) -> None:
    header, first, second = values_of(served.get("/api/slice?cut=axial&at=5,8,-20&over=mr").body)
    assert header["over"] == {"image": "mr", "step": 0.0001, "quantity": "SUV", "tie": "good"}
    volume = served.session.image()[1]
    seen = native_slice(volume, Cut.AXIAL, slice_through(volume.grid, Cut.AXIAL, (5, 8, -20)))
    np.testing.assert_array_equal(first, seen.values)
    suv = second * header["over"]["step"]
    middle = np.abs(seen.points_mm() - [5, 8, -20]).max(axis=-1) < 60
    np.testing.assert_allclose(suv[middle], (2.0 + 0.01 * seen.points_mm()[..., 0])[middle], atol=0.001)
    assert values_of(served.get("/api/slice?cut=axial&at=5,8,-20").body)[0]["over"] is None
    served.session.choose(image_id="mr")  # the other way round; the CT ends within the PET
    middle = ",".join(f"{value:.3f}" for value in linear().inverse().apply([0.0, 0.0, 0.0]))
    header, first, second = values_of(served.get(f"/api/slice?cut=axial&at={middle}&over=ct").body)
    points = native_slice(served.session.image()[1], Cut.AXIAL, header["number"]).points_mm()
    shown = served.session.case.volumes["ct"].grid.contains(linear().apply(points))
    assert 0.3 < shown.mean() < 0.95 and header["over"]["step"] == 1.0
    np.testing.assert_array_equal(second != NOTHING, shown)


def test_a_map_that_folds_is_taken_backwards_where_it_can_be(served: Served) -> None:
    """Forwards it is followed; backwards a point of the fold has no second image, and one beside it has."""
    session = served.session
    found = session.case.registration("ct", "mr")
    folds = np.zeros((9, 9, 9, 3), dtype=np.float32)
    folds[4:, :, :, 0] = -60.0
    where = found.errors.grid
    folded = replace(found, kind="deformable", field=DisplacementField(folds, where))
    session.take_case(session.case.with_registration(folded), "register")
    assert values_of(served.get("/api/slice?cut=axial&at=5,8,-20&over=mr").body)[0]["over"] is not None
    session.choose(image_id="mr")
    header, _, second = values_of(served.get("/api/slice?cut=axial&at=5,8,-20&over=ct").body)
    points = native_slice(session.image()[1], Cut.AXIAL, header["number"]).points_mm()
    there = folded.to_fixed_where(points)
    lost = np.isnan(there).any(axis=-1)
    assert 0.01 < lost.mean() < 0.9 and (second[lost] == NOTHING).all()
    shown = session.case.volumes["ct"].grid.contains(there)
    assert shown.any() and (second[shown] != NOTHING).all()
    np.testing.assert_allclose(folded.to_moving(there[~lost]), points[~lost], atol=2e-3)
    at = ",".join(f"{value:.3f}" for value in points[lost][0])
    for what in ("at", "slice", "back"):
        session.choose(image_id="ct" if what == "back" else "mr")
        over = "mr" if what == "back" else "ct"
        answer = served.get(f"/api/fusion/{what}?over={over}&cut=axial&at={at}")
        assert answer.status == 400 and "backwards" in answer.body.decode(), what


@pytest.mark.parametrize("kind", ["along", "square", "across"])
def test_it_goes_beside_the_planes_of_the_needle_too(planned: Served, kind: str) -> None:
    """The same voxels as a second image, that lies 8 mm to the left by its registration."""
    _, first, second = values_of(planned.get(f"/api/plane?kind={kind}&shape=1.5&over=again").body)
    assert second.shape == first.shape and (second != first).mean() > 0.2
    header, alone, _ = values_of(planned.get(f"/api/plane?kind={kind}&shape=1.5").body)
    np.testing.assert_array_equal(first, alone)
    volume = planned.session.case.volumes["again"]
    x = (np.arange(header["width"]) - (header["width"] - 1) / 2) * header["pixel_mm"][0]
    y = (np.arange(header["height"]) - (header["height"] - 1) / 2) * header["pixel_mm"][1]
    right, down = np.asarray(header["right"]), np.asarray(header["down"])
    points = np.asarray(header["centre_mm"]) + x[None, :, None] * right + y[:, None, None] * down
    np.testing.assert_array_equal(second, sampled_steps(volume, points - [8.0, 0.0, 0.0]))


def test_what_is_known_at_the_cursor(served: Served) -> None:
    told = served.get("/api/fusion/at?over=mr&at=30,8,-20").json
    assert told["value"] == pytest.approx(2.3, abs=1e-3) and told["error_mm"] == 1.5
    np.testing.assert_allclose(told["at_mm"], linear().inverse().apply([30.0, 8.0, -20.0]), atol=1e-3)
    unknown = served.get("/api/fusion/at?over=mr&at=30,8,80").json
    assert unknown["error_mm"] is None and unknown["value"] is not None
    assert served.get("/api/fusion/at?over=mr&at=500,8,-20").json["value"] is None


def test_a_linked_slice_is_the_second_images_own(served: Served) -> None:
    at = np.array([12.0, 8.0, -20.0])
    header, values, _ = values_of(served.get("/api/fusion/slice?over=mr&cut=coronal&at=12,8,-20").body)
    pet = served.session.case.volumes["mr"]
    there = linear().inverse().apply(at)
    np.testing.assert_allclose(header["cursor_mm"], there)
    np.testing.assert_array_equal(
        values, native_slice(pet, Cut.CORONAL, slice_through(pet.grid, Cut.CORONAL, there)).values
    )
    words = ",".join(f"{value:.6f}" for value in there)
    np.testing.assert_allclose(served.get(f"/api/fusion/back?over=mr&at={words}").json["at_mm"], at, atol=1e-4)


@pytest.mark.parametrize(
    "path",
    ["/api/slice?cut=axial&at=0,0,0&over=alone", "/api/slice?cut=axial&at=0,0,0&over=ct",
     "/api/slice?cut=axial&at=0,0,0&over=..%2F", "/api/fusion/at?over=alone&at=0,0,0", "/api/fusion/at?over=&at=0,0,0",
     "/api/fusion/at?over=mr&at=0,0,nan", "/api/fusion/slice?over=mr&cut=up&at=0,0,0", "/api/fusion/back?over=mr",
     "/api/fusion/slice?over=" + "a" * 4000 + "&cut=axial&at=0,0,0"],
)  # fmt: skip
def test_what_is_no_second_image_is_refused(served: Served, path: str) -> None:
    answer = served.get(path)
    assert answer.status == 400 and 0 < len(answer.words) < 600


def test_structures_are_carried_and_the_step_says_what_ties_the_images(served: Served) -> None:
    told = document(served.session)
    step = next(one for one in told["steps"] if one["id"] == "fusion")
    assert step["state"] == "done" and [one["key"] for one in step["told"]] == ["several_images", "tied", "not_tied"]
    fusion = told["fusion"]
    assert [(one["id"], bool(one["refusal"])) for one in fusion["others"]] == [("mr", False), ("alone", True)]
    assert fusion["others"][0]["words"] == "good registration" and fusion["others"][0]["symbol"] == "✓"
    assert fusion["registrations"][0]["error_mm"] == [1.5, 1.5]
    assert fusion["registrations"][0]["structures"] == [{"name": "liver", "spoken": "liver", "state": ""}]
    answer = served.act("carry", moving="mr", fixed="ct")
    assert answer.status == 200 and answer.json["carried"] == ["liver"]
    told_of = answer.json["told"][0]  # part of it lies where the error is not known
    assert told_of["name"] == "liver" and not told_of["absent"] and told_of["error_mm"] == 1.5
    assert told_of["doubt"] == served.session.case.structures_of("ct")["liver"].carried_doubt
    again = document(served.session)["fusion"]["registrations"][0]["structures"]
    assert [one["state"] for one in again] == ["carried"]
    liver = served.session.case.structures_of("ct")["liver"]
    assert liver.presence is Presence.PRESENT and liver.carried_from == "mr"
    assert served.act("carry", moving="alone", fixed="ct").status == 400


def test_a_doubt_is_to_be_looked_at(served: Served) -> None:
    session = served.session
    found = session.case.registration("ct", "mr")
    session.take_case(session.case.with_registration(replace(found, checks=())), "register")
    step = next(one for one in document(session)["steps"] if one["id"] == "fusion")
    assert step["state"] == "attention"
    assert step["told"][1]["values"]["words"] == "not good enough: nothing of it was checked"


def test_only_what_is_chosen_is_carried(served: Served) -> None:
    session = served.session
    kidney = replace(session.case.structures_of("mr")["liver"], name="kidney_left")
    own = replace(kidney, name="spleen")
    here = session.case.volumes["ct"].grid.crop((0, 0, 0), own.grid.shape)
    there = replace(own, image_id="ct", grid=here, evaluated_in=here)
    session.take_case(session.case.with_structures(kidney, own, there), "edit")
    listed = document(session)["fusion"]["registrations"][0]["structures"]
    assert {one["name"]: one["state"] for one in listed} == {"kidney_left": "", "liver": "", "spleen": "own"}
    answer = served.act("carry", moving="mr", fixed="ct", structures=["kidney_left", "spleen"])
    assert [one["name"] for one in answer.json["told"]] == ["kidney_left"] and answer.json["left"] == ["spleen"]
    found = session.case.structures_of("ct")
    assert "liver" not in found and found["kidney_left"].carried_from == "mr" and found["spleen"].carried_from == ""


def kept_in(folder) -> dict[str, bytes]:
    """What a case's folder holds, but for what a session keeps for itself."""
    held = (path for path in folder.rglob("*") if path.is_file() and path.name != "session.json")
    return {str(path.relative_to(folder)): path.read_bytes() for path in held}


@pytest.mark.parametrize("last", [False, True], ids=["while it searches", "after its last word"])
def test_a_registration_that_is_cancelled_leaves_the_case_as_it_was(
    served: Served, monkeypatch: pytest.MonkeyPatch, last: bool
) -> None:
    from navplan.session import fusion

    case, begun, told = served.session.case, threading.Event(), []
    before = kept_in(served.session.folder)

    def register(case, fixed, moving, *, kind, structure, progress):
        progress("searching", 0.25)
        begun.set()
        if last:
            assert cancelled.wait(10)
            return case.with_registration(replace(case.registration("ct", "mr"), kind="affine"))
        for n in range(1000):
            told.append(n)
            progress("searching", 0.25)
            time.sleep(0.01)
        raise AssertionError("nobody stopped it")

    cancelled = threading.Event()
    monkeypatch.setattr(fusion, "register", register)
    with ThreadPoolExecutor(1) as other:
        answer = other.submit(served.act, "register", fixed="ct", moving="mr", kind="affine")
        assert begun.wait(10)
        assert served.act("cancel").status == 200
        cancelled.set()
        assert answer.result(timeout=10).status == 400 and "nothing was changed" in answer.result().json["error"]
    assert served.session.case is case and kept_in(served.session.folder) == before
    assert served.session.case.registration("ct", "mr").kind == "rigid" and len(told) < 900


def test_a_carry_that_is_cancelled_leaves_the_case_as_it_was(served: Served) -> None:
    case = served.session.case

    def stop(words: str, share: float) -> None:
        if share == 1.0:
            raise Cancelled("stopped; nothing was changed")

    with pytest.raises(Cancelled):
        carry_structures(served.session, "mr", "ct", progress=stop)
    assert served.session.case is case and "liver" not in case.structures_of("ct")


def test_images_are_registered_without_the_lock_of_the_session(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    from navplan.session import fusion

    def register(case, fixed, moving, *, kind, structure, progress):
        assert (fixed, moving, kind) == ("ct", "mr", "affine")
        with ThreadPoolExecutor(1) as other:  # another request is not kept waiting
            other.submit(served.session.lock.acquire).result(timeout=10)
            other.submit(served.session.lock.release).result()
        progress("registering", 0.5)
        return case.with_registration(replace(case.registration("ct", "mr"), kind="affine"))

    asked = {"fixed": "ct", "moving": "mr", "kind": "affine"}
    monkeypatch.setattr(fusion, "register", register)
    assert served.act("register", **asked).status == 200
    assert served.session.case.registration("ct", "mr").kind == "affine"
    assert served.session.case.audit[-1].action == "register"
    assert served.act("register", **{**asked, "kind": "given"}).status == 400
