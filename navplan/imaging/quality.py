"""What an image is good for, measured: short findings that stay with it, and what each means for planning.

Codes, limits and meanings: `navplan.imaging.quality_codes`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from navplan.imaging.contrast_phase import contrast_phase
from navplan.imaging.quality_codes import (
    AIR_OFFSET_HU,
    ANISOTROPY,
    EDGE_TISSUE_SHARE,
    LOWEST_HU,
    METAL_HU,
    METAL_ML,
    MUCH_METAL_SHARE,
    NOISY_HU,
    THICK_MM,
    THIN_SLAB_MM,
    TOO_THICK_MM,
    UNMEASURED_GAP_SHARE,
    told,
)
from navplan.imaging.slice_jumps import Jump, slice_jumps
from navplan.imaging.squares import squares
from navplan.model.acquisition import CONTRAST_GIVEN, QualityFinding, Severity
from navplan.model.volume import Volume

TISSUE_HU = -300.0
AIR_HU = (-1100.0, -850.0)
SOFT_HU = (20.0, 90.0)
BLOCK_MM, BLOCK_VOXELS = 6.0, (3, 8)  # side of the squares in which noise is measured
FEWEST_BLOCKS = 50
SLICES_LOOKED_AT = 60
MANY_VOXELS = 100_000  # in a slice: of larger ones every second voxel is enough for the share of a value
NAMED = 3
JUMPS = {
    "shift": ("slice_shift", "moved by {:.1f} mm against the slice before it"),
    "step": ("slice_step", "{:.1f} times as different from the slice before it as usual"),
    "repeated": ("slice_repeated", "the same as the slice before it"),
}
CONTRAST = {
    "arterial": ("contrast_arterial", "Arterial phase: large vessels in front of the spine have {hu:.0f} HU."),
    "venous": ("contrast_venous", "Portal-venous phase or later: large vessels have {hu:.0f} HU."),
    "none": ("contrast_none", "Without contrast medium: no enhanced vessel in front of the spine."),
    "unclear": ("contrast_unclear", "The contrast phase cannot be told from the image: {why}."),
}


def check_quality(volume: Volume) -> tuple[QualityFinding, ...]:
    """Findings about the slices, the field of view, the CT numbers, noise, metal, motion between slices, the contrast
    phase, and facts that the source leaves out.

    Slices are planes of the grid's third axis. Noise is the standard deviation inside the quietest tenth of
    squares of soft tissue, each 6 mm wide and within one slice. Nothing is said about what could not be measured.
    """
    findings = [*_slices(volume), *_facts(volume)]
    if volume.quantity == "HU":
        findings += _values(volume)
    return tuple(findings)


def _info(code: str, words: str) -> QualityFinding:
    return told(code, Severity.INFO, words)


def _warn(code: str, words: str) -> QualityFinding:
    return told(code, Severity.WARN, words)


def _slices(volume: Volume) -> list[QualityFinding]:
    spacing = volume.grid.spacing_mm
    thickness, gap = volume.acquisition.slice_thickness_mm, float(spacing[2])
    findings: list[QualityFinding] = []
    if thickness is None:
        words = f"Slice thickness unknown; slices are {gap:.3g} mm apart."
        findings.append(_warn("slice_thickness_unknown", words))
    elif thickness > THICK_MM:
        words = f"Slices {thickness:.3g} mm thick."
        findings.append((_warn if thickness > TOO_THICK_MM else _info)("slice_thickness", words))
    if thickness is not None and gap - thickness > UNMEASURED_GAP_SHARE * gap:
        words = (
            f"{gap - thickness:.3g} mm between slices were not measured ({thickness:.3g} mm thick, {gap:.3g} mm apart)."
        )
        findings.append(_warn("unmeasured_gaps", words))
    if spacing.max() > ANISOTROPY * spacing.min():
        words = f"Voxels {spacing.max() / spacing.min():.1f} times as long as wide."
        findings.append(_info("anisotropic_voxels", words))
    extent = gap * volume.grid.shape[2]
    if extent < THIN_SLAB_MM:
        findings.append(_info("thin_slab", f"The image is only {extent:.0f} mm thick ({volume.grid.shape[2]} slices)."))
    return findings


def _facts(volume: Volume) -> list[QualityFinding]:
    findings: list[QualityFinding] = []
    if not volume.acquisition.patient_position:
        findings.append(_warn("patient_position_unknown", "Patient position unknown."))
    if not volume.acquisition.date:
        findings.append(_warn("date_unknown", "Date unknown."))
    return findings


def _values(volume: Volume) -> list[QualityFinding]:
    lengthwise = int(np.argmax(np.abs(volume.grid.axes[2])))  # the axis that runs most along the patient
    slices = np.moveaxis(volume.voxels, lengthwise, 2)
    stride = max(1, -(-slices.shape[2] // SLICES_LOOKED_AT))
    looked_at = slices[:, :, ::stride]
    padding = volume.acquisition.padding_hu
    padded = looked_at == padding if padding is not None else np.zeros(looked_at.shape, dtype=bool)
    findings = [*_field_of_view(looked_at, padded), *_numbers(looked_at, padded), *_metal(volume)]
    noise = soft_tissue_noise_hu(volume.voxels, volume.grid.spacing_mm)
    if noise is not None:
        words = f"Noise {noise:.0f} HU in homogeneous soft tissue."
        findings.append((_warn if noise > NOISY_HU else _info)("noise", words))
    findings += _motion(volume)
    if volume.modality == "CT":
        findings += _contrast(volume, noise)
    return findings


def _motion(volume: Volume) -> list[QualityFinding]:
    jumps = slice_jumps(volume)
    repeated = {jump.below for jump in jumps if jump.kind == "repeated"}
    findings = []
    for kind, (code, words) in JUMPS.items():
        of_kind = [one for one in jumps if one.kind == kind]
        if kind == "step":  # behind a repeated slice the next one has to catch up
            of_kind = [one for one in of_kind if one.below - 1 not in repeated and one.below + 1 not in repeated]
        if of_kind:
            named = [_where(one, volume, words) for one in of_kind[:NAMED]]
            more = f", and {len(of_kind) - NAMED} more" if len(of_kind) > NAMED else ""
            findings.append(_warn(code, f"{'; '.join(named)}{more}."))
    return findings


def _where(jump: Jump, volume: Volume, words: str) -> str:
    """The slice above the jump: its number in the stack, and its height where it is axial."""
    index = (np.asarray(volume.grid.shape) - 1) / 2
    index[jump.axis] = jump.below + 1
    height_mm = float(volume.grid.points_mm(index[None])[0, 2])
    number = f"Slice {jump.below + 2} of {volume.grid.shape[jump.axis]}"
    return f"{number} (at S {height_mm:.0f} mm) is {words.format(jump.size)}"


def _contrast(volume: Volume, noise_hu: float | None) -> list[QualityFinding]:
    phase = contrast_phase(volume, noise_hu)
    code, words = CONTRAST[phase.phase]
    findings = [_info(code, words.format(hu=phase.hu, why=phase.why))]
    if phase.phase == "none" and volume.acquisition.contrast_phase == CONTRAST_GIVEN:
        words = "The header says that contrast medium was given; the large vessels do not show it."
        findings.append(_warn("contrast_not_seen", words))
    return findings


def _field_of_view(slices: NDArray[Any], padded: NDArray[np.bool_]) -> list[QualityFinding]:
    findings: list[QualityFinding] = []
    share = float(padded.mean())
    if share > 0:
        findings.append(_info("padding", f"{100 * share:.0f} % of the image lies outside the field of view."))
    edge = edge_of_field(padded)
    tissue = float(np.count_nonzero(edge & (slices > TISSUE_HU))) / max(int(np.count_nonzero(edge)), 1)
    if tissue > EDGE_TISSUE_SHARE:
        words = f"Tissue or table reaches the edge of the field of view ({100 * tissue:.1f} % of it)."
        findings.append(_warn("cut_at_edge", words))
    return findings


def edge_of_field(padded: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Voxels of the field of view that touch padding, or the image's border, along the first two axes."""
    inside = np.pad(~padded, ((1, 1), (1, 1), (0, 0)))
    surrounded = inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:]
    return np.asarray(~padded & ~surrounded)


def _numbers(slices: NDArray[Any], padded: NDArray[np.bool_]) -> list[QualityFinding]:
    thinned = slice(None, None, 2 if slices[:, :, 0].size > MANY_VOXELS else 1)
    values = slices[thinned, thinned][~padded[thinned, thinned]]
    if values.size == 0:
        return [_warn("only_padding", "The whole image is padding.")]
    findings: list[QualityFinding] = []
    air = values[(values > AIR_HU[0]) & (values < AIR_HU[1])]
    soft = float(np.count_nonzero((values > -150) & (values < 150))) / values.size
    if air.size < 1e-3 * values.size:
        findings.append(_warn("no_air", "No air at its CT number (-1000): are these Hounsfield units?"))
    elif abs(float(np.median(air)) + 1000) > AIR_OFFSET_HU:
        findings.append(_warn("air_offset", f"Air reads {float(np.median(air)):.0f} HU, not -1000."))
    if soft < 0.01:
        findings.append(_warn("no_soft_tissue", f"Only {100 * soft:.1f} % of the values are those of soft tissue."))
    below = int(np.count_nonzero(values < LOWEST_HU))
    if below > 1e-4 * values.size:
        words = f"{100 * below / values.size:.2g} % of the values are below air: {float(values.min()):.0f} HU and up."
        findings.append(_info("below_air", words))
    return findings


def _metal(volume: Volume) -> list[QualityFinding]:
    count = int(np.count_nonzero(volume.voxels.T > METAL_HU))
    millilitres = count * float(np.prod(volume.grid.spacing_mm)) / 1000
    if millilitres < METAL_ML:
        return []
    much = count > MUCH_METAL_SHARE * volume.voxels.size
    words = f"{millilitres:.2g} ml at metal's CT numbers (above {METAL_HU:.0f} HU)."
    return [(_warn if much else _info)("metal", words)]


def soft_tissue_noise_hu(voxels: NDArray[Any], spacing_mm: NDArray[np.float64]) -> float | None:
    """Standard deviation (HU) in homogeneous soft tissue; None where the image shows too little of it."""
    stride = max(1, voxels.shape[2] // 40)
    sides = np.clip(np.rint(BLOCK_MM / spacing_mm[:2]).astype(int), *BLOCK_VOXELS)
    counts = np.array(voxels.shape[:2]) // sides
    if not counts.all():
        return None
    mean, deviation = squares(voxels[:, :, ::stride], sides, ddof=1)
    soft = deviation[(mean > SOFT_HU[0]) & (mean < SOFT_HU[1])]
    return float(np.percentile(soft, 10)) if soft.size >= FEWEST_BLOCKS else None
