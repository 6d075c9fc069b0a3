"""A shot: the image, what its view is called, whether the machine gets there, and what is written over it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.errors import InputError
from navplan.fluoroscopy.anatomy import Anatomy
from navplan.fluoroscopy.collision import Room, planes_apart_mm, room_about
from navplan.fluoroscopy.exposure import Dose
from navplan.fluoroscopy.image import HELD_PULSES, FluoroImage, Machine, View, image_of
from navplan.fluoroscopy.monitor import GENERAL
from navplan.fluoroscopy.overlay import (
    Mark,
    Overlay,
    needle_marks,
    outline_marks,
    path_marks,
    scale_bar,
    side_letters,
    side_marker,
    target_marks,
)
from navplan.fluoroscopy.shutter import round_field
from navplan.fluoroscopy.solid import Fill, Solid
from navplan.fluoroscopy.table import TablePlace, table_under
from navplan.fluoroscopy.view_finder import FoundView
from navplan.geometry.carm import Detector, ViewAngles, dial_words, parse_view, view_words
from navplan.geometry.conventions import DOWN_BY_PATIENT_POSITION
from navplan.model.trajectory import Trajectory
from navplan.model.volume import Volume

DETECTOR_SIDE_MM = 307.2
NEEDLE_VIEWS = ("AP", "lateral", "bullseye")
CUT_SHARE_TOLD = 0.005  # of the picture
FROM_BELOW = 0.3  # how far down the outward direction of a needle may point: within about 17 degrees of level
METAL_HU, DENSE_POINTS = 2000.0, 20  # contrast medium is less dense; coarse voxels from which it is told
LEAST_SEEN_MM = 1.0  # of water or bone: less everywhere is a picture of nothing
_NEVER_HU = -1500  # nothing real has such a CT number: padding


@dataclass(frozen=True, eq=False)
class Subject:
    """What lies under the C-arm, and what is drawn.

    isocentre_mm: (3,) LPS; way: the plan's needle; patient_position: on the C-arm's table, DICOM code, "" when not
    stated; needles: further ones; fills: structures with contrast medium or cement; outlines: structures whose outlines
    are drawn; image_name: the CT's id; names: of the way and of the further needles, in their order; notes: warnings
    that hold for every view. Make one by `subject_of`.
    """

    anatomy: Anatomy
    isocentre_mm: NDArray[np.float64]
    way: Trajectory | None = None
    patient_position: str = ""
    image_name: str = ""
    needles: tuple[Trajectory, ...] = ()
    fills: tuple[Fill, ...] = ()
    outlines: tuple[Solid, ...] = ()
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def all_needles(self) -> tuple[Trajectory, ...]:
        """The way's first."""
        return self.needles if self.way is None else (self.way, *self.needles)


def subject_of(
    anatomy: Anatomy | Volume, isocentre_mm: ArrayLike | None = None, way: Trajectory | None = None,
    patient_position: str = "", image_name: str = "", needles: Sequence[Trajectory] = (), fills: Sequence[Fill] = (),
    outlines: Sequence[Solid] = (), names: Sequence[str] = (), notes: Sequence[str] = (),
) -> Subject:  # fmt: skip
    """A CT, or one that is prepared already, about an isocentre: default the way's target, else the image's middle.

    Raises InputError for an image that is no CT, an isocentre that is no point.
    """
    prepared = anatomy if isinstance(anatomy, Anatomy) else Anatomy(anatomy)
    if isocentre_mm is None:
        grid = prepared.volume.grid
        middle = grid.points_mm((np.asarray(grid.shape) - 1) / 2)
        isocentre = middle if way is None else np.asarray(way.target_mm, dtype=np.float64)
    else:
        isocentre = np.asarray(isocentre_mm, dtype=np.float64)
    if isocentre.shape != (3,) or not np.isfinite(isocentre).all():
        raise InputError(f"isocentre {isocentre.tolist()}", "three finite LPS coordinates in mm")
    return Subject(
        prepared, isocentre, way, patient_position, image_name, tuple(needles), tuple(fills), tuple(outlines),
        tuple(names), tuple(notes),
    )  # fmt: skip


def usual_machine() -> Machine:
    """A machine with the usual panel of 512 x 512 pixels."""
    return Machine(detector=Detector(512, 512, DETECTOR_SIDE_MM / 512))


@dataclass(frozen=True, eq=False)
class FluoroShot:
    """One simulated image with everything that must be told about it.

    name: the view as it was asked for; words: what it is called ("LAO 30 / CRA 15"); angles: patient angles p; dial:
    dial angles m, None when the patient's position is not stated; reachable: by the C-arm's dial reach, None when not
    known; room: about its housings; table: where it stands, None when not known; patient_position: DICOM code or "".
    pixels and attenuation: of the image, without marks.
    """

    name: str
    words: str
    angles: ViewAngles
    dial: ViewAngles | None
    reachable: bool | None
    patient_position: str
    image: FluoroImage
    room: Room
    table: TablePlace | None
    overlay: Overlay

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """(rows, cols) uint8, without marks."""
        return self.image.pixels

    @property
    def attenuation(self) -> NDArray[np.float32]:
        """(rows, cols) float32, of patient and needle, without scatter and noise."""
        return self.image.attenuation


def _angle_pair(angles: ViewAngles) -> str:
    return f"{angles.primary_deg + 0.0:+.1f} / {angles.secondary_deg + 0.0:+.1f}".replace("-0.0", "+0.0")


def _needle_words(needle: Trajectory, name: str) -> str:
    short = needle.tip_short_of_target_mm
    where = f"its tip {short:.0f} mm before the target" if short > 0.5 else "its tip at the target"
    return f"{name + ': ' if name else ''}{needle.device.name}, {where}"


def _lines(
    shot: FluoroShot, subject: Subject, machine: Machine, found: NamedView
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    carm, detector, acquisition = shot.image.carm, shot.image.detector, subject.anatomy.volume.acquisition
    title = shot.words if shot.name.lower() != "bullseye" else f"bull's-eye: {shot.words}"
    p = f"patient angles p {_angle_pair(shot.angles)} deg"
    if shot.dial is None:
        m = "dial m not known: patient position not stated"
    else:
        dial = f"{_angle_pair(shot.dial)} deg ({dial_words(shot.dial, carm.kinematics)})"
        m = f"dial m {dial}, patient {shot.patient_position}"
    size = f"{detector.cols * detector.pixel_mm:.0f} x {detector.rows * detector.pixel_mm:.0f}"
    arm = f"SID {carm.sid_mm:.0f}, SOD {carm.sod_mm:.0f}, detector {size} mm ({carm.name})"
    if machine.field_mm is not None:
        arm += f", collimated to {machine.field_mm[0]:g} x {machine.field_mm[1]:g} mm"
    program = f"; {machine.program.name} program: soft tissue held back" if machine.program != GENERAL else ""
    made = " ".join(part for part in (subject.image_name, acquisition.date[:10], acquisition.patient_position) if part)
    voxel = float(np.max(subject.anatomy.volume.grid.spacing_mm))
    pulses = f"{shot.image.pulses} pulses averaged" if shot.image.pulses > 1 else "one pulse"
    needles = subject.all_needles
    names = (*subject.names, *("",) * len(needles))[: len(needles)]
    lines = [
        f"{title}    {p}",
        *([found.reason] if found.reason else []),
        m,
        f"{arm}    from CT {made or 'without a date'}, voxels to {voxel:.1f} mm limit its sharpness",
        f"{_isocentre_words(subject)}{'; ' + shot.table.words if shot.table else ''}",
        *(_needle_words(needle, name) for needle, name in zip(needles, names, strict=True)),
        *([f"Filled: {'; '.join(fill.words for fill in subject.fills)}"] if subject.fills else []),
        f"{shot.image.exposure.words}{program}",
        f"SIMULATED, {pulses}; tube, panel and dose assumed; all of the CT included. Research and training only",
    ]
    return tuple(lines), _warnings(shot, subject, found)


def _isocentre_words(subject: Subject) -> str:
    """Where the isocentre is: in the needle's target, so far from it, or at a point."""
    if subject.way is None:
        return "isocentre ({:.0f}, {:.0f}, {:.0f}) mm LPS".format(*subject.isocentre_mm)
    away = float(np.linalg.norm(subject.isocentre_mm - np.asarray(subject.way.target_mm)))
    return "isocentre in the target" if away < 0.5 else f"isocentre {away:.0f} mm from the target"


def _dense(shot: FluoroShot, subject: Subject) -> list[str]:
    """Contrast medium or metal of the CT in the picture."""
    points, hu = subject.anatomy.dense_mm()
    if not len(points):
        return []
    columns, rows = shot.image.beam.project(points, shot.image.detector).T
    inside = (columns >= 0) & (columns < shot.image.detector.cols) & (rows >= 0) & (rows < shot.image.detector.rows)
    what = "Metal" if hu > METAL_HU else "Contrast medium or metal"
    words = f"{what} in the CT ({hu:.0f} HU over more than 1 cm) is shown as bone"
    return [words] if inside.sum() >= DENSE_POINTS else []


def _not_seen(shot: FluoroShot, subject: Subject) -> list[str]:
    """What a viewer would look for in vain: the CT itself, the target, the needle's tip."""
    image = shot.image
    if float(image.amounts_mm.max()) < LEAST_SEEN_MM:
        return ["Nothing of the CT is in the picture"]
    if subject.way is None:
        return []
    way = subject.way
    points = {"target": np.asarray(way.target_mm), "needle's tip": way.point_at_mm(way.tip_depth_mm)}
    found = []
    for name, point in points.items():
        column, row = image.beam.project(point, image.detector)
        inside = -0.5 <= column < image.detector.cols - 0.5 and -0.5 <= row < image.detector.rows - 0.5
        if not (inside and image.shown[round(float(row)), round(float(column))]):
            found.append(f"The {name} is not in the picture")
    return found


def _warnings(shot: FluoroShot, subject: Subject, found: NamedView) -> tuple[str, ...]:
    carm, acquisition, position = shot.image.carm, subject.anatomy.volume.acquisition, shot.patient_position
    warnings = [found.warning] if found.warning else []
    if shot.reachable is False:
        warnings.append(f"Beyond the reach of the {carm.name} ({carm.source})")
    warnings += [
        f"The {part} would meet patient, couch or table ({-mm:.0f} mm too near)"
        for part, mm in (("panel", shot.room.panel_mm), ("tube", shot.room.tube_mm))
        if mm < 0.0
    ]
    warnings += shot.table.faults if shot.table else ()
    warnings += _not_seen(shot, subject)
    shown, cut = shot.image.shown, shot.image.cut
    share = float(cut[shown].mean()) if shown.any() else 0.0
    if share > CUT_SHARE_TOLD:
        warnings.append(f"{100 * share:.0f} % of the picture misses tissue: the CT ends inside the body there (dashed)")
    if (cut & ~shown).mean() > CUT_SHARE_TOLD:
        hidden = 100.0 - 100.0 * shown.sum() / round_field(shot.image.detector).sum()
        warnings.append(f"The CT ends inside the body: shutters hide {hidden:.0f} % of the picture")
    if acquisition.padding_hu is not None or subject.anatomy.lowest_hu < _NEVER_HU:
        warnings.append("Tissue outside the CT's round field of view is missing (padding counts as air)")
    warnings += _dense(shot, subject)
    made = acquisition.patient_position
    if position and made and DOWN_BY_PATIENT_POSITION.get(made) != DOWN_BY_PATIENT_POSITION.get(position):
        warnings.append(f"The CT was made in {made}, the view is for {position}; a couch in it is on the wrong side")
    down = np.asarray(DOWN_BY_PATIENT_POSITION.get(position, (0.0, 0.0, 0.0)))
    if subject.way is not None and -subject.way.direction @ down > FROM_BELOW:
        warnings.append(f"The needle enters from the table's side of a patient in {position}")
    return (*warnings, *subject.notes)


def take_shots(
    subject: Subject, views: Sequence[str | ViewAngles | FoundView], machine: Machine | None = None,
    moving: bool = False,
) -> tuple[FluoroShot, ...]:  # fmt: skip
    """Last image holds, one a view: words as `parse_view` reads them, patient angles p, or a view that was found for a
    purpose. By default of `usual_machine`. moving: coarse and fast, for an arm that is swung; it is not looked at
    whether rays miss tissue.

    Raises InputError for words that are no view, a decubitus position.
    """
    used = machine or usual_machine()
    named = [named_view(view, subject, used) for view in views]  # all, before the first is computed
    return tuple(_shot(subject, found, used, _posed(subject, found, used, moving), 0, HELD_PULSES) for found in named)


def take_run(
    subject: Subject, views: Sequence[str | ViewAngles | FoundView], machine: Machine | None = None,
    ways: Sequence[Trajectory | None] = (),
) -> Iterator[FluoroShot]:  # fmt: skip
    """One pulse a picture: of views one after another (a sweep), or of one view while the needle stands as each of
    `ways` says (a run). The dose in a picture's words is the sum so far.

    Raises as `take_shots`, before the first picture.
    """
    used = machine or usual_machine()
    named = [named_view(view, subject, used) for view in views]
    if not named or (ways and len(named) != 1):
        raise InputError(f"a run of {len(named)} views and {len(ways)} places of the needle", "one view, or no places")
    return _pictures(subject, named, used, ways)


def _pictures(
    subject: Subject, named: Sequence[NamedView], machine: Machine, ways: Sequence[Trajectory | None]
) -> Iterator[FluoroShot]:
    total, count = Dose(), max(len(named), len(ways))
    posed: _Posed | None = None
    for number in range(count):
        found = named[min(number, len(named) - 1)]
        if posed is None or len(named) > 1:
            posed = _posed(subject, found, machine, False)
        way = ways[number] if ways else None
        now = subject if way is None else replace(subject, way=way)
        shot = _shot(now, found, machine, posed, number, 1)
        total += shot.image.dose
        so_far = f"picture {number + 1} of {count}; so far {total.words}"
        lines = (*shot.overlay.lines[:-1], so_far, shot.overlay.lines[-1])
        yield replace(shot, overlay=replace(shot.overlay, lines=lines))


@dataclass(frozen=True)
class NamedView:
    """A view as it was asked for, its angles p and dial angles m, why it is so, and what it is not."""

    name: str
    angles: ViewAngles
    dial: ViewAngles | None
    reason: str = ""
    warning: str = ""


def named_view(view: str | ViewAngles | FoundView, subject: Subject, machine: Machine) -> NamedView:
    """Raises InputError for words that are no view, a decubitus position."""
    position, carm = subject.patient_position, machine.carm
    direction = None if subject.way is None else subject.way.direction
    reason = warning = ""
    if isinstance(view, str):
        name, angles = view, parse_view(view, position, direction, carm)
    elif isinstance(view, FoundView):
        name, angles, reason, warning = view.name, view.angles, view.reason, view.warning
    else:
        name, angles = "", view
    return NamedView(name, angles, carm.dial(angles, position) if position else None, reason, warning)


@dataclass(frozen=True, eq=False)
class _Posed:
    """The arm about the patient in one view: what does not change while needles move and pulses follow."""

    view: View
    cut: NDArray[np.bool_] | None
    room: Room
    table: TablePlace | None
    outlines: tuple[Mark, ...]
    unseen: tuple[str, ...] = ()


def _posed(subject: Subject, found: NamedView, machine: Machine, moving: bool) -> _Posed:
    anatomy = subject.anatomy
    view = View(anatomy, found.angles, subject.isocentre_mm, machine, subject.patient_position, moving)
    table = table_under(anatomy.body_mm(), view.isocentre_mm, subject.patient_position, machine.carm)
    solid_mm = anatomy.surface_mm() if table is None else np.concatenate([anatomy.surface_mm(), table.points_mm])
    room = room_about(solid_mm, view.beam, machine.carm)
    if moving:
        return _Posed(view, None, room, table, ())
    cut = anatomy.cut(view.beam, view.detector) & view.in_field
    if cut.any():
        view.leave_out(cut)
    outlines: list[Mark] = []
    if subject.outlines:
        image = image_of(view, cut, frame=-1)
        outlines = [mark for solid in subject.outlines for mark in outline_marks(image, solid)]
    drawn = {mark.name for mark in outlines}
    unseen = tuple(f"{solid.name} is not in the picture" for solid in subject.outlines if solid.name not in drawn)
    return _Posed(view, cut, room, table, tuple(outlines), unseen)


def _shot(
    subject: Subject, found: NamedView, machine: Machine, posed: _Posed, frame: int, pulses: int
) -> FluoroShot:
    position, way = subject.patient_position, subject.way
    needles = subject.all_needles
    image = image_of(posed.view, posed.cut, needles, subject.fills, frame, pulses)
    bar, scale_words = scale_bar(image)
    marks = [bar, *posed.outlines, *(mark for needle in needles for mark in needle_marks(image, needle))]
    marks += [mark for needle in needles for mark in path_marks(image, needle)]
    if way is not None:
        marks += target_marks(image, way.target_mm)
    words = view_words(found.angles, position)
    bare = FluoroShot(
        found.name or words, words, found.angles, found.dial,
        None if found.dial is None else machine.carm.reaches(found.dial), position, image, posed.room,
        posed.table, Overlay(tuple(marks), side_letters(image), scale_words, (), marker=side_marker(image)),
    )  # fmt: skip
    lines, warnings = _lines(bare, subject, machine, found)
    return replace(bare, overlay=replace(bare.overlay, lines=lines, warnings=(*warnings, *posed.unseen)))


def take_biplane(
    subject: Subject, views: tuple[str | ViewAngles | FoundView, str | ViewAngles | FoundView],
    planes: tuple[Machine, Machine],
) -> tuple[FluoroShot, FluoroShot]:  # fmt: skip
    """A last image hold of each plane, taken together; warns where the housings of one would meet the other's.

    Raises as `take_shots`.
    """
    one, other = (take_shots(subject, (view,), machine)[0] for view, machine in zip(views, planes, strict=True))
    apart_mm = planes_apart_mm(one.image.beam, planes[0].carm, other.image.beam, planes[1].carm)
    if apart_mm >= 0.0:
        return one, other
    warning = f"The housings of the two planes would meet ({-apart_mm:.0f} mm too near)"
    met = [
        replace(shot, overlay=replace(shot.overlay, warnings=(warning, *shot.overlay.warnings)))
        for shot in (one, other)
    ]
    return met[0], met[1]
