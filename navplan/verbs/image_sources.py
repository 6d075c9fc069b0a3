"""What under a path may become an image, and how to read it: DICOM, image files, pictures, also inside archives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from navplan.errors import InputError

if TYPE_CHECKING:
    from navplan.model.volume import Volume

Progress = Callable[[str, float], None]


@dataclass(frozen=True, eq=False)
class Source:
    """Something that may become an image, and how to read it with the case's salt.

    uid: DICOM series UID (with #2 for a part), or the name of the file; kind: "DICOM", "NIfTI", "NRRD", "MetaImage" or
    "pictures"; files: pictures of it.
    """

    uid: str
    kind: str
    modality: str
    files: int
    read: Callable[[str], Volume]


@dataclass(frozen=True)
class StatedPictures:
    """What a person states of a stack of PNG or TIFF pictures: see files.picture_stack."""

    spacing_mm: tuple[float, ...] = ()
    slices: str = ""

    def __bool__(self) -> bool:
        return bool(self.spacing_mm or self.slices)


@contextmanager
def image_sources(
    path: Path, modality: str, bridge_mm: float, progress: Progress, pictures: StatedPictures | None = None
) -> Iterator[tuple[list[Source], tuple[tuple[str, str], ...]]]:
    """What may become an image, and the files that could not be read (name, reason); archives are open meanwhile.

    Raises InputError where there is no such path, nothing that could be an image, or an archive that is refused.
    """
    from navplan.files.image_files import check_there
    from navplan.files.zip_folder import unpacked

    check_there(path)
    with unpacked(path, progress) as found:
        left_out = tuple((one.name, one.reason) for one in found.left_out)
        if pictures:
            yield [_picture_source(path, found.folders, modality, pictures)], left_out
            return
        sources, unread = _images(found.folders, modality, bridge_mm, progress)
        if not sources and not unread and not left_out:
            expected = "DICOM, NIfTI (.nii, .nii.gz), NRRD or MetaImage; PNG or TIFF with --spacing and --slices"
            raise InputError(f"{path}: no image in it", expected, "Check the path")
        yield sources, (*unread, *left_out)


def _images(
    folders: Sequence[Path], modality: str, bridge_mm: float, progress: Progress
) -> tuple[list[Source], tuple[tuple[str, str], ...]]:
    from navplan.files.dicom_read import read_series
    from navplan.files.dicom_scan import find_series
    from navplan.files.image_files import format_of, read_image_file

    def file_source(file: Path) -> Source:
        return Source(file.name, format_of(file), modality, 1, lambda _: read_image_file(file, modality))

    first = folders[0]
    if first.is_file() and format_of(first):
        return [file_source(first)], ()
    found, unread = find_series(first, progress, folders[1:])
    read = partial(read_series, bridge_mm=bridge_mm, progress=progress)
    sources = [Source(one.name, "DICOM", one.modality, len(one.frames), partial(read, one)) for one in found]
    if not sources and first.is_dir():
        files = [file for folder in folders for file in sorted(folder.rglob("*"))]
        sources = [file_source(file) for file in files if format_of(file) and file.is_file()]
    return sources, tuple((file.path.name, file.reason) for file in unread)


def _picture_source(path: Path, folders: Sequence[Path], modality: str, pictures: StatedPictures) -> Source:
    from navplan.files.picture_stack import pictures_under, read_picture_stack

    found = pictures_under(_only_inner(folders[-1]) if folders[-1] != path else path)
    if not pictures.spacing_mm:
        raise InputError("pictures, and not how large their pixels are", "X Y Z in mm", "State it with --spacing")
    read = partial(read_picture_stack, found, pictures.spacing_mm, pictures.slices, modality)
    return Source(path.name, "pictures", modality, len(found), lambda _: read())


def _only_inner(folder: Path) -> Path:
    """Of an archive: the folder inside that alone is in it, as most archives have one."""
    inner = list(folder.iterdir())
    return _only_inner(inner[0]) if len(inner) == 1 and inner[0].is_dir() else folder
