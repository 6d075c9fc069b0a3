"""A session on an nnInteractive server through its published client; what goes wrong there, in words."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from navplan.errors import InputError, MissingComponentError

SERVER_VARIABLE = "NAVPLAN_NNINTERACTIVE"  # http://HOST:PORT; the client itself reads NN_INTERACTIVE_API_KEY
PREDICTION_S = 300.0  # that one prediction may take: the client's own 60 s are short for a server without a GPU


def connect(server: str = "", api_key: str = "") -> Any:
    """An open nnInteractiveRemoteInferenceSession; close it when done: a server has few places.

    server: "http://gpu-box:1527", "" takes NAVPLAN_NNINTERACTIVE. api_key: "" takes NN_INTERACTIVE_API_KEY. Raises
    MissingComponentError without the client, InputError: see `told`.
    """
    server = server or os.environ.get(SERVER_VARIABLE, "")
    if not server.lower().startswith(("http://", "https://")):
        raise InputError(
            f"the nnInteractive server {server!r}", "http://HOST:PORT of a server that you run",
            f"Start nninteractive-server, and name it here or in {SERVER_VARIABLE}",
        )  # fmt: skip
    try:
        from nnInteractive.inference.remote import nnInteractiveRemoteInferenceSession
    except ImportError as error:
        raise MissingComponentError(
            f"the client of nnInteractive cannot be loaded: {error}", "the package nninteractive-client",
            'pip install "navplan[interactive]"',
        ) from error  # fmt: skip
    with told(server):
        return nnInteractiveRemoteInferenceSession(server, api_key or None, read_timeout=PREDICTION_S)


@contextmanager
def told(server: str) -> Iterator[None]:
    """Turns what the client raises into InputError: nobody there, no place, a wrong key, a session that is over, a
    request that is refused (with the server's reason), an answer that is none."""
    import httpx
    from nnInteractive.inference.remote import ServerAtCapacityError, SessionExpiredError

    at = f"the nnInteractive server {server}"
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
    except (ValueError, KeyError, TypeError, IndexError, RuntimeError) as error:
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
