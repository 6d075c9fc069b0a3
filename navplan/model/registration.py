"""One image's place in the frame of another: the map, how far off it may be where, and what was looked at."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.errors import GeometryError, InputError
from navplan.geometry.grid import Grid
from navplan.geometry.transform import Transform
from navplan.model.displacement import DisplacementField, inverted

KINDS = ("rigid", "affine", "deformable", "landmarks", "surface", "vertebrae", "given")
SIGMA_SHARE = 1.96  # a distance that is within e in 95 of 100 has at most sigma e / 1.96 along any direction


@dataclass(frozen=True)
class RegistrationCheck:
    """One look at a registration. value against limit, in unit; passed: None where it could not be computed. local:
    what failed concerns only places where the expected error is NaN."""

    name: str
    words: str
    value: float | None = None
    limit: float | None = None
    unit: str = "mm"
    passed: bool | None = None
    local: bool = False


@dataclass(frozen=True, eq=False)
class ErrorGrid:
    """mm (I, J, K) float32: within this distance of the truth a mapped point lies in 95 of 100, at the voxel centres of
    a coarse grid, LPS of the fixed image; NaN where it is not known."""

    mm: NDArray[np.float32]
    grid: Grid

    def __post_init__(self) -> None:
        array = np.asarray(self.mm)
        if array.shape != self.grid.shape or array.dtype != np.float32 or (array < 0).any() or np.isinf(array).any():
            raise GeometryError(
                f"expected errors {array.dtype} {array.shape} on {self.grid!r}", "float32, 0 mm or more, or NaN"
            )
        view = array.view()
        view.flags.writeable = False
        object.__setattr__(self, "mm", view)

    def error_mm(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """(K,) at points (K, 3): the largest of the 8 voxels around; NaN where one of them or the place is unknown."""
        points = np.asarray(points_mm, dtype=np.float64).reshape(-1, 3)
        at = self.grid.indices(points)
        last = np.asarray(self.grid.shape) - 1
        there = ((at >= -0.5) & (at <= last + 0.5)).all(axis=1)
        at[~there] = 0.0  # a place that is not known (NaN) has no voxel
        low = np.clip(np.floor(at + 1e-9).astype(int), 0, last)
        high = np.minimum(low + (at - low > 1e-9), last)
        found = np.zeros(len(points))
        for i, j, k in np.ndindex(2, 2, 2):
            pick = [(low, high)[choice][:, axis] for axis, choice in enumerate((i, j, k))]
            found = np.maximum(found, self.mm[pick[0], pick[1], pick[2]])  # NaN stays NaN
        found[~there] = np.nan
        return found


@dataclass(frozen=True, eq=False)
class ImageRegistration:
    """How the image `moving` lies in the frame of the image `fixed`. Neither image is changed.

    transform: fixed_from_moving, linear, LPS mm. field: what a deformable one adds: moving_from_fixed(p) =
    inverse(transform)(p + field(p)). errors: within what distance of the truth in 95 of 100, place by place.
    checks: what was looked at; digests: of the voxels of both images when it was made.
    made_with: method and its settings; made_on: ISO 8601.
    """

    fixed: str
    moving: str
    kind: str
    transform: Transform
    errors: ErrorGrid
    checks: tuple[RegistrationCheck, ...]
    fixed_digest: str
    moving_digest: str
    made_with: str
    made_on: str
    field: DisplacementField | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"a registration of kind {self.kind!r}", ", ".join(KINDS))
        if not self.fixed or not self.moving or self.fixed == self.moving:
            raise InputError(f"a registration of {self.moving!r} to {self.fixed!r}", "two images")
        if (self.transform.target, self.transform.source) != (self.fixed, self.moving):
            raise InputError(
                f"a registration of {self.moving} to {self.fixed} with a map"
                f" {self.transform.target}_from_{self.transform.source}", "the map of the two"
            )  # fmt: skip

    @property
    def key(self) -> str:
        """Its key in a case."""
        return registration_key(self.fixed, self.moving)

    @property
    def good(self) -> bool:
        """Whether it was looked at, and every check was computed and passed."""
        return bool(self.checks) and all(check.passed is True for check in self.checks)

    @property
    def doubt(self) -> str:
        """Why it is not good enough; "" for a good one."""
        if not self.checks:
            return "nothing of it was checked"
        failed = [check.words for check in self.checks if check.passed is not True]
        return "; ".join(failed)

    @property
    def doubt_where_known(self) -> str:
        """Why it is not good enough even where its expected error is known; "" for none."""
        if not self.checks:
            return self.doubt
        return "; ".join(check.words for check in self.checks if check.passed is not True and not check.local)

    def to_moving(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """Points (..., 3) of the fixed image to the moving one, LPS mm."""
        points = np.asarray(points_mm, dtype=np.float64)
        return self._back.apply(points if self.field is None else points + self.field.at(points))

    def to_fixed(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """Points (..., 3) of the moving image to the fixed one, LPS mm.

        Raises GeometryError for a field that folds anywhere, and where the search for the inverse does not settle.
        """
        if self.field is not None and self.field.least_volume <= 0:
            raise GeometryError("a deformable registration that folds", "one that has an inverse")
        found = self.to_fixed_where(points_mm)
        if np.isnan(found).any():
            raise GeometryError("a deformable registration that cannot be inverted here", "one that does not fold")
        return found

    def to_fixed_where(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """As `to_fixed`, for pictures: NaN at each point where the search for the inverse does not settle, or settles
        where the field folds."""
        straight = self.transform.apply(points_mm)
        return straight if self.field is None else inverted(self.field, straight)

    def error_mm(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """(K,) within what distance of the truth in 95 of 100, at points (K, 3) of the fixed image; NaN: not known."""
        return self.errors.error_mm(points_mm)

    @cached_property
    def _back(self) -> Transform:
        return self.transform.inverse()


def registration_key(fixed: str, moving: str) -> str:
    """The key of a registration in a case."""
    return f"{fixed}_from_{moving}"
