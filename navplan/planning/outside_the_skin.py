"""What a needle and the hand that holds it meet outside the skin."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from navplan.geometry.compiled import by_rows, compiled
from navplan.geometry.grid import Grid
from navplan.model.structure import Structure
from navplan.model.volume import Volume
from navplan.planning.boundary import MOSTLY_INSIDE, flat_in_file_order

SOLID_HU = -300.0  # what is denser and lies outside the body is in the way
HAND_MM = 20.0  # room between the needle outside and what lies below it, for hub and fingers (unsourced)
RIM_MM = 3.0  # voxels of the skin, filled in part, lie this close to the body
COUCH_HU = -600.0  # a couch's thin shell and its cushion, in voxels that they fill in part, are denser (unsourced)


def met_outside(
    points_mm: NDArray[np.float64],
    outward: NDArray[np.float64],
    outside_mm: NDArray[np.float64],
    solid: Volume | Structure,
) -> NDArray[np.bool_]:
    """(N,) whether needle or hub, `outside_mm` (N,) long outside skin points (N, 3), meet what an image shows denser
    than SOLID_HU, or a structure."""
    grid = solid.grid
    voxels, least = (solid.voxels, SOLID_HU) if isinstance(solid, Volume) else (solid.occupancy, MOSTLY_INSIDE - 0.5)
    assert grid is not None and voxels is not None
    return np.asarray(
        by_rows(
            _solid_outside,
            [points_mm, outward, outside_mm],
            flat_in_file_order(voxels),
            *_indices_of(grid),
            float(least),
        )
    )


def no_room_below(
    points_mm: NDArray[np.float64],
    outward: NDArray[np.float64],
    outside_mm: NDArray[np.float64],
    down: NDArray[np.float64],
    image: Volume,
    body: Structure,
) -> NDArray[np.bool_]:
    """(N,) whether the couch or its cushion lies so close below the needle outside that no hand holds the hub."""
    assert body.grid is not None and body.occupancy is not None
    return np.asarray(
        by_rows(
            _tight,
            [points_mm, outward, outside_mm],
            down,
            flat_in_file_order(image.voxels),
            *_indices_of(image.grid),
            flat_in_file_order(body.occupancy),
            *_indices_of(body.grid),
            np.asarray([COUCH_HU, HAND_MM, RIM_MM]),
        )
    )


def _indices_of(grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(3, 4) from LPS mm to continuous indices, and the shape."""
    return np.ascontiguousarray(np.linalg.inv(grid.affine)[:3]), np.asarray(grid.shape, dtype=np.int64)


@compiled()
def _solid_outside(
    points: NDArray[np.float64],
    outward: NDArray[np.float64],
    outside: NDArray[np.float64],
    voxels: NDArray[np.generic],
    to_index: NDArray[np.float64],
    shape: NDArray[np.int64],
    least: float,
) -> NDArray[np.bool_]:
    """(N,) whether a voxel above `least` lies on the ray out of each point, from 6 mm on, every 2 mm."""
    found = np.zeros(len(points), np.bool_)
    for n in range(len(points)):
        step = 6.0
        while step <= outside[n]:
            x = points[n, 0] + step * outward[n, 0]
            y = points[n, 1] + step * outward[n, 1]
            z = points[n, 2] + step * outward[n, 2]
            i = int(np.rint(to_index[0, 0] * x + to_index[0, 1] * y + to_index[0, 2] * z + to_index[0, 3]))
            j = int(np.rint(to_index[1, 0] * x + to_index[1, 1] * y + to_index[1, 2] * z + to_index[1, 3]))
            k = int(np.rint(to_index[2, 0] * x + to_index[2, 1] * y + to_index[2, 2] * z + to_index[2, 3]))
            inside = 0 <= i < shape[0] and 0 <= j < shape[1] and 0 <= k < shape[2]
            if inside and voxels[(k * shape[1] + j) * shape[0] + i] > least:
                found[n] = True
                break
            step += 2.0
    return found


@compiled()
def _tight(
    points: NDArray[np.float64],
    outward: NDArray[np.float64],
    outside: NDArray[np.float64],
    down: NDArray[np.float64],
    voxels: NDArray[np.generic],
    to_index: NDArray[np.float64],
    shape: NDArray[np.int64],
    body: NDArray[np.uint8],
    to_body: NDArray[np.float64],
    body_shape: NDArray[np.int64],
    settings: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """(N,) whether something denser than settings[0] HU, and not the body or its rim (settings[2] mm wide), lies up to
    settings[1] mm below the needle outside; near the skin less room is needed, the hand is at the hub."""
    found = np.zeros(len(points), np.bool_)
    for n in range(len(points)):
        step = 10.0
        while step <= outside[n] and not found[n]:
            below = 0.0
            # the needle's own line every millimetre, for a couch has a thin shell; below it every fourth
            deepest = min(settings[1], step - 10.0) if step % 4.0 == 2.0 else 0.0
            while below <= deepest + 0.1 and not found[n]:
                x = points[n, 0] + step * outward[n, 0] + below * down[0]
                y = points[n, 1] + step * outward[n, 1] + below * down[1]
                z = points[n, 2] + step * outward[n, 2] + below * down[2]
                i = int(np.rint(to_index[0, 0] * x + to_index[0, 1] * y + to_index[0, 2] * z + to_index[0, 3]))
                j = int(np.rint(to_index[1, 0] * x + to_index[1, 1] * y + to_index[1, 2] * z + to_index[1, 3]))
                k = int(np.rint(to_index[2, 0] * x + to_index[2, 1] * y + to_index[2, 2] * z + to_index[2, 3]))
                below += 2.0
                if not (0 <= i < shape[0] and 0 <= j < shape[1] and 0 <= k < shape[2]):
                    continue
                if voxels[(k * shape[1] + j) * shape[0] + i] <= settings[0]:
                    continue
                at_body = False
                for rim in range(3):
                    a, b = (settings[2], 0.0) if rim == 1 else ((0.0, settings[2]) if rim == 2 else (0.0, 0.0))
                    u = x + a * down[0] - b * outward[n, 0]
                    v = y + a * down[1] - b * outward[n, 1]
                    w = z + a * down[2] - b * outward[n, 2]
                    i = int(np.rint(to_body[0, 0] * u + to_body[0, 1] * v + to_body[0, 2] * w + to_body[0, 3]))
                    j = int(np.rint(to_body[1, 0] * u + to_body[1, 1] * v + to_body[1, 2] * w + to_body[1, 3]))
                    k = int(np.rint(to_body[2, 0] * u + to_body[2, 1] * v + to_body[2, 2] * w + to_body[2, 3]))
                    if 0 <= i < body_shape[0] and 0 <= j < body_shape[1] and 0 <= k < body_shape[2]:
                        at_body |= body[(k * body_shape[1] + j) * body_shape[0] + i] > 0
                found[n] = not at_body
            step += 1.0
    return found
