"""On which side of the body the couch lies, from the voxels of a CT: no label is asked.

A couch is a thin sheet that stands at the same place on every slice, beside the body and on both sides of its middle.
Blankets, lines and wires lie elsewhere on the next slice, or are narrow. Where the image was cut or cleaned so that
too little of the sheet is left, nothing is said. The numbers are unsourced; docs/decisions/0006 says what they were
tried on.
"""

from __future__ import annotations

from collections.abc import Iterator
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from navplan.imaging.canonical import Mask
from navplan.model.volume import Volume

RASTER_MM, SLICE_MM = 2.0, 10.0  # between the samples: in an axial plane, and from plane to plane
BLOCK, FEWEST = 8, 6  # planes that are looked at together; a stack of fewer tells nothing
SHEET_HU, TISSUE_HU = -800.0, -300.0  # foam and air lie below the first, nothing of the body's wall below the second
BODY_RADIUS_MM = 8.0  # of a disc that fits into the body, and not into a couch top
THICK_RADIUS_MM = 10.0  # of a disc that fits into no sheet
EVERY = 0.8  # share of the planes of a block on which a sheet stands at the same place
WIDE_MM = 50.0  # breadth of sheet that is seen at least; of the real CTs with a couch, the least was 70 mm
BALANCED = 0.5  # breadth on one side of the body's middle, of that on the other
ACROSS, BESIDE = 0.2, 0.8  # breadth on the side across, and on the two beside, of that on the couch's

Side = tuple[int, int, int]
_SIDES: tuple[tuple[Side, int, bool], ...] = (  # direction in LPS, axis of the plane, whether it points up that axis
    ((1, 0, 0), 0, True), ((-1, 0, 0), 0, False), ((0, 1, 0), 1, True), ((0, -1, 0), 1, False),
)  # fmt: skip
_FOUND: WeakKeyDictionary[Volume, Side | None] = WeakKeyDictionary()


def couch_side(volume: Volume) -> Side | None:
    """The direction in LPS from the body to the couch, one of left, right, posterior, anterior; None where the voxels
    do not tell, or are no CT. Kept as long as the image is."""
    if volume not in _FOUND:
        _FOUND[volume] = _couch_side(volume)
    return _FOUND[volume]


def _couch_side(volume: Volume) -> Side | None:
    if volume.quantity != "HU":
        return None
    hu = _sampled(volume)
    if hu.shape[2] < FEWEST or min(hu.shape[:2]) * RASTER_MM < WIDE_MM:
        return None
    blocks = np.array_split(hu, max(1, round(hu.shape[2] / BLOCK)), axis=2)
    told = [_side_of_block(block) for block in blocks]
    sides = {side for side in told if side is not None}
    most = 2 * sum(side is not None for side in told) > len(told)
    return sides.pop() if most and len(sides) == 1 else None


def _sampled(volume: Volume) -> NDArray[np.float32]:
    """HU at points of a raster along L, P, S that the image's box holds; air where an oblique image has no voxel."""
    corners = volume.grid.corners_mm()
    low, high = corners.min(axis=0), corners.max(axis=0)
    steps = (RASTER_MM, RASTER_MM, SLICE_MM)
    along = [np.arange(low[n] + steps[n] / 2, high[n], steps[n]) for n in range(3)]
    if not all(len(axis) for axis in along):
        return np.empty((0, 0, 0), np.float32)
    start, ends = np.asarray([axis[0] for axis in along]), [axis[-1] - axis[0] for axis in along]
    first = volume.grid.indices(start)
    tips = np.asarray([volume.grid.indices(start + ends[n] * np.eye(3)[n]) - first for n in range(3)])
    main = np.argmax(np.abs(tips), axis=1)  # of the three raster axes: the image's axis that it runs along
    off = max(float(np.delete(np.abs(tips[n]), main[n]).max()) for n in range(3))
    last = np.asarray(volume.grid.shape) - 1
    if off < 1.0 and len(set(main.tolist())) == 3:
        middle = first + tips.sum(axis=0) / 2
        index: list[NDArray[np.intp]] = [np.empty(0, np.intp)] * 3
        for n, axis in enumerate(main):
            run = middle[axis] + tips[n, axis] * np.linspace(-0.5, 0.5, len(along[n]))
            index[axis] = np.clip(np.rint(run).astype(np.intp), 0, last[axis])
        return volume.voxels[np.ix_(*index)].transpose(main).astype(np.float32)
    points = np.stack(np.meshgrid(*along, indexing="ij"), axis=-1)
    nearest = np.rint(volume.grid.indices(points)).astype(np.intp)
    seen = ((nearest >= 0) & (nearest <= last)).all(axis=-1)
    found = np.full(seen.shape, -1024.0, np.float32)
    found[seen] = volume.voxels[tuple(nearest[seen].T)]
    return found


def _side_of_block(hu: NDArray[np.float32]) -> Side | None:
    body, sheet = _body_and_sheet(hu)
    if not body.any():
        return None
    seen = {side: breadth for side, breadth in _breadths(body, sheet)}
    best = max(seen, key=lambda side: seen[side][0])
    wide_mm, balance = seen[best]
    opposite = (-best[0], -best[1], 0)
    beside_mm = max(breadth for side, (breadth, _) in seen.items() if side not in (best, opposite))
    clear = seen[opposite][0] <= ACROSS * wide_mm and beside_mm <= BESIDE * wide_mm
    return best if wide_mm >= WIDE_MM and balance >= BALANCED and clear else None


def _body_and_sheet(hu: NDArray[np.float32]) -> tuple[Mask, Mask]:
    """Body and sheet (X, Y) of a block (X, Y, Z): where the body is on half of its planes, and where something thin
    that is no body is on most."""
    rough = _disc(BODY_RADIUS_MM / (2 * RASTER_MM))[:, :, None]
    core = ndimage.binary_opening(hu[::2, ::2] > TISSUE_HU, rough)
    core = ndimage.binary_dilation(core, rough)
    body = np.repeat(np.repeat(core, 2, axis=0), 2, axis=1)[: hu.shape[0], : hu.shape[1]]
    planes = hu.shape[2]
    often = np.asarray(body.sum(axis=2) >= planes / 2)
    sheet = (((hu > SHEET_HU) & ~body).sum(axis=2) >= EVERY * planes) & ~often
    thick = ndimage.binary_opening(sheet, _disc(THICK_RADIUS_MM / RASTER_MM))
    return often, np.asarray(sheet & ~ndimage.binary_dilation(thick, _disc(THICK_RADIUS_MM / RASTER_MM + 1)))


def _breadths(body: Mask, sheet: Mask) -> Iterator[tuple[Side, tuple[float, float]]]:
    """Of each side: mm of sheet that lies there with the body behind it and none before it; how evenly it lies about
    the body's middle."""
    for side, axis, up in _SIDES:
        turn = slice(None) if up else slice(None, None, -1)
        turned, thin = (np.moveaxis(one, axis, 0)[turn] for one in (body, sheet))
        behind = np.maximum.accumulate(turned, axis=0)
        before = np.maximum.accumulate(turned[::-1], axis=0)[::-1]
        lines = (thin & behind & ~before).any(axis=0)
        across = np.flatnonzero(turned.any(axis=0))
        middle, at = (across[0] + across[-1]) / 2, np.flatnonzero(lines)
        halves = int((at < middle).sum()), int((at > middle).sum())
        yield side, (len(at) * RASTER_MM, min(halves) / max(1, *halves))


def _disc(radius: float) -> Mask:
    reach = int(radius)
    offset = np.arange(-reach, reach + 1)
    return np.asarray(np.hypot(offset[:, None], offset[None, :]) <= radius + 0.3)
