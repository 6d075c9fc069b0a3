"""Seeded scenes for the campaign on clearances: solids whose distance is known, their labels, and axes past them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from navplan.geometry.grid import Grid
from navplan.model.structure import Presence, Structure
from navplan_phantoms.certified import segment_distance_bounds_mm
from navplan_phantoms.rasterise import rasterise
from navplan_phantoms.solids import (
    Box,
    Capsule,
    Cylinder,
    Difference,
    Ellipsoid,
    HalfSpace,
    Intersection,
    RoundCone,
    Solid,
    Sphere,
    Tube,
    Union,
)

SMOOTH = ("sphere", "capsule", "ellipsoid")
THIN = ("thin capsule", "plate", "spike")
SHARP = ("box", "cylinder", "half ball", "bowl", "shell")
JOINED = ("bent tube", "two close", "crossing plates")
BLUNT = ("ridge", "blunt cone")  # an edge, a tip of more than a right angle: 27 voxels hardly tell it from a bend
SHAPES = (*SMOOTH, *THIN, *SHARP, *JOINED, *BLUNT)
RESOLVED_VOXELS = 4.0  # radius of curvature from which a smooth solid counts as resolved
SPACE_MM = 46.0  # edge of the grid
AXES = 6  # in each scene
TOLERANCE_MM = 0.004  # of the truth where no closed form gives it


@dataclass(frozen=True, eq=False)
class Scene:
    """radius_mm: least radius of curvature of the surface, 0 where it has an edge; mouth_mm: where a hollow one is
    open, or the tip of a blunt one; labels: fractional, of 8 x 8 x 8 samples (or 4 x 4 x 4, as the phantoms are made)
    in each voxel."""

    seed: int
    shape: str
    solid: Solid
    radius_mm: float
    mouth_mm: NDArray[np.float64] | None
    grid: Grid
    labels: Structure
    samples: int

    @property
    def radius_voxels(self) -> float:
        """Least radius of curvature in longest voxel edges."""
        return self.radius_mm / float(self.grid.spacing_mm.max())


def scene(seed: int, largest_spacing_mm: float = 1.0, resolved: bool = False) -> Scene:
    """A solid at a random place on a grid of random spacing and direction, and its labels.

    resolved: a ball, capsule or ellipsoid with a radius of curvature of four voxels and more, 8 x 8 x 8 samples.
    """
    rng = np.random.default_rng(seed)
    shape = SMOOTH[seed % len(SMOOTH)] if resolved else SHAPES[seed % len(SHAPES)]
    spacing = rng.uniform(0.4, largest_spacing_mm, 3)
    if rng.random() < 0.25:
        spacing[1] = spacing[0]  # as a scanner makes them
    axes = _rotation(rng) if rng.random() < 0.85 else np.eye(3)
    sizes = np.ceil(SPACE_MM / spacing).astype(int)
    affine = np.eye(4)
    affine[:3, :3] = axes * spacing
    affine[:3, 3] = -affine[:3, :3] @ ((sizes - 1) / 2) + rng.uniform(-1.0, 1.0, 3)
    grid = Grid(affine, (int(sizes[0]), int(sizes[1]), int(sizes[2])))
    samples = 4 if rng.random() < 0.3 and not resolved else 8
    cut = True  # by the image's end: its nearest point may lie outside
    while cut:
        solid, radius_mm, mouth_mm = _solid(shape, rng, axes)
        if resolved and radius_mm < RESOLVED_VOXELS * spacing.max():
            continue
        part = rasterise(solid, grid.affine, grid.shape, samples)
        cut = bool((np.equal(part.offset, 0) | (np.add(part.offset, part.occupancy.shape) >= grid.shape)).any())
    own = grid.crop(part.offset, part.occupancy.shape)
    labels = Structure("structure", Presence.PRESENT, part.occupancy, own, True, grid, "ct", "analytic", _triple(grid))
    return Scene(seed, shape, solid, radius_mm, mouth_mm, grid, labels, samples)


def hard_labels(of: Scene) -> Structure | None:
    """The same solid, labelled by voxel centre; None where it holds no centre."""
    grid = of.labels.grid
    assert grid is not None
    points = grid.points_mm(np.moveaxis(np.indices(grid.shape), 0, -1)).reshape(-1, 3)
    inside = of.solid.contains(points).reshape(grid.shape)
    if not inside.any():
        return None
    return replace(of.labels, occupancy=np.where(inside, 255, 0).astype(np.uint8), fractional=False)


def axes_past(of: Scene) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Axes of needles in a scene: two at random, two that pass at 0 to 5 mm, one that ends near, one that goes in."""
    rng = np.random.default_rng([of.seed, 1])
    bounds = of.solid.bounds_mm()
    middle = bounds.mean(axis=0)
    found = []
    for n in range(AXES):
        start = rng.standard_normal(3)
        start *= rng.uniform(30.0, 60.0) / np.linalg.norm(start)
        if n < 2:
            found.append((start, rng.uniform(-22.0, 22.0, 3)))
            continue
        if of.shape in BLUNT:
            found.append(_before_the_tip(of, rng, ends=n == 4))
            continue
        aim = middle + 0.4 * rng.uniform(-1.0, 1.0, 3) * (bounds[1] - bounds[0])
        along = (aim - start) / np.linalg.norm(aim - start)
        if n < 4:  # past it: shifted aside until it is as far as wished
            aside = np.cross(along, rng.standard_normal(3))
            aside /= np.linalg.norm(aside)
            shift = _far_enough(of.solid, start, aim + rng.uniform(-5.0, 25.0) * along, aside, rng.uniform(0.0, 5.0))
            end = aim + rng.uniform(-5.0, 25.0) * along
            found.append((start + shift * aside, end + shift * aside))
        elif n == 4:  # ends before it
            wished, length = rng.uniform(0.0, 4.0), float(np.linalg.norm(aim - start))
            shift = _far_enough(of.solid, start, aim, -along, wished, only_end=True)
            found.append((start, start + max(length - shift, 1.0) * along))
        elif of.mouth_mm is not None:  # into the hollow, from its open side
            inward = middle - np.asarray(of.mouth_mm)
            begin = of.mouth_mm - 5.0 * inward + rng.uniform(-6.0, 6.0, 3)
            found.append((begin, middle + rng.uniform(-0.5, 1.0) * inward + rng.uniform(-2.0, 2.0, 3)))
        else:  # goes in
            found.append((start, aim + rng.uniform(-3.0, 3.0) * along))
    return found


def _before_the_tip(of: Scene, rng: np.random.Generator, ends: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """An axis that passes, or ends, .3 to 5 mm before an edge or a tip."""
    assert of.mouth_mm is not None
    outward = of.mouth_mm - of.solid.bounds_mm().mean(axis=0)
    outward /= np.linalg.norm(outward)
    tilted = outward + rng.uniform(-0.2, 0.2, 3)
    across = np.cross(tilted, rng.standard_normal(3))
    across *= rng.uniform(15.0, 30.0) / np.linalg.norm(across)
    place = of.mouth_mm + rng.uniform(0.3, 5.0) * tilted / np.linalg.norm(tilted)
    return (place + 40.0 * tilted, place) if ends else (place + across, place - across)


def truth_mm(solid: Solid, start: NDArray[np.float64], end: NDArray[np.float64]) -> tuple[float, float]:
    """Lower and upper bound of the distance between an axis and a solid: one number where a closed form gives it."""
    low, high = segment_distance_bounds_mm(solid, start, end, TOLERANCE_MM)
    return max(low, 0.0), max(high, 0.0)


def _far_enough(
    solid: Solid,
    start: NDArray[np.float64],
    end: NDArray[np.float64],
    aside: NDArray[np.float64],
    wished_mm: float,
    only_end: bool = False,
) -> float:
    """How far an axis (or its end alone) is shifted to lie about as far from a solid as wished."""
    near, far = 0.0, 30.0
    for _ in range(14):
        shift = (near + far) / 2
        moved = end + shift * aside
        apart = solid.segment_distance_mm(start + (0.0 if only_end else shift) * aside, moved)
        near, far = (shift, far) if apart < wished_mm else (near, shift)
    return far


def _rotation(rng: np.random.Generator) -> NDArray[np.float64]:
    """A rotation, all alike likely."""
    q = rng.standard_normal(4)
    w, x, y, z = q / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def _triple(grid: Grid) -> tuple[float, float, float]:
    x, y, z = grid.spacing_mm
    return float(x), float(y), float(z)


def _solid(
    shape: str, rng: np.random.Generator, axes: NDArray[np.float64]
) -> tuple[Solid, float, NDArray[np.float64] | None]:
    """A solid of a shape, the least radius of curvature of its surface, and where it is open."""
    centre, size = rng.uniform(-3.0, 3.0, 3), rng.uniform(1.0, 11.0)
    # a third of the flat faces lie along the grid's axes, as a made object's may
    turned = _rotation(rng) if rng.random() < 0.67 else axes
    along = turned[:, 0]
    if shape == "sphere":
        return Sphere(centre, size), size, None
    if shape == "capsule":
        radius = rng.uniform(1.5, 9.0)
        return Capsule(centre - rng.uniform(2, 8) * along, centre + rng.uniform(2, 8) * along, radius), radius, None
    if shape == "ellipsoid":
        half = rng.uniform(max(size / 2, 1.5), max(min(1.5 * size, 13.0), 4.0), 3)
        return Ellipsoid(centre, half, turned), float(half.min() ** 2 / half.max()), None
    if shape == "thin capsule":
        radius = rng.uniform(0.2, 2.0)
        return Capsule(centre - rng.uniform(1, 12) * along, centre + rng.uniform(1, 12) * along, radius), radius, None
    if shape == "plate":
        return Box(centre, [rng.uniform(0.08, 0.8), *rng.uniform(2.0, 10.0, 2)], turned), 0.0, None
    if shape == "spike":
        tip = rng.uniform(0.05, 0.6)
        base = rng.uniform(2.0, 7.0)
        return RoundCone(centre, centre + (base + rng.uniform(2.0, 10.0)) * along, base, tip), tip, None
    if shape == "box":
        return Box(centre, rng.uniform(min(size, 8.0), min(1.5 * size, 11.0), 3), turned), 0.0, None
    if shape == "cylinder":
        return Cylinder(centre - rng.uniform(1, 8) * along, centre + rng.uniform(1, 8) * along, size), 0.0, None
    if shape == "half ball":
        radius = rng.uniform(3.0, 11.0)
        return Intersection(Sphere(centre, radius), HalfSpace(centre + rng.uniform(-2, 2) * along, along)), 0.0, None
    if shape == "bowl":
        radius = rng.uniform(4.0, 11.0)
        mouth = centre + radius * along
        return Difference(Sphere(centre, radius), Sphere(mouth, rng.uniform(0.4, 1.2) * radius)), 0.0, mouth
    if shape == "shell":
        radius, thick = rng.uniform(5.0, 11.0), rng.uniform(0.4, 2.5)
        hollow = Difference(Sphere(centre, radius), Sphere(centre, radius - thick))
        mouth = centre + 0.6 * radius * along
        return Difference(hollow, HalfSpace(mouth, -along)), 0.0, mouth
    if shape == "bent tube":
        turns = rng.standard_normal((4, 3))
        turns *= rng.uniform(3.0, 7.0, 4)[:, None] / np.linalg.norm(turns, axis=1)[:, None]
        path = centre + np.cumsum(turns, axis=0) - np.sum(turns, axis=0) / 2
        radius = rng.uniform(0.6, 4.0)
        return Tube(path, radius), radius, None
    if shape == "two close":
        first, second = rng.uniform(1.5, 7.0, 2)
        other = centre + (first + second + rng.uniform(-0.5, 1.5)) * along
        reach = rng.uniform(0.0, 8.0) * turned[:, 1]
        return Union(Sphere(centre, first), Capsule(other - reach, other + reach, second)), min(first, second), None
    if shape == "ridge":
        turn, ball = np.radians(rng.uniform(5.0, 40.0)), Sphere(centre - 3.0 * along, 8.0)
        sides = [np.cos(turn) * along + way * np.sin(turn) * turned[:, 1] for way in (1.0, -1.0)]
        return Intersection(ball, *(HalfSpace(centre, side) for side in sides)), 0.0, centre
    if shape == "blunt cone":
        far, base, tip = rng.uniform(1.02, 1.4), 5.0, rng.uniform(0.05, 0.3)
        return RoundCone(centre - far * (base - tip) * along, centre, base, tip), tip, centre
    plates = [Box(centre, rng.uniform(2.0, 9.0, 3) * mask + 0.3, turned) for mask in (np.r_[0, 1, 1], np.r_[1, 0, 1])]
    return Union(*plates), 0.0, None
