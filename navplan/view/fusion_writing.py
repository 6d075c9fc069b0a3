"""What is written on a scene that shows a second image: what lies over what, by what tie, how far off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from navplan.model.anatomy import Tissue
from navplan.model.safety import Verdict
from navplan.view.colours import QUIET_TEXT, TARGET, TEXT, VERDICT_COLOURS, spoken
from navplan.view.fusion import Mode, number, text_lines
from navplan.view.labels import Box, draw_plate, font
from navplan.view.scene_fusion import FusedScene, carried_rows
from navplan.view.scene_words import PlacedWords
from navplan.view.windows import coloured

if TYPE_CHECKING:
    from PIL import ImageDraw

    from navplan.view.scene import SceneView

MOST_LABELS = 2
WIDE = 27  # of the plate, in heights of its text


def draw_fusion_words(draw: ImageDraw.ImageDraw, fused: FusedScene, top: float, text_px: int) -> Box:
    """A plate at the left, from `top` px down; the box that it takes."""
    small = round(0.92 * text_px)
    wide = WIDE * text_px
    lines = []
    for place, (words, colour) in enumerate(fused.words):
        parts = text_lines(words, small, wide - 2.6 * small, bold=place == 0)
        lines += [(part, colour, place == 0) for part in parts]
    bar = fused.over.mode is not Mode.EDGES
    left, step = 1.0 * text_px, 1.42 * small
    box = (left, top, left + wide, top + 1.2 * small + step * (len(lines) + bar))
    draw_plate(draw, box, small, VERDICT_COLOURS[fused.verdict])
    y = top + 0.55 * small
    for words, colour, bold in lines:
        draw.text((left + 1.2 * small, y), words, font=font(small, bold=bold), fill=(*colour, 255))
        y += step
    if bar:
        _colour_bar(draw, fused, (left + 1.2 * small, y), wide - 2.6 * small, small)
    return box


def _colour_bar(draw: ImageDraw.ImageDraw, fused: FusedScene, at: tuple[float, float], wide: float, small: int) -> None:
    """The second image's colours, from the least to the largest value of its window."""
    over = fused.over
    level, width = over.window
    low, high = number(level - width / 2), f"{number(level + width / 2)} {over.volume.quantity}"
    letters = font(small)
    name = f"{over.pair.second} "
    start = at[0] + letters.getlength(f"{name}{low} ") + 0.3 * small
    end = at[0] + wide - letters.getlength(f" {high}") - 0.3 * small
    draw.text(at, f"{name}{low}", font=letters, fill=(*TEXT, 255))
    draw.text((end + 0.4 * small, at[1]), high, font=letters, fill=(*TEXT, 255))
    count = max(round(end - start), 2)
    shares = (np.arange(count) / (count - 1) - 0.5) * width + level
    for x, rgb in enumerate(coloured(shares, over.window, over.colours)):
        fill = (*(round(float(part)) for part in rgb), 255)
        draw.line((start + x, at[1] + 0.15 * small, start + x, at[1] + 0.95 * small), fill=fill)
    draw.rectangle((start - 1, at[1] + 0.1 * small, start + count, at[1] + small), outline=(*QUIET_TEXT, 255))


def fused_told(fused: FusedScene) -> dict[str, Any]:
    """The same for whoever writes it: lines and rows of words with colours (#rrggbb), labels with their places, the
    colours from the least to the largest value of the window."""
    level, width = fused.over.window
    shares = np.linspace(level - width / 2, level + width / 2, 24)
    colours = coloured(shares, fused.over.window, fused.over.colours)
    return {
        "lines": [[words, _css(tint)] for words, tint in fused.words],
        "rows": [[words, _css(tints[0])] for tints, words in (*fused.legend, *carried_rows(fused.marks))],
        "labels": [
            {"at": one.at_mm, "title": one.title, "detail": one.detail, "tint": _css(one.colour)}
            for one in fused_labels(fused)
        ],
        "bar": None if fused.over.mode is Mode.EDGES else {
            "colours": [_css(rgb) for rgb in colours], "low": f"{fused.pair.second} {number(shares[0])}",
            "high": f"{number(shares[-1])} {fused.over.volume.quantity}",
        },
    }  # fmt: skip


def refused_told(why: str) -> dict[str, Any]:
    """The same where nothing of a second image is drawn."""
    return {"lines": [[why, _css(VERDICT_COLOURS[Verdict.WARN])]], "rows": [], "labels": [], "bar": None}


def _css(colour: Any) -> str:
    return "#{:02x}{:02x}{:02x}".format(*(round(float(part)) for part in colour))


def own_lesions(view: SceneView) -> tuple[PlacedWords, ...]:
    """Of the lesions that were seen on the first image itself, where no plan names a target: at most one."""
    assert view.fused is not None
    first = view.fused.pair.first
    found = [
        PlacedWords(_triple(one.voxel_centres_mm().mean(axis=0)), spoken(one.name), f"seen on {first} itself", TARGET)
        for one in view.structures.values()
        if one.anatomy.tissue is Tissue.LESION and one.occupancy is not None and not one.carried_from
    ]
    return tuple(found[:1])


def _triple(point: np.ndarray) -> tuple[float, float, float]:
    return float(point[0]), float(point[1]), float(point[2])


def fused_labels(fused: FusedScene, most: int = MOST_LABELS) -> tuple[PlacedWords, ...]:
    """Of the carried structures that are nearest to where the planes cross."""
    middle = np.asarray(fused.planes.centre_mm)
    nearest = sorted(fused.marks, key=lambda mark: float(np.linalg.norm(np.asarray(mark.at_mm) - middle)))
    found = []
    for mark in nearest[:most]:
        within = f"within {mark.error_mm:.1f} mm, in 95 of 100" if np.isfinite(mark.error_mm) else "error not known"
        told = f"carried: {within}" if not mark.doubt else f"carried, in doubt: {within}"
        words = PlacedWords(mark.at_mm, f"{spoken(mark.name)}, from {mark.image}", told, mark.colour, mark.verdict)
        found.append(words)
    return tuple(found)
