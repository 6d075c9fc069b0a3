"""Whether an image is fit to plan this way on: age, quality, what it shows at all, and of which side it is.

Limits without a source are starting values.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from navplan.imaging.contrast_phase import phase_of
from navplan.imaging.quality_codes import CODES
from navplan.model.acquisition import Severity
from navplan.model.anatomy import Tissue
from navplan.model.finding import THIN
from navplan.model.safety import Finding, FindingKind, Verdict
from navplan.model.trajectory import Trajectory
from navplan.planning.situation import Situation
from navplan.planning.thin_structures import median_hu, narrower_than

UNPROVEN = "not proven to be this patient's, recent, or of known thickness"
UNPROVEN_REMEDY = (
    "Compare with the request and the archive; import takes --date and --slice-thickness where the file is silent"
)
THICKNESS_UNKNOWN = "slice_thickness_unknown"
LOOK = "Look at the images before you rely on them"
SLICES = 2.0  # what is thinner than so many slices may vanish between them (unsourced; sampling takes two at least)
END_MM = 10.0  # a way that ends nearer to the image's first or last slice has no margin there (unsourced)
INSIDE_ORGANS = ("portal_v*", "hepatic_[av]*", "renal_[av]*", "splenic_[av]*", "pulmonary_[av]*")  # no fat
VESSEL_NEAR_MM = 20.0  # a vessel further from the needle does not decide about this way (unsourced)
NAMED = 5


def image(trajectory: Trajectory, situation: Situation, clearances: Sequence[Finding]) -> list[Finding]:
    """Age and quality of the image; what near this way it may not show. clearances: the findings so far, of which
    those on clearances tell what is near."""
    return [
        *_age(situation), *_quality(situation), *_thin(situation, clearances),
        *_without_contrast(situation, clearances), *_ends(trajectory, situation),
        *_cut_target(situation), *_imaged_side(situation),
    ]  # fmt: skip


def _age(situation: Situation) -> list[Finding]:
    findings = []
    limit = situation.protocol.max_image_age_days
    taken = situation.image.acquisition.day()
    if situation.image.modality != situation.protocol.modality:
        words = f"{situation.image.modality}, the protocol plans on {situation.protocol.modality}"
        findings.append(Finding(FindingKind.IMAGE, Verdict.NOT_EVALUATED, words, remedy="Use an image of that kind"))
    if taken is None:
        findings.append(
            Finding(
                FindingKind.IMAGE,
                Verdict.WARN,
                "the image does not say when it was taken",
                remedy=UNPROVEN_REMEDY,
                gap=UNPROVEN,
            )
        )
    else:
        age = (datetime.fromisoformat(situation.today).date() - taken).days
        words = f"the image is {age} days old, at most {limit.value:g} allowed"
        old = age > limit.value or age < 0
        findings.append(
            Finding(
                FindingKind.IMAGE,
                Verdict.NOT_EVALUATED if old else Verdict.PASS,
                words,
                source=limit.source,
                remedy="Take a new planning scan" if old else "",
            )
        )
    return findings


def _quality(situation: Situation) -> list[Finding]:
    """Every WARN of the image's quality that has no finding of its own, with what it means."""
    findings = []
    for one in situation.image.acquisition.quality:
        if one.severity is not Severity.WARN:
            continue
        words = one.words.rstrip(".")
        if one.code == THICKNESS_UNKNOWN:
            found = Finding(FindingKind.IMAGE, Verdict.WARN, words, remedy=UNPROVEN_REMEDY, gap=UNPROVEN)
            findings.append(found)
        elif one.code not in CODES or not CODES[one.code].apart:
            remedy = f"{one.means.rstrip('.')}. {LOOK}" if one.means else LOOK
            findings.append(Finding(FindingKind.IMAGE, Verdict.WARN, f"image quality: {words}", remedy=remedy))
    return findings


def slice_mm(situation: Situation) -> float:
    """How far apart two places along the slices' stack must lie to be seen apart: thickness or distance of slices."""
    return max(situation.image.acquisition.slice_thickness_mm or 0.0, float(situation.image.grid.spacing_mm[2]))


def _thin(situation: Situation, clearances: Sequence[Finding]) -> list[Finding]:
    """Structures with a hard limit that lie near this way and are nowhere two slices wide. Not bone: a sliver of it
    shows by its CT number, and the image is read along the shaft."""
    least_mm = SLICES * slice_mm(situation)
    thin = []
    for finding in clearances:
        near = finding.distance is not None and finding.distance.low_mm < (finding.required_mm or 0.0) + least_mm
        if finding.kind is not FindingKind.CLEARANCE or not near or finding.gap == THIN:
            continue
        one = situation.structures[finding.structure]
        limited = situation.protocol.limit_for(finding.structure, situation.side) is not None
        if limited and one.anatomy.tissue is not Tissue.BONE and narrower_than(one, least_mm):
            thin.append(finding.structure)
    thin = list(dict.fromkeys(thin))
    if not thin:
        return []
    words = f"slices of {least_mm / SLICES:.3g} mm, and near this way {_named(thin)}: nowhere {least_mm:.3g} mm wide"
    remedy = "Follow each through the slices: it may go on where no label says so; thinner slices would show it"
    return [Finding(FindingKind.IMAGE, Verdict.WARN, words, thin[0] if len(thin) == 1 else "", remedy=remedy)]


def _without_contrast(situation: Situation, clearances: Sequence[Finding]) -> list[Finding]:
    """Vessels inside organs that lie near this way, labelled on an image that does not show them."""
    vessels = [
        one.structure for one in clearances
        if one.kind is FindingKind.CLEARANCE and one.distance is not None and one.distance.low_mm < VESSEL_NEAR_MM
        and any(fnmatchcase(one.structure, pattern) for pattern in INSIDE_ORGANS)
    ]  # fmt: skip
    vessels = list(dict.fromkeys(vessels))
    if not vessels or situation.image.quantity != "HU":
        return []
    aorta = situation.structures.get("aorta")
    hu = None if aorta is None else median_hu(situation.image, aorta)
    codes = {one.code for one in situation.image.acquisition.quality}
    told = phase_of(hu).phase if hu is not None else "none" if "contrast_none" in codes else ""
    if told != "none":
        return []
    seen = f"the aorta has {hu:.0f} HU" if hu is not None else "no enhanced vessel is seen"
    words = f"taken without contrast medium ({seen}): where {_named(vessels)} ends, no voxel tells"
    remedy = "Look for vessels along the way; take an image with contrast medium where they decide"
    return [Finding(FindingKind.IMAGE, Verdict.WARN, words, remedy=remedy)]


def _ends(trajectory: Trajectory, situation: Situation) -> list[Finding]:
    """A way that comes near the image's first or last slice (along its third axis): what lies beyond is not shown."""
    grid = situation.image.grid
    points = np.asarray([trajectory.entry_mm, trajectory.target_mm, trajectory.swept_end_mm])
    beyond_mm = _to_the_ends_mm(grid.indices(points)[:, 2], grid.shape[2], float(grid.spacing_mm[2]))
    nearest = int(beyond_mm.argmin())
    if not 0 <= beyond_mm[nearest] < END_MM:
        return []  # beyond it: told where the way leaves the image
    what = ("the entry", "the point aimed at", "the end of the throw")[nearest]
    words = f"{what} lies {beyond_mm[nearest]:.0f} mm from the image's end: what lies beyond is not shown"
    remedy = "Take an image that shows more, or look for what may lie beyond it"
    return [Finding(FindingKind.IMAGE, Verdict.WARN, words, remedy=remedy)]


def _to_the_ends_mm(index: NDArray[np.float64], count: int, spacing_mm: float) -> NDArray[np.float64]:
    """From the middle of slices to the nearer outer face of the stack, negative outside."""
    return np.asarray(np.minimum(index + 0.5, count - 0.5 - index) * spacing_mm)


def _cut_target(situation: Situation) -> list[Finding]:
    boundary = situation.target_boundary
    if boundary is None or not boundary.cut.any():
        return []
    words = "cut by the edge of the image: its size and its middle are not known"
    remedy = "Take an image that shows it whole"
    return [Finding(FindingKind.TARGET, Verdict.WARN, words, situation.target.structure, remedy=remedy)]


def _imaged_side(situation: Situation) -> list[Finding]:
    """An image that its header calls one of the other side."""
    imaged, side = situation.image.acquisition.laterality, situation.side or situation.requested_side
    if not imaged or not side or imaged == side:
        return []
    words = f"the header calls the image {imaged}, the procedure is {side}"
    remedy = "Check the request, and whether this is the image of that side"
    return [Finding(FindingKind.SIDE, Verdict.NOT_EVALUATED, words, remedy=remedy)]


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
