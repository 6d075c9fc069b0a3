"""What a plugin may bring: small protocols, met through entry points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

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


class InteractiveDrawing(Protocol):
    """One structure that a person draws and a program completes; an open connection. Points are LPS mm, inside the
    image; positive=False means: this is no part of it.

    prompts: which of "point", "scribble", "lasso", "box" it takes. licence: of what completes the drawing, "" where it
    does not say. over: why nothing more can be drawn, "" while it goes on. Each prompt gives the whole structure as it
    is then, PRESENT or UNKNOWN; it may take minutes, and is called in a thread of its own.

    Raises InputError for what it does not take. Where nobody knows any more what was drawn (the connection broke, an
    answer was none) `over` says so from then on.
    """

    @property
    def prompts(self) -> frozenset[str]: ...

    @property
    def licence(self) -> str: ...

    @property
    def over(self) -> str: ...

    def point(self, point_mm: ArrayLike, positive: bool = True) -> Structure:
        """A point (3,)."""
        ...

    def scribble(self, points_mm: ArrayLike, positive: bool = True, normal: ArrayLike | None = None) -> Structure:
        """A line through points (N, 3), N >= 1, in one slice of the image. normal: (3,) square to that slice, LPS; a
        straight line does not tell it by itself."""
        ...

    def lasso(self, points_mm: ArrayLike, positive: bool = True) -> Structure:
        """A closed outline through points (N, 3), N >= 3, in one slice of the image."""
        ...

    def box(self, corner_mm: ArrayLike, opposite_mm: ArrayLike, positive: bool = True) -> Structure:
        """A box between two points (3,) in one slice of the image."""
        ...

    def undo(self) -> Structure:
        """The last prompt taken back. Raises InputError where it cannot be."""
        ...

    def reset(self) -> Structure:
        """All prompts taken back: a structure without voxels."""
        ...

    def close(self) -> None:
        """Let go of it, at once, even while another thread waits for an answer; may be called twice."""
        ...


@runtime_checkable
class InteractiveSegmenter(Protocol):
    """Entry point group `navplan.interactive`: an object or a class without arguments. modality: "" for any."""

    name: str
    description: str
    modality: str

    def fault(self) -> str:
        """Why it cannot be used as things are, in a sentence, found out at once; "" where all is well."""
        ...

    def place(self) -> str:
        """Where the image's voxels go, in words; "" where they stay on this machine."""
        ...

    def open(self, volume: Volume, image_id: str, structure: str) -> InteractiveDrawing:
        """Begin a structure of that name in an image; called in a thread of its own.

        Raises InputError where it cannot: nobody answers, no place is free, an image that it does not take.
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
