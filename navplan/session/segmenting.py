"""Segmenters run for a session, one at a time, in a process of their own: the session goes on meanwhile.

What comes back is put into the case as it is then. A run that is stopped, refused or fails leaves the case as it was.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from navplan.errors import InputError
from navplan.model.case import Case
from navplan.model.draft import Point
from navplan.model.structure import Structure
from navplan.model.volume import Volume
from navplan.session.asked import point_of, text_of
from navplan.session.segment_child import LAST_SECONDS, Asked, serve
from navplan.session.segmenters_offered import offered
from navplan.session.session import Session
from navplan.view.colours import spoken

log = logging.getLogger(__name__)

MOST_SEEDS, LONGEST_NAME, MOST_NOTES = 100, 100, 6
IDLE, RUNNING, DONE, REFUSED, STOPPED = "idle", "running", "done", "refused", "stopped"


@dataclass(eq=False)
class _Run:
    """One run. before: the structures of the image when it began."""

    number: int
    asked: Asked
    who: str
    before: dict[str, Structure]
    begun: float = field(default_factory=time.monotonic)
    state: str = RUNNING
    words: str = ""
    share: float | None = None
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    made: list[dict[str, Any]] = field(default_factory=list)
    process: Any = None
    connection: Any = None  # once it has been told what to do
    stopping: bool = False


class Segmenting:
    """changed: called from another thread when the case has new structures, or a run ended without any."""

    def __init__(self, session: Session, changed: Callable[[], None] = lambda: None) -> None:
        self.session, self._changed = session, changed
        self._lock = threading.Lock()
        self._run: _Run | None = None
        self._thread: threading.Thread | None = None
        self._number = 0

    def offered(self) -> dict[str, list[dict[str, Any]]]:
        """See `segmenters_offered.offered`, for the image that is looked at; nothing where there is none."""
        case = self.session.case
        return offered(self.session.image()[1].modality) if case.volumes else {"whole": [], "seeded": []}

    def start(self, segmenter: Any, structure: Any = "", seeds: Any = None, who: Any = "") -> None:
        """Begin, and come back at once. seeds: points LPS mm on the image that is looked at, None for a segmenter that
        needs none; structure: the name of what they lie in.

        Raises InputError while another run goes on, and for what is asked wrongly. What the segmenter refuses is told
        by `told`.
        """
        from navplan.verbs.segment import checked_seeds

        name = text_of(segmenter, "a segmenter", LONGEST_NAME)
        called = text_of(structure, "a structure", LONGEST_NAME).strip()
        by = text_of(who, "who segments", LONGEST_NAME).strip()
        if seeds is not None and not (isinstance(seeds, list | tuple) and 0 < len(seeds) <= MOST_SEEDS):
            raise InputError("seeds that are none, or too many", f"1 to {MOST_SEEDS} points", "Click into it")
        points = None if seeds is None else [_seed(one) for one in seeds]
        with self._lock:
            if self._run is not None and self._run.state == RUNNING:
                raise InputError(
                    f"a segmenter to run beside {self._run.asked.segmenter}", "one at a time", "Wait for it, or stop it"
                )
            with self.session.lock:
                image_id, volume = self.session.image()
                before = self.session.case.structures_of(image_id)
            self._check_offered(name, volume, points is not None)
            # Its own: an object that another thread looks at meanwhile (its digest is kept in it) cannot be pickled.
            own = replace(volume, grid=replace(volume.grid))
            asked = Asked(name, own, image_id, checked_seeds(points, volume), called)
            self._number += 1
            self._run = _Run(self._number, asked, by, before)
            self._thread = threading.Thread(target=self._work, args=(self._run,), name="segmenting", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the run; the case stays as it was."""
        run = self._run
        if run is None or run.state != RUNNING:
            return
        with self._lock:
            run.stopping = True
            if run.connection is not None:
                with suppress(OSError, ValueError):
                    run.connection.send("stop")
            elif run.process is not None:  # it has begun nothing that it would have to end
                run.process.terminate()

    def close(self) -> None:
        """End whatever runs, and wait for its process."""
        self.stop()
        if self._thread is not None:
            self._thread.join(2 * LAST_SECONDS)

    def told(self) -> dict[str, Any]:
        """The last run for a page: its number, state, what is segmented, words, share (0 to 1, None where the segmenter
        tells none), seconds, notes, and of what was made name, volume and whether an edge cuts it."""
        run = self._run
        if run is None:
            return {"number": 0, "state": IDLE}
        seconds = time.monotonic() - run.begun if run.state == RUNNING else run.seconds
        return {
            "number": run.number, "state": run.state, "segmenter": run.asked.segmenter,
            "what": spoken(run.asked.structure) or run.asked.segmenter, "words": run.words,
            "share": run.share, "structure": run.asked.structure, "seconds": int(seconds), "notes": list(run.notes),
            "made": list(run.made), "stopping": run.stopping,
        }  # fmt: skip

    def _check_offered(self, name: str, volume: Volume, seeded: bool) -> None:
        rows = offered(volume.modality)["seeded" if seeded else "whole"]
        if name not in {row["segmenter"] for row in rows if not row["error"]}:
            usable = ", ".join(row["segmenter"] for row in rows if not row["error"])
            how = "from seeds" if seeded else "without seeds"
            on = volume.modality or "an image"
            raise InputError(f"segmenter {name!r} {how} on {on}", usable or "none is installed")

    def _work(self, run: _Run) -> None:
        state, words = REFUSED, "the segmenter ended without a word"
        try:
            kind, *rest = self._result(run)
            if run.stopping or kind == "stopped":
                state, words = STOPPED, ""
            elif kind == "found":
                self._take(run, [replace(one) for one in rest[0]])
                state, words = DONE, ""
            elif kind == "refused":
                words = sentence(*rest[0][1:])
            else:
                words = str(rest[0])
        except InputError as error:
            words = sentence(error.received, error.expected, error.remedy)
        except Exception as error:
            log.exception("segmenter %s", run.asked.segmenter)
            words = f"a fault of navplan ({type(error).__name__}: {error})"[:300]
        finally:
            run.seconds, run.words, run.share = time.monotonic() - run.begun, words, None
            run.state = state
            self._changed()

    def _result(self, run: _Run) -> tuple[Any, ...]:
        """What the process sends last; stopped, or failed, where it sends nothing."""
        context = multiprocessing.get_context("spawn")
        mine, its = context.Pipe()
        process = context.Process(target=serve, args=(its, os.getpid()), name="segmenter", daemon=True)
        process.start()
        its.close()
        run.process = process
        try:
            mine.send(run.asked)
            with self._lock:
                run.connection = mine
            while not run.stopping or mine.poll(LAST_SECONDS):
                message: tuple[Any, ...] = mine.recv()
                if message[0] == "told":
                    run.words, run.share = message[1], min(max(message[2], 0.0), 1.0)
                elif message[0] == "note":
                    run.notes = [*run.notes, message[1]][-MOST_NOTES:]
                else:
                    return message
        except (EOFError, OSError):
            pass
        finally:
            with self._lock:
                run.connection = None
            mine.close()
            process.join(LAST_SECONDS + 2)
            if process.is_alive():
                process.kill()
        return ("stopped",) if run.stopping else ("failed", "its process ended: perhaps there was too little memory")

    def _take(self, run: _Run, found: list[Structure]) -> None:
        """Into the case as it is now. Raises InputError where what would be replaced was changed meanwhile."""
        from navplan.verbs.segment import with_computed

        asked, session = run.asked, self.session
        with session.lock:
            case = session.case
            if asked.image_id not in case.volumes or case.volumes[asked.image_id].digest != asked.volume.digest:
                raise InputError(
                    f"image {asked.image_id}, which is another now", "the one that was segmented", "Run it again"
                )
            now = case.structures_of(asked.image_id)
            changed = [one.name for one in found if not _same(run.before.get(one.name), now.get(one.name))]
            if changed:
                raise InputError(
                    f"{', '.join(changed[:5])} changed while it was segmented", "what was there at the start",
                    "Nothing was taken in: run it again",
                )  # fmt: skip
            session.take_case(
                with_computed(case, found, asked.image_id, asked.segmenter, asked.seeds, run.who or "navplan"), ""
            )
            run.made = _rows(session.case, found, asked.image_id)


def _seed(value: Any) -> Point:
    point = point_of(value, "a seed")
    if point is None:
        raise InputError("a seed that is no point", "three finite LPS coordinates in mm")
    return point


def sentence(received: str, expected: str, remedy: str) -> str:
    """A refusal as one sentence that ends with what to do."""
    words = received.rstrip(".")
    if expected:
        words += f" (expected: {expected.rstrip('.')})"
    return f"{words} — {remedy[0].lower()}{remedy[1:].rstrip('.')}." if remedy else f"{words}."


def _rows(case: Case, found: list[Structure], image_id: str) -> list[dict[str, Any]]:
    here = case.structures_of(image_id)
    told = case.audit[-1].details.get("figures", {})
    return [
        {
            "name": one.name, "spoken": spoken(one.name), "presence": one.presence.value,
            "cut": here.get(one.name, one).cut_by_edge,
            "ml": told.get(one.name, {}).get("volume_cm3"), "median": told.get(one.name, {}).get("median"),
        }
        for one in found
    ]  # fmt: skip


def _same(one: Structure | None, other: Structure | None) -> bool:
    if one is None or other is None:
        return one is other
    return one is other or (one.digest, one.made_with, one.made_on) == (other.digest, other.made_with, other.made_on)
