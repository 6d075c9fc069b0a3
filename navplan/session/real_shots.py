"""Real fluoroscopic pictures of a session: loaded, looked at with the CT behind them, registered, a tip marked in them.

They are of the session alone: the case is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError
from navplan.model.plan import Plan
from navplan.model.structure import Structure
from navplan.model.trajectory import Trajectory
from navplan.model.volume import Volume
from navplan.session.asked import number_of, point_of
from navplan.session.session import Session
from navplan.verbs.given_shots import MOST_SHOTS, GivenShot, given_shot, refuse_another_patient
from navplan.verbs.register_shots import (
    RegisteredShots,
    ShotStart,
    outlined_structures,
    register_shots,
    start_pose,
)
from navplan.verbs.shot_tip import found_tip

if TYPE_CHECKING:
    from navplan.fluoroscopy.drr import ProjectedCt
    from navplan.fluoroscopy.overlay import Mark
    from navplan.fluoroscopy.solid import Solid

Progress = Callable[[str, float], None]
MOVING_PX = 128  # of the shorter side, while a start is dragged
STILL = (0.0, 0.0, 0.0)


@dataclass(frozen=True, eq=False)
class ShotPicture:
    """grey, ct, edges: (rows, cols) uint8; marks in their pixels; letters of the patient's side at left, right, top and
    bottom; right, up: of the picture, in the patient's axes; pixel_mm: at the isocentre."""

    grey: NDArray[np.uint8]
    ct: NDArray[np.uint8]
    edges: NDArray[np.uint8]
    marks: tuple[Mark, ...]
    letters: tuple[str, str, str, str]
    right: tuple[float, ...]
    up: tuple[float, ...]
    pixel_mm: float
    words: str


@dataclass(frozen=True, eq=False)
class _Looked:
    """What pictures are laid beside now: the image, and the way, its plan holding that one way alone."""

    image_id: str
    volume: Volume
    plan: Plan | None

    @property
    def way(self) -> Trajectory | None:
        return None if self.plan is None else self.plan.best.trajectory

    @property
    def key(self) -> tuple[Any, ...]:
        """The same for the same image and way: what was found of another is not shown."""
        way = self.way
        of_way = () if way is None else (way.entry_mm, way.target_mm, way.tip_short_of_target_mm, way.device.id)
        return self.volume.digest, *of_way


class RealShots:
    """Of one session. Thread-safe."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._shots: tuple[GivenShot, ...] = ()
        self._result: tuple[RegisteredShots, tuple[Any, ...]] | None = None  # and of what
        self._ready: ProjectedCt | None = None
        self._solids: dict[str, tuple[Structure, Solid]] = {}
        self._lock = RLock()

    def told(self) -> dict[str, Any]:
        """For the page: what is loaded, and what was found of it."""
        with self._lock:
            shots, kept = self._shots, self._result
        result = kept[0] if kept is not None and kept[1] == self._looked().key else None
        return {
            "shots": [
                {"words": one.words, "picture": one.picture + 1, "frames": one.frames, "file": one.path.name}
                for one in shots
            ],
            "warnings": list(self._warnings(shots)),
            "result": None if result is None else {
                "good": result.found.good, "good_in_plane": result.found.good_in_plane,
                "words": list(result.words), "start": result.start_words, "warnings": list(result.warnings),
            },
        }  # fmt: skip

    def _warnings(self, shots: Sequence[GivenShot]) -> tuple[str, ...]:
        return refuse_another_patient(shots, *self.session.image()) if shots else ()

    def load(self, path: Path, picture: int = 0) -> None:
        """One picture more, of an XA file. Raises what given_shot raises, MismatchError for another patient's,
        InputError for a third one."""
        with self._lock:
            if len(self._shots) >= MOST_SHOTS:
                raise InputError(f"a picture beside {MOST_SHOTS}", f"up to {MOST_SHOTS}", "Take one away first")
            self._take(self._shots, path, picture)

    def choose(self, number: Any, picture: Any) -> None:
        """Another picture (counted from 1) of the run that shot `number` (0 the first) is of."""
        with self._lock:
            one = self._shot(number)
            before = self._shots[: self._shots.index(one)]
            after = self._shots[len(before) + 1 :]
            self._take(before, one.path, number_of(picture, "picture") - 1, after)

    def _take(
        self, before: tuple[GivenShot, ...], path: Path, picture: int, after: tuple[GivenShot, ...] = ()
    ) -> None:
        salt = self.session.case.salt
        shots = (*before, given_shot(path, picture, salt, len(before) + 1), *after)
        self._warnings(shots)
        self._shots, self._result = shots, None

    def remove(self, number: Any) -> None:
        """Take one away."""
        with self._lock:
            gone = self._shot(number)
            left = [one for one in self._shots if one is not gone]
            salt = self.session.case.salt
            self._shots = tuple(given_shot(one.path, one.picture, salt, n + 1) for n, one in enumerate(left))
            self._result = None

    def _shot(self, number: Any) -> GivenShot:
        which = number_of(number, "shot")
        if not 0 <= which < len(self._shots):
            have = f"1 to {len(self._shots)}" if self._shots else "a picture, loaded first"
            raise InputError(f"shot {which + 1}", have)
        return self._shots[which]

    def _looked(self) -> _Looked:
        session = self.session
        with session.lock:
            image_id, volume = session.image()
            shown = session.shown()
        if shown is None or shown.plan.provenance.image_id != image_id:
            return _Looked(image_id, volume, None)
        return _Looked(image_id, volume, replace(shown.plan, trajectories=(shown.ranked,)))

    def _ct(self, volume: Volume) -> ProjectedCt:
        """The image made ready, once."""
        from navplan.fluoroscopy.drr import ProjectedCt

        with self._lock:
            if self._ready is None or self._ready.volume is not volume:
                self._ready = ProjectedCt(volume)
            return self._ready

    def _outlines(self, here: _Looked) -> list[Solid]:
        from navplan.fluoroscopy.solid import Solid

        found = []
        with self._lock:
            for one in outlined_structures(self.session.case, here.image_id, here.plan):
                if one.name not in self._solids or self._solids[one.name][0] is not one:
                    self._solids[one.name] = one, Solid(one)
                found.append(self._solids[one.name][1])
        return found

    def register(
        self, shift: Any = None, turn: Any = None, *, progress: Progress, cancelled: Callable[[], bool]
    ) -> dict[str, Any]:
        """Register the image to what is loaded, from a start by hand (mm, degrees; see ShotStart). Nothing waits for
        it.

        Raises what verbs.register_shots raises, and InputError where pictures were changed meanwhile."""
        with self._lock:
            shots = self._shots
        if not shots:
            raise InputError("no picture to register to", "one or two, loaded first")
        here = self._looked()
        found = register_shots(
            self.session.case, shots, image=here.image_id, plan=here.plan, start=_start(shift, turn),
            ct=self._ct(here.volume), progress=progress, cancelled=cancelled,
        )  # fmt: skip
        with self._lock:
            if self._shots is not shots:
                raise InputError("pictures that were changed meanwhile", "the same pictures", "Register anew")
            self._result = found, here.key
        return self.told()

    def picture(
        self, number: Any, shift: Any = None, turn: Any = None, found: bool = False, moving: bool = False
    ) -> ShotPicture:
        """Shot `number` (0 the first) with the CT behind it: at a start by hand, or where it was found. moving: coarse.

        Raises InputError for a shot that is not there, a result of another image or way."""
        from navplan.fluoroscopy.posed_shot import PosedShot
        from navplan.view.shot_overlay import ct_edges

        given = self._shot(number)
        here = self._looked()
        shot = given.shot
        if moving:
            side = min(shot.detector.rows, shot.detector.cols)
            shot = shot.coarser(shot.detector.pixel_mm * max(1, side // MOVING_PX))
        result = self._current(here) if found else None
        pose = (
            start_pose(here.volume, (given,), here.way, _start(shift, turn))[0]
            if result is None else result.found.transform.matrix
        )  # fmt: skip
        posed = PosedShot(shot, pose)
        marks = posed.marks(() if moving else self._outlines(here), here.way)
        if result is not None and here.way is not None:
            marks += posed.error_marks(result.found, here.way)
        ct = posed.ct_picture(self._ct(here.volume))
        place = given.place
        assert place.sid_mm is not None and place.sod_mm is not None
        pixel = shot.detector.pixel_mm * place.sod_mm / place.sid_mm
        grey = given.grey if shot is given.shot else np.where(np.isfinite(shot.values), 255.0 - shot.values, 0)
        return ShotPicture(
            np.asarray(grey, dtype=np.uint8), ct, ct_edges(ct, pixel), marks, posed.letters,
            tuple(float(part) for part in shot.beam.columns), tuple(float(part) for part in shot.beam.up), pixel,
            given.words,
        )  # fmt: skip

    def _current(self, here: _Looked) -> RegisteredShots:
        with self._lock:
            kept = self._result
        if kept is None or kept[1] != here.key:
            raise InputError("no registration of this image, for this way, to these pictures", "one", "Register first")
        return kept[0]

    def tip(self, marks: Any) -> dict[str, Any]:
        """The needle's tip as it was marked, (row, column) in each of two pictures, against the way that is looked
        at."""
        here = self._looked()
        result = self._current(here)
        if not isinstance(marks, list | tuple) or len(marks) > MOST_SHOTS:
            raise InputError(f"marks {ascii(marks)[:80]}", "row and column in each of two pictures")
        places = [point_of([*one, 0.0] if isinstance(one, list | tuple) else one, "a mark") for one in marks]
        pixels = [(one[0], one[1]) for one in places if one is not None]
        found = found_tip(result.shots, pixels, result.found, here.plan, here.way)
        return {**vars(found), "verdict": found.verdict.value}


def _start(shift: Any, turn: Any) -> ShotStart:
    return ShotStart(None, point_of(shift, "a shift") or STILL, point_of(turn, "a turn") or STILL)
