"""Why a needle that is known to lie somewhere is not shown green: the plan, the planned line, the structures."""

from __future__ import annotations

from collections.abc import Sequence

from navplan.model.finding import THIN, Finding, FindingKind, Verdict, tenth_below
from navplan.model.trajectory import Trajectory
from navplan.navigation.approach import Approach
from navplan.navigation.limits import GuidanceLimits
from navplan.navigation.live_margin import StructureMargin
from navplan.navigation.watchdog import Reason

JUDGED_LIVE = (FindingKind.CLEARANCE, FindingKind.CONTACT)  # of the plan's findings; all others stay in force
REACH = 3.0  # standard deviations of the needle's error: structures farther away than that are beyond its reach


def of_plan(findings: Sequence[Finding]) -> tuple[Reason, ...]:
    """What stays open in the plan's own report, apart from what is measured live."""
    if not findings:
        return (Reason("plan:report", "the plan's way was not judged"),)
    left = [f for f in findings if f.kind not in JUDGED_LIVE and f.verdict is not Verdict.PASS]
    if not left:
        return ()
    first = min(left, key=lambda finding: finding.verdict.rank)
    about = f"{first.structure}: {first.words}" if first.structure else first.words
    which = f" (the worst of {len(left)})" if len(left) > 1 else ""
    return (Reason("plan:open", f"open in the plan{which}: {about}", first.verdict, len(left)),)


def off_plan(at: Approach, way: Trajectory, limits: GuidanceLimits, missed: str) -> list[Reason]:
    """What of the plan does not hold for where the needle is. missed: the structure aimed at where its line passes that
    by, else ""."""
    found = []
    aside = max(at.entry_aside_mm, at.target_aside_mm)
    if aside > limits.off_line_mm or at.angle_deg > limits.off_angle_deg:
        words = f"{aside:.1f} mm and {at.angle_deg:.1f} deg off the planned line: skin, image and rules were judged"
        found.append(Reason("plan:off-line", f"{words} on that line only", Verdict.WARN))
    if at.depth_mm > way.tip_depth_mm + limits.overshoot_mm:
        beyond = at.depth_mm - way.tip_depth_mm
        found.append(Reason("plan:too-deep", f"the tip is {beyond:.1f} mm past the planned depth", Verdict.FAIL))
    if missed:
        words = f"the needle's line passes {missed} by"
        found.append(Reason("plan:misses", f"{words}: {at.target_aside_mm:.1f} mm beside its point", Verdict.WARN))
    return found


def of_margins(found: Sequence[StructureMargin], error_mm: float) -> list[Reason]:
    """A reason of each structure that is not clear. Those that are thin and no more, too far away for the needle's
    error to reach what is asked, are told in one: none of them asks for anything by itself."""
    far = [one for one in found if one.thin and one.low_mm - one.required_mm > REACH * error_mm]
    together = {one.name for one in far} if len(far) > 1 else set()
    reasons = [
        Reason(f"margin:{one.name}", f"{one.name}: {one.words}", one.verdict)
        for one in found if one.verdict is not Verdict.PASS and one.name not in together
    ]  # fmt: skip
    if together:
        near = min(far, key=lambda one: one.low_mm)
        words = (
            f"{len(far)} structures are {THIN} at their nearest point, all beyond reach of the error: {near.name} "
            f"{tenth_below(near.low_mm):.1f} mm and more, the others farther"
        )
        reasons.append(Reason("margin:thin", words, Verdict.WARN, len(far)))
    return reasons
