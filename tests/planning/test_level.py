"""The level as requested: a mistake is caught, and the count needs something to begin from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from navplan.errors import InputError
from navplan.extend import registry
from navplan.geometry.grid import Grid
from navplan.model.protocol import HardLimit, PassThrough
from navplan.model.safety import Verdict
from navplan.model.structure import Presence, Structure
from navplan.model.trajectory import Target
from navplan.model.volume import Volume
from navplan.planning.level import level
from navplan.planning.situation import Situation

GRID = Grid(np.diag([4.0, 4.0, 4.0, 1.0]), (20, 20, 60))


def block(name: str, low_mm: float, high_mm: float) -> Structure:
    """40 mm wide and deep, between two heights."""
    at = GRID.points_mm(np.stack(np.indices(GRID.shape), axis=-1))
    inside = (abs(at[..., :2] - 40) <= 20).all(axis=-1) & (at[..., 2] >= low_mm) & (at[..., 2] <= high_mm)
    return Structure(name, Presence.PRESENT, inside * np.uint8(255), GRID, evaluated_in=GRID, image_id="ct", origin="x")


SPINE = {
    one.name: one
    for one in (
        block("sacrum", 0, 40), block("vertebrae_L5", 52, 80), block("vertebrae_L4", 92, 120),
        block("vertebrae_L3", 132, 160),
    )
}  # fmt: skip


def found(asked: str, height_mm: float, structures: dict[str, Structure] = SPINE, target_x_mm: float = 40.0):
    rules = replace(registry.protocol("lung-biopsy"), levels=("L3", "L4", "L5"))
    situation = Situation(
        "ct", Volume(np.zeros(GRID.shape, np.int16), GRID), structures, rules.at_level(asked),
        Target((target_x_mm, 40.0, height_mm), ""), "", "", "HFS", "", rules.error_model(), True, "2026-01-01",
        level=asked,
    )  # fmt: skip
    return [(one.verdict, one.words) for one in level(situation)]


def test_the_level_of_the_target_is_compared_with_the_request() -> None:
    assert found("L4", 104) == [(Verdict.PASS, "L4, as requested")]
    assert found("L5", 104) == [(Verdict.FAIL, "requested L5, the target lies at L4")]
    assert found("L3", 104)[0][0] is Verdict.FAIL


def test_between_two_either_is_right_and_the_farther_one_is_a_warning() -> None:
    assert found("L4", 86) == [(Verdict.PASS, "L4, as requested")] or found("L5", 86)[0][0] is Verdict.PASS
    verdicts = {found(asked, 85)[0][0] for asked in ("L4", "L5")}
    assert verdicts == {Verdict.PASS, Verdict.WARN}


def test_nothing_is_taken_for_granted() -> None:
    assert found("", 104) == [(Verdict.NOT_EVALUATED, "no level was requested; the target lies at L4")]
    assert found("L4", 104, {})[0][0] is Verdict.NOT_EVALUATED
    verdict, words = found("L4", 230)[0]
    assert verdict is Verdict.NOT_EVALUATED and "no labelled vertebra within 25 mm" in words
    empty = replace(SPINE["vertebrae_L4"], occupancy=None, grid=None, presence=Presence.UNKNOWN, evaluated_in=None)
    assert found("L4", 104, {**SPINE, "vertebrae_L4": empty})[0][0] is not Verdict.PASS


def test_swapped_names_are_no_spine() -> None:
    swapped = {
        **SPINE, "vertebrae_L4": replace(SPINE["vertebrae_L3"], name="vertebrae_L4"),
        "vertebrae_L3": replace(SPINE["vertebrae_L4"], name="vertebrae_L3"),
    }  # fmt: skip
    verdict, words = found("L3", 104, swapped)[0]
    assert verdict is Verdict.NOT_EVALUATED and "not in the order of the spine" in words


def test_a_count_needs_an_anchor() -> None:
    alone = {name: one for name, one in SPINE.items() if name != "sacrum"}
    assert [verdict for verdict, _ in found("L4", 104, alone)] == [Verdict.PASS, Verdict.WARN]
    one_off = {"sacrum": SPINE["sacrum"], "vertebrae_L4": replace(SPINE["vertebrae_L5"], name="vertebrae_L4")}
    verdict, words = found("L4", 66, one_off)[1]
    assert verdict is Verdict.WARN and "L4 is labelled next above the sacrum" in words


def test_a_protocol_without_levels_asks_for_none() -> None:
    rules = registry.protocol("lung-biopsy")
    with pytest.raises(InputError, match="no level"):
        rules.at_level("L4")
    assert rules.at_level("") is rules


def test_patterns_hold_the_level_and_its_neighbours() -> None:
    rules = replace(
        registry.protocol("lung-biopsy"), levels=("T12", "L1"),
        hard=(HardLimit("vertebrae_{above}", 0.0, "x"), HardLimit("disc_{below}", 0.0, "x")),
        pass_through=(PassThrough("vertebrae_{level}", "x"),),
    )  # fmt: skip
    at = rules.at_level("L1")
    assert [rule.structure for rule in at.hard] == ["vertebrae_T12", "disc_L2"]
    assert at.may_cross("vertebrae_L1") and not at.may_cross("vertebrae_L2")
    assert [rule.structure for rule in rules.at_level("").hard] == ["vertebrae_*", "disc_*"]
    with pytest.raises(InputError, match="L5"):
        rules.at_level("L5")
    with pytest.raises(InputError, match="X9"):
        replace(rules, levels=("X9",))


def test_a_disc_is_named_by_its_upper_vertebra() -> None:
    """Half way between L4 and L5 both are as near: the disc's own name decides, and without one the upper level."""
    disc = {**SPINE, "disc_L4": block("disc_L4", 82, 90)}
    assert found("L4", 86, disc) == [(Verdict.PASS, "L4, as requested")]
    assert found("L5", 86, disc) == [(Verdict.FAIL, "requested L5, the target lies in disc_L4")]
    verdict, words = found("L5", 86)[0]
    assert verdict is Verdict.WARN and "between L4 and L5, where L4 is the level" in words


def test_a_vertebra_that_is_missing_above_the_sacrum_is_told() -> None:
    one_off = {"sacrum": SPINE["sacrum"], "vertebrae_L5": replace(SPINE["vertebrae_L4"], name="vertebrae_L5")}
    verdict, words = found("L5", 104, one_off)[1]
    assert verdict is Verdict.WARN and "one is missing between" in words
