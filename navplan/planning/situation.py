"""Everything that a way is judged against, gathered once: image, risks with their limits, tissue map, request."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from navplan.model.anatomy import Tissue
from navplan.model.device import Device
from navplan.model.error_model import ErrorModel
from navplan.model.protocol import UNSOURCED, ProcedureProtocol, TipContact
from navplan.model.safety import Finding
from navplan.model.structure import Presence, Structure
from navplan.model.trajectory import Target
from navplan.model.volume import Volume
from navplan.planning.boundary import Boundary, boundaries_of, boundary_of
from navplan.planning.broad_phase import BoundaryBlocks, boundary_blocks
from navplan.planning.criteria import host_of
from navplan.planning.label_edges import labels_on_edges
from navplan.planning.labels_fit_image import labels_fit_image
from navplan.planning.other_needles import OtherNeedle
from navplan.planning.tissue_map import TissueMap, tissue_map
from navplan.planning.which_way_round import which_way_round

OTHER_FRAME = "drawn in another frame of reference than the image"
OTHER_FRAME_REMEDY = "Register it to the image, or segment the image itself"
ALL_BONE = "bone"
ALIKE_MM = 2.0  # by which two labels of the same bone may differ at its surface, or a voxel (unsourced)
UNDECLARED = "not declared by the protocol: a risk at 0 mm"


@dataclass(frozen=True, eq=False)
class Risk:
    """A present structure that the needle may not touch, and how far it must stay away (surface to surface); contact:
    how its tip may rest on it, where the protocol gives leave."""

    boundary: Boundary
    required_mm: float
    source: str
    contact: TipContact | None = None

    @property
    def name(self) -> str:
        """The structure's name."""
        return self.boundary.structure.name


@dataclass(frozen=True, eq=False)
class Situation:
    """One request on one image. side: side of the procedure, "" where it has none; requested_side: what the user
    said. others: needles planned or placed already; devices: those of the protocol that are installed, in its order.
    level: as requested, "" where none was; protocol: its rules at that level, stated: as they were before."""

    image_id: str
    image: Volume
    structures: dict[str, Structure]
    protocol: ProcedureProtocol
    target: Target
    side: str
    requested_side: str
    patient_position: str
    breath_state: str
    error_model: ErrorModel
    patient_known: bool
    today: str
    others: tuple[OtherNeedle, ...] = ()
    devices: tuple[Device, ...] = ()
    level: str = ""
    stated: ProcedureProtocol | None = None

    @cached_property
    def target_mm(self) -> NDArray[np.float64]:
        """(3,) the point aimed at."""
        return np.asarray(self.target.point_mm, dtype=np.float64)

    @cached_property
    def tissues(self) -> TissueMap:
        """All labels in one map, the target topmost."""
        return tissue_map(self.image, self.structures.values(), self.target.structure)

    @cached_property
    def host(self) -> str:
        """The organ or part of a lung that holds the target, "" if none."""
        kinds = (Tissue.ORGAN, Tissue.LUNG)
        present = [s.name for s in self.structures.values() if s.presence is Presence.PRESENT]
        organs = [name for name in present if self.structures[name].anatomy.tissue in kinds]
        return host_of(self.tissues, self.target.structure, self.target_mm, organs)

    def same_frame(self, structure: Structure) -> bool:
        """Whether a structure, and the region in which it was looked for, name the image's frame of reference (or
        none)."""
        uids = {grid.frame_uid for grid in (self.image.grid, structure.grid, structure.evaluated_in) if grid} - {""}
        return len(uids) <= 1

    @cached_property
    def crossable(self) -> tuple[str, ...]:
        """Present structures that the protocol lets the needle cross and sets no limit for."""
        names = [
            name
            for name, s in self.structures.items()
            if s.presence is Presence.PRESENT and name != self.target.structure
        ]
        return tuple(
            name for name in names
            if self.protocol.limit_for(name, self.side) is None and self.protocol.may_cross(name, self.side) is not None
        )  # fmt: skip

    @cached_property
    def risks(self) -> tuple[Risk, ...]:
        """Every other present structure, with the protocol's limit or 0 mm where it declares none."""
        found: list[tuple[Structure, float, str, TipContact | None]] = []
        for name, structure in self.structures.items():
            kind = structure.anatomy.tissue
            if structure.presence is not Presence.PRESENT or kind in (Tissue.SKIN, Tissue.OUTSIDE):
                continue
            if name == self.target.structure or name in self.crossable:
                continue
            limit = self.protocol.limit_for(name, self.side)
            required, source = (limit.min_clearance_mm, limit.source) if limit else (0.0, UNDECLARED)
            found.append((self._without_crossable(structure), required, source or UNSOURCED, self.contact_with(name)))
        boundaries = boundaries_of([(structure, self._resolution_mm(structure)) for structure, *_ in found])
        told = zip(boundaries, found, strict=True)
        return tuple(Risk(boundary, mm, source, contact) for boundary, (_, mm, source, contact) in told)

    def contact_with(self, name: str) -> TipContact | None:
        """How the tip may rest on a structure; without leave where the side is asked for and not known."""
        limit = None if self.protocol.sided and not self.side else self.protocol.limit_for(name, self.side)
        return None if limit is None else limit.contact

    def _without_crossable(self, structure: Structure) -> Structure:
        """A label of all bone (`bone`), without bones with labels of their own that the needle may cross or rest on:
        else a pedicle could not be crossed where somebody segmented all bone as well."""
        rested_on = [name for name in self.structures if self.contact_with(name) is not None]
        names = [*self.crossable, self.target.structure, *rested_on]
        others = [
            self.structures[name] for name in names
            if name in self.structures and self.structures[name].anatomy.tissue is Tissue.BONE and name != ALL_BONE
            and self.structures[name].presence is Presence.PRESENT
        ]  # fmt: skip
        if structure.name != ALL_BONE or not others or structure.grid is None or structure.occupancy is None:
            return structure
        occupancy = structure.occupancy.copy()
        where = np.argwhere(occupancy > 0)
        points = structure.grid.points_mm(where)
        crossed = np.zeros(len(points), dtype=bool)
        for other in others:
            assert other.grid is not None and other.occupancy is not None
            wide = max(1, int(ALIKE_MM / float(other.grid.spacing_mm.max())))
            near = ndimage.binary_dilation(np.pad(other.occupancy > 0, wide), iterations=wide)
            index = np.rint(other.grid.indices(points)).astype(int) + wide
            inside = ((index >= 0) & (index < near.shape)).all(axis=1)
            crossed[inside] |= near[tuple(index[inside].T)]
        occupancy[tuple(where[crossed].T)] = 0
        return replace(structure, occupancy=occupancy) if occupancy.any() else structure

    def _resolution_mm(self, structure: Structure) -> NDArray[np.float64]:
        """Hard labels are no finer across the slices than these are thick, however close together they lie."""
        resolution, thickness_mm = structure.resolution_mm, self.image.acquisition.slice_thickness_mm
        if structure.fractional or structure.grid is None or not thickness_mm:
            return resolution
        across = int(np.argmax(np.abs(structure.grid.axes.T @ self.image.grid.axes[:, 2])))
        resolution[across] = max(resolution[across], thickness_mm)
        return resolution

    @cached_property
    def which_way_round(self) -> tuple[Finding, ...]:
        """What names and places of the labels tell differently: left and right, front and back, head and feet."""
        return which_way_round(self.structures)

    @cached_property
    def labels_fit_image(self) -> tuple[Finding, ...]:
        """What labels and image tell differently: CT numbers all over each label, and edges at its surface."""
        return (*labels_fit_image(self.image, self.structures), *labels_on_edges(self.image, self.structures))

    @cached_property
    def target_boundary(self) -> Boundary | None:
        """The target's own boundary; None for a bare point."""
        target = self.structures.get(self.target.structure)
        return None if target is None or target.presence is not Presence.PRESENT else boundary_of(target)

    @cached_property
    def boundaries(self) -> tuple[Boundary, ...]:
        """The risks' boundaries, in their order."""
        return tuple(risk.boundary for risk in self.risks)

    @cached_property
    def blocks(self) -> BoundaryBlocks:
        """The risks' boundaries, gathered for the broad phase."""
        return boundary_blocks(self.boundaries)

    def aimed_at(self, target: Target) -> Situation:
        """The same situation with another target; what does not depend on the target is not computed again."""
        kept = ("tissues", "risks", "crossable", "boundaries", "blocks", "required_mm", "target_boundary")
        same = kept if target.structure == self.target.structure else ()
        return self._keeping(replace(self, target=target), (*same, "which_way_round", "labels_fit_image"))

    def on_side(self, side: str) -> Situation:
        """The same situation with the side of the procedure found out."""
        kept = ("tissues", "host", "target_boundary", "which_way_round", "labels_fit_image")
        return self._keeping(replace(self, side=side), kept)

    def _keeping(self, other: Situation, names: tuple[str, ...]) -> Situation:
        other.__dict__.update({name: self.__dict__[name] for name in names if name in self.__dict__})
        return other

    @cached_property
    def required_mm(self) -> NDArray[np.float64]:
        """(S,) the risks' required clearances."""
        return np.asarray([risk.required_mm for risk in self.risks])
