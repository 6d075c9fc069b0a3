"""The needle's way straightened into a strip: tissues, depths, and the clearance at each depth as an interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError
from navplan.model.anatomy import Tissue, anatomy_of
from navplan.model.plan import RankedTrajectory
from navplan.model.safety import Finding, PathSection, Verdict
from navplan.model.structure import Structure
from navplan.model.trajectory import Trajectory
from navplan.model.volume import Volume
from navplan.view.colours import (
    GROUND_LOW,
    NEEDLE,
    PANEL,
    QUIET_TEXT,
    TARGET,
    TEXT,
    UNLABELLED,
    VERDICT_COLOURS,
    Colour,
    anatomy_colour,
    spoken,
)
from navplan.view.labels import font, shortened, written
from navplan.view.near_structures import nearest_findings
from navplan.view.slices import needle_planes, runs, sample, windowed
from navplan.view.windows import Window

if TYPE_CHECKING:
    from PIL import ImageDraw

BEFORE_MM, BEYOND_MM = 8.0, 6.0
_CT_HALF_MM = 14.0
_TOP_CLEARANCE_MM = 20.0


@dataclass(frozen=True, eq=False)
class ClearanceCurves:
    """Clearance along the way: depths_mm (D,), low_mm and high_mm (D, S) for structures `names`."""

    names: tuple[str, ...]
    depths_mm: NDArray[np.float64]
    low_mm: NDArray[np.float64]
    high_mm: NDArray[np.float64]


def clearance_curves(
    structures: Mapping[str, Structure], trajectory: Trajectory, names: Sequence[str], step_mm: float = 1.0
) -> ClearanceCurves:
    """The clearance of each piece of the swept shaft to structures that are present, by the planner's own margins.

    Raises InputError for a step that is not positive.
    """
    from navplan.planning.boundary import boundary_of
    from navplan.planning.margins import margins

    if not step_mm > 0:
        raise InputError(f"a step of {step_mm} mm", "more than 0 mm")
    known = tuple(name for name in names if name in structures and structures[name].occupancy is not None)
    count = max(1, int(np.ceil(trajectory.swept_depth_mm / step_mm)))
    ends = np.linspace(0.0, trajectory.swept_depth_mm, count + 1)
    points = np.asarray(trajectory.entry_mm) + np.outer(ends, trajectory.direction)
    found = margins([boundary_of(structures[name]) for name in known], points[:-1], points[1:])
    radius = trajectory.device.radius_mm
    return ClearanceCurves(known, 0.5 * (ends[:-1] + ends[1:]), found.low_mm(radius), found.high_mm(radius))


def surface_ticks(path: Sequence[PathSection]) -> list[tuple[float, str]]:
    """Depths (mm) at which the way enters lung ("pleura") or an organ ("capsule"), in order."""
    ticks = []
    before = Tissue.OUTSIDE
    inside_lung = False
    for section in path:
        tissue = anatomy_of(section.structure).tissue
        if tissue is Tissue.LUNG and not inside_lung and before is not Tissue.LESION:
            ticks.append((section.from_mm, "pleura"))
        if tissue is Tissue.ORGAN and before not in (Tissue.ORGAN, Tissue.LESION, Tissue.VESSEL, Tissue.FLUID):
            ticks.append((section.from_mm, f"capsule of {spoken(section.structure)}"))
        inside_lung = tissue is Tissue.LUNG or (inside_lung and tissue in (Tissue.LESION, Tissue.VESSEL, Tissue.AIRWAY))
        before = tissue
    return ticks


def straightened_path(
    volume: Volume,
    structures: Mapping[str, Structure],
    ranked: RankedTrajectory,
    *,
    target: str = "",
    size: tuple[int, int] = (1600, 280),
) -> NDArray[np.uint8]:
    """The strip (H, W, 3) uint8: CT along the needle, the tissues on its way, clearance of the nearest two, depths.

    target: the target structure's name; size: (width, height) px. Raises InputError below 400 x 120 px.
    """
    from PIL import Image, ImageDraw

    if size[0] < 400 or size[1] < 120:
        raise InputError(f"a strip of {size[0]} x {size[1]} px", "at least 400 x 120")
    finer = 2
    width, height = size[0] * finer, size[1] * finer
    text_px = max(9 * finer, round(height / 17))
    way = ranked.trajectory
    sheet = Image.new("RGB", (width, height), GROUND_LOW)
    frame = _Frame(width, height, text_px, way)
    sheet.paste(Image.fromarray(_ct_strip(volume, way, frame)), (round(frame.left), round(frame.ct_top)))
    layer = Image.new("RGBA", sheet.size, (0, 0, 0, 0))
    draw = ImageDraw.Draw(layer)
    _draw_shaft(draw, frame, way)
    _draw_tissues(draw, frame, ranked.report.path, target)
    nearest = nearest_findings(ranked.report)
    names = [finding.structure for finding in nearest if finding.structure in structures]
    _draw_clearance(layer, frame, clearance_curves(structures, way, names), nearest)
    _draw_depths(draw, frame, ranked)
    sheet.paste(layer, (0, 0), layer)
    return np.asarray(sheet.resize(size, Image.Resampling.BOX))


class _Frame:
    """Where things stand in the strip, px."""

    def __init__(self, width: int, height: int, text_px: int, way: Trajectory) -> None:
        self.text_px, self.height = text_px, height
        self.left, self.right = 6.6 * text_px, width - 1.2 * text_px
        self.from_mm, self.to_mm = -BEFORE_MM, max(way.swept_depth_mm, way.depth_mm) + BEYOND_MM
        self.ct_top, self.ct_bottom = 1.7 * text_px, 0.34 * height
        self.band_top, self.band_bottom = self.ct_bottom + 3, self.ct_bottom + 1.7 * text_px
        self.curve_top, self.curve_bottom = self.band_bottom + 0.5 * text_px, height - 2.1 * text_px

    def x(self, depth_mm: float) -> float:
        return self.left + (depth_mm - self.from_mm) / (self.to_mm - self.from_mm) * (self.right - self.left)

    def y(self, clearance_mm: float) -> float:
        share = min(max(clearance_mm, 0.0), _TOP_CLEARANCE_MM) / _TOP_CLEARANCE_MM
        return self.curve_bottom - share * (self.curve_bottom - self.curve_top)


def _ct_strip(volume: Volume, way: Trajectory, frame: _Frame) -> NDArray[np.uint8]:
    plane = needle_planes(way)[0]
    across = np.cross(plane.into, way.direction)
    columns, rows = round(frame.right - frame.left), round(frame.ct_bottom - frame.ct_top)
    depths = np.linspace(frame.from_mm, frame.to_mm, columns)
    aside = np.linspace(-_CT_HALF_MM, _CT_HALF_MM, rows)
    points = np.asarray(way.entry_mm) + depths[None, :, None] * way.direction + aside[:, None, None] * across
    grey = windowed(sample(volume, points), Window.WIDE)
    return np.repeat(grey[..., None], 3, axis=2)


def _draw_shaft(draw: ImageDraw.ImageDraw, frame: _Frame, way: Trajectory) -> None:
    middle = 0.5 * (frame.ct_top + frame.ct_bottom)
    start, tip, end = frame.x(frame.from_mm), frame.x(way.tip_depth_mm), frame.x(way.swept_depth_mm)
    draw.line([(start, middle), (tip, middle)], fill=(0, 0, 0, 200), width=9)
    draw.line([(start, middle), (tip, middle)], fill=(*NEEDLE, 255), width=5)
    draw.line([(tip, middle), (end, middle)], fill=(255, 190, 236, 255), width=3)
    for depth in np.arange(0.0, way.tip_depth_mm, 10.0):
        draw.line([(frame.x(depth), middle - 9), (frame.x(depth), middle + 9)], fill=(*NEEDLE, 255), width=3)


def _draw_tissues(draw: ImageDraw.ImageDraw, frame: _Frame, path: Sequence[PathSection], target: str) -> None:
    text_px = round(0.9 * frame.text_px)
    for section in path:
        left, right = frame.x(section.from_mm), frame.x(section.to_mm)
        colour: Colour = UNLABELLED if section.structure == "unlabelled" else anatomy_colour(section.structure)
        colour = TARGET if section.structure == target else colour
        draw.rectangle((left, frame.band_top, right, frame.band_bottom), fill=(*colour, 255), outline=(10, 14, 18, 255))
        words = spoken(section.structure) if section.structure != "unlabelled" else "no label"
        words = shortened(words, text_px, right - left - text_px)
        if len(words) > 2:
            place = (0.5 * (left + right), 0.5 * (frame.band_top + frame.band_bottom))
            draw.text(place, words, font=font(text_px, bold=True), fill=(10, 14, 18, 255), anchor="mm")
    draw.text((0.4 * frame.text_px, frame.band_top), "tissue", font=font(text_px), fill=(*QUIET_TEXT, 255))


def _draw_clearance(layer: object, frame: _Frame, curves: ClearanceCurves, nearest: Sequence[Finding]) -> None:
    """A band from the lower to the upper end for each structure, the limit dashed, the smallest lower end marked."""
    from PIL import Image, ImageDraw

    assert isinstance(layer, Image.Image)
    draw = ImageDraw.Draw(layer)
    text_px = round(0.85 * frame.text_px)
    for clearance in (0.0, 10.0, 20.0):
        draw.line(
            [(frame.left, frame.y(clearance)), (frame.right, frame.y(clearance))], fill=(60, 70, 82, 255), width=2
        )
        place = (frame.left - 0.5 * text_px, frame.y(clearance))
        draw.text(place, f"{clearance:g} mm", font=font(text_px), fill=(*QUIET_TEXT, 255), anchor="rm")
    draw.text((0.4 * frame.text_px, frame.y(15.5)), "clearance", font=font(text_px), fill=(*QUIET_TEXT, 255))
    styles = {finding.structure: finding for finding in nearest}
    tags: list[tuple[float, float, str, Colour]] = []
    for column, name in enumerate(curves.names):
        finding = styles[name]
        colour = _curve_colour(name, column)
        x = [frame.x(depth) for depth in curves.depths_mm]
        low = [frame.y(value) for value in curves.low_mm[:, column]]
        high = [frame.y(value) for value in curves.high_mm[:, column]]
        band = Image.new("RGBA", layer.size, (0, 0, 0, 0))
        ImageDraw.Draw(band).polygon(
            [*zip(x, high, strict=True), *zip(x[::-1], low[::-1], strict=True)], fill=(*colour, 70)
        )
        layer.alpha_composite(band)
        for values, y, alpha, width in ((curves.low_mm, low, 255, 5), (curves.high_mm, high, 140, 2)):
            inside = values[:, column] < _TOP_CLEARANCE_MM
            for first, last in runs(inside):
                line = [*zip(x, y, strict=True)][max(0, first - 1) : last + 2]
                draw.line(line, fill=(*colour, alpha), width=width, joint="curve")
        if finding.required_mm is not None:
            _dashed(
                draw,
                frame.x(0),
                frame.x(curves.depths_mm[-1]),
                frame.y(finding.required_mm),
                VERDICT_COLOURS[Verdict.FAIL],
            )
        worst = int(np.argmin(curves.low_mm[:, column]))
        tags.append((x[worst], low[worst], f"{spoken(name)}  {finding.distance}", VERDICT_COLOURS[finding.verdict]))
    _tag(draw, frame, tags, text_px)


def _tag(
    draw: ImageDraw.ImageDraw, frame: _Frame, tags: Sequence[tuple[float, float, str, Colour]], text_px: int
) -> None:
    """A dot at each smallest lower end and its words beside it, left and right in turn so that they keep apart."""
    for number, (x, y, words, colour) in enumerate(sorted(tags)):
        draw.ellipse((x - 9, y - 9, x + 9, y + 9), fill=(*colour, 255), outline=(0, 0, 0, 255), width=2)
        length = font(text_px, bold=True).getlength(words)
        to_left = x + length + text_px > frame.right or (
            number == 0 and len(tags) > 1 and x - length - text_px > frame.left
        )
        y = min(y, frame.curve_bottom - 0.75 * text_px)
        place = (x - 0.9 * text_px, y) if to_left else (x + 0.9 * text_px, y)
        first = place[0] - length if to_left else place[0]
        plate = (first - 0.3 * text_px, y - 0.7 * text_px, first + length + 0.3 * text_px, y + 0.7 * text_px)
        draw.rectangle(plate, fill=(*PANEL, 225))
        written(draw, place, words, text_px, TEXT, bold=True, anchor="rm" if to_left else "lm")


def _curve_colour(name: str, number: int) -> Colour:
    """The anatomy's colour, lighter or darker in turn: the two nearest are often two ribs."""
    base = anatomy_colour(name)
    return base if number == 0 else (round(0.62 * base[0]), round(0.72 * base[1]), min(255, round(0.9 * base[2]) + 70))


def _dashed(draw: ImageDraw.ImageDraw, left: float, right: float, y: float, colour: Colour) -> None:
    for start in np.arange(left, right, 22.0):
        draw.line([(float(start), y), (float(min(start + 12, right)), y)], fill=(*colour, 230), width=3)


def _draw_depths(draw: ImageDraw.ImageDraw, frame: _Frame, ranked: RankedTrajectory) -> None:
    way, text_px = ranked.trajectory, round(0.85 * frame.text_px)
    for depth in np.arange(0.0, frame.to_mm, 10.0):
        x = frame.x(float(depth))
        draw.line([(x, frame.curve_bottom), (x, frame.curve_bottom + 8)], fill=(*TEXT, 255), width=2)
        if float(np.abs(depth - way.depth_mm)) > 4:
            place = (x, frame.curve_bottom + 0.3 * text_px)
            draw.text(place, f"{depth:g}", font=font(text_px), fill=(*QUIET_TEXT, 255), anchor="ma")
    words, small = "depth below the skin, mm", font(round(0.8 * text_px))
    draw.text((0.4 * frame.text_px, frame.height - 1.2 * text_px), words, font=small, fill=(*QUIET_TEXT, 255))
    marks = [(0.0, "skin", NEEDLE), *((depth, words, TEXT) for depth, words in surface_ticks(ranked.report.path))]
    marks.append((way.tip_depth_mm, "tip", NEEDLE))
    if abs(way.depth_mm - way.tip_depth_mm) > 0.5:
        marks.append((way.depth_mm, "target", TARGET))
    if way.device.throw_mm > 0:
        marks.append((way.swept_depth_mm, "throw ends", (255, 190, 236)))
    last = -np.inf
    for depth, name, colour in sorted(marks):
        x = frame.x(depth)
        draw.line([(x, frame.ct_top - 4), (x, frame.curve_bottom)], fill=(*colour, 150), width=2)
        text = f"{name} {depth:.0f}" if name != "skin" else name
        half = 0.5 * font(text_px, bold=True).getlength(text)
        centre = max(x, last + half + 0.5 * text_px)
        written(draw, (centre, 0.25 * text_px), text, text_px, colour, bold=True, anchor="ma")
        last = centre + half
