"""Grey values as the monitor of a fluoroscopy system shows them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError
from navplan.fluoroscopy.smooth import blurred
from navplan.geometry.compiled import by_rows, compiled

BODY = 0.2  # attenuation of about 1 cm of water: below it a pixel counts as the open beam
LOOKED_AT = 0.75  # of the picture's width and height: the rest may be too bright or too dark, as at the skin
LEAST_SEEN = 0.002  # of the picture
EVERY = 4  # of the pixels each way set the grey scale
WHITE, DARKEST_BODY = 255.5, 30.0  # grey values between which the body is shown
SLOW_SHARE, FINE_SHARE = 0.05, 0.012  # of the picture's longer side: standard deviations of the two blurs


@dataclass(frozen=True, eq=False)
class GreyScale:
    """How attenuation becomes grey: white - (gain attenuation - level) / span. level: (rows, cols)."""

    level: NDArray[np.float32]
    gain: float
    span: float

    @staticmethod
    def of(
        anatomy: NDArray[np.float32], compression: float = 0.4, detail_gain: float = 0.2,
        seen: NDArray[np.bool_] | None = None,
    ) -> GreyScale:  # fmt: skip
        """The scale for a picture (rows, cols) of attenuation, without needle and noise.

        Slow changes over the picture are reduced by `compression` (0 none, 1 all) and small ones raised by
        `detail_gain` (0 not at all), as systems do to show lung and spine together; then the middle 98.5 % of the body
        in the middle of the picture fill the grey scale but for its darkest tenth: a needle across the spine is darker
        still. What is not in `anatomy` (a needle, noise) is raised too, and changes nothing around it. seen: (rows,
        cols), what counts, where not all does: a collimated field.
        """
        if not (0.0 <= compression < 1.0 and 0.0 <= detail_gain <= 10.0):
            raise InputError(f"compression {compression}, detail gain {detail_gain}", "0 to less than 1, and 0 to 10")
        side, level = max(anatomy.shape), np.zeros_like(anatomy)
        some = (slice(None, None, EVERY),) * 2 if side >= 64 * EVERY else (slice(None),) * 2
        if compression > 0.0:
            slow = blurred(anatomy, SLOW_SHARE * side)
            level += np.float32(compression) * (slow - np.float32(np.median(slow[some])))
        if detail_gain > 0.0:
            level += np.float32(detail_gain) * blurred(anatomy, FINE_SHARE * side)
        gain = 1.0 + detail_gain
        shown = gain * anatomy[some] - level[some]
        counts = _middle(anatomy.shape)[some] if seen is None or seen.all() else (seen & _about(seen))[some]
        body = shown[counts & (anatomy[some] > BODY)]
        low, high = np.percentile(body if body.size else shown, (0.5, 99.0))
        return GreyScale(level + np.float32(low), gain, max(float(high - low), 1e-3))

    def pixels(self, attenuation: NDArray[np.float32]) -> NDArray[np.uint8]:
        """(rows, cols) grey values of attenuation (-log of the panel's signal): high attenuation dark."""
        rows = np.arange(attenuation.shape[0])
        return np.asarray(by_rows(_grey, (rows,), attenuation, self.level, self.gain, self.span, least=64))


def _middle(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """(rows, cols) the middle of a picture: LOOKED_AT of its width and height."""
    down, across = (np.abs(np.arange(n) - (n - 1) / 2) <= LOOKED_AT * n / 2 for n in shape)
    return np.asarray(down[:, None] & across)


def _about(seen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The middle of the picture, or all of it where nearly nothing of what counts lies there."""
    middle = _middle(seen.shape)
    return middle if (seen & middle).sum() > LEAST_SEEN * seen.size else np.ones_like(seen)


@compiled()
def _grey(
    rows: NDArray[np.int64], attenuation: NDArray[np.float32], level: NDArray[np.float32], gain: float, span: float
) -> NDArray[np.uint8]:
    found = np.empty((rows.size, attenuation.shape[1]), np.uint8)
    per, more = np.float32((WHITE - DARKEST_BODY) / span), np.float32(gain)
    for number in range(rows.size):
        row = rows[number]
        for column in range(attenuation.shape[1]):
            value = np.float32(WHITE) - per * (more * attenuation[row, column] - level[row, column])
            found[number, column] = np.uint8(min(max(value, np.float32(0.0)), np.float32(255.0)))
    return found
