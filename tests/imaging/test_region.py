"""Growing from seeds in CT: bodies of known size, neighbours, leaks, contrast, stored in any order."""

import numpy as np
import pytest

from navplan.errors import InputError
from navplan.extend.contract_checks import check_segmenter
from navplan.geometry.grid import Grid
from navplan.imaging import region as module
from navplan.imaging.necks import without_beyond_necks
from navplan.imaging.region import CtRegionSegmenter
from navplan.imaging.region_limits import LIMITS, limits_of
from navplan.imaging.working import ball
from navplan.model.structure import Presence
from navplan.model.volume import Volume
from tests.imaging.chest_scene import chest_grid, dice
from tests.imaging.test_body import turned
from tests.imaging.test_segment import dict_of, full_mask

GRID = chest_grid((2.0, 2.0, 3.0), (260.0, 220.0, 150.0))
POINTS = GRID.points_mm(np.stack(np.meshgrid(*(np.arange(n) for n in GRID.shape), indexing="ij"), axis=-1))
X, Y, Z = np.moveaxis(POINTS, -1, 0)


def ellipsoid(centre, axes):
    return sum(((p - c) / a) ** 2 for p, c, a in zip((X, Y, Z), centre, axes, strict=True)) <= 1


LIVER = ellipsoid((-40, 0, 0), (45, 50, 50))
SPLEEN = ellipsoid((60, 20, 10), (25, 28, 35))
BRIDGE = (np.hypot(Y - 10, Z) < 4) & (X > -20) & (X < 50)


def scene(*, fat=-100.0, bridge=True, seed=0) -> Volume:
    values = np.full(GRID.shape, -1000.0)
    values[ellipsoid((0, 0, 0), (120, 100, 400))] = fat
    values[SPLEEN] = 110.0
    values[LIVER] = 110.0
    if bridge:
        values[BRIDGE] = 110.0
    noise = np.random.default_rng(seed).normal(0, 15, GRID.shape)
    return Volume(np.rint(values + noise).astype(np.int16), GRID, "CT", "HU")


def region(volume, seeds, name):
    found = CtRegionSegmenter().segment_from(volume, "ct", np.atleast_2d(np.asarray(seeds, dtype=float)), name)
    assert [one.name for one in found] == [name or "region"]
    return found[0]


def test_an_organ_without_the_neighbour_that_a_bridge_leads_to():
    volume = scene()
    liver = full_mask(region(volume, (-40, 0, 0), "liver"), GRID)
    assert dice(liver, LIVER) > 0.96
    assert not (liver & SPLEEN).any()
    assert dice(full_mask(region(volume, (60, 20, 10), "spleen"), GRID), SPLEEN) > 0.95


def test_what_leaked_is_refused_and_never_given():
    with pytest.raises(InputError, match=r"kidney_left leaked: too large, \d+ cm³"):
        region(scene(fat=100.0), (60, 20, 10), "kidney_left")


def test_seeds_in_two_densities_give_one_region():
    volume = scene(bridge=False)
    voxels = np.array(volume.voxels)
    inner = ellipsoid((-40, 0, 0), (22, 25, 25))
    voxels[inner] += 90
    two = Volume(voxels, GRID, "CT", "HU")
    found = full_mask(region(two, [(-40, 0, 0), (-40, -38, 0)], "liver"), GRID)
    assert dice(found, LIVER) > 0.95 and found[inner].mean() > 0.99


def test_a_nodule_in_the_lung_to_half_way_between_it_and_lung():
    nodule = ellipsoid((20, 10, 0), (14, 14, 14))
    vessel = (np.hypot(Y - 10, Z) < 3) & (X > 20)
    values = np.full(GRID.shape, -1000.0)
    values[ellipsoid((0, 0, 0), (120, 100, 400))] = 40.0
    values[ellipsoid((0, 0, 0), (100, 80, 400))] = -850.0
    values[vessel | nodule] = 40.0
    values += np.random.default_rng(1).normal(0, 25, GRID.shape)
    found = region(Volume(np.rint(values).astype(np.int16), GRID, "CT", "HU"), (20, 10, 0), "lesion_1")
    mask = full_mask(found, GRID)
    assert dice(mask, nodule) > 0.9
    assert np.count_nonzero(mask[vessel & (X > 60)]) == 0


def test_seeds_in_air_and_in_thin_things_are_refused():
    with pytest.raises(InputError, match="in air"):
        region(scene(), (-125, -105, 0), "liver")
    values = np.array(scene().voxels)
    values[np.abs(Z + 60) < 2] = 400
    with pytest.raises(InputError, match="nothing that stands out"):
        region(Volume(values, GRID, "CT", "HU"), (0, 60, -60), "lesion")


def test_names_have_their_limits():
    assert limits_of("kidney_left") is LIMITS["kidney"] and limits_of("lesion_2") is LIMITS["lesion"]
    assert limits_of("") is limits_of("node") is LIMITS[""]


def test_made_by_a_person_and_a_computer_and_seen_in_the_whole_image():
    found = region(scene(), (60, 20, 10), "")
    assert found.presence is Presence.PRESENT and found.made_by == "semiautomatic"
    assert found.evaluated_in is GRID and found.origin.startswith("ct-region ")
    assert found.working_resolution_mm == (2.0, 2.0, 3.0)


def test_the_same_region_however_the_array_is_stored():
    volume = scene()
    plain = region(volume, (60, 20, 10), "spleen")
    other = region(turned(volume, (2, 0, 1), (True, False, True)), (60, 20, 10), "spleen")
    assert dict_of(plain) == dict_of(other)


def test_another_modality_is_refused_and_the_contract_kept():
    grid = Grid(np.diag([4.0, 4.0, 4.0, 1.0]), (8, 8, 8))
    with pytest.raises(InputError, match="CT in Hounsfield units"):
        region(Volume(np.zeros((8, 8, 8), dtype=np.int16), grid, "MR", "signal"), (8, 8, 8), "liver")
    check_segmenter(CtRegionSegmenter)


def test_what_fits_only_with_a_narrower_band_is_in_doubt(monkeypatch):
    attempts = []

    def attempt(smooth, within, seeds, step, limits, narrower):
        attempts.append(narrower)
        return within if narrower == 1.0 else ball(within.shape, seeds, 28.0, step)

    monkeypatch.setattr(module, "_attempt", attempt)
    found = region(scene(), (60, 20, 10), "kidney_left")
    assert attempts == [1.0, 0.8] and "leaked at first" in found.outline_doubt


def test_what_hangs_on_it_by_a_neck_is_cut_off():
    neck = (np.hypot(Y - 20, Z - 10) < 11) & (X > -40) & (X < 60)
    seeds = np.argwhere(SPLEEN & (np.abs(X - 60) < 1.1) & (np.abs(Y - 20) < 1.1) & (np.abs(Z - 10) < 1.6))
    parted = without_beyond_necks(SPLEEN | neck | LIVER, seeds, 0.6, (2.0, 2.0, 3.0))
    assert parted.region[SPLEEN].all() and parted.region[LIVER & (X < -10)].mean() < 0.02
    assert parted.deep_mm == pytest.approx(25, abs=3) and parted.seeds_deep_mm == parted.deep_mm
    thick = without_beyond_necks(SPLEEN | neck | LIVER, seeds, 0.3, (2.0, 2.0, 3.0))
    assert thick.region[LIVER].all()


@pytest.mark.parametrize("seed", [(20, 66, 0), (20, 57, 4), (14, 66, -6)])
def test_a_mass_on_the_chest_wall_ends_where_the_lung_would(seed):
    mass = ellipsoid((20, 66, 0), (17, 17, 17))
    lung = ellipsoid((0, 0, 0), (100, 80, 400))
    vessel = (np.hypot(Y - 60, Z) < 3) & (X > 20)
    values = np.full(GRID.shape, -1000.0)
    values[ellipsoid((0, 0, 0), (120, 100, 400))] = 40.0
    values[lung] = -850.0
    values[vessel | mass] = 40.0
    values += np.random.default_rng(1).normal(0, 25, GRID.shape)
    found = region(Volume(np.rint(values).astype(np.int16), GRID, "CT", "HU"), seed, "mass")
    mask = full_mask(found, GRID)
    assert dice(mask, mass & lung) > 0.85
    assert mask[~lung].sum() < 0.12 * mask.sum() and not mask[vessel & (X > 60)].any()
