"""What a live scene shows besides anatomy and needle: the C-arm, and the cursor that is linked to the slices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.errors import GeometryError, InputError
from navplan.geometry.lines import unit
from navplan.view.camera import Camera
from navplan.view.colours import HALO, Colour
from navplan.view.live_needle import ZOOMED
from navplan.view.meshes import PaintedMesh, ball, joined, turned_body
from navplan.view.render import Look, SceneWindow

_METAL: Colour = (104, 114, 126)
_PLATE: Colour = (132, 146, 162)
_BEAM: Colour = (150, 160, 172)
_CURSOR: Colour = (255, 246, 150)
_SOURCE_MM, _ISOCENTRE_PX, _RAY_PX, _EDGE_PX, _BOW_MM, _PLATE_MM = 32.0, 2.5, 0.8, 0.8, 17.0, 24.0
_ARM_PX, _GAP_PX, _WIDE_PX = 11.0, 3.0, 1.1


class LiveMarks:
    """The C-arm and the cursor, made anew when they have moved or the picture's scale has changed."""

    def __init__(self, window: SceneWindow) -> None:
        self._solid, self._clear = window.add(Look.SOLID), window.add(Look.CLEAR)
        self._cross = window.add(Look.THROUGH)
        self._carm: tuple[ArrayLike, ArrayLike, ArrayLike] | None = None
        self._cursor_mm: ArrayLike | None = None
        self._pixel_mm = 0.0

    def show_carm(
        self, source_mm: ArrayLike | None, corners_mm: ArrayLike | None, isocentre_mm: ArrayLike | None
    ) -> None:
        """Draw a C-arm: see carm_meshes; None takes it away."""
        carm = None
        if source_mm is not None:
            if corners_mm is None or isocentre_mm is None:
                raise InputError("a C-arm without detector or isocentre", "all three, or None for no C-arm")
            carm = (source_mm, corners_mm, isocentre_mm)
            carm_meshes(*carm)  # refuses what is no C-arm
        self._carm, self._pixel_mm = carm, 0.0
        self._solid.show(carm is not None)
        self._clear.show(carm is not None)

    def show_cursor(self, point_mm: ArrayLike | None) -> None:
        """Mark a point (3,) LPS, in front of all else; None takes the mark away."""
        if point_mm is not None:
            cursor_mesh(point_mm, 1.0)  # refuses what is no point
        self._cursor_mm, self._pixel_mm = point_mm, 0.0
        self._cross.show(point_mm is not None)

    def look_from(self, camera: Camera, height_px: int) -> None:
        """As large and thin as a picture of this height wants it."""
        pixel = camera.millimetres_per_pixel(height_px)
        if self._pixel_mm and abs(pixel / self._pixel_mm - 1) < ZOOMED:
            return
        self._pixel_mm = pixel
        if self._carm is not None:
            solid, clear = carm_meshes(*self._carm, pixel)
            self._solid.set_mesh(solid)
            self._clear.set_mesh(clear)
        if self._cursor_mm is not None:
            self._cross.set_mesh(cursor_mesh(self._cursor_mm, pixel))


def carm_meshes(
    source_mm: ArrayLike, corners_mm: ArrayLike, isocentre_mm: ArrayLike, pixel_mm: float = 1.0
) -> tuple[PaintedMesh, PaintedMesh]:
    """A C-arm: what is opaque (source, bow, central ray, isocentre), what is translucent (detector, edges of the beam).

    source_mm, isocentre_mm (3,), corners_mm (4, 3) of the detector in turn around it, its image's upper edge first:
    LPS. The bow passes on the side of that edge. pixel_mm: of the picture at the isocentre: rays are thin lines in it.
    Raises GeometryError for other shapes, or a source in the detector's plane.
    """
    source, corners, isocentre = (np.asarray(mm, dtype=np.float64) for mm in (source_mm, corners_mm, isocentre_mm))
    if source.shape != (3,) or corners.shape != (4, 3) or isocentre.shape != (3,):
        raise GeometryError(f"a C-arm of {source.shape}, {corners.shape}, {isocentre.shape}", "(3,), (4, 3), (3,)")
    if not all(np.isfinite(given).all() for given in (source, corners, isocentre)):
        raise GeometryError("a C-arm at no finite place", "finite LPS coordinates in mm")
    centre = corners.mean(axis=0)
    normal = np.cross(corners[1] - corners[0], corners[3] - corners[0])
    if np.linalg.norm(normal) < 1.0 or abs(float(unit(normal) @ (centre - source))) < 1.0:
        raise GeometryError("a C-arm whose detector has no area or holds the source", "the source off the detector")
    ray = unit(centre - source)
    opaque = [
        ball(source, _SOURCE_MM, _METAL),
        ball(isocentre, _ISOCENTRE_PX * pixel_mm, _BEAM),
        _bar(source, centre, _RAY_PX * pixel_mm, _BEAM),
        _bow(source, centre, ray, corners[:2].mean(axis=0) - centre),
    ]
    clear = [_plate(corners, ray), *(_bar(source, corner, _EDGE_PX * pixel_mm, _BEAM, 0.35) for corner in corners)]
    return joined(opaque), joined(clear)


def cursor_mesh(point_mm: ArrayLike, pixel_mm: float) -> PaintedMesh:
    """A cross along the patient's axes, open in its middle, with dark edges."""
    point = np.asarray(point_mm, dtype=np.float64)
    if point.shape != (3,) or not np.isfinite(point).all():
        raise GeometryError(f"a cursor at {point.tolist()}", "three finite LPS coordinates in mm")
    arms = []
    for direction in (*np.eye(3), *-np.eye(3)):
        depths = np.array([_GAP_PX, _ARM_PX]) * pixel_mm
        for wider, longer, colour in ((2.2, 1.2, HALO), (1.0, 0.0, _CURSOR)):
            ends, radius = depths + np.array([-longer, longer]) * pixel_mm, wider * _WIDE_PX * pixel_mm
            arms.append(
                turned_body(
                    point, direction, ends[[0, 0, 1, 1]], [0, radius, radius, 0], colour, 8, inside_out=colour is HALO
                )
            )
    return joined(arms)


def _bar(
    start: NDArray[np.float64], end: NDArray[np.float64], radius_mm: float, colour: Colour, alpha: float = 1.0
) -> PaintedMesh:
    length = float(np.linalg.norm(end - start))
    return turned_body(start, (end - start) / length, [0.0, length], [radius_mm] * 2, colour, 10, alpha)


def _bow(
    source: NDArray[np.float64], centre: NDArray[np.float64], ray: NDArray[np.float64], edge: NDArray[np.float64]
) -> PaintedMesh:
    """Half a ring from the source to the detector, on the side of the detector's edge: a straight rod, bent."""
    aside = unit(edge - (edge @ ray) * ray)
    middle, reach = 0.5 * (source + centre), 0.5 * float(np.linalg.norm(centre - source))
    rod = turned_body((0, 0, 0), (0, 0, 1), np.linspace(0, np.pi, 49), np.full(49, _BOW_MM), _METAL, sides=20)
    outward = -np.cos(rod.points_mm[:, 2:]) * ray + np.sin(rod.points_mm[:, 2:]) * aside
    across = np.cross(ray, aside)
    points = middle + (reach + rod.points_mm[:, :1]) * outward + rod.points_mm[:, 1:2] * across
    return replace(rod, points_mm=points, normals=rod.normals[:, :1] * outward + rod.normals[:, 1:2] * across)


def _plate(corners: NDArray[np.float64], ray: NDArray[np.float64]) -> PaintedMesh:
    """The detector: a flat box behind its image plane."""
    points = np.concatenate([corners, corners + _PLATE_MM * ray])
    faces = [(0, 3, 2, 1), (4, 5, 6, 7), (0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7)]
    middle = points.mean(axis=0)
    places: list[NDArray[np.float64]] = []
    normals: list[NDArray[np.float64]] = []
    triangles: list[list[int]] = []
    for face in faces:
        here = points[list(face)]
        normal = unit(np.cross(here[1] - here[0], here[2] - here[0]))
        outward = float(normal @ (here.mean(axis=0) - middle)) > 0
        first = 4 * len(places)
        places.append(here)
        normals.append(np.tile(normal if outward else -normal, (4, 1)))
        turned = [(0, 1, 2), (0, 2, 3)] if outward else [(0, 2, 1), (0, 3, 2)]
        triangles += [[first + corner for corner in triangle] for triangle in turned]
    count = 4 * len(faces)
    return PaintedMesh(
        np.concatenate(places),
        np.concatenate(normals),
        np.asarray(triangles, dtype=np.int64),
        np.tile(np.asarray(_PLATE, dtype=np.float64), (count, 1)),
        np.full(count, 0.30),
    )
