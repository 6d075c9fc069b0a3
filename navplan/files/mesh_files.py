"""Meshes (.stl, .obj, .ply, .vtp) to structures: closed surfaces in mm, voxelised on the image's grid by occupancy.

3D Slicer writes which way its coordinates lie into the file, as "SPACE=LPS" or "SPACE=RAS": in the header or a comment
of STL, PLY and OBJ, as a field named SPACE in VTP.
"""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from navplan.errors import FileFormatError, InputError, MismatchError
from navplan.files.durable import file_sha256
from navplan.files.mesh_formats import read_obj, read_ply, read_stl
from navplan.files.structure_names import canonical_name
from navplan.files.structures_in import MESHES, StructuresRead, Wanted
from navplan.files.vtp import read_vtp
from navplan.imaging.label_map import structure_from_shares
from navplan.imaging.voxelise import check_closed, voxelise
from navplan.model.structure import WORST_PLAUSIBLE_RESOLUTION_MM, Structure

LARGEST_FILE = 1 << 31  # bytes
FARTHEST_MM = 1e5
_HEAD = 4096  # bytes in which a comment about the space stands
_TO_LPS = np.array([-1.0, -1.0, 1.0])


def read_meshes(path: Path, wanted: Wanted) -> StructuresRead:
    """A structure a file, named by it (or wanted.structure for one). Region that was looked at: the image.

    Resolution, where nobody states it: the worst plausible, since a mesh does not say what it was drawn on.

    Raises InputError: a surface that is open, not manifold or turned both ways, names by number, a space that the file
    contradicts; MismatchError beside the image; FileFormatError for a file that cannot be read.
    """
    if wanted.names is not None:
        raise InputError(f"names by number for the mesh {path.name}", "the file's name, or --structure NAME")
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.is_file() and file.suffix.lower() in MESHES)
    else:
        files = [path]
    if wanted.structure and len(files) > 1:
        raise InputError(f"{len(files)} meshes as {wanted.structure}", "one")
    structures, notes, digests = [], [], []
    for file in files:
        name = canonical_name(wanted.structure or file.stem)
        digest = file_sha256(file)
        structure, told = _structure(file, name, digest, wanted)
        structures.append(structure)
        notes += [f"{name}: {words}" for words in told]
        digests.append(digest)
    return StructuresRead(tuple(structures), tuple(notes), tuple(sorted(set(digests))))


def _structure(file: Path, name: str, digest: str, wanted: Wanted) -> tuple[Structure, list[str]]:
    points, triangles, said = read_mesh(file)
    if said and wanted.space and said != wanted.space:
        raise InputError(f"--space {wanted.space} for {file.name}, which says {said}", "what the file says")
    told = []
    space = said or wanted.space
    if not space:
        told.append("neither the file nor --space says which way its coordinates lie: taken as LPS")
    if space == "RAS":
        points = points * _TO_LPS
    check_closed(triangles, file.name)
    volume = signed_volume_mm3(points, triangles)
    if abs(volume) < 1e-6:
        raise InputError(f"{file.name}: a surface that encloses nothing", "a closed surface in mm")
    grid = wanted.grid
    low, high = grid.indices(points).min(axis=0), grid.indices(points).max(axis=0)
    if (high < -0.5).any() or (low > np.asarray(grid.shape) - 0.5).any():
        ends = zip("LPS", points.min(axis=0), points.max(axis=0), strict=True)
        spans = ", ".join(f"{letter} {first:.0f} to {last:.0f}" for letter, first, last in ends)
        raise MismatchError(
            f"the mesh {file.name} at {spans} mm, beside the image", "a mesh in mm that meets the image",
            "Choose its image, or say which way its coordinates lie: --space RAS",
        )  # fmt: skip
    found = voxelise(points, triangles, grid)
    resolution = wanted.working_resolution_mm
    structure = structure_from_shares(
        found.occupancy, found.grid, name, wanted.image_id, f"mesh {digest[:16]}", grid, True,
        WORST_PLAUSIBLE_RESOLUTION_MM if resolution is None else resolution,
    )  # fmt: skip
    if found.lost:
        told.append(f"{100 * found.lost:.2g} % of the lines through it met a gap and were left out")
    inside = bool((low >= -0.5).all() and (high <= np.asarray(grid.shape) - 0.5).all())
    filled = float(found.occupancy.sum(dtype=np.float64)) / 255 * float(grid.spacing_mm.prod())
    if inside and abs(filled - abs(volume)) > 0.02 * abs(volume) + 255 * float(grid.spacing_mm.prod()) / 64:
        told.append(
            f"{filled / 1000:.2f} ml are filled, its surface encloses {abs(volume) / 1000:.2f} ml: it crosses itself,"
            " or a cavity faces the wrong way and is filled"
        )
    if not inside:
        told.append("part of it lies beyond the image")
    return structure, told


def signed_volume_mm3(points: NDArray[np.float64], triangles: NDArray[np.int64]) -> float:
    """What a closed surface encloses, by the divergence theorem; negative where its triangles turn inward."""
    middle = points.mean(axis=0)
    a, b, c = (points[triangles[:, corner]] - middle for corner in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6.0)


def read_mesh(file: Path) -> tuple[NDArray[np.float64], NDArray[np.int64], str]:
    """Points (N, 3) as the file has them, coincident ones merged, triangles (M, 3), and the space that the file names:
    "LPS", "RAS" or "". Raises FileFormatError where it cannot be read or holds no triangle."""
    if not 0 < file.stat().st_size <= LARGEST_FILE:
        raise FileFormatError(f"{file.name}: {file.stat().st_size} bytes", f"a mesh of at most {LARGEST_FILE} bytes")
    data, said = file.read_bytes(), ""
    try:
        if file.suffix.lower() == ".vtp":
            points, triangles, said = read_vtp(data)
        else:
            points, triangles = {".stl": read_stl, ".obj": read_obj, ".ply": read_ply}[file.suffix.lower()](data)
    except (ValueError, OverflowError, KeyError, zlib.error, ElementTree.ParseError) as error:
        raise FileFormatError(f"{file.name}: {error}", "a mesh that can be read") from error
    space = _space(file.name, data, said)
    if len(triangles) == 0:
        raise FileFormatError(f"{file.name}: no triangle in it", "a mesh that can be read")
    if triangles.min() < 0 or triangles.max() >= len(points):
        raise FileFormatError(f"{file.name}: a triangle with a corner that is no point", "a mesh that can be read")
    if not np.isfinite(points).all() or np.abs(points).max() > FARTHEST_MM:
        raise FileFormatError(f"{file.name}: points beyond {FARTHEST_MM / 1000:g} m or no numbers", "coordinates in mm")
    merged, places = np.unique(points + 0.0, axis=0, return_inverse=True)
    cells = places.reshape(-1)[triangles]
    flat = (cells == np.roll(cells, 1, axis=1)).any(axis=1)
    return merged, np.ascontiguousarray(cells[~flat]), space


def _space(name: str, data: bytes, said: str) -> str:
    named = {word.decode() for word in re.findall(rb"SPACE\s*=\s*(LPS|RAS)\b", data[:_HEAD])}
    named |= {said.upper()} if said else set()
    if len(named) > 1 or not named <= {"LPS", "RAS"}:
        raise FileFormatError(f"{name}: the space {', '.join(sorted(named))}", "LPS or RAS")
    return named.pop() if named else ""
