"""A scene that is kept: one off-screen window, whose camera, needle, skin map and colours change at little cost.

It knows the case's image and structures, a way and its report, and no window, no person, no session. Each picture is
asked for with its own camera.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.errors import InputError
from navplan.model.device import Device
from navplan.model.plan import Plan, RankedTrajectory, SkinMap
from navplan.model.safety import Finding, PlannedMargin
from navplan.model.structure import Structure
from navplan.model.trajectory import SHORTEST_MM, Trajectory
from navplan.model.volume import Volume
from navplan.view.camera import Camera
from navplan.view.colours import Colour
from navplan.view.live_anatomy import LiveAnatomy
from navplan.view.live_fusion import LiveFusion
from navplan.view.live_marks import LiveMarks
from navplan.view.live_needle import LiveNeedle
from navplan.view.live_skin import LiveSkin
from navplan.view.near_structures import (
    ShownStructures,
    choose_structures,
    deciding_structures,
    nearest_findings,
)
from navplan.view.render import PEELS, SceneWindow
from navplan.view.scene import anatomy_camera, camera_at
from navplan.view.scene_fusion import FusedScene

SKIN, PLANE = "skin", "image_plane"
LEAST_PX, MOST_PX = 64, 4096
_FAR_MM = 1e4
# While moving, the same parts stay faded until the camera has moved by a share of its distance, or the needle by more.
_NEARLY, _NEARLY_MM = 0.055, 3.0
_FEWER_SEEN = 3  # while moving, of the points that must be seen


@dataclass(frozen=True)
class _Way:
    """The way that is drawn, what it was planned with, and nearest dangers and zone as they were judged for it."""

    plan: Plan
    trajectory: Trajectory
    nearest: tuple[Finding, ...]
    zone: PlannedMargin | None = None


class LiveScene:
    """Anatomy, one way, the painted skin, marks. Nothing is drawn before `show_anatomy`.

    Every method but `picture`, `pick` and `default_camera` sets a part of what is shown as a whole: called again, it
    takes the place of what it set before.
    """

    def __init__(self) -> None:
        self._window = window = SceneWindow()
        self._anatomy, self._skin = LiveAnatomy(window), LiveSkin(window)
        self._needle, self._marks = LiveNeedle(window), LiveMarks(window)
        self._fusion = LiveFusion(window)
        self._volume: Volume | None = None
        self._shown = ShownStructures("", (), (), {}, "")
        self._way: _Way | None = None
        self._hurried = False  # some surfaces are coarser than they would be
        self._hidden: frozenset[str] = frozenset()
        self._colours: dict[str, Colour] = {}
        self._looked_from: dict[LiveAnatomy | LiveSkin, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
        self._default: tuple[float, Camera] | None = None  # for pictures of this aspect

    @property
    def shown(self) -> ShownStructures:
        """Which structures are drawn, by role; hidden ones too."""
        return self._shown

    @property
    def faded(self) -> tuple[str, ...]:
        """Names of structures that are partly faded to show the needle, in the last picture."""
        return self._anatomy.faded

    @property
    def triangles(self) -> int:
        """How many anatomy and skin are drawn with."""
        return self._anatomy.triangles + self._skin.triangles

    def show_anatomy(self, volume: Volume, structures: Mapping[str, Structure]) -> ShownStructures:
        """Draw the structures of an image, without a way; hidden names, colours and marks are as new."""
        self._volume, self._way, self._hidden, self._colours = volume, None, frozenset(), {}
        with ThreadPoolExecutor(1) as beside:
            skin = beside.submit(self._skin.open, volume, structures)
            self._anatomy.open(volume, structures)
            skin.result()
        self.show_carm(None)
        self.show_cursor(None)
        self.show_fused(None)
        return self.show_way(None)

    def show_way(
        self, plan: Plan | None, ranked: RankedTrajectory | None = None, moving: bool = False
    ) -> ShownStructures:
        """Draw a way of a plan, or None for the anatomy alone; gives what is shown with it.

        The skin is painted with the plan's map. moving: structures stay as they are, but for those that decide now, and
        so does the skin: for a way that follows a person's hand.
        """
        if self._volume is None:
            raise InputError("a way without anatomy", "show_anatomy first")
        before, structures = self._way, self._anatomy.structures
        if plan is None or ranked is None:
            self._way, shown = None, choose_structures(structures, None, None, "")
            self.paint_skin_map(None)
        else:
            way, target = ranked.trajectory, plan.target.structure
            self._way = _Way(plan, way, nearest_findings(ranked.report), ranked.report.ablation)
            if moving and before is not None and self._shown.target == target:
                shown = _with_deciding(self._shown, deciding_structures(ranked.report, structures, target))
            else:
                shown = choose_structures(structures, way, ranked.report, target)
            if not moving or before is None:
                self.paint_skin_map(plan.skin_map)
        if shown != self._shown or before is None or self._way is None or (self._hurried and not moving):
            self._shown, self._hurried = shown, moving and before is not None
            self._show_structures()
        self._way_changed()
        return shown

    def move_needle(
        self,
        entry_mm: ArrayLike,
        target_mm: ArrayLike,
        tip_short_of_target_mm: float | None = None,
        device: Device | None = None,
    ) -> None:
        """Put the needle elsewhere while a person drags it; None: as far short of the target, the device, as before.

        What was found out for the way before is not shown on the new one: the lines to its nearest dangers go, and its
        ablation zone.
        Raises InputError where no way is shown, GeometryError for a way that makes no sense.
        """
        if self._way is None:
            raise InputError("a needle to be moved where none is shown", "show_way first")
        old, device = self._way.trajectory, device or self._way.trajectory.device
        entry, target = (tuple(np.asarray(place, dtype=np.float64).tolist()) for place in (entry_mm, target_mm))
        short = tip_short_of_target_mm
        if short is None:
            room = float(np.linalg.norm(np.subtract(target, entry))) - SHORTEST_MM
            short = min(old.tip_short_of_target_mm, max(room, 0.0))
        moved = Trajectory(entry, target, device, short)
        self._way = replace(self._way, trajectory=moved, nearest=(), zone=None)
        self._way_changed()

    def paint_skin_map(self, skin_map: SkinMap | None) -> None:
        """Paint the skin with a map of entries, or None to leave it bare, until the next `show_way`."""
        self._skin.paint(skin_map)
        self._looked_from.pop(self._skin, None)

    def set_hidden(self, names: Iterable[str]) -> tuple[str, ...]:
        """Hide structures ("skin": the skin) and show all others; gives the names that stay because a verdict hangs on
        them, or the way aims at them. Those hide by themselves once it no longer does."""
        self._hidden = frozenset(names)
        self._show_structures()
        return tuple(sorted(self._hidden & self._never_hidden))

    def set_colours(self, colours: Mapping[str, Colour]) -> None:
        """Draw structures in colours (0..255) of a person's choice, all others in those of the house."""
        self._colours = {name: (int(r), int(g), int(b)) for name, (r, g, b) in colours.items()}
        self._show_structures()

    def show_carm(
        self,
        source_mm: ArrayLike | None,
        detector_corners_mm: ArrayLike | None = None,
        isocentre_mm: ArrayLike | None = None,
    ) -> None:
        """Draw the C-arm: see live_marks.carm_meshes; None takes it away."""
        self._marks.show_carm(source_mm, detector_corners_mm, isocentre_mm)

    def show_cursor(self, point_mm: ArrayLike | None) -> None:
        """Mark a point, in front of all else; None takes the mark away."""
        self._marks.show_cursor(point_mm)

    def show_fused(self, fused: FusedScene | None) -> None:
        """Draw a second image in planes over the image, with what was carried from it; None takes it away."""
        self._fusion.show(fused)
        self._looked_from.clear()
        self._default = None

    @property
    def fused(self) -> FusedScene | None:
        """What of a second image is drawn."""
        return self._fusion.fused

    @property
    def target_mm(self) -> tuple[float, float, float] | None:
        """Where the way that is shown aims, if one is."""
        return None if self._way is None else self._way.trajectory.target_mm

    def picture(self, camera: Camera, size: tuple[int, int], moving: bool = False) -> NDArray[np.uint8]:
        """A picture (height, width, 3) uint8; size: (width, height) px of the place that it is shown in.

        moving: half as wide and high, translucent surfaces in no order: for a camera or a needle that is being moved.
        Raises InputError for a size beyond 64 to 4096 px.
        """
        _check_size(size)
        self._look(camera, size, moving)
        if moving:
            half = (round(size[0] / 2), round(size[1] / 2))
            return self._window.draw(camera, half, peels=0, smooth_edges=True, outsides_only=True)
        return self._window.draw(camera, size, peels=PEELS, smooth_edges=True)

    def pick(
        self, camera: Camera, size: tuple[int, int], x_px: float, y_px: float, skin_only: bool = False
    ) -> tuple[tuple[float, float, float], str] | None:
        """The point (LPS mm) and name of the opaque surface under a pixel (of an image plane PLANE), else of the skin
        ("skin"), else None.

        What is faded there is seen through. skin_only: the skin, whatever shines through it.
        """
        _check_size(size)
        eye = np.asarray(camera.position_mm, dtype=np.float64)
        end = eye + _FAR_MM * camera.sight(x_px, y_px, size)
        if not skin_only:
            planes = self._fusion.planes
            hit = self._anatomy.first_hit(eye, end, self._needle.must_be_seen_mm, planes)
            met = planes.first_hit(eye, end) if planes is not None else None
            if met is not None and (hit is None or np.linalg.norm(met - eye) < np.linalg.norm(hit[0] - eye)):
                return _triple(met), PLANE
            if hit is not None:
                return _triple(hit[0]), hit[1]
        if SKIN in self._hidden and not skin_only:
            return None
        point = self._skin.first_hit(eye, end)
        return None if point is None else (_triple(point), SKIN)

    def default_camera(self, size: tuple[int, int]) -> Camera:
        """The view that a still of this scene has by itself."""
        _check_size(size)
        if self._volume is None:
            raise InputError("a view of nothing", "show_anatomy first")
        aspect = size[0] / size[1]
        if self._default is None or abs(aspect - self._default[0]) > 1e-3:
            self._default = (aspect, self._chosen_camera(self._volume, size))
        return self._default[1]

    def close(self) -> None:
        """Give back the window's memory."""
        self._window.close()

    @property
    def _never_hidden(self) -> frozenset[str]:
        return frozenset((*self._shown.deciding, *filter(None, [self._shown.target])))

    def _show_structures(self) -> None:
        self._anatomy.show(self._shown, self._colours, self._hidden - self._never_hidden, self._hurried)
        self._skin.show(SKIN not in self._hidden)
        self._looked_from.pop(self._anatomy, None)

    def _way_changed(self) -> None:
        if self._way is None:
            self._needle.hide()
        else:
            target_mm = self._anatomy.target_mm(self._shown.target)
            way = self._way
            self._needle.show(way.trajectory, way.plan.error_model, way.nearest, target_mm, way.zone)
        self._default = None

    def _look(self, camera: Camera, size: tuple[int, int], moving: bool) -> None:
        """Bring everything that depends on the camera up to date, only roughly while something moves."""
        self._needle.look_from(camera, size[1])
        self._marks.look_from(camera, size[1])
        every = _FEWER_SEEN if moving else 1
        eye, seen = np.asarray(camera.position_mm), self._needle.must_be_seen_mm[::every]
        near_mm = (_NEARLY * camera.distance_mm, _NEARLY_MM) if moving else (0.0, 0.0)
        for part in (self._anatomy, self._skin):
            before = self._looked_from.get(part)
            if before is None or _apart_mm(before[0], eye) > near_mm[0] or _apart_mm(before[1], seen) > near_mm[1]:
                part.look_from(eye, seen, self._fusion.planes)
                self._looked_from[part] = (eye, seen)
        self._fusion.look_from(eye)

    def _chosen_camera(self, volume: Volume, size: tuple[int, int]) -> Camera:
        if self._way is None:
            return anatomy_camera(volume, self._fusion.fused)
        way, position = self._way.trajectory, self._way.plan.patient_position
        return camera_at(self._anatomy.structures, self._shown, way, self._way.nearest, position, size)


def _with_deciding(shown: ShownStructures, deciding: tuple[str, ...]) -> ShownStructures:
    """The same structures, and what decides now. What decided before stays as it is: it may come to decide again."""
    before = tuple(name for name in shown.deciding if name not in deciding)
    rest = dict.fromkeys(name for name in (*shown.organs, *before) if name not in deciding)
    bones = {name: distance for name, distance in shown.bones.items() if name not in deciding}
    return replace(shown, deciding=deciding, organs=tuple(rest), bones=bones)


def _apart_mm(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """How far points have moved at most; infinite where they are not as many."""
    return float(np.abs(first - second).max(initial=0.0)) if first.shape == second.shape else float("inf")


def _triple(point_mm: NDArray[np.float64]) -> tuple[float, float, float]:
    return float(point_mm[0]), float(point_mm[1]), float(point_mm[2])


def _check_size(size: tuple[int, int]) -> None:
    if not all(LEAST_PX <= side <= MOST_PX for side in size):
        raise InputError(f"a picture of {size[0]} x {size[1]} px", f"{LEAST_PX} to {MOST_PX} px each way")
