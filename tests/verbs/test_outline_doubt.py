"""An outline that its maker doubts: told in the record, in the check and in the report, never PASS, acknowledged by
name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import navplan as nv
from navplan.errors import InputError
from navplan.files.structure_files import shown_name
from navplan.imaging.region import CtRegionSegmenter
from navplan.model.case import Case
from navplan.model.safety import Verdict
from navplan.model.structure import Structure
from navplan.model.volume import Volume
from navplan.verbs.case_verbs import open_case, save_case
from tests.imaging.chest_scene import chest_grid
from tests.verbs.test_approve import scene

WHY = "it leaked at first"


@pytest.fixture(scope="module")
def doubted() -> Case:
    """A case whose first way passes, but for the doubt about the liver that it crosses."""
    case = scene()
    return case.with_structures(replace(case.structures["liver"], outline_doubt=WHY))


def test_a_way_beside_it_is_not_evaluated_and_says_why(doubted: Case) -> None:
    assert nv.check(scene(), "biopsy").verdict is Verdict.PASS
    report = nv.check(doubted, "biopsy")
    assert report.verdict is Verdict.NOT_EVALUATED
    (told,) = [finding for finding in report.findings if WHY in finding.words]
    assert told.structure == "liver" and "outline in doubt" in told.words
    assert any("liver" in line.words and WHY in line.words for item in report.open_items for line in item.lines)


def test_it_is_acknowledged_by_name_before_a_person_approves(doubted: Case) -> None:
    with pytest.raises(InputError, match="liver"):
        nv.approve(doubted, "biopsy", who="Dr A", reason="seen on the reformats")
    case, plan = nv.approve(doubted, "biopsy", who="Dr A", reason="seen on the reformats", acknowledge=["liver"])
    assert plan.approvals[0].verdict is Verdict.NOT_EVALUATED
    assert any(WHY in words for words in case.audit[-1].details["left_open"])


def test_a_doubt_that_comes_later_voids_an_approval() -> None:
    case, plan = nv.approve(scene(), "biopsy", who="Dr A")
    liver = case.structures["liver"]
    assert nv.standing(case, plan, plan.approvals[0]) == ""
    later = case.with_structures(replace(liver, outline_doubt=WHY))
    assert nv.standing(later, plan, plan.approvals[0])


def test_it_outlives_the_folder_an_edit_and_an_export(doubted: Case, tmp_path: Path) -> None:
    save_case(doubted, tmp_path / "case", "x", {})
    back = open_case(tmp_path / "case").structures["liver"]
    assert back.outline_doubt == WHY and back.digest == doubted.structures["liver"].digest
    grown = nv.edit(doubted, "liver", [("grow_mm", 5.0)]).structures["liver"]
    assert grown.outline_doubt == WHY
    assert shown_name(grown) == "liver (outline in doubt)"


GRID = chest_grid((3.0, 3.0, 4.0), (300.0, 220.0, 200.0))
POINTS = GRID.points_mm(np.stack(np.meshgrid(*(np.arange(n) for n in GRID.shape), indexing="ij"), axis=-1))
X, Y, Z = np.moveaxis(POINTS, -1, 0)


def ellipsoid(centre: tuple[float, ...], axes: tuple[float, ...]) -> np.ndarray:
    return sum(((p - c) / a) ** 2 for p, c, a in zip((X, Y, Z), centre, axes, strict=True)) <= 1


@pytest.fixture(scope="module")
def abdomen() -> Volume:
    """In fat: a liver, a stomach of the same density, a muscle of it along a spine, a thick one on a pelvic bone."""
    values = np.full(GRID.shape, -1000.0)
    values[ellipsoid((0, 0, 0), (145, 105, 600))] = -100.0
    values[ellipsoid((-65, -15, 20), (60, 55, 60))] = 110.0
    values[ellipsoid((60, -40, 10), (52, 40, 60))] = 110.0
    values[ellipsoid((-30, 75, 0), (22, 16, 600))] = 110.0
    values[(np.hypot(X, Y - 55) < 16)] = 500.0
    values += np.random.default_rng(3).normal(0, 10, GRID.shape)
    return Volume(np.rint(values).astype(np.int16), GRID, "CT", "HU")


def as_liver(abdomen: Volume, seed: tuple[float, ...]) -> Structure:
    (found,) = CtRegionSegmenter().segment_from(abdomen, "ct", np.array([seed], dtype=float), "liver")
    return found


def test_a_liver_from_a_seed_in_it_has_no_doubt(abdomen: Volume) -> None:
    assert as_liver(abdomen, (-65, -15, 20)).outline_doubt == ""


@pytest.mark.parametrize(
    ("seed", "why"), [((60, -40, 10), "left of the body's"), ((-30, 75, 0), "thicker than")], ids=["stomach", "muscle"]
)
def test_what_grows_from_a_wrong_seed_is_no_clean_liver(
    abdomen: Volume, seed: tuple[float, ...], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert why in as_liver(abdomen, seed).outline_doubt
    case = nv.segment(Case(volumes={"ct": abdomen}), "ct-region", seeds_mm=[seed], structure="liver")
    assert why in case.audit[-1].details["outline_doubts"]["liver"] and "liver: outline in doubt" in caplog.text
