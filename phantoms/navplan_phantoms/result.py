"""What a phantom gives: plain arrays, an affine and the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class PhantomStructure:
    """One structure: occupancy (uint8, 0..255, [i, j, k]) on the index range that starts at `offset`.

    `concept` is a plain anatomical term, `side` is "left", "right" or "", `hu` the CT number that it was painted with.
    """

    offset: tuple[int, int, int]
    occupancy: NDArray[np.uint8]
    concept: str
    side: str
    hu: float


@dataclass(frozen=True, eq=False)
class PhantomResult:
    """An image (int16 HU, [i, j, k]), its affine (index to LPS mm, voxel centres), structures and truth.

    `truth` holds plain numbers, texts, lists and dicts only, ready for JSON. The affine is orthogonal but for the
    orientation "tilted", where `truth["grid"]["orthogonal"]` is False.
    """

    voxels: NDArray[np.int16]
    affine: NDArray[np.float64]
    structures: Mapping[str, PhantomStructure]
    truth: dict[str, Any]
    modality: str
    patient_position: str
