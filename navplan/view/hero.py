"""The hero still: scene, slices, fluoroscopy and straightened path of one trajectory on one sheet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError
from navplan.model.anatomy import Tissue, anatomy_of
from navplan.model.case import Case
from navplan.model.plan import Plan, RankedTrajectory
from navplan.model.safety import hit_percent
from navplan.view.camera import Camera
from navplan.view.colours import GROUND_LOW, PANEL, QUIET_TEXT, TEXT, VERDICT_COLOURS, VERDICT_WORDS
from navplan.view.labels import draw_badge, fitting_font, font
from navplan.view.near_structures import nearest_findings
from navplan.view.scene import draw_scene, no_such_trajectory
from navplan.view.scene_writing import FOR_RESEARCH, angle_words, pretty
from navplan.view.slices import needle_planes, slice_picture
from navplan.view.straightened_path import straightened_path
from navplan.view.windows import Window
from navplan.view.zone_outline import beside_zone, middle_depth_mm

if TYPE_CHECKING:
    from PIL import ImageDraw

_GAP_PX = 6


def compose_hero(
    case: Case,
    plan: Plan,
    trajectory: int = 0,
    *,
    fluoroscopy: NDArray[np.uint8],
    fluoroscopy_words: tuple[str, ...] = (),
    size: tuple[int, int] = (1920, 1200),
    camera: Camera | None = None,
    image_id: str = "",
) -> NDArray[np.uint8]:
    """The sheet: (height, width, 3) uint8.

    fluoroscopy: (H, W) or (H, W, 3) uint8, the view down the needle, with its own marks; fluoroscopy_words: lines
    below it (its angles, what to beware of); size: (width, height) px.

    Raises InputError for a sheet below 960 x 600, fluoroscopy of another kind, or a trajectory that is not there.
    """
    from PIL import Image, ImageDraw

    if size[0] < 960 or size[1] < 600:
        raise InputError(f"a sheet of {size[0]} x {size[1]} px", "at least 960 x 600")
    if fluoroscopy.dtype != np.uint8 or fluoroscopy.ndim not in (2, 3):
        raise InputError(f"fluoroscopy of {fluoroscopy.dtype} {fluoroscopy.shape}", "uint8, (H, W) or (H, W, 3)")
    if not 0 <= trajectory < len(plan.trajectories):
        raise no_such_trajectory(plan, trajectory)
    image_id, volume = case.image(image_id or plan.provenance.image_id)
    structures = case.structures_of(image_id)
    ranked = plan.trajectories[trajectory]
    width, height = size
    top, bottom = round(0.088 * height), round(0.215 * height)
    middle = height - top - bottom - 2 * _GAP_PX
    left = round(0.60 * width)
    right = width - left - _GAP_PX
    upper = round(0.50 * middle)
    lower = middle - upper - _GAP_PX
    half = (right - _GAP_PX) // 2

    sheet = Image.new("RGB", size, GROUND_LOW)
    scene = draw_scene(case, plan, trajectory, size=(left, middle), camera=camera, image_id=image_id, headline=False)
    sheet.paste(Image.fromarray(scene), (0, top + _GAP_PX))

    nearest = nearest_findings(ranked.report)
    deepest = nearest[0].at_depth_mm if nearest and nearest[0].at_depth_mm is not None else None
    zone = ranked.report.ablation
    if zone is not None:
        deepest = middle_depth_mm(zone, ranked.trajectory)
    along, _, across = needle_planes(ranked.trajectory, deepest)
    window = _window(ranked)
    text_px = max(9, round(height / 66))
    shown: dict[str, Any] = {
        "trajectory": ranked.trajectory,
        "findings": beside_zone(nearest, zone),
        "target": plan.target.structure,
        "text_px": text_px,
        "zone": zone,
    }
    wide = max(110.0, 1.9 * ranked.trajectory.depth_mm) * right / upper
    place = (left + _GAP_PX, top + _GAP_PX)
    picture = slice_picture(volume, along, structures, size=(right, upper), width_mm=wide, window=window, **shown)
    sheet.paste(Image.fromarray(picture), place)
    picture = slice_picture(volume, across, structures, size=(half, lower), width_mm=80.0, window=window, **shown)
    sheet.paste(Image.fromarray(picture), (place[0], place[1] + upper + _GAP_PX))
    shot = _fluoroscopy_panel(fluoroscopy, fluoroscopy_words, (right - half - _GAP_PX, lower), text_px)
    sheet.paste(Image.fromarray(shot), (place[0] + half + _GAP_PX, place[1] + upper + _GAP_PX))

    strip = straightened_path(volume, structures, ranked, target=plan.target.structure, size=(width, bottom))
    sheet.paste(Image.fromarray(strip), (0, height - bottom))
    _headline(ImageDraw.Draw(sheet, "RGBA"), size, top, plan, ranked)
    return np.asarray(sheet)


def _window(ranked: RankedTrajectory) -> Window:
    """A window in which lung and soft tissue both show where the way crosses lung, else soft tissue."""
    crosses = any(anatomy_of(section.structure).tissue is Tissue.LUNG for section in ranked.report.path)
    return Window.WIDE if crosses else Window.SOFT_TISSUE


def _fluoroscopy_panel(
    picture: NDArray[np.uint8], lines: tuple[str, ...], size: tuple[int, int], text_px: int
) -> NDArray[np.uint8]:
    """The whole picture, as large as fits above its lines, on black."""
    from PIL import Image, ImageDraw

    panel = Image.new("RGB", size, (0, 0, 0))
    below = round(1.45 * text_px * len(lines) + 0.6 * text_px) if lines else 0
    colour = Image.fromarray(picture).convert("RGB")
    share = min(size[0] / colour.width, (size[1] - below) / colour.height)
    shape = (max(1, round(colour.width * share)), max(1, round(colour.height * share)))
    panel.paste(colour.resize(shape, Image.Resampling.LANCZOS), ((size[0] - shape[0]) // 2, 0))
    draw = ImageDraw.Draw(panel)
    for number, words in enumerate(lines):
        fitted, text = fitting_font(words, text_px, size[0] - text_px, bold=number == 0, least=0.75)
        place = (0.5 * text_px, shape[1] + 0.4 * text_px + 1.45 * text_px * number)
        draw.text(place, text, font=font(fitted, bold=number == 0), fill=TEXT)
    return np.asarray(panel)


def _hit_words(ranked: RankedTrajectory) -> str:
    """The chance of a hit is a lower bound: of the largest ball about the point aimed at that fits into the target."""
    if ranked.report.hit_probability is None:
        return "hits: not computed"
    return f"hits, {ranked.report.error_model or 'guidance not known'}"


def _headline(
    draw: ImageDraw.ImageDraw, size: tuple[int, int], tall: int, plan: Plan, ranked: RankedTrajectory
) -> None:
    width = size[0]
    verdict, way, hit = ranked.verdict, ranked.trajectory, ranked.report.hit_probability
    draw.rectangle((0, 0, width, tall), fill=(*PANEL, 255))
    draw.rectangle((0, tall - 3, width, tall), fill=(*VERDICT_COLOURS[verdict], 255))
    draw_badge(draw, (0.55 * tall, 0.5 * tall - 1), 0.68 * tall, verdict)
    big, small = round(0.29 * tall), round(0.19 * tall)
    left = 1.1 * tall
    word = VERDICT_WORDS[verdict]
    draw.text((left, 0.14 * tall), word, font=font(big, bold=True), fill=(*VERDICT_COLOURS[verdict], 255))
    after = left + font(big, bold=True).getlength(word) + 0.25 * tall
    in_plane, cranio_caudal = angle_words(way, plan.patient_position)
    facts = [
        (f"{way.depth_mm:.0f} mm", "skin to target"),
        ("?" if hit is None else f"≥ {hit_percent(hit)} %", _hit_words(ranked)),
    ]
    right = float(width - 0.25 * tall)
    for value, words in reversed(facts):
        wide = max(font(big, bold=True).getlength(value), font(small).getlength(words))
        draw.text((right - wide, 0.14 * tall), value, font=font(big, bold=True), fill=(*TEXT, 255))
        draw.text((right - wide, 0.58 * tall), words, font=font(small), fill=(*QUIET_TEXT, 255))
        right -= wide + 0.35 * tall
    fitted, words = fitting_font(pretty(ranked.report.headline), big, right - after, bold=True, least=0.5)
    draw.text((after, 0.14 * tall + 0.6 * big), words, font=font(fitted, bold=True), fill=(*TEXT, 255), anchor="lm")
    parts = [plan.protocol.title, way.device.name, in_plane, cranio_caudal]
    fitted, second = fitting_font("  ·  ".join([*parts, FOR_RESEARCH.lower()]), small, right - left)
    draw.text((left, 0.58 * tall), second, font=font(fitted), fill=(205, 212, 220, 255))
