"""What moved by itself under a map of the whole body: told, bounded, and not good enough."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.known_deformations import Body, Deformation, deformed, field
from navplan.geometry.grid import Grid
from navplan.imaging import fusion, fusion_local
from navplan.imaging.fusion_blocks import STEP_MM, Blocks, all_shifts
from navplan.imaging.fusion_checks import Agreement, FusionErrorMap, local_check
from navplan.imaging.fusion_local import LocalShifts, local_shifts, settled
from navplan.imaging.fusion_pair import FusionPair
from navplan.imaging.fusion_search import Found
from navplan.model.volume import Volume
from navplan.verbs.phantom import phantom


@pytest.fixture(scope="module")
def ct() -> Volume:
    return phantom("lumbar-spine", spacing_mm=(5.0, 5.0, 5.0)).volumes["ct"]


def moved(ct: Volume, kind: str, contrast: str) -> tuple[FusionPair, Deformation, np.ndarray]:
    rng = np.random.default_rng(3)
    body = Body.of(ct)
    made = Deformation(field(kind, body, rng)[0], np.eye(4))
    moving = deformed(ct, made, np.array([5.0, 4.5, 5.5]), contrast, 10.0, rng)
    return FusionPair.of(ct, moving), made, body.random_points(rng, 1500)


Scene = tuple[FusionPair, Deformation, np.ndarray]


@pytest.fixture(scope="module")
def breathed(ct: Volume) -> Scene:
    return moved(ct, "breathing", "MR")


def stay(points: np.ndarray) -> np.ndarray:
    return points


def test_what_breathed_is_found_and_its_error_covered(breathed: Scene) -> None:
    pair, made, points = breathed
    told = local_shifts(pair.fixed[-1], pair.moving[-1], stay)
    true = np.linalg.norm(made.moving_from_fixed(points) - points, axis=1)
    assert true.max() > 8.0
    error = told.error_mm(points)
    assert (error >= true).mean() > 0.95
    assert (error >= true)[true > 3.0].mean() > 0.9
    assert local_check(pair, told).verdict == "failed"
    followed = local_shifts(pair.fixed[-1], pair.moving[-1], made.moving_from_fixed)
    assert local_check(pair, followed).verdict == "passed"
    assert np.median(followed.error_mm(points)) < 0.7 * np.median(error)


def test_what_did_not_move_passes_and_is_not_told_to_be_wide(ct: Volume) -> None:
    pair, _, points = moved(ct, "none", "MR")
    told = local_shifts(pair.fixed[-1], pair.moving[-1], stay)
    assert local_check(pair, told).verdict == "passed"
    assert np.median(told.error_mm(points)) < 10.0
    assert told.error_mm(points).min() > 0.0


def test_every_judgement_of_a_map_asks_it(ct: Volume, breathed: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    pair, _, points = breathed
    monkeypatch.setattr(fusion, "agreement", lambda *given: Agreement((), (), (), ()))
    monkeypatch.setattr(fusion, "globally", lambda *given: [Found(np.eye(4), 0.0, "")])
    monkeypatch.setattr(fusion, "optimised", lambda level, start, affine: start)
    told = fusion.register_images(ct, ct, start=np.eye(4), pair=pair)
    assert "local" in {one.name for one in told.checks if one.verdict == "failed"}
    assert (told.error_map.error_mm(points) >= told.error_map.local.error_mm(points)).all()


def made_blocks(information: np.ndarray) -> Blocks:
    shape = information.shape[:3]
    grid = Grid(np.diag([28.0] * 3 + [1.0]), shape)
    return Blocks(information.astype(np.float32), np.full(shape, 300), all_shifts(), grid)


def test_blocks_that_show_nothing_are_unknown_and_wide() -> None:
    shifts = all_shifts()
    blind = settled(made_blocks(np.zeros((3, 3, 3, len(shifts)))))
    assert not blind.known.any()
    assert blind.largest_mm() is None
    assert blind.error_mm(np.full((1, 3), 28.0))[0] > 15.0
    unseen = settled(made_blocks(np.full((3, 3, 3, len(shifts)), np.nan)))
    assert not unseen.tells.any()
    assert unseen.error_mm(np.full((1, 3), 28.0))[0] > 15.0


def test_a_block_without_contrast_takes_what_its_neighbours_know() -> None:
    shifts = all_shifts()
    seen = -((shifts * STEP_MM - [0.0, 0.0, 8.0]) ** 2).sum(axis=1) / (2 * 3.0**2) / 15.0
    information = np.broadcast_to(seen, (3, 3, 3, len(shifts))).copy()
    information[1, 1, 1] = 0.0
    told = settled(made_blocks(information))
    assert told.shift_mm[1, 1, 1] == pytest.approx([0.0, 0.0, 8.0], abs=1.5)
    assert told.spread_mm[1, 1, 1] > told.spread_mm[0, 0, 0]
    assert told.error_mm(np.full((1, 3), 28.0))[0] > 8.0


def test_what_is_cut_by_the_image_is_not_told_to_lie_where_it_would_be_seen() -> None:
    shifts = all_shifts()
    seen = np.where(shifts[:, 0] >= 3, 1.0, np.nan)
    told = settled(made_blocks(np.broadcast_to(seen, (3, 3, 3, len(shifts)))))
    assert not told.tells.any()
    assert np.abs(told.shift_mm).max() < 1.0


def test_the_bound_lies_near_the_larger_of_two_blocks_and_grows_outside() -> None:
    zero = np.zeros((2, 1, 1))
    shift = np.zeros((2, 1, 1, 3))
    shift[1, 0, 0, 2] = 10.0
    yes = np.ones((2, 1, 1), dtype=bool)
    told = LocalShifts(shift, zero, zero, zero, yes, yes, Grid(np.diag([28.0] * 3 + [1.0]), (2, 1, 1)))
    middle, end, out = told.error_mm([[14.0, 0, 0], [28.0, 0, 0], [68.0, 0, 0]])
    assert middle > (told.bound_mm.mean()) * 1.05
    assert end == pytest.approx(10.0 + fusion_local.UNEVEN * 10.0)
    assert out == pytest.approx(end + 40.0 * fusion_local.GROWTH)


def test_an_error_whose_local_part_was_not_measured_is_not_known(ct: Volume) -> None:
    nothing = FusionErrorMap(np.eye(4), Agreement((), (), (), ()), 1.0, False, None)
    assert np.isinf(nothing.error_mm(np.zeros((2, 3)))).all()
    known = replace(nothing, local=LocalShifts(
        np.full((1, 1, 1, 3), 4.0), *[np.zeros((1, 1, 1))] * 3, np.ones((1, 1, 1), dtype=bool),
        np.ones((1, 1, 1), dtype=bool), Grid(np.eye(4), (1, 1, 1)),
    ))  # fmt: skip
    assert known.error_mm(np.zeros((1, 3)))[0] == pytest.approx(np.hypot(1.0, np.sqrt(48.0)))
