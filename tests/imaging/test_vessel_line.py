"""Radius and centreline between the voxels, and where a vessel's outline says that contrast goes on."""

import numpy as np
import pytest

from benchmarks.vessel_phantoms import STEPS, errors, image_of, shapes
from navplan.errors import InputError
from navplan.geometry.grid import Grid
from navplan.imaging.vessel import CtVesselSegmenter, grown_vessel
from navplan.imaging.vessel_ends import goes_on
from navplan.imaging.vessel_line import measured_line, measured_tree, vessel_line
from navplan.imaging.vesselness import find_tubes
from navplan.imaging.vessels_in_part import ELSEWHERE
from navplan.imaging.working import WorkingCt
from navplan.model.structure import Presence, Structure
from navplan.model.volume import Volume
from tests.imaging.test_vessel import GRID, X, Y, scene

NAMED = {shape.name: shape for shape in shapes()}


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
@pytest.mark.parametrize("name", ["upright, r 1", "oblique, r 2", "bend of 15 to 25 mm, r 3"])
def test_a_vessel_of_known_radius(name, step):
    found = errors(NAMED[name], step)
    assert np.percentile(found["off"], 95) < 0.4
    assert np.percentile(np.abs(found["radius"]), 95) < 0.3
    assert found["covered"][0] > 0.9


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_a_tree_has_a_line_for_each_branch(step):
    shape = NAMED["r 6 with a branch of r 3"]
    hu = image_of(shape, step)
    mask = find_tubes(hu, np.ones(hu.shape, dtype=bool), ELSEWHERE, step)
    trunk, branch = measured_tree(hu, mask, step)
    assert np.median(trunk.radius_mm) == pytest.approx(6, abs=0.2)
    assert np.median(branch.radius_mm) == pytest.approx(3, abs=0.2)
    assert np.ptp(trunk.points_mm[:, 2]) > 60 and np.ptp(branch.points_mm[:, 0]) > 15
    found = errors(shape, step, seeded=False)
    assert np.percentile(found["off"], 95) < 0.4 and np.percentile(np.abs(found["radius"]), 95) < 0.4
    assert found["covered"][0] > 0.95


@pytest.fixture(scope="module")
def arch():
    volume = scene()
    (found,) = CtVesselSegmenter().segment_from(volume, "ct", np.array([[-35.0, 0.0, -40.0]]), "aorta")
    return volume, found


def test_the_line_of_a_structure_lies_in_the_image(arch):
    line = vessel_line(*arch)
    points = line.points_mm
    off = np.where(
        points[:, 2] > 20,
        np.hypot(np.hypot(points[:, 0], points[:, 2] - 20) - 35, points[:, 1]),
        np.hypot(np.abs(points[:, 0]) - 35, points[:, 1]),
    )
    middle = slice(len(points) // 6, -len(points) // 6)
    assert off[middle].max() < 1.5 and np.median(line.radius_mm) == pytest.approx(11.0, abs=0.3)


def test_an_end_at_a_chamber_is_no_doubt_and_one_where_the_vessel_goes_on_is(arch):
    volume, found = arch
    assert found.outline_doubt == ""
    ct = WorkingCt.of(volume, "ct", "test")
    mask = grown_vessel(ct.hu, ct.body, ct.indices(np.array([[-35.0, 0.0, -40.0]])), ct.step)
    mask[ct.indices(np.zeros((1, 3)))[0, 0] :] = False  # the leg that opens into the chamber
    told = goes_on(ct.hu, ct.body, mask, ct.step)
    assert len(told) == 1 and told[0].share == 0
    assert ct.points_mm(np.array([told[0].place]))[0] == pytest.approx([0, 0, 55], abs=5)


def test_a_second_lumen_along_the_wall_is_told():
    values = np.full(GRID.shape, -1000.0)
    values[(X / 98) ** 2 + (Y / 78) ** 2 <= 1] = 40.0
    tube = np.hypot(X, Y) < 13
    values[tube & (X > 1)], values[tube & (X < -1)] = 350.0, 200.0
    volume = Volume(np.rint(values).astype(np.int16), GRID, "CT", "HU")

    def doubt(*seeds):
        return CtVesselSegmenter().segment_from(volume, "ct", np.array(seeds, dtype=float), "aorta")[0].outline_doubt

    assert "of its wall" in doubt((6, 0, 0))
    assert doubt((6, 0, 0), (-6, 0, 0)) == ""


def test_what_has_no_voxel_has_no_line():
    grid = Grid(np.eye(4), (30, 30, 30))
    volume = Volume(np.full(grid.shape, 40, dtype=np.int16), grid, "CT", "HU")
    with pytest.raises(InputError, match="unknown"):
        vessel_line(volume, Structure("aorta", Presence.UNKNOWN, image_id="ct"))
    with pytest.raises(InputError, match="nothing"):
        measured_line(volume.voxels.astype(np.float32), np.zeros(grid.shape, dtype=bool), (1.0, 1.0, 1.0))
