"""Windows and colour maps: what an image is shown in, by its kind, until a person chooses otherwise."""

from __future__ import annotations

from enum import Enum
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from navplan.errors import ChoiceError, InputError
from navplan.model.volume import Volume

SUV_WINDOW = (5.0, 10.0)  # 0 to 10: customary in oncology
MR_SHARES = (1.0, 99.0)  # percentiles of what is not background
COUNT_SHARES = (0.0, 99.9)  # of an image of activity without SUV
MOST_LOOKED_AT = 300_000  # voxels
LARGEST_STEP = 32_000  # of a 16-bit integer

# Value 0 to 1 and colour: linear between. Hot as nuclear medicine has it; inverse grey for PET by itself.
COLOUR_MAPS: dict[str, tuple[tuple[float, tuple[int, int, int]], ...]] = {
    "grey": ((0.0, (0, 0, 0)), (1.0, (255, 255, 255))),
    "inverse": ((0.0, (255, 255, 255)), (1.0, (0, 0, 0))),
    "hot": ((0.0, (0, 0, 0)), (0.375, (255, 0, 0)), (0.75, (255, 255, 0)), (1.0, (255, 255, 255))),
    "amber": ((0.0, (0, 0, 0)), (0.6, (255, 150, 20)), (1.0, (255, 240, 190))),
}


class Window(Enum):
    """Level and width in HU (customary display settings)."""

    LUNG = (-600.0, 1500.0)
    SOFT_TISSUE = (40.0, 400.0)
    BONE = (400.0, 1800.0)
    WIDE = (-350.0, 1400.0)  # lung and soft tissue in one picture


AnyWindow = Window | tuple[float, float]
_OWN: WeakKeyDictionary[Volume, tuple[float, float]] = WeakKeyDictionary()
_STEPS: WeakKeyDictionary[Volume, float] = WeakKeyDictionary()


def level_and_width(window: AnyWindow) -> tuple[float, float]:
    """Of a window. Raises InputError for one without width."""
    level, width = window.value if isinstance(window, Window) else window
    if not (np.isfinite(level) and np.isfinite(width) and width > 0):
        raise InputError(f"a window of level {level} and width {width}", "two numbers, the width above 0")
    return float(level), float(width)


def default_window(volume: Volume) -> tuple[float, float]:
    """Level and width, in the image's own quantity: HU soft tissue, SUV 0 to 10, else the percentiles MR_SHARES of what
    is not background (COUNT_SHARES for PET without SUV)."""
    if volume.quantity == "HU":
        return Window.SOFT_TISSUE.value
    if volume.quantity == "SUV":
        return SUV_WINDOW
    if volume not in _OWN:
        values = _some(volume)
        above = values[values > values.min()] if len(values) else values
        shares = COUNT_SHARES if volume.modality == "PT" else MR_SHARES
        low, high = np.percentile(above, shares) if len(above) else (0.0, 1.0)
        width = float(high - low) if high > low else 1.0
        _OWN[volume] = float(low) + width / 2, width
    return _OWN[volume]


def default_map(volume: Volume, over: bool = True, blended: bool = False) -> str:
    """Name of the colour map: PET is hot over another image, and inverse grey by itself; all else is grey, and amber
    where it is blended with the greys of another image."""
    if volume.modality == "PT":
        return "hot" if over else "inverse"
    return "amber" if over and blended else "grey"


def step_of(volume: Volume) -> float:
    """What one step of a 16-bit integer stands for: 1 for HU and for voxels that are such integers, else the least
    power of ten by which the largest value fits (0.001 for SUV up to 32)."""
    if volume.voxels.dtype == np.int16 or volume.quantity == "HU":
        return 1.0
    if volume not in _STEPS:
        largest = float(np.abs(volume.voxels).max(initial=0.0))
        _STEPS[volume] = float(10.0 ** np.ceil(np.log10(largest / LARGEST_STEP))) if largest > 0 else 1.0
    return _STEPS[volume]


def coloured(values: NDArray[np.float64], window: AnyWindow, colours: str = "grey") -> NDArray[np.float64]:
    """(..., 3) RGB 0 to 255 of values in a window; what is not known (NaN) is black. Raises ChoiceError for a map that
    is not there."""
    if colours not in COLOUR_MAPS:
        raise ChoiceError(f"colour map {colours[:40]!a}", ", ".join(COLOUR_MAPS))
    share = shares(values, window)
    at, rgb = zip(*COLOUR_MAPS[colours], strict=True)
    found = np.stack([np.interp(share, at, part) for part in np.transpose(rgb)], axis=-1)
    found[np.isnan(share)] = 0.0
    return found


def shares(values: NDArray[np.float64], window: AnyWindow) -> NDArray[np.float64]:
    """Values in a window as 0 to 1; NaN stays."""
    level, width = level_and_width(window)
    return np.clip((np.asarray(values, dtype=np.float64) - (level - width / 2)) / width, 0.0, 1.0)


def _some(volume: Volume) -> NDArray[np.float64]:
    """Some of the voxels, evenly taken."""
    step = max(1, round((volume.voxels.size / MOST_LOOKED_AT) ** (1 / 3)))
    values = volume.voxels[::step, ::step, ::step].astype(np.float64).ravel()
    padding = volume.acquisition.padding_hu
    return values if padding is None else values[values > padding]
