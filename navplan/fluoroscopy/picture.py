"""A shot as a picture with its marks and words, for people."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from textwrap import wrap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from navplan.fluoroscopy.overlay import Overlay, Place, Role
from navplan.fluoroscopy.shot import FluoroShot

COLOURS = {
    Role.TARGET: "#E66BD3", Role.NEEDLE: "#F4F8FF", Role.TIP: "#F4F8FF", Role.SCALE: "#F4F8FF", Role.PATH: "#E66BD3",
    Role.ERROR: "#F4F8FF",
}  # fmt: skip
OUTLINE_COLOURS = ("#56B4E9", "#F0E442", "#009E73", "#CC79A7", "#D55E00", "#B8C7FF")  # Okabe and Ito's, lightened
GROUND, TEXT, WARNING = "#18202A", "#E8EDF2", "#E69F00"
PIXELS_WIDE, LINE_PX, GAP_PX = 1024, 22, 8
LINE_LETTERS = 135  # that fit in a line of words


def outlined(overlay: Overlay) -> dict[str, str]:
    """Names of the structures whose outlines are drawn, and a colour for each."""
    names = dict.fromkeys(mark.name for mark in overlay.marks if mark.role is Role.OUTLINE)
    return {name: OUTLINE_COLOURS[number % len(OUTLINE_COLOURS)] for number, name in enumerate(names)}


def _draw_over(axes: Any, shot: FluoroShot) -> None:
    from matplotlib.patheffects import withStroke

    overlay, detector = shot.overlay, shot.image.detector
    halo = [withStroke(linewidth=3.2, foreground="#0B0F14")]
    names = outlined(overlay)
    for mark in overlay.marks:
        columns, rows = zip(*mark.points, strict=True)
        width = 1.0 if mark.role in (Role.NEEDLE, Role.OUTLINE) else 1.6
        colour = names[mark.name] if mark.role is Role.OUTLINE else COLOURS[mark.role]
        dashes = (0, (4, 3)) if mark.role is Role.PATH and len(columns) == 2 else "-"
        axes.plot(columns, rows, color=colour, linewidth=width, linestyle=dashes, path_effects=halo)
    missed = shot.image.cut & shot.image.shown
    if missed.any():
        from scipy.ndimage import median_filter

        cut = median_filter(missed.astype("uint8"), size=9)  # without specks
        axes.contour(cut, levels=[0.5], colors=[WARNING], linewidths=0.8, linestyles="dashed")
    places = {
        Place.LEFT: (0.02, 0.5, "left", "center"), Place.RIGHT: (0.98, 0.5, "right", "center"),
        Place.TOP: (0.5, 0.98, "center", "top"), Place.BOTTOM: (0.5, 0.02, "center", "bottom"),
    }  # fmt: skip
    plate = {"facecolor": "#0B0F14", "edgecolor": "none", "alpha": 0.75, "pad": 3.0}
    for place, (x, y, across, along) in places.items():
        letters = overlay.sides[place]
        size = 20 if place in (Place.LEFT, Place.RIGHT) else 13
        axes.text(
            x, y, letters, transform=axes.transAxes, ha=across, va=along, color=TEXT, fontsize=size, weight="bold",
            bbox=plate,
        )  # fmt: skip
    axes.text(
        0.04 * detector.cols, 0.94 * detector.rows, overlay.scale_words, color=TEXT, fontsize=9, va="bottom",
        bbox=plate,

    )
    for number, (name, colour) in enumerate(names.items()):
        axes.text(
            0.98, 0.94 - 0.028 * number, name.replace("_", " "), transform=axes.transAxes, ha="right", va="top",
            color=colour, fontsize=9, bbox=plate,
        )  # fmt: skip
    if overlay.marker[1] is Place.DETECTOR:
        axes.text(0.02, 0.94, overlay.marker[0], transform=axes.transAxes, va="top", color=TEXT, fontsize=20,
                  weight="bold", bbox=plate)  # fmt: skip
        axes.text(0.06, 0.935, "side at the detector", transform=axes.transAxes, va="top", color=TEXT, fontsize=9,
                  bbox=plate)  # fmt: skip
    axes.set_xlim(-0.5, detector.cols - 0.5)
    axes.set_ylim(detector.rows - 0.5, -0.5)


def shot_figure(shot: FluoroShot, room: int = 0) -> Any:
    """A matplotlib Figure: the image above, its words below; no window is opened. room: for just so many lines, for
    pictures that must be of one size; what does not fit goes, but for the last line."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    detector, overlay = shot.image.detector, shot.overlay
    tall = round(PIXELS_WIDE * detector.rows / detector.cols)
    warnings = [line for words in overlay.warnings for line in wrap(f"! {words}", LINE_LETTERS)]
    told = [line for words in overlay.lines for line in wrap(words, LINE_LETTERS, replace_whitespace=False)]
    lines = [*warnings, *told]
    if room and len(lines) > room:
        lines = [*lines[: room - 2], "...", lines[-1]]
    strip = LINE_PX * (room or len(lines)) + 16
    figure = Figure(figsize=(PIXELS_WIDE / 100, (tall + strip) / 100), dpi=100, facecolor=GROUND)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, strip / (tall + strip), 1.0, tall / (tall + strip)))
    axes.set_axis_off()
    axes.imshow(shot.pixels, cmap="gray", vmin=0, vmax=255, interpolation="bilinear", aspect="auto")
    _draw_over(axes, shot)
    for number, words in enumerate(lines):
        height = (strip - 8 - LINE_PX * number) / (tall + strip)
        colour = WARNING if number < len(warnings) else TEXT
        bold = "bold" if number == len(warnings) else "normal"
        figure.text(0.012, height, words, color=colour, fontsize=9, va="top", weight=bold)
    for text in figure.findobj(Text):
        text.set_parse_math(False)  # a $ in a name is a $
    return figure


def shot_picture(shot: FluoroShot, room: int = 0) -> NDArray[np.uint8]:
    """(height, width, 3): a shot with its marks and words, both sides of even length."""
    figure = shot_figure(shot, room)
    figure.canvas.draw()
    drawn = np.asarray(figure.canvas.buffer_rgba())[..., :3]
    return np.pad(drawn, [(0, drawn.shape[0] % 2), (0, drawn.shape[1] % 2), (0, 0)], mode="edge")


def shot_png(shot: FluoroShot) -> bytes:
    """A PNG file of a shot with its marks and words."""
    stream = BytesIO()
    shot_figure(shot).savefig(
        stream, format="png", metadata={"Software": "navplan", "Title": f"Simulated {shot.words}"}
    )
    return stream.getvalue()


def side_by_side_png(pictures: Sequence[NDArray[np.uint8]]) -> bytes:
    """A PNG file of pictures (height, width, 3), tops level."""
    from PIL import Image

    tall, wide = max(picture.shape[0] for picture in pictures), sum(picture.shape[1] for picture in pictures)
    whole = Image.new("RGB", (wide + GAP_PX * (len(pictures) - 1), tall), GROUND)
    left = 0
    for picture in pictures:
        whole.paste(Image.fromarray(picture), (left, 0))
        left += picture.shape[1] + GAP_PX
    stream = BytesIO()
    whole.save(stream, format="png")
    return stream.getvalue()


def real_picture(pixels: NDArray[np.uint8], words: Sequence[str]) -> NDArray[np.uint8]:
    """(height, width, 3): a real image (rows, cols) as wide as a shot's picture, its words below."""
    from PIL import Image, ImageDraw, ImageFont

    tall = round(PIXELS_WIDE * pixels.shape[0] / pixels.shape[1])
    whole = Image.new("RGB", (PIXELS_WIDE, tall + LINE_PX * len(words) + 16), GROUND)
    whole.paste(Image.fromarray(pixels).resize((PIXELS_WIDE, tall), Image.Resampling.BILINEAR), (0, 0))
    draw, font = ImageDraw.Draw(whole), ImageFont.load_default(13)
    for number, line in enumerate(words):
        draw.text((12, tall + 8 + LINE_PX * number), line, fill=TEXT, font=font)
    return np.asarray(whole, dtype=np.uint8)
