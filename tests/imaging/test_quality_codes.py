"""Every code that is told is in the table, says what it means, and stands on the page."""

from __future__ import annotations

import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from navplan.imaging.quality_codes import CODES, explained, told
from navplan.model.acquisition import QualityFinding, Severity

ROOT = Path(__file__).resolve().parents[2]
TOLD = re.compile(r'(?:QualityFinding|told|_warn|_info|_info\)|_warn\))\(\s*"([a-z_]+)"')


def test_every_code_in_the_source_is_in_the_table() -> None:
    used = {code for path in (ROOT / "navplan").rglob("*.py") for code in TOLD.findall(path.read_text("utf-8"))}
    assert len(used) > 25 and sorted(used - CODES.keys()) == []


def test_every_code_says_what_it_means() -> None:
    assert all(one.means.endswith(".") and one.limit and one.source and one.tells for one in CODES.values())


def test_the_page_is_what_the_command_makes() -> None:
    spec = spec_from_file_location("make_quality_page", ROOT / "docs" / "make_quality_page.py")
    assert spec is not None and spec.loader is not None
    command = module_from_spec(spec)
    spec.loader.exec_module(command)
    assert command.PAGE.read_text("utf-8") == command.page(), "made again by: python docs/make_quality_page.py"
    assert "image-quality.md" in (ROOT / "mkdocs.yml").read_text("utf-8")


def test_what_is_told_elsewhere_is_explained() -> None:
    plain = QualityFinding("lossy", Severity.WARN, "Lossy."), QualityFinding("new", Severity.INFO, "New.")
    lossy, new = explained(plain)
    assert lossy.means == CODES["lossy"].means and new == plain[1]
    with pytest.raises(KeyError):
        told("no such code", Severity.INFO, "")
