"""Registration that bends: a known breath is followed; what the checks say of folds, wrong pairs, contradictions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.bent_scenes import LOBES, breathing, trunk
from navplan.errors import Cancelled, InputError, MissingComponentError
from navplan.geometry.grid import Grid
from navplan.geometry.transform import Transform
from navplan.imaging import deformable, deformable_elastix
from navplan.imaging.bspline_field import SplineField
from navplan.imaging.deformable import FoundDeformable, register_deformable
from navplan.imaging.deformable_checks import BentErrorMap, BentMap, bent_checks
from navplan.imaging.deformable_search import Settings, bent
from navplan.imaging.descent import descended
from navplan.imaging.fusion import FoundRegistration, LandmarkPairs
from navplan.imaging.fusion_checks import MovesAsOne
from navplan.imaging.fusion_pair import FusionPair
from navplan.model.displacement import DisplacementField, inverted
from navplan.model.volume import Volume

VOXEL_MM = 6.5
MOTION = breathing(np.array([-125.0, -95.0, -115.0]), np.array([125.0, 95.0, 115.0]), 12.0)


@pytest.fixture(scope="module")
def moving() -> Volume:
    return trunk(VOXEL_MM)


@pytest.fixture(scope="module")
def fixed() -> Volume:
    return trunk(VOXEL_MM, MOTION, seed=2)


@pytest.fixture(scope="module")
def found(fixed: Volume, moving: Volume) -> FoundDeformable:

    return register_deformable(fixed, moving, start=np.eye(4), fixed_name="out", moving_name="in")


class Local:
    """An error of 30 mm everywhere."""

    def error_mm(self, points_mm) -> np.ndarray:
        return np.full(len(points_mm), 30.0)


def failed(checks) -> set[str]:
    return {one.name for one in checks if one.verdict != "passed"}


def test_a_known_breath_is_followed_to_below_a_voxel(found: FoundDeformable) -> None:
    assert found.good, found.words
    for centre, radius in LOBES:
        ball = np.random.default_rng(1).uniform(-1, 1, (800, 3))
        lobe = np.array(centre) + radius * ball[np.linalg.norm(ball, axis=1) < 1]
        truth = MOTION(lobe)
        assert np.linalg.norm(truth, axis=1).mean() > 7.0
        off = np.linalg.norm(found.to_moving(lobe) - lobe - truth, axis=1)
        assert off.mean() < VOXEL_MM / 2 and np.percentile(off, 95) < VOXEL_MM, centre


def test_the_stated_error_covers_the_true_one(found: FoundDeformable) -> None:
    body = found.error_map.pair.body_mm  # type: ignore[attr-defined]
    error = np.linalg.norm(found.to_moving(body) - body - MOTION(body), axis=1)
    stated = found.error_map.error_mm(body)
    assert (stated >= error).mean() >= 0.95
    assert found.transform.expected_error_mm == pytest.approx(stated.mean())
    assert error.mean() < min(VOXEL_MM / 4, np.linalg.norm(MOTION(body), axis=1).mean() / 2)
    beyond = np.array([(0.0, 0.0, 400.0)])
    assert np.isinf(found.error_map.error_mm(beyond)).all()
    with_local = replace(found.error_map, local=Local())  # type: ignore[type-var]
    still = replace(found.error_map, local=MovesAsOne())  # type: ignore[type-var]
    assert np.allclose(with_local.error_mm(body), np.hypot(still.error_mm(body), 30.0))
    assert (stated > still.error_mm(body)).all()


def test_a_map_that_folds_is_not_good(found: FoundDeformable) -> None:
    pair = found.error_map.pair  # type: ignore[attr-defined]
    folds = found.field.mm.copy()
    folds[12:14, 12, 12, 0] += (30.0, -30.0)
    judged = replace(pair, judged=BentMap(pair.judged.matrix, DisplacementField(folds, found.field.grid)))
    assert "folding" in failed(bent_checks(judged))


def test_what_other_searches_contradict_is_not_good(found: FoundDeformable) -> None:
    pair = found.error_map.pair  # type: ignore[attr-defined]
    moved = replace(found.field, mm=found.field.mm + np.float32(5.0))
    told = replace(pair, judged=BentMap(pair.judged.matrix, moved))
    assert {"restarts", "other knots", "other way round"} <= failed(bent_checks(told))
    assert BentErrorMap(told, 3.0, MovesAsOne()).error_mm(pair.body_mm).mean() > 8.0


def test_an_image_of_something_else_is_not_good(fixed: Volume) -> None:
    turned = np.asarray(trunk(VOXEL_MM, lambda points: 0.6 * points[..., [2, 0, 1]] - points, seed=4).voxels)
    told = register_deformable(fixed, replace(fixed, voxels=turned), start=np.eye(4))
    assert not told.good


def test_the_same_images_give_the_same_bits(fixed: Volume, moving: Volume) -> None:
    pair = FusionPair.of(fixed, moving)
    coarse = [(one[0], one[0], one[0]) for one in (pair.fixed, pair.moving)]
    first, again = (bent(*coarse, np.eye(4), Settings(seed=5)) for _ in range(2))
    assert np.array_equal(first.knots, again.knots) and np.abs(first.knots).max() > 1.0


def test_it_can_be_stopped_anywhere(fixed: Volume, moving: Volume) -> None:
    asked = 0

    def enough() -> bool:
        nonlocal asked
        asked += 1
        return asked > 12

    shares: list[float] = []
    with pytest.raises(Cancelled):
        register_deformable(
            fixed, moving, start=np.eye(4), cancelled=enough, progress=lambda words, share: shares.append(share)
        )
    assert asked < 20 and shares == sorted(shares) and shares[-1] < 0.5
    with pytest.raises(ZeroDivisionError):  # what a listener raises, not what it stops with
        register_deformable(fixed, moving, start=np.eye(4), progress=lambda words, share: 1 / (share < 0.4))


def test_bad_input_is_refused(fixed: Volume, moving: Volume, monkeypatch) -> None:
    with pytest.raises(InputError, match="navplan or elastix"):
        register_deformable(fixed, moving, engine="magic")
    monkeypatch.setattr(deformable_elastix, "find_spec", lambda name: None)
    with pytest.raises(MissingComponentError, match=r"navplan\[elastix\]"):
        register_deformable(fixed, moving, engine="elastix")


def test_knots_are_halved_without_change_and_gradients_are_those_of_the_values() -> None:
    rng = np.random.default_rng(0)
    field = SplineField.nothing(np.zeros(3), np.array([60.0, 50.0, 70.0]), 16.0, 0.5)
    field = field.with_knots(rng.normal(size=field.knots.shape))
    points = rng.uniform(0.0, 50.0, (40, 3))
    assert np.allclose(field.halved().at(points), field.at(points), atol=1e-12)
    forces, way = rng.normal(size=points.shape), rng.normal(size=field.knots.shape)
    further = field.with_knots(field.knots + way)
    change = ((further.at(points) - field.at(points)) * forces).sum()
    assert (field.gradient(points, forces) * way).sum() == pytest.approx(change)
    up, down = (field.with_knots(field.knots + sign * 1e-4 * way).bending()[0] for sign in (1, -1))
    assert (field.bending()[1] * way).sum() == pytest.approx((up - down) / 2e-4, rel=1e-6)
    x = field.origin_mm[0] + 16.0 * np.arange(field.knots.shape[0])
    straight = np.zeros_like(field.knots)
    straight[..., 1] = 0.2 * x[:, None, None] - 7.0
    assert field.with_knots(straight).bending()[0] == pytest.approx(0.0, abs=1e-20)
    assert np.allclose(field.with_knots(straight).at(points)[:, 1], 0.2 * points[:, 0] - 7.0)


def test_kept_displacements_fade_beyond_the_image_and_do_not_fold_there() -> None:
    field = SplineField.nothing(np.zeros(3), np.full(3, 60.0), 16.0)
    field = field.with_knots(np.full(field.knots.shape, 25.0))
    box = Grid(np.diag([3.0, 3.0, 3.0, 1.0]), (20, 20, 20))
    kept = field.on_grid(box, 5.0)
    assert np.allclose(kept.at(box.points_mm(np.array([[0, 0, 0], [19, 5, 7], [10, 10, 10]]))), 25.0, atol=1e-4)
    edge = kept.mm[[0, -1]]
    assert (edge == 0).all() and kept.least_volume > 0.1


def test_the_way_back_is_missing_only_where_there_is_none() -> None:
    grid = Grid(np.diag([5.0, 5.0, 5.0, 1.0]), (30, 30, 30))
    steep = np.zeros((30, 30, 30, 3), dtype=np.float32)
    steep[:, :, :, 0] = 45.0 * np.exp(-(((np.arange(30) - 15) / 3.5) ** 2))[:, None, None]  # slope about -2: folds
    field = DisplacementField(steep, grid)
    points = grid.points_mm(np.argwhere(np.ones((30, 2, 2)))) + 1.0
    back = inverted(field, points)
    lost = np.isnan(back).any(axis=1)
    assert 0 < lost.sum() < len(points)
    assert np.allclose(back[~lost] + field.at(back[~lost]), points[~lost], atol=2e-3)
    gentle = DisplacementField(-1.4 * steep / 2, grid)  # slopes to +1.3 and -0.9: no fixed point, and no fold
    if gentle.least_volume > 0:
        assert not np.isnan(inverted(gentle, points)).any()


def test_landmarks_are_checked_under_the_map_that_bends(fixed: Volume, moving: Volume, monkeypatch) -> None:
    """The search replaced by one that finds nothing: landmarks that moved lie off by as much as they moved."""
    places = np.array([centre for centre, _ in LOBES] + [(40.0, 0.0, 30.0), (-40.0, -30.0, 60.0)])
    seen = places + MOTION(places)
    before = FoundRegistration(Transform.identity("fixed"), Local(), (), "landmarks", "rigid")
    before = replace(before, transform=Transform(np.eye(4), "fixed", "moving"))
    monkeypatch.setattr(deformable, "register_images", lambda *images, **more: before)
    low, high = fixed.grid.corners_mm()[[0, 7]]
    monkeypatch.setattr(deformable, "bent", lambda *given: SplineField.nothing(low, high, 16.0))
    told = register_deformable(fixed, moving, start=LandmarkPairs(places, seen))
    check = next(one for one in told.checks if one.name == "landmarks")
    assert check.verdict == "failed" and check.value == pytest.approx(np.sqrt((MOTION(places) ** 2).sum(axis=1).mean()))
    told = register_deformable(fixed, moving, start=LandmarkPairs(places, places))
    assert "landmarks" not in failed(told.checks)


def test_the_descent_finds_the_end_of_a_bent_valley() -> None:
    """Rosenbrock's, in ten values (J. J. More et al., ACM TOMS 7:17, 1981)."""

    def cost(x: np.ndarray) -> tuple[float, np.ndarray]:
        slope = np.zeros_like(x)
        across, along = x[1:] - x[:-1] ** 2, 1 - x[:-1]
        slope[1:] += 200 * across
        slope[:-1] += -400 * across * x[:-1] - 2 * along
        return float((100 * across**2 + along**2).sum()), slope

    assert np.allclose(descended(cost, np.full(10, -0.5), 300, 0.0), 1.0, atol=1e-3)
    assert np.array_equal(descended(lambda x: (0.0, np.zeros_like(x)), np.full(3, 7.0), 5), np.full(3, 7.0))
