"""Images of one patient that bent between them, as between two breaths: a map that follows, judged, with its error.

    found = register_deformable(expiration, inspiration)
    found.transform, found.field     # moving_from_fixed(p) = inverse(transform)(p + field(p))
    found.good                       # every check was computed, and passed
    found.error_map.error_mm(points)

From the linear map of `navplan.imaging.fusion`, cubic B-spline displacements of the fixed image are found that tell
most of the moving one and bend little (`navplan.imaging.deformable_search`), or by elastix. The same search from
elsewhere, with other knots and the other way round judges the result (`navplan.imaging.deformable_checks`) and says how
far off it may be where. One thread a map and fixed seeds: the same images give the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from threading import Lock
from typing import Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.errors import Cancelled, InputError
from navplan.geometry.transform import Transform
from navplan.imaging.bspline_field import SplineField
from navplan.imaging.deformable_checks import BentErrorMap, BentMap, BentPair, bent_checks
from navplan.imaging.deformable_search import USUAL, Settings, bent
from navplan.imaging.fusion import (
    FoundRegistration,
    Kind,
    LandmarkPairs,
    Progress,
    given_map,
    landmark_check,
    register_images,
)
from navplan.imaging.fusion_checks import Check, linear_checks, local_check
from navplan.imaging.fusion_images import FusionImage
from navplan.imaging.fusion_local import local_shifts
from navplan.imaging.fusion_pair import FusionPair
from navplan.imaging.fusion_search import Matrix, each, rigid_about
from navplan.model.displacement import DisplacementField
from navplan.model.structure import Structure
from navplan.model.volume import Volume

ENGINES = ("navplan", "elastix")
FIELD_MM = 5.0  # of the grid on which displacements are kept
RESTART = Settings(off=0.5, seed=2)
STIFFER = Settings(knots_mm=24.0, stiffness=4 * USUAL.stiffness, seed=3)
SET_OFF = (3.0, -3.0, 3.0), (4.0, 3.0, -4.0)  # of the restart: degrees; mm
REACH_MM = 15.0  # by which the linear start may be off: farther, the search for what bends does not find back


class Engine(Protocol):
    """Finds displacements u: other_from_sampled(p + u(p)) is the place of p in the other image."""

    def __call__(
        self, sampled: Sequence[FusionImage], other: Sequence[FusionImage], other_from_sampled: Matrix,
        settings: Settings, stop: Callable[[float], None],
    ) -> SplineField:  # fmt: skip
        """sampled, other: on three sizes of voxels; stop: is told the share that is done, and may raise."""
        ...


@dataclass(frozen=True, eq=False)
class FoundDeformable(FoundRegistration):
    """field: what the map adds to its linear part; kind: of that part. See FoundRegistration for the rest."""

    field: DisplacementField

    def to_moving(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """Points (..., 3) LPS mm of the fixed image in the moving one."""
        points = np.asarray(points_mm, dtype=np.float64)
        return self.transform.inverse().apply(points + self.field.at(points))


def register_deformable(
    fixed: Volume,
    moving: Volume,
    *,
    linear: Kind = "rigid",
    engine: str = "navplan",
    start: Literal["auto"] | ArrayLike | Transform | LandmarkPairs = "auto",
    fixed_mask: Structure | None = None,
    moving_mask: Structure | None = None,
    own_coordinates: bool = True,
    fixed_name: str = "fixed",
    moving_name: str = "moving",
    progress: Progress = lambda words, share: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> FoundDeformable:
    """The map that bends, judged.

    linear, start, masks, own_coordinates: of the linear map that it starts from, as `register_images` has them; a map
    that is given is taken as it is. engine: of ENGINES. cancelled: asked at every step of the search.

    Raises what `register_images` raises; InputError for another engine; MissingComponentError for elastix that is not
    installed; Cancelled. A result that is not good enough is no error: see `good`.
    """
    if engine not in ENGINES:
        raise InputError(f"an engine {engine!r}", " or ".join(ENGINES))
    find = bent if engine == "navplan" else _elastix()

    told = Lock()  # searches run side by side
    ended: list[BaseException] = []

    def stop(words: str, share: float) -> None:
        with told:
            try:
                if ended:
                    raise ended[0]
                if cancelled():
                    raise Cancelled("the registration was stopped")
                progress(words, share)
            except BaseException as error:  # whatever ends one search ends the others
                ended.append(error)
                raise

    stop("images", 0.0)
    pair = FusionPair.of(fixed, moving, fixed_mask, moving_mask)
    if isinstance(start, (str, LandmarkPairs)):
        before = register_images(
            fixed, moving, kind=linear, start=start, own_coordinates=own_coordinates, fixed_name=fixed_name,
            moving_name=moving_name, pair=pair, progress=lambda words, share: stop(words, 0.35 * share),
        )  # fmt: skip
    else:
        before = given_map(start, (fixed_name, moving_name))
    transform = before.transform
    back: Matrix = np.asarray(np.linalg.inv(transform.matrix), dtype=np.float64)
    shares = [0.0] * 4

    def part(number: int) -> Callable[[float], None]:
        def done(share: float) -> None:
            shares[number] = share
            stop("bending", 0.35 + 0.6 * sum(shares) / 4)

        return done

    centre = pair.fixed[-1].centre_mm
    beside = rigid_about(np.array(SET_OFF[0]), centre, centre + SET_OFF[1])
    set_off: Matrix = np.asarray(back @ beside, dtype=np.float64)
    work = [
        (pair.fixed, pair.moving, back, USUAL, part(0)),
        (pair.fixed, pair.moving, set_off, RESTART, part(1)),
        (pair.fixed, pair.moving, back, STIFFER, part(2)),
        (pair.moving, pair.fixed, transform.matrix, USUAL, part(3)),
    ]
    splines = each(lambda one: find(*one), work)
    stop("checks", 0.95)
    maps = [BentMap(one[2], spline) for one, spline in zip(work, splines, strict=True)]
    field = splines[0].on_grid(fixed.grid, FIELD_MM)
    bent_pair = BentPair(pair.fixed, pair.moving, pair.voxel_mm, BentMap(back, field), maps[1], maps[2], maps[3])
    checks = linear_checks(transform.matrix, before.kind == "affine") + _start_check(before) + bent_checks(bent_pair)
    local = local_shifts(pair.fixed[-1], pair.moving[-1], bent_pair.judged)
    checks.append(local_check(pair, local))
    error_map = BentErrorMap(bent_pair, pair.diagonal_mm / 2, local)
    expected = error_map.error_mm(bent_pair.body_mm)
    made = FoundDeformable(
        replace(
            transform, date=datetime.now(UTC).isoformat(timespec="seconds"),
            origin=f"deformable registration by {engine}",
            expected_error_mm=float(expected.mean()) if len(expected) else np.inf,
        ),
        error_map, tuple(checks), before.start, before.kind, field,
    )  # fmt: skip
    if isinstance(start, LandmarkPairs):
        check = landmark_check(made.to_moving(start.fixed_mm), start.moving_mm, pair.voxel_mm)
        made = replace(made, checks=(*made.checks, check))
    stop("done", 1.0)
    return made


def _elastix() -> Engine:
    from navplan.imaging.deformable_elastix import by_elastix, refuse_without_elastix

    refuse_without_elastix()
    return by_elastix


def _start_check(before: FoundRegistration) -> list[Check]:
    """That no other start as good lies farther off than the search for what bends can follow; nothing for a map that
    was given, where nothing else was searched."""
    for one in before.checks:
        if one.name == "other starts":
            words = one.words.split(":")[0]
            said = "not computed" if one.value is None else f"{one.value:.1f} mm, at most {REACH_MM:g} allowed"
            return [Check("linear start", one.value, REACH_MM, f"{words}: {said}")]
    return []
