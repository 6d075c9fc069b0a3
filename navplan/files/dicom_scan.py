"""DICOM series under a path: files found, headers read, pictures that belong together put together."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pydicom

from navplan.errors import FileFormatError, InputError
from navplan.files.dicom_facts import HEADER_TAGS, text
from navplan.files.dicom_frames import Frame, frames_of
from navplan.files.dicom_pixels import read_header
from navplan.files.dicom_split import split
from navplan.files.image_files import check_there, format_of

DIRECTORY_CLASS = "1.2.840.10008.1.3.10"
NEVER_DICOM = frozenset((
    ".txt", ".json", ".xml", ".csv", ".tsv", ".pdf", ".png", ".jpg", ".jpeg", ".gif", ".md", ".html",
    ".log", ".zip", ".gz",
))  # fmt: skip
TOLD_EVERY = 50  # files


@dataclass(frozen=True, eq=False)
class DicomSeries:
    """Pictures of one series that may make one volume; nothing is promised about their geometry yet.

    uid: DICOM's; part: what tells them from the others of their series ("echo time 80"), "" where there are none;
    number: of the part, from 1, 0 where there is just one; copies: pairs of pictures that have one SOP Instance UID
    (the second of each is left out of `frames`).
    """

    uid: str
    frames: tuple[Frame, ...]
    part: str = ""
    number: int = 0
    copies: tuple[tuple[Frame, Frame], ...] = ()

    @property
    def name(self) -> str:
        """The series UID, with the number of the part behind a # where there are several."""
        return f"{self.uid}#{self.number}" if self.number else self.uid

    @property
    def paths(self) -> tuple[Path, ...]:
        """Of its pictures."""
        return tuple(frame.path for frame in self.frames)

    @property
    def headers(self) -> tuple[pydicom.Dataset, ...]:
        """Of its pictures, each as a classic file of one picture would have it."""
        return tuple(frame.header for frame in self.frames)

    @property
    def modality(self) -> str:
        """DICOM Modality of the first picture."""
        return text(self.frames[0].header, "Modality")


@dataclass(frozen=True)
class UnreadFile:
    """A file that may have been meant as DICOM and could not be read, with the reason."""

    path: Path
    reason: str


def find_series(
    path: str | Path, progress: Callable[[str, float], None] = lambda words, share: None, also: Sequence[Path] = ()
) -> tuple[tuple[DicomSeries, ...], tuple[UnreadFile, ...]]:
    """The DICOM series under a folder (or of one file), largest first, and files that could not be read.

    A series that holds several volumes (echoes, phases, b-values ...) comes as several. Reads no pixels. also: folders
    whose files are taken for ones of the first; progress: may raise to stop. Raises InputError where there is no such
    path or the folder may not be read.
    """
    path = Path(path)
    check_there(path)
    files = [path] if path.is_file() else list(_files_under(path))
    files += [file for folder in also for file in _files_under(folder)]
    groups: dict[str, list[Frame]] = {}
    unread: list[UnreadFile] = []
    for number, file in enumerate(files):
        if number % TOLD_EVERY == 0:
            progress(f"headers: {number} of {len(files)} files", number / len(files))
        try:
            header, pixels_at = read_header(file, HEADER_TAGS)
            if text(header.file_meta, "MediaStorageSOPClassUID") == DIRECTORY_CLASS:
                continue
            uid = text(header, "SeriesInstanceUID")
            if not uid:
                raise FileFormatError(f"{file.name}: a DICOM file that is cut short, or of no series")
            groups.setdefault(uid, []).extend(frames_of(file, header, pixels_at))
        except FileFormatError as error:
            if path.is_file() or not _is_side_note(file):
                unread.append(UnreadFile(file, error.received))
    series = [one for uid, frames in groups.items() for one in _series(uid, frames)]
    return tuple(sorted(series, key=lambda one: (-len(one.frames), one.uid, one.number))), tuple(unread)


def _series(uid: str, frames: list[Frame]) -> tuple[DicomSeries, ...]:
    first: dict[tuple[str, int | None], Frame] = {}
    copies: dict[tuple[str, int | None], list[tuple[Frame, Frame]]] = {}
    for frame in frames:
        known = first.setdefault(frame.instance, frame)
        if known is not frame:
            copies.setdefault(frame.instance, []).append((known, frame))
    parts = split(tuple(first.values()))
    made = [
        DicomSeries(
            uid, part.frames, part.words, number if len(parts) > 1 else 0,
            tuple(pair for frame in part.frames for pair in copies.get(frame.instance, ())),
        )
        for number, part in enumerate(parts, 1)
    ]  # fmt: skip
    return tuple(made)


def _files_under(folder: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename}: {error.strerror}", "a folder that can be read") from error

    for root, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            file = Path(root, name)
            if not name.startswith(".") and file.suffix.lower() not in NEVER_DICOM and not format_of(file):
                yield file


def _is_side_note(path: Path) -> bool:
    """A LICENSE, a README: plain text whose name does not say that it is DICOM."""
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError:
        return False
    text_only = b"\0" not in start and start.decode("utf-8", errors="ignore").encode() in (
        start,
        start[:-1],
        start[:-2],
    )
    return path.suffix.lower() not in (".dcm", ".ima", ".dicom") and text_only
