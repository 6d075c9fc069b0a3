"""What a picture says of angles, guidance and warnings, and which danger it names."""

from __future__ import annotations

from dataclasses import replace

import pytest

from navplan.model.device import Device
from navplan.model.plan import RankedTrajectory
from navplan.model.safety import Finding, FindingKind, Interval, SafetyReport, Verdict
from navplan.model.trajectory import Trajectory
from navplan.view.near_structures import choose_structures, nearest_findings
from navplan.view.scene_words import warning_words
from navplan.view.scene_writing import trajectory_words
from navplan.view.slices import needle_planes

NEEDLE = Device("n", "18 G", 18, 1.27, 150.0, 22.0)


def near(name: str, low_mm: float, place: tuple[float, float, float], verdict: Verdict = Verdict.WARN) -> Finding:
    return Finding(FindingKind.CLEARANCE, verdict, "", name, Interval(low_mm, low_mm + 3), 0.0, nearest_mm=place)


def named(*findings: Finding) -> list[str]:
    return [finding.structure for finding in nearest_findings(SafetyReport(findings, error_model="robot"))]


def test_bone_by_threshold_is_not_named_beside_the_rib_that_it_is() -> None:
    rib, other = near("rib_left_7", 0.3, (80.0, 40.0, 0.0)), near("rib_left_8", 3.8, (82.0, 44.0, -20.0))
    assert named(rib, near("bone", 0.4, (81.0, 40.0, 1.0)), other) == ["rib_left_7", "rib_left_8"]
    assert named(rib, near("bone", 0.4, (40.0, 80.0, 9.0)), other) == ["rib_left_7", "bone"]  # another place
    worse = near("bone", -0.7, (81.0, 40.0, 1.0), Verdict.FAIL)
    assert named(rib, worse, other)[0] == "bone"


@pytest.mark.parametrize(("rise_mm", "words"), [(0.0, "near axial"), (8.0, "near axial"), (44.0, "29° off axial")])
def test_a_plane_says_how_far_it_is_from_axial(rise_mm: float, words: str) -> None:
    way = Trajectory((80.0, 0.0, -rise_mm), (0.0, 0.0, 0.0), NEEDLE)
    assert needle_planes(way)[0].title == f"along the needle, {words}"


def test_what_is_not_imaged_is_listed_by_name() -> None:
    unseen = [
        Finding(FindingKind.NOT_IMAGED, Verdict.WARN, "A long story.", f"{name}*", remedy="Acknowledge it by name")
        for name in ("costophrenic_recess", "intercostal_bundle")
    ]
    report = SafetyReport(tuple(unseen), error_model="robot")
    title, detail = warning_words(unseen[0], report)
    assert title == "Not imaged: costophrenic recess, intercostal bundle" and detail == "Acknowledge it by name"


def test_a_warning_is_parted_at_its_colon() -> None:
    odd = Finding(FindingKind.IMAGE_READING, Verdict.WARN, "the image does not fit the labels: 15 mm of tissue")
    assert warning_words(odd, SafetyReport((odd,))) == ("the image does not fit the labels", "15 mm of tissue")


def test_the_chance_of_a_hit_names_its_guidance() -> None:
    way = Trajectory((80.0, 0.0, 0.0), (0.0, 0.0, 0.0), NEEDLE)
    ranked = RankedTrajectory(way, {}, 0.5, SafetyReport((), hit_probability=0.92, error_model="navigated"))
    assert "hits in ≥ 92 %, navigated" in trajectory_words(ranked, "HFS")


def test_bone_that_is_named_elsewhere_decides_no_picture(case) -> None:
    ribs = {name: s for name, s in case.structures.items() if name.startswith("rib_")}
    both = {**ribs, "bone": replace(next(iter(ribs.values())), name="bone")}
    rib = near("rib_left_7", 0.3, (80.0, 40.0, 0.0))
    same, other = near("bone", 0.4, (81.0, 44.0, 6.0)), near("bone", 0.4, (40.0, 80.0, 9.0))
    assert "bone" not in choose_structures(both, None, SafetyReport((rib, same), error_model="x"), "").deciding
    assert "bone" in choose_structures(both, None, SafetyReport((rib, other), error_model="x"), "").deciding
