"""The ablation zone in the scene is the ellipsoid that the report tells."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from navplan.geometry.lines import unit
from navplan.view.needle_meshes import zone_shell


def test_its_points_lie_on_the_ellipsoid():
    direction = unit(np.array([0.3, 0.9, -0.2]))
    planned: Any = SimpleNamespace(
        centre_mm=(10.0, -20.0, 30.0), direction=tuple(direction), along_mm=20.0, across_mm=16.0
    )
    shell = zone_shell(planned)
    offset = shell.points_mm - np.asarray(planned.centre_mm)
    along = offset @ direction
    across = np.linalg.norm(offset - along[:, None] * direction, axis=1)
    np.testing.assert_allclose((along / 20.0) ** 2 + (across / 16.0) ** 2, 1.0, atol=1e-9)
    assert np.ptp(along) > 39.9 and across.max() > 15.9
