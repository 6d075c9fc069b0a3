"""The page cuts an ablation's zone as the report's pictures do."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest

import navplan.app
from navplan.view.zone_outline import zone_outline
from tests.view.test_zone_outline import plane_through, planned

pytestmark = pytest.mark.xdist_group("browser")
MODULE = Path(navplan.app.__file__).parent / "page" / "geometry.js"


def test_it_is_the_same_ellipse(page):
    source = base64.b64encode(MODULE.read_bytes()).decode()
    rng = np.random.default_rng(0)
    for count in range(12):
        zone = planned(rng.standard_normal(3), *rng.uniform(5.0, 30.0, 2))
        middle = np.asarray(zone.centre_mm)
        plane = plane_through(middle + (count % 4) * 8.0 * rng.standard_normal(3), *rng.standard_normal((2, 3)))
        told = {"centre_mm": plane.centre_mm, "right": plane.right, "down": plane.down}
        found = page.evaluate(
            f"""async ([plane, zone, half]) => {{
                const {{ ellipseOnPlane }} = await import("data:text/javascript;base64,{source}");
                return ellipseOnPlane(plane, zone, half);
            }}""",
            [told, {"centre_mm": zone.centre_mm, "direction": zone.direction}, [zone.along_mm, zone.across_mm]],
        )
        expected = zone_outline(zone, plane)
        assert len(found) == len(expected)
        if len(found):
            points = np.asarray(plane.centre_mm) + np.asarray(found) @ np.asarray([plane.right, plane.down])
            np.testing.assert_allclose(points, expected, atol=1e-6)
