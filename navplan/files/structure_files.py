"""Structures as files: one .seg.nrrd a source, which 3D Slicer opens, and the fractional ones in full beside it.

Hard structures of one source share label maps: a layer holds as many as do not overlap, labels 1 to 255, gzip level 1.
Structures whose voxels do not fall on the same lattice go to files of their own. Occupancies between 0 and 255 cannot
live in a segmentation: such a structure is in the .seg.nrrd where it fills at least half the voxel, for looking at, and
exactly in a NRRD of its own on its own cropped grid (.occupancy.nrrd), which is what navplan reads.

Format: 3D Slicer's "Segmentation labelmap file format (.seg.nrrd)".
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from navplan.errors import FileFormatError
from navplan.files.durable import file_stem
from navplan.files.nrrd import FRAME_KEY, read_nrrd
from navplan.files.strict_json import StrictDocument
from navplan.geometry.grid import Grid
from navplan.model.anatomy import Tissue
from navplan.model.structure import Structure

LATTICE_TOLERANCE = 1e-3  # voxels: how far two grids may be from one lattice and still share a label map
LARGEST_LAYER = 1 << 29  # voxels; structures that lie too far apart for that get files of their own
_HALF = 128

# Colours of 3D Slicer's General Anatomy terminology, by kind of tissue; verdict colours are never used for anatomy.
_COLOURS: dict[Tissue, tuple[int, int, int]] = {
    Tissue.SKIN: (177, 122, 101), Tissue.BONE: (241, 214, 145), Tissue.CARTILAGE: (111, 184, 210),
    Tissue.LUNG: (197, 165, 145), Tissue.AIRWAY: (182, 228, 255), Tissue.HEART: (206, 110, 84),
    Tissue.VESSEL: (216, 101, 79), Tissue.BOWEL: (204, 168, 143), Tissue.ORGAN: (221, 130, 101),
    Tissue.FLUID: (139, 150, 98), Tissue.NERVE: (244, 214, 49), Tissue.MUSCLE: (192, 104, 88),
    Tissue.FAT: (230, 220, 70), Tissue.LESION: (230, 107, 211), Tissue.IMPLANT: (170, 170, 190),
}  # fmt: skip
_TERMINOLOGY = "Segmentation category and type - 3D Slicer General Anatomy list"
_SIDES = {"left": "SCT^7771000^Left", "right": "SCT^24028007^Right", "": "^^"}


class StoredVoxels(StrictDocument):
    """Where an occupancy lies: the label in a layer of `file` from `start` (i, j, k) on, or all of `exact`."""

    file: str
    layer: int
    label: int
    start: tuple[int, int, int]
    exact: str = ""


@dataclass(frozen=True)
class Segmentation:
    """Structures of one source on one lattice: the grid that holds them all, and the first voxel of each in it."""

    stem: str
    grid: Grid
    structures: tuple[Structure, ...]
    starts: tuple[tuple[int, int, int], ...]


def segmentations(structures: Iterable[Structure]) -> Iterator[Segmentation]:
    """Present structures by origin, image and lattice, in order. A border of one voxel lies around them."""
    groups: dict[tuple[str, str], list[list[tuple[Structure, NDArray[np.int64]]]]] = {}
    for structure in structures:
        if structure.grid is None or structure.occupancy is None:
            continue
        lattices = groups.setdefault((structure.origin, structure.image_id), [])
        for members in lattices:
            first = members[0][0].grid
            start = None if first is None else _start(first, structure.grid)
            if start is not None and _box_voxels([*members, (structure, start)]) <= LARGEST_LAYER:
                members.append((structure, start))
                break
        else:
            lattices.append([(structure, np.zeros(3, dtype=np.int64))])
    for (origin, image_id), lattices in groups.items():
        for members in lattices:
            yield _segmentation(file_stem(origin or image_id or "structures"), members)


def _segmentation(stem: str, members: Sequence[tuple[Structure, NDArray[np.int64]]]) -> Segmentation:
    lower, upper = _box(members)
    first = members[0][0].grid
    assert first is not None
    grid = first.crop(lower - 1, upper - lower + 2)
    starts = [[int(n) for n in start - lower + 1] for _, start in members]
    return Segmentation(
        stem, grid, tuple(structure for structure, _ in members), tuple((s[0], s[1], s[2]) for s in starts)
    )


def _start(lattice: Grid, grid: Grid) -> NDArray[np.int64] | None:
    """The index of `grid`'s first voxel on a lattice, None if its voxels lie elsewhere."""
    if grid.frame_uid != lattice.frame_uid:
        return None
    ends = lattice.indices(grid.points_mm(np.array([(0, 0, 0), grid.shape]) - [[0], [1]]))
    steps = lattice.indices(grid.points_mm(np.eye(3))) - lattice.indices(grid.origin_mm)
    whole = np.rint(ends)
    same = (
        np.abs(ends - whole).max() <= LATTICE_TOLERANCE
        and (whole[1] - whole[0] == np.asarray(grid.shape) - 1).all()
        and np.abs(steps - np.eye(3)).max() <= LATTICE_TOLERANCE
        and np.abs(whole).max() < 1 << 20
    )
    return whole[0].astype(np.int64) if same else None


def _box(members: Sequence[tuple[Structure, NDArray[np.int64]]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    starts = np.array([start for _, start in members])
    ends = np.array([start + _shape(structure) for structure, start in members])
    return starts.min(axis=0), ends.max(axis=0)


def _shape(structure: Structure) -> tuple[int, int, int]:
    return structure.grid.shape if structure.grid is not None else (0, 0, 0)


def _box_voxels(members: Sequence[tuple[Structure, NDArray[np.int64]]]) -> float:
    lower, upper = _box(members)
    return float(np.prod((upper - lower + 2).astype(float)))


def is_hard(occupancy: NDArray[np.uint8]) -> bool:
    """Whether it holds 0 and 255 only."""
    return not np.logical_and(occupancy != 0, occupancy != 255).any()


def segmentation_layers(segmentation: Segmentation) -> tuple[NDArray[np.uint8], list[tuple[int, int]]]:
    """Label maps [k, j, i, layer], and (layer, label) of each structure: the first layer where it overlaps nothing."""
    shape = segmentation.grid.shape[::-1]
    layers: list[NDArray[np.uint8]] = []
    used: list[int] = []
    places: list[tuple[int, int]] = []
    for structure, start in zip(segmentation.structures, segmentation.starts, strict=True):
        assert structure.occupancy is not None
        mask = structure.occupancy.T >= _HALF
        window = tuple(slice(s, s + n) for s, n in zip(start[::-1], mask.shape, strict=True))
        for index, layer in enumerate(layers):
            if used[index] < 255 and not (layer[window][mask] != 0).any():
                break
        else:
            layers.append(np.zeros(shape, dtype=np.uint8))
            used.append(0)
            index = len(layers) - 1
        used[index] += 1
        layers[index][window][mask] = used[index]
        places.append((index, used[index]))
    return (layers[0][..., None] if len(layers) == 1 else np.stack(layers, axis=-1)), places


def write_segmentation(path: Path, segmentation: Segmentation) -> list[tuple[int, int]]:
    """Write the .seg.nrrd; gives back (layer, label) of each structure. Raises OSError."""
    layers, places = segmentation_layers(segmentation)
    fields = {
        "Segmentation_ContainedRepresentationNames": "Binary labelmap|Closed surface|",
        "Segmentation_MasterRepresentation": "Binary labelmap",
        "Segmentation_SourceRepresentation": "Binary labelmap",
        "Segmentation_ReferenceImageExtentOffset": "0 0 0",
    }
    members = zip(segmentation.structures, segmentation.starts, places, strict=True)
    for number, (structure, start, (layer, label)) in enumerate(members):
        ends = [f"{s} {s + n - 1}" for s, n in zip(start, _shape(structure), strict=True)]
        colour = _COLOURS.get(structure.anatomy.tissue, (150, 150, 150))
        values = {
            "ID": structure.name, "Name": shown_name(structure), "NameAutoGenerated": "0",
            "Color": " ".join(f"{part / 255:.6f}" for part in colour), "ColorAutoGenerated": "0",
            "LabelValue": str(label), "Layer": str(layer), "Extent": " ".join(ends),
            "Tags": f"TerminologyEntry:{terminology(structure)}|",
        }  # fmt: skip
        fields |= {f"Segment{number}_{key}": value for key, value in values.items()}
    _write_gzip(path, layers, segmentation.grid, fields)
    return places


def write_occupancy(path: Path, structure: Structure) -> None:
    """Write the exact occupancy (0 to 255) on the structure's own grid. Raises OSError."""
    assert structure.occupancy is not None and structure.grid is not None
    _write_gzip(path, structure.occupancy.T[..., None], structure.grid, {"occupancy": "255 is a full voxel"})


def shown_name(structure: Structure) -> str:
    """The name, from which image a registration carried it (this image itself does not show it), and whether its
    outline is in doubt."""
    carried = f" (carried from {structure.carried_from})" if structure.carried_from else ""
    return f"{structure.name}{carried}{' (outline in doubt)' if structure.outline_doubt else ''}"


def terminology(structure: Structure) -> str:
    """3D Slicer's TerminologyEntry: category, type, side; empty codes where the name has none."""
    anatomy = structure.anatomy
    if not anatomy.code:
        return "~".join([_TERMINOLOGY, "^^", "^^", "^^", "", "^^", "^^"])
    lesion = anatomy.tissue is Tissue.LESION
    category = "SCT^49755003^Morphologically Altered Structure" if lesion else "SCT^123037004^Anatomical Structure"
    return "~".join([
        _TERMINOLOGY, category,
        f"SCT^{anatomy.code}^{anatomy.meaning}", _SIDES[structure.side],
        "Anatomic codes - DICOM master list", "^^", "^^",
    ])  # fmt: skip


def _write_gzip(path: Path, layers: NDArray[np.uint8], grid: Grid, pairs: dict[str, str]) -> None:
    """layers: [k, j, i, layer]; with one layer the file has three dimensions."""
    count = layers.shape[-1]
    several = count > 1
    if grid.frame_uid:
        pairs = {**pairs, FRAME_KEY: grid.frame_uid}
    directions = [_vector(grid.affine[:3, axis]) for axis in range(3)]
    header = [
        "NRRD0004", "type: unsigned char", f"dimension: {4 if several else 3}", "space: left-posterior-superior",
        "sizes: " + " ".join(str(n) for n in ([count] if several else []) + list(grid.shape)),
        "space directions: " + " ".join((["none"] if several else []) + directions),
        "kinds: " + " ".join((["list"] if several else []) + ["domain"] * 3),
        "encoding: gzip", f"space origin: {_vector(grid.origin_mm)}",
        *(f"{key}:={value}" for key, value in pairs.items()), "", "",
    ]  # fmt: skip
    packer = zlib.compressobj(level=1, wbits=31)
    with path.open("wb") as file:
        file.write("\n".join(header).encode("utf-8"))
        for plane in layers:
            file.write(packer.compress(np.ascontiguousarray(plane).data))
        file.write(packer.flush())


def _vector(values: NDArray[np.float64]) -> str:
    return "(" + ",".join(repr(float(value)) for value in values) + ")"


def read_occupancy(stored: StoredVoxels, grid: Grid, array_of: Callable[[str], NDArray[Any]]) -> NDArray[np.uint8]:
    """The occupancy (uint8 [i, j, k]) of a stored structure on its grid; `array_of` gives the array of a file.

    Raises FileFormatError when the file has another size or type than the structure needs.
    """
    voxels = array_of(stored.exact or stored.file)
    if stored.exact:
        if voxels.dtype != np.uint8 or voxels.shape != grid.shape:
            raise FileFormatError(
                f"{stored.exact}: {voxels.dtype} of shape {voxels.shape}", f"uint8 of shape {grid.shape}"
            )
        return voxels
    layers = voxels if voxels.ndim == 4 else voxels[None]
    window = tuple(slice(s, s + n) for s, n in zip(stored.start, grid.shape, strict=True))
    inside = all(part.start >= 0 and part.stop <= size for part, size in zip(window, layers.shape[1:], strict=True))
    if layers.dtype != np.uint8 or not 0 <= stored.layer < len(layers) or not inside:
        raise FileFormatError(f"{stored.file}: a label map of shape {layers.shape}", f"one that holds {window}")
    mask = layers[stored.layer][window] == stored.label
    return np.asarray(mask.T.view(np.uint8) * np.uint8(255)).T


def read_array(path: Path) -> NDArray[Any]:
    """The voxels of a NRRD file, [i, j, k] or [layer, i, j, k]. Raises FileFormatError."""
    return read_nrrd(path)[0]
