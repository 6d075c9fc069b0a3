"""Painted meshes: anatomy with its shade, and what the needle consists of. No VTK here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.geometry.compiled import by_rows, compiled
from navplan.geometry.lines import perpendicular_axes, unit
from navplan.imaging.surfaces import Surface
from navplan.view.colours import Colour


@dataclass(frozen=True, eq=False)
class PaintedMesh:
    """points_mm, normals (N, 3), triangles (M, 3), rgb (N, 3) 0..255, alpha (N,) 0..1."""

    points_mm: NDArray[np.float64]
    normals: NDArray[np.float64]
    triangles: NDArray[np.int64]
    rgb: NDArray[np.float64]
    alpha: NDArray[np.float64]

    def split(self, opaque_from: float = 0.995) -> tuple[PaintedMesh, PaintedMesh]:
        """The triangles whose corners are all opaque, and the rest."""
        solid = (self.alpha >= opaque_from)[self.triangles].all(axis=1)
        return replace(self, triangles=self.triangles[solid]), replace(self, triangles=self.triangles[~solid])

    def without_idle_points(self) -> PaintedMesh:
        """The same triangles, without the points that none of them uses."""
        used, corners = np.unique(self.triangles, return_inverse=True)
        return PaintedMesh(
            self.points_mm[used],
            self.normals[used],
            corners.reshape(self.triangles.shape),
            self.rgb[used],
            self.alpha[used],
        )


def painted(surface: Surface, colour: Colour, shade: NDArray[np.float64] | float = 1.0) -> PaintedMesh:
    """An opaque mesh of one colour, darkened by shade (N,) 0..1."""
    count = len(surface.points_mm)
    rgb = np.asarray(colour, dtype=np.float64) * np.broadcast_to(np.asarray(shade), (count,))[:, None]
    return PaintedMesh(surface.points_mm, surface.normals, surface.triangles, rgb, np.ones(count))


def ghost(mesh: PaintedMesh, camera_mm: ArrayLike, base: float, rim: float) -> PaintedMesh:
    """Translucent, denser where the surface turns away from the viewer: alpha = base + rim (1 - |n.v|)^2.5."""
    view = unit(np.asarray(camera_mm, dtype=float) - mesh.points_mm)
    facing = np.abs(np.einsum("ij,ij->i", mesh.normals, view))
    return replace(mesh, alpha=np.clip(mesh.alpha * (base + rim * (1 - facing) ** 2.5), 0, 1))


def joined(meshes: Sequence[PaintedMesh]) -> PaintedMesh:
    """All in one, so that one actor draws them."""
    meshes = [mesh for mesh in meshes if len(mesh.triangles)]
    if not meshes:
        empty = np.zeros((0, 3))
        return PaintedMesh(empty, empty, np.zeros((0, 3), dtype=np.int64), empty, np.zeros(0))
    first = np.cumsum([0, *[len(mesh.points_mm) for mesh in meshes]])[:-1]
    return PaintedMesh(
        np.concatenate([mesh.points_mm for mesh in meshes]),
        np.concatenate([mesh.normals for mesh in meshes]),
        np.concatenate([mesh.triangles + start for mesh, start in zip(meshes, first, strict=True)]),
        np.concatenate([mesh.rgb for mesh in meshes]),
        np.concatenate([mesh.alpha for mesh in meshes]),
    )


def turned_body(
    start_mm: ArrayLike,
    direction: ArrayLike,
    depths_mm: ArrayLike,
    radii_mm: ArrayLike,
    colour: Colour,
    sides: int = 28,
    alpha: float = 1.0,
    inside_out: bool = False,
) -> PaintedMesh:
    """A body of revolution about an axis: radii (K,) at depths (K,) from start_mm along a unit direction.

    Radius 0 at an end closes it. inside_out: normals and triangles turned inward (for a halo).
    """
    depths, radii = np.asarray(depths_mm, dtype=np.float64), np.asarray(radii_mm, dtype=np.float64)
    axis = unit(direction)
    first, second = perpendicular_axes(axis)
    angle = np.arange(sides) * (2 * np.pi / sides)
    around = np.cos(angle)[:, None] * first + np.sin(angle)[:, None] * second
    points = np.asarray(start_mm) + depths[:, None, None] * axis + radii[:, None, None] * around
    normals = np.broadcast_to(around, points.shape)
    ring = np.arange(sides)
    after = (ring + 1) % sides
    quad = np.stack([ring, after, after + sides, ring, after + sides, ring + sides], axis=1)
    rows = np.arange(len(depths) - 1)[:, None, None] * sides
    corners = (rows + quad).reshape(-1, 3)
    count = len(depths) * sides
    mesh = PaintedMesh(
        points.reshape(-1, 3),
        np.ascontiguousarray(normals.reshape(-1, 3)),
        corners.astype(np.int64),
        np.tile(np.asarray(colour, dtype=np.float64), (count, 1)),
        np.full(count, alpha),
    )
    return replace(mesh, normals=-mesh.normals, triangles=mesh.triangles[:, ::-1]) if inside_out else mesh


def repeated(mesh: PaintedMesh, offsets_mm: NDArray[np.float64]) -> PaintedMesh:
    """The same mesh at so many places, each moved by a row of offsets (K, 3), as one."""
    times, count = len(offsets_mm), len(mesh.points_mm)
    if not times:
        return joined([])
    return PaintedMesh(
        (mesh.points_mm + offsets_mm[:, None]).reshape(-1, 3),
        np.tile(mesh.normals, (times, 1)),
        (mesh.triangles + count * np.arange(times)[:, None, None]).reshape(-1, 3),
        np.tile(mesh.rgb, (times, 1)),
        np.tile(mesh.alpha, times),
    )


def ball(centre_mm: ArrayLike, radius_mm: float, colour: Colour, alpha: float = 1.0) -> PaintedMesh:
    """A sphere."""
    angle = np.linspace(0, np.pi, 13)
    depths, radii = -radius_mm * np.cos(angle), radius_mm * np.sin(angle)
    mesh = turned_body(centre_mm, (0.0, 0.0, 1.0), depths, radii, colour, alpha=alpha)
    return replace(mesh, normals=(mesh.points_mm - np.asarray(centre_mm)) / radius_mm)


def cutaway(
    points_mm: NDArray[np.float64],
    camera_mm: ArrayLike,
    seen_mm: NDArray[np.float64],
    reach_mm: float = 16.0,
    faded: float = 0.14,
    behind_mm: float = 3.0,
) -> NDArray[np.float64]:
    """(N,) alpha: `faded` within reach_mm of the sight lines from the camera to the points that must be seen (K, 3).

    It rises to 1 over the next 3 mm. What lies less than behind_mm in front of a point, or behind it, is left alone.
    """
    if len(seen_mm) == 0:
        return np.ones(len(points_mm))
    eye = np.asarray(camera_mm, dtype=np.float64)
    sights = np.asarray(seen_mm) - eye
    lengths = np.linalg.norm(sights, axis=1)
    points = np.ascontiguousarray(points_mm, dtype=np.float64)
    distance = by_rows(_to_sights_mm, [points], eye, sights / lengths[:, None], lengths - behind_mm, least=4096)
    return np.asarray(faded + (1 - faded) * np.clip((distance - reach_mm) / 3.0, 0, 1))


@compiled(fastmath={"nnan", "nsz", "contract", "reassoc"})
def _to_sights_mm(
    points: NDArray[np.float64], eye: NDArray[np.float64], directions: NDArray[np.float64], until: NDArray[np.float64]
) -> NDArray[np.float32]:
    """(N,) distance from points (N, 3) to the nearest line (K, 3) from the eye that goes on beyond them; 1e9 where none
    does."""
    count = len(until)
    x, y, z = np.empty(count, np.float32), np.empty(count, np.float32), np.empty(count, np.float32)
    end = np.empty(count, np.float32)
    for k in range(count):
        x[k], y[k], z[k], end[k] = directions[k, 0], directions[k, 1], directions[k, 2], until[k]
    found = np.empty(len(points), np.float32)
    for n in range(len(points)):
        a = np.float32(points[n, 0] - eye[0])
        b = np.float32(points[n, 1] - eye[1])
        c = np.float32(points[n, 2] - eye[2])
        most = np.float32(-1e18)
        for k in range(count):
            along = a * x[k] + b * y[k] + c * z[k]
            most = max(most, along * along if along < end[k] else np.float32(-1e18))
        found[n] = np.sqrt(max(a * a + b * b + c * c - most, np.float32(0.0)))
    return found
