"""Structures from any file that holds some: label maps, DICOM SEG and RTSTRUCT, meshes. One way in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from navplan.errors import FileFormatError, InputError
from navplan.files.image_files import FORMATS, check_there, format_of
from navplan.files.label_files import read_label_maps
from navplan.files.label_names import names_from_mapping, read_label_names
from navplan.geometry.grid import Grid
from navplan.imaging.label_map import structures_from_labels
from navplan.model.structure import Structure
from navplan.model.volume import Volume

MESHES = (".stl", ".obj", ".ply", ".vtp")
SEG, SEG_LABELS, RTSTRUCT = "DICOM SEG", "DICOM SEG of label maps", "DICOM RTSTRUCT"
_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.66.4": SEG,
    "1.2.840.10008.5.1.4.1.1.66.7": SEG_LABELS,
    "1.2.840.10008.5.1.4.1.1.481.3": RTSTRUCT,
}
KINDS = ("labels", "mesh", *_CLASSES.values())
EXPECTED = f"a label map ({' '.join(FORMATS)}), a DICOM SEG or RTSTRUCT, or a mesh ({' '.join(MESHES)})"


@dataclass(frozen=True, eq=False)
class Wanted:
    """What a reader is to make structures for.

    volume: the image; image_id: its id. names: number -> canonical name, goes before names in the file. structure: name
    of the only one. working_resolution_mm: of who made them, one number or three along the axes of the source's grid
    (of the image's for contours and meshes). space: "LPS" or "RAS" of a mesh's coordinates, "" where nobody says.
    salt: of the case, to compare patients; "" leaves that out. same_frame_by: who stands for it that a SEG or RTSTRUCT
    lies in the image's frame of reference where the files do not say.
    """

    volume: Volume
    image_id: str
    names: Mapping[int, str] | None = None
    structure: str = ""
    working_resolution_mm: float | Sequence[float] | None = None
    space: str = ""
    salt: str = ""
    same_frame_by: str = ""

    @property
    def grid(self) -> Grid:
        """The image's."""
        return self.volume.grid


@dataclass(frozen=True, eq=False)
class StructuresRead:
    """structures, what a person should know of them, and the SHA-256 of each file that they are from."""

    structures: tuple[Structure, ...]
    notes: tuple[str, ...] = ()
    sha256: tuple[str, ...] = ()


def read_structures(
    path: str | Path,
    volume: Volume,
    image_id: str,
    *,
    names: str | Path | Mapping[int, str] | None = None,
    structure: str = "",
    working_resolution_mm: float | Sequence[float] | None = None,
    space: str = "",
    salt: str = "",
    same_frame_by: str = "",
) -> StructuresRead:
    """Everything that a file or folder holds, for one image; see Wanted and `segment` for the arguments.

    Raises InputError: no such path, nothing that could hold structures, two of one name, arguments that do not fit the
    kind; MismatchError: another frame of reference, another patient, or beside the image; FileFormatError and
    GeometryError: see the readers.
    """
    path = Path(path)
    if space and space not in ("LPS", "RAS"):
        raise InputError(f"the space {space!r}", "LPS or RAS")
    check_there(path)
    kind, file = _kind(path)
    if space and kind != "mesh":
        raise InputError(f"--space {space} for {path.name}", "it only for meshes: other files say which way they lie")
    if same_frame_by and kind in ("labels", "mesh"):
        raise InputError(f"somebody's word on the frame of {path.name}", "it only for a DICOM SEG or RTSTRUCT")
    if names is not None and structure:
        raise InputError("names and the name of a single structure", "one of them")
    if kind == "labels":
        return _label_maps(path, volume, image_id, names, structure, working_resolution_mm)
    given = None
    if names is not None:
        given = (names_from_mapping(names) if isinstance(names, Mapping) else read_label_names(names)).names
    wanted = Wanted(volume, image_id, given, structure, working_resolution_mm, space, salt, same_frame_by)
    found = _reader(kind)(file, wanted)
    check_names(found.structures)
    return found


def check_names(structures: Sequence[Structure]) -> None:
    """Raises InputError for two structures of one name."""
    by_name = [one.name for one in structures]
    twice = sorted({name for name in by_name if by_name.count(name) > 1})
    if twice:
        raise InputError(f"labels with several structures named {', '.join(twice)}", "a name for each", "Give names")


def _reader(kind: str) -> Callable[[Path, Wanted], StructuresRead]:
    if kind == "mesh":
        from navplan.files.mesh_files import read_meshes

        return read_meshes
    if kind == RTSTRUCT:
        from navplan.files.dicom_rtstruct import read_rtstruct

        return read_rtstruct
    from navplan.files.dicom_seg import read_seg

    return read_seg


def _kind(path: Path) -> tuple[str, Path]:
    """ "labels", "mesh", or the kind of DICOM object, and the file (for a folder of meshes the folder)."""
    if path.is_dir():
        return _kind_of_folder(path)
    kind = _kind_of_file(path)
    if kind not in KINDS:
        raise FileFormatError(f"{path.name}: {kind or 'an unknown kind of file'}", EXPECTED)
    return kind, path


def _kind_of_folder(path: Path) -> tuple[str, Path]:
    kinds: dict[str, list[Path]] = {}
    for file in sorted(path.iterdir()):
        if file.is_file() and not file.name.startswith("."):
            kinds.setdefault(_kind_of_file(file), []).append(file)
    kinds = {kind: files for kind, files in kinds.items() if kind in KINDS}
    objects = [file for kind, files in kinds.items() if kind in _CLASSES.values() for file in files]
    if len(kinds) > 1 or len(objects) > 1:
        told = "; ".join(f"{kind}: {', '.join(file.name for file in files[:5])}" for kind, files in kinds.items())
        raise InputError(
            f"{path}: several kinds or several objects ({told})", "label maps, meshes, or one SEG or RTSTRUCT",
            "Name the file",
        )  # fmt: skip
    if not kinds:
        raise InputError(f"{path}: no label map in it, nor other structures", EXPECTED)
    kind = next(iter(kinds))
    return kind, objects[0] if objects else path


def _kind_of_file(path: Path) -> str:
    if format_of(path):
        return "labels"
    if path.suffix.lower() in MESHES:
        return "mesh"
    return _kind_of_dicom(path)


def _kind_of_dicom(path: Path) -> str:
    """The kind of a DICOM file, "" for any other file."""
    from pydicom import dcmread
    from pydicom.uid import UID

    from navplan.files.dicom_facts import text

    try:
        header = dcmread(path, stop_before_pixels=True, specific_tags=["SOPClassUID"], force=True)
        kind = text(header, "SOPClassUID")
    except Exception:  # pydicom raises many kinds for what is no DICOM file
        return ""
    return _CLASSES.get(kind) or (UID(kind).name if UID(kind).name != kind else "")


def _label_maps(
    path: Path, volume: Volume, image_id: str, names: str | Path | Mapping[int, str] | None, structure: str,
    working_resolution_mm: float | Sequence[float] | None,
) -> StructuresRead:  # fmt: skip
    maps = read_label_maps(path, names, structure)
    found: list[Structure] = []
    for one in maps:
        origin = f"labels {one.sha256[:16]}"
        found += structures_from_labels(
            one.labels, one.grid, one.names, image_id, volume.grid, origin, working_resolution_mm
        )
    check_names(found)
    notes = [note for one in maps for note in one.notes]
    return StructuresRead(tuple(found), tuple(notes), tuple(sorted({one.sha256 for one in maps})))
