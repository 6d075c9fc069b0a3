"""The operations of `edit`, each from a piece of anatomy to the next, with what that does to its trust."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from navplan.errors import ChoiceError, InputError
from navplan.files.structure_names import canonical_name
from navplan.geometry.edge import cut_by_edge
from navplan.geometry.grid import Grid
from navplan.imaging import edit as masks
from navplan.imaging import edit_grids as grids
from navplan.imaging.canonical import CanonicalOrder, Mask, box_of
from navplan.model.structure import WORST_PLAUSIBLE_RESOLUTION_MM, Presence, Structure
from navplan.model.volume import Volume
from navplan.planning.boundary import blocky_mm

Three = tuple[float, float, float]
ACROSS = {"sagittal": 0, "coronal": 1, "axial": 2}  # the LPS axis that such slices lie across


@dataclass(frozen=True, eq=False)
class Around:
    """What an edit may look at: the image, and the structures of it by name."""

    volume: Volume
    structures: Mapping[str, Structure]


@dataclass(frozen=True, eq=False)
class Piece:
    """A structure while it is edited: hard mask [i, j, k] on `grid`, both None while there is nothing.

    region: where it was looked for, None = where it is drawn. resolution_mm: (3,) along the grid's axes, None =
    unknown. sigma_mm, source: of the outline, as in Structure. words: what was done; notes: what to know of it.
    parents: the structures that it is made of: what is doubted of one of them is doubted of it.
    """

    mask: Mask | None = None
    grid: Grid | None = None
    region: Grid | None = None
    resolution_mm: Three | None = None
    sigma_mm: float | None = None
    source: str = ""
    words: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    parents: tuple[Structure, ...] = ()

    @property
    def ml(self) -> float:
        """Its volume."""
        if self.mask is None or self.grid is None:
            return 0.0
        return float(np.count_nonzero(self.mask) * np.prod(self.grid.spacing_mm)) / 1000


def piece_of(structure: Structure) -> Piece:
    """A present structure as hard labels; one of shares has every voxel that it touches, its resolution is widened."""
    assert structure.occupancy is not None
    notes: tuple[str, ...] = ()
    if structure.fractional or ((structure.occupancy > 0) & (structure.occupancy < 255)).any():
        notes = (f"{structure.name}: shares of voxels became hard labels of all voxels that it touches",)
    return Piece(
        structure.occupancy > 0, structure.grid, structure.evaluated_in, _hard_resolution(structure),
        structure.boundary_sigma_mm, structure.boundary_source, notes=notes, parents=(structure,),
    )  # fmt: skip


def _hard_resolution(structure: Structure) -> Three | None:
    """Of the hard labels that an edit makes. Labels that are blocks of a coarser grid would hide it once edited."""
    assert structure.grid is not None
    spacing, stated = structure.grid.spacing_mm, structure.working_resolution_mm
    if structure.fractional:  # all that is touched: outward by up to a voxel
        return _three(np.maximum(2 * spacing, WORST_PLAUSIBLE_RESOLUTION_MM if stated is None else stated))
    if stated is not None:
        return stated
    blocks = blocky_mm(structure)
    return _three(np.maximum(blocks, structure.resolution_mm)) if (blocks > structure.resolution_mm).any() else None


def _known_resolution(piece: Piece) -> NDArray[np.float64]:
    assert piece.grid is not None
    stated = piece.resolution_mm
    return np.maximum(piece.grid.spacing_mm, WORST_PLAUSIBLE_RESOLUTION_MM if stated is None else stated)


def grow(piece: Piece, value: Any, around: Around) -> Piece:
    """Grown by mm; negative shrinks, but not where it may go on beyond the region that was looked at."""
    mm = number(value, "growing by")
    mask, grid = _roomy(piece, around, max(mm, 0.0))
    beyond = None
    if mm < 0 and piece.region is not None:
        beyond = ~grids.inside(grid, piece.region)
    result = masks.grown(mask, grid, mm, beyond)
    return _changed(piece, mask, result, grid, around, f"{'grown' if mm > 0 else 'shrunk'} by {abs(mm):g} mm")


def shrink(piece: Piece, value: Any, around: Around) -> Piece:
    """Shrunk by mm > 0."""
    mm = number(value, "shrinking by")
    if not mm > 0:
        raise InputError(f"shrinking by {mm} mm", "a finite number of mm above 0")
    return grow(piece, -mm, around)


def smooth(piece: Piece, value: Any, around: Around) -> Piece:
    """Smoothed by mm; what the region's edge cuts stays cut. The outline is known the worse for how far it moved."""
    mm = number(value, "smoothing by")
    mask, grid = _roomy(piece, around, 4 * mm if np.isfinite(mm) and mm > 0 else 0.0)
    result = masks.smoothed(mask, grid, mm)
    if piece.region is not None:
        where = np.argwhere(mask)
        result[tuple(where[cut_by_edge(where, grid, piece.region)].T)] = True
    words = f"smoothed by {mm:g} mm"
    done = _changed(piece, mask, result, grid, around, words)
    rms, inwards, outwards = masks.moved_mm(mask, result, grid)
    if not np.isfinite(rms):
        return done
    note = (
        f"{words}: {piece.ml:.2f} ml became {done.ml:.2f} ml; the outline moved by {rms:.1f} mm (RMS), at most"
        f" {inwards:.1f} mm inwards and {outwards:.1f} mm outwards"
    )
    return replace(
        done, sigma_mm=float(np.hypot(piece.sigma_mm or 0.0, rms)),
        source=f"{piece.source or 'unknown'}; and {rms:.1f} mm of smoothing", notes=(*done.notes, note),
    )  # fmt: skip


def islands(piece: Piece, value: Any, around: Around) -> Piece:
    """The largest connected part ("largest"), all of at least so many ml (a number), or the one at a place (three)."""
    mask, grid = _roomy(piece, around, 0.0)
    if value == "largest":
        return _changed(piece, mask, masks.without_islands(mask, grid), grid, around, "the largest part kept")
    given = numbers(value, "islands", "largest, a volume in ml, or three coordinates")
    if len(given) == 1:
        result = masks.without_islands(mask, grid, least_ml=given[0])
        return _changed(piece, mask, result, grid, around, f"parts of at least {given[0]:g} ml kept")
    result = masks.without_islands(mask, grid, containing_mm=given)
    return _changed(piece, mask, result, grid, around, f"the part at {_place(given)} kept")


def fill_slices(piece: Piece, value: Any, around: Around) -> Piece:
    """Filled between drawn slices; it is no finer across them than the widest step between two."""
    if value not in ACROSS:
        raise InputError(f"slices {value!r}", ", ".join(ACROSS))
    mask, grid = _roomy(piece, around, 0.0)
    axis = CanonicalOrder.of(grid).order[ACROSS[value]]
    result, step_mm = masks.filled_between_slices(mask, grid, axis)
    words = f"filled between {value} slices up to {step_mm:.1f} mm apart"
    filled = np.flatnonzero(result.any(axis=tuple(n for n in range(3) if n != axis)))
    done = _changed(piece, mask, result, grid, around, words)
    resolution = _known_resolution(piece)
    resolution[axis] = max(resolution[axis], step_mm)
    notes = done.notes
    if np.diff(filled).max() > 1:
        notes = (*notes, f"{words}: some slices between stayed empty, since the shapes beside them do not overlap")
    return replace(done, resolution_mm=_three(resolution), notes=notes)


def threshold(piece: Piece, value: Any, around: Around) -> Piece:
    """With the voxels of the image from low to high in a ball: low, high, x, y, z, radius."""
    given = numbers(value, "a threshold in a ball", "LOW,HIGH and a ball X,Y,Z,R")
    if len(given) != 6:
        raise InputError(f"{len(given)} numbers for a threshold in a ball", "LOW,HIGH and a ball X,Y,Z,R")
    low, high, *centre, radius = given
    found, part = masks.threshold_in_ball(around.volume, centre, radius, low, high)
    if not found.any():
        raise InputError(f"no voxel from {low:g} to {high:g} in a ball of {radius:g} mm at {_place(centre)}", "some")
    mask, grid = _roomy(piece, around, radius, [centre])
    result = mask | grids.onto(found, part, grid, outward=True)
    words = f"{low:g} to {high:g} in a ball of {radius:g} mm at {_place(centre)} added"
    return _changed(_begun(piece, grid), mask, result, grid, around, words)


def paint(piece: Piece, value: Any, around: Around) -> Piece:
    """Painted with a ball along points: x, y, z, ..., radius."""
    points, radius = _stroke(value, "painting")
    if not around.volume.grid.contains(points, -radius).any():
        raise InputError(f"painting at {_place(points[0])}, beside the image", "a place in the image")
    mask, grid = _roomy(piece, around, radius, points)
    result = masks.painted(mask, grid, points, radius)
    return _changed(_begun(piece, grid), mask, result, grid, around, _stroke_words("painted", points, radius))


def erase(piece: Piece, value: Any, around: Around) -> Piece:
    """Erased with a ball along points: x, y, z, ..., radius."""
    points, radius = _stroke(value, "erasing")
    mask, grid = _roomy(piece, around, 0.0)
    result = masks.painted(mask, grid, points, radius, on=False)
    return _changed(piece, mask, result, grid, around, _stroke_words("erased", points, radius))


def union(piece: Piece, value: Any, around: Around) -> Piece:
    """With another structure; looked for where both were."""
    name, other = _other(value, around)
    words = f"united with {name}"
    if piece.mask is None or piece.grid is None:
        return replace(other, words=(*piece.words, words), notes=(*piece.notes, *other.notes))
    assert other.mask is not None and other.grid is not None
    mask, grid = _roomy(piece, around, 0.0, other.grid.corners_mm())
    result = mask | grids.onto(other.mask, other.grid, grid, outward=True)
    return _trusted_as(_changed(_limited(piece, other), mask, result, grid, around, words), other)


def minus(piece: Piece, value: Any, around: Around) -> Piece:
    """Without what another structure fills wholly."""
    name, other = _other(value, around, whole=True)
    assert other.mask is not None and other.grid is not None
    mask, grid = _roomy(piece, around, 0.0)
    result = mask & ~grids.onto(other.mask, other.grid, grid, outward=False)
    return _trusted_as(_changed(piece, mask, result, grid, around, f"without {name}"), other)


def intersect(piece: Piece, value: Any, around: Around) -> Piece:
    """Only where another structure is as well; looked for where both were."""
    name, other = _other(value, around)
    assert other.mask is not None and other.grid is not None
    mask, grid = _roomy(piece, around, 0.0)
    result = mask & grids.onto(other.mask, other.grid, grid, outward=True)
    return _trusted_as(_changed(_limited(piece, other), mask, result, grid, around, f"where {name} is too"), other)


STEPS: dict[str, Callable[[Piece, Any, Around], Piece]] = {
    "grow_mm": grow, "shrink_mm": shrink, "smooth_mm": smooth, "islands": islands, "fill_slices": fill_slices,
    "threshold": threshold, "paint": paint, "erase": erase, "union": union, "minus": minus, "intersect": intersect,
}  # fmt: skip
MAKING = ("threshold", "paint", "union")  # those that can begin with nothing


def drawn_region(mask: Mask, grid: Grid, image_grid: Grid) -> Grid:
    """The box of a mask and one voxel about it: where somebody who drew it has looked, and no further."""
    box = box_of(mask)
    assert box is not None
    start = np.array([part.start - 1 for part in box])
    around = grid.crop(start, [part.stop - part.start + 2 for part in box])
    return around if image_grid.contains(around.corners_mm(), -1e-3).all() else grids.common_region(around, image_grid)


def number(value: Any, what: str) -> float:
    """One number. Raises InputError."""
    given = numbers(value, what, "one number of mm")
    if len(given) != 1:
        raise InputError(f"{what} {value!r}", "one number of mm")
    return given[0]


def numbers(value: Any, what: str, expected: str) -> list[float]:
    """All numbers of a value, flat. Raises InputError for anything else."""
    try:
        if isinstance(value, str | bool | None):
            raise TypeError
        return [float(one) for one in np.asarray(value, dtype=np.float64).ravel()]
    except (TypeError, ValueError):
        raise InputError(f"{what} {str(value)[:80]!r}", expected) from None


def _roomy(piece: Piece, around: Around, margin_mm: float, points_mm: Any = None) -> tuple[Mask, Grid]:
    """The piece with room about it; where there is none yet, an empty mask of the image's voxels about the points."""
    image_grid = around.volume.grid
    if not np.isfinite(margin_mm):
        raise InputError(f"a length of {margin_mm} mm", "a finite number of mm")
    points = None if points_mm is None else masks.checked_points(points_mm)
    if piece.mask is None or piece.grid is None:
        assert points is not None
        first = np.clip(np.rint(image_grid.indices(points[0])), 0, np.asarray(image_grid.shape) - 1)
        one_voxel = np.zeros((1, 1, 1), dtype=bool)
        return grids.with_room(one_voxel, image_grid.crop(first, (1, 1, 1)), image_grid, margin_mm, points)
    return grids.with_room(piece.mask, piece.grid, image_grid, margin_mm, points)


def _begun(piece: Piece, grid: Grid) -> Piece:
    """A piece that begins on the image's own voxels has their resolution."""
    return piece if piece.mask is not None else replace(piece, resolution_mm=_three(grid.spacing_mm))


def _changed(piece: Piece, before: Mask, after: Mask, grid: Grid, around: Around, words: str) -> Piece:
    """The piece with its new mask, cropped, nothing of it new beyond the image. Raises InputError where all is as it
    was."""
    image_grid = around.volume.grid
    if grids.same_lattice(grid, image_grid) is None:
        after = after & (before | grids.inside(grid, image_grid))
    if (before == after).all():
        raise InputError(f"an edit that changes no voxel ({words})", "one that does", "Nothing was changed")
    words_so_far = (*piece.words, words)
    box = box_of(after)
    if box is None:
        return replace(piece, mask=None, grid=None, words=words_so_far)
    cropped = grid.crop([part.start for part in box], [part.stop - part.start for part in box])
    return replace(piece, mask=after[box], grid=cropped, words=words_so_far)


def _other(value: Any, around: Around, whole: bool = False) -> tuple[str, Piece]:
    name = canonical_name(str(value))
    structure = around.structures.get(name)
    if structure is None:
        raise ChoiceError(f"no structure {name!r} of this image", ", ".join(sorted(around.structures)) or "none at all")
    if structure.presence is not Presence.PRESENT:
        raise InputError(f"{name}, which is {structure.presence}", "a present structure")
    piece = piece_of(structure)
    if whole:
        assert structure.occupancy is not None
        piece = replace(piece, mask=structure.occupancy == 255)
    return name, piece


def _limited(piece: Piece, other: Piece) -> Piece:
    """Looked for where both were. A region that is only where it is drawn stays that."""
    if piece.region is None or other.region is None:
        return piece
    return replace(piece, region=grids.common_region(piece.region, other.region))


def _trusted_as(piece: Piece, other: Piece) -> Piece:
    """No finer and no surer than the other one either."""
    if piece.grid is None or other.grid is None:
        return piece
    theirs, mine = _known_resolution(other), _known_resolution(piece)
    cosines = np.abs(piece.grid.axes.T @ other.grid.axes)
    along = cosines.argmax(axis=1)
    mapped = theirs[along] if cosines.max(axis=1).min() > 0.99 else np.full(3, theirs.max())
    resolution: NDArray[np.float64] = np.maximum(mine, mapped)
    if grids.same_lattice(other.grid, piece.grid) is None:
        resolution = np.maximum(resolution, 2 * piece.grid.spacing_mm)
    sigmas = [one for one in (piece.sigma_mm, other.sigma_mm) if one is not None]
    sources = list(dict.fromkeys(one.source or "unknown" for one in (piece, other)))
    return replace(
        piece, resolution_mm=_three(resolution), sigma_mm=max(sigmas, default=None), source="; ".join(sources),
        notes=(*piece.notes, *other.notes), parents=(*piece.parents, *other.parents),
    )  # fmt: skip


def _stroke(value: Any, what: str) -> tuple[NDArray[np.float64], float]:
    given = numbers(value, what, "X,Y,Z,R: a place and a radius, or several places and a radius")
    if len(given) < 4 or len(given) % 3 != 1:
        raise InputError(f"{what} with {len(given)} numbers", "X,Y,Z,R: one place or several, and a radius, in mm")
    if not np.isfinite(given).all() or given[-1] <= 0:
        at = _place(given[:3])
        raise InputError(f"{what} at {at} with a radius of {given[-1]} mm", "finite numbers, the radius above 0")
    return masks.checked_points(np.reshape(given[:-1], (-1, 3))), given[-1]


def _stroke_words(done: str, points: NDArray[np.float64], radius: float) -> str:
    more = f" and on through {len(points) - 1} more" if len(points) > 1 else ""
    return f"{done} with a ball of {radius:g} mm at {_place(points[0])}{more}"


def _place(point: Any) -> str:
    return "(" + ", ".join(f"{value:.1f}" for value in np.ravel(point)) + ")"


def _three(values: Any) -> Three:
    first, second, third = (float(value) for value in values)
    return first, second, third
