"""The app on a free port in a thread with its own loop, and requests to it as a browser, or somebody else, sends."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from navplan.app.server import App
from navplan.model.plan import Plan
from navplan.session.session import Session
from navplan.session.shown import Shown
from tests.session.saved_case import fingerprint

PAGES_OWN = {"X-Navplan": "1", "Content-Type": "application/json"}


@dataclass(frozen=True)
class Answer:
    """status, headers (names in small letters) and body of an answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body; NaN and infinity are refused, as browsers do."""

        def refuse(name: str) -> Any:
            raise AssertionError(f"{name} in JSON")

        return json.loads(self.body, parse_constant=refuse)

    @property
    def words(self) -> str:
        """What a person is told of a refusal."""
        if self.headers.get("content-type", "").startswith("application/json"):
            return str(self.json["error"])
        return self.body.decode()


def way_of(session: Session) -> Shown:
    """The way that a session shows."""
    shown = session.shown()
    assert shown is not None
    return shown


def plan_of(session: Session) -> Plan:
    """The plan that a session looks at."""
    plan = session.plan_now()
    assert plan is not None
    return plan


class Served:
    """A running app. host: of the address that it is asked by."""

    def __init__(self, session: Session, token: str = "") -> None:
        self.session = session
        bound = threading.Event()
        self.app = App(session, "127.0.0.1", 0, token, lambda port: bound.set())
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="served")
        self._thread.start()
        assert bound.wait(60), "the server did not start"
        self.port = int(self.app._server.port)
        self.host = f"127.0.0.1:{self.port}"

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._task = self._loop.create_task(self.app.serve())
        try:
            self._loop.run_until_complete(self._task)
        except asyncio.CancelledError:
            pass
        finally:
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()

    def close(self) -> None:
        """Stop it."""
        assert self._task is not None
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(60)
        assert not self._thread.is_alive(), "the server does not stop"

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request, with nothing but these headers and a Host."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            given = {"Host": self.host, **(headers or {})}
            if body is not None:
                given.setdefault("Content-Length", str(len(body)))
            for name, value in given.items():
                connection.putheader(name, value)
            connection.endheaders()
            if body is not None:
                connection.send(body)
            response = connection.getresponse()
            told = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, told, response.read())
        finally:
            connection.close()

    def raw(self, data: bytes) -> bytes:
        """Bytes as they are, and what comes back."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as line:
            line.sendall(data)
            found = b""
            while part := line.recv(65536):
                found += part
        return found

    def get(self, path: str, **headers: str) -> Answer:
        """As a page gets."""
        return self.ask("GET", path, None, headers)

    def post(self, path: str, arguments: Any = None, body: bytes | None = None, **headers: str) -> Answer:
        """As the page posts: JSON, with its own header."""
        data = body if body is not None else json.dumps({} if arguments is None else arguments).encode()
        return self.ask("POST", path, data, {**PAGES_OWN, **headers})

    def act(self, name: str, **arguments: Any) -> Answer:
        """One action."""
        return self.post(f"/api/act/{name}", arguments)

    def files(self) -> dict[str, tuple[int, int, int]]:
        """The case folder, as fingerprints, and what is kept beside it."""
        kept = self.session.folder / "session.json"
        told = {"session.json": _print(kept)} if kept.exists() else {}
        return {**fingerprint(self.session.folder), **told}


def _print(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ino
