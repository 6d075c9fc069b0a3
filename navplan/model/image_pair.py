"""Two images of one patient, one laid over the other: by what, how good that is, and how far off it may be where."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.errors import ChoiceError, InputError
from navplan.model.case import Case
from navplan.model.registration import ImageRegistration, registration_key


class Tie(StrEnum):
    """By what one image lies over another. Only a good registration is to be relied on."""

    GOOD = "good"
    DOUBTFUL = "not good enough"
    FRAME = "only one frame of reference"


@dataclass(frozen=True, eq=False)
class ImagePair:
    """How the image `second` lies over the image `first`. registration: of the two, made either way round; None where
    nothing but one frame of reference ties them: the coordinates of the files are taken, and nobody looked whether the
    patient moved."""

    first: str
    second: str
    registration: ImageRegistration | None = None

    @property
    def tie(self) -> Tie:
        """How good it is."""
        if self.registration is None:
            return Tie.FRAME
        return Tie.GOOD if self.registration.good else Tie.DOUBTFUL

    @property
    def words(self) -> str:
        """Its quality in words, with the reason where it is not good."""
        if self.registration is None:
            return f"{Tie.FRAME}: not registered, error not known"
        return "good registration" if self.registration.good else f"{Tie.DOUBTFUL}: {self.registration.doubt}"

    @property
    def turned(self) -> bool:
        """Whether the registration was made the other way round, and is taken backwards."""
        return self.registration is not None and self.registration.fixed != self.first

    def to_second(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """Points (..., 3) LPS mm of the first image in the second; NaN at each where a map that bends is taken
        backwards and cannot be."""
        if self.registration is None:
            return np.asarray(points_mm, dtype=np.float64)
        return self.registration.to_fixed_where(points_mm) if self.turned else self.registration.to_moving(points_mm)

    def to_first(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """Points (..., 3) LPS mm of the second image in the first; NaN as above."""
        if self.registration is None:
            return np.asarray(points_mm, dtype=np.float64)
        return self.registration.to_moving(points_mm) if self.turned else self.registration.to_fixed_where(points_mm)

    def error_mm(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """(K,) within what distance of the truth in 95 of 100, at points (K, 3) of the first image; NaN: not known."""
        points = np.asarray(points_mm, dtype=np.float64).reshape(-1, 3)
        if self.registration is None:
            return np.full(len(points), np.nan)
        return self.registration.error_mm(self.to_second(points) if self.turned else points)


def image_pair(case: Case, first: str, second: str) -> ImagePair:
    """How image `second` lies over image `first`: by their registration, made either way round, else by one frame of
    reference.

    Raises InputError for one image twice, ChoiceError for images that are not there and for two that nothing ties,
    MismatchError where an image is not the one that was registered.
    """
    if first == second:
        raise InputError(f"image {first!a} over itself", "two images")
    grids = [case.image(image_id)[1].grid for image_id in (first, second)]
    for fixed, moving in ((first, second), (second, first)):
        if registration_key(fixed, moving) in case.registrations:
            return ImagePair(first, second, case.registration(fixed, moving))
    if grids[0].frame_uid and grids[0].frame_uid == grids[1].frame_uid:
        return ImagePair(first, second)
    raise ChoiceError(
        f"image {second} over {first}, which nobody registered and which share no frame of reference",
        ", ".join(case.registrations) or "no registration in this case",
        f"Register them: navplan register CASE --fixed {first} --moving {second}",
    )
