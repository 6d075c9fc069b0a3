"""find_bone on solids: uneven contrast of a heart, marrow behind an open wall, and the canal with its fat."""

import numpy as np

from navplan.imaging.bones import find_bone

STEP = (1.5, 1.5, 2.5)
X, Y, Z = np.meshgrid(*(np.arange(n) * mm for n, mm in zip((110, 110, 40), STEP, strict=True)), indexing="ij")
X, Y, Z = X - 80, Y - 80, Z - 50
BODY = np.hypot(X, Y) < 78
FROM = np.hypot(X, Y - 30)
VERTEBRA, INSIDE = (FROM < 22) & (np.abs(Z) < 15), (FROM < 19) & (np.abs(Z) < 12)


def image(*painted):
    values = np.where(BODY, 40.0, -1000.0)
    for mask, hu in painted:
        values[mask] = hu
    rng = np.random.default_rng(3)
    return np.asfortranarray(values + rng.normal(0, 10, values.shape), dtype=np.float32)


def found(hu):
    return find_bone(hu, np.asfortranarray(BODY), STEP)


def test_a_heart_with_streaks_is_no_bone_and_the_vertebra_behind_it_is():
    heart = np.sqrt(X**2 + (Y + 32) ** 2 + Z**2) < 36
    hu = image((VERTEBRA, 700.0), (INSIDE, 120.0))
    hu[heart] = np.random.default_rng(4).normal(300, 110, np.count_nonzero(heart))
    bone = found(hu)
    assert bone[heart].mean() < 0.05
    assert bone[VERTEBRA].mean() > 0.95


def test_a_thick_bone_with_a_cortex_stays_bone():
    thick, marrow = (np.sqrt(X**2 + Y**2 + Z**2) < radius for radius in (42, 36))
    hu = image((thick, 700.0))
    hu[marrow] = np.random.default_rng(6).normal(260, 70, np.count_nonzero(marrow))  # trabeculae are uneven
    assert found(hu)[thick].mean() > 0.95


def test_marrow_of_a_body_whose_wall_is_open_towards_the_canal():
    opening = (np.abs(X) < 8) & (Y > 30) & (np.abs(Z) < 12) & VERTEBRA
    bone = found(image((VERTEBRA, 700.0), (INSIDE, 110.0), (opening, 90.0)))
    assert bone[INSIDE & (Y < 35)].mean() > 0.95


def test_a_canal_with_epidural_fat_is_not_filled():
    canal, ring = np.hypot(X, Y - 60) < 9, np.hypot(X, Y - 60) < 14
    bone = found(image((VERTEBRA, 700.0), (INSIDE, 110.0), (ring & (np.abs(Z) < 15), 600.0), (canal, -35.0)))
    assert bone[canal & (np.abs(Z) < 10)].mean() < 0.1
    assert bone[INSIDE].mean() > 0.9
