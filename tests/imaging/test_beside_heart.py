"""A liver without the wall of the heart above it: cut by the heart's brighter blood, beside lung, and only there."""

from __future__ import annotations

import numpy as np

from navplan.imaging.beside_heart import place_of, without_heart

STEP = (2.0, 2.0, 5.0)
X, Y, Z = (axis * mm for axis, mm in zip(np.indices((100, 80, 40)), STEP, strict=True))
LIVER = ((X - 80) / 60) ** 2 + ((Y - 80) / 55) ** 2 + ((Z - 70) / 60) ** 2 <= 1
OUTSIDE = ((X - 110) ** 2 + (Y - 80) ** 2 + (Z - 150) ** 2) ** 0.5
CHAMBER, WALL = OUTSIDE < 27, (OUTSIDE >= 27) & (OUTSIDE < 32)
SEEDS = np.array([[40, 40, 14]])


def cut(blood_hu: float, around_hu: float = -850.0) -> np.ndarray:
    hu = np.full(X.shape, around_hu, dtype=np.float32)
    hu[LIVER | WALL] = 110.0
    hu[CHAMBER] = blood_hu
    body, bone = np.ones(X.shape, dtype=bool), np.zeros(X.shape, dtype=bool)
    beside = without_heart(LIVER & ~CHAMBER | WALL, hu, hu, body, bone, SEEDS, STEP)
    assert not (beside.region & beside.cut).any()
    assert ((beside.region | beside.cut) == (LIVER & ~CHAMBER | WALL)).all()
    return beside.cut


def test_the_wall_about_brighter_blood_is_cut_off() -> None:
    gone = cut(180.0)
    assert gone[WALL & ~LIVER].mean() > 0.9
    assert gone[LIVER].mean() < 0.02
    at = place_of(gone)
    assert at is not None and gone[at]


def test_without_contrast_or_lung_about_it_nothing_is_cut() -> None:
    assert not cut(115.0).any()
    assert not cut(180.0, around_hu=-100.0).any()
    assert place_of(cut(115.0)) is None
