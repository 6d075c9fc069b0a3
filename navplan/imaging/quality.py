"""What an image is good for, measured: short findings that stay with it.

Limits without a source beside them are starting values, chosen so that ordinary diagnostic CT gives few findings.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from navplan.model.acquisition import QualityFinding, Severity
from navplan.model.volume import Volume

THICK_MM, TOO_THICK_MM = 2.5, 5.0
UNMEASURED_GAP_SHARE = 0.05  # of the distance between slices
ANISOTROPY = 3.0
THIN_SLAB_MM = 40.0
EDGE_TISSUE_SHARE = 0.005
TISSUE_HU = -300.0
AIR_HU, AIR_OFFSET_HU = (-1100.0, -850.0), 50.0
SOFT_HU = (20.0, 90.0)
LOWEST_HU = -1100.0
METAL_HU, METAL_ML, MUCH_METAL_SHARE = 2900.0, 0.05, 5e-4
NOISY_HU = 40.0
BLOCK_MM, BLOCK_VOXELS = 6.0, (3, 8)  # side of the squares in which noise is measured
FEWEST_BLOCKS = 50
SLICES_LOOKED_AT = 60


def check_quality(volume: Volume) -> tuple[QualityFinding, ...]:
    """Findings about the slices, the field of view, the CT numbers, noise, metal, and facts that the source leaves out.

    Slices are planes of the grid's third axis. Noise is the standard deviation inside the quietest tenth of
    squares of soft tissue, each 6 mm wide and within one slice. Nothing is said about what could not be measured.
    """
    findings = [*_slices(volume), *_facts(volume)]
    if volume.quantity == "HU":
        findings += _values(volume)
    return tuple(findings)


def _info(code: str, words: str) -> QualityFinding:
    return QualityFinding(code, Severity.INFO, words)


def _warn(code: str, words: str) -> QualityFinding:
    return QualityFinding(code, Severity.WARN, words)


def _slices(volume: Volume) -> list[QualityFinding]:
    spacing = volume.grid.spacing_mm
    thickness, gap = volume.acquisition.slice_thickness_mm, float(spacing[2])
    findings: list[QualityFinding] = []
    if thickness is None:
        words = f"Slice thickness unknown; slices are {gap:.3g} mm apart."
        findings.append(_warn("slice_thickness_unknown", words))
    elif thickness > THICK_MM:
        words = f"Slices {thickness:.3g} mm thick: what is smaller is blurred along them."
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
        findings.append(_warn("patient_position_unknown", "Patient position unknown: which side lay on the table?"))
    if not volume.acquisition.date:
        findings.append(_warn("date_unknown", "Date unknown: the image may be old."))
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
    return findings


def _field_of_view(slices: NDArray[Any], padded: NDArray[np.bool_]) -> list[QualityFinding]:
    findings: list[QualityFinding] = []
    share = float(padded.mean())
    if share > 0:
        findings.append(_info("padding", f"{100 * share:.0f} % of the image lies outside the field of view."))
    edge = edge_of_field(padded)
    tissue = float(np.count_nonzero(edge & (slices > TISSUE_HU))) / max(int(np.count_nonzero(edge)), 1)
    if tissue > EDGE_TISSUE_SHARE:
        words = f"Tissue or table reaches the edge of the field of view ({100 * tissue:.1f} % of it): no skin there."
        findings.append(_warn("cut_at_edge", words))
    return findings


def edge_of_field(padded: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Voxels of the field of view that touch padding, or the image's border, along the first two axes."""
    inside = np.pad(~padded, ((1, 1), (1, 1), (0, 0)))
    surrounded = inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:]
    return np.asarray(~padded & ~surrounded)


def _numbers(slices: NDArray[Any], padded: NDArray[np.bool_]) -> list[QualityFinding]:
    values = slices[~padded]
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
    count = int(np.count_nonzero(volume.voxels > METAL_HU))
    millilitres = count * float(np.prod(volume.grid.spacing_mm)) / 1000
    if millilitres < METAL_ML:
        return []
    much = count > MUCH_METAL_SHARE * volume.voxels.size
    words = f"{millilitres:.2g} ml at metal's CT numbers (above {METAL_HU:.0f} HU): streaks near it are not tissue."
    return [(_warn if much else _info)("metal", words)]


def soft_tissue_noise_hu(voxels: NDArray[Any], spacing_mm: NDArray[np.float64]) -> float | None:
    """Standard deviation (HU) in homogeneous soft tissue; None where the image shows too little of it."""
    stride = max(1, voxels.shape[2] // 40)
    sides = np.clip(np.rint(BLOCK_MM / spacing_mm[:2]).astype(int), *BLOCK_VOXELS)
    counts = np.array(voxels.shape[:2]) // sides
    if not counts.all():
        return None
    part = voxels[: counts[0] * sides[0], : counts[1] * sides[1], ::stride]
    blocks = part.reshape(counts[0], sides[0], counts[1], sides[1], -1).astype(np.float32)
    mean, deviation = blocks.mean(axis=(1, 3)), blocks.std(axis=(1, 3), ddof=1)
    soft = deviation[(mean > SOFT_HU[0]) & (mean < SOFT_HU[1])]
    return float(np.percentile(soft, 10)) if soft.size >= FEWEST_BLOCKS else None
