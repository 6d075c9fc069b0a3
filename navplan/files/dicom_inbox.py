"""A folder of DICOM objects that were sent here: each whole or not there at all, in STUDY/SERIES/INSTANCE.dcm by UID.

Nothing in it is ever written over. What a UID may be is PS3.5, section 9: digits and dots, 64 characters at most; no
other name reaches the disk.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import shutil
import threading
import time
import warnings
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
from pydicom.config import disable_value_validation
from pydicom.dataelem import RawDataElement

from navplan.errors import InputError
from navplan.files.case_lock import writer_lock
from navplan.files.dicom_facts import HEADER_TAGS, acquisition_of, text
from navplan.files.durable import folder_made, sync_folder, write_whole

LARGEST_OBJECT_BYTES = 1 << 30
FREE_BYTES_LEFT = 1 << 30  # of the disk, that an inbox leaves to others
OUT_OF_RESOURCES, NOT_OF_ITS_CLASS, NOT_UNDERSTOOD = 0xA700, 0xA900, 0xC000  # PS3.4, table B.2-1
ANOTHER_OF_THE_UID = 0xC001
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_LONGEST_UID = 64
_UNFINISHED = re.compile(r"\.[0-9.]+\.dcm\.\d+\.part")
_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_META_AT = 144  # where a file's meta information begins, behind its own length
_UNDEFINED_LENGTH = 0xFFFFFFFF

log = logging.getLogger(__name__)


class NotKept(Exception):
    """An object that the inbox refuses. status: of the answer (PS3.4, table B.2-1); words: why, without any name."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status, self.words = status, words


@dataclass(frozen=True)
class KeptObject:
    """Where an object belongs. new: False where the inbox had it already, bit for bit."""

    study_uid: str
    series_uid: str
    instance_uid: str
    new: bool = True


class Inbox:
    """The folder, held by one listener at a time: use it in a `with`.

    largest_bytes: of one object; free_bytes: what must be left on the disk once an object is written. Entering makes
    the folder, takes its lock and sweeps what an earlier one left unfinished; raises InputError where it can't be
    written to, CaseFolderError where another program listens into it.
    """

    def __init__(
        self, folder: str | Path, largest_bytes: int = LARGEST_OBJECT_BYTES, free_bytes: int = FREE_BYTES_LEFT
    ) -> None:
        self.folder, self.largest_bytes, self.free_bytes = Path(folder), largest_bytes, free_bytes
        self._writing = threading.Lock()
        self._there: dict[str, Path] = {}
        self._held = contextlib.ExitStack()

    def __enter__(self) -> Inbox:
        try:
            with folder_made(self.folder):
                self._held.enter_context(writer_lock(self.folder, wait_s=0.0))
            for series in _series_folders(self.folder):
                for name in os.listdir(series):
                    if _UNFINISHED.fullmatch(name):
                        (series / name).unlink(missing_ok=True)
                    elif name.endswith(".dcm") and is_uid(name[:-4]):
                        self._there[name[:-4]] = series / name
        except OSError as error:
            self._held.close()
            raise InputError(
                f"the inbox {self.folder}: {error.strerror or error}", "a folder that may be written to"
            ) from error
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def keep(self, data: bytes, class_uid: str, instance_uid: str) -> KeptObject:
        """Have an object on the disk before this returns. data: of a DICOM file, with its meta information;
        class_uid, instance_uid: as the sender announced it.

        Raises NotKept, and nothing of the object is left: too large or no room (0xA700), of another class or instance
        than announced (0xA900), not a whole data set or UIDs that are none (0xC000), another object of a UID that is
        there (0xC001).
        """
        with self._writing:
            if len(data) > self.largest_bytes:
                raise NotKept(OUT_OF_RESOURCES, f"an object of {len(data)} bytes, more than {self.largest_bytes}")
            header = _whole_header(data)
            if text(header, "SOPClassUID") != class_uid or text(header, "SOPInstanceUID") != instance_uid:
                raise NotKept(NOT_OF_ITS_CLASS, "a data set of another SOP class or instance than announced")
            study, series = text(header, "StudyInstanceUID"), text(header, "SeriesInstanceUID")
            if not all(is_uid(one) for one in (study, series, instance_uid)):
                raise NotKept(NOT_UNDERSTOOD, "study, series or instance UID missing, or no UID")
            there = self._there.get(instance_uid)
            if there is not None and there.exists():
                if there.parent != self.folder / study / series or not _same_object(there, data):
                    raise NotKept(ANOTHER_OF_THE_UID, f"another object of the SOP Instance UID {instance_uid} is kept")
                return KeptObject(study, series, instance_uid, new=False)
            self._write(self.folder / study / series / f"{instance_uid}.dcm", data)
            return KeptObject(study, series, instance_uid)

    def _write(self, path: Path, data: bytes) -> None:
        try:
            if shutil.disk_usage(self.folder).free - len(data) < self.free_bytes:
                raise NotKept(OUT_OF_RESOURCES, f"no room: {self.free_bytes} bytes of the disk are left to others")
            new = not path.parent.exists()
            with folder_made(path.parent):
                write_whole(path, data)
            for folder in (path.parent.parent, self.folder) if new else ():
                sync_folder(folder)
        except OSError as error:
            words = "the disk is full" if error.errno in _DISK_FULL else f"cannot be written: {error.strerror or error}"
            raise NotKept(OUT_OF_RESOURCES, words) from error
        self._there[path.stem] = path


def is_uid(words: str) -> bool:
    """Whether this is a UID, and with it a name that is safe for a file or folder: digits and dots, 64 at most."""
    return len(words) <= _LONGEST_UID and _UID.fullmatch(words) is not None


def _whole_header(data: bytes) -> pydicom.Dataset:
    """The data set, if all of it is there. Raises NotKept."""
    try:
        with warnings.catch_warnings(), disable_value_validation():
            warnings.simplefilter("ignore")
            found = pydicom.dcmread(BytesIO(data))
    except Exception as error:  # pydicom raises many kinds for a damaged file; their words may hold values
        raise NotKept(NOT_UNDERSTOOD, f"a data set that cannot be read ({type(error).__name__})") from None
    for element in found.values():
        if not isinstance(element, RawDataElement) or element.length == _UNDEFINED_LENGTH:
            continue
        if len(element.value or b"") != element.length:
            raise NotKept(NOT_UNDERSTOOD, "a data set that ends too early")
    return found


def _same_object(path: Path, data: bytes) -> bool:
    """Whether a file holds the same data set in the same transfer syntax. Its meta information also names the program
    that wrote it, which may be an older one."""
    kept = path.read_bytes()
    syntaxes = [_transfer_syntax(one) for one in (kept, data)]
    return syntaxes[0] == syntaxes[1] and kept[_data_set_at(kept) :] == data[_data_set_at(data) :]


def _transfer_syntax(data: bytes) -> str:
    found = pydicom.dcmread(BytesIO(data), stop_before_pixels=True, specific_tags=["SOPInstanceUID"])
    return str(found.file_meta.TransferSyntaxUID)


def _data_set_at(data: bytes) -> int:
    """Where the data set begins, by the group length of the meta information (PS3.10, section 7.1)."""
    return _META_AT + int.from_bytes(data[_META_AT - 4 : _META_AT], "little")


def _series_folders(folder: Path) -> list[Path]:
    """STUDY/SERIES below an inbox; whatever else lies there is not the inbox's."""

    def inside(place: Path) -> list[Path]:
        return [one for one in place.iterdir() if is_uid(one.name) and one.is_dir() and not one.is_symlink()]

    return [series for study in inside(folder) for series in inside(study)]


@dataclass(frozen=True)
class ArrivedSeries:
    """A series in an inbox. description is left out where it repeats a part of the patient's name or identifiers;
    date: ISO 8601, "" where unknown; grew_s: seconds since the Epoch when an object came last."""

    uid: str
    folder: Path
    objects: int
    grew_s: float
    modality: str = ""
    description: str = ""
    date: str = ""


@dataclass(frozen=True)
class ArrivedStudy:
    """A study in an inbox. DICOM says of no study that it is complete: quiet_s tells since when nothing came."""

    uid: str
    folder: Path
    series: tuple[ArrivedSeries, ...]

    @property
    def objects(self) -> int:
        """How many are there."""
        return sum(one.objects for one in self.series)

    @property
    def grew_s(self) -> float:
        """Seconds since the Epoch when an object came last."""
        return max(one.grew_s for one in self.series)

    def quiet_s(self) -> float:
        """Seconds since an object came last."""
        return max(time.time() - self.grew_s, 0.0)


class InboxList:
    """What lies in an inbox, whoever listens into it. A series is read again only when it grew."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._known: dict[Path, tuple[int, ArrivedSeries]] = {}
        self._reading = threading.Lock()

    def studies(self) -> tuple[ArrivedStudy, ...]:
        """The studies, the one that grew last first; none where there is no such folder yet."""
        with self._reading:
            try:
                folders = _series_folders(self.folder)
            except OSError:
                folders = []
            found: dict[Path, list[ArrivedSeries]] = {}
            for folder in folders:
                series = self._series(folder)
                if series is not None:
                    found.setdefault(folder.parent, []).append(series)
            self._known = {folder: self._known[folder] for folder in folders if folder in self._known}
        made = [
            ArrivedStudy(study.name, study, tuple(sorted(series, key=lambda one: (-one.objects, one.uid))))
            for study, series in found.items()
        ]
        return tuple(sorted(made, key=lambda one: (-one.grew_s, one.uid)))

    def _series(self, folder: Path) -> ArrivedSeries | None:
        try:
            changed = folder.stat().st_mtime_ns
            known = self._known.get(folder)
            if known is not None and known[0] == changed and time.time() - changed / 1e9 > 2.0:
                return known[1]
            names = sorted(name for name in os.listdir(folder) if name.endswith(".dcm") and is_uid(name[:-4]))
            if not names:
                return None
            facts = _facts(folder / names[0]) if known is None else vars(known[1])
        except OSError:
            return None
        told: dict[str, Any] = {key: facts[key] for key in ("modality", "description", "date")}
        made = ArrivedSeries(folder.name, folder, len(names), changed / 1e9, **told)
        self._known[folder] = changed, made
        return made


def _facts(path: Path) -> dict[str, Any]:
    """Modality, description and date of an object's series, none of them a name; "" where it does not say."""
    try:
        with warnings.catch_warnings(), disable_value_validation():
            warnings.simplefilter("ignore")
            header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=HEADER_TAGS)
        facts = acquisition_of([header], "", None)
    except Exception as error:  # it is listed all the same; its import says what is wrong
        log.info("inbox: header not read (%s)", type(error).__name__)
        return {"modality": "", "description": "", "date": ""}
    return {"modality": facts.modality[:16], "description": facts.description[:64], "date": facts.date}
