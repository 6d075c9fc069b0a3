"""A tip that may rest on a structure, as on bone: how deep it lies below the surface, and that it does not go through.

Asked for only where the whole needle is not proven to keep its limit, and the protocol gives leave (`TipContact`). Then
the shaft, to tip_mm from the end, must keep the limit, and of the tip, in points STEP_MM apart, is asked:

- depth: how far its surface lies below the structure's. Below the surface the distance to what is not the structure is
  bounded by voxels as the distance to the structure is (navplan.planning.boundary), with the same half widths: the
  nearest voxel that the structure does not fill holds a point outside it; the shares of fractional labels tell more
  (navplan.planning.share_depth). Above the surface the distance to the structure counts, as a negative depth. The
  upper end decides a PASS, the lower end a FAIL.
- through: once the axis may be in the structure it must stay so to its end, and the structure must surely go on behind
  the end: else a plate that is thinner than the depth that is allowed would be gone through and called contact.

Where labels tell which share of each voxel a structure fills, and voxels alone do not allow a tip, the surface inside
the voxels (navplan.planning.sub_voxel) may prove that its axis stays outside: then it touches from the side.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from navplan.model.protocol import TipContact
from navplan.model.safety import Interval
from navplan.model.structure import Structure
from navplan.planning.boundary import MOSTLY_INSIDE, Boundary, occupancy_at, voxels_below
from navplan.planning.share_depth import depth_at_most_mm
from navplan.planning.sub_voxel import surface_distance

STEP_MM = 0.2  # between the points of a tip; half of it is added to every depth
TOGETHER_MM = 0.15  # points of many tips that are computed as one
BEHIND_VOXELS = 2.0  # diagonals behind the end, besides the depth, in which the structure must surely go on


class Through(IntEnum):
    """Whether a tip goes through what it may rest on."""

    NO = 0
    NOT_PROVEN = 1
    YES = 2


@dataclass(frozen=True, eq=False)
class TipDepths:
    """Of N tips: between which ends their surface lies below that of a structure, mm, negative before it; through:
    (N,) of `Through`."""

    low_mm: NDArray[np.float64]
    high_mm: NDArray[np.float64]
    through: NDArray[np.int64]

    def allowed(self, contact: TipContact) -> NDArray[np.bool_]:
        """(N,) whether a tip is proven to lie no deeper than it may, and not to go through."""
        return np.asarray((self.high_mm <= contact.depth_mm) & (self.through == Through.NO))

    def interval(self, n: int) -> Interval:
        """The depth of one tip."""
        return Interval(float(self.low_mm[n]), float(self.high_mm[n]))


def shaft_ends_mm(
    starts_mm: NDArray[np.float64], ends_mm: NDArray[np.float64], contact: TipContact
) -> NDArray[np.float64]:
    """(N, 3) where the shaft of N needles ends and the tip begins that may touch, LPS mm."""
    span = np.asarray(ends_mm, dtype=np.float64) - starts_mm
    length = np.linalg.norm(span, axis=-1, keepdims=True)
    return np.asarray(starts_mm + np.maximum(1.0 - contact.tip_mm / length, 1e-3) * span)


def tip_depths(
    boundary: Boundary,
    starts_mm: NDArray[np.float64],
    ends_mm: NDArray[np.float64],
    radius_mm: float,
    contact: TipContact,
) -> TipDepths:
    """How deep the tips of N needles lie below the surface of a structure. starts, ends: (N, 3) LPS mm of the swept
    axes."""
    ends = np.broadcast_to(np.asarray(ends_mm, dtype=np.float64), starts_mm.shape)
    span = ends - starts_mm
    length = np.linalg.norm(span, axis=1, keepdims=True)
    direction = span / length
    tip_mm = np.minimum(contact.tip_mm, length[:, 0])
    count = int(np.ceil(contact.tip_mm / STEP_MM))
    behind = int(np.ceil((contact.depth_mm + BEHIND_VOXELS * boundary.diagonal_mm) / STEP_MM))
    share = np.linspace(-1.0, 0.0, count + 1)
    along = np.concatenate(
        [tip_mm[:, None] * share, np.broadcast_to(STEP_MM * np.arange(1, behind + 1), (len(ends), behind))], axis=1
    )  # from the end, mm
    points = ends[:, None] + along[..., None] * direction[:, None]
    enough_mm = 0.0 if len(ends) == 1 else contact.depth_mm - radius_mm - STEP_MM / 2
    low, high = np.empty(along.shape), np.empty(along.shape)
    for part in (slice(0, count + 1), slice(count + 1, None)):  # behind the end no depth is asked for
        told = _depths_of_points(boundary, points[:, part].reshape(-1, 3), np.inf if part.start else enough_mm)
        low[:, part], high[:, part] = (one.reshape(len(ends), -1) for one in told)
    found = TipDepths(
        low[:, : count + 1].max(axis=1) + radius_mm,
        high[:, : count + 1].max(axis=1) + STEP_MM / 2 + radius_mm,
        _through(high > 0.0, low > 0.0, count),
    )
    return _narrowed(found, boundary, points[:, : count + 1], radius_mm, contact)


def _narrowed(
    found: TipDepths, boundary: Boundary, points_mm: NDArray[np.float64], radius_mm: float, contact: TipContact
) -> TipDepths:
    """The same, where the surface inside the voxels proves that a tip's axis, of points (N, M, 3), stays outside."""
    low, high, through = found.low_mm.copy(), found.high_mm.copy(), found.through.copy()
    fullest = occupancy_at(boundary.structure, points_mm.reshape(-1, 3)).reshape(points_mm.shape[:2]).max(axis=1)
    for n in np.flatnonzero(~found.allowed(contact) & (fullest < MOSTLY_INSIDE) & _shares_tell(boundary)):
        surface = surface_distance(boundary, points_mm[n, 0], points_mm[n, -1])
        if surface is not None and surface.low_mm > 0.0:
            high[n] = min(high[n], radius_mm - surface.low_mm)
            low[n] = min(low[n], high[n])
            through[n] = Through.NO
    return TipDepths(low, high, through)


def _through(maybe: NDArray[np.bool_], surely: NDArray[np.bool_], last: int) -> NDArray[np.int64]:
    """(N,) of `Through`. maybe, surely (N, M): whether a point of the axis may, or must, lie in the structure; `last`
    is the tip's end, what follows lies behind it."""
    tip = maybe[:, : last + 1]
    first = np.where(tip.any(axis=1), tip.argmax(axis=1), last + 1)
    columns = np.arange(maybe.shape[1])
    since = columns >= first[:, None]
    out_again = (~tip & since[:, : last + 1]).any(axis=1)
    # of the points from the first on, those before the axis is surely out
    outside = ~maybe & since
    ends_at = np.where(outside.any(axis=1), outside.argmax(axis=1), maybe.shape[1])
    run = since & (columns < ends_at[:, None])
    goes_on = (surely & run & (columns >= last)).any(axis=1)
    found = np.where(goes_on, Through.NO, Through.NOT_PROVEN)
    been_in = (surely & run).any(axis=1)
    found = np.where(out_again, np.where(been_in, Through.YES, Through.NOT_PROVEN), found)
    return np.asarray(np.where(first > last, Through.NO, found), dtype=np.int64)


def _depths_of_points(
    boundary: Boundary, points_mm: NDArray[np.float64], enough_mm: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(N,) least and greatest depth of points (N, 3) below the surface of a structure, negative outside it; enough_mm:
    a greatest depth that need not be told more exactly."""
    structure = boundary.structure
    voxels, holes = _trees_of(boundary)
    here = occupancy_at(structure, points_mm) > 0
    out = np.asarray(voxels.query(points_mm)[0])
    may = np.asarray(here | (out <= boundary.below_mm))
    inside = np.zeros(len(points_mm))
    inside[may] = holes.query(points_mm[may])[0]
    high = np.where(may, inside + boundary.above_mm, -(out - boundary.below_mm))
    if _shares_tell(boundary):
        high = np.where(here, high, np.minimum(high, 0.0))  # what is not touched holds nothing of it
        doubtful = np.flatnonzero(here & (high > enough_mm) & (inside <= enough_mm + boundary.diagonal_mm))
        high[doubtful] = np.minimum(high[doubtful], _by_shares_mm(boundary, points_mm[doubtful]))
    surely_in = may & (inside > boundary.below_mm)
    low = np.where(surely_in, inside - boundary.below_mm, -(out + boundary.above_mm))
    return np.minimum(low, high), high


def _shares_tell(boundary: Boundary) -> bool:
    """Whether the labels tell which share of each voxel is filled, at the resolution of their own grid."""
    structure = boundary.structure
    assert structure.grid is not None
    fine = boundary.diagonal_mm <= structure.grid.diagonal_mm * 1.001
    return structure.fractional and not structure.carried_from and fine


def _by_shares_mm(boundary: Boundary, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) `depth_at_most_mm`, of points that lie close together computed once: how far two points lie apart their
    depths do not exceed."""
    if not len(points_mm):
        return np.zeros(0)
    origin = points_mm[-1]
    cells, which = np.unique(np.rint((points_mm - origin) / TOGETHER_MM).astype(np.int64), axis=0, return_inverse=True)
    middles = origin + cells * TOGETHER_MM
    which = which.ravel()
    return np.asarray(
        depth_at_most_mm(boundary, middles)[which] + np.linalg.norm(points_mm - middles[which], axis=1)
    )


_HOLES: WeakKeyDictionary[Structure, tuple[cKDTree, cKDTree]] = WeakKeyDictionary()


def _trees_of(boundary: Boundary) -> tuple[cKDTree, cKDTree]:
    """The structure's boundary voxels, and the voxels in and around it that it does not fill; kept as long as it is."""
    structure = boundary.structure
    if structure not in _HOLES:
        full = 255 if structure.fractional else 1
        _HOLES[structure] = cKDTree(boundary.centres_mm), voxels_below(structure, full)
    return _HOLES[structure]
