"""Writing on pictures: plates, leaders, verdict badges, scale bars; and places for labels that never overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from navplan.model.safety import Verdict
from navplan.view.colours import PANEL, TEXT, VERDICT_COLOURS, VERDICT_SYMBOLS, Colour

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

Box = tuple[float, float, float, float]  # left, top, right, bottom, px


@lru_cache(maxsize=64)
def font(height_px: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans (digits of one width), as it comes with matplotlib."""
    from matplotlib import get_data_path
    from PIL import ImageFont

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(get_data_path()) / "fonts" / "ttf" / name), max(7, height_px))


@dataclass(frozen=True)
class Label:
    """One plate: what it points at (x, y px), a bold first line, a quiet second one, a verdict or none."""

    anchor: tuple[float, float]
    title: str
    detail: str = ""
    colour: Colour = TEXT
    verdict: Verdict | None = None
    pointed: bool = True  # whether a leader goes to the anchor


def label_size(label: Label, text_px: int) -> tuple[float, float]:
    """Width and height of a label's plate."""
    title, detail = font(text_px, bold=True).getlength(label.title), font(round(0.86 * text_px)).getlength(label.detail)
    badge = 1.5 * text_px if label.verdict is not None else 0.0
    return max(title, detail) + badge + 1.3 * text_px, (2.75 if label.detail else 1.75) * text_px


def place_labels(
    labels: Sequence[Label],
    busy: NDArray[np.floating],
    text_px: int,
    keep_free: Sequence[Box] = (),
    keep_clear_lines: Sequence[tuple[tuple[float, float], tuple[float, float]]] = (),
) -> list[Box]:
    """Plates for labels, in their order: in the picture, off each other, off keep_free, on empty ground if it can be.

    busy: (H, W) 0..1, how much there is to see at a pixel; keep_clear_lines: segments (needle) that no plate covers.
    Where no place is free of overlap the least bad one is taken from a finer search along the edges.
    """
    height, width = busy.shape
    table = np.pad(busy.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    taken: list[Box] = list(keep_free)
    anchors = [label.anchor for label in labels]
    placed: list[Box] = []
    for label in labels:
        size = label_size(label, text_px)
        best, best_cost = _fallback(size, taken, width, height), np.inf
        for box in _candidates(label.anchor, size, width, height, text_px):
            if any(_overlap(box, other, 0.35 * text_px) for other in taken):
                continue
            cost = _cost(box, label.anchor, label.pointed, anchors, table, keep_clear_lines, placed, labels, text_px)
            if cost < best_cost:
                best, best_cost = box, cost
        placed.append(best)
        taken.append(best)
    return placed


def _candidates(
    anchor: tuple[float, float], size: tuple[float, float], width: int, height: int, text_px: int
) -> list[Box]:
    found = []
    for reach in np.array((3.5, 6, 9, 12, 16, 21, 27)) * text_px:
        for angle in np.arange(32) * (np.pi / 16):
            x = anchor[0] + (reach + size[0] / 2) * np.cos(angle) - size[0] / 2
            y = anchor[1] + (reach + size[1] / 2) * np.sin(angle) - size[1] / 2
            margin = 0.8 * text_px
            if margin <= x <= width - size[0] - margin and margin <= y <= height - size[1] - margin:
                found.append((float(x), float(y), float(x + size[0]), float(y + size[1])))
    return found


def _cost(
    box: Box,
    anchor: tuple[float, float],
    pointed: bool,
    anchors: Sequence[tuple[float, float]],
    table: NDArray[np.floating],
    lines: Sequence[tuple[tuple[float, float], tuple[float, float]]],
    placed: Sequence[Box],
    labels: Sequence[Label],
    text_px: int,
) -> float:
    left, top, right, bottom = (int(value) for value in box)
    covered = float(table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left])
    cost = 26.0 * covered / max((right - left) * (bottom - top), 1)
    end = leader_end(box, anchor)
    cost += 0.55 * float(np.hypot(end[0] - anchor[0], end[1] - anchor[1])) / text_px
    cost += 60.0 * sum(_line_hits(line, box) for line in lines)
    if pointed:
        cost += 30.0 * sum(_runs_along((anchor, end), line, 0.7 * text_px) for line in lines)
    cost += 60.0 * sum(_inside(point, box, 0.6 * text_px) for point in anchors)
    for other, label in zip(placed, labels, strict=False):
        if not label.pointed:
            continue
        there = leader_end(other, label.anchor)
        cost += 50.0 * _line_hits((label.anchor, there), box)
        if pointed:
            cost += 40.0 * _crossing(anchor, end, label.anchor, there) + 50.0 * _line_hits((anchor, end), other)
    return cost


def leader_end(box: Box, anchor: tuple[float, float]) -> tuple[float, float]:
    """The point of a plate's edge where its leader starts: the nearest to the anchor."""
    left, top, right, bottom = box
    return min(max(anchor[0], left), right), min(max(anchor[1], top), bottom)


def _fallback(size: tuple[float, float], taken: Sequence[Box], width: int, height: int) -> Box:
    """The first free place down the right edge, then the left; the last one if there is none."""
    box = (0.0, 0.0, size[0], size[1])
    for left in (width - size[0] - 4, 4.0):
        for top in np.arange(4.0, max(5.0, height - size[1] - 4), 6.0):
            box = (float(left), float(top), float(left + size[0]), float(top + size[1]))
            if not any(_overlap(box, other, 1.0) for other in taken):
                return box
    return box


def _overlap(first: Box, second: Box, gap: float) -> bool:
    return (
        first[0] < second[2] + gap
        and second[0] < first[2] + gap
        and first[1] < second[3] + gap
        and second[1] < first[3] + gap
    )


def _inside(point: tuple[float, float], box: Box, gap: float) -> bool:
    return box[0] - gap < point[0] < box[2] + gap and box[1] - gap < point[1] < box[3] + gap


def _line_hits(line: tuple[tuple[float, float], tuple[float, float]], box: Box) -> bool:
    share = np.linspace(0.02, 0.98, 40)
    x = line[0][0] + share * (line[1][0] - line[0][0])
    y = line[0][1] + share * (line[1][1] - line[0][1])
    return bool(((x > box[0] - 3) & (x < box[2] + 3) & (y > box[1] - 3) & (y < box[3] + 3)).any())


def _runs_along(
    leader: tuple[tuple[float, float], tuple[float, float]],
    line: tuple[tuple[float, float], tuple[float, float]],
    gap: float,
) -> float:
    """0..1: how much a leader, past its first part, keeps near a line or crosses it; one crossing counts as a third."""
    share = np.linspace(0.15, 1.0, 40)[:, None]
    points = np.asarray(leader[0]) + share * np.subtract(leader[1], leader[0])
    along = np.subtract(line[1], line[0])
    place = np.clip((points - line[0]) @ along / max(float(along @ along), 1e-9), 0, 1)[:, None]
    near = np.linalg.norm(points - (np.asarray(line[0]) + place * along), axis=1) < gap
    return max(float(near.mean()), 0.35 * bool(near.any()))


def _crossing(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float], d: tuple[float, float]) -> bool:
    def side(p: tuple[float, float], q: tuple[float, float], r: tuple[float, float]) -> float:
        return (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])

    return side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0


def draw_leaders(layer: Image.Image, labels: Sequence[Label], boxes: Sequence[Box], text_px: int) -> None:
    """Smooth lines from each plate to what it points at, with a dark rim; on an RGBA layer."""
    from PIL import Image, ImageDraw

    finer = 3
    lines = Image.new("RGBA", (layer.width * finer, layer.height * finer), (0, 0, 0, 0))
    draw = ImageDraw.Draw(lines)
    for rim in (True, False):
        for label, box in zip(labels, boxes, strict=True):
            if label.pointed:
                ends = [tuple(finer * value for value in end) for end in (leader_end(box, label.anchor), label.anchor)]
                colour = (0, 0, 0, 190) if rim else (*label.colour, 255)
                draw.line(ends, fill=colour, width=round(finer * text_px * (0.19 if rim else 0.085)))
    layer.alpha_composite(lines.resize(layer.size, Image.Resampling.BOX))


def draw_label(draw: ImageDraw.ImageDraw, box: Box, label: Label, text_px: int) -> None:
    """Plate, badge and words; on an RGBA drawing."""
    draw_plate(draw, box, text_px, edge=label.colour)
    left, top = box[0] + 0.6 * text_px, box[1] + 0.36 * text_px
    if label.verdict is not None:
        draw_badge(draw, (left + 0.5 * text_px, top + 0.6 * text_px), 1.15 * text_px, label.verdict)
        left += 1.5 * text_px
    draw.text((left, top), label.title, font=font(text_px, bold=True), fill=(*TEXT, 255))
    if label.detail:
        below = (left, top + 1.22 * text_px)
        draw.text(below, label.detail, font=font(round(0.86 * text_px)), fill=(205, 212, 220, 255))


def draw_plate(draw: ImageDraw.ImageDraw, box: Box, text_px: int, edge: Colour | None = None) -> None:
    """A dark plate, with a bar of colour at its left."""
    draw.rounded_rectangle(box, radius=0.32 * text_px, fill=(*PANEL, 232), outline=(64, 76, 90, 255), width=1)
    if edge is not None:
        bar = (box[0] + 2, box[1] + 0.4 * text_px, box[0] + 2 + max(2.0, 0.16 * text_px), box[3] - 0.4 * text_px)
        draw.rectangle(bar, fill=(*edge, 255))


def draw_badge(draw: ImageDraw.ImageDraw, centre: tuple[float, float], side: float, verdict: Verdict) -> None:
    """The verdict's symbol on its colour; NOT_EVALUATED is hatched."""
    x, y, half = centre[0], centre[1], side / 2
    box = (x - half, y - half, x + half, y + half)
    colour = VERDICT_COLOURS[verdict]
    if verdict is Verdict.NOT_EVALUATED:
        draw.rectangle(box, fill=(52, 60, 70, 255), outline=(*colour, 255), width=max(1, round(side / 12)))
        step = max(3.0, side / 5)
        for offset in np.arange(step, 2 * side, step):
            start, end = max(0.0, offset - side), min(side, offset)
            draw.line(
                [(box[0] + start, box[1] + offset - start), (box[0] + end, box[1] + offset - end)], fill=(*colour, 150)
            )
    else:
        draw.rounded_rectangle(box, radius=side / 5, fill=(*colour, 255))
    ink = TEXT if verdict is Verdict.NOT_EVALUATED else (10, 14, 18)
    draw.text(centre, VERDICT_SYMBOLS[verdict], font=font(round(0.8 * side), bold=True), fill=(*ink, 255), anchor="mm")


def draw_scale_bar(
    draw: ImageDraw.ImageDraw,
    left: float,
    bottom: float,
    millimetres_per_pixel: float,
    text_px: int,
    words: str = "",
    longest_px: float = 260.0,
) -> Box:
    """A bar of 1, 2 or 5 times a power of ten millimetres, not longer than longest_px; the box that it takes."""
    powers = [float(f * 10**p) for p in range(-1, 4) for f in (1, 2, 5)]
    length_mm = max([value for value in powers if value / millimetres_per_pixel <= longest_px], default=powers[0])
    right = left + length_mm / millimetres_per_pixel
    tall = 0.35 * text_px
    for width, colour in ((5, (0, 0, 0, 220)), (2, (*TEXT, 255))):
        draw.line([(left, bottom), (right, bottom)], fill=colour, width=width)
        for x in (left, right):
            draw.line([(x, bottom - tall), (x, bottom + tall)], fill=colour, width=width)
    text = f"{length_mm:g} mm{' ' + words if words else ''}"
    written(draw, (left, bottom - 1.75 * text_px), text, text_px)
    return left - 4, bottom - 2 * text_px, max(right, left + font(text_px).getlength(text)) + 4, bottom + tall + 4


def written(
    draw: ImageDraw.ImageDraw,
    place: tuple[float, float],
    text: str,
    text_px: int,
    colour: Colour = TEXT,
    bold: bool = False,
    anchor: str = "la",
) -> None:
    """Words with a dark rim, so that they stand on any ground."""
    draw.text(
        place, text, font=font(text_px, bold), fill=(*colour, 255), anchor=anchor, stroke_width=max(1, text_px // 9),
        stroke_fill=(0, 0, 0, 210),
    )  # fmt: skip


def fitting_font(text: str, text_px: int, width_px: float, bold: bool = False, least: float = 0.6) -> tuple[int, str]:
    """The largest size up to text_px at which a text fits into width_px; below `least` of it the text is cut."""
    for size in range(text_px, max(7, round(least * text_px)) - 1, -1):
        if font(size, bold).getlength(text) <= width_px:
            return size, text
    return size, shortened(text, size, width_px, bold)


def shortened(text: str, text_px: int, width_px: float, bold: bool = False) -> str:
    """The text, cut with an ellipsis where it is wider than width_px."""
    face = font(text_px, bold)
    if face.getlength(text) <= width_px:
        return text
    while text and face.getlength(text + "…") > width_px:
        text = text[:-1]
    return text.rstrip() + "…"
