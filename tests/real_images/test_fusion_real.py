"""Fusion on a real thigh: T1 MR, cropped and carried elsewhere, to CT (PET: benchmarks.fusion_trials)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.fusion_trials import trial, without


@pytest.mark.parametrize(("name", "seed"), [("mr", 3001)])
def test_where_the_image_lay_does_not_matter_and_a_spoiled_map_is_flagged(
    real_images: Path, name: str, seed: int
) -> None:
    told = trial(real_images, name, seed)
    assert told.turn_deg > 15.0
    assert told.shift_mm > 200.0
    assert told.error_mm < told.limit_mm
    assert told.error_mm < told.expected_mm
    assert not told.flags
    assert told.spoiled_flags


def test_the_mr_lies_within_a_voxel_of_where_its_publisher_put_it(real_images: Path) -> None:
    found, body = without(real_images, "mr")
    off = np.linalg.norm(found.transform.apply(body) - body, axis=1)
    assert off.mean() < 3.27
    assert (found.error_map.error_mm(found.transform.apply(body)) > 0.5 * off).all()
