"""What an anatomy is made of: painted parts, each a solid with its CT number, and the shape of one patient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from navplan_phantoms.solid_base import Solid


@dataclass(frozen=True)
class AbdomenShape:
    """The numbers by which one patient of the abdomen phantom differs from another.

    `scale` multiplies everything but the fat and the lesion's size; the lesion's centre, LPS mm, is that in the
    unscaled patient, its shift is in mm from there.
    """

    scale: float = 1.0
    fat_thickness_mm: float = 20.0
    lesion_diameter_mm: float = 24.0
    lesion_centre_mm: tuple[float, float, float] = (-91.0, 0.0, -4.0)
    lesion_shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        _within("scale", self.scale, 0.85, 1.15)
        _within("fat_thickness_mm", self.fat_thickness_mm, 8.0, 40.0)
        _within("lesion_diameter_mm", self.lesion_diameter_mm, 6.0, 32.0)
        x, y, z = self.lesion_centre_mm
        for centre, low, high in ((x, -120.0, -60.0), (y, -50.0, 30.0), (z, -40.0, 40.0)):
            _within("lesion_centre_mm", centre, low, high)
        for shift in self.lesion_shift_mm:
            _within("lesion_shift_mm", shift, -6.0, 6.0)

    @classmethod
    def varied(cls, seed: int) -> AbdomenShape:
        """A patient drawn at random, modestly different from the standard one; the same seed gives the same patient."""
        random = np.random.default_rng(seed)
        x, y, z = (round(float(random.uniform(-4.0, 4.0)), 2) for _ in range(3))
        return cls(
            scale=round(float(random.uniform(0.92, 1.08)), 3),
            fat_thickness_mm=round(float(random.uniform(12.0, 30.0)), 1),
            lesion_diameter_mm=round(float(random.uniform(16.0, 30.0)), 1),
            lesion_shift_mm=(x, y, z),
        )


def _within(name: str, value: float, low: float, high: float) -> None:
    """Raise ValueError unless low <= value <= high."""
    if not low <= value <= high:
        raise ValueError(f"{name} must be between {low} and {high}, received {value}")


@dataclass(frozen=True, eq=False)
class Part:
    """One solid of the anatomy, painted with `hu` over all parts before it.

    `concept` is a plain anatomical term and `side` is "left", "right" or "". A part that is not `labelled` shows in the
    image only (fat, muscle, gas, the inside of a bone).
    """

    name: str
    solid: Solid
    hu: float
    concept: str = ""
    side: str = ""
    labelled: bool = True


def unlabelled(name: str, solid: Solid, hu: float) -> Part:
    """A part that is painted but has no label."""
    return Part(name, solid, hu, labelled=False)
