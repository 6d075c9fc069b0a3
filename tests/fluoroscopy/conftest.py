"""A small body whose left and right, front and back, head and feet differ."""

import numpy as np
import pytest

from navplan.geometry.grid import Grid
from navplan.model.acquisition import Acquisition
from navplan.model.device import Device
from navplan.model.trajectory import Trajectory
from navplan.model.volume import Volume


@pytest.fixture(scope="session")
def body() -> Volume:
    """Water 100 x 80 x 120 mm; a bone rod head to feet at x +30, y +20; air at x -25, z +30."""
    grid = Grid(
        np.diag([2.0, 2.0, 3.0, 1.0]) + np.array([[0, 0, 0, -79], [0, 0, 0, -79], [0, 0, 0, -90], [0] * 4]),
        (80, 80, 61),
    )
    x, y, z = np.moveaxis(grid.points_mm(np.stack(np.indices(grid.shape), axis=-1)), -1, 0)
    hu = np.full(grid.shape, -1000, dtype=np.int16)
    hu[(abs(x) < 50) & (abs(y) < 40) & (abs(z) < 60)] = 40
    hu[((x - 30) ** 2 + (y - 20) ** 2 < 36) & (abs(z) < 60)] = 1000
    hu[(x + 25) ** 2 + y**2 + (z - 30) ** 2 < 225] = -900
    return Volume(hu, grid, acquisition=Acquisition(patient_position="HFS", date="2001-02-03"))


@pytest.fixture(scope="session")
def needle() -> Trajectory:
    """From the left front, slightly from the head, to a point near the middle."""
    device = Device("n18", "18 G needle", 18, 1.27, 100.0, 20.0)
    return Trajectory((30.0, -40.0, 15.0), (5.0, 10.0, 0.0), device, tip_short_of_target_mm=10.0)
