"""The segmenter that ships with navplan: body, skin, bone, metal, lungs and windpipe on CT, by thresholds.

It is meant to give a plan its skin and its hard obstacles where nothing better is at hand. The error of its outlines
has not been measured, so none is stated; the resolution is stated per structure.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError
from navplan.geometry.grid import Grid
from navplan.imaging.body import WORKING_SPACING_MM, BodyMasks, find_body
from navplan.imaging.bones import METAL_HU, find_bone
from navplan.imaging.canonical import CanonicalOrder, Mask, coarser, dilated, eroded, finer, working_factors
from navplan.imaging.label_map import structure_from_mask
from navplan.imaging.lungs import find_lungs
from navplan.imaging.midline import midline_mm
from navplan.model.structure import Structure
from navplan.model.volume import Volume

SKIN_MM = 2.0  # thickness of the layer that is called skin
CHEST_WALL_MM = 5.0  # dense voxels this deep inside a lung are its vessels, not bone
LOWEST_HU, HIGHEST_HU = -1024, 3000  # outside this range a CT number says no more; padding counts as air here


class CtBasicSegmenter:
    """Entry point `navplan.segmenters`: ct-basic.

    Structures: body, skin (a layer of 2 mm), bone, metal (also contrast as dense as metal), lung_left, lung_right,
    trachea (with the main bronchi), and lung where aerated lung is found whose side is not clear. What is not found
    comes back as unknown. Any orientation and spacing.
    """

    name = "ct-basic"
    description = "Body, skin, bone, metal, lungs and windpipe on CT by thresholds and morphology"
    modality = "CT"

    def segment(self, volume: Volume, image_id: str) -> list[Structure]:
        """Structures of a CT, hard labels on the image's voxels, evaluated in the whole image.

        Bone, lung and windpipe come from a working grid of at most 1.5 mm where the image is finer; their
        working_resolution_mm says so.

        Raises InputError for an image that is not CT in Hounsfield units.
        """
        if volume.modality != "CT" or volume.quantity != "HU":
            raise InputError(
                f"{self.name} on an image of modality {volume.modality or '?'}, values {volume.quantity or '?'}",
                "CT in Hounsfield units",
                "Choose a segmenter for it, or read labels with --labels",
            )
        masks, factors = _masks(volume)
        order = CanonicalOrder.of(volume.grid)
        fine = image_resolution_mm(volume)
        steps = np.asarray(volume.grid.spacing_mm)
        for axis, factor in zip(order.order, factors, strict=True):
            steps[axis] *= factor
        coarse = np.maximum(fine, steps)
        origin = f"{self.name} {_version()}"
        structures = []
        for name, (mask, on_working_grid) in masks.items():
            structures.append(
                structure_from_mask(
                    order.undo(mask) if mask is not None else np.zeros(volume.grid.shape, dtype=bool),
                    volume.grid,
                    name,
                    image_id,
                    origin,
                    volume.grid,
                    tuple(float(mm) for mm in (coarse if on_working_grid else fine)),
                )
            )
        return structures


def image_resolution_mm(volume: Volume) -> NDArray[np.float64]:
    """(3,) along i, j, k: the spacing, along the slices' axis at least the slice thickness.

    The slices' axis is the one whose spacing differs most from the other two; nearest to head-feet where none does.
    """
    spacing = volume.grid.spacing_mm
    thickness = volume.acquisition.slice_thickness_mm
    result = np.array(spacing, dtype=np.float64)
    if thickness is not None:
        result[slice_axis(volume.grid)] = max(float(thickness), float(spacing[slice_axis(volume.grid)]))
    return result


def slice_axis(grid: Grid) -> int:
    """The array axis across the slices, from spacing and orientation; see image_resolution_mm."""
    spacing = grid.spacing_mm
    differs = [
        min(abs(np.log(spacing[axis] / spacing[other])) for other in range(3) if other != axis) for axis in range(3)
    ]
    return int(np.argmax(differs)) if max(differs) > 0.01 else CanonicalOrder.of(grid).order[2]


def _masks(volume: Volume) -> tuple[dict[str, tuple[Mask | None, bool]], tuple[int, int, int]]:
    """name -> (mask in canonical order or None, whether from the working grid); and the working grid's factors."""
    order = CanonicalOrder.of(volume.grid)
    spacing = order.spacing_mm(volume.grid)
    factors = working_factors(spacing, WORKING_SPACING_MM)
    step = (spacing[0] * factors[0], spacing[1] * factors[1], spacing[2] * factors[2])
    voxels = order.apply(volume.voxels)
    found = find_body(volume)
    body_full = order.apply(found.body)
    masks: dict[str, tuple[Mask | None, bool]] = {
        "body": (body_full, False),
        "skin": (_skin(found, order, spacing), False),
    }
    hu = coarser(np.clip(voxels, LOWEST_HU, HIGHEST_HU), factors)
    body = coarser(body_full, factors) > 0.5
    bone = find_bone(hu, body, step)
    chest = find_lungs(hu, body, midline_mm(bone, body, step), step)
    lungs = [lung for lung in (chest.left, chest.right, chest.lung) if lung is not None]
    if lungs:
        bone &= ~eroded(np.logical_or.reduce(lungs), CHEST_WALL_MM, step)

    def fine(mask: Mask | None) -> Mask | None:
        return None if mask is None else np.asarray(finer(mask, factors, voxels.shape)) & body_full

    masks["bone"] = (fine(bone), True)
    metal = (voxels > METAL_HU) & body_full
    masks["metal"] = (metal if metal.any() else None, False)
    for name, lung in (("lung_left", chest.left), ("lung_right", chest.right), ("lung", chest.lung)):
        if name != "lung" or lung is not None:
            masks[name] = (fine(None if lung is None else lung & ~bone), True)
    masks["trachea"] = (fine(chest.airway), True)
    return masks, factors


def _skin(found: BodyMasks, order: CanonicalOrder, spacing: tuple[float, float, float]) -> Mask:
    """The layer of the body next to air: none where the field of view or the array cuts the body."""
    reach_mm = max(SKIN_MM, 1.01 * min(spacing[:2]))
    return np.asarray(dilated(order.apply(found.outside_air), reach_mm, spacing) & order.apply(found.body))


def _version() -> str:
    try:
        return version("navplan")
    except PackageNotFoundError:
        return "0"
