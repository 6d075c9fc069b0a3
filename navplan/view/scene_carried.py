"""What a registration brought from another image into a scene: banded surfaces, and what is told of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from navplan.errors import GeometryError, InputError
from navplan.geometry.grid import Grid
from navplan.geometry.lines import unit
from navplan.imaging.surfaces import Surface, surface_at
from navplan.model.image_pair import ImagePair, Tie
from navplan.model.safety import Verdict
from navplan.model.structure import Structure
from navplan.model.volume import Volume
from navplan.view.colours import Colour, anatomy_colour, spoken
from navplan.view.finer_meshes import with_short_edges
from navplan.view.meshes import PaintedMesh, painted
from navplan.view.near_structures import may_be_solid
from navplan.view.scene_meshes import whole_surface

GRID_MM, MOST_TRIANGLES = 2.0, 12_000
BANDS, THINNEST_MM = 14, 3.0  # along the largest side of a structure; of a band and its gap together
DARK, GAP_ALPHA = 0.30, 0.10  # of the gaps: what is left of the colour of an opaque one, and the alpha of others
MOST_POINTS = 100_000  # of a structure that are asked how far off they may be
MOST_CARRIED = 12
UPTAKE: Colour = (255, 176, 32)
UPTAKE_ALPHA, UPTAKE_RIM = 0.22, 0.55
_UPTAKE_MM, _MOST_OF_UPTAKE, _MOST_POINTS = 2.0, 20_000, 6e6


@dataclass(frozen=True, eq=False)
class CarriedMark:
    """One structure that was seen on another image. error_mm: the largest expected error at it, NaN where it is not
    known; doubt: why it may lie elsewhere; at_mm: its middle in the image that is looked at."""

    name: str
    image: str
    error_mm: float
    doubt: str
    at_mm: tuple[float, float, float]

    @property
    def verdict(self) -> Verdict:
        """PASS only for what a good registration brought, with an error that is known."""
        return Verdict.WARN if self.doubt or not np.isfinite(self.error_mm) else Verdict.PASS

    @property
    def colour(self) -> Colour:
        """Of its anatomy."""
        return anatomy_colour(self.name)

    @property
    def words(self) -> str:
        """Whose it is, and within what distance of the truth in 95 of 100."""
        return f"{'! ' if self.doubt else ''}{spoken(self.name)} from {self.image}, {self.within}"

    @property
    def within(self) -> str:
        """Within what distance of the truth it lies in 95 of 100."""
        return f"within {self.error_mm:.1f} mm" if np.isfinite(self.error_mm) else "error not known"


def own_mark(structure: Structure) -> CarriedMark | None:
    """Of a structure that the case holds as carried; None for one of the image itself."""
    if not structure.carried_from or structure.occupancy is None:
        return None
    error = structure.carried_error_mm if structure.carried_error_mm > 0 else float("nan")
    middle = structure.voxel_centres_mm().mean(axis=0)
    return CarriedMark(structure.name, structure.carried_from, error, structure.carried_doubt, _triple(middle))


def own_marks(structures: Mapping[str, Structure], names: Sequence[str]) -> tuple[CarriedMark, ...]:
    """Of those of the names that were carried."""
    found = (own_mark(structures[name]) for name in names if name in structures)
    return tuple(mark for mark in found if mark is not None)


def banded_surface(structure: Structure, surface: Surface) -> Surface:
    """The surface of a carried structure with edges short enough for its bands; any other as it is."""
    if not structure.carried_from or not len(surface.points_mm):
        return surface
    return with_short_edges(surface, band_mm(surface.points_mm) / 3)


def band_shade(structure: Structure, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) 1 in the bands of a carried structure, DARK between them; 1 everywhere for any other."""
    if not structure.carried_from or not len(points_mm):
        return np.ones(len(points_mm))
    return DARK + (1 - DARK) * bands(points_mm)


def band_mm(points_mm: NDArray[np.float64]) -> float:
    """Of a band and its gap together, on a surface of so large an extent."""
    return max(THINNEST_MM, float(np.ptp(points_mm, axis=0).max()) / BANDS)


def bands(points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) 1 in bands across the patient's axis, 0 between them, in turns, counted from the feet of the surface."""
    wide = band_mm(points_mm)
    place = ((points_mm[:, 2] - points_mm[:, 2].min()) / wide) % 1.0
    return np.clip(0.5 + 6.0 * (0.25 - np.abs(place - 0.5)), 0.0, 1.0)


def carried_meshes(
    structures: Mapping[str, Structure], pair: ImagePair, kept: Mapping[str, Structure]
) -> tuple[list[PaintedMesh], list[CarriedMark], list[str]]:
    """Banded meshes of the second image's own structures in the first image's frame, what is told of each, and words
    for those that cannot be drawn. kept: of the first image: what was carried to it already is not drawn twice.

    Every corner is brought over by itself, so that a map that bends bends it.
    """
    meshes: list[PaintedMesh] = []
    marks: list[CarriedMark] = []
    undrawn: list[str] = []
    wanted = [one for one in structures.values() if one.image_id == pair.second and not one.carried_from]
    for structure in [one for one in wanted if one.occupancy is not None and may_be_solid(one)]:
        there = kept.get(structure.name)
        if there is not None and there.carried_from == pair.second:
            continue
        if len(meshes) == MOST_CARRIED:
            undrawn.append(f"{spoken(structure.name)} of {pair.second} not drawn: more than {MOST_CARRIED}")
            continue
        try:
            mesh, mark = _carried(structure, pair)
        except GeometryError as error:
            undrawn.append(f"{spoken(structure.name)} of {pair.second} not drawn: {error.received}")
            continue
        if len(mesh.triangles):
            meshes.append(mesh)
            marks.append(mark)
        else:
            undrawn.append(f"{spoken(structure.name)} of {pair.second} not drawn: too thin")
    return meshes, marks, undrawn


def _carried(structure: Structure, pair: ImagePair) -> tuple[PaintedMesh, CarriedMark]:
    surface = whole_surface(structure, GRID_MM, MOST_TRIANGLES)
    if len(surface.points_mm):
        surface = with_short_edges(surface, band_mm(surface.points_mm) / 3)
    surface = brought(surface, pair)
    points = pair.to_first(structure.voxel_centres_mm()[:: max(len(structure.voxel_centres_mm()) // MOST_POINTS, 1)])
    errors = pair.error_mm(points)
    error = float(errors.max()) if not np.isnan(errors).any() else float("nan")
    doubt = "" if pair.tie is Tie.GOOD else pair.words
    strong = GAP_ALPHA + (0.92 - GAP_ALPHA) * bands(surface.points_mm) if len(surface.points_mm) else np.zeros(0)
    mesh = replace(painted(surface, anatomy_colour(structure.name)), alpha=strong)
    return mesh, CarriedMark(structure.name, pair.second, error, doubt, _triple(points.mean(axis=0)))


def brought(surface: Surface, pair: ImagePair) -> Surface:
    """A surface of the second image in the frame of the first, corner by corner."""
    if not len(surface.points_mm):
        return surface
    points = pair.to_first(surface.points_mm)
    normals = unit(pair.to_first(surface.points_mm + 0.5 * surface.normals) - points)
    triangles = surface.triangles
    a, b, c = (points[triangles[:, corner]] for corner in range(3))
    outward = np.einsum("ij,ij->i", np.cross(b - a, c - a), normals[triangles].sum(axis=1)) >= 0
    turned = triangles if outward.mean() >= 0.5 else np.ascontiguousarray(triangles[:, ::-1])
    return Surface(points, normals, turned)


def uptake_mesh(volume: Volume, pair: ImagePair, threshold_suv: float) -> PaintedMesh:
    """The surface around what has more than so much SUV, in the first image's frame; alpha 1.

    Raises InputError for an image that is not in SUV, and a threshold that is no number above 0.
    """
    if volume.quantity != "SUV":
        raise InputError(
            f"a surface of uptake in image {pair.second}, whose values are {volume.quantity}", "a PET in SUV",
            "Leave --uptake out, or choose a PET with weight, dose and times in its file",
        )  # fmt: skip
    if not (np.isfinite(threshold_suv) and threshold_suv > 0):
        raise InputError(f"an SUV threshold of {threshold_suv}", "a number above 0")
    field, grid = _isotropic(volume)
    return painted(brought(surface_at(-field, grid, -threshold_suv, _MOST_OF_UPTAKE), pair), UPTAKE)


def _isotropic(volume: Volume) -> tuple[NDArray[np.float32], Grid]:
    """The values, linear between voxels, on a cubic grid, closed at the image's edge by values of 0."""
    from scipy.ndimage import map_coordinates

    padded = np.pad(np.asarray(volume.voxels, dtype=np.float32), 1)
    whole_mm3 = float(np.prod(padded.shape) * volume.grid.spacing_mm.prod())
    spacing = max(_UPTAKE_MM, (whole_mm3 / _MOST_POINTS) ** (1 / 3))
    step = spacing / volume.grid.spacing_mm
    counts = np.ceil((np.asarray(padded.shape) - 1) / step).astype(int) + 1
    axes = np.meshgrid(*(np.arange(n) * s for n, s in zip(counts, step, strict=True)), indexing="ij")
    values = map_coordinates(padded, axes, np.float32, order=1, mode="nearest")
    affine = volume.grid.affine.copy()
    affine[:3, :3] = volume.grid.axes * spacing
    affine[:3, 3] = volume.grid.points_mm(np.full(3, -1.0))
    return values, Grid(affine, (int(counts[0]), int(counts[1]), int(counts[2])))


def _triple(point_mm: NDArray[np.float64]) -> tuple[float, float, float]:
    return float(point_mm[0]), float(point_mm[1]), float(point_mm[2])
