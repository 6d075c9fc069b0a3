"""A volume's amounts of one material, ordered along one index axis and without its air: what `shear_warp` reads."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from navplan.geometry.compiled import by_rows, compiled

ORDERS = ((0, 2, 1), (1, 2, 0), (2, 1, 0))  # principal axis, then that of the rows, then that along a row
GAP = 16  # so many zeros in a row and more are left out
TOGETHER = 32  # planes: they share cache lines where the principal axis is the fastest in memory


@dataclass(frozen=True, eq=False)
class Packed:
    """Planes of rows of runs, each run with a zero before and one behind it.

    axis: the principal one; shape: planes, rows, columns. Row r = plane * rows + row has the runs row_runs[r] to
    row_runs[r + 1]; run q begins at column first[q] with samples[start[q] + 1], and the next begins at start[q + 1].
    One count of samples stands for `scale`.
    """

    axis: int
    shape: tuple[int, int, int]
    samples: NDArray[np.int16]
    row_runs: NDArray[np.int64]
    first: NDArray[np.int32]
    start: NDArray[np.int64]
    scale: float

    @cached_property
    def filled(self) -> NDArray[np.int64] | None:
        """(3, 2) first and last index with a run, in planes, rows and columns; None where there is none."""
        has = np.diff(self.row_runs).reshape(self.shape[:2]) > 0
        if not has.any():
            return None
        plane, row = (np.flatnonzero(has.any(axis=axis)) for axis in (1, 0))
        last = self.first + np.diff(self.start) - 3
        return np.array([plane[[0, -1]], row[[0, -1]], [self.first.min(), last.max()]], dtype=np.int64)


@compiled()
def _pack(
    blocks: NDArray[np.int64], values: NDArray[Any], fast: bool, table: NDArray[np.int16], outer_above: int,
    row_runs: NDArray[np.int64], row_samples: NDArray[np.int64], fill: bool, first: NDArray[np.int32],
    start: NDArray[np.int64], samples: NDArray[np.int16],
) -> NDArray[np.int64]:  # fmt: skip
    """Counts runs and samples of each row of values[a, b, c] (fill: writes them at row_runs and row_samples, which
    are then where each row begins). fast: a is faster in memory than c."""
    planes, rows, columns = values.shape
    tile = np.zeros((TOGETHER, columns), dtype=np.int16)
    for block in blocks:
        low = block * TOGETHER
        many = min(TOGETHER, planes - low)
        for b in range(rows):
            if fast:
                for c in range(columns):
                    for a in range(many):
                        tile[a, c] = values[low + a, b, c]
            else:
                for a in range(many):
                    for c in range(columns):
                        tile[a, c] = values[low + a, b, c]
            for a in range(many):
                line = tile[a]
                begin, end = 0, columns
                while begin < end and line[begin] <= outer_above:
                    begin += 1
                while end > begin and line[end - 1] <= outer_above:
                    end -= 1
                row = (low + a) * rows + b
                runs, length = row_runs[row] if fill else 0, row_samples[row] if fill else 0
                c = begin
                while c < end:
                    if table[np.int64(line[c]) + 32768] == 0:
                        c += 1
                        continue
                    last, ahead = c, c + 1  # the run's last sample that is not 0
                    while ahead < end and ahead - last <= GAP:
                        if table[np.int64(line[ahead]) + 32768] != 0:
                            last = ahead
                        ahead += 1
                    if fill:
                        first[runs], start[runs] = c, length
                        samples[length] = 0
                        for place in range(c, last + 1):
                            samples[length + 1 + place - c] = table[np.int64(line[place]) + 32768]
                        samples[length + 2 + last - c] = 0
                    runs += 1
                    length += last - c + 3
                    c = last + 1
                if not fill:
                    row_runs[row], row_samples[row] = runs, length
    return blocks


def pack(values: NDArray[np.int16], axis: int, table: NDArray[np.int16], scale: float, outer_above: int) -> Packed:
    """The amounts table[value + 32768] * scale of values[i, j, k], along an index axis.

    What lies in a row outside its outermost values above outer_above is left out, and GAP zeros and more.
    """
    ordered = values.transpose(ORDERS[axis])
    planes, rows, columns = ordered.shape
    fast = ordered.strides[0] < ordered.strides[2]
    runs, lengths = np.zeros(planes * rows + 1, dtype=np.int64), np.zeros(planes * rows + 1, dtype=np.int64)
    blocks = np.arange(-(-planes // TOGETHER))
    nothing = np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0, np.int16)
    by_rows(_pack, (blocks,), ordered, fast, table, outer_above, runs, lengths, False, *nothing, least=1)
    runs, lengths = (np.concatenate([[0], np.cumsum(counts[:-1])]) for counts in (runs, lengths))
    first, start = np.zeros(runs[-1], np.int32), np.zeros(runs[-1] + 1, np.int64)
    samples = np.empty(lengths[-1], np.int16)
    start[-1] = lengths[-1]
    by_rows(_pack, (blocks,), ordered, fast, table, outer_above, runs, lengths, True, first, start, samples, least=1)
    return Packed(axis, (planes, rows, columns), samples, runs, first, start, scale)
