"""Messages off a TCP stream."""

from __future__ import annotations

import asyncio
import socket

from navplan_openigtlink.codec import decode_body
from navplan_openigtlink.fault import MessageError
from navplan_openigtlink.header import HEADER_SIZE, read_header
from navplan_openigtlink.messages import Message

STALL_S = 5.0  # a message that was begun goes on within this time
_PIECE = 1 << 20  # bytes read at once
_LARGE = 1 << 16  # bytes, from which decoding has a thread of its own


async def read_message(
    reader: asyncio.StreamReader, body_limit: int, stall_s: float = STALL_S
) -> tuple[Message, int] | None:
    """The next message and its size in bytes, None where the sender closed between two. Raises MessageError, OSError.

    Waits for a message to begin for as long as it takes. Memory grows with the bytes that come, not with the size that
    a header announces.
    """
    first = await reader.read(HEADER_SIZE)
    if not first:
        return None
    header = read_header(await _rest(reader, bytearray(first), HEADER_SIZE, "a header", stall_s), body_limit)
    body = bytes(await _rest(reader, bytearray(), header.body_size, header.type, stall_s))
    large = len(body) >= _LARGE
    message = await asyncio.to_thread(decode_body, header, body) if large else decode_body(header, body)
    return message, HEADER_SIZE + len(body)


def notice_when_dead(writer: asyncio.StreamWriter) -> None:
    """Have the system find out when the other side has gone without a word."""
    connection = writer.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


async def _rest(reader: asyncio.StreamReader, data: bytearray, size: int, what: str, stall_s: float) -> bytearray:
    while len(data) < size:
        try:
            async with asyncio.timeout(stall_s):
                piece = await reader.read(min(size - len(data), _PIECE))
        except TimeoutError as error:
            raise MessageError(
                f"{what} that stopped at {len(data)} of {size} bytes for {stall_s:g} s", "the rest of it"
            ) from error
        if not piece:
            raise MessageError(f"{what} that ended at {len(data)} of {size} bytes", "the rest of it")
        data += piece
    return data
