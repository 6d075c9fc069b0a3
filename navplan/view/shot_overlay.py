"""A real fluoroscopic picture with what a registered CT has there, for a person to see whether it fits."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from textwrap import wrap
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from navplan.fluoroscopy.overlay import Mark, Role
from navplan.fluoroscopy.picture import COLOURS, GROUND, LINE_PX, OUTLINE_COLOURS, TEXT, WARNING
from navplan.view.fusion import EDGE_COLOUR, edges

EDGE_MM = 2.0  # at the patient: the scale by which steepness is measured
ABOUT_MM, FLATTEST = 12.0, 4.0  # what is told apart is so wide; of grey: less contrast about a place is none
PANEL_PX, LINE_LETTERS, GAP = 760, 200, 8


def ct_edges(ct_picture: NDArray[np.uint8], pixel_mm: float) -> NDArray[np.uint8]:
    """(rows, cols) 0 to 255: where the CT's picture changes steeply; black, shut away, is none. pixel_mm: in the
    patient."""
    grey, wide = ct_picture.astype(np.float64), ABOUT_MM / pixel_mm
    off = grey - gaussian_filter(grey, wide)
    about = np.sqrt(gaussian_filter(off**2, wide))
    share = 0.5 + 0.2 * off / np.maximum(about, FLATTEST)  # ribs beside a lung count as much as the lung's own edge
    share[ct_picture == 0] = np.nan
    return np.rint(255.0 * edges(np.clip(share, 0.0, 1.0), (pixel_mm, pixel_mm), EDGE_MM)).astype(np.uint8)


def outline_tints(marks: Sequence[Mark]) -> dict[str, str]:
    """A colour for each structure whose outline is drawn."""
    names = dict.fromkeys(mark.name for mark in marks if mark.role is Role.OUTLINE)
    tints = [one for one in OUTLINE_COLOURS if one != "#F0E442"]  # too near to the edges' own
    return {name: tints[number % len(tints)] for number, name in enumerate(names)}


def overlay_png(
    real: NDArray[np.uint8], ct_picture: NDArray[np.uint8], strength: NDArray[np.uint8], marks: Sequence[Mark],
    letters: Sequence[str], title: str, stamp: str, words: Sequence[str], warnings: Sequence[str],
) -> bytes:  # fmt: skip
    """A PNG: the real picture with the CT's edges and marks, the CT's picture from the same place with the same marks,
    and words below. real, ct_picture, strength (of the edges): (rows, cols) uint8; letters: of the patient's side at
    left, right, top and bottom; stamp: stands in the pictures themselves."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    warned = [line for one in warnings for line in wrap(f"! {one}", LINE_LETTERS)]
    told = [line for one in words for line in wrap(one, LINE_LETTERS)]
    tall = round(PANEL_PX * real.shape[0] / real.shape[1])
    wide, strip, top = 2 * PANEL_PX + GAP, LINE_PX * (len(warned) + len(told) + 1) + 16, LINE_PX + 6
    whole = tall + strip + top
    figure = Figure(figsize=(wide / 100, whole / 100), dpi=100, facecolor=GROUND)
    FigureCanvasAgg(figure)
    tints = outline_tints(marks)
    for number, (pixels, name) in enumerate(((real, title), (ct_picture, "the CT, seen from there (SIMULATED)"))):
        left = number * (PANEL_PX + GAP)
        axes = figure.add_axes((left / wide, strip / whole, PANEL_PX / wide, tall / whole))
        axes.set_axis_off()
        axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="bilinear", aspect="auto")
        if number == 0:
            over = np.zeros((*strength.shape, 4))
            over[..., :3], over[..., 3] = np.array(EDGE_COLOUR) / 255.0, 0.8 * strength / 255.0
            axes.imshow(over, interpolation="nearest", aspect="auto")
        _draw(axes, marks, tints)
        axes.set_xlim(-0.5, real.shape[1] - 0.5)
        axes.set_ylim(real.shape[0] - 0.5, -0.5)
        _letters(axes, letters)
        plate = {"facecolor": "#0B0F14", "edgecolor": "none", "alpha": 0.75, "pad": 4.0}
        if stamp:
            axes.text(
                0.5, 0.91, stamp, transform=axes.transAxes, ha="center", va="top", color=WARNING, fontsize=15,
                weight="bold", bbox=plate,
            )  # fmt: skip
        _text(figure, (left + 8) / wide, (whole - 4) / whole, name, TEXT, bold=True)
    yellow = "#" + bytes(EDGE_COLOUR).hex()
    legend = [("CT's edges", yellow), *((n.replace("_", " "), c) for n, c in tints.items())]
    if any(mark.role is Role.ERROR for mark in marks):
        legend += [("planned way, target", COLOURS[Role.PATH]), ("may lie within, in 95 of 100", COLOURS[Role.ERROR])]
    elif any(mark.role is Role.PATH for mark in marks):
        legend.append(("planned way, target", COLOURS[Role.PATH]))
    at = 12.0
    for words_of, colour in legend:
        _text(figure, at / wide, (strip - 6) / whole, words_of, colour, bold=True)
        at += 7.4 * len(words_of) + 24
    for number, line in enumerate([*warned, *told], start=1):
        colour = WARNING if number <= len(warned) else TEXT
        _text(figure, 12 / wide, (strip - 8 - LINE_PX * number) / whole, line, colour)
    stream = BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": "navplan", "Title": title})
    return stream.getvalue()


def _draw(axes: Any, marks: Sequence[Mark], tints: dict[str, str]) -> None:
    from matplotlib.patheffects import withStroke

    halo = [withStroke(linewidth=2.8, foreground="#0B0F14")]
    for mark in sorted(marks, key=lambda one: one.role is not Role.ERROR):
        columns, rows = zip(*mark.points, strict=True)
        colour = tints[mark.name] if mark.role is Role.OUTLINE else COLOURS[mark.role]
        if mark.role is Role.ERROR:
            axes.plot(columns, rows, color=colour, linewidth=0.8)
            continue
        dashes: Any = (0, (4, 3)) if mark.role is Role.PATH else "-"
        wide = 1.0 if mark.role is Role.OUTLINE else 1.6
        axes.plot(columns, rows, color=colour, linewidth=wide, linestyle=dashes, path_effects=halo)


def _letters(axes: Any, letters: Sequence[str]) -> None:
    places = ((0.02, 0.5, "left", "center"), (0.98, 0.5, "right", "center"), (0.5, 0.98, "center", "top"),
              (0.5, 0.02, "center", "bottom"))  # fmt: skip
    plate = {"facecolor": "#0B0F14", "edgecolor": "none", "alpha": 0.75, "pad": 2.0}
    for (x, y, across, along), letter in zip(places, letters, strict=True):
        axes.text(
            x, y, letter, transform=axes.transAxes, ha=across, va=along, color=TEXT, fontsize=14, weight="bold",
            bbox=plate,
        )  # fmt: skip


def _text(figure: Any, x: float, y: float, words: str, colour: str, bold: bool = False) -> None:
    weight = "bold" if bold else "normal"
    figure.text(x, y, words, color=colour, fontsize=9, va="top", weight=weight).set_parse_math(False)
