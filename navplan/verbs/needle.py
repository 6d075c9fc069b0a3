"""needle: the needle half way in, on the image that a plan is on: where it stands, and what corrects it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from navplan.errors import ChoiceError, InputError
from navplan.imaging.needle_in_image import FoundNeedle, find_needle
from navplan.model.case import Case
from navplan.model.plan import Plan
from navplan.model.safety import Finding, FindingKind, SafetyReport, Verdict
from navplan.planning.carried_plan import entry_on_skin
from navplan.planning.correction import Correction, correction
from navplan.verbs.check import checked_way, refuse_other_image

LONGEST_MM = 250.0  # a needle in the body


@dataclass(frozen=True, eq=False)
class NeedleInPlace:
    """needle: as the image shows it; correction: of it; report: the judgement of the way from where it goes in to the
    target, as it is once corrected; never PASS: the turn in the tissue is not judged."""

    needle: FoundNeedle
    correction: Correction
    report: SafetyReport

    @property
    def words(self) -> tuple[str, ...]:
        """Lines for a person."""
        sure = f"tip found to {self.needle.tip_error_mm:.1f} mm, angle to {self.needle.angle_error_deg:.1f} deg"
        x, y, z = self.needle.tip_mm
        return (
            f"needle seen over {self.needle.seen_mm:.0f} mm, its tip at ({x:.1f}, {y:.1f}, {z:.1f}) mm LPS ({sure})",
            self.correction.stands, self.correction.words,
        )  # fmt: skip


def needle_in(case: Case, plan: Plan | str | Path, trajectory: int = 0) -> NeedleInPlace:
    """Find the needle of one way of a plan (counted from 0) on the plan's own image, and say what corrects it.

    A plan of another image is carried first (`transfer`). Raises MismatchError for a plan of an image that the case
    does not hold, ChoiceError for an unknown plan or way, InputError where no needle is seen near the way, or no skin.
    """
    if isinstance(plan, Plan):
        found = plan
    elif str(plan) not in case.plans and Path(plan).suffix == ".json" and Path(plan).exists():
        from navplan.files.plan_json import read_plan

        found = read_plan(Path(plan))
    else:
        found = case.plan(str(plan))
    refuse_other_image(case, found)
    if not 0 <= trajectory < len(found.trajectories):
        raise ChoiceError(f"way {trajectory + 1} of plan {found.id}", f"1 to {len(found.trajectories)}")
    way = found.trajectories[trajectory].trajectory
    image_id = found.provenance.image_id
    needle = find_needle(case.volumes[image_id], np.asarray(way.entry_mm), np.asarray(way.target_mm))
    body = case.structures_of(image_id).get("body")
    if body is None or body.grid is None:
        raise InputError(f"image {image_id} without a body", "its outline", "navplan segment CASE --segmenter ct-basic")
    skin = entry_on_skin(body, needle.tip_mm, needle.point_at_mm(LONGEST_MM), farthest_mm=LONGEST_MM)
    if skin is None:
        raise InputError("a needle whose tip is not in the body", "a needle that has gone in")
    told = correction(way, needle.tip_mm, needle.direction, skin)
    report = checked_way(case, found, trajectory, entry=[float(value) for value in skin]).report
    bent = Finding(
        FindingKind.RULES, Verdict.WARN,
        "judged as the straight way from where the needle goes in: neither its turn in the tissue nor the error of its"
        " place in the image",
        remedy="Take a control scan after the correction, and check the needle's way on it",
    )  # fmt: skip
    return NeedleInPlace(needle, told, replace(report, findings=(bent, *report.findings)))
