"""What a JPEG or JPEG-LS stream says of its picture: GDCM ends the whole process where a header promises another."""

from __future__ import annotations

from dataclasses import dataclass

import pydicom
from pydicom.encaps import get_frame

from navplan.errors import FileFormatError

SYNTAXES = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 57, 70, 80, 81))
# Start of frame (ISO/IEC 10918-1 table B.1; 14495-1 C.2.2 for JPEG-LS).
STARTS = frozenset((*range(0xC0, 0xD0), 0xF7)) - {0xC4, 0xC8, 0xCC}


@dataclass(frozen=True)
class JpegFrame:
    """Of a stream: size, samples for each pixel, and bits of a sample."""

    rows: int
    columns: int
    samples: int
    bits: int

    def __str__(self) -> str:
        return f"{self.columns}x{self.rows} pixels of {self.samples} x {self.bits} bits"


def frame_of(stream: bytes) -> JpegFrame | None:
    """The first frame that a stream announces; None where it announces none."""
    at = stream.find(b"\xff\xd8", 0, 64) + 2
    while at >= 2 and at + 10 <= len(stream) and stream[at] == 0xFF:
        marker = stream[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker in STARTS:
            rows, columns = (int.from_bytes(stream[n : n + 2], "big") for n in (at + 5, at + 7))
            return JpegFrame(rows, columns, stream[at + 9], stream[at + 4])
        else:
            at += 2 + int.from_bytes(stream[at + 2 : at + 4], "big")
    return None


def check_stream(data: pydicom.Dataset, number: int, name: str) -> None:
    """Raises FileFormatError where the stream of a frame (from 0) is not of the picture that the header describes;
    whatever pydicom raises for pixel data that holds no such frame. Nothing for other transfer syntaxes."""
    if data.file_meta.get("TransferSyntaxUID") not in SYNTAXES:
        return
    count = int(data.get("NumberOfFrames") or 1)
    found = frame_of(get_frame(data.PixelData, number, number_of_frames=count))
    said = JpegFrame(int(data.Rows), int(data.Columns), int(data.SamplesPerPixel), int(data.BitsAllocated))
    if found is None or (found.rows, found.columns, found.samples) != (said.rows, said.columns, said.samples) or (
        (found.bits + 7) // 8 * 8 != said.bits
    ):
        raise FileFormatError(f"{name}: a JPEG stream of {found or 'no picture'}", f"{said}, as the header says")
