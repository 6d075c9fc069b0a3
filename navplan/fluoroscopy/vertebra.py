"""A vertebra's own axes, from its label: what true AP, lateral and oblique views of it are turned by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError
from navplan.model.structure import Presence, Structure

SAMPLE_MM = 1.0  # the label is looked at on a grid of this spacing
LEAST_BODY_MM = 5.0  # radius of the largest ball inside a vertebral body
STEP_BLUR = 0.4  # standard deviation of the blur that takes a label's steps away, of its coarsest spacing
HIGHEST_MM, PLATE_STEP_MM = 35.0, 0.5  # how far from the body's middle an endplate is looked for
DISC_SHARE = 1.1  # of that ball's radius: the part of each endplate that is fitted
TRIMMED = 0.15  # of the endplate's points, the farthest from the plane, are left out (rims, osteophytes)
ROUNDS = 4
LEAST_SYMMETRY, LYING_DEG = 0.8, 45.0
WEDGE_TOLD_DEG = 10.0  # between the endplates: then a view can square only their mean
TURN_TO_DEG, TURN_STEP_DEG = 16.0, 0.5


@dataclass(frozen=True)
class VertebraFrame:
    """centre_mm: the middle of the body; superior, anterior, left: orthonormal; LPS. endplates_deg: the angle between
    the two endplates (a wedge). symmetry: share of the label that its mirror image covers, 1 for an even one."""

    name: str
    centre_mm: NDArray[np.float64]
    superior: NDArray[np.float64]
    anterior: NDArray[np.float64]
    left: NDArray[np.float64]
    endplates_deg: float
    symmetry: float


def vertebra_frame(structure: Structure) -> VertebraFrame:
    """The frame of one vertebra, its processes included.

    The body is about the largest ball that the label holds. Superior is the mean normal of planes through its two
    endplates; anterior points from the processes to the body, turned until the label is most even about the midplane.
    Raises InputError for a structure without voxels, a label without a body (too small), cut by the image's end, uneven
    (cut, or not one vertebra), lying down, or without processes.
    """
    from scipy.ndimage import distance_transform_edt

    if structure.presence is not Presence.PRESENT or structure.occupancy is None or structure.grid is None:
        raise InputError(f"structure {structure.name} without voxels", "a labelled vertebra")
    if _touches_the_end(structure):
        raise InputError(f"{structure.name}, cut by the end of the image", "a whole vertebra", "Choose another one")
    full, origin = _sampled(structure)
    inside = full >= 0.5
    depth = distance_transform_edt(np.pad(inside, 1), sampling=SAMPLE_MM)[1:-1, 1:-1, 1:-1]
    radius = float(depth.max())
    if radius < LEAST_BODY_MM:
        raise InputError(
            f"{structure.name}, in which the largest ball has a radius of {radius:.1f} mm",
            f"a vertebral body: {LEAST_BODY_MM:g} mm and more",
            "Choose a whole vertebra",
        )
    points = np.argwhere(inside) * SAMPLE_MM + origin
    deep = depth[inside] > 0.9 * radius
    body = points[deep].mean(axis=0)
    away = body - points.mean(axis=0)
    superior = np.array([0.0, 0.0, 1.0])
    centre, wedge_deg = body, 0.0
    for _ in range(ROUNDS):
        superior, centre, wedge_deg = _endplates(full, origin, centre, superior, DISC_SHARE * radius)
    anterior = away - (away @ superior) * superior
    if np.linalg.norm(anterior) < 1.0:
        raise InputError(f"{structure.name}, even to the front and the back", "a vertebra with its processes")
    anterior /= np.linalg.norm(anterior)
    anterior, symmetry = _straightened(points, inside, origin, centre, superior, anterior)
    upright = float(np.degrees(np.arccos(np.clip(superior[2], -1.0, 1.0))))
    if symmetry < LEAST_SYMMETRY or upright > LYING_DEG:
        raise InputError(
            f"{structure.name}, {100 * symmetry:.0f} % even about its midplane, {upright:.0f} degrees from upright",
            f"a whole vertebra: {100 * LEAST_SYMMETRY:.0f} % and more, up to {LYING_DEG:g} degrees",
            "Look at the label: a part may be missing, or belong to another vertebra",
        )
    left = np.cross(superior, anterior)
    return VertebraFrame(structure.name, centre, superior, anterior, left, wedge_deg, symmetry)


def _touches_the_end(structure: Structure) -> bool:
    """Whether its outermost voxels are the image's own."""
    assert structure.grid is not None and structure.occupancy is not None and structure.evaluated_in is not None
    places = np.argwhere(structure.occupancy > 127)
    if not len(places):
        return False
    ends = structure.evaluated_in.indices(structure.grid.points_mm(np.stack([places.min(axis=0), places.max(axis=0)])))
    last = np.asarray(structure.evaluated_in.shape) - 1.5
    return bool((ends.min(axis=0) < 0.5).any() or (ends.max(axis=0) > last).any())


def _sampled(structure: Structure) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """How full it is, 0 to 1, at points SAMPLE_MM apart along LPS, without the steps of its slices; the first point."""
    from scipy.ndimage import gaussian_filter, map_coordinates

    assert structure.grid is not None and structure.occupancy is not None
    grid = structure.grid
    corners = grid.corners_mm()
    border = 3.0 * SAMPLE_MM
    low, high = corners.min(axis=0) - border, corners.max(axis=0) + border
    shape = tuple(int(n) for n in np.ceil((high - low) / SAMPLE_MM) + 1)
    found = np.zeros(shape, dtype=np.float32)
    y, z = np.meshgrid(np.arange(shape[1]), np.arange(shape[2]), indexing="ij")
    for i in range(shape[0]):  # a plane at a time
        at = grid.indices(low + SAMPLE_MM * np.stack([np.full(y.shape, i), y, z], axis=-1).reshape(-1, 3))
        values = map_coordinates(structure.occupancy, at.T, np.float32, order=1, mode="constant")
        found[i] = values.reshape(y.shape) / 255.0
    steps = float(grid.spacing_mm.max()) / SAMPLE_MM
    return np.asarray(gaussian_filter(found, STEP_BLUR * steps)), low


def _endplates(
    full: NDArray[np.float32], origin: NDArray[np.float64], centre: NDArray[np.float64],
    superior: NDArray[np.float64], reach_mm: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:  # fmt: skip
    """Their mean normal, the point half way between them, and the angle between them, degrees."""
    from scipy.ndimage import map_coordinates

    right = np.cross(superior, [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right)
    front = np.cross(superior, right)
    side = np.arange(-reach_mm, reach_mm + 1e-9, SAMPLE_MM)
    u, v = (part.ravel() for part in np.meshgrid(side, side))
    within = u**2 + v**2 <= reach_mm**2
    u, v = u[within], v[within]
    out = np.arange(0.0, HIGHEST_MM, PLATE_STEP_MM)
    normals, levels = [], []
    for way in (1.0, -1.0):
        points = centre + u[:, None, None] * right + v[:, None, None] * front + way * out[:, None] * superior
        values = map_coordinates(full, (points.reshape(-1, 3) - origin).T / SAMPLE_MM, order=1, mode="constant")
        values = values.reshape(u.size, out.size)
        outside = values < 0.5
        first = outside.argmax(axis=1)
        met = outside.any(axis=1) & (first > 0)
        if met.sum() < 20:
            raise InputError("a vertebra whose body has no endplate above and below", "a whole vertebra, not cut")
        last = values[met, first[met] - 1]
        share = (last - 0.5) / np.maximum(last - values[met, first[met]], 1e-6)
        heights = way * PLATE_STEP_MM * (first[met] - 1 + share)
        middle, kept = np.column_stack([u[met], v[met], np.ones(int(met.sum()))]), np.ones(int(met.sum()), dtype=bool)
        for _ in range(3):
            fitted = np.linalg.lstsq(middle[kept], heights[kept], rcond=None)[0]
            off = np.abs(heights - middle @ fitted)
            kept = off <= np.quantile(off, 1.0 - TRIMMED)
        normals.append(np.array([-fitted[0], -fitted[1], 1.0]) / np.sqrt(1.0 + fitted[0] ** 2 + fitted[1] ** 2))
        levels.append(fitted[2])
    wedge = np.degrees(np.arccos(np.clip(normals[0] @ normals[1], -1.0, 1.0)))
    mean = normals[0] + normals[1]
    turned = mean[0] * right + mean[1] * front + mean[2] * superior
    return turned / np.linalg.norm(turned), centre + superior * (levels[0] + levels[1]) / 2.0, float(wedge)


def _straightened(
    points: NDArray[np.float64], inside: NDArray[np.bool_], origin: NDArray[np.float64], centre: NDArray[np.float64],
    superior: NDArray[np.float64], anterior: NDArray[np.float64],
) -> tuple[NDArray[np.float64], float]:  # fmt: skip
    """The direction near `anterior` about which the label is most even, and how even it is."""
    side = np.cross(superior, anterior)
    some = points[:: max(1, points.shape[0] // 20_000)]

    def evenness(degrees: float, shift_mm: float) -> float:
        turn = np.radians(degrees)
        normal = np.cos(turn) * side - np.sin(turn) * anterior
        mirrored = some - 2.0 * ((some - centre) @ normal - shift_mm)[:, None] * normal
        at = np.rint((mirrored - origin) / SAMPLE_MM).astype(int)
        held = ((at >= 0) & (at < inside.shape)).all(axis=1)
        return float(inside[tuple(at[held].T)].sum()) / some.shape[0]

    degrees, shift, best = 0.0, 0.0, -1.0
    for span, step in ((TURN_TO_DEG, 2.0), (2.5, TURN_STEP_DEG), (0.6, 0.2)):
        about = degrees
        for turn in np.arange(about - span, about + span + 1e-9, step):
            for moved in (shift - 1.0, shift - 0.5, shift, shift + 0.5, shift + 1.0):
                value = evenness(float(turn), float(moved))
                if value > best:
                    degrees, best, kept = float(turn), value, float(moved)
        shift = kept
    turn = np.radians(degrees)
    return np.asarray(np.cos(turn) * anterior + np.sin(turn) * side), best
