"""True-scale paper instruments as SVG: protractors, a depth ruler, scale bars. One unit of a drawing is 1 mm.

They are right only when printed at 100 %; the scale bars are there to check the printer by.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from navplan.geometry.table_angles import TableAngles, TableFrame

FONT = "DejaVu Sans, Helvetica, Arial, sans-serif"
RADIUS_MM = 40.0
SMALL_RADIUS_MM = 27.0
RULER_MAX_MM = 178.0  # what fits across an A4 page


@dataclass(frozen=True)
class Drawing:
    """An SVG of width_mm x height_mm at true scale."""

    svg: str
    width_mm: float
    height_mm: float


def _drawing(parts: list[str], width_mm: float, height_mm: float, title: str) -> Drawing:
    body = "\n".join(parts)
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{title}" width="{width_mm:g}mm" '
        f'height="{height_mm:g}mm" viewBox="0 0 {width_mm:g} {height_mm:g}" font-family="{FONT}" fill="black">'
        f"\n{body}\n</svg>"
    )
    return Drawing(svg, width_mm, height_mm)


def _line(x1: float, y1: float, x2: float, y2: float, width: float, more: str = "") -> str:
    return (
        f'<line x1="{x1:.4f}" y1="{y1:.4f}" x2="{x2:.4f}" y2="{y2:.4f}" stroke="black" stroke-width="{width:g}"{more}/>'
    )


def _text(x: float, y: float, words: str, size: float, anchor: str = "middle", bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.3f}" y="{y:.3f}" font-size="{size:g}" text-anchor="{anchor}"{weight}>{words}</text>'


def _place(centre: tuple[float, float], radius: float, angle_deg: float) -> tuple[float, float]:
    """A point at an angle from straight up, clockwise."""
    angle = np.radians(angle_deg)
    return centre[0] + radius * float(np.sin(angle)), centre[1] - radius * float(np.cos(angle))


def _dial(
    centre: tuple[float, float], radius: float, from_deg: int, to_deg: int, planned_deg: float, zero_words: str
) -> list[str]:
    """Ticks of 1, 5 and 10 degrees, numbers every 10, the zero line dashed, the planned needle as a thick line."""
    parts = []
    numbered = 10 if radius > SMALL_RADIUS_MM else 30
    for angle in range(from_deg, to_deg + 1):
        long = 4.2 if angle % 10 == 0 else 3.0 if angle % 5 == 0 else 1.7
        outer, inner = _place(centre, radius, angle), _place(centre, radius - long, angle)
        parts.append(_line(*outer, *inner, 0.22 if angle % 5 == 0 else 0.11))
        if angle % numbered == 0 and angle != -180 and abs(((angle - planned_deg) + 180) % 360 - 180) > 2.6:
            x, y = _place(centre, radius - 6.4, angle)
            parts.append(_text(x, y + 0.9, str(abs(angle)), 2.5))
    start, end = _place(centre, radius, from_deg), _place(centre, radius, to_deg)
    large = int(to_deg - from_deg > 180)
    parts.append(
        f'<path d="M {start[0]:.4f} {start[1]:.4f} A {radius:g} {radius:g} 0 {large} 1 {end[0]:.4f} {end[1]:.4f}" '
        'fill="none" stroke="black" stroke-width="0.25"/>'
    )
    parts.append(_line(*centre, *_place(centre, radius - 8.5, 0), 0.2, ' stroke-dasharray="1.6 1"'))
    x, y = _place(centre, radius + 1.2, 0)
    beside = 0.0 if abs(planned_deg) > 15 else -2.0 if planned_deg >= 0 else 2.0
    anchor = {0.0: "middle", -2.0: "end", 2.0: "start"}[beside]
    parts.append(_text(x + beside, y - 0.4, zero_words, 2.5, anchor))
    tip = _place(centre, radius + 3.0, planned_deg)
    parts.append(_line(*centre, *tip, 0.7, ' class="needle"'))
    parts.append(
        f'<circle cx="{centre[0]:g}" cy="{centre[1]:g}" r="0.9" fill="white" stroke="black" stroke-width="0.3"/>'
    )
    return parts


def _named_needle(centre: tuple[float, float], radius: float, angle_deg: float, words: str) -> list[str]:
    """The planned angle written beside its line, on the side of the zero line, on a white plate."""
    x, y = _place(centre, 0.60 * radius, angle_deg)
    wide = 2.3 * len(words) + 1.2
    beside = np.radians(angle_deg + (-90 if angle_deg >= 0 else 90))
    x, y = x + (2.0 + wide / 2) * float(np.sin(beside)), y - 3.4 * float(np.cos(beside))
    return [
        f'<rect x="{x - wide / 2:.3f}" y="{y - 2.0:.3f}" width="{wide:.3f}" height="4.0" fill="white"/>',
        _text(x, y + 1.3, words, 3.6, bold=True),
    ]


def in_plane_protractor(angles: TableAngles, frame: TableFrame, radius_mm: float = RADIUS_MM) -> Drawing:
    """Held upright in the scan plane with its middle at the entry, seen from the feet; 0 is vertical in the room."""
    reach = next(limit for limit in (92, 100, 115, 180) if angles.from_vertical_deg <= limit - 2 or limit == 180)
    radius_mm = radius_mm if reach < 180 else min(radius_mm, SMALL_RADIUS_MM)
    below = -radius_mm * float(np.cos(np.radians(reach)))
    width, height = 2 * RADIUS_MM + 16.0, radius_mm + max(2.5, below + 1.5) + 4.5
    centre = (width / 2, radius_mm + 4.5)
    parts = _dial(centre, radius_mm, -reach, reach, angles.in_plane_deg, "vertical")
    parts.append(_line(centre[0] - radius_mm + 9, centre[1], centre[0] + radius_mm - 9, centre[1], 0.15))
    parts += _named_needle(centre, radius_mm, angles.in_plane_deg, f"{angles.from_vertical_deg:.0f}°")
    for side, x in ((frame.left_side, 3.6), (frame.right_side, width - 3.6)):
        parts.append(_text(x, centre[1] - 9.0, side[0].upper(), 6.0, bold=True))
        parts.append(_text(x, centre[1] - 5.8, side, 2.4))
    return _drawing(parts, width, height, "protractor for the in-plane angle")


def tilt_protractor(angles: TableAngles, radius_mm: float = RADIUS_MM) -> Drawing:
    """Held along the body, leaning with the needle, its middle at the entry; 0 is in the scan plane, the head left."""
    reach = 45 if abs(angles.tilt_deg) <= 43 else 90
    radius_mm = radius_mm if reach == 45 else min(radius_mm, SMALL_RADIUS_MM)
    half = radius_mm * float(np.sin(np.radians(reach)))
    beside = 8.0 if reach == 45 else 14.0  # room for the words beside the arc
    width, height = 2 * (half + beside), radius_mm + 7.0
    centre = (width / 2, radius_mm + 4.5)
    parts = _dial(centre, radius_mm, -reach, reach, -angles.tilt_deg, "scan plane")
    parts.append(_line(beside, centre[1], width - beside, centre[1], 0.15))
    parts += _named_needle(centre, radius_mm, -angles.tilt_deg, f"{abs(angles.tilt_deg):.0f}°")
    for side, x in (("HEAD", 7.5), ("FEET", width - 7.5)):
        parts.append(_text(x, centre[1] - 2.0, side, 3.2, bold=True))
    return _drawing(parts, width, height, "protractor for the cranio-caudal tilt")


def depth_ruler(marks: list[tuple[float, str]], end_mm: float) -> Drawing | None:
    """A needle at true scale from the skin (0) to `end_mm`, with named marks; None where it is longer than a page.

    marks: (depth in mm, words), in order of depth. Words end at the line of their mark; where one before is in the way,
    they stand a row higher.
    """
    if end_mm > RULER_MAX_MM or not marks:
        return None
    left, width = 11.0, end_mm + 16.0
    lines: list[tuple[float, int, str]] = []
    for depth, words in marks:
        x, room = left + depth, 1.9 * len(words) + 1.0
        row = max((taken + 1 for before, taken, _ in lines if before > x - room), default=0)
        lines.append((x, row, words))
    axis = 3.4 * max(row for _, row, _ in lines) + 7.0
    parts = []
    for x, row, words in lines:
        y = axis - 3.4 - 3.4 * row
        parts.append(_line(x, axis + 0.6, x, y - 2.0, 0.3))
        parts.append(_text(x - 0.8, y, words, 2.7, "end", bold=True))
    parts.append(_line(left, axis, left + end_mm, axis, 0.7))
    for depth in range(0, int(end_mm) + 1):
        long = 3.0 if depth % 10 == 0 else 2.1 if depth % 5 == 0 else 1.2
        parts.append(_line(left + depth, axis, left + depth, axis + long, 0.22 if depth % 5 == 0 else 0.11))
        if depth % 10 == 0:
            parts.append(_text(left + depth, axis + 5.8, str(depth), 2.5))
    return _drawing(parts, width, axis + 7.0, "depth ruler")


def scale_bar(length_mm: int, upright: bool = False) -> Drawing:
    """A bar of exactly that length between the outer edges of its end marks' middles, with its length written on it."""
    words = f"{length_mm} mm"
    if upright:
        parts = [
            _line(3.0, 1.0, 3.0, 1.0 + length_mm, 0.4), _line(1.0, 1.0, 5.0, 1.0, 0.3),
            _line(1.0, 1.0 + length_mm, 5.0, 1.0 + length_mm, 0.3),
            f'<g transform="translate(8.2 {1 + length_mm / 2:g}) rotate(-90)">{_text(0, 0, words, 2.7)}</g>',
        ]  # fmt: skip
        return _drawing(parts, 10.0, length_mm + 2.0, f"scale bar of {words}")
    parts = [
        _line(1.0, 3.0, 1.0 + length_mm, 3.0, 0.4), _line(1.0, 1.0, 1.0, 5.0, 0.3),
        _line(1.0 + length_mm, 1.0, 1.0 + length_mm, 5.0, 0.3), _text(1.0 + length_mm / 2, 7.4, words, 2.7),
    ]  # fmt: skip
    return _drawing(parts, length_mm + 2.0, 8.5, f"scale bar of {words}")
