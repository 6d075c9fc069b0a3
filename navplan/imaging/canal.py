"""The spinal canal on CT: the soft tube that bone encloses, followed from slice to slice.

Of every soft voxel near the spine (its bone, on the midline) it is counted in how many of 16 directions of its axial
slice bone comes within CANAL_REACH_MM. The way through the slices of the best counts, without jumps (Viterbi), is the
canal's middle; what is soft and enclosed about it is the canal: cord, fluid, roots and epidural fat.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from navplan.imaging.canonical import Mask, dilated, eroded
from navplan.imaging.midline import spine_depth_mm
from navplan.imaging.working import Step

DIRECTIONS = 16
CANAL_REACH_MM = 22.0
ENCLOSED = 11 / 16  # of the directions: an intervertebral foramen leaves a gap on each side
SURE = 0.7  # the mean over the way below which no canal is told
OFF_MIDLINE_MM = 60.0
OFF_SPINE_MM = (12.0, 45.0)  # before and behind the depth at which the spine's bone is thickest
CANAL_RADIUS_MM = 12.0
OPENING_MM = 2.9  # what is narrower at its side leads into a foramen
MIDLINE_COST = 0.1  # of the count at 30 mm from the midline
ABOUT_MM = 60.0  # slices whose depth of the spine counts, up and down
DENSE_HU = 130.0
BRIDGED_MM = 15.0  # a stretch whose sides are open (wide foramina) between enclosed slices
AGREED_MM, AGREED = 8.0, 0.5  # slices about one, weighted; the share of them that makes canal
SOFT_HU = (-150.0, 130.0)
SHIFT_MM = 6.0  # furthest that the middle moves between slices
SHIFT_COST = 0.15  # of the count per voxel of movement


def find_canal(
    hu: NDArray[np.float32], bone: Mask, midline_mm: float, step: Step
) -> tuple[Mask, NDArray[np.float64], NDArray[np.float64]]:
    """Canal [left, posterior, superior], its middle (slices, 2) in voxels, and the share of directions there (slices,).

    bone: with its marrow; midline_mm: from the first voxel's centre along the first axis. An empty mask and NaN where
    a slice's middle is not enclosed (share below ENCLOSED), or everywhere where no canal is found.
    """
    first = max(0, int((midline_mm - OFF_MIDLINE_MM) / step[0]))
    last = min(hu.shape[0], int((midline_mm + OFF_MIDLINE_MM) / step[0]) + 1)
    part_hu, part_bone = hu[first:last], bone[first:last]
    soft = (part_hu > SOFT_HU[0]) & (part_hu < SOFT_HU[1]) & ~part_bone
    part_bone = part_bone | (part_hu > DENSE_HU)
    share = np.where(soft, _enclosed(part_bone, step), 0.0).astype(np.float32)
    smooth = ndimage.gaussian_filter(share.T, [0.0, 3.0 / step[1], 3.0 / step[0]]).T
    spine_mm = spine_depth_mm(bone, midline_mm, step)
    about = 2 * int(ABOUT_MM / step[2]) + 1  # at the sacrum the depth jumps from body to arch
    depth_mm = np.arange(hu.shape[1])[:, None] * step[1]
    before = depth_mm < ndimage.minimum_filter1d(spine_mm, about) - OFF_SPINE_MM[0]
    smooth[:, before | (depth_mm > ndimage.maximum_filter1d(spine_mm, about) + OFF_SPINE_MM[1])] = 0.0
    off_mm = (np.arange(first, last) * step[0] - midline_mm)[:, None, None]
    middle = _way(smooth - np.float32(MIDLINE_COST) * (off_mm / 30.0) ** 2, step)
    canal = np.zeros(hu.shape, dtype=bool, order="F")
    middle_voxels = np.full((hu.shape[2], 2), np.nan)
    raw = np.array([share[max(0, x - 1) : x + 2, max(0, y - 1) : y + 2, z].max() for z, (x, y) in enumerate(middle)])
    good = raw >= ENCLOSED
    if not good.any() or float(raw[good].mean()) < SURE:
        return canal, middle_voxels, np.zeros(hu.shape[2])
    for z in np.flatnonzero(good):
        canal[first:last, :, z] = _section(share[:, :, z], middle[z], step)
        middle_voxels[z] = middle[z] + (first, 0)
    canal[first:last] = _agreed(canal[first:last], middle, good, step)
    canal &= hu < SOFT_HU[1] + 100
    return canal, middle_voxels, raw


def _enclosed(bone: Mask, step: Step) -> NDArray[np.float64]:
    """Share of the directions in which bone lies within CANAL_REACH_MM of each voxel, in its axial slice."""
    count = np.zeros(bone.shape, dtype=np.float32)
    width = min(step[:2])
    pad = int(CANAL_REACH_MM / width) + 1
    room = np.pad(bone, ((pad, pad), (pad, pad), (0, 0)))
    for angle in np.arange(DIRECTIONS) * 2 * np.pi / DIRECTIONS:
        hit = np.zeros(bone.shape, dtype=bool)
        for distance in np.arange(width, CANAL_REACH_MM, width):
            across, down = round(distance * np.cos(angle) / step[0]), round(distance * np.sin(angle) / step[1])
            hit |= room[pad + across : pad + across + bone.shape[0], pad + down : pad + down + bone.shape[1]]
        count += hit
    return np.asarray(count / DIRECTIONS)


def _way(score: NDArray[np.float32], step: Step) -> NDArray[np.intp]:
    """(slices, 2) the voxels of the highest sum of scores, a bounded step from slice to slice (Viterbi)."""
    reach = max(1, int(SHIFT_MM / step[0])), max(1, int(SHIFT_MM / step[1]))
    across, down = np.meshgrid(np.arange(-reach[0], reach[0] + 1), np.arange(-reach[1], reach[1] + 1), indexing="ij")
    cost = SHIFT_COST * (np.hypot(across * step[0], down * step[1]) / SHIFT_MM) ** 2
    total = score[:, :, 0].astype(np.float64)
    came = np.zeros((*score.shape[:2], score.shape[2]), dtype=np.int32)
    flat = list(zip(across.ravel(), down.ravel(), cost.ravel(), strict=True))
    for z in range(1, score.shape[2]):
        padded = np.pad(total, ((reach[0],) * 2, (reach[1],) * 2), constant_values=-1e9)
        best = np.full(total.shape, -1e9)
        for number, (x, y, price) in enumerate(flat):
            start = padded[reach[0] + x : reach[0] + x + total.shape[0], reach[1] + y : reach[1] + y + total.shape[1]]
            better = start - price > best
            best[better] = (start - price)[better]
            came[:, :, z][better] = number
        total = best + score[:, :, z]
    place = np.asarray(np.unravel_index(int(np.argmax(total)), total.shape))
    way = [place]
    for z in range(score.shape[2] - 1, 0, -1):
        x, y, _ = flat[came[way[-1][0], way[-1][1], z]]
        way.append(way[-1] + (x, y))
    return np.asarray(way[::-1])


def _section(share: NDArray[np.float32], middle: NDArray[np.intp], step: Step) -> Mask:
    """The enclosed place of one slice about the middle: opened by a voxel, the part nearest to the middle."""
    x, y = np.meshgrid(*(np.arange(n) for n in share.shape), indexing="ij")
    away = np.hypot((x - middle[0]) * step[0], (y - middle[1]) * step[1])
    place = (share >= ENCLOSED) & (away < CANAL_RADIUS_MM)
    if min(step[:2]) < OPENING_MM:
        place = np.asarray(dilated(eroded(place[:, :, None], OPENING_MM, step), OPENING_MM, step))[:, :, 0]
    labels, count = ndimage.label(place)
    if not count:
        return np.asarray(place)
    nearest = np.unravel_index(int(np.argmin(np.where(place, away, np.inf))), away.shape)
    return np.asarray(ndimage.binary_fill_holes(labels == labels[nearest]))


def _agreed(canal: Mask, middle: NDArray[np.intp], good: NDArray[np.bool_], step: Step) -> Mask:
    """What the slices within some mm agree on, each laid over the next by its middle: no foramen, no gap."""
    reach = [int(CANAL_RADIUS_MM / s) + 1 for s in step[:2]]
    room = np.pad(canal, ((reach[0],) * 2, (reach[1],) * 2, (0, 0)))
    across, down = 2 * reach[0] + 1, 2 * reach[1] + 1
    about = np.zeros((across, down, canal.shape[2]), dtype=np.float32)
    for z in np.flatnonzero(good):
        x, y = middle[z]
        about[:, :, z] = room[x : x + across, y : y + down, z]
    sigma = AGREED_MM / step[2]
    weight = ndimage.gaussian_filter1d(good.astype(np.float64), sigma, mode="constant")
    votes = ndimage.gaussian_filter1d(about, sigma, axis=2, mode="constant") / np.maximum(weight, 1e-6)
    result = np.zeros_like(room)
    bridged = ndimage.binary_closing(np.pad(good, 20), np.ones(max(1, int(BRIDGED_MM / step[2]))))[20:-20]
    for z in np.flatnonzero(good | bridged):
        x, y = middle[z]
        result[x : x + across, y : y + down, z] = votes[:, :, z] >= AGREED
    return np.asarray(result[reach[0] : -reach[0], reach[1] : -reach[1]])
