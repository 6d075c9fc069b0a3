"""A session on an nnInteractive server through its published client; what goes wrong there, in words."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from navplan.errors import InputError, MissingComponentError

BROKEN = (  # what the client raises over an answer that it cannot make sense of
    ValueError, KeyError, TypeError, IndexError, AttributeError, AssertionError, ArithmeticError, MemoryError,
    RuntimeError,
)  # fmt: skip
SERVER_VARIABLE = "NAVPLAN_NNINTERACTIVE"  # http://HOST:PORT; the client itself reads NN_INTERACTIVE_API_KEY
PREDICTION_S = 300.0  # that one prediction may take: the client's own 60 s are short for a server without a GPU


def named(server: str = "") -> str:
    """The server's address: the one that is given, else the one of NAVPLAN_NNINTERACTIVE; "" where there is none."""
    return server or os.environ.get(SERVER_VARIABLE, "")


def shown(server: str = "") -> str:
    """The server as words may show it: http://HOST:PORT, without a name or password that the address may hold."""
    address = named(server)
    try:
        parts = urlsplit(address)
        place = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    except ValueError:
        return address.rpartition("@")[2]
    return place if parts.netloc else address.rpartition("@")[2]


def fault() -> str:
    """Why no session can be had, in a sentence, without asking the server: no address, no client; "" where it can."""
    if not named():
        return f"No nnInteractive server is named: start one, then navplan with {SERVER_VARIABLE}=http://HOST:PORT."
    if not _is_address(named()):
        return f"{SERVER_VARIABLE} is {shown()!r}, and has to be http://HOST:PORT."
    return "" if find_spec("nnInteractive") else 'Its client is missing: pip install "navplan[interactive]".'


def _is_address(server: str) -> bool:
    return server.lower().startswith(("http://", "https://"))


def connect(server: str = "", api_key: str = "") -> Any:
    """An open nnInteractiveRemoteInferenceSession; close it when done: a server has few places.

    server: "http://gpu-box:1527", "" takes NAVPLAN_NNINTERACTIVE. api_key: "" takes NN_INTERACTIVE_API_KEY. Raises
    MissingComponentError without the client, InputError: see `told`.
    """
    server = named(server)
    if not _is_address(server):
        raise InputError(
            f"the nnInteractive server {shown(server)!r}", "http://HOST:PORT of a server that you run",
            f"Start nninteractive-server, and name it here or in {SERVER_VARIABLE}",
        )  # fmt: skip
    try:
        import_module("nnInteractive.inference.remote")
        from navplan_nninteractive.answers import CheckedSession
    except ImportError as error:
        raise MissingComponentError(
            f"the client of nnInteractive cannot be loaded: {error}", "the package nninteractive-client",
            'pip install "navplan[interactive]"',
        ) from error  # fmt: skip
    with told(server):
        return CheckedSession(server, api_key or None, read_timeout=PREDICTION_S)


@contextmanager
def told(server: str) -> Iterator[None]:
    """Turns what the client raises into InputError: nobody there, no place, a wrong key, a session that is over, a
    request that is refused (with the server's reason), an answer that is none."""
    import httpx
    from nnInteractive.inference.remote import ServerAtCapacityError, SessionExpiredError

    at = f"the nnInteractive server {shown(server)}"
    try:
        yield
    except SessionExpiredError as error:
        raise InputError(
            f"{at} has ended the session: {error}", "a session that is still open",
            "Begin the structure again: image and interactions are no longer there",
        ) from error  # fmt: skip
    except ServerAtCapacityError as error:
        raise InputError(f"{at} has no free place: {error}", "a free place", "Try again later") from error
    except httpx.HTTPStatusError as error:
        raise _refused(at, error.response) from error
    except httpx.TimeoutException as error:
        raise InputError(f"{at} does not answer in time ({type(error).__name__})", "an answer", "Look at it") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise InputError(f"{at} cannot be reached: {error}", "a server that runs", "Start it, or name it") from error
    except BROKEN as error:
        raise InputError(
            f"{at} gave an answer that cannot be read: {type(error).__name__}: {error}", "nnInteractive's protocol",
            "Do its version and the client's fit? Is it an nnInteractive server?",
        ) from error  # fmt: skip


def _refused(at: str, response: Any) -> InputError:
    if response.status_code in (401, 403):
        return InputError(f"{at} refuses the key", "the key that it was started with", "Set NN_INTERACTIVE_API_KEY")
    try:
        reason = json.loads(response.text).get("detail")
    except (ValueError, AttributeError):
        reason = None
    return InputError(f"{at} answers {response.status_code}: {reason or 'no reason given'}", "a request that it takes")
