"""register-shots: where a CT of the case lies in one real fluoroscopic picture or two, with its error."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError
from navplan.model.case import Case
from navplan.model.draft import Point
from navplan.model.plan import Plan
from navplan.model.safety import Verdict
from navplan.model.structure import Presence, Structure
from navplan.model.trajectory import Trajectory
from navplan.model.volume import Volume
from navplan.verbs.fluoro import needle_on_image
from navplan.verbs.given_shots import GivenShot, given_shots, refuse_another_patient
from navplan.verbs.shot_tip import FoundTip, Pixel, found_tip, refuse_marks

if TYPE_CHECKING:
    from navplan.fluoroscopy.drr import ProjectedCt
    from navplan.fluoroscopy.posed_shot import PosedShot
    from navplan.fluoroscopy.shot_registration import ShotRegistration

Progress = Callable[[str, float], None]
NEAREST = 3  # structures whose outlines are drawn by themselves, with the target's
EVERYWHERE = ("body", "bone", "skin")  # whose outlines would hide the picture
STEP_MM, ABOUT_MM = 20.0, 50.0  # along the way, and half the cube about the target, where the pose is judged
FOR_GRANTED = (
    "taken for granted: the pictures' own angles, SID, SOD and pixel size, one isocentre, and a table and a patient"
    " that did not move between them"
)


@dataclass(frozen=True)
class ShotStart:
    """Where a search begins. isocentre_mm: LPS mm of the CT that is taken to lie in the C-arm's isocentre, None: the
    plan's target, or the middle of the CT. Then the CT is turned (rotation vector, degrees) about the isocentre and
    shifted (mm), both along the patient's axes. landmarks: a file of files.shot_landmark_files, which goes first."""

    isocentre_mm: Point | None = None
    shift_mm: Point = (0.0, 0.0, 0.0)
    turn_deg: Point = (0.0, 0.0, 0.0)
    landmarks: str | Path = ""


@dataclass(frozen=True)
class ErrorHere:
    """of: what lies there; point_mm: LPS mm of the CT; error_95_mm: within which it lies of the truth in 95 of 100,
    None where the pose is not good in three dimensions; across_95_mm: the same across the rays of each view; seen:
    which views show it, counted from 1."""

    of: str
    point_mm: Point
    error_95_mm: float | None
    across_95_mm: tuple[float, ...]
    seen: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class RegisteredShots:
    """found: the pose of the CT and what was made of it; start (4, 4), C-arm from CT; errors: at the target and along
    the way, or in the middle of what is seen; none of a pose that is not good in plane, whose errors mean nothing."""

    image_id: str
    image_digest: str
    plan_id: str
    shots: tuple[GivenShot, ...]
    start: NDArray[np.float64]
    start_words: str
    found: ShotRegistration
    warnings: tuple[str, ...]
    errors: tuple[ErrorHere, ...]
    tip: FoundTip | None = None

    @property
    def word(self) -> str:
        """What it is good for."""
        if self.found.good:
            return "GOOD"
        return "GOOD IN PLANE ONLY" if self.found.good_in_plane else "NOT GOOD ENOUGH"

    @property
    def words(self) -> tuple[str, ...]:
        """Lines for a person: what it is good for, the expected errors, and why it is not better."""
        lines = [f"{self.word}: {_USE[self.word]}"]
        if self.errors:
            first, good = self.errors[0], self.found.good
            mm = [max(one.across_95_mm) if one.error_95_mm is None else one.error_95_mm for one in self.errors]
            way = f", along the way up to {max(mm):.1f} mm" if len(mm) > 1 else ""
            which = "expected error" if good else "expected error across the beam"
            depth = "" if good else "; in depth: not told"
            lines.append(f"{which}, in 95 of 100: {first.of} {mm[0]:.1f} mm{way}{depth}")
        return (*lines, *self.found.reasons)

    def posed(self, number: int) -> PosedShot:
        """Picture `number` (0 the first) with the CT behind it."""
        from navplan.fluoroscopy.posed_shot import PosedShot

        return PosedShot(self.shots[number].shot, self.found.transform.matrix)


_USE = {
    "GOOD": "the pictures bear out the CT's place in three dimensions",
    "GOOD IN PLANE ONLY": "for what is laid over these pictures; not for depth, and not for a tip",
    "NOT GOOD ENOUGH": "do not rely on it, even where what is drawn seems to fit",
}


def register_shots(
    case: Case, shots: Sequence[tuple[str | os.PathLike[str], int]] | Sequence[GivenShot], *, image: str = "",
    plan: Plan | str | None = None, trajectory: int = 0, start: ShotStart | None = None, tip: Sequence[Pixel] = (),
    ct: ProjectedCt | None = None, progress: Progress = lambda words, share: None,
    cancelled: Callable[[], bool] = lambda: False, seed: int = 0,
) -> RegisteredShots:  # fmt: skip
    """The pose of a CT of the case in one real picture or two; the case is left as it is.

    shots: as (XA file, picture counted from 0), or read already. image: id, default the plan's, or the only one. plan:
    whose way `trajectory` (0 the best) the errors are told along. tip: of the needle as it was marked, (row, column) in
    each of two pictures. ct: the image made ready, for several registrations.

    A pose that is not good enough is not an error: see `found.good` and `found.reasons`. Raises MismatchError for
    pictures of another patient, or a plan of another image; InputError for pictures without geometry (with what can be
    told of them), a start that shows no CT, landmarks that fit no pose; FileFormatError; Cancelled.
    """
    from navplan.fluoroscopy.register_shots import register_shots as registered

    given = tuple(one for one in shots if isinstance(one, GivenShot))
    if len(given) != len(shots):
        given = given_shots(case, [one for one in shots if not isinstance(one, GivenShot)])
    chosen = case.plan(plan) if isinstance(plan, str) else plan
    image_id, volume, way, _ = needle_on_image(case, chosen, trajectory, image, "")
    warnings = list(refuse_another_patient(given, image_id, volume))
    if tip:
        refuse_marks(given, tip)
    pose, words = start_pose(volume, given, way, start or ShotStart())
    found = registered(
        volume if ct is None else ct, [one.shot for one in given], pose, places_mm=_places(way), progress=progress,
        cancelled=cancelled, seed=seed,
    )  # fmt: skip
    result = RegisteredShots(image_id, volume.digest, chosen.id if chosen else "", given, pose, words, found, (), ())
    errors = _errors(result, way)
    for one in errors:
        warnings += [
            f"{given[n].shot.name} does not show {one.of}"
            for n in range(len(given)) if one.of == "target" and n + 1 not in one.seen
        ]  # fmt: skip
    warnings.append(FOR_GRANTED if len(given) > 1 else FOR_GRANTED.partition(", one isocentre")[0])
    judged = found_tip(given, tip, found, chosen, way) if tip else None
    return RegisteredShots(
        image_id, volume.digest, result.plan_id, given, pose, words, found, tuple(warnings), errors, judged
    )


def start_pose(
    volume: Volume, shots: Sequence[GivenShot], way: Trajectory | None, start: ShotStart
) -> tuple[NDArray[np.float64], str]:
    """(4, 4) C-arm from CT where a search begins, and how it came about. Raises InputError, FileFormatError."""
    from navplan.files.shot_landmark_files import read_shot_landmarks
    from navplan.fluoroscopy.rigid_pose import moved
    from navplan.fluoroscopy.shot_landmarks import pose_from_landmarks

    numbers = np.asarray([*start.shift_mm, *start.turn_deg, *(start.isocentre_mm or ())], dtype=np.float64)
    if not (np.isfinite(numbers).all() and np.abs(numbers).max() < 1e5):
        raise InputError(f"a start of {numbers.tolist()}", "finite mm and degrees")
    centre, words = start.isocentre_mm, "the isocentre as given"
    if centre is None and way is not None:
        centre, words = way.target_mm, "the isocentre in the plan's target"
    if centre is None:
        middle = volume.grid.points_mm((np.asarray(volume.grid.shape) - 1) / 2)
        centre, words = (float(middle[0]), float(middle[1]), float(middle[2])), "the isocentre in the middle of the CT"
    pose = np.eye(4)
    pose[:3, 3] = -np.asarray(centre)
    if any(start.shift_mm) or any(start.turn_deg):
        words += ", shifted and turned by hand"
    pose = moved([*start.shift_mm, *start.turn_deg], np.zeros(3), pose)
    if start.landmarks:
        marks = read_shot_landmarks(start.landmarks)
        fitted = pose_from_landmarks(marks, [one.shot for one in shots], pose)
        name = Path(start.landmarks).name
        pose, words = fitted.pose, f"{len(marks)} landmarks of {name}, {fitted.rms_mm:.1f} mm root mean square"
    return pose, words


def _places(way: Trajectory | None) -> NDArray[np.float64] | None:
    """(K, 3) along the way, and a cube about its target."""
    if way is None:
        return None
    cube = np.stack(np.meshgrid(*[[-ABOUT_MM, 0.0, ABOUT_MM]] * 3), axis=-1).reshape(-1, 3)
    return np.concatenate([_along(way), np.asarray(way.target_mm) + cube])


def _along(way: Trajectory) -> NDArray[np.float64]:
    return np.linspace(way.target_mm, way.entry_mm, 1 + max(1, round(way.depth_mm / STEP_MM)))


def _errors(result: RegisteredShots, way: Trajectory | None) -> tuple[ErrorHere, ...]:
    from navplan.fluoroscopy.posed_shot import radius_95_mm
    from navplan.fluoroscopy.rigid_pose import apply, inverse

    found = result.found
    if not found.good_in_plane:
        return ()
    pose = found.transform.matrix
    if way is None:
        points, names = apply(inverse(pose), found.centre_mm)[None], ["middle of what is seen"]
    else:
        points = _along(way)
        depths = [float(np.linalg.norm(point - np.asarray(way.entry_mm))) for point in points]
        names = ["target", *(f"{depth:.0f} mm under the skin" for depth in depths[1:-1]), "entry"]
    posed = [result.posed(number) for number in range(len(result.shots))]
    told = []
    for name, point, each in zip(names, points, found.error_covariances_mm2(points), strict=True):
        across = []
        for one in posed:
            ray = apply(pose, point) - one.shot.beam.source_mm
            plane = np.linalg.svd(ray[None])[2][1:]
            across.append(radius_95_mm(plane @ each @ plane.T))
        seen = tuple(number + 1 for number, one in enumerate(posed) if one.shows(point))
        x, y, z = (float(part) for part in point)
        whole = radius_95_mm(each) if found.good else None
        told.append(ErrorHere(name, (x, y, z), whole, tuple(across), seen))
    return tuple(told)


def outlined_structures(
    case: Case, image_id: str, plan: Plan | None, trajectory: int = 0, names: Sequence[str] = ()
) -> tuple[Structure, ...]:
    """The structures whose outlines are drawn: those named, with the plan's target and what lies nearest to its way.
    Raises ChoiceError for a name that is none."""
    from navplan.fluoroscopy.purposes import named_structure

    structures = case.structures_of(image_id)
    found = {name: named_structure(structures, name) for name in names}
    if plan is not None and plan.trajectories:
        clearances = plan.trajectories[trajectory].report.clearances
        nearest = [one.structure for one in clearances if one.structure not in EVERYWHERE][:NEAREST]
        found |= {name: structures[name] for name in (plan.target.structure, *nearest) if name in structures}
    return tuple(one for one in found.values() if one.presence is Presence.PRESENT and one.occupancy is not None)


def verdict_of(result: RegisteredShots) -> Verdict:
    """NOT_EVALUATED unless the registration is good and the tip, if one was marked, could be judged; FAIL for a tip
    that is; never PASS."""
    if not result.found.good:
        return Verdict.NOT_EVALUATED
    return Verdict.WARN if result.tip is None else result.tip.verdict


def as_data(result: RegisteredShots) -> dict[str, Any]:
    """What result.json holds."""
    found = result.found
    return {
        "format": "navplan shot registration", "image": result.image_id, "image_digest": result.image_digest,
        "plan": result.plan_id or None, "good": found.good, "good_in_plane": found.good_in_plane,
        "verdict": result.word, "words": list(result.words), "reasons": list(found.reasons),
        "warnings": list(result.warnings),
        "start": {"words": result.start_words, "carm_from_ct": result.start.tolist(),
                  "moved_mm": found.moved_mm, "turned_deg": found.turned_deg},
        "carm_from_ct": found.transform.matrix.tolist(), "covariance": found.covariance.tolist(),
        "covariance_about_mm": found.centre_mm.tolist(),
        "covariance_of": "shift x, y, z in mm, then turn x, y, z in degrees, about covariance_about_mm, in the C-arm's"
        " frame: from its isocentre, along the patient's axes (LPS)",
        "expected_rms_mm": found.mtre_mm if found.good else None,
        "views": [
            {
                "file": given.path.name, "picture": given.picture + 1, "view": given.shot.name, "alike": view.score,
                "seen": view.seen, "across_rms_mm": view.across_mm, "alone_mm": view.alone_mm,
                "parts_mm": view.local_mm, "device_share": view.device_share,
            }
            for given, view in zip(result.shots, found.views, strict=True)
        ],
        "errors": [vars(one) for one in result.errors],
        "tip": None if result.tip is None else {**vars(result.tip), "verdict": result.tip.verdict.value},
        "searches": found.searches, "seconds": found.seconds, "made_on": found.transform.date,
    }  # fmt: skip
