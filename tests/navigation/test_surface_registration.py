"""Points traced over the skin refine a registration; what slides, is ambiguous or too little is told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from navplan.errors import GeometryError
from navplan.geometry.transform import Transform
from navplan.navigation.patient_registration import PatientRegistration
from navplan.navigation.surface_registration import register_surface
from tests.navigation.test_patient_registration import registered

TRUE = np.eye(4)
TRUE[:3, :3] = Rotation.from_rotvec((0.2, -0.3, 0.5)).as_matrix()
TRUE[:3, 3] = 30, -20, 90


def bowl(count: int, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A lumpy half of a body: points and outward normals."""
    u, v = rng.uniform(-1.2, 1.2, count), rng.uniform(-1.0, 1.0, count)

    def at(u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
        bump = 1.0 + 0.10 * np.sin(3 * u) * np.cos(2.5 * v) + 0.06 * np.cos(4 * v + u)
        return np.stack([110 * np.sin(u) * bump, -80 * np.cos(u) * bump, 90 * v], axis=1)

    step = 1e-5
    along, across = at(u + step, v) - at(u - step, v), at(u, v + step) - at(u, v - step)
    normals = np.cross(along, across)
    normals /= np.linalg.norm(normals, axis=1)[:, None]
    return at(u, v), normals


def near(turn_deg: float, shift_mm: float) -> PatientRegistration:
    off = np.eye(4)
    off[:3, :3] = Rotation.from_rotvec(np.radians(turn_deg) * np.array([0.6, 0.0, 0.8])).as_matrix()
    off[:3, 3] = shift_mm / np.sqrt(3)
    return replace(registered(), transform=Transform(off @ TRUE, "patient", "reference"))


def traced(rng: np.random.Generator, noise_mm: float = 0.3, outliers: int = 12) -> NDArray[np.float64]:
    count = 120
    points = bowl(count, rng)[0] + rng.normal(0, noise_mm, (count, 3))
    points[:outliers] += rng.uniform(4, 15, (outliers, 3))
    back = np.linalg.inv(TRUE)
    return points @ back[:3, :3].T + back[:3, 3]


def error_mm(found: PatientRegistration) -> float:
    points = np.array([(0, -20, 0), (40, 0, 30), (-30, 10, -20.0)])
    back = np.linalg.inv(TRUE)
    return float(np.linalg.norm(found.transform.apply(points @ back[:3, :3].T + back[:3, 3]) - points, axis=1).max())


@pytest.mark.parametrize("seed", range(4))
def test_a_registration_that_is_near_gets_nearer(seed: int) -> None:
    rng = np.random.default_rng(seed)
    skin, normals = bowl(20_000, rng)
    start = near(6.0, 8.0)
    found = register_surface(start, traced(rng), skin, normals, 7.0)
    assert error_mm(start) > 5.0 and error_mm(found) < 1.0
    assert found.doubts == () and found.made_s == 7.0
    assert 0 < found.error.error_mm((0.0, 0.0, 0.0))[0] < 1.0


def test_the_error_that_is_told_is_about_the_true_one() -> None:
    true, told = [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        skin, normals = bowl(20_000, rng)
        found = register_surface(near(1.0, 1.0), traced(rng, outliers=0), skin, normals, 0.0)
        back = np.linalg.inv(TRUE)
        place = np.array([40.0, 0.0, 30.0])
        true.append(np.linalg.norm(found.transform.apply(back[:3, :3] @ place + back[:3, 3]) - place))
        told.append(found.error.error_mm(place)[0])
    assert 0.8 < np.mean(told) / np.sqrt(np.mean(np.square(true))) < 2.5


def test_a_ball_slides_and_is_refused() -> None:
    rng = np.random.default_rng(0)
    normals = rng.normal(0, 1, (5000, 3))
    normals /= np.linalg.norm(normals, axis=1)[:, None]
    touched = 80 * normals[:100]
    with pytest.raises(GeometryError, match="slide"):
        register_surface(replace(registered(), transform=Transform(np.eye(4), "patient", "reference")), touched,
                         80 * normals, normals, 0.0)  # fmt: skip


def test_another_skin_is_doubted() -> None:
    rng = np.random.default_rng(1)
    skin, normals = bowl(5000, rng)
    found = register_surface(near(1.0, 1.0), traced(rng) * (1.25, 1.0, 0.7), skin, normals, 0.0)
    assert any("off" in doubt or "elsewhere" in doubt for doubt in found.doubts)


@pytest.mark.parametrize(
    "touched", [np.zeros((10, 3)), np.full((50, 3), np.nan), np.zeros((50, 2)), np.zeros(50)], ids=str
)
def test_too_little_is_refused(touched: NDArray[np.float64]) -> None:
    skin, normals = bowl(500, np.random.default_rng(0))
    with pytest.raises(GeometryError):
        register_surface(near(1.0, 1.0), touched, skin, normals, 0.0)
    with pytest.raises(GeometryError):
        register_surface(near(1.0, 1.0), traced(np.random.default_rng(0)), skin, normals[:-1], 0.0)
