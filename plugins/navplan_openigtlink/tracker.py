"""Entry point `navplan.trackers`: openigtlink."""

from __future__ import annotations

from navplan.errors import InputError
from navplan_openigtlink.client import Client
from navplan_openigtlink.messages import Message, Request

_ASKS = ("TDATA", "QTDATA", "SILENT")
_EXPECTED = "HOST:PORT, mostly 127.0.0.1:18944; HOST:PORT/TDATA to ask for TDATA, HOST:PORT/SILENT to send nothing"


class OpenIGTLinkTracker:
    """A tracker that sends TRANSFORM, TDATA, QTDATA or POSITION over TCP."""

    name = "openigtlink"
    description = "OpenIGTLink 1 to 3 over TCP (PLUS, 3D Slicer, robots): HOST:PORT, HOST:PORT/TDATA to ask for TDATA"

    def open(self, address: str) -> Client:
        """Connect to HOST:PORT, and ask for the status after each connection, in header version 2.

        PLUS answers in the highest version that a client ever sent, and only version 2 tells that a tool is lost. A
        suffix /TDATA or /QTDATA sends the request to start (STT_) as well, in version 1, which all trackers read;
        /SILENT sends nothing at all.

        Raises InputError for an address that is none; that nobody answers there is told by the link's `fault`.
        """
        host, port, ask = parsed(address)
        greeting = [] if ask == "SILENT" else [Message(Request("GET", "STATUS"), version=2)]
        if ask in ("TDATA", "QTDATA"):
            greeting.append(Message(Request("STT", ask)))
        return Client(host, port, tuple(greeting))


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65536


def parsed(address: str) -> tuple[str, int, str]:
    """Host, port and what to ask for. An IPv6 host stands in brackets. Raises InputError."""
    place, _, ask = address.strip().partition("/")
    host, colon, port = place.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if bracketed else host
    good_host = host and not any(c.isspace() for c in host) and (bracketed or ":" not in host) and len(host) < 254
    if not colon or not good_host or not _is_port(port):
        raise InputError(f"the address {address!r}", _EXPECTED)
    if ask.upper() not in ("", *_ASKS):
        raise InputError(f"the address {address!r} that asks for {ask!r}", _EXPECTED)
    return host, int(port), ask.upper()
