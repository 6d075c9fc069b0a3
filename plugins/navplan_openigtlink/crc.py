"""The checksum of a message's body: CRC-64 of ECMA-182, polynomial 0x42F0E1EBA9EA3693, highest bit first, start 0.

Nothing is inverted or reflected. Short bodies go through one table, byte by byte. Long ones use that the CRC is linear
and that it starts at 0: the CRC of a block is the exclusive or of one table entry for each byte and place, and blocks
are joined by moving the left one's CRC on by the right one's length, again with tables.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

POLYNOMIAL = 0x42F0E1EBA9EA3693
_MASK = (1 << 64) - 1
_SHORT = 1024  # bytes, below which the plain loop is faster
_BLOCK = 64  # bytes that have tables of their own
_LEVELS = 14
_CHUNK = _BLOCK << _LEVELS  # 1 MiB, worked on at once
_Words = NDArray[np.uint64]


def _entry(byte: int) -> int:
    crc = byte << 56
    for _ in range(8):
        crc = (crc << 1) ^ POLYNOMIAL if crc >> 63 else crc << 1
        crc &= _MASK
    return crc


_TABLE = tuple(_entry(byte) for byte in range(256))


def crc64(data: bytes | bytearray | memoryview) -> int:
    """The CRC of bytes, 64 bits."""
    if len(data) >= _SHORT:
        return _long(np.frombuffer(data, dtype=np.uint8))
    crc = 0
    for byte in bytes(data):
        crc = _TABLE[(crc >> 56) ^ byte] ^ ((crc << 8) & _MASK)
    return crc


def _long(data: NDArray[np.uint8]) -> int:
    places, moves = _tables()
    crc: _Words = np.zeros(1, dtype=np.uint64)
    first = len(data) % _CHUNK
    ends = range(first if first else _CHUNK, len(data) + 1, _CHUNK)
    begin = 0
    for end in ends:  # the odd piece comes first: zeros in front of it change nothing
        crc = _moved(crc, moves[_LEVELS]) ^ _of_chunk(data[begin:end], places, moves)
        begin = end
    return int(crc[0])


def _of_chunk(data: NDArray[np.uint8], places: _Words, moves: tuple[_Words, ...]) -> _Words:
    """The CRC (1,) of at most 1 MiB."""
    whole = -(-len(data) // _BLOCK) * _BLOCK
    if whole != len(data):
        data = np.concatenate([np.zeros(whole - len(data), dtype=np.uint8), data])
    columns = np.ascontiguousarray(data.reshape(-1, _BLOCK).T)
    crcs = places[0][columns[0]]
    for place in range(1, _BLOCK):
        crcs ^= places[place][columns[place]]
    for move in moves:
        if len(crcs) == 1:
            break
        if len(crcs) % 2:
            crcs = np.concatenate([np.zeros(1, dtype=np.uint64), crcs])
        crcs = _moved(crcs[0::2], move) ^ crcs[1::2]
    return crcs


def _moved(crcs: _Words, move: _Words) -> _Words:
    """CRCs (n,) after as many zero bytes as the tables (8, 256) stand for."""
    found = move[0][crcs & np.uint64(255)]
    for byte in range(1, 8):
        found = found ^ move[byte][(crcs >> np.uint64(8 * byte)) & np.uint64(255)]
    return found


@cache
def _tables() -> tuple[_Words, tuple[_Words, ...]]:
    """(64, 256): what a byte at each place of a block adds to the block's CRC; and for 64, 128, ... 1 MiB zero bytes
    (8, 256): what each byte of a CRC becomes."""
    one = np.array(_TABLE, dtype=np.uint64)
    places = np.empty((_BLOCK, 256), dtype=np.uint64)
    places[-1] = one
    for place in range(_BLOCK - 2, -1, -1):
        later = places[place + 1]
        places[place] = one[later >> np.uint64(56)] ^ (later << np.uint64(8))
    move = np.arange(256, dtype=np.uint64) << (np.arange(8, dtype=np.uint64)[:, None] * np.uint64(8))
    for _ in range(_BLOCK):
        move = one[move >> np.uint64(56)] ^ (move << np.uint64(8))
    moves = [move]
    for _ in range(_LEVELS):
        moves.append(np.stack([_moved(row, moves[-1]) for row in moves[-1]]))
    return places, tuple(moves)
