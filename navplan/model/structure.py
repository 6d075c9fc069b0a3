"""A piece of anatomy: present, absent, or unknown."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from navplan.errors import GeometryError, InputError
from navplan.geometry.edge import cut_by_edge
from navplan.geometry.grid import Grid
from navplan.model.anatomy import Anatomy, anatomy_of, side_of
from navplan.model.volume import array_digest

WORST_PLAUSIBLE_RESOLUTION_MM = (
    3.0  # the coarsest grid that common whole-body segmenters work on (TotalSegmentator, fast)
)

MADE_BY = ("", "manual", "semiautomatic", "automatic")


class Presence(StrEnum):
    """present: it has occupancy. absent: somebody looked and says so. unknown: all else, an empty label too."""

    PRESENT = "present"
    ABSENT = "absent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, eq=False)
class Structure:
    """One structure in one image.

    name: canonical lower-case words joined by "_" (rib_left_6).
    occupancy: uint8 [i, j, k] on its OWN cropped grid; 0 outside, 255 full. Hard labels hold 0 and 255 only.
    fractional: True only if every voxel that the structure touches has occupancy > 0, and occupancy is the share of the
    voxel's volume that it fills: never a probability.
    evaluated_in: the region in which it was looked for (all voxels of this grid), not the box of its mask.
    working_resolution_mm: (3,) per grid axis, the coarsest of spacing, slice thickness and the segmenter's own grid;
    None = unknown, the worst plausible is then taken. boundary_sigma_mm: error of the outline, None = unknown.
    made_by, made_with, made_on: how it was drawn ("manual", "semiautomatic", "automatic", "" where the source does not
    say), the algorithm or program with its version and maker, and the day (ISO 8601): never the name of a person.
    confidence: 0 to 1 as its maker gives it, None where it does not.
    incomplete: why some of it may be missing from the voxels, "" where all of it was looked for. What is there is
    there; that a place is free of the structure is then not known.
    outline_doubt: why the outline may be another structure's, or incomplete; "" where its maker has no such reason. No
    way is PASS beside it.
    stated_by, stated_on: who says "absent", and when (ISO 8601): required for ABSENT.
    carried_from: id of the image that it was seen on, where a registration brought it to this one; "" for a structure
    of this image itself. carried_error_mm: expected error of that registration. carried_doubt: why it may lie elsewhere
    beyond that error.
    """

    name: str
    presence: Presence
    occupancy: NDArray[np.uint8] | None = None
    grid: Grid | None = None
    fractional: bool = False
    evaluated_in: Grid | None = None
    image_id: str = ""
    origin: str = ""
    working_resolution_mm: tuple[float, float, float] | None = None
    boundary_sigma_mm: float | None = None
    boundary_source: str = ""
    stated_by: str = ""
    stated_on: str = ""
    carried_from: str = ""
    carried_error_mm: float = 0.0
    carried_doubt: str = ""
    made_by: str = ""
    made_with: str = ""
    made_on: str = ""
    confidence: float | None = None
    incomplete: str = ""
    outline_doubt: str = ""

    def __post_init__(self) -> None:
        if not self.name or not self.name.replace("_", "").replace("-", "").replace(".", "").isalnum():
            raise InputError(f"structure name {self.name!r}", "letters, digits and _ - .")
        numbers = (*(self.working_resolution_mm or ()), self.boundary_sigma_mm or 0.0, self.carried_error_mm)
        if not np.isfinite(numbers).all() or min(numbers) < 0 or len(numbers) not in (2, 5):
            raise InputError(
                f"structure {self.name} of resolution {self.working_resolution_mm} mm, outline to"
                f" {self.boundary_sigma_mm} mm",
                "three numbers of mm and one, finite, not negative",
            )
        if self.made_by not in MADE_BY:
            raise InputError(f"structure {self.name} made {self.made_by!r}", ", ".join(MADE_BY[1:]))
        if self.confidence is not None and not 0.0 <= self.confidence <= 1.0:
            raise InputError(f"structure {self.name} with a confidence of {self.confidence}", "0 to 1")
        if self.presence is Presence.PRESENT:
            if self.occupancy is None or self.grid is None or self.evaluated_in is None:
                raise InputError(
                    f"structure {self.name} said to be present without voxels, grid or region", "all three"
                )
            occupancy = np.asarray(self.occupancy)
            if occupancy.dtype != np.uint8 or occupancy.shape != self.grid.shape:
                raise GeometryError(
                    f"{self.name}: occupancy {occupancy.dtype} {occupancy.shape} on {self.grid!r}",
                    "uint8 of that shape",
                )
            if not occupancy.any():
                raise InputError(
                    f"structure {self.name} said to be present with no voxel", "at least one, or presence unknown"
                )
            view = occupancy.view()
            view.flags.writeable = False
            object.__setattr__(self, "occupancy", view)
        elif self.occupancy is not None:
            raise InputError(f"structure {self.name} said to be {self.presence} but given voxels", "no voxels")
        if self.presence is Presence.ABSENT and not (self.stated_by and self.stated_on):
            raise InputError(
                f"structure {self.name} said to be absent by nobody",
                "who looked, and when",
                "Use --absent NAME --by WHO",
            )

    @property
    def anatomy(self) -> Anatomy:
        """What the name means: kind of tissue, concept code, expected CT numbers."""
        return anatomy_of(self.name)

    @property
    def side(self) -> str:
        """ "left", "right" or "" for a midline or unpaired structure, from its name."""
        return side_of(self.name)

    @property
    def resolution_mm(self) -> NDArray[np.float64]:
        """(3,) the resolution it was made at; the worst plausible where unknown. Never finer than its grid."""
        if self.grid is None:
            raise InputError(f"the resolution of {self.name}, which is {self.presence}", "a present structure")
        stated = self.working_resolution_mm
        floor = np.full(3, WORST_PLAUSIBLE_RESOLUTION_MM) if stated is None and not self.fractional else np.zeros(3)
        return np.maximum.reduce(
            [self.grid.spacing_mm, floor, np.asarray(stated if stated is not None else (0, 0, 0), dtype=float)]
        )

    @cached_property
    def cut_by_edge(self) -> bool:
        """Whether a voxel lies in the outermost layer of `evaluated_in` or beyond: it may go on where nobody looked.
        False for a structure without voxels."""
        if self.occupancy is None or self.grid is None or self.evaluated_in is None:
            return False
        corners = np.array(list(np.ndindex(2, 2, 2))) * (np.asarray(self.grid.shape) - 1)
        if not cut_by_edge(corners, self.grid, self.evaluated_in).any():
            return False  # what is not cut is convex
        filled = self.occupancy > 0
        lines = np.argwhere(filled.any(axis=0))  # of each line of voxels its ends are the outermost
        across = filled[:, lines[:, 0], lines[:, 1]]
        ends = (across.argmax(axis=0), len(across) - 1 - across[::-1].argmax(axis=0))
        return any(
            bool(cut_by_edge(np.column_stack([end, lines]), self.grid, self.evaluated_in).any()) for end in ends
        )

    @cached_property
    def volume_ml(self) -> float:
        """Its volume, shares of voxels as shares; 0 for a structure without voxels."""
        if self.occupancy is None or self.grid is None:
            return 0.0
        return float(self.occupancy.sum(dtype=np.int64)) / 255 * float(np.prod(self.grid.spacing_mm)) / 1000

    @cached_property
    def digest(self) -> str:
        """SHA-256 of presence, resolution, occupancy, and the outline's doubt where there is one."""
        if self.occupancy is None or self.grid is None:
            return f"{self.presence}:{self.stated_by}:{self.stated_on}"
        doubt = f"{self.outline_doubt}:" if self.outline_doubt else ""
        return f"{self.presence}:{self.fractional}:{self.resolution_mm.tolist()}:{doubt}" + array_digest(
            self.occupancy, self.grid.affine
        )

    def voxel_centres_mm(self, mask: NDArray[Any] | None = None) -> NDArray[np.float64]:
        """(N, 3) LPS centres of the voxels of `mask` (default: occupancy > 0), on the structure's own grid."""
        if self.occupancy is None or self.grid is None:
            return np.zeros((0, 3))
        return self.grid.points_mm(np.argwhere(self.occupancy > 0 if mask is None else mask))
