"""Segmenters of MR on a made trunk, T1 and T2: noise, bias, partial volumes; what they find and what they refuse."""

import logging

import numpy as np
import pytest

from navplan.errors import InputError
from navplan.extend.contract_checks import check_segmenter
from navplan.imaging.mr_body import MrBasicSegmenter
from navplan.imaging.mr_region import MrRegionSegmenter
from navplan.imaging.mr_spine import MrSpineSegmenter
from navplan.imaging.region import CtRegionSegmenter
from navplan.imaging.segment import CtBasicSegmenter
from navplan.imaging.spine import CtSpineSegmenter
from navplan.imaging.thresholds import CtGasSegmenter
from navplan.imaging.vessel import CtVesselSegmenter
from navplan.model.structure import Presence
from navplan.model.volume import Volume
from tests.imaging.chest_scene import chest_grid, dice
from tests.imaging.mr_scene import T1, T2, make_mr, noise_only
from tests.imaging.test_body import turned
from tests.imaging.test_segment import full_mask

LESION = (-50.0, -10.0, 0.0)
CORD = (0.0, 59.0, 0.0)
SPINE_MM = (60.0, 170.0, 70.0)  # about the spine, front and back in the field of view


@pytest.fixture(scope="module", params=[T1, T2], ids=["T1", "T2"])
def trunk(request):
    return make_mr(request.param)


@pytest.fixture(scope="module", params=[(T1, -1), (T2, 1)], ids=["T1", "T2"])
def spine(request):
    weighting, sign = request.param
    return make_mr(weighting, (1.0, 1.0, 3.0), SPINE_MM), sign


def seeded(segmenter, volume, seeds, name=""):
    made = segmenter().segment_from(volume, "mr", np.atleast_2d(np.asarray(seeds, dtype=float)), name)
    return {one.name: one for one in made}


def basic(volume):
    return {one.name: one for one in MrBasicSegmenter().segment(volume, "mr")}


def test_the_body_with_its_lungs_and_a_skin_round_about(trunk):
    grid = trunk.volume.grid
    found = basic(trunk.volume)
    body = full_mask(found["body"], grid)
    assert dice(body, trunk.truth["body"]) > 0.985
    assert body[trunk.truth["lungs"]].all() and found["body"].made_by == "automatic"
    skin = full_mask(found["skin"], grid)
    assert not (skin & ~body).any()
    inner = (np.abs(grid.points_mm(np.argwhere(skin))[:, :2]) / (125, 95) ** np.array(1.0)) ** 2
    assert np.percentile(inner.sum(axis=1), 1) > 0.85


def test_no_unit_is_assumed_and_no_order_of_the_array():
    plain = make_mr(T2, (4.0, 4.0, 5.0))
    other = make_mr(T2, (4.0, 4.0, 5.0), unit=0.013)
    body = full_mask(basic(plain.volume)["body"], plain.volume.grid)
    assert (full_mask(basic(other.volume)["body"], other.volume.grid) == body).all()
    stored = turned(plain.volume, (2, 0, 1), (True, False, True))
    again = full_mask(basic(stored)["body"], stored.grid)
    assert (np.flip(body.transpose(2, 0, 1), (0, 2)) == again).all()


@pytest.mark.parametrize("noise", [25.0, 60.0])
def test_the_body_in_noise_and_in_bias(noise):
    scene = make_mr(T1, (4.0, 4.0, 5.0), noise=noise, bias=8.0 if noise < 50 else 1.0)
    assert dice(full_mask(basic(scene.volume)["body"], scene.volume.grid), scene.truth["body"]) > 0.96


def test_noise_alone_and_a_field_of_view_within_the_body_have_no_body(caplog):
    whole = make_mr(T1).volume
    part = tuple(slice(a, b) for a, b in ((30, 70), (44, 64), (0, 22)))  # fat, muscle, spine; neither air nor lung
    inner = Volume(whole.voxels[part], whole.grid.crop([30, 44, 0], [40, 20, 22]), "MR", "signal")
    for volume in (noise_only(chest_grid()), inner):
        with caplog.at_level(logging.WARNING):
            found = basic(volume)
        assert {one.presence for one in found.values()} == {Presence.UNKNOWN}
        assert "body and skin are unknown" in caplog.text
        caplog.clear()


def test_cord_and_canal_and_the_weighting_from_what_lies_about_the_seed(spine):
    scene, sign = spine
    grid = scene.volume.grid
    found = seeded(MrSpineSegmenter, scene.volume, CORD)
    cord, canal = full_mask(found["spinal_cord"], grid), full_mask(found["spinal_canal"], grid)
    assert dice(cord, scene.truth["cord"]) > 0.95
    assert canal[cord].all() and canal[scene.truth["canal"]].mean() > 0.97
    assert dice(canal, scene.truth["canal"]) > (0.95 if sign > 0 else 0.8)  # on T1 bone is as dark as fluid
    assert ("brighter than the cord" if sign > 0 else "darker than the cord") in found["spinal_cord"].origin
    assert found["spinal_cord"].cut_by_edge  # it goes on beyond the image


@pytest.mark.parametrize("spacing", [(3.3, 0.8, 0.8), (0.6, 0.6, 4.0)], ids=["sagittal", "axial"])
def test_thick_slices(spacing):
    scene = make_mr(T2, spacing, (50.0, 170.0, 48.0), noise=25.0)
    cord = seeded(MrSpineSegmenter, scene.volume, CORD)["spinal_cord"]
    assert dice(full_mask(cord, scene.volume.grid), scene.truth["cord"]) > 0.93
    assert max(cord.working_resolution_mm) == pytest.approx(max(spacing))


def test_a_cord_that_the_edge_of_the_image_cuts_along_is_refused():
    with pytest.raises(InputError):  # its back half lies beyond the edge
        seeded(MrSpineSegmenter, make_mr(T2, (1.0, 1.0, 3.0), (50.0, 118.0, 48.0)).volume, (0.0, 56.0, 0.0))


def test_beyond_where_the_cord_was_followed_it_is_unknown():
    scene = make_mr(T2, (1.0, 1.0, 2.0), (60.0, 170.0, 80.0))
    values = scene.volume.voxels.copy()
    values[:, :, 30:] = np.random.default_rng(1).permutation(values[:, :, 30:].ravel()).reshape(values[:, :, 30:].shape)
    found = seeded(MrSpineSegmenter, Volume(values, scene.volume.grid, "MR", "signal"), (0, 59, -20))
    looked = found["spinal_cord"].evaluated_in
    assert looked.shape[:2] == scene.volume.grid.shape[:2] and 28 <= looked.shape[2] <= 31
    assert found["spinal_canal"].evaluated_in.shape == looked.shape


@pytest.mark.parametrize("seed", [(0, 30, 0), (25, 60, 0), (0, 78, 0)])
def test_a_seed_that_is_in_no_cord_is_refused(spine, seed):
    with pytest.raises(InputError):
        seeded(MrSpineSegmenter, spine[0].volume, seed)


def test_names_and_seeds_that_fit_no_cord(spine):
    volume = spine[0].volume
    with pytest.raises(InputError, match="the name liver"):
        seeded(MrSpineSegmenter, volume, CORD, "liver")
    with pytest.raises(InputError, match="beside the cord"):
        seeded(MrSpineSegmenter, volume, [CORD, (20.0, 40.0, 3.0)])
    assert set(seeded(MrSpineSegmenter, volume, [CORD, (1.0, 60.0, 20.0)], "spinal_cord")) == {
        "spinal_cord",
        "spinal_canal",
    }
    coarse = make_mr(T2, (4.0, 4.0, 4.0), SPINE_MM).volume
    with pytest.raises(InputError, match=r"voxels of 4.0 x 4.0 x 4.0 mm"):
        seeded(MrSpineSegmenter, coarse, CORD)


def test_a_lesion_from_its_seed_and_from_beside_its_middle(trunk):
    seed = LESION if trunk.dark_fluid else (-44.0, -15.0, 4.0)
    (lesion,) = seeded(MrRegionSegmenter, trunk.volume, seed, "lesion").values()
    assert dice(full_mask(lesion, trunk.volume.grid), trunk.truth["lesion"]) > 0.88
    assert lesion.made_by == "semiautomatic" and not lesion.cut_by_edge


def test_what_leaks_is_refused_and_never_given():
    scene = make_mr(T2, bridge=True)
    with pytest.raises(InputError, match="lesion"):
        seeded(MrRegionSegmenter, scene.volume, LESION, "lesion")
    with pytest.raises(InputError, match="muscle_piece"):
        seeded(MrRegionSegmenter, make_mr(T2).volume, (60.0, 50.0, 0.0), "muscle_piece")


def test_a_seed_in_air_or_in_noise_is_refused(trunk):
    for seed in ((-146.0, -112.0, 0.0), (62.0, -30.0, 40.0)):
        with pytest.raises(InputError, match="in air or noise"):
            seeded(MrRegionSegmenter, trunk.volume, seed, "lesion")
    with pytest.raises(InputError):
        seeded(MrRegionSegmenter, noise_only(chest_grid((4.0, 4.0, 4.0), (120.0, 120.0, 80.0))), (0, 0, 0), "lesion")


MR = (MrBasicSegmenter, MrSpineSegmenter, MrRegionSegmenter)
CT = (CtBasicSegmenter, CtSpineSegmenter, CtGasSegmenter, CtRegionSegmenter, CtVesselSegmenter)


def run(segmenter, volume):
    if hasattr(segmenter, "segment"):
        return segmenter().segment(volume, "one")
    return seeded(segmenter, volume, volume.grid.points_mm(np.asarray(volume.grid.shape) / 2), "")


@pytest.mark.parametrize("segmenter", MR, ids=lambda one: one.name)
def test_what_is_no_mr_signal_is_refused(segmenter):
    grid = chest_grid((6.0, 6.0, 6.0))
    values = noise_only(grid).voxels
    for modality, quantity in (("CT", "HU"), ("", "signal"), ("MR", "HU"), ("PT", "SUV"), ("", "")):
        with pytest.raises(InputError, match="on an image of modality"):
            run(segmenter, Volume(values, grid, modality, quantity))
    with pytest.raises(InputError, match="below 0"):
        run(segmenter, Volume(values - 60, grid, "MR", "signal"))
    with pytest.raises(InputError, match="without signal"):
        run(segmenter, Volume(np.zeros(grid.shape, np.int16), grid, "MR", "signal"))
    thin = chest_grid((6.0, 6.0, 6.0), (420.0, 320.0, 12.0))
    with pytest.raises(InputError, match="along each axis"):
        run(segmenter, Volume(noise_only(thin).voxels, thin, "MR", "signal"))


@pytest.mark.parametrize("segmenter", CT, ids=lambda one: one.name)
def test_segmenters_of_ct_refuse_mr(segmenter):
    volume = noise_only(chest_grid((6.0, 6.0, 6.0)))
    with pytest.raises(InputError, match="modality MR" if segmenter is not CtSpineSegmenter else "modality MR|no name"):
        run(segmenter, volume)


@pytest.mark.parametrize("segmenter", MR, ids=lambda one: one.name)
def test_contract(segmenter):
    check_segmenter(segmenter)
