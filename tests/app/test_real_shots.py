"""Real pictures as the page asks for them: taken in or refused in words, laid behind by hand, registered, marked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import navplan as nv
from navplan.app.guard import LARGEST_PICTURE_BYTES
from navplan.app.scene_views import SceneViews
from navplan.errors import Cancelled, InputError
from navplan.fluoroscopy import register_shots as registering
from navplan.session.real_shots import RealShots
from navplan.session.session import Session
from tests.app.served import PAGES_OWN, Served
from tests.verbs import shots_scene as scene


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Path]]:
    folder = tmp_path_factory.mktemp("real")
    case = scene.planned_case()
    nv.save_case(case, folder / "case")
    scene.save_pictures(case, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SceneViews, "start", lambda self: None)
        patch.setattr(registering, "POPULATION", 12)
        running = Served(Session(folder / "case"))
        running.session.take_way(0, case.plan().id)
        yield running, folder
        running.close()


def loaded(served: Served, path: Path, name: str = "") -> object:
    return served.ask("POST", f"/api/shots/load?name={name or path.name}", path.read_bytes(), PAGES_OWN)


def picture(body: bytes) -> tuple[dict, np.ndarray]:
    """Header, and the layers: real, CT, edges."""
    length = int(np.frombuffer(body, "<u4", 1)[0])
    header = json.loads(body[4 : 4 + length])
    values = np.frombuffer(body, np.uint8, offset=4 + length)
    return header, values.reshape(3, header["rows"], header["width"])


def target_of(header: dict) -> np.ndarray:
    """(2,) column and row of the middle of the target's cross."""
    return np.mean([one["points"] for one in header["marks"] if one["role"] == "target"], axis=(0, 1))


def post(served: Served, path: str, **arguments: object):
    return served.ask("POST", path, json.dumps(arguments).encode(), PAGES_OWN)


def test_from_files_to_a_pose_and_a_tip(world: tuple[Served, Path]) -> None:
    served, folder = world
    assert "another patient" in loaded(served, folder / scene.OTHER).words
    bare = loaded(served, folder / scene.BARE).words
    assert "does not say its SID, SOD, pixel spacing" in bare and "told without them" in bare
    assert served.get("/api/shots").json == {"shots": [], "warnings": [], "result": None}
    assert loaded(served, folder / scene.FRONT).status == 200
    told = loaded(served, folder / scene.SIDE, "..%2F..%2Fx%00y.dcm").json
    assert [one["picture"] for one in told["shots"]] == [1, 1] and told["result"] is None and told["warnings"] == []
    assert "view 2 (left lateral)" in told["shots"][1]["words"] and "/" not in told["shots"][1]["file"]
    assert "Take one away" in loaded(served, folder / scene.FRONT).words
    assert "Register first" in served.get("/api/shots/picture?number=0&found=1").words
    assert "Register first" in post(served, "/api/shots/tip", marks=[[1, 1], [2, 2]]).words

    header, layers = picture(served.get("/api/shots/picture?number=0").body)
    shifted, moved = picture(served.get("/api/shots/picture?number=0&shift=22,0,0").body)
    assert (layers[0] == moved[0]).all() and (layers[1] != moved[1]).mean() > 0.1 and layers[2].max() > 100
    target, other = (target_of(one) for one in (header, shifted))
    assert (other - target) * header["pixel_mm"] == pytest.approx([22.0, 0.0], abs=1.0)
    assert header["right"] == pytest.approx([1, 0, 0]) and header["letters"] == ["R", "L", "S", "I"]
    coarse, _ = picture(served.get("/api/shots/picture?number=0&moving=1").body)
    assert coarse["moving"] and {one["role"] for one in coarse["marks"]} == {"path", "target"}

    found = post(served, "/api/act/register_shots", shift=[2, 0, 0], turn=[0, 0, 0]).json
    assert found["result"]["good"] and found["result"]["words"][0].startswith("GOOD:")
    assert "by hand" in found["result"]["start"]
    here, _ = picture(served.get("/api/shots/picture?number=1&found=1").body)
    assert {"error", "target", "path", "outline"} <= {one["role"] for one in here["marks"]}
    marks = [list(one) for one in scene.tip_marks(nv.open_case(folder / "case"))]
    tip = post(served, "/api/shots/tip", marks=marks).json
    assert tip["verdict"] == "WARN" and tip["beside_mm"] < 1.0 and tip["error_95_mm"] > 0.5
    skew = post(served, "/api/shots/tip", marks=[marks[0], [marks[1][0] - 30, 60]]).json
    assert skew["verdict"] == "NOT_EVALUATED" and "mm from each other" in skew["words"][0]
    served.session.move((-45.0, -70.0, 20.0), None)  # what was found is told for the way of before
    assert served.get("/api/shots").json["result"] is None
    assert "Register first" in post(served, "/api/shots/tip", marks=marks).words
    served.session.put_back()
    assert served.get("/api/shots").json["result"]["good"]
    assert nv.open_case(folder / "case").revision == 1  # nothing of it is in the case

    left = post(served, "/api/shots/remove", number=0).json
    assert len(left["shots"]) == 1 and "view 1 (left lateral)" in left["shots"][0]["words"] and left["result"] is None


def test_what_is_refused(world: tuple[Served, Path]) -> None:
    served, _ = world
    large = {**PAGES_OWN, "Content-Length": str(LARGEST_PICTURE_BYTES + 1)}
    assert served.ask("POST", "/api/shots/load?name=x", b"", large).status == 413
    assert served.ask("POST", "/api/shots/load?name=x", b"x", {"Content-Type": "application/json"}).status == 403
    junk = served.ask("POST", "/api/shots/load?name=x.dcm", b"no DICOM at all" * 50, PAGES_OWN)
    assert junk.status == 400 and "x.dcm" in junk.words
    for path in ("number=9", "number=0&shift=1,2", "number=0&turn=nan,0,0"):
        assert served.get(f"/api/shots/picture?{path}").status == 400, path
    assert post(served, "/api/shots/choose", number=0, picture="x").status == 400
    assert post(served, "/api/shots/tip", marks="x").status == 400


def test_a_registration_is_stopped_and_nothing_is_kept(world: tuple[Served, Path]) -> None:
    served, folder = world
    shots = RealShots(served.session)
    with pytest.raises(InputError, match="no picture to register to"):
        shots.register(progress=lambda words, share: None, cancelled=lambda: False)
    shots.load(folder / scene.FRONT)
    with pytest.raises(Cancelled, match="was stopped"):
        shots.register(progress=lambda words, share: None, cancelled=lambda: True)
    assert shots.told()["result"] is None
