"""The drawing of an interactive segmenter over HTTP: nothing waits for its server, and what is no request changes
nothing."""

from __future__ import annotations

import json
import os
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import navplan as nv
from navplan.app.scene_views import SceneViews
from navplan.session.interactive import OUTLINE
from navplan.session.session import Session
from navplan.view.plane_values import Cut, native_slice, slice_through
from tests.app.served import Answer, Served
from tests.session.saved_case import copy_of, phantom_case

if os.environ.get("CI", "").lower() != "true":  # there it has to be installed
    pytest.importorskip("nnInteractive.inference.remote", reason="the extra `interactive` is not installed")
from tests.plugins.nninteractive_server import NNInteractiveServer

pytestmark = pytest.mark.xdist_group("served")  # one case for all


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The case without a plan: nothing has to be judged anew."""
    with pytest.MonkeyPatch.context() as quiet:
        quiet.setattr(SceneViews, "start", lambda self: None)
        running = Served(Session(copy_of("unplanned", tmp_path_factory.mktemp("drawn") / "case")))
        yield running
        running.close()


@pytest.fixture
def server(served: Served, monkeypatch: pytest.MonkeyPatch) -> Iterator[NNInteractiveServer]:
    with NNInteractiveServer() as running:
        monkeypatch.setenv("NAVPLAN_NNINTERACTIVE", running.url)
        yield running
        served.post("/api/interactive/cancel")


def act(served: Served, name: str, /, **arguments: Any) -> Answer:
    return served.post(f"/api/interactive/{name}", arguments)


def until(what: Callable[[], Any]) -> Any:
    end = time.monotonic() + 20
    while not (found := what()):
        assert time.monotonic() < end
        time.sleep(0.01)
    return found


def rested(served: Served) -> dict[str, Any]:
    interactive = served.app.interactive.interactive
    until(lambda: (told := interactive.told()["drawing"]) is None or not told["work"])
    return interactive.told()


def middle() -> list[float]:
    return [float(value) for value in phantom_case().structures["lesion"].voxel_centres_mm().mean(axis=0)]


def outlines(served: Served) -> list[str]:
    at = ",".join(str(value) for value in middle())
    body = served.get(f"/api/slice?cut=axial&at={at}").body
    return [name for name, _ in json.loads(body[4 : 4 + struct.unpack("<I", body[:4])[0]])["outlines"]]


def test_a_drawing_from_the_first_prompt_to_the_case(served: Served, server: NNInteractiveServer) -> None:
    pages: list[dict[str, Any]] = []
    served.app.interactive._push = pages.append
    assert act(served, "begin", segmenter="nninteractive").status == 200
    assert rested(served)["drawing"]["ready"]
    until(lambda: pages and pages[-1]["interactive"]["drawing"]["ready"])
    assert OUTLINE not in outlines(served)
    assert act(served, "prompt", kind="point", points=[middle()]).status == 200
    rested(served)
    assert OUTLINE in outlines(served)
    volume = phantom_case().image()[1]
    seen = native_slice(volume, Cut.AXIAL, slice_through(volume.grid, Cut.AXIAL, middle()))
    line = seen.points_mm()[20, 10:14].tolist()
    into = seen.plane.into.tolist()
    assert act(served, "prompt", kind="scribble", points=line, positive=False, normal=into).status == 200
    assert [mark["kind"] for mark in rested(served)["drawing"]["marks"]] == ["point", "scribble"]
    before = served.files()
    refused = act(served, "accept", name="lesion", who="Dr A")
    assert refused.status == 400 and "already" in refused.words and served.files() == before
    assert act(served, "accept", name="second lesion", who="Dr A").json["drawing"] is None
    assert nv.open_case(served.session.folder).structures["second_lesion"].made_by == "semiautomatic"
    assert OUTLINE not in outlines(served)
    until(lambda: pages[-1]["interactive"]["drawing"] is None)


def test_nobody_waits_for_a_server_that_hangs(served: Served, server: NNInteractiveServer) -> None:
    act(served, "begin", segmenter="nninteractive")
    rested(served)
    server.fault = "hang"
    for _ in range(3):  # each leaves a thread behind that still waits
        began = time.monotonic()
        assert act(served, "prompt", kind="point", points=[middle()]).json["drawing"]["work"] == "point"
        assert served.get("/api/document").status == 200 and outlines(served)
        assert served.act("looks", hidden=[], colours={}).status == 200
        told = act(served, "stop").json["drawing"]
        assert told["over"].startswith("stopped") and time.monotonic() - began < 10
        assert act(served, "cancel").json["drawing"] is None
        act(served, "begin", segmenter="nninteractive")
        until(lambda: rested(served)["drawing"] is not None or act(served, "begin", segmenter="nninteractive"))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("begin", {}), ("begin", {"segmenter": 7}), ("begin", {"segmenter": "../x"}),
        ("begin", {"segmenter": "x", "y": 1}), ("x" * 90, {}),
        ("prompt", {"kind": "point", "points": [[0, 0, 0]]}), ("prompt", {"kind": "__class__", "points": []}),
        ("undo", {}), ("reset", {}), ("accept", {"name": "x", "who": "y"}), ("close", {}), ("told", {}),
        ("begin", {"segmenter": "nninteractive", "server": "http://elsewhere"}),
    ],
)  # fmt: skip
def test_what_is_no_request_is_refused_in_words(served: Served, name: str, arguments: dict[str, Any]) -> None:
    before = served.files()
    answer = act(served, name, **arguments)
    assert answer.status == 400 and 0 < len(answer.words) < 2000 and served.files() == before
    assert served.app.interactive.interactive.told()["drawing"] is None


def test_only_the_page_itself_may_ask(served: Served) -> None:
    assert served.ask("POST", "/api/interactive/cancel", b"{}").status == 403
