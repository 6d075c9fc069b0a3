"""A small figure of a person that turns with the camera, with the six letters of the patient's sides."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from navplan.view.camera import Camera
from navplan.view.colours import PANEL
from navplan.view.meshes import PaintedMesh, ball, joined, turned_body
from navplan.view.render import render

_BODY = (176, 186, 198)
_FACE = (232, 196, 160)
LETTERS: dict[str, tuple[float, float, float]] = {
    "L": (1, 0, 0), "R": (-1, 0, 0), "P": (0, 1, 0), "A": (0, -1, 0), "S": (0, 0, 1), "I": (0, 0, -1),
}  # fmt: skip


@lru_cache(maxsize=16)
def _figure() -> PaintedMesh:
    """About 2 units tall, in LPS: the face looks to -y, the head is at +z."""
    parts = [
        _limb((0, 0, -0.05), (0, 0, 0.62), 0.25, 0.30, squash=0.62),
        _limb((0.13, 0, -0.08), (0.15, 0, -0.95), 0.13, 0.08),
        _limb((-0.13, 0, -0.08), (-0.15, 0, -0.95), 0.13, 0.08),
        _limb((0.36, 0, 0.55), (0.50, 0, -0.10), 0.09, 0.065),
        _limb((-0.36, 0, 0.55), (-0.50, 0, -0.10), 0.09, 0.065),
        _limb((0.15, 0, -0.97), (0.16, -0.16, -0.99), 0.07, 0.05),
        _limb((-0.15, 0, -0.97), (-0.16, -0.16, -0.99), 0.07, 0.05),
        ball((0, 0, 0.86), 0.19, _BODY),
        ball((0, -0.085, 0.86), 0.135, _FACE),
        ball((0, -0.22, 0.85), 0.045, _FACE),
    ]
    return joined(parts)


def _limb(
    start: tuple[float, float, float], end: tuple[float, float, float], first: float, last: float, squash: float = 1.0
) -> PaintedMesh:
    """A tapered capsule; squash: of its front-to-back thickness."""
    axis = np.subtract(end, start)
    length = float(np.linalg.norm(axis))
    angle = np.linspace(0, np.pi / 2, 6)
    depths = np.concatenate([-first * np.cos(angle), length + last * np.sin(angle)])
    radii = np.concatenate([first * np.sin(angle), last * np.cos(angle)])
    mesh = turned_body(start, axis / length, depths, radii, _BODY, sides=20)
    along = (mesh.points_mm - np.asarray(start)) @ (axis / length)
    core = np.asarray(start) + np.clip(along, 0, length)[:, None] * (axis / length)
    normals = mesh.points_mm - core
    normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    points = mesh.points_mm * (1.0, squash, 1.0)
    normals = normals * (1.0, 1.0 / squash, 1.0)
    return replace(mesh, points_mm=points, normals=normals / np.linalg.norm(normals, axis=1, keepdims=True))


def orientation_figure(camera: Camera, side_px: int) -> tuple[NDArray[np.uint8], dict[str, tuple[float, float, float]]]:
    """Picture (side, side, 3) on the panel's colour; each letter's x, y px and how it faces the viewer (-1..1)."""
    axes = camera.axes
    own = Camera(tuple((6.3 * axes[2]).tolist()), (0.0, 0.0, 0.0), tuple(axes[1].tolist()), 24.0)
    picture = render(own, (side_px, side_px), solid=[_figure()], ground=(PANEL, PANEL), oversampling=2)
    letters = {}
    for letter, direction in LETTERS.items():
        reach = 1.22 if letter in "SI" else 0.82 if letter in "LR" else 0.62
        x, y = own.project(np.asarray(direction) * reach, (side_px, side_px))[0]
        letters[letter] = (float(x), float(y), float(np.asarray(direction) @ axes[2]))
    return picture, letters
