"""Slices as pictures, composed in numpy: axial, coronal, sagittal, and along and across a needle.

Radiological convention: the patient's left is at the right of axial and coronal pictures, the front at the left of
sagittal ones. Ground is black.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.errors import InputError
from navplan.geometry.compiled import by_rows, compiled
from navplan.geometry.conventions import orientation_letters
from navplan.geometry.lines import unit
from navplan.model.anatomy import Tissue
from navplan.model.safety import Finding, PlannedMargin
from navplan.model.structure import Structure
from navplan.model.trajectory import Trajectory
from navplan.model.volume import Volume
from navplan.planning.boundary import flat_in_file_order
from navplan.view.colours import NEEDLE, TARGET, TEXT, VERDICT_COLOURS, Colour, anatomy_colour
from navplan.view.labels import draw_scale_bar, font, written
from navplan.view.windows import AnyWindow, coloured, default_map, default_window, level_and_width
from navplan.view.zone_outline import draw_zone

if TYPE_CHECKING:
    from PIL import ImageDraw

    from navplan.view.fusion import Over

OUTLINE_PX = 1.5
NEAR_AXIAL_DEG = 10.0  # a plane further from axial says how far
_FINER = 3  # outlines and needle are drawn this much larger and averaged down


@dataclass(frozen=True)
class SlicePlane:
    """A picture plane: its centre (LPS mm), unit directions to the picture's right and down, and what it is called."""

    centre_mm: tuple[float, float, float]
    right: tuple[float, float, float]
    down: tuple[float, float, float]
    title: str = ""

    def __post_init__(self) -> None:
        right, down = np.asarray(self.right), np.asarray(self.down)
        lengths = np.array([np.linalg.norm(right), np.linalg.norm(down)])
        if not (np.isfinite(lengths).all() and np.allclose(lengths, 1, atol=1e-6) and abs(float(right @ down)) < 1e-6):
            raise InputError(f"a plane with directions {self.right} and {self.down}", "two perpendicular unit vectors")

    @property
    def into(self) -> NDArray[np.float64]:
        """(3,) the viewing direction, away from the viewer."""
        return np.cross(self.right, self.down)

    def points_mm(self, size: tuple[int, int], millimetres_per_pixel: float) -> NDArray[np.float64]:
        """(height, width, 3) LPS points of the pixel centres of a picture of size (width, height)."""
        x = (np.arange(size[0]) - (size[0] - 1) / 2) * millimetres_per_pixel
        y = (np.arange(size[1]) - (size[1] - 1) / 2) * millimetres_per_pixel
        return (
            np.asarray(self.centre_mm)
            + x[None, :, None] * np.asarray(self.right)
            + y[:, None, None] * np.asarray(self.down)
        )

    def pixels(self, points_mm: ArrayLike, size: tuple[int, int], millimetres_per_pixel: float) -> NDArray[np.float64]:
        """(N, 3) x, y px and mm behind the plane (away from the viewer) of LPS points (N, 3)."""
        offset = np.atleast_2d(np.asarray(points_mm, dtype=np.float64)) - np.asarray(self.centre_mm)
        x = offset @ np.asarray(self.right) / millimetres_per_pixel + (size[0] - 1) / 2
        y = offset @ np.asarray(self.down) / millimetres_per_pixel + (size[1] - 1) / 2
        return np.stack([x, y, offset @ self.into], axis=1)


def _plane(centre_mm: ArrayLike, right: ArrayLike, down: ArrayLike, title: str) -> SlicePlane:
    centre = np.asarray(centre_mm, dtype=np.float64)
    return SlicePlane(tuple(centre.tolist()), tuple(unit(right).tolist()), tuple(unit(down).tolist()), title)


def axial_plane(centre_mm: ArrayLike) -> SlicePlane:
    """Seen from the feet: left of the patient at the right, front up."""
    return _plane(centre_mm, (1, 0, 0), (0, 1, 0), "axial")


def coronal_plane(centre_mm: ArrayLike) -> SlicePlane:
    """Seen from the front: left of the patient at the right, head up."""
    return _plane(centre_mm, (1, 0, 0), (0, 0, -1), "coronal")


def sagittal_plane(centre_mm: ArrayLike) -> SlicePlane:
    """Seen from the left: front at the left, head up."""
    return _plane(centre_mm, (0, 1, 0), (0, 0, -1), "sagittal")


def needle_planes(
    trajectory: Trajectory, across_at_mm: float | None = None
) -> tuple[SlicePlane, SlicePlane, SlicePlane]:
    """Three planes of a needle.

    1. along it and as close to axial as a plane that holds it can be, 2. along it and square to the first, 3. across it
    at a depth below the skin (default: the tip's), seen along the needle from its hub (probe's-eye).
    """
    direction = trajectory.direction
    middle = trajectory.point_at_mm(0.55 * trajectory.depth_mm)
    head = np.array((0.0, 0.0, 1.0))
    normal = head - float(head @ direction) * direction
    if np.linalg.norm(normal) < 1e-3:  # the needle runs along the body: any plane along it is as far from axial
        normal = np.array((0.0, -1.0, 0.0)) - float(np.array((0.0, -1.0, 0.0)) @ direction) * direction
    normal = unit(normal)
    off_axial_deg = np.degrees(np.arccos(np.clip(abs(float(normal[2])), 0.0, 1.0)))
    near = off_axial_deg < NEAR_AXIAL_DEG
    first = _upright(middle, normal, f"along the needle, {'near axial' if near else f'{off_axial_deg:.0f}° off axial'}")
    second = _upright(middle, unit(np.cross(normal, direction)), "along the needle, square to it")
    depth = trajectory.tip_depth_mm if across_at_mm is None else across_at_mm
    where = "at the tip" if across_at_mm is None else f"{depth:.0f} mm deep"
    return first, second, _along_view(trajectory.point_at_mm(depth), direction, f"probe's eye, {where}")


def _upright(centre_mm: ArrayLike, normal: NDArray[np.float64], title: str) -> SlicePlane:
    """A plane turned as the radiological plane that its normal is nearest to."""
    axis = int(np.argmax(np.abs(normal)))
    wanted_right = ((0.0, 1.0, 0.0), (1.0, 0.0, 0.0), (1.0, 0.0, 0.0))[axis]
    wanted_down = ((0.0, 0.0, -1.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0))[axis]
    right = np.asarray(wanted_right) - float(np.asarray(wanted_right) @ normal) * normal
    right = unit(right)
    down = np.cross(normal, right)
    down = down if float(down @ np.asarray(wanted_down)) > 0 else -down
    return _plane(centre_mm, right, down, title)


def _along_view(centre_mm: ArrayLike, direction: NDArray[np.float64], title: str) -> SlicePlane:
    """Square to a viewing direction, with the head (or, looking along the body, the front) up."""
    up = np.array((0.0, 0.0, 1.0)) if abs(direction[2]) < 0.8 else np.array((0.0, -1.0, 0.0))
    down = unit(-(up - float(up @ direction) * direction))
    return _plane(centre_mm, np.cross(down, direction), down, title)


def slice_picture(
    volume: Volume,
    plane: SlicePlane,
    structures: Mapping[str, Structure] | None = None,
    *,
    size: tuple[int, int] = (640, 480),
    width_mm: float = 160.0,
    window: AnyWindow | None = None,
    trajectory: Trajectory | None = None,
    findings: Sequence[Finding] = (),
    target: str = "",
    text_px: int = 0,
    zone: PlannedMargin | None = None,
    over: Over | None = None,
) -> NDArray[np.uint8]:
    """A slice with outlines, needle, clearance ring, ablation zone, scale and letters: (height, width, 3) uint8.

    size: (width, height) px; width_mm: what the width shows; structures: outlined 1.5 px, not filled; trajectory: solid
    where it lies within half a slice of the plane, dashed where it is projected onto it; findings: a ring of their
    clearance about their nearest point, where that lies in the plane; target: name of the structure in the target's
    colour; zone: an ablation's, cut by the plane (`zone_outline`); window: None chooses it by the image's kind; over: a
    second image (`fusion`), with what ties the two and how far off it may be written below; text_px: 0 chooses it.

    Raises InputError for a picture without pixels or width.
    """
    from PIL import Image, ImageDraw

    if min(size) < 16 or not width_mm > 0:
        raise InputError(f"a slice of {size[0]} x {size[1]} px, {width_mm} mm wide", "at least 16 x 16 px and a width")
    scale = width_mm / size[0]
    points = plane.points_mm(size, scale)
    values, window = sample(volume, points), window or default_window(volume)
    if over is None:
        drawn = coloured(values, window, default_map(volume, over=False))
    else:
        drawn = over.painted(values, coloured(values, window), points)
    picture = Image.fromarray(np.round(drawn).astype(np.uint8))
    layer = Image.new("RGBA", (size[0] * _FINER, size[1] * _FINER), (0, 0, 0, 0))
    draw = ImageDraw.Draw(layer)
    for name, structure in (structures or {}).items():
        if structure.anatomy.tissue in (Tissue.SKIN, Tissue.OUTSIDE) or structure.occupancy is None:
            continue
        colour = TARGET if name == target else anatomy_colour(name)
        for line in outlines(structure, points):
            draw.line(
                [tuple(xy) for xy in (line + 0.5) * _FINER], fill=(*colour, 255), width=round(OUTLINE_PX * _FINER)
            )
    thick_mm = float(np.abs(volume.grid.axes.T @ plane.into) @ volume.grid.spacing_mm)
    if zone is not None:
        draw_zone(draw, plane, zone, size, scale, _FINER)
    if trajectory is not None:
        _draw_needle(draw, plane, trajectory, size, scale, thick_mm)
    for finding in findings:
        radius_mm = trajectory.device.radius_mm if trajectory is not None else 0.0
        _draw_ring(draw, plane, finding, size, scale, thick_mm, radius_mm)
    layer = layer.resize(size, Image.Resampling.BOX)
    picture.paste(layer, (0, 0), layer)
    top = Image.new("RGBA", size, (0, 0, 0, 0))
    _write(ImageDraw.Draw(top), plane, size, scale, text_px or max(9, size[1] // 26))
    if over is not None:
        over.write(ImageDraw.Draw(top), values, points, text_px or max(9, size[1] // 26))
    picture.paste(top, (0, 0), top)
    return np.asarray(picture)


def sample(volume: Volume, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Voxel values at points (..., 3), linear; NaN outside the image, in its padding, and at points that are NaN."""
    inside = volume.grid.contains(points_mm)
    indices = np.where(inside[..., None], volume.grid.indices(points_mm), 0.0)  # none that has no voxel
    flat, shape = flat_in_file_order(volume.voxels), np.asarray(volume.voxels.shape, dtype=np.int64)
    values = by_rows(_linear, [np.ascontiguousarray(indices.reshape(-1, 3))], flat, shape).reshape(indices.shape[:-1])
    values[~inside] = np.nan
    if volume.acquisition.padding_hu is not None:
        values[values <= volume.acquisition.padding_hu] = np.nan
    return values


@compiled()
def _linear(index: NDArray[np.float64], voxels: NDArray[np.generic], shape: NDArray[np.int64]) -> NDArray[np.float64]:
    """(N,) values at continuous indices (N, 3), linear between voxel centres, clamped to them."""
    found = np.empty(len(index))
    low, share = np.empty(3, np.int64), np.empty(3)
    for n in range(len(index)):
        for axis in range(3):
            u = min(max(index[n, axis], 0.0), shape[axis] - 1.0)
            low[axis] = min(int(u), max(shape[axis] - 2, 0))
            share[axis] = u - low[axis]
        total = 0.0
        for corner in range(8):
            weight, at = 1.0, 0
            for axis in range(2, -1, -1):
                up = (corner >> axis) & 1
                weight *= share[axis] if up else 1.0 - share[axis]
                at = at * shape[axis] + min(low[axis] + up, shape[axis] - 1)
            if weight > 0.0:
                total += weight * voxels[at]
        found[n] = total
    return found


def windowed(values: NDArray[np.float64], window: AnyWindow) -> NDArray[np.uint8]:
    """Grey 0..255; what is not known (NaN) is black."""
    level, width = level_and_width(window)
    grey = np.clip((values - (level - width / 2)) / width, 0, 1)
    return np.nan_to_num(np.round(255 * grey), nan=0.0).astype(np.uint8)


def outlines(structure: Structure, points_mm: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Lines (K, 2) x, y px where a structure's occupancy is half, on a picture of points (height, width, 3)."""
    from contourpy import contour_generator
    from scipy.ndimage import gaussian_filter, map_coordinates

    if structure.occupancy is None or structure.grid is None:
        return []
    corners = structure.grid.indices(points_mm[[0, 0, -1, -1], [0, -1, 0, -1]])
    if (corners.max(axis=0) < -1).any() or (corners.min(axis=0) > structure.grid.shape).any():
        return []
    indices = np.moveaxis(structure.grid.indices(points_mm), -1, 0)
    inside = map_coordinates(structure.occupancy, indices, order=1, mode="constant", output=np.float32)
    pixel_mm = float(np.linalg.norm(points_mm[0, 1] - points_mm[0, 0]))
    inside = gaussian_filter(inside, 0.3 * float(structure.grid.spacing_mm.max()) / pixel_mm)  # off the voxels' stairs
    if inside.max() < 127:
        return []
    return [np.asarray(line) for line in contour_generator(z=inside).lines(127.5)]


def _draw_needle(
    draw: ImageDraw.ImageDraw,
    plane: SlicePlane,
    trajectory: Trajectory,
    size: tuple[int, int],
    scale: float,
    thick_mm: float,
) -> None:
    depths = np.arange(trajectory.tip_depth_mm - trajectory.device.length_mm, trajectory.swept_depth_mm, 0.25)
    shaft = np.asarray(trajectory.entry_mm) + np.outer(depths, trajectory.direction)
    seen = plane.pixels(shaft, size, scale)
    width = max(3.0, trajectory.device.diameter_mm / scale)
    in_plane = np.abs(seen[:, 2]) <= max(thick_mm, trajectory.device.diameter_mm) / 2
    dash_on = (np.floor(depths / 3.0).astype(int) % 2) == 0
    sweep = depths > trajectory.tip_depth_mm
    if np.ptp(seen[:, :2], axis=0).max() < 2 * width:  # seen end on
        _dot(draw, seen[len(seen) // 2, :2], 0.5 * trajectory.device.diameter_mm / scale)
        return
    for chosen, colour, share in (
        (in_plane & ~sweep, NEEDLE, 1.0),
        (~in_plane & ~sweep & dash_on, NEEDLE, 0.75),
        (sweep & (in_plane | dash_on), (255, 190, 236), 0.6),
    ):
        for first, last in runs(chosen):
            ends = [tuple((seen[place, :2] + 0.5) * _FINER) for place in (first, last)]
            draw.line(ends, fill=(0, 0, 0, 200), width=round((share * width + 2.4) * _FINER))
        for first, last in runs(chosen):
            ends = [tuple((seen[place, :2] + 0.5) * _FINER) for place in (first, last)]
            draw.line(ends, fill=(*colour, 255), width=max(1, round(share * width * _FINER)))


def _dot(draw: ImageDraw.ImageDraw, centre: NDArray[np.float64], radius_px: float) -> None:
    x, y = (centre + 0.5) * _FINER
    for radius, colour in ((max(radius_px, 2.5) + 1.5, (0, 0, 0)), (max(radius_px, 2.5), NEEDLE)):
        reach = radius * _FINER
        draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=(*colour, 255))


def runs(chosen: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and last index of each stretch of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], chosen, [False]]).astype(np.int8)))
    return [(int(first), int(last) - 1) for first, last in edges.reshape(-1, 2)]


def _draw_ring(
    draw: ImageDraw.ImageDraw,
    plane: SlicePlane,
    finding: Finding,
    size: tuple[int, int],
    scale: float,
    thick_mm: float,
    needle_radius_mm: float,
) -> None:
    """The ring about the needle that the structure is certain to stay out of; a line where its nearest point shows.

    The ring's radius is the lower end of the clearance, from the axis: a sphere about the axis point, cut by the plane.
    """
    if finding.nearest_mm is None or finding.needle_mm is None or finding.distance is None:
        return
    near, axis = plane.pixels([finding.nearest_mm, finding.needle_mm], size, scale)
    if abs(axis[2]) > max(thick_mm, 2.0):
        return
    colour: Colour = VERDICT_COLOURS[finding.verdict]
    radius = max(0.0, finding.distance.low_mm + needle_radius_mm) / scale
    x, y = (axis[:2] + 0.5) * _FINER
    reach = radius * _FINER
    box = (x - reach, y - reach, x + reach, y + reach)
    draw.ellipse(box, outline=(0, 0, 0, 160), width=round(3.5 * _FINER))
    draw.ellipse(box, outline=(*colour, 255), width=round(1.6 * _FINER))
    if abs(near[2]) > max(thick_mm, 2.0):
        return
    line = [tuple((point[:2] + 0.5) * _FINER) for point in (axis, near)]
    draw.line(line, fill=(*colour, 255), width=round(1.6 * _FINER))
    x, y = line[1]
    draw.ellipse((x - 3 * _FINER, y - 3 * _FINER, x + 3 * _FINER, y + 3 * _FINER), fill=(*colour, 255))


def _write(draw: ImageDraw.ImageDraw, plane: SlicePlane, size: tuple[int, int], scale: float, text_px: int) -> None:
    width, height = size
    right, down = np.asarray(plane.right), np.asarray(plane.down)
    gap = 0.9 * text_px
    for direction, place in (
        (right, (width - gap, height / 2)), (-right, (gap, height / 2)),
        (down, (width / 2, height - gap)), (-down, (width / 2, gap)),
    ):  # fmt: skip
        written(draw, place, orientation_letters(direction)[:2], text_px, TEXT, bold=True, anchor="mm")
    if plane.title:
        crowded = 0.6 * text_px + font(text_px).getlength(plane.title) > width / 2 - 1.5 * text_px
        written(draw, (0.6 * text_px, (1.9 if crowded else 0.4) * text_px), plane.title, text_px, TEXT)
    draw_scale_bar(draw, 0.8 * text_px, height - 0.9 * text_px, scale, text_px, longest_px=0.25 * width)
