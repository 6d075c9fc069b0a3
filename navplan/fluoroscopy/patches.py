"""How alike a shot and a projected CT are: normalised correlation of their gradients, patch by patch.

In each patch the gradients of both pictures (Sobel), less their means, are scaled to length 1 and multiplied; the patch
counts by the share of its own gradients that is not noise. So neither the scale of the grey values nor a slow slope
counts, and a device that the CT does not know spoils its own patches alone. After Grupp et al. 2020 (IJCARS 15:759);
gradient correlation: Penney et al. 1998 (IEEE Trans Med Imaging 17:586).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, convolve

from navplan.geometry.compiled import compiled

LEAST_PATCH = 0.3  # share of a patch that must be seen


@compiled()
def _gradients(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """(2, rows, cols) Sobel, per pixel; 0 in the outermost rows and columns."""
    rows, cols = image.shape
    found = np.zeros((2, rows, cols), dtype=np.float32)
    eighth = np.float32(0.125)
    for r in range(1, rows - 1):
        for c in range(1, cols - 1):
            nw, n, ne = image[r - 1, c - 1], image[r - 1, c], image[r - 1, c + 1]
            w, e = image[r, c - 1], image[r, c + 1]
            sw, s, se = image[r + 1, c - 1], image[r + 1, c], image[r + 1, c + 1]
            found[0, r, c] = ((ne - nw) + np.float32(2.0) * (e - w) + (se - sw)) * eighth
            found[1, r, c] = ((sw - nw) + np.float32(2.0) * (s - n) + (se - ne)) * eighth
    return found


@compiled()
def _covered(
    mask: NDArray[np.bool_], source: NDArray[np.float64], corner: NDArray[np.float64], right: NDArray[np.float64],
    down: NDArray[np.float64], upper: NDArray[np.float64], cut: NDArray[np.bool_], ends: int,
    margin: NDArray[np.float64],
) -> NDArray[np.bool_]:  # fmt: skip
    """See `covered`."""
    rows, cols = mask.shape
    found = mask.copy()
    at_sides = False
    for axis in range(3):
        at_sides = at_sides or (axis != ends and (cut[axis, 0] or cut[axis, 1]))
    for r in range(rows):
        for c in range(cols):
            if not mask[r, c]:
                continue
            low, high = 0.0, 1.0
            for axis in range(3):
                step = corner[axis] + r * down[axis] + c * right[axis]
                for side in range(2):
                    if axis == ends and cut[axis, side]:
                        continue
                    inside = margin[axis] if cut[axis, side] else 0.0
                    edge = upper[axis] - inside if side == 1 else inside
                    inward = -step if side == 1 else step
                    room = (source[axis] - edge) if side == 0 else (edge - source[axis])
                    if inward == 0.0:
                        if room < 0.0:
                            high = -1.0
                    elif inward > 0.0:
                        low = max(low, -room / inward)
                    else:
                        high = min(high, -room / inward)
            if low >= high:  # beside the CT: through air alone, unless a side cuts the body
                found[r, c] = not at_sides
                continue
            for at in (low, high):
                place = source[ends] + at * (corner[ends] + r * down[ends] + c * right[ends])
                if cut[ends, 0] and place < margin[ends]:
                    found[r, c] = False
                if cut[ends, 1] and place > upper[ends] - margin[ends]:
                    found[r, c] = False
    return found


@compiled()
def _correlations(
    fixed: NDArray[np.float32], moving: NDArray[np.float32], mask: NDArray[np.bool_], side: int, top: int, left: int,
    down: int, across: int, least: float,
) -> NDArray[np.float64]:  # fmt: skip
    """(down, across) of each patch; NaN where too little of it is seen, 0 where the moving picture has no gradient."""
    found = np.full((down, across), np.nan)
    for p in range(down):
        for q in range(across):
            count = 0
            sums = np.zeros(9)
            for r in range(top + p * side, top + (p + 1) * side):
                for c in range(left + q * side, left + (q + 1) * side):
                    if not mask[r, c]:
                        continue
                    count += 1
                    fx, fy, mx, my = fixed[0, r, c], fixed[1, r, c], moving[0, r, c], moving[1, r, c]
                    sums[0] += fx
                    sums[1] += fy
                    sums[2] += mx
                    sums[3] += my
                    sums[4] += fx * fx + fy * fy
                    sums[5] += mx * mx + my * my
                    sums[6] += fx * mx + fy * my
            if count < least * side * side:
                continue
            ff = sums[4] - (sums[0] ** 2 + sums[1] ** 2) / count
            mm = sums[5] - (sums[2] ** 2 + sums[3] ** 2) / count
            fm = sums[6] - (sums[0] * sums[2] + sums[1] * sums[3]) / count
            found[p, q] = fm / np.sqrt(ff * mm) if ff > 1e-12 and mm > 1e-12 else 0.0
    return found


@compiled()
def _normalised(
    gradients: NDArray[np.float32], mask: NDArray[np.bool_], side: int, top: int, left: int, down: int, across: int,
    least: float,
) -> NDArray[np.float32]:  # fmt: skip
    """(down * across, 2 * side * side) gradients of each patch less their means, of length 1; 0 where not seen."""
    found = np.zeros((down * across, 2 * side * side), dtype=np.float32)
    for p in range(down):
        for q in range(across):
            line = found[p * across + q]
            count = 0
            x, y, square = 0.0, 0.0, 0.0
            for r in range(side):
                for c in range(side):
                    row, column = top + p * side + r, left + q * side + c
                    if mask[row, column]:
                        gx, gy = gradients[0, row, column], gradients[1, row, column]
                        count += 1
                        x += gx
                        y += gy
                        square += gx * gx + gy * gy
            if count < least * side * side:
                continue
            length = square - (x * x + y * y) / count
            if length <= 1e-12:
                continue
            scale = 1.0 / np.sqrt(length)
            for r in range(side):
                for c in range(side):
                    row, column = top + p * side + r, left + q * side + c
                    if mask[row, column]:
                        line[2 * (r * side + c)] = (gradients[0, row, column] - x / count) * scale
                        line[2 * (r * side + c) + 1] = (gradients[1, row, column] - y / count) * scale
    return found


@dataclass(frozen=True, eq=False)
class PatchedShot:
    """A shot cut into patches. gradients: (2, rows, cols); seen: (rows, cols); weights: (down, across), the share of a
    patch's gradients that is not noise."""

    gradients: NDArray[np.float32]
    seen: NDArray[np.bool_]
    weights: NDArray[np.float64]
    layout: tuple[int, int, int, int, int]

    @staticmethod
    def of(values: NDArray[np.float32], side_px: int) -> PatchedShot:
        """Of a picture (rows, cols), NaN where nothing is seen, in patches of side_px."""
        rows, cols = values.shape
        side = max(4, min(side_px, rows - 2, cols - 2))
        down, across = (rows - 2) // side, (cols - 2) // side
        top, left = (rows - down * side) // 2, (cols - across * side) // 2
        layout = (side, top, left, down, across)
        seen = ~np.asarray(binary_dilation(~np.isfinite(values), np.ones((3, 3))))
        filled = np.where(np.isfinite(values), values, np.nanmean(values)).astype(np.float32)
        gradients = _gradients(filled)
        # Of white noise of variance s^2 Sobel's two parts have 2 * 12/64 s^2 (Immerkaer 1996 for s).
        second = convolve(filled.astype(np.float64), np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]]))
        noise = float(np.median(np.abs(second[seen]))) / 0.6745 / 6.0 if seen.any() else 0.0
        weights = np.zeros((down, across))
        for p in range(down):
            for q in range(across):
                here = np.s_[top + p * side : top + (p + 1) * side, left + q * side : left + (q + 1) * side]
                mask = seen[here]
                if mask.mean() >= LEAST_PATCH:
                    both = gradients[:, here[0], here[1]][:, mask]
                    energy = float(both.var(axis=1).sum())
                    if energy > 0.0:
                        weights[p, q] = max(0.0, 1.0 - 0.375 * noise**2 / energy)
        return PatchedShot(gradients, seen, weights, layout)

    def correlations(self, image: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        """(down, across) of each patch with a projected picture; NaN where too little of it is seen."""
        found = _correlations(self.gradients, _gradients(image), mask, *self.layout, LEAST_PATCH)
        return np.asarray(found)

    def score(self, image: NDArray[np.float32], mask: NDArray[np.bool_]) -> float:
        """Mean over the patches by weight, in -1 to 1; a patch that the CT does not reach counts 0."""
        found = np.nan_to_num(self.correlations(image, mask))
        return float((found * self.weights).sum() / max(self.weights.sum(), 1e-9))

    def unit_patches(self, image: NDArray[np.float32] | None, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        """(patches, 2 side^2) of a picture, or of the shot itself: their inner products are the correlations."""
        gradients = self.gradients if image is None else _gradients(image)
        return np.asarray(_normalised(gradients, mask, *self.layout, LEAST_PATCH))


def covered(
    mask: NDArray[np.bool_], source: NDArray[np.float64], corner: NDArray[np.float64], right: NDArray[np.float64],
    down: NDArray[np.float64], shape: tuple[int, int, int], cut: NDArray[np.bool_], ends: int,
    margin: NDArray[np.float64],
) -> NDArray[np.bool_]:  # fmt: skip
    """(rows, cols) of mask, less the rays that leave or enter the CT at its ends, or pass beside it where its sides cut
    the body. source, and from it pixel (0, 0), its neighbours' steps: in voxel indices; cut: (3, 2) faces that cut the
    body; ends: the index axis along the body; margin: (3,) voxels that a ray must stay inside them.

    Where the sides cut the body (a CT of the spine alone), rays through the CT are kept: what they pass beside it is
    mostly smooth, and its edges spoil their own patches alone.
    """
    if not cut.any():
        return mask
    upper = np.asarray(shape, dtype=np.float64) - 1.0
    return np.asarray(_covered(mask, source, corner, right, down, upper, cut, ends, margin))
