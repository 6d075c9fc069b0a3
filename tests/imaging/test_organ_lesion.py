"""A lesion in an organ from one seed: darker and brighter ones, what has no edge of its own, noise, a real liver."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.planted_lesions import LIVER_SEED_MM
from benchmarks.real_targets import METASTASIS_MM
from navplan.errors import InputError
from navplan.imaging.region import CtRegionSegmenter
from navplan.model.structure import Structure
from navplan.model.volume import Volume
from navplan.verbs.import_images import import_images
from tests.imaging.chest_scene import chest_grid, dice
from tests.imaging.test_segment import full_mask

GRID = chest_grid((1.5, 1.5, 4.0), (150.0, 130.0, 100.0))
X, Y, Z = np.moveaxis(GRID.points_mm(np.moveaxis(np.indices(GRID.shape), 0, -1)), -1, 0)
CENTRE = (10.0, -5.0, 0.0)


def ball_at(centre: tuple[float, float, float], radius: float) -> np.ndarray:
    return np.asarray(sum((p - c) ** 2 for p, c in zip((X, Y, Z), centre, strict=True)) <= radius**2)


def liver(lesion: np.ndarray, contrast: float, noise: float = 12.0) -> Volume:
    """An organ of 110 HU in fat, a vessel of 170 beside the lesion, a bladder of 10 HU and fluid at its edge."""
    values = np.full(GRID.shape, -1000.0)
    values[(X / 70) ** 2 + (Y / 60) ** 2 <= 1] = -100.0
    values[(X / 58) ** 2 + (Y / 48) ** 2 + (Z / 44) ** 2 <= 1] = 110.0
    values[(np.hypot(X - 24, Y) < 4) & (np.abs(Z) < 30)] = 170.0
    values[ball_at((-30.0, 30.0, 0.0), 12.0)] = 10.0
    values[lesion] = 110.0 + contrast
    values += np.random.default_rng(2).normal(0, noise, GRID.shape)
    return Volume(np.rint(values).astype(np.int16), GRID, "CT", "HU")


def outlined(volume: Volume, seed: tuple[float, float, float]) -> Structure:
    (found,) = CtRegionSegmenter().segment_from(volume, "ct", np.array([seed]), "liver_lesion")
    return found


@pytest.mark.parametrize(
    ("radius", "contrast"), [(6.0, -40.0), (10.0, -40.0), (10.0, 40.0), (16.0, -25.0), (9.0, -100.0)]
)
def test_a_lesion_ends_half_way_to_the_organ_about_it(radius: float, contrast: float) -> None:
    lesion = ball_at(CENTRE, radius)
    found = outlined(liver(lesion, contrast), (8.0, -3.0, 0.0))
    assert dice(full_mask(found, GRID), lesion) > 0.85
    assert found.outline_doubt == ""


def test_where_nothing_stands_out_nothing_is_given() -> None:
    volume = liver(ball_at(CENTRE, 0.1), 0.0)
    for seed in ((0.0, -20.0, 0.0), (-20.0, -10.0, 8.0)):
        with pytest.raises(InputError, match="nothing that stands out"):
            outlined(volume, seed)


def test_a_contrast_near_the_noise_is_refused_or_in_doubt() -> None:
    try:
        assert outlined(liver(ball_at(CENTRE, 6.0), -12.0, 20.0), CENTRE).outline_doubt
    except InputError as error:
        assert "nothing that stands out" in str(error)


def test_one_that_lies_against_something_else_is_in_doubt() -> None:
    """Half of it beside fat: where it ends there is a guess."""
    lesion = ball_at((-50.0, 0.0, 0.0), 12.0) & ((X / 58) ** 2 + (Y / 48) ** 2 + (Z / 44) ** 2 <= 1)
    assert "unlike the rest" in outlined(liver(lesion, -40.0), (-49.0, 0.0, 0.0)).outline_doubt


def test_a_real_liver_and_its_metastasis(real_images: Path) -> None:
    """What hangs on the liver of the heart is cut off and told with its place."""
    case = import_images(real_images / "crlm1004_abdomen_ct", image_id="ct")
    grid = case.volumes["ct"].grid
    found = outlined(case.volumes["ct"], METASTASIS_MM)
    mask = full_mask(found, grid)
    points = grid.points_mm(np.argwhere(mask))
    assert 0.15 < mask.sum() * np.prod(grid.spacing_mm) / 1000 < 0.6
    assert np.abs(points.mean(axis=0) - METASTASIS_MM).max() < 4
    assert np.ptp(points[:, :2], axis=0).max() < 14
    (whole,) = CtRegionSegmenter().segment_from(case.volumes["ct"], "ct", np.array([LIVER_SEED_MM]), "liver")
    assert "beside the heart" in whole.outline_doubt and ",-205 mm" in whole.outline_doubt
