"""The patient that a rehearsal's needle goes into: which tissue lies where at which breath, and what the shaft touches.

What lies in a risk structure is decided by the same boundaries and intervals as in planning. Breath shifts whole
structures, schematically; what slides aside leaves soft tissue behind.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from navplan.model.scenario import BreathModel
from navplan.model.structure import Presence, Structure
from navplan.planning.boundary import MOSTLY_INSIDE, occupancy_at
from navplan.planning.margins import margins
from navplan.planning.situation import Risk, Situation
from navplan.planning.tissue_map import OUTSIDE as NO_BODY
from navplan.planning.tissue_map import UNLABELLED
from navplan.training.feel import DURA, EPIDURAL, FAT, FLAVUM, MUSCLE, OUTSIDE
from navplan.training.needle_path import NeedlePath

CANAL = "spinal_canal"
FLAVUM_MM, EPIDURAL_MM = 4.0, 3.0  # of the layers before and within the canal (schematic)
FAT_HU, BONE_HU = -30.0, 250.0  # of what no label names
UNLABELLED_BONE = "bone"
Points = NDArray[np.float64]


class SimulatedPatient:
    """situation: what planning judges on; breath: what moves, or None. A phase of 0 is the image's breath state."""

    def __init__(self, situation: Situation, breath: BreathModel | None = None) -> None:
        self.situation, self.breath = situation, breath

    def moves(self, name: str) -> bool:
        """Whether a structure moves with breath."""
        return self.breath is not None and any(fnmatchcase(name, pattern) for pattern in self.breath.structures)

    def shift_mm(self, phase: float) -> Points:
        """(3,) of what moves, LPS, from where the image shows it."""
        return np.zeros(3) if self.breath is None else phase * np.asarray(self.breath.shift_mm, dtype=np.float64)

    def tissues_at(self, points_mm: Points, phase: float = 0.0) -> tuple[str, ...]:
        """The structure or layer (`navplan.training.feel`) at each of points (N, 3)."""
        points = np.atleast_2d(np.asarray(points_mm, dtype=np.float64))
        tissues = self.situation.tissues
        still = [tissues.names[n] for n in tissues.at(points)]
        moved = [tissues.names[n] for n in tissues.at(points - self.shift_mm(phase))]
        names = [
            there if self.moves(there) else (UNLABELLED if self.moves(here) else here)
            for here, there in zip(still, moved, strict=True)
        ]
        layers = self._layers_at(points)
        return tuple(
            layer or (self._unnamed(point) if name == UNLABELLED else OUTSIDE if name == NO_BODY else name)
            for name, layer, point in zip(names, layers, points, strict=True)
        )

    def touched(self, path: NeedlePath, radius_mm: float, phase: float = 0.0) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Risk structures that the inserted shaft touches for sure, and those that it may touch, by name."""
        sure: set[str] = set()
        maybe: set[str] = set()
        for risks, shift_mm, held_mm in self._groups(phase):
            starts, ends = (path.withdrawn(held_mm) if held_mm else path).chords()
            if not len(starts):
                continue
            found = margins([risk.boundary for risk in risks], starts - shift_mm, ends - shift_mm)
            high, low = found.high_mm(radius_mm).min(axis=0), found.low_mm(radius_mm).min(axis=0)
            inside = (found.centre_mm <= 0.0).any(axis=0)
            sure |= {risk.name for risk, at, within in zip(risks, high, inside, strict=True) if at <= 0.0 or within}
            maybe |= {risk.name for risk, at in zip(risks, low, strict=True) if at <= 0.0}
        return tuple(sorted(sure)), tuple(sorted(maybe - sure))

    def in_structure(self, name: str, points_mm: Points, phase: float = 0.0) -> NDArray[np.bool_]:
        """Whether points (N, 3) lie in a present structure, as it lies at that breath."""
        structure = self.situation.structures.get(name)
        points = np.atleast_2d(np.asarray(points_mm, dtype=np.float64))
        if structure is None or structure.presence is not Presence.PRESENT:
            return np.zeros(len(points), dtype=bool)
        at = points - self.shift_mm(phase) if self.moves(name) else points
        return np.asarray(occupancy_at(structure, at) >= MOSTLY_INSIDE)

    def target_mm(self, phase: float = 0.0) -> Points:
        """(3,) where the target lies at that breath."""
        aside = self.shift_mm(phase) if self.moves(self.situation.target.structure) else np.zeros(3)
        return np.asarray(self.situation.target_mm + aside)

    def _groups(self, phase: float) -> list[tuple[list[Risk], Points, float]]:
        """Risks that are measured alike: their shift, and how much of the tip may rest on them."""
        found: dict[tuple[bool, float], list[Risk]] = {}
        for risk in self.situation.risks:
            held = 0.0 if risk.contact is None else risk.contact.tip_mm
            found.setdefault((self.moves(risk.name), held), []).append(risk)
        none = np.zeros(3)
        return [(risks, self.shift_mm(phase) if moving else none, held) for (moving, held), risks in found.items()]

    def _unnamed(self, point_mm: Points) -> str:
        grid = self.situation.image.grid
        index = np.rint(grid.indices(point_mm)).astype(int)
        if ((index < 0) | (index >= grid.shape)).any():
            return OUTSIDE
        value = float(self.situation.image.voxels[tuple(index)])
        return UNLABELLED_BONE if value >= BONE_HU else FAT if value < FAT_HU else MUSCLE

    def _layers_at(self, points: Points) -> list[str]:
        """Layers at and in the spinal canal, "" elsewhere."""
        if self._canal is None:
            return [""] * len(points)
        structure, depth = self._canal
        assert structure.grid is not None
        at = structure.grid.indices(points) + _PAD
        depths = ndimage.map_coordinates(depth, at.T, order=1, mode="nearest")
        inside = ((at >= 0) & (at <= np.asarray(depth.shape) - 1)).all(axis=1)
        middle_y = structure.grid.points_mm((np.asarray(structure.grid.shape) - 1) / 2)[1]
        bone = self.situation.tissues.at(points)
        found = []
        for deep, near, label, point in zip(depths, inside, bone, points, strict=True):
            named = self.situation.tissues.names[label]
            if near and deep > 0.0 and named in (UNLABELLED, CANAL):
                found.append(EPIDURAL if deep <= EPIDURAL_MM else DURA)
            elif near and -FLAVUM_MM <= deep <= 0.0 and named == UNLABELLED and point[1] > middle_y:
                found.append(FLAVUM)
            else:
                found.append("")
        return found

    @cached_property
    def _canal(self) -> tuple[Structure, NDArray[np.float64]] | None:
        """The canal, and how deep in it (negative: how far outside) voxel centres lie, mm, with a rim of _PAD voxels."""
        structure = self.situation.structures.get(CANAL)
        if structure is None or structure.occupancy is None or structure.grid is None:
            return None
        mask = np.pad(structure.occupancy >= MOSTLY_INSIDE, _PAD)
        spacing = structure.grid.spacing_mm
        inside = ndimage.distance_transform_edt(mask, sampling=spacing)
        outside = ndimage.distance_transform_edt(~mask, sampling=spacing)
        return structure, np.asarray(np.where(mask, inside, -outside) + np.where(mask, -0.5, 0.5) * spacing.min())


_PAD = 6
