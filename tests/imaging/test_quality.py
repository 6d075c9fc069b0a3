"""Quality findings: each is given for an image that has the fault, and only for that."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from navplan.geometry.grid import Grid
from navplan.imaging.quality import check_quality, edge_of_field, soft_tissue_noise_hu
from navplan.model.acquisition import Acquisition, Severity
from navplan.model.volume import Volume

GOOD = Acquisition(patient_position="HFS", date="2025-01-02", slice_thickness_mm=2.0)
SHAPE = (100, 90, 40)


def an_image(noise_hu=10.0, spacing=(1.0, 1.0, 2.0), shape=SHAPE) -> Volume:
    """A round body of soft tissue with a spine, in air."""
    x, y, _ = np.indices(shape)
    radius = np.hypot(x - shape[0] / 2, y - shape[1] / 2)
    voxels = np.where(radius < 38, 50.0, -1000.0)
    voxels[np.hypot(x - shape[0] / 2, y - 70) < 6] = 400
    voxels += np.random.default_rng(0).normal(0, noise_hu, shape)
    grid = Grid(np.diag([*spacing, 1.0]), shape)
    return Volume(np.rint(voxels).astype(np.int16), grid, acquisition=GOOD)


def changed(volume: Volume, **facts) -> Volume:
    return replace(volume, acquisition=replace(volume.acquisition, **facts))


def with_voxels(volume: Volume, change) -> Volume:
    voxels = volume.voxels.copy()
    change(voxels)
    return replace(volume, voxels=voxels)


def codes(volume: Volume, severity=None) -> set[str]:
    return {found.code for found in check_quality(volume) if severity in (None, found.severity)}


def test_a_good_image_has_no_warning():
    assert codes(an_image()) == {"noise", "contrast_unclear"} and codes(an_image(), Severity.WARN) == set()


@pytest.mark.parametrize("sigma_hu", [5.0, 12.0, 30.0])
def test_noise_is_measured(sigma_hu: float):
    found = soft_tissue_noise_hu(an_image(sigma_hu).voxels, np.array([1.0, 1.0, 2.0]))
    assert found is not None and 0.7 * sigma_hu < found < 1.1 * sigma_hu  # the quietest tenth of all squares


def put(value: float, *where: slice):
    def change(voxels: np.ndarray) -> None:
        voxels[where] = value

    return change


ALL = slice(None)
FAULTS = {
    "slice_thickness_unknown": lambda: changed(an_image(), slice_thickness_mm=None),
    "slice_thickness": lambda: changed(an_image(spacing=(1, 1, 7)), slice_thickness_mm=7.0),
    "unmeasured_gaps": lambda: changed(an_image(), slice_thickness_mm=1.25),
    "patient_position_unknown": lambda: changed(an_image(), patient_position=""),
    "date_unknown": lambda: changed(an_image(), date=""),
    "cut_at_edge": lambda: with_voxels(an_image(), put(40, slice(0, 60), slice(30, 50), ALL)),
    "no_air": lambda: with_voxels(an_image(), lambda voxels: np.maximum(voxels, 0, out=voxels)),
    "air_offset": lambda: with_voxels(an_image(), lambda voxels: np.add(voxels, 90, out=voxels, where=voxels < -500)),
    "no_soft_tissue": lambda: with_voxels(
        an_image(), lambda voxels: np.add(voxels, 500, out=voxels, where=voxels > -500)
    ),
    "noise": lambda: an_image(noise_hu=80),
    "metal": lambda: with_voxels(an_image(), put(3071, slice(40, 50), slice(40, 50), ALL)),
    "only_padding": lambda: changed(with_voxels(an_image(), put(-2048, ALL)), padding_hu=-2048),
}


@pytest.mark.parametrize("code", FAULTS)
def test_a_fault_gives_its_warning(code: str):
    assert code in codes(FAULTS[code](), Severity.WARN)


TOLD = {
    "slice_thickness": lambda: changed(an_image(spacing=(1, 1, 3)), slice_thickness_mm=3.0),
    "anisotropic_voxels": lambda: an_image(spacing=(0.5, 0.5, 2)),
    "thin_slab": lambda: an_image(shape=(100, 90, 10)),
    "padding": lambda: changed(with_voxels(an_image(), put(-2048, slice(0, 8))), padding_hu=-2048),
    "metal": lambda: with_voxels(an_image(), put(3071, slice(40, 45), slice(40, 45), slice(0, 2))),
    "below_air": lambda: with_voxels(an_image(), put(-1500, slice(0, 3))),
}


@pytest.mark.parametrize("code", TOLD)
def test_what_is_only_told(code: str):
    assert code in codes(TOLD[code](), Severity.INFO)


def test_the_edge_of_a_round_field_of_view_is_the_circle():
    x, y = np.indices((64, 64))
    padded = (np.hypot(x - 31.5, y - 31.5) > 30)[:, :, None]
    edge = edge_of_field(padded)[:, :, 0]
    radius = np.hypot(x - 31.5, y - 31.5)
    assert edge.any() and not edge[radius < 28.5].any() and not (edge & padded[:, :, 0]).any()


def test_tissue_at_the_edge_of_a_round_field_is_seen():
    x, y, _ = np.indices(SHAPE)
    round_field = with_voxels(an_image(), lambda voxels: voxels.__setitem__(np.hypot(x - 50, y - 45) > 36, -2048))
    assert "cut_at_edge" in codes(changed(round_field, padding_hu=-2048), Severity.WARN)


def test_an_mr_image_is_not_judged_by_ct_numbers():
    found = codes(replace(an_image(), modality="MR", quantity="signal"))
    assert found == set()


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_the_edge_is_looked_at_across_the_body_in_any_orientation(order):
    volume = FAULTS["cut_at_edge"]()
    affine = np.eye(4)
    affine[:3, :3] = volume.grid.affine[:3, :3][:, order]
    voxels = np.transpose(volume.voxels, order)
    turned = Volume(voxels, Grid(affine, voxels.shape), acquisition=GOOD)
    assert "cut_at_edge" in codes(turned)
    good = np.transpose(an_image().voxels, order)
    assert "cut_at_edge" not in codes(Volume(good, Grid(affine, good.shape), acquisition=GOOD))
