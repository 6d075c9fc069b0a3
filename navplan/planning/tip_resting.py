"""Which ways may have their tip rest on a structure: for the search, the judgement and a needle that is moved alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navplan.model.safety import THIN, Finding, FindingKind, Verdict
from navplan.model.trajectory import Trajectory
from navplan.planning.margins import margins
from navplan.planning.situation import Risk, Situation
from navplan.planning.tip_contact import Through, TipDepths, shaft_ends_mm, tip_depths


@dataclass(frozen=True, eq=False)
class Resting:
    """rows (R,): of the ways, those whose tip rests on a structure, and is proven to keep the protocol's leave;
    shaft_low_mm, shaft_along_mm (R,): lower end of the shaft's clearance, and how deep it is nearest."""

    rows: NDArray[np.int64]
    shaft_low_mm: NDArray[np.float64]
    shaft_along_mm: NDArray[np.float64]


def tips_resting(
    situation: Situation,
    entries_mm: NDArray[np.float64],
    ends_mm: NDArray[np.float64],
    radius_mm: float,
    low_mm: NDArray[np.floating],
) -> Mapping[int, Resting]:
    """Of N ways (entries, swept ends: (N, 3) LPS mm), by the structure's column in low_mm (N, S; lower ends of whole
    needles): those whose limit is missed by the tip alone, as the protocol gives leave."""
    found = {}
    for column, risk in enumerate(situation.risks):
        if risk.contact is None:
            continue
        rows = np.flatnonzero(low_mm[:, column] < risk.required_mm)
        if not len(rows):
            continue
        starts, ends = entries_mm[rows], ends_mm[rows]
        shaft = margins([risk.boundary], starts, shaft_ends_mm(starts, ends, risk.contact))
        clear_mm = shaft.low_mm(radius_mm)[:, 0]
        kept = np.flatnonzero(clear_mm >= risk.required_mm)
        if len(kept):
            depths = tip_depths(risk.boundary, starts[kept], ends[kept], radius_mm, risk.contact)
            kept = kept[depths.allowed(risk.contact)]
        found[column] = Resting(rows[kept], clear_mm[kept], shaft.along_mm[kept, 0])
    return found


def rests(trajectory: Trajectory, risk: Risk, whole_low_mm: float) -> TipDepths | None:
    """The depth of a way's tip, where the protocol gives leave and the whole needle is not proven to keep its limit;
    None elsewhere: then it is judged as any needle."""
    if risk.contact is None or whole_low_mm >= risk.required_mm:
        return None
    start = np.asarray(trajectory.entry_mm, dtype=np.float64)
    return tip_depths(
        risk.boundary, start[None], trajectory.swept_end_mm[None], trajectory.device.radius_mm, risk.contact
    )


def contact_finding(trajectory: Trajectory, risk: Risk, depths: TipDepths, not_evaluated: str) -> Finding:
    """What the tip does on the structure that it may rest on. not_evaluated: why its clearance is not, or ""."""
    contact = risk.contact
    assert contact is not None
    interval, through = depths.interval(0), Through(int(depths.through[0]))
    tip = trajectory.swept_end_mm
    boundary = risk.boundary
    nearest = boundary.centres_mm[int(np.argmin(np.linalg.norm(boundary.centres_mm - tip, axis=1)))]
    told = f"the tip rests on it: contact {_depth_words(interval.low_mm, interval.high_mm)}"
    verdict, words, remedy = Verdict.PASS, f"{told}, up to {contact.depth_mm:g} mm allowed", ""
    if through is Through.YES:
        verdict, words = Verdict.FAIL, "the tip goes through it: it may touch it, and stay"
        remedy = "Aim at its surface, or choose another way in"
    elif interval.low_mm > contact.depth_mm:
        verdict, words = Verdict.FAIL, f"{told}: more than {contact.depth_mm:g} mm"
        remedy = "Aim at its surface, or choose another way in"
    elif not_evaluated:
        verdict, words, remedy = Verdict.NOT_EVALUATED, not_evaluated, "Take an image that shows it whole"
    elif not boundary.locally_thick(nearest):
        verdict, words = Verdict.WARN, f"{THIN} ({boundary.diagonal_mm:.1f} mm) where the tip rests; {told}, not proven"
        remedy = "Look at the reformats; fractional or finer labels would bound it"
    elif through is Through.NOT_PROVEN:
        verdict = Verdict.WARN
        words = f"{told}; that it stops the tip is not proven: too little of it behind the tip for voxels of"
        words += f" {boundary.diagonal_mm:.1f} mm"
        remedy = "Aim where more of it lies behind the tip, or look at the reformats"
    elif interval.high_mm > contact.depth_mm:
        verdict, words = Verdict.WARN, f"{told}: that it is no more than {contact.depth_mm:g} mm is not proven"
        remedy = "Aim a little short of it, or finer labels"
    x, y, z = (float(value) for value in tip)
    u, v, w = (float(value) for value in nearest)
    return Finding(
        FindingKind.CONTACT, verdict, words, risk.name, nearest_mm=(u, v, w), needle_mm=(x, y, z),
        at_depth_mm=trajectory.swept_depth_mm, source=contact.source, remedy=remedy,
    )  # fmt: skip


def _depth_words(low_mm: float, high_mm: float) -> str:
    """ "0.4 mm before its surface to 1.2 mm below it" """
    if low_mm >= 0:
        return f"{low_mm:.1f} to {high_mm:.1f} mm below its surface"
    if high_mm <= 0:
        return f"{-high_mm:.1f} to {-low_mm:.1f} mm before its surface"
    return f"{-low_mm:.1f} mm before its surface to {high_mm:.1f} mm below it"
