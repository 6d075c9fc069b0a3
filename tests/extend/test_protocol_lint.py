"""What the lint finds in protocols, and that those that ship have no errors; a hospital's own numbers in its folder."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from navplan.cli import main
from navplan.errors import ChoiceError
from navplan.extend import registry
from navplan.extend.contents import CONFIGURATION_VARIABLE
from navplan.extend.protocol_lint import Weight, lint
from navplan.model.protocol import HardLimit, PassThrough, ProcedureProtocol, SoftCriterion
from tests.extend.test_registry import Installer


@pytest.fixture
def lung() -> ProcedureProtocol:
    return registry.protocol("lung-biopsy")


def told(protocol: ProcedureProtocol, weight: Weight) -> str:
    return "; ".join(one.words for one in lint(protocol, set(registry.devices())) if one.weight is weight)


def test_nothing_is_wrong_with_what_ships() -> None:
    for protocol in registry.protocols().values():
        assert not told(protocol, Weight.ERROR), protocol.id
        assert not told(protocol, Weight.WARNING), protocol.id


def test_what_it_finds(lung: ProcedureProtocol) -> None:
    assert "device x" in told(replace(lung, devices=("x",)), Weight.ERROR)
    assert "['ABC']" in told(replace(lung, patient_positions=("ABC",)), Weight.ERROR)
    twice = replace(lung, hard=(*lung.hard, lung.hard[0]))
    assert "bulla* twice" in told(twice, Weight.ERROR)
    both = replace(lung, pass_through=(*lung.pass_through, PassThrough("heart*", "x1")))
    assert "both hard and to be crossed" in told(both, Weight.ERROR)
    some = replace(lung, pass_through=(*lung.pass_through, PassThrough("aort*", "x1")))
    assert "aorta: a limit and to be crossed" in told(some, Weight.WARNING)
    bone = replace(lung, hard=lung.hard[:3], pass_through=(PassThrough("*_left_6", "x1"),))
    assert "lets the needle through rib_left_6" in told(bone, Weight.ERROR)
    assert "without levels" in told(
        replace(lung, hard=(*lung.hard, HardLimit("vertebrae_{level}", 0.0, "unsourced"))), Weight.ERROR
    )
    assert "where sided is false" in told(replace(lung, sided=False), Weight.WARNING)
    assert "metric beauty" in told(
        replace(lung, soft=(SoftCriterion("beauty", 1.0, 0.0, 1.0, "mm", "x"),)), Weight.ERROR
    )


def test_odd_numbers_are_warnings(lung: ProcedureProtocol) -> None:
    wrong_way = SoftCriterion("clearance_mm", 0.0, 10.0, 1.0, "mm", "x")
    assert "clearance_mm: ideal 0" in told(replace(lung, soft=(wrong_way,)), Weight.WARNING)
    in_cm = SoftCriterion("depth_mm", 3.0, 20.0, 1.0, "mm", "x")
    assert "depth_mm: ideal 3, limit 20" in told(replace(lung, soft=(in_cm,)), Weight.WARNING)
    margin = SoftCriterion("margin_over_goal_mm", 0.0, -10.0, 1.0, "mm", "x")
    assert "without a margin" in told(replace(lung, soft=(margin,)), Weight.ERROR)
    mwa = registry.protocol("liver-mwa")
    bare = replace(mwa, soft=tuple(wish for wish in mwa.soft if wish.metric != "margin_over_goal_mm"))
    assert "not ranked by it" in told(bare, Weight.NOTE) and "not ranked by it" not in told(mwa, Weight.NOTE)
    strange = replace(lung, hard=(*lung.hard, HardLimit("lnug", 1.0, "unsourced")))
    assert "lnug" in told(strange, Weight.NOTE)
    assert "rules unsourced" in told(lung, Weight.NOTE)


def test_the_command_says_it_and_ends_with_2_for_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from importlib.resources import files

    text = (files("navplan_thorax") / "protocols" / "lung_biopsy.toml").read_text(encoding="utf-8")
    path = tmp_path / "mine.toml"
    path.write_text(text.replace('"lung-coaxial-18g-100"', '"none-such"'), encoding="utf-8")
    assert main(["protocols", "--lint", str(path)]) == 2
    assert "lung-biopsy: error: devices: device none-such" in capsys.readouterr().out
    assert main(["protocols", "--lint", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)["lint"]) == set(registry.protocols())
    assert main(["protocols", "--lint", "nothing-like-it"]) == 2


@pytest.fixture
def overrides(install: Installer) -> Path:
    folder = Path(os.environ[CONFIGURATION_VARIABLE]) / "overrides"
    folder.mkdir(parents=True)
    return folder


def test_a_hospitals_own_number_is_used_and_told(overrides: Path) -> None:
    (overrides / "lung.toml").write_text(
        'overrides = "lung-biopsy"\nby = "Radiology"\n[hard."aorta*"]\nmin_clearance_mm = 8.0\nsource = "house rule"\n'
    )
    registry.forget()
    protocol = registry.protocol("lung-biopsy")
    limit = protocol.limit_for("aorta")
    assert limit is not None and limit.min_clearance_mm == 8.0
    assert protocol.changes == ("hard aorta*: min_clearance_mm 5.0 -> 8.0 (house rule; Radiology)",)


def test_nobody_plans_by_numbers_that_were_to_be_others(overrides: Path, caplog: pytest.LogCaptureFixture) -> None:
    (overrides / "lung.toml").write_text(
        'overrides = "lung-biopsy"\nby = "Radiology"\n[hard.aorta]\nmin_clearance_mm = 8.0\nsource = "house rule"\n'
    )
    (overrides / "other.toml").write_text('overrides = "none"\nby = "R"\n[soft.x]\nlimit = 1.0\nsource = "x"\n')
    registry.forget()
    assert "lung-biopsy" not in registry.protocols() and "liver-biopsy" in registry.protocols()
    assert "lung.toml" in caplog.text and "other.toml" in caplog.text
    with pytest.raises(ChoiceError, match=r"lung\.toml"):
        registry.protocol("lung-biopsy")
