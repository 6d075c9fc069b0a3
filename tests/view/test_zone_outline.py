"""The zone in slices: where the plane cuts its ellipsoid, the derated one solid, the whole one dashed."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from navplan.geometry.lines import unit
from navplan.model.acquisition import Acquisition
from navplan.model.safety import Verdict
from navplan.model.volume import Volume
from navplan.planning.ablation_zone import Ellipsoid
from navplan.view.needle_meshes import ZONE_COLOUR
from navplan.view.slices import SlicePlane, axial_plane, slice_picture
from navplan.view.zone_outline import beside_zone, dashes, middle_depth_mm, zone_outline
from tests.planning.scenes import grid_of

part = st.floats(-1.0, 1.0)
vector = st.tuples(part, part, part).filter(lambda v: np.linalg.norm(v) > 0.1)


def planned(direction: Any = (0.0, 1.0, 0.0), along: float = 20.0, across: float = 16.0) -> Any:
    return SimpleNamespace(
        centre_mm=(10.0, -20.0, 30.0), direction=tuple(unit(np.asarray(direction)).tolist()), along_mm=along,
        across_mm=across, whole_along_mm=along / 0.8, whole_across_mm=across / 0.8,
    )  # fmt: skip


def plane_through(point: Any, normal: Any, beside: Any) -> SlicePlane:
    into = unit(np.asarray(normal))
    right = unit(np.cross(into, unit(np.asarray(beside))))
    down = np.cross(into, right)
    return SlicePlane(tuple(np.asarray(point).tolist()), tuple(right.tolist()), tuple(down.tolist()))


@given(vector, vector, vector, vector, st.floats(4.0, 40.0), st.floats(4.0, 40.0), st.booleans())
def test_its_points_lie_on_the_ellipsoid_and_in_the_plane(direction, normal, beside, aside, along, across, whole):
    if np.linalg.norm(np.cross(unit(np.asarray(normal)), unit(np.asarray(beside)))) < 0.1:
        return
    zone = planned(direction, along, across)
    plane = plane_through(np.asarray(zone.centre_mm) + 30.0 * np.asarray(aside), normal, beside)
    factor = 0.8 if whole else 1.0
    shape = Ellipsoid(np.asarray(zone.centre_mm), np.asarray(zone.direction), along / factor, across / factor)
    found = zone_outline(zone, plane, whole)
    away = abs(float((np.asarray(plane.centre_mm) - zone.centre_mm) @ plane.into))
    reach = shape.reach_mm(plane.into)
    if not len(found):
        assert away >= reach - 1e-6
        return
    assert away <= reach
    assert np.abs((found - plane.centre_mm) @ plane.into).max() < 1e-9
    assert np.abs(shape.depth_mm(found)).max() < 1e-5
    assert found[0] == pytest.approx(found[-1], abs=1e-9)


def test_a_size_that_is_not_told_is_not_drawn():
    old = planned()
    old.whole_along_mm = old.whole_across_mm = 0.0  # a plan stored before it was told
    plane = axial_plane(old.centre_mm)
    assert len(zone_outline(old, plane)) and not len(zone_outline(old, plane, whole=True))


def test_dashes_are_equal_and_go_all_around():
    turn = np.linspace(0.0, 2.0 * np.pi, 400)
    pieces = dashes(100.0 * np.stack([np.cos(turn), np.sin(turn)], axis=1), 9.0, 6.0)
    lengths = [np.linalg.norm(np.diff(piece, axis=0), axis=1).sum() for piece in pieces]
    assert len(pieces) == 41 and np.ptp(lengths) < 1e-6 and 9.0 <= lengths[0] < 9.5
    starts = np.asarray([piece[0] for piece in pieces])
    apart = np.linalg.norm(np.roll(starts, -1, axis=0) - starts, axis=1)
    assert np.ptp(apart) < 0.1


def test_the_picture_shows_both_where_they_are():
    grid = grid_of((4.0, 4.0, 4.0))
    volume = Volume(np.full(grid.shape, 40, dtype=np.int16), grid, "CT", "HU", Acquisition())
    zone = planned()
    picture = slice_picture(volume, axial_plane(zone.centre_mm), size=(400, 400), width_mm=100.0, zone=zone)
    cyan = np.argwhere(np.abs(picture.astype(int) - ZONE_COLOUR).max(axis=2) < 60)
    x, y = (cyan[:, 1] - 199.5) * 0.25, (cyan[:, 0] - 199.5) * 0.25  # needle from front to back
    size = np.hypot(y / 20.0, x / 16.0)
    solid, dashed = np.abs(size - 1.0) < 0.05, np.abs(size - 1.25) < 0.05
    assert (solid | dashed).all() and 0.4 * solid.sum() < dashed.sum() < 0.95 * solid.sum()
    far = replace(axial_plane(zone.centre_mm), centre_mm=(10.0, -20.0, 60.0))
    bare = slice_picture(volume, far, size=(400, 400), width_mm=100.0)
    assert (slice_picture(volume, far, size=(400, 400), width_mm=100.0, zone=zone) == bare).all()


def test_rings_that_pass_are_not_drawn_beside_a_zone():
    passing, near = (SimpleNamespace(verdict=verdict) for verdict in (Verdict.PASS, Verdict.WARN))
    findings: Any = (passing, near)
    assert beside_zone(findings, None) == (passing, near) and beside_zone(findings, planned()) == (near,)
    way: Any = SimpleNamespace(entry_mm=(10.0, -80.0, 30.0), direction=np.asarray((0.0, 1.0, 0.0)))
    assert middle_depth_mm(planned(), way) == 60.0
