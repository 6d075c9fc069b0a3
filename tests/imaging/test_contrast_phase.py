"""The phase by the large vessels: told where an aorta of even blood runs before a spine, "cannot be told" elsewhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from navplan.geometry.grid import Grid
from navplan.imaging.contrast_phase import contrast_phase, phase_of
from navplan.imaging.quality import check_quality
from navplan.model.acquisition import CONTRAST_GIVEN, Acquisition, Severity
from navplan.model.volume import Volume

SHAPE, SPACING = (170, 130, 60), (2.0, 2.0, 4.0)


def torso(aorta_hu: float, spine: bool = True, slices: int = SHAPE[2]) -> Volume:
    x, y, _ = np.indices((*SHAPE[:2], slices))
    rng = np.random.default_rng(1)
    body = ((x - 85) / 75) ** 2 + ((y - 65) / 55) ** 2 < 1
    voxels = np.where(body, -90.0, -1000.0)
    voxels[((x - 85) / 60) ** 2 + ((y - 60) / 40) ** 2 < 1] = 50
    if spine:
        bone = np.hypot(x - 85, y - 95) < 10
        voxels[bone] = 260 + rng.normal(0, 60, int(bone.sum()))
    voxels[np.hypot(x - 92, y - 77) < 6] = aorta_hu
    voxels += rng.normal(0, 10, voxels.shape)
    grid = Grid(np.diag([*SPACING, 1.0]), voxels.shape)
    return Volume(np.rint(voxels).astype(np.int16), grid, acquisition=Acquisition(patient_position="HFS"))


@pytest.mark.parametrize(("hu", "phase"), [(350, "arterial"), (150, "venous"), (45, "none"), (215, "unclear")])
def test_the_aorta_tells_the_phase(hu: float, phase: str) -> None:
    found = contrast_phase(torso(hu), 10.0)
    assert found.phase == phase
    assert found.hu is None if phase == "none" else found.hu == pytest.approx(hu, abs=5)


def test_what_shows_no_spine_or_little_of_it_cannot_be_told() -> None:
    assert contrast_phase(torso(150, spine=False), 10.0).phase == "unclear"
    assert contrast_phase(torso(350, slices=4), 10.0).phase == "unclear"
    assert contrast_phase(torso(350), None).phase == "unclear"


def test_the_order_of_the_axes_and_their_direction_do_not_matter() -> None:
    volume = torso(150)
    affine = volume.grid.affine[:, [2, 1, 0, 3]].copy()
    affine[:3, 1] *= -1
    turned = np.transpose(volume.voxels, (2, 1, 0))[:, ::-1]
    assert contrast_phase(Volume(turned, Grid(affine, turned.shape)), 10.0).phase == "venous"


def test_contrast_that_was_given_and_is_not_seen_is_a_warning() -> None:
    given = replace(torso(45), acquisition=Acquisition(contrast_phase=CONTRAST_GIVEN))
    warned = {one.code for one in check_quality(given) if one.severity is Severity.WARN}
    assert "contrast_not_seen" in warned
    seen = replace(torso(150), acquisition=Acquisition(contrast_phase=CONTRAST_GIVEN))
    assert "contrast_not_seen" not in {one.code for one in check_quality(seen)}
    assert "contrast_venous" in {one.code for one in check_quality(seen)}


def test_limits_of_the_phases() -> None:
    told = [phase_of(hu).phase for hu in (60, 120, 200, 215, 240)]
    assert told == ["none", "venous", "venous", "unclear", "arterial"]
