"""Label maps from files: NIfTI, NRRD, MetaImage, .seg.nrrd of 3D Slicer, and folders of one file a structure.

Names come from the caller, or from the file itself: the segments of a .seg.nrrd, the label table that TotalSegmentator
writes into a NIfTI header (Caret's extension, code 0), or the name of the file.
"""

from __future__ import annotations

import gzip
import html
import re
import struct
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from navplan.errors import FileFormatError, InputError
from navplan.files.durable import file_sha256
from navplan.files.image_files import FORMATS, ImageArray, format_of, read_image_array
from navplan.files.label_names import BACKGROUND, LabelNames, names_from_mapping, read_label_names
from navplan.files.structure_names import canonical_name
from navplan.geometry.grid import Grid
from navplan.imaging.label_map import checked_labels

LARGEST_EXTENSION = 1 << 22  # bytes of a NIfTI header's extensions


@dataclass(frozen=True, eq=False)
class LabelMap:
    """labels[i, j, k] whole numbers on `grid`; names: label -> canonical name; notes: what a person should know.

    file: name of the file, for messages only (it may name the patient); sha256: of the file.
    """

    labels: NDArray[Any]
    grid: Grid
    names: dict[int, str]
    file: str
    sha256: str
    notes: tuple[str, ...] = ()


def read_label_maps(
    path: str | Path, names: str | Path | Mapping[int, str] | None = None, structure: str = ""
) -> tuple[LabelMap, ...]:
    """All label maps of a file or folder, each on its own grid: one a layer, one a file of a folder.

    names: a table (see read_label_names) or label -> name; it goes before names in the file. structure: name of the one
    structure in a file of a single mask.

    Raises InputError: no such path, nothing that could be a label map, names for several maps, a mask with several
    labels, values that are no labels. FileFormatError, GeometryError: see the readers.
    """
    path = Path(path)
    given = (
        None if names is None else names_from_mapping(names) if isinstance(names, Mapping) else read_label_names(names)
    )
    if given is not None and structure:
        raise InputError("names and the name of a single structure", "one of them")
    if path.is_dir():
        if given is not None or structure:
            raise InputError(f"names for the folder {path}", "names for one label map", "Each file there names its own")
        return _folder(path)
    layers = _layers(path)
    if structure:
        return (_single(layers, canonical_name(structure), path),)
    if given is not None:
        if len(layers) > 1:
            raise InputError(f"names for {path.name}, which has {len(layers)} layers", "names for one label map")
        return (_named(layers[0], given),)
    return layers


def _folder(path: Path) -> tuple[LabelMap, ...]:
    files = sorted(file for file in path.iterdir() if file.is_file() and format_of(file))
    if not files:
        raise InputError(f"{path}: no label map in it", "files ending in " + " ".join(FORMATS))
    maps: list[LabelMap] = []
    for file in files:
        for one in _layers(file):
            maps.append(one if one.names else replace(one, names=_names_of_file(one, _stem(file))))
    count = Counter(name for one in maps for name in one.names.values())
    result = []
    for one in maps:
        stem = canonical_name(_stem(Path(one.file)))
        renamed = {n: name if count[name] == 1 or name == stem else f"{stem}_{name}" for n, name in one.names.items()}
        changed = [name for n, name in one.names.items() if renamed[n] != name]
        notes = (f"{', '.join(changed)} from two files: one is read as {stem}_...",) if changed else ()
        result.append(replace(one, names=renamed, notes=one.notes + notes))
    return tuple(result)


def _names_of_file(one: LabelMap, stem: str) -> dict[int, str]:
    values = label_values(one.labels)
    if len(values) < 2:
        return {values[0] if values else 1: canonical_name(stem)}
    return {value: canonical_name(f"{stem}_{value}") for value in values}


def _single(layers: tuple[LabelMap, ...], name: str, path: Path) -> LabelMap:
    values = label_values(layers[0].labels)
    if len(layers) > 1 or len(values) > 1:
        raise InputError(
            f"{path.name} as {name}: {max(len(layers), len(values))} labels",
            "a mask of one structure",
            "Name them with a table of names",
        )
    return replace(layers[0], names={values[0] if values else 1: name})


def _named(one: LabelMap, given: LabelNames) -> LabelMap:
    other = [
        f"the label map itself calls label {number} {one.names[number]}, not {name}"
        for number, name in given.names.items()
        if one.names.get(number, name) != name
    ]
    return replace(one, names=dict(given.names), notes=(*one.notes, *given.notes, *other))


def label_values(labels: NDArray[Any]) -> list[int]:
    """The labels that occur, without 0."""
    numbers = checked_labels(labels)
    if numbers.size and numbers.max() < 1 << 20:
        return [int(value) for value in np.flatnonzero(np.bincount(numbers.ravel(order="K"))) if value]
    return [int(value) for value in np.unique(numbers) if value]


def _layers(path: Path) -> tuple[LabelMap, ...]:
    found = read_image_array(path)
    if any(key.startswith("Segment0_") for key in found.header):
        return _segments(found, path)
    if found.array.ndim != 3:
        raise FileFormatError(f"{path.name}: {found.array.ndim} dimensions", "three")
    names = _nifti_names(path) if found.format == "NIfTI" else {}
    return (LabelMap(checked_labels(found.array), found.grid, names, path.name, file_sha256(path)),)


def _segments(found: ImageArray, path: Path) -> tuple[LabelMap, ...]:
    """The layers of a 3D Slicer segmentation, by its "Segmentation labelmap file format (.seg.nrrd)".

    Names are what a segment's name and its terminology say together, see coded_names.name_of."""
    from navplan.files.coded_names import name_of, terminology_name

    header = found.header
    kind = header.get("Segmentation_SourceRepresentation", header.get("Segmentation_MasterRepresentation", ""))
    if "fractional" in kind.lower():
        raise FileFormatError(f"{path.name}: {kind}", "binary label maps", "Save it as a binary label map")
    layers = found.array if found.array.ndim == 4 else found.array[None]
    names: list[dict[int, str]] = [{} for _ in layers]
    notes: list[str] = []
    numbers = sorted(int(match[1]) for key in header if (match := re.fullmatch(r"Segment(\d+)_ID", key)))
    for number in numbers:
        name = header.get(f"Segment{number}_Name") or header[f"Segment{number}_ID"]
        try:
            layer = int(header.get(f"Segment{number}_Layer", number if len(layers) > 1 else 0))
            label = int(header.get(f"Segment{number}_LabelValue", "1"))
        except ValueError as error:
            raise FileFormatError(f"{path.name}: segment {name!r}: {error}", "whole numbers") from error
        if not 0 <= layer < len(layers) or label in names[layer]:
            raise FileFormatError(
                f"{path.name}: segment {name!r} as label {label} of layer {layer}",
                f"a free one of {len(layers)} layers",
            )
        coded = terminology_name(header.get(f"Segment{number}_Tags", ""))
        names[layer][label], note = name_of(number + 1, name, coded)
        notes += [f"segment {note}"] if note else []
    count = Counter(name for one in names for name in one.values())
    twice = sorted(name for name, times in count.items() if times > 1)
    if twice:
        raise FileFormatError(
            f"{path.name}: several segments named {', '.join(twice)}", "a name for each", "Rename them"
        )
    digest = file_sha256(path)
    return tuple(
        LabelMap(checked_labels(layer), found.grid, given, path.name, digest, tuple(notes) if n == 0 else ())
        for n, (layer, given) in enumerate(zip(layers, names, strict=True))
    )


def _nifti_names(path: Path) -> dict[int, str]:
    """The label table in a NIfTI-1 header's extensions, {} without one. An unreadable table is no error."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        try:
            with gzip.GzipFile(fileobj=file) if packed else file as stream:
                start = stream.read(352)
                if start[344:347] not in (b"n+1", b"ni1") or not start[348]:
                    return {}
                order = "<" if struct.unpack("<i", start[:4])[0] == 348 else ">"
                offset = int(struct.unpack(order + "f", start[108:112])[0])
                text = stream.read(max(0, min(offset - 352, LARGEST_EXTENSION))).decode("utf-8", "replace")
        except (EOFError, OSError, zlib.error, struct.error, IndexError, ValueError, OverflowError):
            return {}
    names: dict[int, str] = {}
    for match in re.finditer(r'<Label\s[^>]*?Key="(\d+)"[^>]*>(.*?)</Label>', text, re.DOTALL):
        word = re.sub(r"^<!\[CDATA\[(.*)\]\]>$", r"\1", match[2].strip(), flags=re.DOTALL)
        name = html.unescape(word).strip()
        if int(match[1]) > 0 and any(letter.isalnum() for letter in name) and name.lower() not in BACKGROUND:
            names[int(match[1])] = canonical_name(name)
    return names if len(set(names.values())) == len(names) else {}


def _stem(path: Path) -> str:
    name = path.name
    for suffix in (".seg.nrrd", *sorted(FORMATS, key=len, reverse=True)):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return path.stem
