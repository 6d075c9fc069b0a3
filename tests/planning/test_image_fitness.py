"""Whether an image is fit for this way: each fault is in the safety report, and a good image has none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from navplan.imaging.quality_codes import CODES, told
from navplan.model.acquisition import QualityFinding, Severity
from navplan.model.case import Case
from navplan.model.device import Device
from navplan.model.protocol import HardLimit
from navplan.model.safety import Finding, FindingKind, SafetyReport, Verdict
from navplan.model.trajectory import Trajectory
from navplan.planning.check_plan import judge
from navplan.planning.thin_structures import median_hu, narrower_than
from navplan.verbs.situation import situation_of, target_of
from navplan_phantoms.primitives import Capsule, Sphere
from tests.planning.scenes import SOLIDS, case_of, grid_of, protocol_of

NEEDLE = Device("n18", "18 G", 18, 1.27, 150.0, 0.0, source="test")
LATERAL = ((-90.0, 0.0, 0.0), (-40.0, 0.0, 0.0))
PORTAL = HardLimit("portal_vein", 2.0, "test")


def judged(case: Case, protocol=None, way=LATERAL, **request) -> SafetyReport:
    situation = situation_of(case, protocol or protocol_of(), target_of(dict(case.structures), "lesion"), **request)
    return judge(Trajectory(way[0], way[1], NEEDLE), situation)


def of_image(report: SafetyReport) -> list[Finding]:
    return [one for one in report.findings if one.kind is FindingKind.IMAGE and one.verdict is not Verdict.PASS]


def with_quality(*findings: QualityFinding) -> Case:
    return case_of(quality=findings)


def with_portal(radius_mm: float, **facts: object) -> Case:
    vein = Capsule((-25.0, 8.0, -12.0), (-25.0, 8.0, 12.0), radius_mm)
    return case_of(solids={**SOLIDS, "portal_vein": (vein, 45.0)}, **facts)


def asking_for(limit: HardLimit):
    plain = protocol_of()
    return replace(plain, hard=(*plain.hard, limit))


def test_a_good_image_has_no_finding() -> None:
    assert of_image(judged(case_of())) == []


def test_every_warning_of_the_image_is_told_once_with_its_meaning() -> None:
    warned = [told(code, Severity.WARN, f"words of {code}.") for code, one in CODES.items()
              if Severity.WARN in one.severities and not one.apart]  # fmt: skip
    found = of_image(judged(with_quality(*warned)))
    assert [one.words for one in found] == [f"image quality: words of {one.code}" for one in warned]
    assert all(one.means.rstrip(".") in finding.remedy for one, finding in zip(warned, found, strict=True))


def test_what_is_only_information_and_what_has_a_finding_of_its_own_is_not_told_again() -> None:
    quiet = [told(code, Severity.INFO, "x.") for code in CODES]
    apart = [told(code, Severity.WARN, "x.") for code, one in CODES.items() if one.apart and "thickness" not in code]
    assert of_image(judged(with_quality(*quiet, *apart))) == []


def test_a_warning_of_an_earlier_version_is_told_without_a_meaning() -> None:
    (found,) = of_image(judged(with_quality(QualityFinding("gone", Severity.WARN, "An old word."))))
    assert found.words == "image quality: An old word" and found.remedy


def thin_told(report: SafetyReport) -> list[str]:
    return [one.words for one in of_image(report) if "nowhere" in one.words]


def test_what_is_thinner_than_two_slices_and_near_is_named() -> None:
    rules = asking_for(PORTAL)
    (words,) = thin_told(judged(with_portal(4.5, slice_thickness_mm=5.0), rules))
    assert "portal_vein" in words and "aorta" not in words and "10 mm wide" in words
    assert thin_told(judged(with_portal(4.5, slice_thickness_mm=2.5), rules)) == []
    assert thin_told(judged(with_portal(4.5, slice_thickness_mm=5.0))) == []  # no hard limit: it is told as a risk


def test_what_is_thin_and_far_is_not_named() -> None:
    far = Capsule((70.0, 40.0, -12.0), (70.0, 40.0, 12.0), 3.0)
    case = case_of(solids={**SOLIDS, "portal_vein": (far, 45.0)}, slice_thickness_mm=5.0)
    assert thin_told(judged(case, asking_for(PORTAL))) == []


def contrast_told(report: SafetyReport) -> list[str]:
    return [one.words for one in of_image(report) if "contrast medium" in one.words]


def test_a_vessel_inside_an_organ_without_contrast_is_told() -> None:
    rules = asking_for(PORTAL)
    assert contrast_told(judged(with_portal(4.5), rules)) == []  # the aorta has 200 HU
    plain = {**SOLIDS, "aorta": (SOLIDS["aorta"][0], 45.0)}
    vein = Capsule((-25.0, 8.0, -12.0), (-25.0, 8.0, 12.0), 4.5)
    (words,) = contrast_told(judged(case_of(solids={**plain, "portal_vein": (vein, 45.0)}), rules))
    assert "portal_vein" in words and "the aorta has 4" in words
    assert contrast_told(judged(case_of(solids=plain), rules)) == []


def test_without_a_label_of_the_aorta_the_image_tells() -> None:
    rules = asking_for(PORTAL)
    none = told("contrast_none", Severity.INFO, "None.")
    vein = Capsule((-25.0, 8.0, -12.0), (-25.0, 8.0, 12.0), 4.5)
    solids = {**SOLIDS, "portal_vein": (vein, 45.0)}
    assert len(contrast_told(judged(case_of(solids=solids, without=("aorta",), quality=(none,)), rules))) == 1
    assert contrast_told(judged(case_of(solids=solids, without=("aorta",)), rules)) == []


def test_a_way_near_the_last_slice_is_told() -> None:
    solids = {**SOLIDS, "lesion": (Sphere((-40.0, 0.0, 0.0), 10.0), 60.0)}
    grid = grid_of()
    short = grid.crop((0, 0, 0), (grid.shape[0], grid.shape[1], 33))  # ends 7.5 mm above the way
    report = judged(case_of(grid=short, solids=solids))
    (found,) = [one for one in of_image(report) if "image's end" in one.words]
    assert "8 mm" in found.words or "7 mm" in found.words
    cut = [one for one in report.findings if "size and its middle" in one.words]
    assert [one.structure for one in cut] == ["lesion"]


@pytest.mark.parametrize(("imaged", "told_of"), [("left", True), ("right", False), ("", False)])
def test_an_image_of_the_other_side(imaged: str, told_of: bool) -> None:
    report = judged(case_of(laterality=imaged), replace(protocol_of(), sided=True), side="R")
    found = [one for one in report.findings if "header calls the image" in one.words]
    assert bool(found) is told_of and all(one.verdict is Verdict.NOT_EVALUATED for one in found)


def test_how_wide_a_label_is() -> None:
    case = case_of(grid=grid_of((1.0, 1.0, 1.0)), solids={"body": SOLIDS["body"], "aorta": SOLIDS["aorta"]})
    aorta = case.structures["aorta"]  # 18 mm wide
    assert not narrower_than(aorta, 15.0) and narrower_than(aorta, 21.0)
    assert median_hu(case.volumes["ct"], aorta) == pytest.approx(200)
    assert median_hu(case.volumes["ct"], replace(aorta, occupancy=np.minimum(aorta.occupancy, 200))) is None
