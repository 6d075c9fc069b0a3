"""Actions over HTTP: each does what the session does; whatever else is sent gets words back and changes nothing."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import msgpack
import pytest

import navplan as nv
from navplan.app.scene_views import SceneViews
from navplan.session.document import document
from navplan.session.session import Session
from navplan.verbs.approve import to_be_acknowledged
from navplan.verbs.report import ReportFiles
from tests.app.served import Answer, Served, plan_of, way_of
from tests.session.saved_case import copy_of

pytestmark = pytest.mark.xdist_group("served")  # one case for all

ACTIONS = (
    "choose", "aim_at", "plan", "take_way", "move", "put_back", "keep_moved", "approve", "withdraw", "remark",
    "state_absent", "looks", "undo", "redo", "reload", "report", "card",
    "edit", "undo_edit", "redo_edit",
)  # fmt: skip


def state(served: Served) -> tuple[Any, ...]:
    session = served.session
    return served.files(), session.history.drafts, session.history.at, session.hidden, session.colours


def refused(served: Served, answer: Answer, before: tuple[Any, ...]) -> str:
    """4xx, in words that hold nothing of the program's innards; nothing has changed, not one byte of the folder."""
    assert 400 <= answer.status < 500, (answer.status, answer.body[:400])
    words = answer.words
    assert words and len(words) < 2_500 and "Traceback" not in words and ".py" not in words
    assert state(served) == before
    return words


def quick_card(case: object, plan: object, folder: Path, **more: object) -> ReportFiles:
    """In the place of a report that is drawn: that takes long, and is tested with the verb."""
    folder.mkdir(parents=True)
    (folder / "freehand-card.html").write_text("<!DOCTYPE html><title>freehand card</title>")
    return ReportFiles((folder / "freehand-card.html",), ("no PDF",))


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Served]:
    """An app of its own for a test that changes things."""
    with pytest.MonkeyPatch.context() as quiet:
        quiet.setattr(SceneViews, "start", lambda self: None)
        quiet.setattr("navplan.verbs.report.report", quick_card)
        running = Served(Session(copy_of("planned", tmp_path / "case")))
        yield running
        running.close()


def near(served: Served) -> list[float]:
    """A point near the entry of the way that is looked at."""
    x, y, z = way_of(served.session).way.entry_mm
    return [x, y, z + 6.0]


# what is right


def test_a_person_goes_through_it_all(fresh: Served) -> None:
    """Each answer is 200, and every page is given the document as it is after it."""

    def done(name: str, **arguments: Any) -> Any:
        answer = fresh.act(name, **arguments)
        assert answer.status == 200, (name, answer.body)
        told = fresh.get("/api/document").json
        assert plain(fresh.app._server.state.doc["draft"]) == told["draft"]
        return told, answer.json

    session = fresh.session
    told, _ = done("choose", side="L")
    assert told["draft"]["side"] == "L" and told["draft"]["undo"]
    told, _ = done("undo")
    assert told["draft"]["side"] == "R" and told["draft"]["redo"]
    done("redo")
    done("undo")
    told, _ = done("move", entry=near(fresh))
    assert told["way"]["moved"]
    told, _ = done("put_back")
    assert not told["way"]["moved"]
    done("move", entry=near(fresh))
    told, made = done("keep_moved")
    assert told["draft"]["plan_id"] == made["plan"] == "liver-biopsy-lesion-by-hand"
    done("remark", words="aspirin stopped")
    names = list(to_be_acknowledged(way_of(session).ranked.report))
    words = {"who": "Dr A", "reason": "seen on the reformats", "acknowledge": names}
    told, _ = done("approve", seen=told["way"]["key"], **words)
    assert told["approvals"]["stands"]
    told, _ = done("withdraw", who="Dr A", reason="the wrong side")
    assert not told["approvals"]["stands"]
    told, _ = done("take_way", number=1, plan_id="liver-biopsy-lesion")
    assert told["way"]["number"] == 1
    told, _ = done("state_absent", names=["appendix"], who="Dr A")
    assert next(one for one in told["structures"] if one["name"] == "appendix")["presence"] == "absent"
    told, _ = done("looks", hidden=["liver"], colours={"aorta": [255, 0, 0]})
    assert told["looks"] == {"hidden": ["liver"], "colours": {"aorta": [255, 0, 0]}}
    done("aim_at", point=list(plan_of(session).target.point_mm))
    told, _ = done("plan")
    assert told["draft"]["plan_id"] == "liver-biopsy-lesion-2" and told["plan"]["answers"]
    done("reload")
    told, _ = done("take_way", number=0)
    told, made = done("card", seen=told["way"]["key"])
    assert made["pages"] == ["freehand-card.html"] and made["key"].isalnum()
    page = fresh.get(f"/api/page/{made['key']}/freehand-card.html")
    assert page.status == 200 and page.headers["content-type"].startswith("text/html") and b"freehand" in page.body
    assert page.headers["content-security-policy"]
    assert plan_of(session).remarks == "aspirin stopped"
    assert fresh.get(f"/api/page/{made['key']}/report.html").status == 404
    assert nv.open_case(session.folder).revision == session.case.revision


def plain(told: Any) -> Any:
    """With tuples as the lists that JSON makes of them."""
    return json.loads(json.dumps(told))


def test_the_document_is_the_sessions(served: Served) -> None:
    assert served.get("/api/document").json == plain(document(served.session))


def test_a_drag_is_answered_with_the_way_that_it_would_be(served: Served) -> None:
    before = state(served)
    answer = served.post("/api/live", {"entry": near(served)})
    assert answer.status == 200 and answer.json["provisional"] and answer.json["moved"]
    x, y, z = plan_of(served.session).target.point_mm
    aim = [x + 1.0, y, z]
    both = served.post("/api/live", {"entry": near(served), "aim": aim}).json
    assert both["target_mm"] == aim
    assert served.post("/api/live", {}).json["depth_mm"] == served.get("/api/document").json["way"]["depth_mm"]
    assert state(served) == before


def test_why_not_and_two_ways_side_by_side(served: Served) -> None:
    told = served.post("/api/why", {"entry": near(served)}).json
    assert told["entry"] == near(served) and isinstance(told["against"], list)
    plan = served.session.draft.plan_id
    found = served.post("/api/compare", {"a": [plan, 0], "b": [plan, 1]}).json
    assert found["a"] == f"{plan}, way 1" and found["rows"][0]["what"] and found["verdict_a"] == "WARN"


# what is not


@pytest.mark.parametrize(
    "body",
    [b"[]", b"null", b"5", b'"text"', b"{", b"{}}", b"\xff\xfe\x00", b"{'a': 1}", b'{"a": }', b"NaN",
     b"[" * 100_000, b'{"a":' * 50_000, b"9" * 5000, b'{"side": "L"' + b" " * 70_000],
    ids=lambda body: ascii(body[:16]),
)  # fmt: skip
@pytest.mark.parametrize("path", ["/api/act/choose", "/api/live", "/api/why", "/api/compare", "/api/act/take_way"])
def test_what_is_no_json_object_is_refused(served: Served, path: str, body: bytes) -> None:
    before = state(served)
    refused(served, served.post(path, body=body), before)


def test_a_large_body_that_comes_in_many_parts_is_read_whole(served: Served) -> None:
    """More than one packet of the network, and less than the limit."""
    names = [f"structure_{number:05d}" + "x" * 200 for number in range(900)]
    assert served.act("looks", hidden=names, colours={}).status == 200
    assert len(served.session.hidden) == 900
    served.act("looks", hidden=[], colours={})


def test_ten_megabytes_are_not_taken_in(served: Served) -> None:
    before = state(served)
    head = f"POST /api/act/remark HTTP/1.1\r\nHost: {served.host}\r\nX-Navplan: 1\r\nConnection: close\r\n"
    declared = in_parts(served, f"{head}Content-Length: 10000000\r\n\r\n".encode(), b"x" * 1000, 2)
    assert declared.split()[1] == b"413"
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    undeclared = in_parts(served, f"{head}Transfer-Encoding: chunked\r\n\r\n".encode(), chunk, 160)
    assert undeclared.split()[1] == b"400"
    assert state(served) == before and served.get("/alive").status == 200


def in_parts(served: Served, head: bytes, part: bytes, times: int) -> bytes:
    """Send a body until all is sent or the server has had enough; what it says."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=30) as line:
        line.sendall(head)
        try:
            for _ in range(times):
                line.sendall(part)
        except OSError:
            pass  # it has closed the line already
        try:
            return line.recv(65536)
        except OSError:
            return b"- 400 closed"


@pytest.mark.parametrize(
    "name", ["", "no_such", "__init__", "_save", "shown", "lock", "%2e%2e", "choose/x", "a" * 5000, "%00"]
)
def test_an_action_that_is_none_is_refused(served: Served, name: str) -> None:
    before = state(served)
    refused(served, served.post(f"/api/act/{name}"), before)


@pytest.mark.parametrize("name", ACTIONS)
def test_an_action_is_no_page_to_open(served: Served, name: str) -> None:
    before = state(served)
    refused(served, served.get(f"/api/act/{name}"), before)
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
        refused(served, served.ask(method, f"/api/act/{name}", b"{}", {"X-Navplan": "1"}), before)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    refused(served, served.ask("POST", f"/api/act/{name}", b"side=L", form), before)
    refused(served, served.post(f"/api/act/{name}", {}, Origin="http://evil.example"), before)


@pytest.mark.parametrize("name", sorted(set(ACTIONS) - {"looks", "choose"}))
def test_arguments_that_an_action_does_not_have_are_refused(served: Served, name: str) -> None:
    before = state(served)
    for arguments in ({"rotation": 1}, {"self": 1}, {"progress": 1}, {"folder": "/tmp"}, {"": 1}, {"\ud800": 1}):
        refused(served, served.post(f"/api/act/{name}", arguments), before)


@pytest.mark.parametrize("action", ["approve", "card", "report"])
def test_what_another_page_changed_meanwhile_is_not_approved_or_printed(fresh: Served, action: str) -> None:
    """Two pages: one takes another way just before the other one's word for the way that it shows arrives."""
    seen = fresh.get("/api/document").json["way"]["key"]
    names = list(to_be_acknowledged(way_of(fresh.session).ranked.report))
    words = {"who": "Dr A", "reason": "seen on the reformats", "acknowledge": names} if action == "approve" else {}
    assert fresh.post("/api/act/take_way", {"number": 1}).status == 200
    before = state(fresh)
    for key in (seen, "", None):
        refused(fresh, fresh.post(f"/api/act/{action}", {"seen": key, **words}), before)
    moved = fresh.get("/api/document").json["way"]["key"]
    assert fresh.post("/api/act/move", {"entry": near(fresh)}).status == 200
    before = state(fresh)
    refused(fresh, fresh.post(f"/api/act/{action}", {"seen": moved, **words}), before)


HOSTILE = (None, True, -1, 1.5, 10**400, "../../etc/passwd", "x" * 50_000, "\ud800", [], ["\ud800"], {"a": 1}, [1, 2],
           ["1", "2", "3"], [1e308, 0, 0], [None, None, None], [10**400, 0, 0])  # fmt: skip
ARGUMENTS: dict[str, dict[str, Any]] = {
    "choose": {"side": "L", "aim_mm": None, "protocol": "liver-biopsy", "target": "lesion", "image_id": "ct"},
    "aim_at": {"point": None},
    "take_way": {"number": 1, "plan_id": "liver-biopsy-lesion"},
    "move": {"entry": None, "aim": None},
    "approve": {"seen": "x", "who": "Dr A", "reason": "seen on the reformats", "acknowledge": []},
    "withdraw": {"who": "Dr A", "reason": "none"},
    "remark": {"words": "x"},
    "state_absent": {"names": ["appendix"], "who": "Dr A"},
    "looks": {"hidden": [], "colours": {}},
    "edit": {"structure": "liver", "steps": [["grow_mm", 0.01]], "who": "Dr A", "whole_image": False},
    "undo_edit": {"who": "Dr A"},
    "redo_edit": {"who": "Dr A"},
}


@pytest.mark.parametrize(("name", "argument"), [(name, one) for name, those in ARGUMENTS.items() for one in those])
def test_no_value_of_an_argument_is_a_fault_of_the_server(served: Served, name: str, argument: str) -> None:
    """Refused in words with nothing changed, or taken: then it is of the right kind, and is taken back."""
    whole = {path: path.read_bytes() for path in served.session.folder.rglob("*") if path.is_file()}
    for value in HOSTILE:
        before = state(served)
        answer = served.post(f"/api/act/{name}", {**ARGUMENTS[name], argument: value})
        if answer.status == 200:
            assert (name, argument) in TAKEN and isinstance(value, TAKEN[name, argument]), (name, argument, value)
            put_back(served, whole)
        else:
            refused(served, answer, before)


# A value that looks hostile and is a person's own words, a list of them, nothing, or what means "as it is".
TAKEN: dict[tuple[str, str], tuple[type, ...]] = {
    ("choose", "aim_mm"): (type(None),), ("move", "entry"): (type(None),), ("move", "aim"): (type(None),),
    ("remark", "words"): (str,), ("looks", "hidden"): (list,), ("looks", "colours"): (dict,),
    ("state_absent", "who"): (str,), ("state_absent", "names"): (list,),
}  # fmt: skip


def put_back(served: Served, before: dict[Path, bytes]) -> None:
    """The folder and the session as they were."""
    session = served.session
    for path in [path for path in session.folder.rglob("*") if path.is_file() and path not in before]:
        path.unlink()
    for path, data in before.items():
        path.write_bytes(data)
    session.__init__(session.folder)


@pytest.mark.parametrize("path", ["/api/live", "/api/why"])
@pytest.mark.parametrize("key", ["entry", "aim"])
def test_no_point_of_a_drag_does_harm(served: Served, path: str, key: str) -> None:
    before = state(served)
    for value in (*HOSTILE, [1e5, 1e5, 1e5], [-999999, 0, 0], [0.0, 0.0, 0.0]):
        answer = served.post(path, {key: value})
        if answer.status == 200:
            assert value is None or value == [0.0, 0.0, 0.0] or path == "/api/why", value
            assert answer.json
        else:
            refused(served, answer, before)
    assert state(served) == before


def test_no_side_of_a_comparison_is_a_path(served: Served) -> None:
    before, plan = state(served), served.session.draft.plan_id
    file = next(served.session.folder.glob("plans/*.json"))
    for side in (*HOSTILE, [str(file), 0], ["../case", 0], ["/etc/passwd", 0], [plan, 99], [plan, -1], [plan, 10**400],
                 [plan, None], [plan, 1.0], [plan], [plan, 0, 0], ["", 0], [[plan], 0]):  # fmt: skip
        refused(served, served.post("/api/compare", {"a": [plan, 0], "b": side}), before)
        refused(served, served.post("/api/compare", {"a": side, "b": [plan, 0]}), before)


@pytest.mark.parametrize(
    "path",
    ["x/report.html", "../report.html", "..%2f..%2fetc/passwd", "%2e%2e/report.html", ".../report.html",
     "x/../../../../etc/passwd", "x/..%2f..%2fcase.json", "%00/report.html", "a" * 5000 + "/report.html",
     "/report.html", "x/", "x", "", "0123456789abcdef/report.html", "0123456789abcdef/%2fetc%2fpasswd"],
    ids=lambda path: path[:30],
)  # fmt: skip
def test_no_page_is_found_but_those_that_were_made(served: Served, path: str) -> None:
    before = state(served)
    answer = served.raw(f"GET /api/page/{path} HTTP/1.1\r\nHost: {served.host}\r\nConnection: close\r\n\r\n".encode())
    assert answer.split()[1] in (b"400", b"404") and b"root:" not in answer and b"Traceback" not in answer
    assert state(served) == before


def test_a_fault_of_the_program_is_told_without_its_innards(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(entry: object) -> object:
        raise ValueError(f"secret of {__file__}")

    monkeypatch.setattr(served.session, "why_not", broken)
    answer = served.post("/api/why", {"entry": [0, 0, 0]})
    assert answer.status == 500 and "ValueError" in answer.words and "secret" not in answer.words


# long work


def wait_for(condition: Any) -> None:
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_long_work_is_stopped_by_itself_and_by_nothing_else(fresh: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other actions meanwhile neither stop it, nor make it forget that it was stopped."""
    session, begun, go_on = fresh.session, threading.Event(), threading.Event()

    def slow(progress: Any) -> None:
        progress("searching", 0.1)
        begun.set()
        assert go_on.wait(30)
        progress("searching", 0.2)

    monkeypatch.setattr(session, "plan", slow)
    answers: list[Answer] = []
    for stop in (False, True):
        begun.clear()
        go_on.clear()
        work = threading.Thread(target=lambda: answers.append(fresh.act("plan")))
        work.start()
        assert begun.wait(30)
        assert fresh.app.actions.progress == {"words": "searching", "share": 0.1}
        if stop:
            assert fresh.act("cancel").status == 200
        assert fresh.act("choose", side="L" if stop else "R").status == 200
        assert fresh.app.actions.progress  # still told
        go_on.set()
        work.join(30)
    assert [answer.status for answer in answers] == [200, 400] and "stopped" in answers[1].words
    assert fresh.app.actions.progress == {}
    assert fresh.act("cancel").status == 200  # of nothing
    assert fresh.act("undo").status == 200


def test_a_real_search_is_stopped(fresh: Served) -> None:
    session = fresh.session
    revision = session.case.revision
    answers: list[Answer] = []
    with session.lock:  # the search waits for it
        work = threading.Thread(target=lambda: answers.append(fresh.act("plan")))
        work.start()
        wait_for(lambda: fresh.app.actions._at_work)
        assert fresh.act("cancel").status == 200
    work.join(60)
    assert answers[0].status == 400 and "nothing was changed" in answers[0].words
    assert session.case.revision == revision and nv.open_case(session.folder).revision == revision


def test_many_at_once_are_all_answered(served: Served) -> None:
    answers: list[int] = []

    def some(number: int) -> None:
        for _ in range(4):
            answers.append(served.post("/api/live", {"entry": near(served)}).status)
            answers.append(served.act("choose", side="LR"[number % 2]).status)
            answers.append(served.get("/api/slice?cut=coronal&at=0,0,0").status)

    threads = [threading.Thread(target=some, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 72
    assert Session(served.session.folder).draft == served.session.draft
    served.act("choose", side="R")


def test_another_program_is_told_of_and_the_draft_is_kept(fresh: Served) -> None:
    session = fresh.session
    fresh.act("choose", side="L")
    nv.save_case(nv.absent(nv.open_case(session.folder), "uterus", "Dr B"), session.folder)
    answer = fresh.act("state_absent", names=["appendix"], who="Dr A")
    assert answer.status == 400 and "changed meanwhile" in answer.words and "read again" in answer.words
    told = fresh.get("/api/document").json
    assert told["draft"]["side"] == "L" and told["case"]["revision"] == 2
    assert fresh.act("state_absent", names=["appendix"], who="Dr A").status == 200


def test_the_page_goes_on_while_the_folder_is_away(fresh: Served, tmp_path: Path) -> None:
    folder = fresh.session.folder
    folder.rename(tmp_path / "away")
    assert fresh.act("choose", side="L").status == 200
    told = fresh.get("/api/document").json
    assert "No such file" in told["unsaved"] and told["way"]
    assert fresh.act("plan").status == 400 and fresh.act("reload").status == 400
    assert fresh.get("/api/slice?cut=axial&at=0,0,0").status == 200 and not folder.exists()
    (tmp_path / "away").rename(folder)
    assert fresh.act("reload").status == 200
    assert fresh.get("/api/document").json["unsaved"] == "" and Session(folder).draft.side == "L"


# the scene, before its process runs


def test_without_its_process_the_scene_is_refused_in_words(served: Served) -> None:
    camera = json.dumps({"position": [0, -500, 0], "focal": [0, 0, 0], "up": [0, 0, 1], "angle": 30})
    before = state(served)
    refused(served, served.get(f"/api/scene?width=300&height=200&camera={camera.replace(' ', '')}"), before)
    asked = {"camera": json.loads(camera), "width": 9, "height": 9, "x": 1, "y": 1}
    for path in ("/api/pick", "/api/carm", "/api/cursor"):
        refused(served, served.post(path, asked), before)


# the socket


async def told_to(place: str, *messages: bytes | str) -> bool:
    """Send things over the page's socket; whether it can still be opened afterwards."""
    async with aiohttp.ClientSession() as session:
        for message in messages:
            async with session.ws_connect(f"http://{place}/ws") as line:
                with suppress(aiohttp.ClientError, ConnectionError, TimeoutError):  # it may hang up at once
                    await (line.send_str(message) if isinstance(message, str) else line.send_bytes(message))
                    await line.receive(timeout=0.1)
        async with session.ws_connect(f"http://{place}/ws"):
            return True


def test_what_is_shouted_into_the_socket_changes_nothing(served: Served) -> None:
    before = state(served)
    hello = {"wslink": "1.0", "id": "a", "method": "wslink.hello", "args": [{"secret": "wslink-secret"}], "kwargs": {}}
    update = {"wslink": "1.0", "id": "b", "method": "trame.state.update", "args": [[{"key": "doc", "value": {}}]],
              "kwargs": {}}  # fmt: skip
    unknown = {"wslink": "1.0", "id": "c", "method": "os.system", "args": ["true"], "kwargs": {}}
    shouts = [msgpack.packb(one) for one in (hello, update, unknown, [], 5, None)]
    assert asyncio.run(told_to(served.host, "x" * 100_000, "{}", b"\x00" * 1000, *shouts))
    assert state(served) == before
    assert served.get("/api/document").json["case"]["id"] == served.session.case.id
