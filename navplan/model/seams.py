"""What a plugin may bring: small protocols, met through entry points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from navplan.model.pose import ToolPose
from navplan.model.structure import Structure
from navplan.model.volume import Volume


@runtime_checkable
class Segmenter(Protocol):
    """Entry point group `navplan.segmenters`: an object or a class without arguments.

    Optional: a class that takes `progress`, called with words and a share of 0 to 1; `cancel()`, called from another
    thread, after which `segment` raises Cancelled soon.
    """

    name: str
    description: str
    modality: str

    def segment(self, volume: Volume, image_id: str) -> list[Structure]:
        """Structures found in an image; what was looked for and not found comes back as unknown."""
        ...


@runtime_checkable
class SeededSegmenter(Protocol):
    """Entry point group `navplan.segmenters`: a segmenter that starts from points that a person gives.

    Optional, beside what a Segmenter may have: `offers`, canonical names of what it is good at, for the app's list.
    """

    name: str
    description: str
    modality: str

    def segment_from(
        self, volume: Volume, image_id: str, seeds_mm: NDArray[np.float64], structure: str
    ) -> list[Structure]:
        """Structures grown from seeds_mm (n, 3), n >= 1, LPS mm, all inside the image; structure: the name that the
        caller gives, "" where none was given.

        Raises InputError where it would rather give nothing: a seed in the wrong tissue, a region that leaked.
        """
        ...


class PhantomPart(Protocol):
    """One structure of a phantom: first voxel in the image, occupancy uint8 [i, j, k] of its own box."""

    offset: tuple[int, int, int]
    occupancy: NDArray[np.uint8]


class PhantomResult(Protocol):
    """What a phantom gives: plain arrays, an affine and the truth; voxels[i, j, k] HU, affine index -> LPS mm."""

    voxels: NDArray[np.int16]
    affine: NDArray[np.float64]
    structures: Mapping[str, Any]
    truth: dict[str, Any]
    modality: str
    patient_position: str


@runtime_checkable
class Phantom(Protocol):
    """Entry point group `navplan.phantoms`: an object or a class without arguments."""

    name: str
    description: str

    def make(
        self, spacing_mm: tuple[float, float, float] = ..., orientation: str = ..., seed: int = ...
    ) -> PhantomResult:
        """The phantom on a grid of that spacing and orientation."""
        ...


class TrackerLink(Protocol):
    """An open connection to a tracker. Every method returns at once."""

    def poses(self) -> list[ToolPose]:
        """What has come since the last call, oldest first; none is lost, none comes twice."""
        ...

    def fault(self) -> str:
        """Why nothing comes at the moment (connecting again, end of the recording), "" where all is well."""
        ...

    def close(self) -> None:
        """Let go of it; may be called twice."""
        ...


@runtime_checkable
class Tracker(Protocol):
    """Entry point group `navplan.trackers`: an object or a class without arguments."""

    name: str
    description: str

    def open(self, address: str) -> TrackerLink:
        """Connect to what stands behind the name in `--tracker NAME:ADDRESS` ("" where it needs nothing).

        Raises InputError for an address that is none.
        """
        ...
