"""Better entries between the points of the skin's grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from navplan.geometry.lines import unit
from navplan.model.device import Device
from navplan.model.structure import Structure
from navplan.planning.entry_candidates import ENTRY_SPACING_MM, SkinPoints, body_structure
from navplan.planning.situation import Situation
from navplan.planning.ways import Ways, try_ways

REFINED = 24  # of the best ways: as many are moved
ROUNDS = 3  # each halves the step
RAY_MM = 4.0  # how far along the normal the skin is looked for


def refined(
    situation: Situation, device: Device, ways: Ways, rows: NDArray[np.int64], entries_mm: NDArray[np.float64]
) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]], NDArray[np.float64]]:
    """Entries (N, 3), metrics and values of the free ways `rows`, the first REFINED moved along the skin to where they
    are worth most. A moved way is taken only if it is free and worth more; all limits are judged anew."""
    entries, value = entries_mm.copy(), ways.value[rows].copy()
    metrics = {name: numbers[rows].copy() for name, numbers in ways.metrics.items()}
    count = min(REFINED, len(rows))
    if not count:
        return entries, metrics, value
    outward = ways.skin.outward[ways.free_rows[rows[:count]]]
    first = unit(np.cross(outward, np.where(np.abs(outward[:, :1]) < 0.9, (1.0, 0.0, 0.0), (0.0, 1.0, 0.0))))
    second = np.cross(outward, first)
    turn = np.linspace(0.0, 2.0 * np.pi, 8, endpoint=False)
    ring = np.cos(turn)[None, :, None] * first[:, None] + np.sin(turn)[None, :, None] * second[:, None]
    body = body_structure(situation.structures)
    step_mm = ENTRY_SPACING_MM / 2
    for _ in range(ROUNDS):
        tried = entries[:count, None] + step_mm * ring
        step_mm /= 2
        normals = np.broadcast_to(outward[:, None], tried.shape).reshape(-1, 3)
        points, met = on_skin(body, tried.reshape(-1, 3), normals)
        owner = np.repeat(np.arange(count), len(turn))
        skin = SkinPoints(points, normals, np.where(met, -1, 0).astype(np.int16), ("not on the skin",))
        found = try_ways(situation, device, skin)
        for way, row in enumerate(found.free_rows):
            n = owner[row]
            if found.value[way] > value[n] + 1e-9:
                entries[n], value[n] = points[row], found.value[way]
                for name, numbers in metrics.items():
                    numbers[n] = found.metrics[name][way]
    return entries, metrics, value


def on_skin(
    body: Structure, points_mm: NDArray[np.float64], outward: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(N, 3) where the lines through points along their normals leave the body, between voxels, and whether they do so
    within RAY_MM."""
    from scipy.ndimage import map_coordinates

    assert body.grid is not None and body.occupancy is not None
    along = np.arange(-RAY_MM, RAY_MM + 0.1, 0.25)
    samples = points_mm[:, None] + along[None, :, None] * outward[:, None]
    index = body.grid.indices(samples)
    low = np.maximum(np.floor(index.min(axis=(0, 1))).astype(int) - 1, 0)
    high = np.minimum(np.ceil(index.max(axis=(0, 1))).astype(int) + 2, body.grid.shape)
    if (high <= low).any():
        return points_mm, np.zeros(len(points_mm), dtype=bool)
    part = body.occupancy[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    share = map_coordinates(part, np.moveaxis(index - low, -1, 0), np.float32, order=1, cval=0.0) / 255.0
    leaves = (share[:, :-1] >= 0.5) & (share[:, 1:] < 0.5)
    met = leaves.any(axis=1)
    last = leaves.shape[1] - 1 - np.argmax(leaves[:, ::-1], axis=1)
    rows = np.arange(len(points_mm))
    inner, outer = share[rows, last], share[rows, last + 1]
    fraction = np.where(met, (inner - 0.5) / np.maximum(inner - outer, 1e-6), 0.0)
    found = points_mm + (along[last] + 0.25 * fraction)[:, None] * outward
    return np.where(met[:, None], found, points_mm), met
