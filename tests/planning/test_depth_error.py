"""How far off the needle's stop is, in the judgement of a way: it lowers the hit, and never makes a clearance safer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from navplan.model.error_model import ErrorModel
from navplan.model.safety import FindingKind, SafetyReport, Verdict
from navplan.verbs.check import check
from tests.reports.plans import case, plan, protocol

EXACT = ErrorModel("robot", "robot", 0.5, 0.5, "test")
TOWARDS_THE_AORTA, TOWARDS_THE_EDGE = (-84.0, -24.0, 0.0), (10.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def on():
    return case()


def judged(on, entry: tuple[float, float, float], depth_sigma_mm: float) -> SafetyReport:
    model = replace(EXACT, depth_sigma_mm=depth_sigma_mm)
    return check(on, plan(on, (entry,), models=(model,)), protocol=protocol(model))


def test_a_stop_that_is_off_touches_more_and_hits_less(on) -> None:
    exact, off = judged(on, TOWARDS_THE_AORTA, 0.0), judged(on, TOWARDS_THE_AORTA, 25.0)
    assert exact.hit_probability is not None and off.hit_probability is not None
    assert off.hit_probability < 0.9 * exact.hit_probability
    before = {finding.structure: finding.breach_probability or 0.0 for finding in exact.clearances}
    after = {finding.structure: finding.breach_probability or 0.0 for finding in off.clearances}
    assert all(after[name] >= before[name] for name in before)
    assert after["aorta"] > before["aorta"] + 1e-4  # it lies beyond the tip
    words = [next(f.words for f in one.findings if f.kind is FindingKind.ERROR_MODEL) for one in (exact, off)]
    assert "along the needle" not in words[0] and words[1].endswith(", 25.0 mm along the needle")


def test_an_end_that_may_leave_the_image_is_not_evaluated(on) -> None:
    for depth_sigma_mm, leaves in ((0.0, False), (49.0, True)):
        findings = judged(on, TOWARDS_THE_EDGE, depth_sigma_mm).clearances
        outside = [f for f in findings if f.verdict is Verdict.NOT_EVALUATED and "leave the region" in f.words]
        assert bool(outside) is leaves
