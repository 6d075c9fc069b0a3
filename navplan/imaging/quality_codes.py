"""Every thing that is told about an image: its code, its limit, how much it matters, and what it means for planning.

Limits without a source are starting values, chosen so that ordinary diagnostic CT gives few findings. The table in
docs/image-quality.md is made from this one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from navplan.model.acquisition import QualityFinding, Severity

THICK_MM, TOO_THICK_MM = 2.5, 5.0
UNMEASURED_GAP_SHARE = 0.05  # of the distance between slices
ANISOTROPY = 3.0
THIN_SLAB_MM = 40.0
EDGE_TISSUE_SHARE = 0.005
AIR_OFFSET_HU = 50.0
LOWEST_HU = -1100.0
METAL_HU, METAL_ML, MUCH_METAL_SHARE = 2900.0, 0.05, 5e-4
NOISY_HU = 40.0
SHIFT_MM = 1.5  # real CTs: 0.6 mm at most
STEP_RATIO, STEP_SIGMAS = 1.28, 3.0  # real CTs: 1.26 at most
SAME_RATIO = 0.2  # real CTs: 0.8 at least
ENHANCED_HU = 95.0  # blood without contrast has 30-60 HU
VENOUS_HU, ARTERIAL_HU = 205.0, 225.0  # below the one: portal-venous or later; above the other: arterial
ARTERIAL_S, VENOUS_S = 45.0, 120.0  # after the start of the injection

UNSOURCED = "unsourced starting value"
PHASES = (
    "unsourced starting values; aorta 290-360 HU in the late arterial phase (radiopaedia.org, late arterial phase),"
    " enhanced by 117-125 HU 45-55 s after it began to be ('Optimizing scan delays for bolus-tracking techniques', MDCT"
    " of the liver)"
)
NO_NUMBER = "it is said in the file"
INFO, WARN = (Severity.INFO,), (Severity.WARN,)
EITHER = (Severity.INFO, Severity.WARN)
BY_ITSELF = "a finding of its own"
BY_SKIN = "no entry there"


@dataclass(frozen=True)
class QualityCode:
    """One code. tells: what is seen; limit: from where on it is told; means: for planning; apart: how the safety report
    tells it, "" for WARNs that stand in it as "image quality"."""

    code: str
    severities: tuple[Severity, ...]
    tells: str
    limit: str
    means: str
    source: str = UNSOURCED
    apart: str = ""


CODES = {one.code: one for one in (
    QualityCode(
        "slice_thickness_unknown", WARN, "the file does not state the thickness of the slices", NO_NUMBER,
        "What is thinner than a slice may not show, and nobody knows how thin that is.", apart=BY_ITSELF,
    ),
    QualityCode(
        "slice_thickness", EITHER, "thick slices", f"above {THICK_MM:g} mm; WARN above {TOO_THICK_MM:g} mm",
        "Thin vessels, nerves and pleura blur into what lies beside them; depth along the slices is uncertain.",
    ),
    QualityCode(
        "unmeasured_gaps", WARN, "tissue between slices that was not measured",
        f"above {100 * UNMEASURED_GAP_SHARE:g} % of the distance between slices",
        "A structure can lie in a gap unseen, and a clearance there is interpolated.",
    ),
    QualityCode(
        "anisotropic_voxels", INFO, "voxels that are longer than wide", f"above {ANISOTROPY:g} times",
        "Distances across the slices are known less well than within one.",
    ),
    QualityCode(
        "thin_slab", INFO, "an image that shows a thin slab", f"below {THIN_SLAB_MM:g} mm",
        "A way that is tilted along the patient soon leaves the image.",
    ),
    QualityCode(
        "uneven_slices", INFO, "gaps between slices that are not equal, brought to an even grid by positions",
        "a slice 0.1 mm, or a tenth of the gap, from its even place",
        "Slices that lie between measured ones were interpolated.", source="decision 19",
    ),
    QualityCode(
        "missing_slices", WARN, "a gap that is not how the series was sampled: slices are missing",
        "above 1.5 times the usual gap, unless three and more in a row are alike",
        "Nothing is known there; a way through it is not evaluated.", source="decision 19",
    ),
    QualityCode(
        "bridged_gap", WARN, "a gap with missing slices that a person let be interpolated", "as far as was accepted",
        "What lies there was never imaged: a structure in it cannot be seen, and none is kept clear of.",
        source="decision 19",
    ),
    QualityCode(
        "copies", INFO, "slices that were there twice, with the same values", NO_NUMBER,
        "Nothing: one of each was read.",
        source="decision 19",
    ),
    QualityCode(
        "no_suv", WARN, "a PET without what standardised uptake values need", NO_NUMBER,
        "Uptake cannot be compared with another scan, nor with a limit.", source="QIBA FDG-PET profile",
    ),
    QualityCode(
        "colours", WARN, "colours, of which the brightness was kept", NO_NUMBER,
        "A picture of an image: its values measure nothing.",
    ),
    QualityCode(
        "picture_stack", WARN, "pictures whose spacing, order and directions a person stated", NO_NUMBER,
        "Nothing in the files bears out a length or a side: check both on something known.",
    ),
    QualityCode(
        "secondary_capture", WARN, "a secondary capture", NO_NUMBER,
        "Its values may be those of a screen: thresholds and segmenters do not hold.",
    ),
    QualityCode(
        "own_axes", WARN, "an ultrasound volume with axes of its own", NO_NUMBER,
        "Left, front and head are not the patient's: register it before you rely on a side.",
    ),
    QualityCode(
        "tilted_stack", INFO, "slices tilted against the direction in which they are stacked",
        "by their positions; the header's angle is not used",
        "The stack was made upright within its slices; the image lacks corners where a way may have to go.",
    ),
    QualityCode(
        "patient_position_unknown", WARN, "the file does not say how the patient lay", NO_NUMBER,
        "Down, and so the couch and the side on which a hand can work, are not known.", apart=BY_ITSELF,
    ),
    QualityCode(
        "date_unknown", WARN, "the file does not say when the image was taken", NO_NUMBER,
        "The patient may have changed since: drains, effusions and lesions move.", apart=BY_ITSELF,
    ),
    QualityCode(
        "age", INFO, "how old the image is", "always told; the protocol says how old it may be",
        "The older it is, the less the patient still looks like it.", "the protocol", apart=BY_ITSELF,
    ),
    QualityCode(
        "date_ahead", WARN, "a date after today's", "more than a day",
        "The date is wrong, or that of this computer: the image's age is not known.", apart=BY_ITSELF,
    ),
    QualityCode(
        "padding", INFO, "a part of the image that was not reconstructed", "any",
        "No way may run there: it is not evaluated.",
    ),
    QualityCode(
        "cut_at_edge", WARN, "tissue or table at the edge of the field of view",
        f"above {100 * EDGE_TISSUE_SHARE:g} % of the edge",
        "There is no skin where the field of view cuts the body: no entry can be planned there.", apart=BY_SKIN,
    ),
    QualityCode(
        "only_padding", WARN, "nothing was reconstructed", "all of the image", "Nothing can be planned on it.",
    ),
    QualityCode(
        "no_air", WARN, "no air at its CT number", "below 0.1 % of the values",
        "Skin, lung and bowel gas are found by CT numbers: without air's they may all be wrong.",
    ),
    QualityCode(
        "air_offset", WARN, "air that reads otherwise than -1000 HU", f"by more than {AIR_OFFSET_HU:g} HU",
        "Every threshold in HU is off: skin and lung may be found in the wrong place.",
    ),
    QualityCode(
        "no_soft_tissue", WARN, "hardly a value of soft tissue", "below 1 % within 150 HU of 0",
        "The values may be no Hounsfield units: what is found by thresholds is wrong.",
    ),
    QualityCode(
        "below_air", INFO, "values below air", f"above 0.01 % below {LOWEST_HU:g} HU",
        "Padding, or streaks: do not read tissue from values near them.",
    ),
    QualityCode(
        "metal", EITHER, "metal, or undiluted contrast medium",
        f"{METAL_ML:g} ml above {METAL_HU:g} HU; WARN above {100 * MUCH_METAL_SHARE:g} % of the image",
        "Streaks beside it hide tissue or feign it: a clearance near it is not to be trusted.",
    ),
    QualityCode(
        "noise", EITHER, "noise in the quietest soft tissue", f"always told; WARN above {NOISY_HU:g} HU",
        "Noise of the size of the differences between soft tissues hides vessels and the edge of the target.",
    ),
    QualityCode(
        "slice_shift", WARN, "a sudden shift within the slices", f"above {SHIFT_MM:g} mm against the slices beside it",
        "The patient moved: beyond that slice everything lies elsewhere than the image says.",
    ),
    QualityCode(
        "slice_step", WARN, "slices that differ far more than those beside them",
        f"above {STEP_RATIO:g} times and {STEP_SIGMAS:g} robust standard deviations",
        "A slice is missing, or the patient breathed: across that slice lengths and surfaces are wrong.",
    ),
    QualityCode(
        "slice_repeated", WARN, "two slices that are the same", f"below {SAME_RATIO:g} of the usual difference",
        "One of the two was never measured: what lay there is not shown.",
    ),
    QualityCode(
        "contrast_arterial", INFO, "bright large vessels in front of the spine", f"above {ARTERIAL_HU:g} HU",
        "Arteries stand out; veins, and the edge of many lesions, may not yet.", PHASES,
    ),
    QualityCode(
        "contrast_venous", INFO, "large vessels moderately enhanced", f"{ENHANCED_HU:g} to {VENOUS_HU:g} HU",
        "Portal-venous or later: veins and organs show well, small arteries less.", PHASES,
    ),
    QualityCode(
        "contrast_none", INFO, "no enhanced vessel in front of the spine", f"none above {ENHANCED_HU:g} HU",
        "Vessels inside organs, and the edge of many lesions, do not show: their labels are guesses.", PHASES,
    ),
    QualityCode(
        "contrast_unclear", INFO, "the phase cannot be told from the image", "none of the above",
        "Look which vessels show before you rely on the labels of vessels.", PHASES,
    ),
    QualityCode(
        "contrast_delay", INFO, "the time from the injection to the image, by the header",
        f"arterial to {ARTERIAL_S:g} s, portal-venous to {VENOUS_S:g} s, delayed after it",
        "It says which vessels should show; what the image shows counts.",
    ),
    QualityCode(
        "contrast_not_seen", WARN, "the header says that contrast medium was given; no large vessel shows it",
        f"none above {ENHANCED_HU:g} HU, and not by mouth alone",
        "The image may be of another phase, or the medium may have gone elsewhere: vessels do not show.",
    ),
    QualityCode(
        "kernel_sharp", WARN, "reconstructed with a kernel for lung or bone",
        "by the name: Siemens B/H/I/Q/U/... from 50 up, GE LUNG, BONE, EDGE, Philips C, D, E, L, YC..YE,"
        " Canon FC30-39, FC50-59, FC80-89",
        "Noise and bright edges shift thresholds and mislead segmenters: plan on a soft-tissue reconstruction.",
        "vendors' names; where sharp begins is an unsourced starting value",
    ),
    QualityCode(
        "kernel_unknown", INFO, "a kernel that is not stated, or whose name is not known", "by the name",
        "Edges may be sharpened or noise enhanced: compare a segmented surface with the image.",
    ),
    QualityCode(
        "position_contradicts_orientation", EITHER,
        "rows of the picture do not run down to the side on which the header says that the patient lay",
        "CT, axial; INFO where the image is derived",
        "Position or orientation in the header is wrong, or the picture was turned: front and back may be exchanged.",
        "DICOM PS3.3 C.7.3.1.1.2 and C.7.6.2.1.1; a CT's picture shows the couch at its bottom",
    ),
    QualityCode(
        "positions_differ", WARN, "slices that state different patient positions", "any",
        "The slices may be of two scans, or the position is not known.",
    ),
    QualityCode(
        "laterality", INFO, "the header names a side", NO_NUMBER,
        "The image is said to show one side: a plan on the other side is not evaluated on it.", apart=BY_ITSELF,
    ),
    QualityCode(
        "laterality_contradicts", WARN, "the header names both sides", "any",
        "Which side was imaged is not known: compare with the request.",
    ),
    QualityCode(
        "body_part", INFO, "the part of the body that the header names", NO_NUMBER,
        "Headers are often wrong about it; what the image shows counts.",
        "15 % of CT headers wrong: Gueld et al., Proc SPIE 4685 (2002)",
    ),
    QualityCode(
        "frame_shared", INFO, "images that share a frame of reference", NO_NUMBER,
        "They lie as the scanner saw them; the patient may have moved or breathed in between.",
        "DICOM PS3.3 C.7.4.1",
    ),
    QualityCode(
        "frame_other", INFO, "images with different frames of reference", NO_NUMBER,
        "Labels and plans go from one to the other only by a registration.", "DICOM PS3.3 C.7.4.1",
        BY_ITSELF,
    ),
    QualityCode(
        "frame_unknown", INFO, "an image among several that states no frame of reference", NO_NUMBER,
        "Nothing says that they lie in the same space: register them, or compare them first.",
    ),
    QualityCode(
        "unread_files", WARN, "files beside the series that could not be read", "any",
        "Slices at its ends may be missing: the image may show less than was scanned.",
    ),
    QualityCode(
        "lossy", WARN, "lossy compression", NO_NUMBER,
        "Values, and fine structures, are not those that were measured.",
    ),
    QualityCode(
        "not_said_to_be_hu", WARN, "a CT whose values the header does not call HU", NO_NUMBER,
        "Thresholds in HU may be wrong: skin, lung and bone may be found in the wrong place.",
    ),
    QualityCode(
        "modality_unknown", WARN, "a file that does not say what was measured, and shows no air", "no value below -700",
        "Nothing is found in it by CT numbers: state the modality at import where it is CT.",
    ),
    QualityCode(
        "two_orientations", WARN, "a file that states two orientations", NO_NUMBER,
        "Left and right may be exchanged: compare with the patient.",
    ),
    QualityCode(
        "label_map", INFO, "a file that says that its values are labels", NO_NUMBER, "It is no image to plan on.",
    ),
)}  # fmt: skip


def told(code: str, severity: Severity, words: str) -> QualityFinding:
    """A finding with what it means. Raises KeyError for a code that is not in the table."""
    return QualityFinding(code, severity, words, CODES[code].means)


def explained(findings: Iterable[QualityFinding]) -> tuple[QualityFinding, ...]:
    """The findings, with what they mean where they do not say it and the code is known."""
    return tuple(
        replace(one, means=CODES[one.code].means) if one.code in CODES and not one.means else one for one in findings
    )
