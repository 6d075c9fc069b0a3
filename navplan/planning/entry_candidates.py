"""Which points of the skin may be an entry at all, and why the others may not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError
from navplan.geometry.conventions import DOWN_BY_PATIENT_POSITION
from navplan.geometry.grid import Grid
from navplan.geometry.lines import unit
from navplan.model.structure import Presence, Structure
from navplan.model.volume import Volume
from navplan.planning.boundary import MOSTLY_INSIDE, boundary_voxels
from navplan.planning.outside_the_skin import met_outside, no_room_below
from navplan.planning.surface_normals import outward_normals

ENTRY_SPACING_MM = 3.0
EDGE_BAND_MM = 4.0  # skin this close to what the image does not show is not known to be skin
BELOW_HORIZONTAL_DEG = 10.0  # a needle that comes from further below the horizontal meets the couch (unsourced)
GRAZING_DEG = 70.0  # a needle flatter to the skin than 90 - 70 degrees is ruled out (unsourced)
HUB_MM = 30.0  # room for hub and hand beyond the needle's length (unsourced)
NORMAL_SIGMA_MM = 3.0  # of the smoothing that gives the skin its normal
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


def _unseen(image: Volume, index: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(N,) whether voxels (N, 3) of the image hold its padding."""
    padding = image.acquisition.padding_hu
    if padding is None:
        return np.zeros(len(index), dtype=bool)
    return np.asarray(image.voxels[tuple(index.T)] <= padding + 0.5)


_SURFACES: WeakKeyDictionary[Structure, NDArray[np.float64]] = WeakKeyDictionary()
_SKINS: WeakKeyDictionary[Structure, tuple[Volume, SkinPoints]] = WeakKeyDictionary()


def body_surface(body: Structure) -> NDArray[np.float64]:
    """(M, 3) LPS centres of the outermost voxels of the body, kept as long as the structure is."""
    if body not in _SURFACES:
        assert body.grid is not None and body.occupancy is not None
        _SURFACES[body] = boundary_voxels(body.occupancy, body.grid, MOSTLY_INSIDE).centres_mm
    return _SURFACES[body]


def skin_in_reach(body: Structure, image: Volume, centre_mm: NDArray[np.float64], reach_mm: float) -> SkinPoints:
    """The skin's points, one for each cell of ENTRY_SPACING_MM, within reach of a target. The whole skin is kept with
    the body: the next target asks for it again."""
    kept = _SKINS.get(body)
    if kept is None or kept[0] is not image:
        kept = _SKINS[body] = image, skin_points(body, image, centre_mm, np.inf)
    skin = kept[1]
    near = np.linalg.norm(skin.points_mm - centre_mm, axis=1) <= reach_mm
    return SkinPoints(skin.points_mm[near], skin.outward[near], skin.reason[near], skin.reasons)


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
    points = body_surface(body)
    if np.isfinite(reach_mm):
        points = points[np.linalg.norm(points - centre_mm, axis=1) <= reach_mm]
    if len(points):
        cell = np.floor((points - points.min(axis=0)) / spacing_mm).astype(np.int64)
        sizes = cell.max(axis=0) + 1
        _, first = np.unique((cell[:, 0] * sizes[1] + cell[:, 1]) * sizes[2] + cell[:, 2], return_index=True)
        points = points[np.sort(first)]
    assert body.occupancy is not None and body.grid is not None
    share = np.arange(256) / 255.0
    outward = outward_normals(body.occupancy, body.grid, share, points, NORMAL_SIGMA_MM) if len(points) else points
    outward = np.where((outward == 0).all(axis=1, keepdims=True), (0.0, 0.0, 1.0), outward)
    reason = np.full(len(points), -1, dtype=np.int16)
    not_skin = np.zeros(len(points), dtype=bool)
    for step_mm in (1.0, 2.0, 3.0, EDGE_BAND_MM):
        for tilt in (0.0, 1.0, -1.0):
            sideways = np.cross(outward, (0.0, 0.0, 1.0)) * tilt
            index = np.rint(image.grid.indices(points + step_mm * (outward + sideways))).astype(int)
            inside = ((index >= 0) & (index < image.grid.shape)).all(axis=1)
            not_skin[inside] |= _unseen(image, index[inside])
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


Rule = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.bool_]]


def access_rules(
    image: Volume,
    body: Structure,
    target_mm: NDArray[np.float64],
    down: NDArray[np.float64],
    needle_mm: float,
    lies_as_imaged: bool = True,
) -> list[tuple[str, Rule]]:
    """What a needle cannot be brought to, in words, and which entries that is: rule(points (N, 3), normals (N, 3)).

    From the table's side, too flat, something in the way outside, no room for the hand. Of a patient who will lie
    otherwise only the body itself is in the way: the couch moves.
    """

    def outward(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return unit(points - target_mm) if len(points) else points

    def outside_mm(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.full(len(points), needle_mm + HUB_MM)  # before it goes in all of the needle is outside

    def from_below(points: NDArray[np.float64], normals: NDArray[np.float64]) -> NDArray[np.bool_]:
        return comes_from_below(-outward(points), down)

    def grazing(points: NDArray[np.float64], normals: NDArray[np.float64]) -> NDArray[np.bool_]:
        return np.asarray((outward(points) * normals).sum(axis=1) < np.cos(np.radians(GRAZING_DEG)))

    def blocked(points: NDArray[np.float64], normals: NDArray[np.float64]) -> NDArray[np.bool_]:
        return met_outside(points, outward(points), outside_mm(points), image if lies_as_imaged else body)

    def tight(points: NDArray[np.float64], normals: NDArray[np.float64]) -> NDArray[np.bool_]:
        return no_room_below(points, outward(points), outside_mm(points), down, image, body)

    rules: list[tuple[str, Rule]] = [(TABLE, from_below), (GRAZING, grazing), (BLOCKED_OUTSIDE, blocked)]
    return [*rules, (NO_ROOM, tight)] if lies_as_imaged and down.any() else rules


def rule_out(skin: SkinPoints, rules: Sequence[tuple[str, Rule]]) -> SkinPoints:
    """Mark what the rules rule out, each of what is still open."""
    reason, names = skin.reason.copy(), list(skin.reasons)
    for words, rule in rules:
        still = np.flatnonzero(reason == -1)
        if len(still):
            reason[still[rule(skin.points_mm[still], skin.outward[still])]] = len(names)
        names.append(words)
    return SkinPoints(skin.points_mm, skin.outward, reason, tuple(names))


def lies_as_imaged(image: Volume, patient_position: str) -> bool:
    """Whether the couch of the image is below the patient in the procedure too; taken so where the image is silent."""
    imaged = DOWN_BY_PATIENT_POSITION.get(image.acquisition.patient_position)
    return imaged is None or imaged == DOWN_BY_PATIENT_POSITION.get(patient_position, imaged)
