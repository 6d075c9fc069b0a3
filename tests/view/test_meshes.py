"""Meshes without VTK."""

from __future__ import annotations

import numpy as np

from navplan.view.meshes import cutaway


def test_a_cutaway_is_measured_from_the_sight_lines() -> None:
    rng = np.random.default_rng(1)
    points, seen, eye = rng.normal(size=(9000, 3)) * 70, rng.normal(size=(30, 3)) * 25, np.array((400.0, -300.0, 90.0))
    wanted = np.full(len(points), np.inf)
    for place in seen:
        length = np.linalg.norm(place - eye)
        sight = (place - eye) / length
        along = (points - eye) @ sight
        across = np.linalg.norm(points - eye - along[:, None] * sight, axis=1)
        wanted = np.where(along < length - 3.0, np.minimum(wanted, across), wanted)
    alpha = 0.14 + 0.86 * np.clip((wanted - 16.0) / 3.0, 0, 1)
    assert (alpha < 0.2).any() and (alpha > 0.99).any()
    assert np.allclose(cutaway(points, eye, seen), alpha, atol=0.01)


def test_nothing_to_be_seen_cuts_nothing_away() -> None:
    assert (cutaway(np.zeros((4, 3)), (9.0, 0.0, 0.0), np.zeros((0, 3))) == 1).all()
