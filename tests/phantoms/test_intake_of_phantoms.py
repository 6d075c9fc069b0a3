"""Phantoms as DICOM, in every orientation, tilt and pattern of gaps: places and distances come back as they were.

The image of a solid is its own signed distance, so each voxel that comes back says where it lies.
"""

from __future__ import annotations

from itertools import permutations, product
from pathlib import Path

import numpy as np
import pydicom
import pytest
from scipy.spatial.transform import Rotation

from navplan.files.dicom_read import read_series
from navplan.files.dicom_scan import find_series
from navplan.files.dicom_write import decimal_string, write_ct_slices
from navplan.model.acquisition import Acquisition
from navplan.model.structure import Presence, Structure
from navplan.model.volume import Volume
from navplan.planning.boundary import boundary_of
from navplan.planning.margins import margins
from navplan_phantoms.solid_base import Solid
from navplan_phantoms.solids import Box, Capsule, Ellipsoid

PER_MM = 40.0  # of the image's values
SHAPE, SPACING_MM = (30, 26, 18), (2.0, 2.3, 3.0)
SOLIDS: tuple[Solid, ...] = (
    Ellipsoid((2.0, -1.0, 1.0), (12.0, 9.0, 10.0)), Capsule((-6.0, 3.0, -5.0), (7.0, -2.0, 6.0), 8.0),
    Box((1.0, 1.0, -1.0), (9.0, 8.0, 9.5)),
)  # fmt: skip
AXES = (
    ((-40.0, 22.0, 4.0), (30.0, 15.0, 9.0)), ((20.0, -21.0, -20.0), (19.0, 5.0, 25.0)),
    ((0.0, 0.0, 45.0), (1.0, 2.0, 17.0)),
)  # fmt: skip
FILL_HU = -2048


def written(
    folder: Path, solid: Solid, directions: np.ndarray, tilt_deg: float = 0.0, heights_mm: np.ndarray | None = None
) -> Path:
    """A series around (0, 0, 0). directions: (3, 3), columns are those of i, j and k; tilt: of k towards j."""
    heights = np.arange(SHAPE[2]) * SPACING_MM[2] if heights_mm is None else heights_mm
    heights = heights - heights.mean()
    slope = directions[:, 2] + np.tan(np.radians(tilt_deg)) * directions[:, 1]
    corner = -directions[:, :2] @ ((np.array(SHAPE[:2]) - 1) / 2 * SPACING_MM[:2])
    places = corner + heights[:, None] * slope
    i, j = (axis.ravel() for axis in np.indices(SHAPE[:2]))
    plane = np.outer(i * SPACING_MM[0], directions[:, 0]) + np.outer(j * SPACING_MM[1], directions[:, 1])
    points = places[:, None] + plane
    values = np.rint(-PER_MM * solid.signed_distance_mm(points.reshape(-1, 3)))
    voxels = np.moveaxis(np.clip(values, -2000, 2000).reshape(len(heights), *SHAPE[:2]), 0, -1).astype(np.int16)
    affine = np.eye(4)
    affine[:3, :3] = directions * SPACING_MM
    paths = write_ct_slices(
        voxels, affine, folder, acquisition=Acquisition(patient_position="HFS"), patient_id="P", patient_name="A",
        seed_uid="t", frame_uid="1.2.3",
    )  # fmt: skip
    for path, place in zip(paths, places, strict=True):
        header = pydicom.dcmread(path)
        header.ImagePositionPatient = [decimal_string(value) for value in place]
        header.save_as(path)
    return folder


def come_back(folder: Path, bridge_mm: float = 0.0) -> Volume:
    (series,), unread = find_series(folder)
    assert not unread
    return read_series(series, "salt", bridge_mm)


def farthest_mm(volume: Volume, solid: Solid, from_mm: float = -100.0) -> float:
    """Of what a voxel says from where it lies; voxels that hold nothing, or a clipped value, say nothing.

    from_mm: only of what says so much and more: inside, and near an edge, the distance bends between two slices.
    """
    indices = np.argwhere((np.abs(volume.voxels.astype(int)) < 1990) & (volume.voxels <= -from_mm * PER_MM))
    assert len(indices) > 2000
    said = -volume.voxels[tuple(indices.T)] / PER_MM
    return float(np.abs(said - solid.signed_distance_mm(volume.grid.points_mm(indices))).max())


def assert_distances(volume: Volume, solid: Solid) -> None:
    grid = volume.grid
    x, y, z = (float(one) for one in grid.spacing_mm)
    occupancy = np.where(volume.voxels >= 0, 255, 0).astype(np.uint8)
    structure = Structure(
        "solid", Presence.PRESENT, occupancy, grid, evaluated_in=grid, image_id="ct", origin="phantom",
        working_resolution_mm=(x, y, z), boundary_sigma_mm=0.0, boundary_source="analytic",
    )  # fmt: skip
    boundary = boundary_of(structure)
    for start, end in AXES:
        truth = solid.segment_distance_mm(start, end)
        interval = margins([boundary], [start], [end]).interval(0, 0, 0.0)
        assert interval.low_mm <= truth <= interval.high_mm and truth > 0.5


def all_directions() -> list[np.ndarray]:
    found = []
    for order, signs in product(permutations(range(3)), product((1.0, -1.0), repeat=3)):
        directions = np.zeros((3, 3))
        directions[list(order), range(3)] = signs
        found.append(directions)
    return found


@pytest.mark.parametrize("number", range(48))
def test_every_orientation(tmp_path: Path, number: int):
    solid = SOLIDS[number % 3]
    volume = come_back(written(tmp_path / "s", solid, all_directions()[number]))
    assert farthest_mm(volume, solid) < 0.5 / PER_MM + 0.001
    assert_distances(volume, solid)


@pytest.mark.parametrize("tilt_deg", [-25.0, -18.3, -10.0, -2.0, 2.0, 7.7, 15.0, 25.0])
@pytest.mark.parametrize("turned", [False, True])
def test_every_tilt(tmp_path: Path, tilt_deg: float, turned: bool):
    directions = Rotation.from_euler("xyz", (20, -35, 50) if turned else (0, 0, 0), degrees=True).as_matrix()
    solid = SOLIDS[int(abs(tilt_deg)) % 3]
    volume = come_back(written(tmp_path / "s", solid, directions, tilt_deg))
    assert "tilted_stack" in {finding.code for finding in volume.acquisition.quality}
    assert farthest_mm(volume, solid, BENT_LESS_MM) < 0.2
    assert_distances(volume, solid)


BENT_LESS_MM = 5.0  # (4.5 mm)^2 / (8 x 5 mm) = 0.5 mm at most between two slices
_EVEN = np.arange(18) * 3.0
HEIGHTS = {
    "jitter": _EVEN + np.random.default_rng(1).uniform(-0.8, 0.8, 18),
    "coarser at one end": np.concatenate([np.arange(10) * 2.0, 18.0 + 4.5 * np.arange(1, 8)]),
    "overlapping": np.cumsum(np.where(np.arange(18) % 2, 2.0, 2.9)),
    "one missing": np.delete(_EVEN, 6),
    "two missing apart": np.delete(_EVEN, [4, 12]),
    "two missing together": np.delete(_EVEN, [12, 13]),
}


@pytest.mark.parametrize("name", HEIGHTS)
@pytest.mark.parametrize("tilt_deg", [0.0, 12.0])
@pytest.mark.parametrize("turned", [False, True])
def test_every_pattern_of_gaps(tmp_path: Path, name: str, tilt_deg: float, turned: bool):
    directions = Rotation.from_euler("xyz", (-70, 15, 120) if turned else (0, 0, 0), degrees=True).as_matrix()
    solid = SOLIDS[list(HEIGHTS).index(name) % 3]
    folder = written(tmp_path / "s", solid, directions, tilt_deg, HEIGHTS[name])
    volume = come_back(folder, 10.0)
    assert "uneven_slices" in {finding.code for finding in volume.acquisition.quality}
    if "together" not in name:  # what was interpolated across 9 mm is a guess, and said to be one
        assert_distances(volume, solid)
    if "missing" in name:
        assert "bridged_gap" in {finding.code for finding in volume.acquisition.quality}
        volume = come_back(folder)
        assert "missing_slices" in {finding.code for finding in volume.acquisition.quality}
        (numbers,) = np.nonzero((volume.voxels == FILL_HU).all(axis=(0, 1)))
        assert len(numbers) == len(_EVEN) - len(HEIGHTS[name])
    assert farthest_mm(volume, solid, BENT_LESS_MM) < 0.5
