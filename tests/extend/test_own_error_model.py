"""A laboratory's own figures of how far its needles stray: single numbers, used, and told with what they replace."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from navplan.extend import registry
from navplan.extend.contents import CONFIGURATION_VARIABLE
from navplan.files.protocol_override import override_from_toml
from navplan.model.error_model import ErrorModel
from navplan.model.safety import FindingKind, Verdict
from navplan.verbs.check import check
from tests.extend.conftest import Installer
from tests.reports.plans import LATERAL, case, plan, protocol
from tests.reports.test_report_page import written

LAB = 'overrides = "{}"\nby = "Our laboratory"\n[error_models.{}]\n{}\nsource = "40 needles in our phantom"\n'


@pytest.fixture
def overrides(install: Installer) -> Path:
    folder = Path(os.environ[CONFIGURATION_VARIABLE]) / "overrides"
    folder.mkdir(parents=True)
    return folder


def test_one_number_in_the_users_folder_takes_the_place_of_the_protocols(overrides: Path) -> None:
    before = registry.protocol("lung-biopsy").error_model("freehand")
    (overrides / "lab.toml").write_text(LAB.format("lung-biopsy", "freehand", "depth_sigma_mm = 1.6"))
    registry.forget()
    rules = registry.protocol("lung-biopsy")
    after = rules.error_model("freehand")
    assert (before.depth_sigma_mm, after.depth_sigma_mm) == (2.9, 1.6)
    assert (after.entry_sigma_mm, after.angle_sigma_deg) == (before.entry_sigma_mm, before.angle_sigma_deg)
    assert rules.changes == (
        "error_models freehand: depth_sigma_mm 2.9 -> 1.6 (40 needles in our phantom; Our laboratory)",
    )
    assert after.source == f"40 needles in our phantom; all but depth_sigma_mm: {before.source}"
    assert rules.error_model("robot") == registry.protocol("lung-biopsy").error_model("robot")
    assert registry.protocol("liver-biopsy").error_model("freehand") == before  # its own file says nothing of it


MOVING = ErrorModel("freehand", "freehand", 3.0, 2.0, "a series", 0.0, (0.5, 1.0, 4.0), 3.0)


def test_the_judgement_changes_with_the_number_and_the_report_says_so() -> None:
    on, rules = case(), protocol(MOVING)
    own = override_from_toml(LAB.format(rules.id, "freehand", "depth_sigma_mm = 2.0"), "lab.toml").applied(rules)
    made = plan(on, (LATERAL,), models=(MOVING,))
    wide, lab = check(on, made, protocol=rules), check(on, made, protocol=own)
    assert wide.hit_probability is not None and lab.hit_probability is not None
    assert lab.hit_probability > wide.hit_probability
    said = [finding for finding in lab.findings if finding.kind is FindingKind.RULES and "own number" in finding.words]
    assert len(said) == 1 and said[0].verdict is Verdict.PASS
    assert "depth_sigma_mm 3.0 -> 2.0 (40 needles in our phantom" in said[0].words
    assert lab.error_model_source.startswith("40 needles in our phantom; all but depth_sigma_mm: a series")
    html = written(on, plan(on, (LATERAL,), own.error_models, protocol=own))[1]
    assert "sigma 2 mm along the needle" in html and "all but depth_sigma_mm: a series" in html
    assert "Own number" in html and "error_models freehand: depth_sigma_mm 3.0 -&gt; 2.0" in html


@pytest.mark.parametrize("number", ["depth_sigma_mm = 1.4", "motion_sigma_mm = [0.5, 1, 0]", "entry_sigma_mm = 1.0"])
def test_less_than_half_is_pointed_out(number: str) -> None:
    own = override_from_toml(LAB.format("p", "freehand", number), "lab.toml").applied(protocol(MOVING))
    assert "less than half of the protocol's" in own.changes[0]
