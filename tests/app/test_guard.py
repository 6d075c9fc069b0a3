"""Who may talk to the page: this machine, or who has the token; no page of another site."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from navplan.app.guard import (
    COOKIE,
    HEADERS,
    LARGEST_BODY_BYTES,
    MOST_SESSIONS,
    MOST_WRONG,
    SESSION_S,
    WRONG_S,
    Guard,
    is_loopback,
)
from navplan.app.scene_views import SceneViews
from navplan.session.session import Session
from tests.app.served import Served
from tests.session.saved_case import copy_of

pytestmark = pytest.mark.xdist_group("served")  # one case for all

TOKEN = "a-token-that-is-long-enough"
PLACE = "127.0.0.1:8000"


class Clock:
    """Time that a test lets pass."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def asked(guard: Guard, path: str = "/", method: str = "GET", **headers: str) -> web.StreamResponse | None:
    told = {name.replace("_", "-"): value for name, value in {"Host": PLACE, **headers}.items()}
    return guard.refusal(make_mocked_request(method, path, headers=told))


def status(answer: web.StreamResponse | None) -> int:
    return 200 if answer is None else answer.status


def cookie_of(answer: web.StreamResponse | None) -> str:
    assert answer is not None and answer.status == 302
    return answer.cookies[COOKIE].value


# by itself


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.3.2.1", "::1", "[::1]"])
def test_this_machine_has_these_names(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["", "0.0.0.0", "192.168.1.7", "example.org", "localhost.example.org", "127.0.0.1.nip.io", "127.0.0.1."]
)
def test_and_no_others(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1:1", "[::1]:8000", "127.0.0.1", "LOCALHOST:8000"])
def test_without_a_token_this_machine_is_served(host: str) -> None:
    assert asked(Guard(""), Host=host) is None


@pytest.mark.parametrize(
    "host",
    ["evil.example:8000", "127.0.0.1@evil.example", "localhost.evil.example", "192.168.1.7:8000", "[::1", "[", "",
     "localhost#.evil.example:80@evil.example", "0.0.0.0:8000", "x" * 3000],
)  # fmt: skip
def test_a_name_that_somebody_bent_to_this_machine_is_refused(host: str) -> None:
    answer = asked(Guard(""), Host=host)
    assert status(answer) == 403
    assert isinstance(answer, web.Response) and answer.text and len(answer.text) < 300


@pytest.mark.parametrize("origin", [f"http://{PLACE}", ""])
def test_the_page_itself_is_served(origin: str) -> None:
    headers = {"Origin": origin} if origin else {}
    assert asked(Guard(""), "/api/act/undo", "POST", X_Navplan="1", **headers) is None


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "http://127.0.0.1:8001", "http://localhost:8000", "http://[", "x", "file://",
     f"http://{PLACE}.evil.example", f"http://{PLACE}@evil.example"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_page_of_another_site_is_not(origin: str, method: str) -> None:
    assert status(asked(Guard(""), "/api/act/undo", method, Origin=origin, X_Navplan="1")) == 403


@pytest.mark.parametrize("header", ["", "0", "true", "1 "])
def test_an_action_needs_the_header_that_no_form_can_send(header: str) -> None:
    headers = {"X_Navplan": header} if header else {}
    assert status(asked(Guard(""), "/api/act/undo", "POST", **headers)) == 403
    assert asked(Guard(""), "/api/document", "GET") is None


def test_a_body_that_says_it_is_too_large_is_not_read() -> None:
    guard = Guard("")
    large = {"X_Navplan": "1", "Content_Length": str(LARGEST_BODY_BYTES + 1)}
    assert status(asked(guard, "/api/act/undo", "POST", **large)) == 413
    large["Content_Length"] = str(LARGEST_BODY_BYTES)
    assert asked(guard, "/api/act/undo", "POST", **large) is None


def test_a_token_is_shown_once_and_a_cookie_does_from_then_on() -> None:
    guard = Guard(TOKEN, Clock())
    assert status(asked(guard)) == 401
    answer = asked(guard, f"/?token={TOKEN}")
    key = cookie_of(answer)
    assert answer is not None and answer.headers["Location"] == "/"  # the token does not stay in the address
    flags = answer.cookies[COOKIE]
    assert flags["httponly"] and flags["samesite"] == "Strict" and int(flags["max-age"]) == SESSION_S
    assert key != TOKEN and len(key) > 30
    assert asked(guard, "/api/document", Cookie=f"{COOKIE}={key}") is None
    assert status(asked(guard, "/api/document", Cookie=f"{COOKIE}={TOKEN}")) == 401
    assert status(asked(guard, "/api/document", Cookie=f"other={key}")) == 401


def test_with_a_token_the_host_may_be_any_and_other_sites_are_still_refused() -> None:
    guard = Guard(TOKEN, Clock())
    key = cookie_of(asked(guard, f"/?token={TOKEN}", Host="hospital.example:8000"))
    shown = {"Host": "hospital.example:8000", "Cookie": f"{COOKIE}={key}"}
    assert asked(guard, **shown) is None
    assert status(asked(guard, Origin="http://evil.example", **shown)) == 403
    assert status(asked(guard, "/api/act/undo", "POST", **shown)) == 403


@pytest.mark.parametrize("path", ["//evil.example/", "/\\evil.example", "/%0d%0aSet-Cookie:%20a=b", "/api/document"])
def test_who_shows_the_token_is_sent_to_the_page_and_nowhere_else(path: str) -> None:
    answer = asked(Guard(TOKEN, Clock()), f"{path}?token={TOKEN}")
    assert answer is not None and answer.headers["Location"] == "/"


@pytest.mark.parametrize(
    "token", ["", "x", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "%00", "%ED%A0%80", "%FF", "ü" * 200]
)
def test_a_wrong_token_is_no_token(token: str) -> None:
    assert status(asked(Guard(TOKEN, Clock()), f"/?token={token}")) == 401


def test_after_many_wrong_tokens_none_is_looked_at_for_a_while() -> None:
    clock = Clock()
    guard = Guard(TOKEN, clock)
    key = cookie_of(asked(guard, f"/?token={TOKEN}"))
    for number in range(MOST_WRONG):
        assert status(asked(guard, f"/?token=guess{number}")) == 401
    assert status(asked(guard, "/?token=guess")) == 429
    assert status(asked(guard, f"/?token={TOKEN}")) == 429  # else a guess could be told from the rest
    assert asked(guard, Cookie=f"{COOKIE}={key}") is None  # who is in already goes on
    clock.now += WRONG_S + 1
    assert status(asked(guard, f"/?token={TOKEN}")) == 302


def test_asking_without_a_token_is_no_guess() -> None:
    guard = Guard(TOKEN, Clock())
    for _ in range(3 * MOST_WRONG):
        assert status(asked(guard)) == 401
    assert status(asked(guard, f"/?token={TOKEN}")) == 302


def test_only_so_many_browsers_hold_a_cookie_and_not_for_ever() -> None:
    clock = Clock()
    guard = Guard(TOKEN, clock)
    keys = [cookie_of(asked(guard, f"/?token={TOKEN}")) for _ in range(MOST_SESSIONS)]
    assert len(set(keys)) == MOST_SESSIONS
    assert status(asked(guard, f"/?token={TOKEN}")) == 503
    assert asked(guard, f"/?token={TOKEN}", Cookie=f"{COOKIE}={keys[0]}") is None
    clock.now += SESSION_S + 1
    assert status(asked(guard, Cookie=f"{COOKIE}={keys[0]}")) == 401
    assert status(asked(guard, f"/?token={TOKEN}")) == 302


# over the network


def test_every_answer_says_what_a_browser_may_do_with_it(served: Served) -> None:
    asks = {
        "/": 200, "/index.html": 200, "/alive": 200, "/api/document": 200, "/__navplan/page.js": 200,
        "/api/slice?cut=axial&at=0,0,0": 200, "/api/slice": 400, "/nothing": 404, "/api/page/x/report.html": 404,
        "/api/act/undo": 404,
    }  # fmt: skip
    for path, expected in asks.items():
        answer = served.get(path)
        assert answer.status == expected, path
        for name, value in HEADERS.items():
            assert answer.headers.get(name.lower()) == value, (path, name)
    refused = served.get("/", Host="evil.example")
    assert refused.status == 403 and refused.headers["content-security-policy"] == HEADERS["Content-Security-Policy"]
    policy = HEADERS["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "http" not in policy


@pytest.mark.parametrize(
    "path",
    ["/../session.py", "/__navplan/../server.py", "/__navplan/..%2fserver.py", "/__navplan/%2e%2e/server.py",
     "/%2e%2e/", "/__navplan/....//server.py", "//etc/passwd", "/%2fetc/passwd", "/__navplan/%2fetc/passwd",
     "/__navplan/\x00", "/assets/../../../../../../etc/passwd", "/__navplan/..%5cserver.py"],
)  # fmt: skip
def test_no_path_leads_out_of_the_pages_own_folder(served: Served, path: str) -> None:
    answer = served.raw(f"GET {path} HTTP/1.1\r\nHost: {served.host}\r\nConnection: close\r\n\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split()[1] in (b"400", b"403", b"404"), head
    assert b"import" not in body and b"root:" not in body and b"Traceback" not in body


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.1\r\nHost: [::1\r\n",
        b"GET / HTTP/1.1\r\nHost: evil.example\r\n",
        b"GET / HTTP/1.1\r\n",
        b"GET / HTTP/1.0\r\n",
        b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://[\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: \xff\xfe\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 20_000 + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\r\n",
        b"GET\r\n",
    ],
    ids=lambda data: ascii(data[:40]),
)  # fmt: skip
def test_what_is_no_request_of_a_browser_of_this_machine_is_refused(served: Served, request_bytes: bytes) -> None:
    answer = served.raw(request_bytes + b"Connection: close\r\n\r\n")
    assert answer.split()[1] in (b"400", b"403", b"404"), answer[:200]
    assert b"Traceback" not in answer and b"navplan-page" not in answer
    assert served.get("/alive").json == {"alive": True, "case": served.session.key}


async def socket_status(place: str, **headers: str) -> int:
    """101 where the page's socket opens."""
    async with aiohttp.ClientSession() as session:
        try:
            async with session.ws_connect(f"http://{place}/ws", headers=headers):
                return 101
        except aiohttp.WSServerHandshakeError as error:
            return error.status


def test_the_socket_opens_for_the_page_and_for_no_other(served: Served) -> None:
    assert asyncio.run(socket_status(served.host)) == 101
    assert asyncio.run(socket_status(served.host, Origin=f"http://{served.host}")) == 101
    for origin in ("http://evil.example", "null", "http://localhost:1", "http://["):
        assert asyncio.run(socket_status(served.host, Origin=origin)) == 403
    assert asyncio.run(socket_status(served.host, Host="evil.example")) == 403


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The app with a token, as on an address that others reach."""
    folder: Path = copy_of("planned", tmp_path_factory.mktemp("guarded") / "case")
    with pytest.MonkeyPatch.context() as quiet:
        quiet.setattr(SceneViews, "start", lambda self: None)
        running = Served(Session(folder), TOKEN)
        yield running
        running.close()


def test_with_a_token_nothing_at_all_is_answered_without_it(guarded: Served) -> None:
    for path in ("/", "/alive", "/api/document", "/__navplan/page.js", "/api/slice?cut=axial&at=0,0,0", "/vue.js"):
        answer = guarded.get(path)
        assert answer.status == 401 and "?token=" in answer.words and TOKEN not in answer.words
    assert guarded.act("undo").status == guarded.post("/paraview/").status == 401
    assert asyncio.run(socket_status(guarded.host)) == 401
    opened = guarded.get(f"/?token={TOKEN}")
    assert opened.status == 302 and TOKEN not in opened.headers["location"]
    cookie = opened.headers["set-cookie"].partition(";")[0]
    assert guarded.get("/api/document", Cookie=cookie).status == 200
    assert asyncio.run(socket_status(guarded.host, Cookie=cookie)) == 101
    assert asyncio.run(socket_status(guarded.host, Cookie=cookie, Origin="http://evil.example")) == 403
