"""Grey values as the monitor of a fluoroscopy system shows them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navplan.errors import ChoiceError, InputError
from navplan.fluoroscopy.smooth import blurred
from navplan.geometry.compiled import by_rows, compiled

BODY = 0.2  # attenuation of about 1 cm of water: below it a pixel counts as the open beam
LOOKED_AT = 0.75  # of the picture's width and height: the rest may be too bright or too dark, as at the skin
LEAST_SEEN = 0.002  # of the picture
EVERY = 4  # of the pixels each way set the grey scale
LIGHTEST_BODY, DARKEST_BODY = 218.0, 44.0  # grey values between which the body is shown
OPEN_BEAM, SHOULDER = 245.0, 0.15  # what open air comes to at most, and over what share of the body's span
KNEE, TOE_SLOPE = 0.5, 0.45  # of the body's span: from where the curve flattens, and how steep its dark end is
MIDDLE_DARK, STEEPEST_GAMMA = 0.5, 1.8  # where the median of the body is brought to, if it is darker, and how far
CURVE_FROM, CURVE_TO, CURVE_STEPS = -1.0, 2.0, 6144  # of the body's span
OPEN_SPAN = 3.0  # of attenuation, for a picture in which nothing is
RIM_SHARE = 0.04  # of the picture's longer side: standard deviation of the blur that finds the body's rim


@dataclass(frozen=True)
class Program:
    """What a system does to the picture of one part of the body: its anatomical program.

    compression: by how much slow changes over the picture are reduced, 0 none, less than 1; slow_share: standard
    deviation of the blur that finds them, of the picture's longer side; least_span: of attenuation, that the grey scale
    shows at least, so that a thick body stays flat; detail: how many times the anatomy's detail between two blurs
    (detail_shares, of the longer side) is added. Noise and needles are not raised. Raises InputError.
    """

    name: str
    compression: float = 0.3
    slow_share: float = 0.05
    least_span: float = 1.1
    detail: float = 0.0
    detail_shares: tuple[float, float] = (0.004, 0.033)

    def __post_init__(self) -> None:
        if not 0.0 <= self.compression < 1.0:
            raise InputError(f"compression {self.compression}", "0 to less than 1")

    def level(self, anatomy: NDArray[np.float32]) -> NDArray[np.float32]:
        """(rows, cols) what is taken from a picture of attenuation."""
        side, level = max(anatomy.shape), np.zeros_like(anatomy)
        if self.compression > 0.0:
            slow = blurred(anatomy, self.slow_share * side)
            level += np.float32(self.compression) * (slow - np.float32(np.median(slow[_some(side)])))
        if self.detail > 0.0:
            fine, coarse = (blurred(anatomy, share * side) for share in self.detail_shares)
            level -= np.float32(self.detail) * (fine - coarse)
        return level


GENERAL = Program("general")
SPINE = Program("spine", compression=0.7, slow_share=0.15, least_span=0.35, detail=1.5)  # bone beside soft tissue
PROGRAMS = {program.name: program for program in (GENERAL, SPINE)}


def program_named(name: str) -> Program:
    """Raises ChoiceError for one that is none."""
    if name not in PROGRAMS:
        raise ChoiceError(f"program {name[:40]!a}", ", ".join(PROGRAMS))
    return PROGRAMS[name]


def _some(side: int) -> tuple[slice, slice]:
    """The pixels of a picture that are looked at."""
    return (slice(None, None, EVERY),) * 2 if side >= 64 * EVERY else (slice(None),) * 2


@dataclass(frozen=True, eq=False)
class GreyScale:
    """How attenuation becomes grey: curve[(attenuation - level) / span]. level: (rows, cols)."""

    level: NDArray[np.float32]
    span: float
    curve: NDArray[np.uint8]

    @staticmethod
    def of(
        anatomy: NDArray[np.float32], program: Program = GENERAL, seen: NDArray[np.bool_] | None = None
    ) -> GreyScale:
        """The scale for a picture (rows, cols) of attenuation, without needle and noise.

        Slow changes over the picture are reduced, as systems do to show lung and spine together, and what else the
        program says; then 97.5 % of the body in the middle of the picture fill the grey scale but for its darkest
        tenth: a needle across the spine is darker still. The curve flattens towards the dark end, as a monitor's does,
        and lifts a picture that is mostly dark. What is not in `anatomy` (a needle, noise) changes nothing around it.
        seen: (rows, cols), what counts, where not all does: a collimated field.
        """
        level, some = program.level(anatomy), _some(max(anatomy.shape))
        shown = anatomy[some] - level[some]
        counts = _middle(anatomy.shape)[some] if seen is None or seen.all() else (seen & _about(seen))[some]
        body = shown[counts & _within(anatomy[some] > BODY)]
        low, median, high = np.percentile(body, (1.5, 50.0, 99.0)) if body.size else (1.0, 1.0, 1.0 + OPEN_SPAN)
        span = max(float(high - low), program.least_span)
        low -= (span - float(high - low)) / 2
        return GreyScale(level + np.float32(low), span, _curve(float(median - low) / span))

    def pixels(self, attenuation: NDArray[np.float32]) -> NDArray[np.uint8]:
        """(rows, cols) grey values of attenuation (-log of the panel's signal): high attenuation dark."""
        rows = np.arange(attenuation.shape[0])
        return np.asarray(by_rows(_grey, (rows,), attenuation, self.level, self.span, self.curve, least=64))


def _within(body: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The body without its rim, where it is thin beside the open beam: that may be too bright."""
    if body.all():
        return body
    inner = blurred(body.astype(np.float32), RIM_SHARE * max(body.shape)) > 0.9
    return inner if inner.sum() > 0.1 * body.sum() else body


def _middle(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """(rows, cols) the middle of a picture: LOOKED_AT of its width and height."""
    down, across = (np.abs(np.arange(n) - (n - 1) / 2) <= LOOKED_AT * n / 2 for n in shape)
    return np.asarray(down[:, None] & across)


def _about(seen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The middle of the picture, or all of it where nearly nothing of what counts lies there."""
    middle = _middle(seen.shape)
    return middle if (seen & middle).sum() > LEAST_SEEN * seen.size else np.ones_like(seen)


def _curve(median: float) -> NDArray[np.uint8]:
    """(CURVE_STEPS,) grey values of shares of the body's span, CURVE_FROM to CURVE_TO. median: where that of the body
    lies."""
    share = np.linspace(CURVE_FROM, CURVE_TO, CURVE_STEPS)
    dark = np.maximum(share, 0.0)
    gamma = 1.0
    if MIDDLE_DARK < median < 1.0:
        gamma = min(np.log(MIDDLE_DARK) / np.log(median), STEEPEST_GAMMA)
    within = np.minimum(dark, 1.0) ** gamma
    dark = within + gamma * (dark - np.minimum(dark, 1.0))
    bend = (1.0 - TOE_SLOPE) / (2.0 * (1.0 - KNEE))
    toe = np.clip(dark, KNEE, 1.0)
    flat = np.minimum(dark, KNEE) + (toe - KNEE) - bend * (toe - KNEE) ** 2 + TOE_SLOPE * np.maximum(dark - 1.0, 0.0)
    end = KNEE + (1.0 - KNEE) * (1.0 + TOE_SLOPE) / 2.0
    light = (OPEN_BEAM - LIGHTEST_BODY) * -np.expm1(np.minimum(share, 0.0) / SHOULDER)
    grey = LIGHTEST_BODY + light - (LIGHTEST_BODY - DARKEST_BODY) / end * flat
    return np.asarray(np.clip(grey + 0.5, 0.0, 255.0), dtype=np.uint8)


@compiled()
def _grey(
    rows: NDArray[np.int64], attenuation: NDArray[np.float32], level: NDArray[np.float32], span: float,
    curve: NDArray[np.uint8],
) -> NDArray[np.uint8]:  # fmt: skip
    found = np.empty((rows.size, attenuation.shape[1]), np.uint8)
    per = np.float32((curve.size - 1) / (CURVE_TO - CURVE_FROM) / span)
    first = np.float32(0.5 - (curve.size - 1) * CURVE_FROM / (CURVE_TO - CURVE_FROM))
    last = np.float32(curve.size - 1)
    for number in range(rows.size):
        row = rows[number]
        for column in range(attenuation.shape[1]):
            at = per * (attenuation[row, column] - level[row, column]) + first
            found[number, column] = curve[int(min(max(at, np.float32(0.0)), last))]
    return found
