"""The patient that a rehearsal's needle goes into: which tissue lies where at which breath, and what the shaft touches.

What lies in a risk structure is decided by the same boundaries and intervals as in planning. Breath shifts whole
structures, schematically; what slides aside leaves soft tissue behind.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from navplan.model.scenario import BreathModel
from navplan.model.structure import Presence
from navplan.planning.boundary import MOSTLY_INSIDE, occupancy_at
from navplan.planning.margins import margins
from navplan.planning.situation import Risk, Situation
from navplan.planning.tissue_map import OUTSIDE as NO_BODY
from navplan.planning.tissue_map import UNLABELLED
from navplan.training.dose import DoseEstimate
from navplan.training.feel import DURA, EPIDURAL, FAT, FLAVUM, MUSCLE, OUTSIDE
from navplan.training.layers import CANAL, EPIDURAL_LAYER, FLAVUM_LAYER, SAC_LAYER, CanalLayers
from navplan.training.needle_path import NeedlePath
from navplan.training.views import SeenVertebra, seen_vertebra

FAT_HU, BONE_HU = -30.0, 250.0  # of what no label names
UNLABELLED_BONE = "bone"
NEAR_MM = 1.0  # beyond what a boundary's interval and the needle reach, for rounding
_LAYERS = {EPIDURAL_LAYER: EPIDURAL, SAC_LAYER: DURA, FLAVUM_LAYER: FLAVUM}
Points = NDArray[np.float64]


class SimulatedPatient:
    """situation: what planning judges on; breath: what moves, or None. A phase of 0 is the image's breath state."""

    skin_mm = 2.0  # thick (unsourced)

    def __init__(self, situation: Situation, breath: BreathModel | None = None) -> None:
        self.situation, self.breath = situation, breath
        self._moves: dict[str, bool] = {}

    def moves(self, name: str) -> bool:
        """Whether a structure moves with breath."""
        if name not in self._moves:
            patterns = () if self.breath is None else self.breath.structures
            self._moves[name] = any(fnmatchcase(name, pattern) for pattern in patterns)
        return self._moves[name]

    def shift_mm(self, phase: float) -> Points:
        """(3,) of what moves, LPS, from where the image shows it."""
        return np.zeros(3) if self.breath is None else phase * np.asarray(self.breath.shift_mm, dtype=np.float64)

    def tissues_at(self, points_mm: Points, phase: float = 0.0) -> tuple[str, ...]:
        """The structure or layer (`navplan.training.feel`) at each of points (N, 3)."""
        points = np.atleast_2d(np.asarray(points_mm, dtype=np.float64))
        tissues = self.situation.tissues
        labels = tissues.at(points).astype(np.int64)
        shift = self.shift_mm(phase)
        if shift.any():
            moved = tissues.at(points - shift).astype(np.int64)
            left = np.where(self._moving_labels[labels], tissues.number(UNLABELLED), labels)
            labels = np.where(self._moving_labels[moved], moved, left)
        found = [tissues.names[label] for label in labels]
        if self.canal is not None:
            plain = [n for n, name in enumerate(found) if name in (UNLABELLED, CANAL)]
            for n, layer in zip(plain, self.canal.at(points[plain]) if plain else (), strict=True):
                if layer and (found[n] == UNLABELLED or layer != FLAVUM_LAYER):
                    found[n] = _LAYERS[int(layer)]
        bare = [n for n, name in enumerate(found) if name == UNLABELLED]
        for n, name in zip(bare, self._unnamed(points[bare]) if bare else (), strict=True):
            found[n] = name
        return tuple(OUTSIDE if name == NO_BODY else name for name in found)

    def touched(
        self, path: NeedlePath, radius_mm: float, phase: float = 0.0
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Risk structures that the inserted shaft touches for sure, and those that it may touch, by name.

        Sure: its axis runs through a voxel that planning counts as crossed (mostly the structure's), or the upper end
        of planning's interval is at most 0; maybe: the lower end is. Structures whose box lies out of reach of the
        shaft are not measured: neither could hold.
        """
        sure: set[str] = set()
        maybe: set[str] = set()
        for chosen, moving, held_mm in self._groups:
            shaft = path.withdrawn(held_mm) if held_mm else path
            starts, ends = shaft.chords()
            if not len(starts):
                continue
            shift = self.shift_mm(phase) if moving else np.zeros(3)
            starts, ends = starts - shift, ends - shift
            low, high, reach = self._boxes[0][chosen], self._boxes[1][chosen], self._boxes[2][chosen] + radius_mm
            above = np.minimum(starts, ends)[:, None] <= (high + reach[:, None])[None]
            below = np.maximum(starts, ends)[:, None] >= (low - reach[:, None])[None]
            near = chosen[(above & below).all(axis=2).any(axis=0)]
            risks = [self._risks[n] for n in near]
            if not risks:
                continue
            measured = margins([risk.boundary for risk in risks], starts, ends)
            highest, lowest = measured.high_mm(radius_mm).min(axis=0), measured.low_mm(radius_mm).min(axis=0)
            axis = shaft.points_mm - shift
            for risk, most, least in zip(risks, highest.tolist(), lowest.tolist(), strict=True):
                if least <= 0.0:
                    maybe.add(risk.name)
                    if most <= 0.0 or (occupancy_at(risk.boundary.structure, axis) >= MOSTLY_INSIDE).any():
                        sure.add(risk.name)
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
        return np.asarray(self.situation.target_mm + self.target_shift_mm(phase))

    def target_shift_mm(self, phase: float = 0.0) -> Points:
        """(3,) by which the target lies elsewhere than in the image."""
        return self.shift_mm(phase) if self.moves(self.situation.target.structure) else np.zeros(3)

    @cached_property
    def canal(self) -> CanalLayers | None:
        """The layers at the spinal canal, None without one."""
        structure = self.situation.structures.get(CANAL)
        if structure is None or structure.presence is not Presence.PRESENT:
            return None
        return CanalLayers(structure)

    @cached_property
    def vertebra(self) -> SeenVertebra | None:
        """That views are judged by, None where none is near the target."""
        return seen_vertebra(self.situation)

    @cached_property
    def dose(self) -> DoseEstimate:
        """Of X-rays through this patient, with the assumed C-arm."""
        return DoseEstimate(self.situation.image)

    @cached_property
    def _moving_labels(self) -> NDArray[np.bool_]:
        return np.array([self.moves(name) for name in self.situation.tissues.names])

    @cached_property
    def _risks(self) -> tuple[Risk, ...]:
        return self.situation.risks

    @cached_property
    def _boxes(self) -> tuple[Points, Points, Points]:
        """Of each risk's boundary voxels: lowest and highest corner (S, 3), and how far from a voxel's centre (S,) the
        structure may reach."""
        centres = [risk.boundary.centres_mm for risk in self._risks]
        low = np.array([of.min(axis=0) for of in centres]).reshape(-1, 3)
        high = np.array([of.max(axis=0) for of in centres]).reshape(-1, 3)
        reach = [max(risk.boundary.below_mm, risk.boundary.diagonal_mm) + NEAR_MM for risk in self._risks]
        return low, high, np.array(reach)

    @cached_property
    def _groups(self) -> list[tuple[NDArray[np.int64], bool, float]]:
        """Risks that are measured alike: whether they move, and how much of the tip may rest on them."""
        found: dict[tuple[bool, float], list[int]] = {}
        for n, risk in enumerate(self._risks):
            held = 0.0 if risk.contact is None else risk.contact.tip_mm
            found.setdefault((self.moves(risk.name), held), []).append(n)
        return [(np.array(chosen), moving, held) for (moving, held), chosen in found.items()]

    def _unnamed(self, points_mm: Points) -> list[str]:
        """Of points (N, 3) in the body without a label, by the image's nearest voxel."""
        image = self.situation.image
        index = np.rint(image.grid.indices(points_mm)).astype(int)
        within = ((index >= 0) & (index < image.grid.shape)).all(axis=1)
        values = np.full(len(index), np.nan)
        values[within] = image.voxels[tuple(index[within].T)]
        bone = image.modality == "CT"  # numbers of other kinds of image name no tissue
        return [
            OUTSIDE if np.isnan(value) else MUSCLE if not bone
            else UNLABELLED_BONE if value >= BONE_HU else FAT if value < FAT_HU else MUSCLE
            for value in values
        ]  # fmt: skip
