"""A second image over a slice: blended, in a checkerboard, as edges, or beside a line.

The second image is sampled at the slice's points by what ties the two images (`ImagePair`). Where it shows nothing,
nothing of it is painted: thin stripes say so. Pure numpy; the page does the same in page/fusion.js.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from navplan.errors import ChoiceError, InputError
from navplan.model.case import Case
from navplan.model.image_pair import ImagePair, Tie, image_pair
from navplan.model.safety import Verdict
from navplan.model.volume import Volume
from navplan.view.colours import QUIET_TEXT, TEXT, VERDICT_COLOURS, VERDICT_SYMBOLS, Colour
from navplan.view.labels import font, written
from navplan.view.slices import sample
from navplan.view.windows import COLOUR_MAPS, coloured, default_map, default_window, level_and_width, shares

if TYPE_CHECKING:
    from PIL import ImageDraw

CELL_MM = 20.0  # side of a field of the checkerboard
STRIPES_MM, STRIPES_SHARE = 9.0, 0.4  # where the second image shows nothing: distance along a row, how much they cover
EDGE_COLOUR: Colour = (255, 228, 92)
EDGE_FROM, EDGE_FULL = 0.05, 0.15  # of the window, over one voxel of the second image: where an edge begins, is opaque
EDGE_MM = 0.7  # how thick it is drawn, at least a pixel
EDGE_BLUR = 0.7  # of a voxel of the second image: standard deviation of what is smoothed away before
MOST_PASSES = 24
TIE_VERDICTS = {Tie.GOOD: Verdict.PASS, Tie.DOUBTFUL: Verdict.WARN, Tie.FRAME: Verdict.NOT_EVALUATED}


class Mode(StrEnum):
    """How the second image is laid over the first."""

    BLEND = "blend"
    CHECKERBOARD = "checkerboard"
    EDGES = "edges"
    SPLIT = "split"


@dataclass(frozen=True, eq=False)
class Over:
    """A second image, what ties it to the first, and how it is laid over it.

    window: level and width in its own quantity; colours: of COLOUR_MAPS; alpha: of a blend, 0 (the first image alone)
    to 1; cell_mm: side of a field of the checkerboard, counted from the picture's middle; split_mm: the second image is
    drawn to the right of a line so far right of the picture's middle.

    Raises ChoiceError, InputError for what does not fit.
    """

    volume: Volume
    pair: ImagePair
    window: tuple[float, float]
    colours: str
    mode: Mode = Mode.BLEND
    alpha: float = 0.5
    cell_mm: float = CELL_MM
    split_mm: float = 0.0

    def __post_init__(self) -> None:
        if self.colours not in COLOUR_MAPS:
            raise ChoiceError(f"colour map {self.colours[:40]!a}", ", ".join(COLOUR_MAPS))
        if not 0.0 <= self.alpha <= 1.0:
            raise InputError(f"an alpha of {self.alpha}", "0 to 1")
        if not 0.5 <= self.cell_mm <= 1000.0 or not np.isfinite(self.split_mm):
            raise InputError(f"a checkerboard of {self.cell_mm} mm, a line at {self.split_mm} mm", "0.5 to 1000 mm")
        level_and_width(self.window)

    def values_at(self, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """(...) values of the second image at points (..., 3) LPS mm of the first, linear; NaN where it shows none."""
        return sample(self.volume, self.pair.to_second(points_mm))

    def painted(
        self, first: NDArray[np.float64], drawn: NDArray[np.float64], points_mm: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """(H, W, 3) RGB 0 to 255. first: (H, W) values of the first image, NaN where it shows none; drawn: (H, W, 3)
        its picture; points_mm: (H, W, 3) of the pixels' centres."""
        second = self.values_at(points_mm)
        height, width = second.shape
        pixel = [float(np.linalg.norm(points_mm[at] - points_mm[0, 0])) for at in ((0, 1), (1, 0))]
        x, y = (np.arange(count) - (count - 1) / 2 for count in (width, height))
        if self.mode is Mode.EDGES:
            share = edges(shares(second, self.window), pixel, voxel_mm(self.volume))
            top = np.broadcast_to(np.asarray(EDGE_COLOUR, dtype=np.float64), drawn.shape)
        else:
            share, top = self._share(x * pixel[0], y * pixel[1]), coloured(second, self.window, self.colours)
        if self.mode is Mode.BLEND or self.mode is Mode.EDGES:
            share = np.where(np.isnan(second), 0.0, share)
        found = drawn * (1.0 - share[..., None]) + top * share[..., None]
        stripes = striped(second.shape, pixel[0]) & np.isnan(second) & ~np.isnan(first)
        found[stripes] = (1 - STRIPES_SHARE) * found[stripes] + STRIPES_SHARE * np.asarray(QUIET_TEXT)
        return found

    def _share(self, x_mm: NDArray[np.float64], y_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """(H, W) of the second image."""
        shape = (len(y_mm), len(x_mm))
        if self.mode is Mode.BLEND:
            return np.full(shape, self.alpha)
        if self.mode is Mode.SPLIT:
            return np.broadcast_to((x_mm > self.split_mm).astype(np.float64), shape)
        field = np.floor(x_mm / self.cell_mm)[None, :] + np.floor(y_mm / self.cell_mm)[:, None]
        return np.asarray(field % 2, dtype=np.float64)

    def words(self, first: NDArray[np.float64], points_mm: NDArray[np.float64]) -> list[str]:
        """What has to be said of the picture of points (H, W, 3), where the first image's values are `first` (H, W):
        what lies over what, by what tie, how far off it may be in the picture's middle, and where the second shows
        nothing."""
        level, width = self.window
        how = f" {round(100 * self.alpha)} %" if self.mode is Mode.BLEND else ""
        how = f" of {self.cell_mm:g} mm" if self.mode is Mode.CHECKERBOARD else how
        how = f" {self.pair.first} | {self.pair.second}" if self.mode is Mode.SPLIT else how
        low, high = (number(value) for value in (level - width / 2, level + width / 2))
        middle = points_mm[points_mm.shape[0] // 2, points_mm.shape[1] // 2]
        found = [f"{self.pair.second} over {self.pair.first}, {self.mode}{how}, {self.volume.quantity} {low} to {high}"]
        found.append(f"{VERDICT_SYMBOLS[TIE_VERDICTS[self.pair.tie]]} {self.pair.words}")
        if self.pair.registration is not None:
            found.append(error_words(float(self.pair.error_mm(middle)[0])))
        if (np.isnan(self.values_at(points_mm[::4, ::4])) & ~np.isnan(first[::4, ::4])).any():
            found.append(f"striped: no {self.pair.second} there")
        return found

    def write(
        self, draw: ImageDraw.ImageDraw, first: NDArray[np.float64], points_mm: NDArray[np.float64], text_px: int
    ) -> None:
        """The words, and the scale of its colours, on a picture of points (H, W, 3); first as in `words`."""
        height, width = points_mm.shape[:2]
        small = max(8, round(0.8 * text_px))
        tint = TEXT if self.pair.tie is Tie.FRAME else VERDICT_COLOURS[TIE_VERDICTS[self.pair.tie]]
        row = 0.0
        for n, words in enumerate(self.words(first, points_mm)):
            for line in text_lines(words, small, width - 1.2 * text_px):
                place = (0.6 * text_px, 3.4 * text_px + row)
                written(draw, place, line, small, tint if n == 1 else TEXT)
                row += 1.35 * small
        if self.mode is Mode.EDGES:
            return
        level, wide = self.window
        top, long, right = 0.58 * height, 0.3 * height, width - 0.8 * text_px
        for n in range(round(long)):
            value = level + wide * (0.5 - n / max(long - 1, 1))
            rgb = coloured(np.array([value]), self.window, self.colours)[0]
            draw.line((right - 0.6 * text_px, top + n, right, top + n), fill=tuple(round(part) for part in rgb))
        draw.rectangle((right - 0.6 * text_px - 1, top - 1, right + 1, top + long), outline=QUIET_TEXT)
        for value, y in ((level + wide / 2, top), (level - wide / 2, top + long)):
            words = number(value) if value < level else f"{self.volume.quantity} {number(value)}"
            written(draw, (right - 0.9 * text_px, y), words, small, TEXT, anchor="rm")


def over_image(
    case: Case, first: str, second: str, mode: str = Mode.BLEND, *, alpha: float = 0.5,
    window: tuple[float, float] | None = None, colours: str = "", cell_mm: float = CELL_MM, split_mm: float = 0.0,
) -> Over:  # fmt: skip
    """Image `second` to be laid over pictures of image `first`; window and colours by its kind unless given.

    Raises what `image_pair` raises, ChoiceError and InputError for what does not fit.
    """
    if mode not in set(Mode):
        raise ChoiceError(f"fusion mode {mode[:40]!a}", ", ".join(Mode))
    pair = image_pair(case, first, second)
    volume = case.volumes[second]
    colours = colours or default_map(volume, blended=mode == Mode.BLEND)
    return Over(volume, pair, window or default_window(volume), colours, Mode(mode), alpha, cell_mm, split_mm)


def voxel_mm(volume: Volume) -> float:
    """The side of a cube of a voxel's size."""
    return float(np.prod(volume.grid.spacing_mm) ** (1 / 3))


def edges(share: NDArray[np.float64], pixel_mm: Sequence[float], voxel: float) -> NDArray[np.float64]:
    """(H, W) 0 to 1: the ridges of the gradient of an image in its window, share (H, W) 0 to 1, NaN where it is
    unknown; the rim of that is no edge.

    Smoothed by passes of (1, 2, 1) / 4, then central differences, the steepest across the edge kept (Canny, IEEE PAMI
    8:679, 1986, without hysteresis). voxel: mm, the scale by which steepness is measured.
    """
    known = ~np.isnan(share)
    smooth = np.where(known, share, 0.0)
    for axis, pixel in ((1, pixel_mm[0]), (0, pixel_mm[1])):
        for _ in range(passes(voxel, pixel)):
            smooth = _averaged(smooth, axis)
            known = _all_three(known, axis)
    gx, gy = np.zeros_like(smooth), np.zeros_like(smooth)
    gx[:, 1:-1] = (smooth[:, 2:] - smooth[:, :-2]) / 2
    gy[1:-1] = (smooth[2:] - smooth[:-2]) / 2
    steep = np.hypot(gx / pixel_mm[0], gy / pixel_mm[1]) * voxel
    known = _all_three(_all_three(known, 0), 1)
    steep[~known] = 0.0
    padded = np.pad(steep, 1)
    height, width = steep.shape
    keep = np.zeros(steep.shape, dtype=bool)
    sector = np.round(np.arctan2(gy, gx) / (np.pi / 4)).astype(int) % 4
    for n, (dx, dy) in enumerate(((1, 0), (1, 1), (0, 1), (-1, 1))):
        ahead = padded[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]
        behind = padded[1 - dy : 1 - dy + height, 1 - dx : 1 - dx + width]
        keep |= (sector == n) & (steep > ahead) & (steep >= behind)
    found = np.where(keep, np.clip((steep - EDGE_FROM) / (EDGE_FULL - EDGE_FROM), 0.0, 1.0), 0.0)
    for axis, pixel in ((1, pixel_mm[0]), (0, pixel_mm[1])):
        for _ in range(round(EDGE_MM / pixel) - 1):
            thicker = found.copy()
            np.maximum(*_beside(found, axis), out=_beside(thicker, axis)[0])
            found = thicker
    return found


def _beside(values: NDArray[np.float64], axis: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Views of all but the first, and all but the last, along an axis."""
    return (values[:, 1:], values[:, :-1]) if axis else (values[1:], values[:-1])


def passes(voxel: float, pixel: float) -> int:
    """How often (1, 2, 1) / 4, of variance 1/2 pixel, smooths as far as EDGE_BLUR voxels; at least once."""
    return int(min(max(round(2 * (EDGE_BLUR * voxel / pixel) ** 2), 1), MOST_PASSES))


def _averaged(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    padded = np.pad(values, [(1, 1) if n == axis else (0, 0) for n in range(2)], mode="edge")
    low, high = (np.take(padded, range(at, at + values.shape[axis]), axis) for at in (0, 2))
    return np.asarray((low + 2 * values + high) / 4)


def _all_three(known: NDArray[np.bool_], axis: int) -> NDArray[np.bool_]:
    padded = np.pad(known, [(1, 1) if n == axis else (0, 0) for n in range(2)], mode="edge")
    low, high = (np.take(padded, range(at, at + known.shape[axis]), axis) for at in (0, 2))
    return np.asarray(low & known & high)


def striped(shape: tuple[int, ...], pixel_mm: float) -> NDArray[np.bool_]:
    """(H, W) where stripes lie."""
    every = max(4, round(STRIPES_MM / pixel_mm))
    return np.asarray((np.arange(shape[0])[:, None] + np.arange(shape[1])[None, :]) % every == 0)


def error_words(error_mm: float) -> str:
    """How far off a second image may be in a picture's middle; NaN: not known."""
    return (
        f"in the middle off by up to {error_mm:.1f} mm, in 95 of 100"
        if np.isfinite(error_mm)
        else "error in the middle not known"
    )


def number(value: float) -> str:
    """A value to three digits, without noughts behind the point."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def text_lines(words: str, text_px: int, wide_px: float, bold: bool = False) -> list[str]:
    """Words broken into lines of at most so many pixels."""
    found: list[str] = []
    for word in words.split():
        longer = f"{found[-1]} {word}" if found else word
        if found and font(text_px, bold=bold).getlength(longer) <= wide_px:
            found[-1] = longer
        else:
            found.append(word)
    return found
