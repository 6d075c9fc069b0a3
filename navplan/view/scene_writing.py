"""What is written on a scene: labels, headline, orientation, scale, image and what was faded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from navplan.geometry.conventions import orientation_letters
from navplan.geometry.table_angles import table_angles
from navplan.model.plan import Plan, RankedTrajectory
from navplan.model.safety import hit_percent
from navplan.model.trajectory import Trajectory
from navplan.model.volume import Volume
from navplan.view.colours import (
    PANEL,
    QUIET_TEXT,
    TEXT,
    VERDICT_COLOURS,
    VERDICT_WORDS,
    spoken,
)
from navplan.view.fusion_writing import draw_fusion_words, fused_labels, own_lesions
from navplan.view.labels import (
    Box,
    Label,
    draw_badge,
    draw_label,
    draw_leaders,
    draw_plate,
    draw_scale_bar,
    fitting_font,
    font,
    place_labels,
    shortened,
    written,
)
from navplan.view.orientation_figure import orientation_figure
from navplan.view.scene_fusion import carried_legend
from navplan.view.scene_words import LegendRow, PlacedWords, WrittenScene, facts, legend, placed_words

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

    from navplan.view.scene import SceneView

FOR_RESEARCH = "Research and training"


def write_on_scene(view: SceneView, volume: Volume, plan: Plan | None, headline: bool = True) -> NDArray[np.uint8]:
    """The scene's picture with everything that a reader needs."""
    from PIL import Image, ImageDraw

    height, width = view.picture.shape[:2]
    text_px = max(9, round(min(height / 56, width / 72)))
    sheet = Image.fromarray(view.picture).convert("RGB")
    layer = Image.new("RGBA", sheet.size, (0, 0, 0, 0))
    draw = ImageDraw.Draw(layer)
    taken: list[Box] = []
    if headline and view.ranked is not None and plan is not None:
        taken.append(_headline_bar(draw, width, text_px, view.ranked, plan.patient_position))
    figure_px = round(8.5 * text_px)
    figure, letters = orientation_figure(view.camera, figure_px)
    corner = (width - figure_px - text_px, height - figure_px - round(3.2 * text_px))
    taken.append(_orientation(layer, draw, figure, letters, corner, text_px))
    taken += _foot(draw, view, volume, plan, width, height, text_px)
    taken += _side_letters(draw, view, width, height, text_px)
    if view.fused is not None:
        top = taken[0][3] if headline and view.ranked is not None and plan is not None else 0.0
        taken.append(draw_fusion_words(draw, view.fused, top + text_px, text_px))
    told = _written(view, volume, plan)
    rows = (*legend(told), *carried_legend(view.structures, view.shown.names, view.fused))
    if rows:
        taken.append(_legend(draw, rows, height, text_px))
    labels = [*placed_words(told), *_carried_labels(view)]
    if labels:
        _labels(layer, draw, view, labels, taken, text_px)
    sheet.paste(layer, (0, 0), layer)
    return np.asarray(sheet)


def _written(view: SceneView, volume: Volume, plan: Plan | None) -> WrittenScene:
    return WrittenScene(volume, plan, view.ranked, view.nearest, view.structures)


def angle_words(trajectory: Trajectory, patient_position: str) -> tuple[str, str]:
    """In-plane angle and tilt as they are set at the table, in the procedure's position."""
    angles = table_angles(trajectory.entry_mm, trajectory.target_mm, patient_position)
    return angles.in_plane_words, angles.tilt_words


def trajectory_words(ranked: RankedTrajectory, patient_position: str) -> str:
    """Angles, depth, and how often it hits with the guidance that it was judged for, on one line."""
    in_plane, tilt = angle_words(ranked.trajectory, patient_position)
    hit = ranked.report.hit_probability
    hit_words = "chance of a hit not computed"
    if hit is not None:
        hit_words = f"hits in ≥ {hit_percent(hit)} %, {ranked.report.error_model}"
    return f"{in_plane}  ·  {tilt}  ·  skin to target {ranked.trajectory.depth_mm:.0f} mm  ·  {hit_words}"


def pretty(headline: str) -> str:
    """A report's headline with typographic signs."""
    return headline.replace(">=", "≥").replace("<=", "≤").replace(" - ", "  ·  ")


def _headline_bar(
    draw: ImageDraw.ImageDraw, width: int, text_px: int, ranked: RankedTrajectory, patient_position: str
) -> Box:
    tall = 4.6 * text_px
    draw.rectangle((0, 0, width, tall), fill=(*PANEL, 255))
    verdict = ranked.verdict
    draw.rectangle((0, tall - 3, width, tall), fill=(*VERDICT_COLOURS[verdict], 255))
    draw_badge(draw, (2.3 * text_px, tall / 2 - 1), 2.9 * text_px, verdict)
    left = 4.6 * text_px
    big = round(1.35 * text_px)
    word = VERDICT_WORDS[verdict]
    draw.text((left, 0.55 * text_px), word, font=font(big, bold=True), fill=(*VERDICT_COLOURS[verdict], 255))
    after = left + font(big, bold=True).getlength(word) + 1.2 * text_px
    headline = pretty(ranked.report.headline)
    fitted, words = fitting_font(headline, big, width - after - text_px, bold=True, least=0.5)
    line = 0.55 * text_px + 0.6 * big
    draw.text((after, line), words, font=font(fitted, bold=True), fill=(*TEXT, 255), anchor="lm")
    fitted, second = fitting_font(trajectory_words(ranked, patient_position), text_px, width - left - text_px)
    draw.text((left, 2.65 * text_px), second, font=font(fitted), fill=(205, 212, 220, 255))
    return 0.0, 0.0, float(width), tall


def _orientation(
    layer: Image.Image,
    draw: ImageDraw.ImageDraw,
    figure: NDArray[np.uint8],
    letters: dict[str, tuple[float, float, float]],
    corner: tuple[int, int],
    text_px: int,
) -> Box:
    from PIL import Image

    side = figure.shape[0]
    box = (corner[0], corner[1], corner[0] + side, corner[1] + side)
    layer.paste(Image.fromarray(figure).convert("RGBA"), corner)
    draw.rectangle(box, outline=(64, 76, 90, 255))
    for letter, (x, y, facing) in sorted(letters.items(), key=lambda item: item[1][2]):
        colour = TEXT if facing > -0.35 else QUIET_TEXT
        place = (
            corner[0] + min(max(x, 0.6 * text_px), side - 0.6 * text_px),
            corner[1] + min(max(y, 0.7 * text_px), side - 0.7 * text_px),
        )
        written(draw, place, letter, text_px, colour, bold=True, anchor="mm")
    return float(box[0]), float(box[1]), float(box[2]), float(box[3])


def _foot(
    draw: ImageDraw.ImageDraw, view: SceneView, volume: Volume, plan: Plan | None, width: int, height: int, text_px: int
) -> list[Box]:
    told = [*facts(_written(view, volume, plan))]
    if view.faded:
        seen = " and ".join((["the needle"] if view.ranked else []) + (["the image planes"] if view.fused else []))
        told.append(f"faded to show {seen}: " + ", ".join(spoken(name) for name in view.faded))
    line = height - 1.75 * text_px
    draw.rectangle((0, line - 0.45 * text_px, width, height), fill=(*PANEL, 225))
    right = font(text_px, bold=True).getlength(FOR_RESEARCH) + 1.2 * text_px
    draw.text((width - right, line), FOR_RESEARCH, font=font(text_px, bold=True), fill=(*TEXT, 255))
    fitted, words = fitting_font("  ·  ".join(told), text_px, width - right - 3 * text_px, least=0.75)
    draw.text((text_px, line), words, font=font(fitted), fill=(*TEXT, 255))
    bar = draw_scale_bar(
        draw,
        text_px,
        line - 1.3 * text_px,
        view.camera.millimetres_per_pixel(height),
        text_px,
        "at the needle" if view.ranked is not None else "in the middle",
        14 * text_px,
    )
    return [(0.0, line - 0.45 * text_px, float(width), float(height)), bar]


def _side_letters(draw: ImageDraw.ImageDraw, view: SceneView, width: int, height: int, text_px: int) -> list[Box]:
    """The patient's sides at the picture's edges."""
    axes, big = view.camera.axes, round(1.6 * text_px)
    boxes = []
    for direction, x in ((-axes[0], 1.2 * big), (axes[0], width - 1.2 * big)):
        letters = orientation_letters(direction)[:2]
        written(draw, (x, 0.5 * height), letters, big, TEXT, bold=True, anchor="mm")
        boxes.append((x - big, 0.5 * height - big, x + big, 0.5 * height + big))
    return boxes


def _carried_labels(view: SceneView) -> tuple[PlacedWords, ...]:
    if view.fused is None:
        return ()
    return fused_labels(view.fused, 1) if view.ranked is not None else (*own_lesions(view), *fused_labels(view.fused))


def _legend(draw: ImageDraw.ImageDraw, rows: Sequence[LegendRow], height: int, text_px: int) -> Box:
    """What the colours mean, and how many entries each reason rules out."""
    small = round(0.88 * text_px)
    step = 1.45 * small
    bottom = height - 6.6 * text_px
    top = bottom - len(rows) * step - 0.9 * small
    wide = max(font(small).getlength(words) for _, words in rows) + 4.4 * small
    wide = min(wide, 32 * text_px)
    box = (text_px, top, text_px + wide, bottom)
    draw_plate(draw, box, small)
    for number, (colours, words) in enumerate(rows):
        y = top + 0.55 * small + number * step
        for place, colour in enumerate(colours):
            part = 1.8 * small / len(colours)
            left = box[0] + 0.6 * small + place * part
            draw.rectangle((left, y + 0.1 * small, left + part, y + 0.95 * small), fill=(*colour, 255))
        draw.text(
            (box[0] + 3.0 * small, y), shortened(words, small, wide - 3.6 * small), font=font(small), fill=(*TEXT, 255)
        )
    return box


def _labels(
    layer: Image.Image,
    draw: ImageDraw.ImageDraw,
    view: SceneView,
    told: Sequence[PlacedWords],
    taken: list[Box],
    text_px: int,
) -> None:
    way = view.ranked.trajectory if view.ranked is not None else None
    height, width = view.picture.shape[:2]
    size = (width, height)

    def place(point: object) -> tuple[float, float]:
        x, y = view.camera.project(np.asarray(point), size)[0]
        return float(np.clip(x, 8, width - 8)), float(np.clip(y, 8, height - 8))

    labels = []
    for words in told:
        title, detail = words.title, words.detail
        if words.open_item:
            title = shortened(title, text_px, 34 * text_px, bold=True)
            detail = shortened(detail, round(0.86 * text_px), 34 * text_px)
        pointed = words.at_mm is not None
        spot = place(words.at_mm if pointed or way is None else way.point_at_mm(0.0))
        labels.append(Label(spot, title, detail, words.colour, words.verdict, pointed=pointed))
    lines = []
    if way is not None:
        outside = way.point_at_mm(-0.5 * (way.device.length_mm - way.tip_depth_mm))
        ends = view.camera.project([outside, way.swept_end_mm], size)
        lines = [((float(ends[0, 0]), float(ends[0, 1])), (float(ends[1, 0]), float(ends[1, 1])))]
    x, y = labels[0].anchor
    taken.append((x - 2.4 * text_px, y - 2.4 * text_px, x + 2.4 * text_px, y + 2.4 * text_px))  # no plate on the target
    boxes = place_labels(labels, _busy(view.picture), text_px, taken, lines)
    draw_leaders(layer, labels, boxes, text_px)
    for label, box in zip(labels, boxes, strict=True):
        draw_label(draw, box, label, text_px)


def _busy(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(H, W) 0..1: how far a pixel is from the dark ground."""
    return np.clip((picture.max(axis=2).astype(np.float64) - 45.0) / 110.0, 0, 1)
