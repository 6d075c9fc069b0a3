"""The data files of a case folder: written under immutable names, listed with size and SHA-256, swept when unlisted.

A name is <readable stem>.<16 digits of its SHA-256><suffix>. Nothing that case.json lists is ever written over, so that
the last good state stays whole until case.json is replaced.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from navplan.errors import CaseFolderError
from navplan.files.durable import file_sha256, file_stem, replace_file, sync_file, sync_folder
from navplan.files.strict_json import StrictDocument

SUFFIXES = {
    "volumes": (".nrrd",),
    "structures": (".seg.nrrd", ".occupancy.nrrd"),
    "plans": (".json", ".mrk.json", ".npz"),
    "registrations": (".npz",),
}
_DATA_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*?\.[0-9a-f]{16}((?:\.[a-z]+){1,2})")
_UNFINISHED = re.compile(r"\.writing-[A-Za-z0-9._-]+|\.[A-Za-z0-9._-]+\.\d+\.part")


class FileEntry(StrictDocument):
    """Size and SHA-256 of a data file."""

    bytes: int
    sha256: str


class StagedFiles:
    """Files being written for the next revision; `roll_back` takes them away again."""

    def __init__(self, folder: Path, listed: Mapping[str, FileEntry]) -> None:
        self.folder, self.listed = folder, dict(listed)
        self.files: dict[str, FileEntry] = {}
        self._new: list[Path] = []
        self._made: list[Path] = []
        self._touched: set[Path] = set()

    def keep(self, *names: str) -> bool:
        """Take over files that are listed already; False, and none taken, if one of them is not."""
        if not all(name in self.listed for name in names):
            return False
        self.files |= {name: self.listed[name] for name in names}
        return True

    def put(self, subfolder: str, stem: str, suffix: str, write: Callable[[Path], None]) -> str:
        """Have `write` make a file, put it on the disk, and give it its name: that name, relative to the folder."""
        inside = self.folder / subfolder
        if not inside.is_dir():
            inside.mkdir()
            self._made.append(inside)
            self._touched.add(self.folder)
        unfinished = inside / f".writing-{file_stem(stem)}{suffix}"
        self._new.append(unfinished)
        write(unfinished)
        sync_file(unfinished)
        entry = FileEntry(bytes=unfinished.stat().st_size, sha256=file_sha256(unfinished))
        name = f"{subfolder}/{file_stem(stem)}.{entry.sha256[:16]}{suffix}"
        if name not in self.listed:
            final = self.folder / name
            self._new.append(final)
            replace_file(unfinished, final)
            self._touched.add(inside)
        elif self.listed[name] != entry:
            raise CaseFolderError(f"two different files that would be called {name}", "different names")
        unfinished.unlink(missing_ok=True)
        self.files[name] = entry
        return name

    def settle(self) -> None:
        """Have the folders' lists of names on the disk."""
        for folder in sorted(self._touched, reverse=True):
            sync_folder(folder)

    def roll_back(self) -> None:
        """Take away what was written; what can't be taken away is swept later."""
        for path in reversed(self._new):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        for folder in self._made:
            with contextlib.suppress(OSError):
                folder.rmdir()


def verify(folder: Path, files: Mapping[str, FileEntry]) -> None:
    """Check sizes and SHA-256 of the listed files. Raises CaseFolderError naming one that is missing or changed."""
    for name, entry in files.items():
        subfolder, _, plain = name.partition("/")
        fits = _DATA_FILE.fullmatch(plain)
        if fits is None or fits[1] not in SUFFIXES.get(subfolder, ()):
            raise CaseFolderError(f"{folder}: case.json lists the file {name!r}", "names that navplan gives")
        path = folder / name
        try:
            size = path.stat().st_size
            found = "" if size != entry.bytes else file_sha256(path)
        except OSError as error:
            raise _damaged(folder, f"{name} cannot be read ({error.strerror or error})") from error
        if size != entry.bytes:
            raise _damaged(folder, f"{name} has {size} bytes instead of {entry.bytes}")
        if found != entry.sha256:
            raise _damaged(folder, f"{name} was changed by another program (its SHA-256 differs)")


def _damaged(folder: Path, what: str) -> CaseFolderError:
    return CaseFolderError(
        f"{folder}: {what}", "the files as navplan wrote them", "Bring the folder back from a copy, or import again"
    )


def unlisted(folder: Path, files: Iterable[str]) -> list[Path]:
    """Files of navplan's own making that case.json does not list: unfinished ones, and those of older revisions."""
    listed = set(files)
    found = []
    for subfolder in ("", *SUFFIXES):
        try:
            names = os.listdir(folder / subfolder)
        except OSError:
            continue
        for plain in names:
            fits = _DATA_FILE.fullmatch(plain)
            ours = subfolder and fits is not None and fits[1] in SUFFIXES[subfolder]
            if (ours and f"{subfolder}/{plain}" not in listed) or _UNFINISHED.fullmatch(plain):
                found.append(folder / subfolder / plain)
    return [path for path in found if path.is_file() and not path.is_symlink()]


def sweep(folder: Path, files: Iterable[str]) -> None:
    """Delete the unlisted files. Only a holder of the writer lock may; a file that another program holds open stays."""
    for path in unlisted(folder, files):
        with contextlib.suppress(OSError):
            path.unlink()


def only_leftovers(folder: Path, *others: str) -> bool:
    """Whether a folder holds nothing but what a save that was killed before its first commit leaves (and `others`)."""
    leftover = {path for path in unlisted(folder, ())}
    for path in folder.iterdir():
        if path.is_dir() and path.name in SUFFIXES:
            if any(inside not in leftover for inside in path.iterdir()):
                return False
        elif path.name not in others and path not in leftover:
            return False
    return True
