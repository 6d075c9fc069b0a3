"""The sheet that goes with a printed training block: from above at true scale, and each way in depths and angles."""

from __future__ import annotations

from html import escape

import numpy as np

from navplan.model.block import TrainingBlock
from navplan.reports.protractor import FONT, Drawing
from navplan.reports.templates import page, style

_SPOKEN = {"L": "the patient's left", "R": "the patient's right", "P": "his back", "A": "his front", "H": "his head",
           "F": "his feet"}  # fmt: skip


def block_sheet_html(block: TrainingBlock) -> str:
    """A page to print; one unit of its drawing is 1 mm."""
    rows = [
        (
            way.name, f"{way.device}, {way.device_mm:g} mm", f"{way.depth_mm:.1f}",
            f"{float(np.subtract(way.target_mm, way.top_mm) @ way.direction):.1f}", f"{way.angle_deg:.1f}",
            f"{way.compass_deg:.0f}", f"{way.top_mm[0]:.1f}, {way.top_mm[1]:.1f}",
            f"{way.channel_mm:.2f}" if way.channel_mm else "none",
        )
        for way in block.ways
    ]  # fmt: skip
    return page(
        "block_sheet.html", block=block, style=style(), size=" x ".join(f"{mm:.0f}" for mm in block.size_mm),
        up=_SPOKEN[block.letters[4]], drawing=_from_above(block), rows=rows,
        skins=[_skin_words(way.name, way.above_skin_mm) for way in block.ways],
    )  # fmt: skip


def _skin_words(name: str, above_mm: float) -> str:
    where = "before" if above_mm > 0 else "behind"
    return f"{name}: the top face is {abs(above_mm):.1f} mm {where} the skin, along the needle"


def _from_above(block: TrainingBlock) -> Drawing:
    """+x to the right, +y up the page."""
    x, y, edge = block.size_mm[0], block.size_mm[1], 8.0
    bevel = block.bevel_mm

    def at(px: float, py: float) -> tuple[float, float]:
        return edge + px, edge + y - py

    outline = [at(0, 0), at(x, 0), at(x, y - bevel), at(x - bevel, y), at(0, y)]
    corners = " ".join(f"{a:.2f},{b:.2f}" for a, b in outline)
    parts = [f'<polygon points="{corners}" fill="none" stroke="black" stroke-width="0.3"/>']
    letters = ((x + 4, y / 2), (-4, y / 2), (x / 2, y + 4), (x / 2, -4))
    for letter, place in zip(block.letters, letters, strict=False):
        parts.append(_words(*at(*place), letter, 5.0))
    for mark in block.marks:
        px, py = at(mark.ball_mm[0], mark.ball_mm[1])
        parts.append(f'<circle cx="{px:.2f}" cy="{py:.2f}" r="{block.ball_mm / 2:.2f}" fill="none" stroke="#666" '
                     'stroke-width="0.25"/>')  # fmt: skip
        parts.append(_words(px, py, mark.name, 2.6))
    for way in block.ways:
        (ax, ay), (bx, by) = at(*way.top_mm[:2]), at(*way.tip_mm[:2])
        parts.append(f'<line x1="{ax:.2f}" y1="{ay:.2f}" x2="{bx:.2f}" y2="{by:.2f}" stroke="black" stroke-width="0.3" '
                     'stroke-dasharray="1.2 0.8"/>')  # fmt: skip
        parts.append(f'<circle cx="{ax:.2f}" cy="{ay:.2f}" r="{max(way.channel_mm, way.device_mm) / 2:.2f}"/>')
        parts.append(_words(ax, ay - 2.6, way.name, 3.0))
    wide, tall = x + 2 * edge, y + 2 * edge
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="the block from above" width="{wide:g}mm" '
        f'height="{tall:g}mm" viewBox="0 0 {wide:g} {tall:g}" font-family="{FONT}">{"".join(parts)}</svg>'
    )
    return Drawing(svg, wide, tall)


def _words(x: float, y: float, words: str, size: float) -> str:
    return (
        f'<text x="{x:.2f}" y="{y:.2f}" font-size="{size:g}" text-anchor="middle" dominant-baseline="middle">'
        f"{escape(words)}</text>"
    )
