"""Which points of the skin may be an entry at all, and why the others may not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from navplan.errors import InputError
from navplan.geometry.conventions import DOWN_BY_PATIENT_POSITION
from navplan.geometry.grid import Grid
from navplan.geometry.lines import unit
from navplan.model.structure import Presence, Structure
from navplan.model.volume import Volume
from navplan.planning.boundary import MOSTLY_INSIDE, boundary_mask, occupancy_at

ENTRY_SPACING_MM = 3.0
EDGE_BAND_MM = 4.0  # skin this close to what the image does not show is not known to be skin
BELOW_HORIZONTAL_DEG = 10.0  # a needle that comes from further below the horizontal meets the couch (unsourced)
GRAZING_DEG = 70.0  # a needle flatter to the skin than 90 - 70 degrees is ruled out (unsourced)
HUB_MM = 30.0  # room for hub and hand beyond the needle's length (unsourced)
SOLID_HU = -300.0  # what is denser and lies outside the body is in the way
HAND_MM = 20.0  # room between the needle outside and what lies below it, for hub and fingers (unsourced)
RIM_MM = 3.0  # voxels of the skin, filled in part, lie this close to the body
COUCH_HU = -600.0  # a couch's thin shell and its cushion, in voxels that they fill in part, are denser (unsourced)
NOT_SKIN = "edge of the field of view, not skin"
END_SLICE = "end of the image, the skin goes on unseen"
TABLE = "from the side of the table"
GRAZING = "too flat to the skin"
BLOCKED_OUTSIDE = "needle or hub would meet the table, an arm or another part of the body"
NO_ROOM = "no room for a hand above the table"
RE_ENTRY = "leaves the body and enters it again"


@dataclass(frozen=True, eq=False)
class SkinPoints:
    """points_mm (N, 3) on the skin, outward (N, 3) unit normals, reason (N,) index into reasons or -1."""

    points_mm: NDArray[np.float64]
    outward: NDArray[np.float64]
    reason: NDArray[np.int16]
    reasons: tuple[str, ...]


def body_structure(structures: dict[str, Structure]) -> Structure:
    """The body mask among an image's structures. Raises InputError without one: no skin, no entry."""
    body = structures.get("body")
    if body is None or body.presence is not Presence.PRESENT:
        raise InputError(
            "an image without a body outline",
            "a structure named body",
            "Run: navplan segment CASE --segmenter ct-basic",
        )
    return body


def down_direction(patient_position: str) -> NDArray[np.float64]:
    """(3,) LPS unit vector towards the table."""
    if patient_position not in DOWN_BY_PATIENT_POSITION:
        raise InputError(
            f"patient position {patient_position!r}", " ".join(DOWN_BY_PATIENT_POSITION), "State it with --position"
        )
    return np.asarray(DOWN_BY_PATIENT_POSITION[patient_position], dtype=np.float64)


def comes_from_below(direction: NDArray[np.float64], down: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether needles with these unit directions (..., 3), from skin to target, would meet the table."""
    return np.asarray(-(direction @ down) > np.sin(np.radians(BELOW_HORIZONTAL_DEG)))


def _unseen(image: Volume) -> NDArray[np.bool_] | None:
    padding = image.acquisition.padding_hu
    return None if padding is None else np.asarray(image.voxels <= padding + 0.5)


def _normals(body: Structure, indices: NDArray[np.int64], grid: Grid) -> NDArray[np.float64]:
    assert body.occupancy is not None
    smooth = gaussian_filter(np.pad(body.occupancy, 2).astype(np.float32), 3.0 / grid.spacing_mm)
    at = (indices + 2).T.astype(float)
    gradient = []
    for axis in range(3):
        step = np.zeros((3, 1))
        step[axis] = 1.0
        ahead = map_coordinates(smooth, at + step, order=1, mode="nearest")
        behind = map_coordinates(smooth, at - step, order=1, mode="nearest")
        gradient.append((ahead - behind) / (2 * grid.spacing_mm[axis]))
    outward = -np.stack(gradient, axis=1) @ grid.axes.T
    length = np.linalg.norm(outward, axis=1, keepdims=True)
    return np.asarray(np.where(length > 1e-9, outward / np.maximum(length, 1e-12), (0.0, 0.0, 1.0)))


def skin_points(
    body: Structure,
    image: Volume,
    centre_mm: NDArray[np.float64],
    reach_mm: float,
    spacing_mm: float = ENTRY_SPACING_MM,
) -> SkinPoints:
    """Points of the body's surface within reach of a target, one for each cell of `spacing_mm`.

    The surface of a body that the image cuts is no skin: the outermost voxels of the image, and all within
    EDGE_BAND_MM of padding or of the circle that fits into the axial field of view, are marked with their reason.
    """
    assert body.grid is not None and body.occupancy is not None
    grid = body.grid
    mask = body.occupancy >= 128
    indices = np.argwhere(boundary_mask(mask))
    points = grid.points_mm(indices)
    near = np.linalg.norm(points - centre_mm, axis=1) <= reach_mm
    indices, points = indices[near], points[near]
    if len(points):
        cell = np.floor(points / spacing_mm).astype(np.int64)
        _, first = np.unique(cell, axis=0, return_index=True)
        indices, points = indices[np.sort(first)], points[np.sort(first)]
    outward = _normals(body, indices, grid) if len(points) else np.zeros((0, 3))
    reason = np.full(len(points), -1, dtype=np.int16)
    not_skin = np.zeros(len(points), dtype=bool)
    unseen = _unseen(image)
    for step_mm in (1.0, 2.0, 3.0, EDGE_BAND_MM):
        for tilt in (0.0, 1.0, -1.0):
            sideways = np.cross(outward, (0.0, 0.0, 1.0)) * tilt
            index = np.rint(image.grid.indices(points + step_mm * (outward + sideways))).astype(int)
            inside = ((index >= 0) & (index < image.grid.shape)).all(axis=1)
            if unseen is not None:
                not_skin[inside] |= unseen[tuple(index[inside].T)]
    position = image.grid.indices(points) if len(points) else np.zeros((0, 3))
    upper = np.asarray(image.grid.shape) - 1.0
    depth_in_mm = np.minimum(position, upper - position) * image.grid.spacing_mm
    head = int(np.argmax(np.abs(image.grid.axes[2])))  # the array axis that runs along the body
    sides = [axis for axis in range(3) if axis != head]
    not_skin |= (depth_in_mm[:, sides] < EDGE_BAND_MM).any(axis=1)
    not_skin |= _on_field_of_view_circle(position, image.grid, sides)
    reason[not_skin] = 0
    ends = (depth_in_mm[:, head] < max(EDGE_BAND_MM, 1.5 * image.grid.spacing_mm[head])) & (reason == -1)
    reason[ends] = 1
    return SkinPoints(points, outward, reason, (NOT_SKIN, END_SLICE))


def _on_field_of_view_circle(position: NDArray[np.float64], grid: Grid, sides: list[int]) -> NDArray[np.bool_]:
    """Surface that follows the circle of the reconstructed field of view is the edge of the image, padded or not."""
    extent = np.asarray(grid.shape)[sides] * grid.spacing_mm[sides]
    if abs(extent[0] - extent[1]) > 2 * grid.spacing_mm[sides].max():
        return np.zeros(len(position), dtype=bool)
    middle = (np.asarray(grid.shape)[sides] - 1) / 2
    radius = np.linalg.norm((position[:, sides] - middle) * grid.spacing_mm[sides], axis=1)
    return np.asarray(np.abs(radius - extent.min() / 2) < EDGE_BAND_MM / 2)


def rule_out_by_access(
    skin: SkinPoints,
    image: Volume,
    body: Structure,
    target_mm: NDArray[np.float64],
    down: NDArray[np.float64],
    needle_mm: float,
    lies_as_imaged: bool = True,
) -> SkinPoints:
    """Mark what a needle could not be brought to: from the table's side, too flat, or with something in the way
    outside. Of a patient who will lie otherwise only the body itself is in the way: the couch moves."""
    reason = skin.reason.copy()
    names = [*skin.reasons, TABLE, GRAZING, BLOCKED_OUTSIDE]
    if not len(reason):
        return SkinPoints(skin.points_mm, skin.outward, reason, tuple(names))
    outward = unit(skin.points_mm - target_mm)
    table = comes_from_below(-outward, down)
    reason[(reason == -1) & table] = names.index(TABLE)
    grazing = (outward * skin.outward).sum(axis=1) < np.cos(np.radians(GRAZING_DEG))
    reason[(reason == -1) & grazing] = names.index(GRAZING)
    depth = np.linalg.norm(skin.points_mm - target_mm, axis=1)
    outside_mm = np.maximum(needle_mm - depth, 0.0) + HUB_MM
    blocked = np.zeros(len(reason), dtype=bool)
    for step_mm in np.arange(6.0, needle_mm + HUB_MM, 2.0):
        points = skin.points_mm + step_mm * outward
        solid = _denser(image, points, SOLID_HU) if lies_as_imaged else occupancy_at(body, points) >= MOSTLY_INSIDE
        blocked |= solid & (step_mm <= outside_mm)
    reason[(reason == -1) & blocked] = names.index(BLOCKED_OUTSIDE)
    return SkinPoints(skin.points_mm, skin.outward, reason, tuple(names))


def rule_out_by_room(
    skin: SkinPoints,
    image: Volume,
    body: Structure,
    target_mm: NDArray[np.float64],
    down: NDArray[np.float64],
    needle_mm: float,
) -> SkinPoints:
    """Mark ways whose needle, outside, has the couch or its cushion so close below that no hand holds the hub."""
    names = (*skin.reasons, NO_ROOM)
    reason, still = skin.reason.copy(), np.flatnonzero(skin.reason == -1)
    start = skin.points_mm[still]
    outward, depth = unit(start - target_mm), np.linalg.norm(start - target_mm, axis=1)
    tight = np.zeros(len(still), dtype=bool)
    for step_mm in np.arange(10.0, needle_mm + HUB_MM, 4.0) if len(still) else ():
        outside = step_mm <= np.maximum(needle_mm - depth, 0.0) + HUB_MM
        for below_mm in np.arange(0.0, min(HAND_MM, step_mm - 10.0) + 0.1, 2.0):  # the hand is at the hub, not the skin
            points = start + step_mm * outward + below_mm * down
            tight |= outside & _denser(image, points, COUCH_HU) & ~_at_body(body, points, outward, down)
    reason[still[tight]] = len(names) - 1
    return SkinPoints(skin.points_mm, skin.outward, reason, names)


def _at_body(
    body: Structure, points_mm: NDArray[np.float64], outward: NDArray[np.float64], down: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Whether points (N, 3) lie in the body or on its rim, whose voxels are denser than air."""
    rims = (0.0 * outward, RIM_MM * down, -RIM_MM * outward)
    return np.asarray(np.any([occupancy_at(body, points_mm + rim) > 0 for rim in rims], axis=0))


def lies_as_imaged(image: Volume, patient_position: str) -> bool:
    """Whether the couch of the image is below the patient in the procedure too; taken so where the image is silent."""
    imaged = DOWN_BY_PATIENT_POSITION.get(image.acquisition.patient_position)
    return imaged is None or imaged == DOWN_BY_PATIENT_POSITION.get(patient_position, imaged)


def _denser(image: Volume, points_mm: NDArray[np.float64], than_hu: float) -> NDArray[np.bool_]:
    """Whether the image is denser than a value at LPS points (N, 3); False outside it."""
    index = np.rint(image.grid.indices(points_mm)).astype(int)
    inside = ((index >= 0) & (index < image.grid.shape)).all(axis=1)
    found = np.zeros(len(points_mm), dtype=bool)
    found[inside] = image.voxels[tuple(index[inside].T)] > than_hu
    return found
