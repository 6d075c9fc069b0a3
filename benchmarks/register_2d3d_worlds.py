"""Worlds for 2-D/3-D registration: shots of a CT by a peer's projector, and what may be wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, map_coordinates

from navplan.fluoroscopy.known_shot import KnownShot
from navplan.fluoroscopy.rigid_pose import apply, moved
from navplan.geometry.carm import Beam, CArm, Detector, ViewAngles
from navplan.geometry.grid import Grid
from navplan.model.volume import Volume

VIEWS = (ViewAngles(0, 0), ViewAngles(90, 0))
DETECTOR = Detector(512, 512, 0.6)
CUBE = np.stack(np.meshgrid(*[[-50.0, 0.0, 50.0]] * 3), axis=-1).reshape(-1, 3)


def in_ball(draw: np.random.Generator, radius: float) -> NDArray[np.float64]:
    """(3,) evenly in a ball: half of all lie in its outer fifth."""
    direction = draw.standard_normal(3)
    return np.asarray(direction / np.linalg.norm(direction) * radius * draw.random() ** (1 / 3))


def true_pose(volume: Volume, seed: int) -> NDArray[np.float64]:
    """(4, 4) C-arm from CT: the CT's middle within 20 mm of the isocentre, turned by up to 10 degrees."""
    draw = np.random.default_rng(seed)
    base = np.eye(4)
    base[:3, 3] = -volume.grid.points_mm((np.asarray(volume.grid.shape) - 1) / 2)
    return moved(np.concatenate([in_ball(draw, 20.0), in_ball(draw, 10.0)]), np.zeros(3), base)


def start_near(pose: NDArray[np.float64], seed: int, reach: float) -> NDArray[np.float64]:
    """A start within `reach` mm and as many degrees of a pose, about the isocentre."""
    draw = np.random.default_rng(seed)
    return moved(np.concatenate([in_ball(draw, reach), in_ball(draw, reach)]), np.zeros(3), pose)


def places_of(pose: NDArray[np.float64]) -> NDArray[np.float64]:
    """(27, 3) of the CT: a cube of 100 mm about the isocentre."""
    return apply(np.linalg.inv(pose), CUBE)


def beams() -> list[Beam]:
    """Frontal and lateral about the origin."""
    return [Beam.of(angles, np.zeros(3), CArm()) for angles in VIEWS]


def breathed(volume: Volume, spine: NDArray[np.bool_], by_mm: float) -> Volume:
    """The CT with everything but the spine and what lies within 15 mm of it moved towards the feet, by all of by_mm
    from 75 mm off."""
    near = distance_transform_edt(~spine, sampling=volume.grid.spacing_mm)
    shift = (by_mm / volume.grid.spacing_mm[2] * np.clip((near - 15.0) / 60.0, 0.0, 1.0)).astype(np.float32)
    moved_hu = np.empty(volume.grid.shape, dtype=np.int16)
    j, k = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in volume.grid.shape[1:]), indexing="ij")
    for i in range(volume.grid.shape[0]):
        at = [j, k + shift[i]]
        moved_hu[i] = np.rint(map_coordinates(volume.voxels[i], at, np.float32, order=1, mode="nearest"))
    return Volume(moved_hu, volume.grid, acquisition=volume.acquisition)


def cropped(volume: Volume, low_mm: Sequence[float], high_mm: Sequence[float]) -> Volume:
    """The part of a CT between two corners about its middle, mm."""
    middle = volume.grid.points_mm((np.asarray(volume.grid.shape) - 1) / 2)
    ends = volume.grid.indices(np.array([middle + low_mm, middle + high_mm]))
    first = np.maximum(np.floor(ends.min(axis=0)).astype(int), 0)
    last = np.minimum(np.ceil(ends.max(axis=0)).astype(int) + 1, volume.grid.shape)
    part = volume.voxels[tuple(slice(a, b) for a, b in zip(first, last, strict=True))]
    grid: Grid = volume.grid.crop(first, last - first)
    return Volume(np.array(part.T).T, grid, acquisition=volume.acquisition)


def with_devices(shot: KnownShot, seed: int) -> KnownShot:
    """Five wires and tubes across the picture and a round thing 48 mm wide on the panel, none in the CT."""
    draw = np.random.default_rng(seed)
    values = np.array(shot.values)
    row, column = np.indices(values.shape)
    for _ in range(5):
        a, b = draw.uniform(0, 512, 2), draw.uniform(0, 512, 2)
        along = (b - a) / np.linalg.norm(b - a)
        beside = np.abs((row - a[0]) * along[1] - (column - a[1]) * along[0])
        values[beside < draw.uniform(2, 6)] += np.float32(draw.uniform(0.5, 2.0))
    middle = draw.uniform(100, 400, 2)
    values[np.hypot(row - middle[0], column - middle[1]) < 40] += np.float32(1.5)
    return replace(shot, values=values)


def as_displayed(shot: KnownShot) -> KnownShot:
    """256 grey values, dense dark, read back."""
    low, high = float(np.min(shot.values)), float(np.max(shot.values))
    grey = np.rint(255.0 * (high - shot.values) / (high - low))
    return replace(shot, values=(255.0 - grey).astype(np.float32))


@dataclass(frozen=True)
class World:
    """name; views: how many of the two; starts: for each pose; reach: of the starts, mm and degrees; ct: which CT is
    registered; shots: which CT the shots are of; devices, displayed: see there; second_moved: six numbers by which the
    patient moved before the second shot; second_off: six by which the second beam is really elsewhere; at_spine: judged
    at points of the spine; every: of so many poses one."""

    name: str
    views: int = 2
    starts: int = 1
    reach: float = 20.0
    ct: str = "whole"
    shots: str = "whole"
    devices: bool = False
    displayed: bool = False
    second_moved: tuple[float, ...] = (0.0,) * 6
    at_spine: bool = False
    every: int = 2


WORLDS = (
    World("two views", starts=4, every=1),
    World("one view, frontal", views=1, starts=4, every=1),
    World("starts within 45 mm and 45 degrees", reach=45.0),
    World("CT of 140 mm along the body", ct="short"),
    World("CT of the spine alone, 170 x 170 x 160 mm", ct="spine"),
    World("wires, tubes and a disc in both pictures", devices=True),
    World("pictures as displayed, 256 grey values", displayed=True),
    World("all but the spine 10 mm lower in the pictures, judged there", shots="breathed 10", at_spine=True, every=3),
    World("all but the spine 5 mm lower in the pictures, judged there", shots="breathed 5", at_spine=True, every=3),
    World(
        "patient 5 mm along the body and 1 degree off in the second picture",
        second_moved=(0, 0, 5.0, 0, 1.0, 0),
        every=3,
    ),
    World("second view's geometry 2 mm and 1 degree off", second_moved=(1.0, 1.4, 1.0, 0.7, 0, 0.7), every=3),
    World("another patient's CT", ct="another"),
)
