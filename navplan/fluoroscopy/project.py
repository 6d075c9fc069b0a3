"""Line integrals of a volume along the rays of a cone beam.

Joseph's method (Joseph 1982, IEEE Trans Med Imaging 1:192): a ray is sampled once in each voxel plane of its steepest
index axis, bilinearly within the plane, and each sample counts for the ray's length between planes. Outside the grid
all is 0, and values fall linearly to 0 beyond the last voxel centres, so that a border of zeros changes nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from navplan.errors import GeometryError, InputError
from navplan.geometry.carm import Beam, Detector
from navplan.geometry.compiled import compiled, prange
from navplan.geometry.grid import Grid


@compiled(parallel=True)
def _integrate(
    values: NDArray[Any], strides: NDArray[np.int64], shape: NDArray[np.int64], source: NDArray[np.float64],
    first: NDArray[np.float64], column_step: NDArray[np.float64], row_step: NDArray[np.float64],
    image: NDArray[np.float32], lengths: NDArray[np.float64],
) -> None:  # fmt: skip
    """values: flat; source, first (pixel 0, 0), steps: in voxel indices; lengths: of the rays, mm; image: written."""
    rows, cols = image.shape
    down, right = (rows + 31) // 32, (cols + 31) // 32
    for tile in prange(down * right):  # neighbouring rays together: they read the same voxels
        for place in range(1024):
            row, column = tile // right * 32 + place // 32, tile % right * 32 + place % 32
            if row >= rows or column >= cols:
                continue
            d0 = first[0] + column * column_step[0] + row * row_step[0] - source[0]
            d1 = first[1] + column * column_step[1] + row * row_step[1] - source[1]
            d2 = first[2] + column * column_step[2] + row * row_step[2] - source[2]
            axis = 0
            if abs(d1) > abs(d0):
                axis = 1
            if abs(d2) > max(abs(d0), abs(d1)):
                axis = 2
            if axis == 0:
                b, c, da, db, dc = 1, 2, d0, d1, d2
            elif axis == 1:
                b, c, da, db, dc = 0, 2, d1, d0, d2
            else:
                b, c, da, db, dc = 0, 1, d2, d0, d1
            slope_b, slope_c = db / da, dc / da
            start_b = source[b] - source[axis] * slope_b
            start_c = source[c] - source[axis] * slope_c
            # Planes between source and detector, then those where the ray is within a voxel of the grid.
            low = max(min(source[axis], source[axis] + da), 0.0)
            high = min(max(source[axis], source[axis] + da), shape[axis] - 1.0)
            inside = True
            for start, slope, count in ((start_b, slope_b, shape[b]), (start_c, slope_c, shape[c])):
                if slope == 0.0:
                    inside = inside and -1.0 < start < count
                else:
                    one, two = (-1.0 - start) / slope, (count - start) / slope
                    low, high = max(low, min(one, two)), min(high, max(one, two))
            total = 0.0
            if inside and low <= high:
                stride_a, stride_b, stride_c = strides[axis], strides[b], strides[c]
                step_b, step_c = np.uint64(stride_b), np.uint64(stride_c)
                last_b, last_c = shape[b] - 1, shape[c] - 1
                for plane in range(int(np.ceil(low)), int(np.floor(high)) + 1):
                    at_b, at_c = start_b + plane * slope_b, start_c + plane * slope_c
                    ib, ic = int(at_b + 1.0) - 1, int(at_c + 1.0) - 1  # floor, since both are above -1
                    wb, wc = at_b - ib, at_c - ic
                    base = plane * stride_a + ib * stride_b + ic * stride_c
                    if 0 <= ib < last_b and 0 <= ic < last_c:
                        here = np.uint64(base)  # unsigned: no test for negative indices
                        beside, below = here + step_b, here + step_c
                        near = values[here] + wb * (values[beside] - values[here])
                        total += near + wc * (values[below] + wb * (values[below + step_b] - values[below]) - near)
                    else:
                        if 0 <= ib <= last_b and 0 <= ic <= last_c:
                            total += (1.0 - wb) * (1.0 - wc) * values[base]
                        if 0 <= ib + 1 <= last_b and 0 <= ic <= last_c:
                            total += wb * (1.0 - wc) * values[base + stride_b]
                        if 0 <= ib <= last_b and 0 <= ic + 1 <= last_c:
                            total += (1.0 - wb) * wc * values[base + stride_c]
                        if 0 <= ib + 1 <= last_b and 0 <= ic + 1 <= last_c:
                            total += wb * wc * values[base + stride_b + stride_c]
            image[row, column] = total * lengths[row, column] / abs(da)


def rays(beam: Beam, detector: Detector) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Unit vectors (rows, cols, 3), LPS, from the source to the pixels' centres; the distances (rows, cols), mm."""
    row, column = np.meshgrid(np.arange(detector.rows), np.arange(detector.cols), indexing="ij")
    offset = beam.pixels_mm(column, row, detector) - beam.source_mm
    lengths = np.linalg.norm(offset, axis=-1)
    return np.asarray(offset / lengths[..., None]), np.asarray(lengths)


def line_integrals(values: NDArray[Any], grid: Grid, beam: Beam, detector: Detector) -> NDArray[np.float32]:
    """(rows, cols) float32: values integrated over length in mm, from the source to each pixel's centre.

    values[i, j, k]: any finite scalars on `grid`, of any orientation and spacing; 0 outside. What lies beyond the
    detector or behind the source does not count. Raises GeometryError for a shape that is not the grid's, InputError
    for values that are not finite on some ray.
    """
    if values.shape != grid.shape:
        raise GeometryError(f"values of shape {values.shape} on {grid!r}", "the same shape")
    if values.dtype not in (np.float32, np.float64, np.int16):
        values = values.astype(np.float32)
    if not (values.flags.c_contiguous or values.flags.f_contiguous):
        values = np.asfortranarray(values)
    strides = np.array([step // values.itemsize for step in values.strides], dtype=np.int64)
    flat = values.ravel(order="K")
    corners = beam.pixels_mm([0, 1, 0], [0, 0, 1], detector)
    first, second, below = grid.indices(corners)
    image = np.empty((detector.rows, detector.cols), dtype=np.float32)
    _integrate(
        flat, strides, np.array(grid.shape, dtype=np.int64), grid.indices(beam.source_mm), first, second - first,
        below - first, image, rays(beam, detector)[1],
    )  # fmt: skip
    if not np.isfinite(image).all():
        raise InputError("values that are NaN or infinite", "finite values", "Repair the image before it is projected")
    return image


def cut_at_edge(
    values: NDArray[Any], grid: Grid, beam: Beam, detector: Detector, above: float, past: bool = False
) -> NDArray[np.bool_]:
    """(rows, cols): rays that enter or leave the grid inside tissue (a voxel above that value), so miss some. past:
    also those that miss the grid altogether."""
    direction, lengths = rays(beam, detector)
    source = grid.indices(beam.source_mm)
    step = (direction * lengths[..., None]) @ np.linalg.inv(grid.affine[:3, :3]).T
    upper = np.asarray(grid.shape) - 0.5
    with np.errstate(divide="ignore", invalid="ignore"):
        one, two = (-0.5 - source) / step, (upper - source) / step
    enter = np.fmax(np.fmin(one, two).max(axis=-1), 0.0)
    leave = np.fmin(np.fmax(one, two).min(axis=-1), 1.0)
    crosses = enter < leave
    cut = ~crosses if past else np.zeros(crosses.shape, dtype=bool)
    for at in (enter[crosses], leave[crosses]):
        voxel = np.clip(np.rint(source + at[:, None] * step[crosses]).astype(int), 0, np.asarray(grid.shape) - 1)
        cut[crosses] |= values[voxel[:, 0], voxel[:, 1], voxel[:, 2]] > above
    return cut
