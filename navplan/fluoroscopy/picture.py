"""A shot as a picture with its marks and words, for people."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from navplan.fluoroscopy.overlay import Place, Role
from navplan.fluoroscopy.shot import FluoroShot

COLOURS = {Role.TARGET: "#E66BD3", Role.NEEDLE: "#F4F8FF", Role.TIP: "#F4F8FF", Role.SCALE: "#F4F8FF"}
GROUND, TEXT, WARNING = "#18202A", "#E8EDF2", "#E69F00"
PIXELS_WIDE = 1024


def _draw_over(axes: Any, shot: FluoroShot) -> None:
    from matplotlib.patheffects import withStroke

    overlay, detector = shot.overlay, shot.image.detector
    halo = [withStroke(linewidth=3.2, foreground="#0B0F14")]
    for mark in overlay.marks:
        columns, rows = zip(*mark.points, strict=True)
        width = 1.0 if mark.role is Role.NEEDLE else 1.6
        axes.plot(columns, rows, color=COLOURS[mark.role], linewidth=width, path_effects=halo)
    if shot.image.cut.any():
        from scipy.ndimage import median_filter

        cut = median_filter(shot.image.cut.astype("uint8"), size=9)  # without specks
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
        0.04 * detector.cols, 0.94 * detector.rows, overlay.scale_words, color=TEXT, fontsize=9, va="bottom", bbox=plate
    )
    axes.set_xlim(-0.5, detector.cols - 0.5)
    axes.set_ylim(detector.rows - 0.5, -0.5)


def shot_figure(shot: FluoroShot) -> Any:
    """A matplotlib Figure: the image above, its words below; no window is opened."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    detector, overlay = shot.image.detector, shot.overlay
    tall = round(PIXELS_WIDE * detector.rows / detector.cols)
    warnings = [f"! {words}" for words in overlay.warnings]
    lines = [*warnings, *overlay.lines]
    strip = 22 * len(lines) + 16
    figure = Figure(figsize=(PIXELS_WIDE / 100, (tall + strip) / 100), dpi=100, facecolor=GROUND)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, strip / (tall + strip), 1.0, tall / (tall + strip)))
    axes.set_axis_off()
    axes.imshow(shot.pixels, cmap="gray", vmin=0, vmax=255, interpolation="bilinear", aspect="auto")
    _draw_over(axes, shot)
    for number, words in enumerate(lines):
        height = (strip - 8 - 22 * number) / (tall + strip)
        colour = WARNING if number < len(warnings) else TEXT
        bold = "bold" if number == len(warnings) else "normal"
        figure.text(0.012, height, words, color=colour, fontsize=9, va="top", weight=bold)
    return figure


def shot_png(shot: FluoroShot) -> bytes:
    """A PNG file of a shot with its marks and words."""
    stream = BytesIO()
    shot_figure(shot).savefig(
        stream, format="png", metadata={"Software": "navplan", "Title": f"Simulated {shot.words}"}
    )
    return stream.getvalue()
