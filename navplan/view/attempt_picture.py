"""An attempt in two planes along the planned needle: how the shafts lay, and where the tip was when it touched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from navplan.model.safety import Verdict
from navplan.model.structure import Structure
from navplan.model.volume import Volume
from navplan.view.colours import NEEDLE, PANEL, QUIET_TEXT, TARGET, TEXT, VERDICT_COLOURS, Colour, anatomy_colour
from navplan.view.labels import font
from navplan.view.slices import SlicePlane, outlines, runs, slice_picture
from navplan.view.windows import AnyWindow

if TYPE_CHECKING:
    from PIL import ImageDraw

PLANNED: Colour = NEEDLE
ATTEMPT: Colour = (0x9B, 0xFF, 0x3C)
OTHER: Colour = (0x56, 0xB4, 0xE9)
TOUCHED: Colour = VERDICT_COLOURS[Verdict.FAIL]
_FINER, _STEP_MM, _DASH_MM, _GAP_PX = 3, 0.25, 3.0, 6
_BEYOND_MM = 22.0  # of the image, about all that is drawn


@dataclass(frozen=True, eq=False)
class DrawnPath:
    """A shaft: points (N, 3) LPS mm from the skin to the tip, its colour, its width in px, what it is called ("": it is
    like the one before), how far it throws beyond the tip."""

    points_mm: NDArray[np.float64]
    colour: Colour
    width_px: float
    words: str = ""
    throw_mm: float = 0.0

    @property
    def end_mm(self) -> NDArray[np.float64]:
        """(3,) of the throw."""
        along = self.points_mm[-1] - self.points_mm[-2]
        return np.asarray(self.points_mm[-1] + self.throw_mm * along / np.linalg.norm(along))


def attempt_picture(
    volume: Volume, planes: Sequence[SlicePlane], structures: Mapping[str, Structure], paths: Sequence[DrawnPath], *,
    target: str, touched: Sequence[str], touched_at_mm: Sequence[Sequence[float]], window: AnyWindow,
    lines: Sequence[str], target_off_mm: NDArray[np.float64] | None = None, side_px: int = 760,
) -> NDArray[np.uint8]:  # fmt: skip
    """The planes side by side, below them what the colours mean and `lines`: (height, width, 3) uint8.

    structures: outlined; those of `touched` in the colour of what must not be. paths: the last one topmost; solid
    within half a slice of the plane, dashed before or behind it. touched_at_mm: LPS places of the tip, a ring each.
    target_off_mm: (3,) by which the target lay elsewhere than in the image: dotted there.
    """
    from PIL import Image, ImageDraw

    text_px = side_px // 46
    everything = np.concatenate([*(path.points_mm for path in paths), *(path.end_mm[None] for path in paths)])
    rows = _legend(structures, paths, target, touched)
    if target_off_mm is not None and target in structures:
        rows[1].insert(1, (TARGET, "dotted: where it was then"))
    rows = [line for row in rows for line in _wrapped(row, len(planes) * side_px - 2 * text_px, text_px)]
    lines = [line for words in lines for line in _broken(words, len(planes) * side_px - 2 * text_px, text_px)]
    below = round((len(rows) + len(lines) + 1) * 1.55 * text_px)
    width = len(planes) * side_px + (len(planes) - 1) * _GAP_PX
    sheet = Image.new("RGB", (width, side_px + below), PANEL)
    for number, plane in enumerate(planes):
        seen = plane.pixels(everything, (1, 1), 1.0)[:, :2]  # mm from the plane's middle
        middle, reach = (seen.max(axis=0) + seen.min(axis=0)) / 2, float(np.ptp(seen, axis=0).max()) / 2 + _BEYOND_MM
        centre = np.asarray(plane.centre_mm) + middle[0] * np.asarray(plane.right) + middle[1] * np.asarray(plane.down)
        at = SlicePlane(tuple(centre.tolist()), plane.right, plane.down, plane.title)
        size, scale = (side_px, side_px), 2.0 * reach / side_px
        plain = {name: one for name, one in structures.items() if name not in touched}
        drawn = slice_picture(
            volume, at, plain, size=size, width_mm=2.0 * reach, window=window, target=target, text_px=text_px
        )
        picture = Image.fromarray(drawn)
        layer = Image.new("RGBA", (side_px * _FINER, side_px * _FINER), (0, 0, 0, 0))
        draw = ImageDraw.Draw(layer)
        points = at.points_mm(size, scale)
        for name in touched:
            for line in outlines(structures[name], points) if name in structures else ():
                draw.line([tuple(xy) for xy in (line + 0.5) * _FINER], fill=(*TOUCHED, 255), width=round(2.5 * _FINER))
        if target_off_mm is not None and target in structures:
            _dotted(draw, outlines(structures[target], points - target_off_mm))
        thick_mm = float(np.abs(volume.grid.axes.T @ at.into) @ volume.grid.spacing_mm)
        for path in paths:
            _draw_path(draw, at, path, size, scale, thick_mm)
        for x, y, _ in at.pixels(np.reshape(touched_at_mm, (-1, 3)), size, scale):
            box = [(place + 0.5 + side * 7.0) * _FINER for side in (-1, 1) for place in (x, y)]
            draw.ellipse(box, outline=(*TOUCHED, 255), width=2 * _FINER)
        layer = layer.resize(size, Image.Resampling.BOX)
        picture.paste(layer, (0, 0), layer)
        sheet.paste(picture, (number * (side_px + _GAP_PX), 0))
    _write(ImageDraw.Draw(sheet), rows, lines, side_px, text_px)
    return np.asarray(sheet)


def _legend(
    structures: Mapping[str, Structure], paths: Sequence[DrawnPath], target: str, touched: Sequence[str]
) -> list[list[tuple[Colour, str]]]:
    """Two rows: the shafts, and the outlines."""
    shafts = [(path.colour, path.words) for path in paths if path.words]
    if touched:
        shafts.append((TOUCHED, "ring: the tip when the shaft touched"))
    names = [(TARGET, target)] if target in structures else []
    names += [(TOUCHED, f"{name}: touched") for name in structures if name in touched]
    names += [(anatomy_colour(name), name) for name in structures if name not in (target, *touched)]
    return [shafts, names]


def _dotted(draw: ImageDraw.ImageDraw, lines: Sequence[NDArray[np.float64]]) -> None:
    """A dot every few pixels of outlines (K, 2)."""
    for line in lines:
        along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
        for place in np.arange(0.0, along[-1], 7.0):
            x, y = ((np.interp(place, along, line[:, axis]) + 0.5) * _FINER for axis in range(2))
            reach = 1.6 * _FINER
            draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=(*TARGET, 255))


def _wrapped(row: Sequence[tuple[Colour, str]], width_px: float, text_px: int) -> list[list[tuple[Colour, str]]]:
    """A row of the legend as rows that fit."""
    rows: list[list[tuple[Colour, str]]] = [[]]
    left = width_px
    for colour, words in row:
        needed = 3.4 * text_px + font(text_px).getlength(words)
        if needed > left and rows[-1]:
            rows.append([])
            left = width_px
        rows[-1].append((colour, words))
        left -= needed
    return rows


def _broken(words: str, width_px: float, text_px: int) -> list[str]:
    """Words as lines that fit."""
    lines = [""]
    for word in words.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font(text_px).getlength(longer) > width_px:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _draw_path(
    draw: ImageDraw.ImageDraw, plane: SlicePlane, path: DrawnPath, size: tuple[int, int], scale: float, thick_mm: float
) -> None:
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path.points_mm, axis=0), axis=1))])
    depths = np.arange(0.0, along[-1] + _STEP_MM / 2, _STEP_MM)
    points = np.stack([np.interp(depths, along, path.points_mm[:, axis]) for axis in range(3)], axis=1)
    seen = plane.pixels(points, size, scale)
    on = (np.abs(seen[:, 2]) <= thick_mm / 2) | (np.floor(depths / _DASH_MM).astype(int) % 2 == 0)
    for wider, colour in ((2.4, (0, 0, 0, 200)), (0.0, (*path.colour, 255))):
        for first, last in runs(on):
            line = [tuple(xy) for xy in (seen[first : last + 1, :2] + 0.5) * _FINER]
            if len(line) > 1:
                draw.line(line, fill=colour, width=round((path.width_px + wider) * _FINER), joint="curve")
    if path.throw_mm > 0.0:
        ends = plane.pixels([path.points_mm[-1], path.end_mm], size, scale)[:, :2]
        line = [tuple(xy) for xy in (ends + 0.5) * _FINER]
        draw.line(line, fill=(0, 0, 0, 200), width=round((0.4 * path.width_px + 2.0) * _FINER))
        draw.line(line, fill=(*path.colour, 255), width=round(0.4 * path.width_px * _FINER))
    x, y = (seen[-1, :2] + 0.5) * _FINER
    reach = (path.width_px / 2 + 2.0) * _FINER
    draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=(*path.colour, 255), outline=(0, 0, 0, 255))


def _write(
    draw: ImageDraw.ImageDraw, rows: Sequence[Sequence[tuple[Colour, str]]], lines: Sequence[str], top: int,
    text_px: int,
) -> None:  # fmt: skip
    written = font(text_px)
    y = top + 0.7 * text_px
    for row in rows:
        x = float(text_px)
        for colour, words in row:
            draw.rectangle((x, y + 0.35 * text_px, x + 1.6 * text_px, y + 0.85 * text_px), fill=colour)
            draw.text((x + 2.0 * text_px, y), words, font=written, fill=TEXT)
            x += 3.4 * text_px + written.getlength(words)
        y += 1.55 * text_px
    for words in lines:
        draw.text((text_px, y), words, font=written, fill=QUIET_TEXT)
        y += 1.55 * text_px
