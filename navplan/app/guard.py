"""Who may talk to the page: this machine, or whoever holds the token; and what a browser may do with it."""

from __future__ import annotations

import hmac
import ipaddress
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

COOKIE = "navplan-token"
LARGEST_BODY_BYTES = 1_000_000  # of a request: actions are small
LARGEST_PICTURE_BYTES, PICTURES_TO = 200_000_000, "/api/shots/load"  # a run of fluoroscopy, and where it is sent
MOST_SESSIONS, SESSION_S = 8, 12 * 3600.0  # browsers that may hold the token's cookie at once, and for how long
MOST_WRONG, WRONG_S = 20, 60.0  # wrong tokens a minute, then none is looked at
_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' blob: data:; connect-src 'self' ws: wss:; "
    "font-src 'self'; frame-ancestors 'none'; base-uri 'self'; form-action 'none'"
)
HEADERS = {
    "Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store", "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}  # fmt: skip

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::[0-9]{1,5})?")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only mean this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Guard:
    """token: "" on loopback, where whoever can connect is this machine's; else what each browser must show once."""

    def __init__(self, token: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.token = token
        self._clock = clock
        self._sessions: dict[str, float] = {}
        self._wrong: list[float] = []

    def refusal(self, request: web.Request) -> web.StreamResponse | None:
        """What to answer instead of what was asked; None where it may be asked."""
        place = request.headers.get("Host", "")
        host = _name_of(place)
        if not self.token and not is_loopback(host):
            return _refused(403, f"This page is for this machine alone; it was asked for as {host[:80]!a}.")
        origin = request.headers.get("Origin", "")
        if origin and _place_of(origin) != place:
            return _refused(403, "A page of another site may not use this one.")
        if request.method == "POST" and request.path.startswith("/api/") and request.headers.get("X-Navplan") != "1":
            return _refused(403, "An action must come from the page itself.")
        largest = LARGEST_PICTURE_BYTES if request.path == PICTURES_TO else LARGEST_BODY_BYTES
        if (request.content_length or 0) > largest:
            return _refused(413, f"More than {largest} bytes at once.")
        return self._token_refusal(request) if self.token else None

    def _token_refusal(self, request: web.Request) -> web.StreamResponse | None:
        from secrets import token_urlsafe

        now = self._clock()
        self._sessions = {key: until for key, until in self._sessions.items() if until > now}
        if request.cookies.get(COOKIE, "") in self._sessions:
            return None
        shown = request.query.get("token", "")
        self._wrong = [when for when in self._wrong if when > now - WRONG_S]
        if len(self._wrong) >= MOST_WRONG:
            return _refused(429, "Too many wrong tokens: wait a minute.")
        if not shown or not hmac.compare_digest(shown.encode(errors="replace"), self.token.encode()):
            self._wrong += [now] if shown else []
            return _refused(401, "Open the address that navplan serve printed: it ends in ?token=...")
        if len(self._sessions) >= MOST_SESSIONS:
            return _refused(503, f"{MOST_SESSIONS} browsers use this page already.")
        key = token_urlsafe(32)
        self._sessions[key] = now + SESSION_S
        answer = web.Response(status=302, headers={"Location": "/"})  # without the token, and never to another site
        answer.set_cookie(COOKIE, key, httponly=True, samesite="Strict", max_age=int(SESSION_S))
        return answer


def _name_of(place: str) -> str:
    """The host of HOST:PORT; "" where that is none."""
    found = _HOST.fullmatch(place)
    return found.group(1) if found else ""


def _place_of(origin: str) -> str:
    """Host and port of an origin; "" where it has none, or is none."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _refused(status: int, words: str) -> web.Response:
    return web.Response(status=status, text=f"{words}\n", content_type="text/plain")


def guarded(guard: Guard) -> Any:
    """The middleware."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        answer = guard.refusal(request)
        try:
            answer = answer if answer is not None else await handler(request)
        except web.HTTPException as other:  # what aiohttp itself answers: not found, not so
            other.headers.update(HEADERS)
            raise
        if not answer.prepared:
            answer.headers.update(HEADERS)
        return answer

    return middleware
