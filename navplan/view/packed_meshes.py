"""Meshes in few bytes, for a page: 12 bytes a vertex, 2 a corner. web/draw.js reads them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError
from navplan.view.meshes import PaintedMesh

_STEPS = 65535  # of a coordinate, over the length of its box
_NARROW = 65536  # vertices that two bytes can number


class PackedMeshes:
    """Grows by one mesh after the other; `data` is all of them.

    Of each mesh, each part starting at a multiple of 4: places uint16 (K, N, 3) in its box, dress int8 (N, 2) normal as
    an octahedron unfolded and uint8 (N, 4) red, green, blue, alpha, together (N, 6); corners (M, 3) uint16, or uint32
    where there are more than 65,536 vertices. All little-endian.
    """

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._length = 0

    @property
    def data(self) -> bytes:
        """All that was added."""
        return b"".join(self._pieces)

    def add(self, *frames: PaintedMesh) -> dict[str, object]:
        """Add one mesh, or one that has several shapes: where it is and how to read it.

        Raises InputError for shapes whose vertices or triangles are not the same.
        """
        first = frames[0]
        points = np.stack([_points_like(first, frame) for frame in frames])
        everywhere = points.reshape(-1, 3) if points.size else np.zeros((1, 3))
        low = everywhere.min(axis=0)
        size = np.maximum(everywhere.max(axis=0) - low, 1e-6)
        wide = len(first.points_mm) > _NARROW
        dress = np.concatenate([_octahedral(first.normals).view(np.uint8), _rgba(first)], axis=1)
        return {
            "vertices": len(first.points_mm),
            "corners": first.triangles.size,
            "frames": len(frames),
            "wide": wide,
            "low": low.tolist(),
            "size": size.tolist(),
            "at": [
                self._append(np.round((points - low) / size * _STEPS).astype("<u2")),
                self._append(dress),
                self._append(first.triangles.astype("<u4" if wide else "<u2")),
            ],
        }

    def _append(self, values: NDArray[np.generic]) -> int:
        start, piece = self._length, np.ascontiguousarray(values).tobytes()
        self._pieces.append(piece + bytes(-len(piece) % 4))
        self._length += len(piece) + -len(piece) % 4
        return start


def _points_like(first: PaintedMesh, other: PaintedMesh) -> NDArray[np.float64]:
    if other.points_mm.shape != first.points_mm.shape or not np.array_equal(other.triangles, first.triangles):
        raise InputError("shapes of one mesh with other triangles", "the same vertices and triangles in each")
    return other.points_mm


def _octahedral(normals: NDArray[np.float64]) -> NDArray[np.int8]:
    """Unit vectors (N, 3) as (N, 2) -127..127: Meyer et al, Computer Graphics Forum 2010;29:1405."""
    flat = normals / np.maximum(np.abs(normals).sum(axis=1, keepdims=True), 1e-12)
    signs = np.where(flat[:, :2] >= 0, 1.0, -1.0)
    folded = np.where(flat[:, 2:] < 0, (1 - np.abs(flat[:, 1::-1])) * signs, flat[:, :2])
    return np.round(127 * folded).astype(np.int8)


def _rgba(mesh: PaintedMesh) -> NDArray[np.uint8]:
    channels = np.concatenate([mesh.rgb, 255 * mesh.alpha[:, None]], axis=1)
    return np.clip(np.round(channels), 0, 255).astype(np.uint8)

