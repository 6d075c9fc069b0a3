"""Zip archives of images, unpacked where nothing else lies, and gone again afterwards; what is no archive of plain
files is refused before anything is written."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from navplan.errors import FileFormatError, InputError

SUFFIX = ".zip"
MOST_MEMBERS = 200_000
MOST_BYTES = 40 * 2**30  # unpacked: fifteen times a whole body in 5,000 slices of 512 x 512
SPARE_BYTES = 2**30  # left free on the disk
# Deflate gives 1032:1 at best, on nothing but zeros. Real CT, MR and PET series pack 1.5:1 to 2.7:1 for their noise;
# simulated and masked ones pack better, and a small archive may be as empty as it likes.
HIGHEST_RATIO, RATIO_FROM_BYTES = 200.0, 100 * 2**20
BLOCK_BYTES = 2**20
LONGEST_NAME_BYTES = 255
_PLAIN_KINDS = (0, stat.S_IFREG, stat.S_IFDIR)
TEMPORARY = "Unpack it yourself, or let TMPDIR name a folder on a larger disk"


@dataclass(frozen=True)
class NotUnpacked:
    """An archive, or a member of one, that was not unpacked, with the reason."""

    name: str
    reason: str


@dataclass(frozen=True)
class Unpacked:
    """Folders that together hold what a path holds, and what of it was not unpacked."""

    folders: tuple[Path, ...]
    left_out: tuple[NotUnpacked, ...] = ()


@contextmanager
def unpacked(
    path: Path, progress: Callable[[str, float], None] = lambda words, share: None
) -> Iterator[Unpacked]:
    """The path itself, or, for a .zip, a temporary folder with what is in it; for a folder both, for each .zip in it.

    The temporary folder is removed at the end, also on an error. Archives in archives are not unpacked, but named, and
    so is one in a folder that is refused. progress: may raise to stop. Raises FileFormatError for a .zip that is
    damaged, encrypted, or holds anything but plain files in folders of its own; InputError for one too large for the
    limits above or the disk, or that cannot be read.
    """
    alone = path.is_file() and path.suffix.lower() == SUFFIX
    archives = [path] if alone else _archives_under(path) if path.is_dir() else []
    if not archives:
        yield Unpacked((path,))
        return
    with tempfile.TemporaryDirectory(prefix="navplan-zip-", ignore_cleanup_errors=True) as root:
        folders, left_out, written = [] if alone else [path], [], 0
        for number, archive in enumerate(archives):
            folder = Path(root, str(number))
            progress(f"unpacking {archive.name}", number / len(archives))
            try:
                size, nested = _unpack(archive, folder, MOST_BYTES - written, progress)
            except InputError as error:
                if alone:
                    raise
                shutil.rmtree(folder, ignore_errors=True)
                left_out.append(NotUnpacked(archive.name, error.received))
                continue
            written += size
            folders.append(folder)
            left_out += [NotUnpacked(name, f"{archive.name}: {name} is an archive in an archive") for name in nested]
        yield Unpacked(tuple(folders), tuple(left_out))


def _archives_under(folder: Path) -> list[Path]:
    found = []
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(root, name) for name in sorted(names) if name.lower().endswith(SUFFIX) and name[0] != "."]
    return [path for path in found if path.is_file()]


def _unpack(
    path: Path, folder: Path, most_bytes: int, progress: Callable[[str, float], None]
) -> tuple[int, list[str]]:
    """Bytes written, and names of the archives in it."""
    try:
        with zipfile.ZipFile(path) as archive:
            members, nested = _checked(path, archive, most_bytes)
            return _written(path, archive, members, folder, progress), nested
    except InputError:
        raise
    except zipfile.BadZipFile as error:
        words = "not a zip archive" if "not a zip" in str(error).lower() else f"a damaged archive ({error})"
        raise FileFormatError(f"{path.name}: {words}", "a whole .zip", "Copy it again from its source") from error
    except NotImplementedError as error:
        raise FileFormatError(f"{path.name}: {error}", "a .zip packed with deflate", TEMPORARY) from error
    except OSError as error:
        raise InputError(f"{path.name}: {error.strerror or error}", "an archive that can be unpacked") from error
    except Exception as error:  # zipfile and its decoders raise many kinds for a damaged archive
        words = " ".join(str(error).split())[:200]
        raise FileFormatError(f"{path.name}: a damaged archive ({words})", "a whole .zip") from error


def _checked(
    path: Path, archive: zipfile.ZipFile, most_bytes: int
) -> tuple[list[tuple[zipfile.ZipInfo, tuple[str, ...]]], list[str]]:
    """The plain files to unpack, each with the parts of its name, and names of archives. Writes nothing."""
    infos = archive.infolist()
    if len(infos) > MOST_MEMBERS:
        raise InputError(f"{path.name}: {len(infos)} files in it", f"at most {MOST_MEMBERS}")
    members: dict[tuple[str, ...], zipfile.ZipInfo] = {}
    nested = []
    for info in infos:
        parts = _parts(path, info)
        if info.flag_bits & 0x41:  # encrypted; strongly encrypted
            raise FileFormatError(f"{path.name}: an encrypted archive", "one without a password", TEMPORARY)
        if stat.S_IFMT(info.external_attr >> 16) not in _PLAIN_KINDS:
            raise FileFormatError(f"{path.name}: {_shown(info)} is a link or a device", "plain files and folders")
        if info.is_dir():
            continue
        if parts[-1].lower().endswith(SUFFIX):
            nested.append(parts[-1])
            continue
        if parts in members:
            raise FileFormatError(f"{path.name}: two files named {_shown(info)}", "one file of each name")
        members[parts] = info
    total = sum(info.file_size for info in members.values())
    packed = max(path.stat().st_size, 1)
    if total > RATIO_FROM_BYTES and total > HIGHEST_RATIO * packed:
        raise InputError(
            f"{path.name}: {packed} bytes that unpack to {total}, {total / packed:.0f}:1",
            f"at most {HIGHEST_RATIO:.0f}:1, since no measured image packs better", TEMPORARY,
        )  # fmt: skip
    if total > most_bytes:
        raise InputError(
            f"{path.name}: {total / 2**30:.1f} GiB unpacked", f"at most {most_bytes / 2**30:.1f} GiB", TEMPORARY
        )
    free = shutil.disk_usage(tempfile.gettempdir()).free - SPARE_BYTES
    if total > free:
        raise InputError(
            f"{path.name}: {total / 2**30:.1f} GiB unpacked",
            f"at most {max(free, 0) / 2**30:.1f} GiB, what {tempfile.gettempdir()} has free but 1 GiB", TEMPORARY,
        )  # fmt: skip
    return [(info, parts) for parts, info in members.items()], nested


def _parts(path: Path, info: zipfile.ZipInfo) -> tuple[str, ...]:
    """Of a member's name, none of which leads out of a folder."""
    name = info.orig_filename.replace("\\", "/")  # as it stands in the archive, also behind a NUL
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    outside = name.startswith("/") or name[1:2] == ":" or ".." in parts or "\0" in name
    if outside or (not parts and not info.is_dir()):
        raise FileFormatError(
            f"{path.name}: a file named {_shown(info)}", "names inside the archive's own folder",
            "This is no archive of images as one is made",
        )  # fmt: skip
    return tuple(_storable(part) for part in parts)


def _storable(part: str) -> str:
    """A name as this system can store it; its end, which says what kind of file it is, is kept."""
    try:
        if len(os.fsencode(part)) <= LONGEST_NAME_BYTES:
            return part
    except UnicodeEncodeError:
        pass
    plain = part.encode("ascii", "backslashreplace").decode("ascii").replace("\\", "_")
    return plain if len(plain) <= LONGEST_NAME_BYTES else plain[:150] + plain[-100:]


def _shown(info: zipfile.ZipInfo) -> str:
    return ascii(info.orig_filename[:100])


def _written(
    path: Path, archive: zipfile.ZipFile, members: list[tuple[zipfile.ZipInfo, tuple[str, ...]]], folder: Path,
    progress: Callable[[str, float], None],
) -> int:  # fmt: skip
    folder.mkdir()
    total = 0
    for number, (info, parts) in enumerate(members):
        if number % 50 == 0:
            progress(f"unpacking {path.name}: {number} of {len(members)} files", number / len(members))
        target = folder.joinpath(*parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        size = 0
        with archive.open(info) as source, target.open("xb") as file:
            while block := source.read(BLOCK_BYTES):
                size += len(block)
                if size > info.file_size:
                    raise FileFormatError(f"{path.name}: {_shown(info)} is larger than the archive says")
                file.write(block)
        if size != info.file_size:
            raise FileFormatError(f"{path.name}: {_shown(info)} is cut short", "a whole .zip")
        total += size
    return total
