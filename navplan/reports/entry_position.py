"""Where the entry is, in numbers that can be found on a patient without a tracker."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from navplan.geometry.grid import Grid
from navplan.geometry.table_angles import HEAD, TableFrame, side_of_patient
from navplan.model.structure import Presence, Structure
from navplan.model.volume import Volume
from navplan.planning.boundary import MOSTLY_INSIDE, occupancy_at

RASTER_MM = 1.0
EDGE_MM = 5.0  # an outline this close to what the image does not show may be cut
SPINE_OFF_MM = 10.0  # a spine further than this off the middle of the outline is told
MARKER_NAMES = ("skin_marker", "marker", "fiducial")
_NEVER_HU = -1500.0  # nothing real has such a CT number: padding
_SPINE = ("spinal_c", "vertebra")


@dataclass(frozen=True)
class Offset:
    """A straight distance across the table and the side of the patient that it goes to; "" under half a millimetre."""

    length_mm: float
    side: str

    def __str__(self) -> str:
        if not self.side:
            return f"{self.length_mm:.0f} mm (on it)"
        return f"{self.length_mm:.0f} mm, patient's {self.side.upper()}"


@dataclass(frozen=True)
class SlicePosition:
    """A slice of the image: number from 1 and count, from the feet; z_mm: LPS, as DICOM's Image Position (Patient)."""

    number: int
    count: int
    z_mm: float

    @property
    def number_from_head(self) -> int:
        """The same slice counted from the head end."""
        return self.count + 1 - self.number


@dataclass(frozen=True)
class MarkerOffset:
    """From a skin marker to the entry: across the table, along the body (positive to the head), and up."""

    name: str
    across: Offset
    along_mm: float
    up_mm: float


@dataclass(frozen=True)
class EntryPosition:
    """The entry on the skin.

    from_middle: from the middle of the body's outline in the entry's slice, straight across the table; below_top_mm:
    how far below the highest skin of that slice; None where there is no outline to measure from. height_matters: the
    skin is steep there, so that the offset alone does not find the place.
    """

    entry_slice: SlicePosition
    target_slice: SlicePosition
    axial_slices: bool
    from_middle: Offset | None
    below_top_mm: float | None
    height_matters: bool
    markers: tuple[MarkerOffset, ...]
    cautions: tuple[str, ...]


def entry_position(
    volume: Volume,
    structures: dict[str, Structure],
    entry_mm: NDArray[np.float64],
    target_mm: NDArray[np.float64],
    frame: TableFrame,
) -> EntryPosition:
    """Measure the entry (LPS mm) on an image with its structures, for a patient who lies as `frame` says."""
    axis, axial = head_axis(volume.grid)
    entry_slice = slice_position(volume.grid, entry_mm, axis)
    target_slice = slice_position(volume.grid, target_mm, axis)
    cautions = [] if axial else ["The slices are not axial: the slice number is that of the entry point alone"]
    body = structures.get("body")
    from_middle = below_top = None
    steep = False
    if body is None or body.presence is not Presence.PRESENT:
        cautions.append("No body outline: no distance from the midline")
    else:
        outline = _outline(body, entry_mm, frame)
        if not len(outline):
            cautions.append("The entry's slice holds no body outline: no distance from the midline")
        else:
            across = outline @ frame.right
            middle = (float(across.min()) + float(across.max())) / 2
            from_middle = _offset(float(entry_mm @ frame.right) - middle, frame)
            below_top = max(0.0, float((outline @ frame.up).max() - entry_mm @ frame.up))
            steep = _steep(outline, entry_mm, frame)
            ends = [outline[int(across.argmin())], outline[int(across.argmax())]]
            if any(_cut(volume, end, way) for end, way in zip(ends, (-frame.right, frame.right), strict=True)):
                cautions.append(
                    "The field of view cuts the body's outline in this slice: its middle is NOT the midline; "
                    "use a skin marker or the spine"
                )
            cautions += _spine_caution(structures, entry_mm, middle, frame)
    markers = tuple(_marker(s, entry_mm, frame) for s in structures.values() if _is_marker(s))
    return EntryPosition(
        entry_slice, target_slice, axial, from_middle, below_top, steep,
        tuple(sorted(markers, key=lambda found: found.name)), tuple(cautions),
    )  # fmt: skip


def head_axis(grid: Grid) -> tuple[int, bool]:
    """The array axis that runs along the body, and whether its slices are axial to a degree."""
    share = np.abs(grid.axes[2])
    axis = int(np.argmax(share))
    return axis, bool(share[axis] > np.cos(np.radians(1.0)))


def slice_position(grid: Grid, point_mm: NDArray[np.float64], axis: int) -> SlicePosition:
    """The slice nearest to a point, counted from the feet whatever the order in memory."""
    count = grid.shape[axis]
    index = int(np.clip(np.rint(grid.indices(point_mm)[axis]), 0, count - 1))
    middle = grid.indices(point_mm)
    middle[axis] = index
    number = index + 1 if grid.axes[2, axis] > 0 else count - index
    return SlicePosition(number, count, float(grid.points_mm(middle)[2]))


def _offset(across_mm: float, frame: TableFrame) -> Offset:
    side = "" if abs(across_mm) < 0.5 else frame.right_side if across_mm > 0 else frame.left_side
    return Offset(abs(across_mm), side)


def _outline(body: Structure, entry_mm: NDArray[np.float64], frame: TableFrame) -> NDArray[np.float64]:
    """(N, 3) points of the body in the entry's axial plane: the part that the entry lies on, not an arm apart."""
    assert body.grid is not None
    corners = body.grid.corners_mm()
    spans = [np.arange((corners @ way).min(), (corners @ way).max() + RASTER_MM, RASTER_MM) for way in _across(frame)]
    points = spans[0][:, None, None] * frame.right + spans[1][None, :, None] * frame.up + float(entry_mm[2]) * HEAD
    inside = occupancy_at(body, points.reshape(-1, 3)).reshape(points.shape[:2]) >= MOSTLY_INSIDE
    parts, count = label(inside)
    if not count:
        return np.zeros((0, 3))
    places, found = points[inside], parts[inside]
    nearest = int(np.argmin(np.linalg.norm(places - entry_mm, axis=1)))
    return np.asarray(places[found == found[nearest]])


def _across(frame: TableFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return frame.right, frame.up


def _steep(outline: NDArray[np.float64], entry_mm: NDArray[np.float64], frame: TableFrame) -> bool:
    """Whether the skin rises or falls by over 10 mm within 10 mm of the entry, or the entry lies under other skin."""
    across = outline @ frame.right - entry_mm @ frame.right
    height = outline @ frame.up - entry_mm @ frame.up
    here = np.abs(across) < 2.0
    if not here.any() or float(height[here].max()) > 6.0:
        return True
    for side in (-10.0, 10.0):
        there = np.abs(across - side) < 2.0
        if not there.any() or abs(float(height[there].max())) > 10.0:
            return True
    return False


def _cut(volume: Volume, end_mm: NDArray[np.float64], outward: NDArray[np.float64]) -> bool:
    """Whether the image stops, or is padding, within EDGE_MM beyond an end of the outline."""
    steps = end_mm + np.arange(0.0, EDGE_MM + 0.1, 1.0)[:, None] * outward
    grid = volume.grid
    if not grid.contains(steps).all():
        return True
    values = volume.voxels[tuple(np.rint(grid.indices(steps)).astype(int).T)]
    padding = volume.acquisition.padding_hu
    limit = _NEVER_HU if padding is None else max(padding + 0.5, _NEVER_HU)
    return bool(volume.quantity == "HU" and (values <= limit).any())


def _spine_caution(
    structures: dict[str, Structure], entry_mm: NDArray[np.float64], middle_mm: float, frame: TableFrame
) -> list[str]:
    """A line where the spine in this slice does not lie in the middle of the outline: arms, rotation, scoliosis."""
    if side_of_patient(frame.right) not in ("left", "right"):
        return []
    for pattern in _SPINE:
        centres = [
            s.voxel_centres_mm() for s in structures.values()
            if s.presence is Presence.PRESENT and s.name.startswith(pattern)
        ]  # fmt: skip
        points = np.concatenate(centres) if centres else np.zeros((0, 3))
        near = points[np.abs(points[:, 2] - entry_mm[2]) < 3.0]
        if len(near):
            off = _offset(float((near @ frame.right).mean()) - middle_mm, frame)
            if off.length_mm > SPINE_OFF_MM:
                return [
                    f"In this slice the spine lies off the outline's middle ({off}): arms, rotation or a cut outline"
                ]
            return []
    return []


def _is_marker(structure: Structure) -> bool:
    return structure.presence is Presence.PRESENT and structure.name.startswith(MARKER_NAMES)


def _marker(structure: Structure, entry_mm: NDArray[np.float64], frame: TableFrame) -> MarkerOffset:
    centre = structure.voxel_centres_mm().mean(axis=0)
    way = entry_mm - centre
    return MarkerOffset(structure.name, _offset(float(way @ frame.right), frame), float(way[2]), float(way @ frame.up))
