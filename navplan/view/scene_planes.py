"""Slices of an image that stand in a scene: three planes through a place, painted as slices are, cut at the body."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import binary_erosion, map_coordinates

from navplan.errors import GeometryError
from navplan.model.structure import Structure
from navplan.model.volume import Volume
from navplan.view.colours import Colour
from navplan.view.meshes import PaintedMesh, joined
from navplan.view.slices import SlicePlane, axial_plane, coronal_plane, sagittal_plane, sample

MOST_PX = 300  # along a side of a plane: it is painted at its corners, and the colours run on between them
IN_FRONT = 0.14  # what is left of anatomy that hides a plane
OUTLINE_MM, DASH_MM = 1.2, 7.0
_MAKERS = (axial_plane, coronal_plane, sagittal_plane)
_BODIES: WeakKeyDictionary[Volume, NDArray[np.bool_]] = WeakKeyDictionary()

Painter = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class ImagePlane:
    """One plane. shown: (H, W) pixels that are painted; their size in mm; mesh: what is drawn."""

    plane: SlicePlane
    pixel_mm: float
    shown: NDArray[np.bool_]
    mesh: PaintedMesh

    def met_at(self, eye_mm: NDArray[np.float64], towards_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N,) where the lines from an eye (3,) to points (N, 3) meet the plane where it is painted: 1 at the point,
        less before it; infinite where they do not."""
        offset, way = np.asarray(self.plane.centre_mm) - eye_mm, towards_mm - eye_mm
        along = way @ self.plane.into
        share = np.divide(offset @ self.plane.into, along, out=np.full(len(way), np.inf), where=np.abs(along) > 1e-9)
        share = np.where(share > 0, share, np.inf)
        places = eye_mm + np.where(np.isfinite(share), share, 0.0)[:, None] * way
        height, width = self.shown.shape
        at = np.round(self.plane.pixels(places, (width, height), self.pixel_mm)[:, :2])
        inside = np.isfinite(share) & (at >= 0).all(axis=1) & (at < (width, height)).all(axis=1)
        x, y = np.where(inside[:, None], at, 0).astype(int).T
        return np.where(inside & self.shown[y, x], share, np.inf)


@dataclass(frozen=True, eq=False)
class ImagePlanes:
    """Axial, coronal and sagittal plane through centre_mm; those that show nothing are left out."""

    centre_mm: tuple[float, float, float]
    planes: tuple[ImagePlane, ...]

    @property
    def mesh(self) -> PaintedMesh:
        """All that is drawn."""
        return joined([one.mesh for one in self.planes])

    def left_of(self, points_mm: NDArray[np.float64], eye_mm: ArrayLike) -> NDArray[np.float64]:
        """(N,) alpha of anatomy at points (N, 3): IN_FRONT where it would hide a plane from the eye, else 1."""
        eye = np.asarray(eye_mm, dtype=np.float64)
        hides = np.zeros(len(points_mm), dtype=bool)
        for one in self.planes:
            met = one.met_at(eye, points_mm)
            hides |= np.isfinite(met) & (met > 1.0)
        return np.where(hides, IN_FRONT, 1.0)

    def first_hit(self, start_mm: NDArray[np.float64], end_mm: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """Where a line of sight first meets a plane; None where it meets none."""
        met = min((float(one.met_at(start_mm, end_mm[None])[0]) for one in self.planes), default=np.inf)
        return start_mm + met * (end_mm - start_mm) if np.isfinite(met) else None


def left_before(planes: ImagePlanes | None, points_mm: NDArray[np.float64], eye_mm: ArrayLike) -> NDArray[np.float64]:
    """`ImagePlanes.left_of`, and 1 everywhere without planes."""
    return np.ones(len(points_mm)) if planes is None else planes.left_of(points_mm, eye_mm)


def image_planes(
    volume: Volume, body: Structure | None, centre_mm: ArrayLike, paint: Painter, finest_mm: float = 0.8
) -> ImagePlanes:
    """The planes of an image through a place. paint: values (H, W) of the image, NaN where it shows none, and points
    (H, W, 3) -> RGB (H, W, 3). Of a CT only the body is shown, labelled or found; finest_mm: of a pixel.

    Raises GeometryError for a place that is none.
    """
    centre = np.asarray(centre_mm, dtype=np.float64)
    if centre.shape != (3,) or not np.isfinite(centre).all():
        raise GeometryError(f"planes through {np.asarray(centre_mm).tolist()}", "three finite LPS coordinates in mm")
    corners = volume.grid.corners_mm()
    found = []
    for made in _MAKERS:
        plane, size, pixel = _reaching(made(centre), corners, finest_mm)
        points = plane.points_mm(size, pixel)
        values = sample(volume, points)
        shown = ~np.isnan(values) & _in_body(volume, body, points)
        values[~shown] = np.nan
        if shown.any():
            mesh = _painted_plane(plane, points, shown, paint(values, points))
            found.append(ImagePlane(plane, pixel, shown, mesh))
    return ImagePlanes((float(centre[0]), float(centre[1]), float(centre[2])), tuple(found))


@dataclass(frozen=True, eq=False)
class PlaneOutline:
    """Where a structure ends, on a plane. into_its_image: from points of the planes to its own; dashed: as what was
    carried is."""

    structure: Structure
    colour: Colour
    dashed: bool = False
    into_its_image: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None

    def drawn_on(self, rgb: NDArray[np.float64], points_mm: NDArray[np.float64]) -> None:
        """Paint it on a plane's picture (H, W, 3) of points (H, W, 3)."""
        one, pixel = self.structure, float(np.linalg.norm(points_mm[0, 1] - points_mm[0, 0]))
        if one.occupancy is None or one.grid is None:
            return
        places = points_mm.reshape(-1, 3)
        at = one.grid.indices(places if self.into_its_image is None else self.into_its_image(places)).T
        near = ((at > -1) & (at < np.asarray(one.grid.shape)[:, None])).all(axis=0)
        held = np.zeros(len(places), dtype=bool)
        held[near] = map_coordinates(one.occupancy, at[:, near], np.float32, order=1, mode="constant") >= 127.5
        inside = held.reshape(rgb.shape[:2])
        rim = inside & ~binary_erosion(inside, iterations=max(1, round(OUTLINE_MM / pixel)))
        if self.dashed:
            y, x = np.indices(rim.shape)
            rim &= (x - y) * pixel % DASH_MM < 0.55 * DASH_MM
        rgb[rim] = self.colour


def _reaching(
    plane: SlicePlane, corners_mm: NDArray[np.float64], finest_mm: float
) -> tuple[SlicePlane, tuple[int, int], float]:
    """Through the same place, as large as the image, its middle a whole number of pixels from that place."""
    offsets = corners_mm - np.asarray(plane.centre_mm)
    ends = [(float((offsets @ axis).min()), float((offsets @ axis).max())) for axis in (plane.right, plane.down)]
    pixel = max(finest_mm, max(high - low for low, high in ends) / MOST_PX)
    size, middle = [], np.asarray(plane.centre_mm)
    for (low, high), axis in zip(ends, (plane.right, plane.down), strict=True):
        first, last = int(np.floor(low / pixel)), int(np.ceil(high / pixel))
        size.append(last - first + 1)
        middle = middle + (first + last) / 2 * pixel * np.asarray(axis)
    there = SlicePlane((float(middle[0]), float(middle[1]), float(middle[2])), plane.right, plane.down, plane.title)
    return there, (size[0], size[1]), pixel


def _in_body(volume: Volume, body: Structure | None, points_mm: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(H, W) whether points are in the body; everywhere in an image that is no CT and has none labelled."""
    if body is not None and body.occupancy is not None and body.grid is not None:
        mask, grid = body.occupancy > 127, body.grid
    elif volume.quantity == "HU":
        mask, grid = _found_body(volume), volume.grid
        if not mask.any():
            return np.ones(points_mm.shape[:2], dtype=bool)
    else:
        return np.ones(points_mm.shape[:2], dtype=bool)
    at = grid.indices(points_mm.reshape(-1, 3)).T
    found = map_coordinates(mask.astype(np.float32), at, order=1, mode="nearest") >= 0.5
    inside = ((at > -0.5) & (at < np.asarray(grid.shape)[:, None] - 0.5)).all(axis=0)
    return np.asarray((found & inside).reshape(points_mm.shape[:2]))


def _found_body(volume: Volume) -> NDArray[np.bool_]:
    """The body, or everything where the image is cut so small that the air beside the body is taken for lung."""
    from navplan.imaging.body import find_body

    if volume not in _BODIES:
        _BODIES[volume] = find_body(volume).body
    return _BODIES[volume]


def _painted_plane(
    plane: SlicePlane, points_mm: NDArray[np.float64], shown: NDArray[np.bool_], rgb: NDArray[np.float64]
) -> PaintedMesh:
    """Two triangles between four pixels that are shown."""
    height, width = shown.shape
    whole = shown[:-1, :-1] & shown[1:, :-1] & shown[:-1, 1:] & shown[1:, 1:]
    y, x = np.nonzero(whole)
    a = y * width + x
    corners = np.concatenate(
        [np.stack([a, a + width, a + 1], axis=1), np.stack([a + 1, a + width, a + width + 1], axis=1)]
    )
    count = height * width
    normals = np.broadcast_to(-plane.into, (count, 3))
    mesh = PaintedMesh(
        points_mm.reshape(-1, 3), normals, corners.astype(np.int64), rgb.reshape(-1, 3), np.ones(count)
    )
    return mesh.without_idle_points()
