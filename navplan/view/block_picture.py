"""A picture of a training block: the block seen through, its ways as needles, balls in its pits, their names."""

from __future__ import annotations

from io import BytesIO

import numpy as np

from navplan.imaging.surfaces import Surface
from navplan.model.block import TrainingBlock
from navplan.view.camera import Camera
from navplan.view.colours import NEEDLE, TARGET, TEXT, Colour
from navplan.view.labels import font, written
from navplan.view.meshes import ball, ghost, joined, painted, turned_body
from navplan.view.render import render

SIZE = (1100, 900)
_PLASTIC: Colour = (120, 150, 178)
_BALL: Colour = (236, 196, 92)
_HUB_MM = 25.0  # of needle that is drawn above the block


def block_png(block: TrainingBlock, surface: Surface) -> bytes:
    """PNG of a block and its surface, from above its front and right corner."""
    from PIL import Image, ImageDraw

    size = np.asarray(block.size_mm)
    middle, reach = size / 2.0, float(np.linalg.norm(size))
    sight = np.array([0.75, -1.35, 0.95])
    x, y, z = (middle + sight / np.linalg.norm(sight) * 2.6 * reach).tolist()
    camera = Camera((x, y, z), (middle[0], middle[1], middle[2]), (0.0, 0.0, 1.0))
    needles, targets = [], []
    for way in block.ways:
        radius = max(way.device_mm / 2.0, 0.5)
        start = np.asarray(way.top_mm) - _HUB_MM * way.direction
        deep = way.depth_mm + _HUB_MM
        depths, radii = [0, 0, deep - 3 * radius, deep], [0, radius, radius, 0]
        needles.append(turned_body(start, way.direction, depths, radii, NEEDLE))
        targets.append(ball(way.target_mm, 2.2, TARGET))
    balls = [ball(mark.ball_mm, block.ball_mm / 2.0, _BALL) for mark in block.marks]
    shell = ghost(painted(surface, _PLASTIC), camera.position_mm, 0.22, 0.5)
    seen = render(
        camera, SIZE, solid=[joined(balls), joined(targets)], shiny=[joined(needles)], clear=[shell], oversampling=2.0
    )
    sheet = Image.fromarray(seen)
    draw = ImageDraw.Draw(sheet)
    for mark, (px, py) in zip(block.marks, camera.project(block.balls_mm, SIZE), strict=True):
        written(draw, (px + 14, py - 14), mark.name, 20, TEXT, bold=True, anchor="lm")
    for way, (px, py) in zip(block.ways, camera.project([w.top_mm for w in block.ways], SIZE), strict=True):
        written(draw, (px - 16, py - 26), way.name, 20, TEXT, bold=True, anchor="rm")
    told = (
        f"{size[0]:.0f} x {size[1]:.0f} x {size[2]:.0f} mm  ·  up: {block.letters[4]}, +x: {block.letters[0]},"
        f" +y: {block.letters[2]}  ·  block {block.id}"
    )
    draw.text((18, SIZE[1] - 34), told, font=font(18), fill=TEXT)
    stream = BytesIO()
    sheet.save(stream, format="PNG")
    return stream.getvalue()
