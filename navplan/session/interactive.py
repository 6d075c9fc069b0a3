"""One structure drawn by prompts in a session: an interactive segmenter completes it, a person accepts or cancels it.

Calls of the segmenter run in threads of their own, never under the session's lock, and return to nobody who stopped
waiting. The case knows nothing of the drawing before `accept`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from navplan.errors import InputError, NavplanError
from navplan.extend import registry
from navplan.extend.interactive_checks import PROMPTS, refuse_misfit
from navplan.model.seams import InteractiveDrawing, InteractiveSegmenter
from navplan.model.structure import Presence, Structure
from navplan.model.volume import Volume
from navplan.session.asked import text_of
from navplan.session.prompts import Mark, mark_of
from navplan.session.session import Session

log = logging.getLogger(__name__)

OUTLINE = "drawn outline"  # its name among the outlines of a slice: with a blank, as no structure has
LONGEST_NAME = 100
CLOSE_S = 2.0


@dataclass(eq=False)
class _Drawing:
    """What is being drawn. link: None until the segmenter has opened it. work: what it is at, "" for nothing. pending:
    the prompt whose answer is awaited."""

    segmenter: str
    image_id: str
    volume: Volume
    link: InteractiveDrawing | None = None
    prompts: tuple[str, ...] = ()
    licence: str = ""
    structure: Structure | None = None
    marks: tuple[Mark, ...] = ()
    pending: Mark | None = None
    work: str = ""
    since: float = 0.0
    over: str = ""
    can_undo: bool = False
    accepting: bool = False
    call: object = field(default_factory=object)  # of the call whose answer is waited for


class Interactive:
    """The drawing of one session; at most one at a time. Methods return at once, all but `accept`; `told` says how far
    it is. Raises InputError for what cannot be done as things are; what a segmenter raises stands in `told`."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._lock = threading.RLock()
        self._drawing: _Drawing | None = None
        self._error = ""
        self._outline = 0  # another one for each outline
        self._offered: list[dict[str, str]] | None = None

    # what there is

    def told(self) -> dict[str, Any]:
        """As the page shows it: plain data. offered: the segmenters, each with why it cannot be used; error: what went
        wrong last; outline: changes with the outline; drawing: None where nothing is drawn."""
        with self._lock:
            if self._offered is None:
                self._offered = _offered()
            drawing = self._drawing
            told = None if drawing is None else {
                "segmenter": drawing.segmenter, "image": drawing.image_id, "ready": drawing.link is not None,
                "work": drawing.work, "work_s": int(time.monotonic() - drawing.since) if drawing.work else 0,
                "over": drawing.over, "can_undo": drawing.can_undo,
                "prompts": list(drawing.prompts), "licence": drawing.licence,
                "marks": [asdict(mark) for mark in drawing.marks],
                "pending": None if drawing.pending is None else asdict(drawing.pending),
                "ml": _ml(drawing.structure),
            }  # fmt: skip
            return {"offered": self._offered, "drawing": told, "error": self._error, "outline": self._outline}

    def structure(self, image_id: str) -> Structure | None:
        """What is drawn in an image so far; None where nothing is."""
        with self._lock:
            drawing = self._drawing
            found = None if drawing is None or drawing.image_id != image_id else drawing.structure
            return found if found is not None and found.presence is Presence.PRESENT else None

    # what a person does

    def begin(self, segmenter: Any) -> None:
        """Have a segmenter open a drawing in the image that is looked at."""
        name = text_of(segmenter, "an interactive segmenter", LONGEST_NAME)
        with self._lock:
            if self._drawing is not None:
                raise InputError("a second drawing", "one at a time", "Accept or cancel the first")
            self._offered = None
            made: InteractiveSegmenter = registry.load(registry.INTERACTIVE, name)
            fault = made.fault()
            if fault:
                raise InputError(fault)
            image_id, volume = self._session.image()
            if made.modality and made.modality != volume.modality:
                raise InputError(f"{name} on an image of {volume.modality}", made.modality)
            drawing = self._drawing = _Drawing(name, image_id, volume)
            self._work(drawing, "connect", lambda: made.open(volume, image_id, "drawn"))

    def prompt(self, kind: Any, points: Any, positive: Any = True, normal: Any = None) -> None:
        """Draw a prompt, points LPS mm; positive False: no part of it; normal: square to the slice it was drawn on.
        Raises what `mark_of` raises."""
        mark = mark_of(kind, points, positive, normal)
        with self._lock:
            drawing, link = self._ready()
            outside = not drawing.volume.grid.contains(mark.points).all()
            if outside:
                raise InputError(f"a {mark.kind} outside the image", "points inside it, LPS mm")
            if mark.kind not in drawing.prompts:
                takes = ", ".join(drawing.prompts)
                raise InputError(f"a {mark.kind}, which {drawing.segmenter} does not take", takes)
            call = getattr(link, mark.kind)
            given = mark.points if mark.kind in ("point", "box") else (list(mark.points),)
            more = {"normal": mark.normal} if mark.kind == "scribble" else {}
            self._work(drawing, mark.kind, lambda: call(*given, mark.positive, **more), (*drawing.marks, mark), True)
            drawing.pending = mark

    def undo(self) -> None:
        """Take the last prompt back."""
        with self._lock:
            drawing, link = self._ready()
            if not drawing.can_undo:
                raise InputError("undo", "a prompt since the last undo", "Only the last prompt can be taken back")
            self._work(drawing, "undo", link.undo, drawing.marks[:-1])

    def reset(self) -> None:
        """Take all prompts back."""
        with self._lock:
            drawing, link = self._ready()
            self._work(drawing, "reset", link.reset, ())

    def stop(self) -> None:
        """Wait no longer for the segmenter: the outline stays as it was before, and nothing more can be drawn; one that
        was not open yet is no more."""
        with self._lock:
            drawing = self._drawing
            if drawing is None or not drawing.work or drawing.accepting:
                return
            if drawing.link is None:
                self._leave()
                return
            drawing.over = f"stopped while waiting for an answer ({drawing.work})"
            self._idle(drawing)
            _let_go(drawing.link)

    def accept(self, name: Any, who: Any, whole_image: Any = False) -> None:
        """The outline as a structure of the case, one revision; what `accept_drawn` raises leaves all as it was."""
        from navplan.verbs.interactive import accept_drawn

        called, by = text_of(name, "a structure", LONGEST_NAME), text_of(who, "who draws", LONGEST_NAME)
        if not isinstance(whole_image, bool):
            raise InputError("whole_image", "true or false")
        with self._lock:
            drawing = self._idle_drawing()
            if drawing.structure is None:
                raise InputError("nothing drawn to accept", "an outline", "Draw it first")
            self._begin_work(drawing, "accept")
            drawing.accepting = True
        try:
            with self._session.lock:
                held = self._session.case.volumes.get(drawing.image_id)
                same = held is not None and held.grid.same_as(drawing.volume.grid)
                if held is None or not same or (held is not drawing.volume and held.digest != drawing.volume.digest):
                    raise InputError(f"a drawing in {drawing.image_id}, which is another image now", "the same image",
                                     "Cancel it, and draw it again")  # fmt: skip
                prompts = [mark.words for mark in drawing.marks]
                case = accept_drawn(self._session.case, drawing.structure, called, by=by, licence=drawing.licence,
                                    prompts=prompts, whole_image=whole_image)  # fmt: skip
                self._session.take_case(case, "")
        except BaseException:
            with self._lock:
                drawing.accepting = False
                self._idle(drawing)
            raise
        with self._lock:
            self._leave()

    def cancel(self) -> None:
        """Leave the case as it was, whatever the segmenter is at."""
        with self._lock:
            if self._drawing is not None and self._drawing.accepting:
                raise InputError("cancel while it is being accepted", "a drawing", "Undo the last edit instead")
            self._leave()

    def close(self) -> None:
        """At the end: like cancel, with nobody to tell; waits CLOSE_S at most for the segmenter to let go."""
        with self._lock:
            leaving = self._leave()
        if leaving is not None:
            leaving.join(CLOSE_S)

    # how it is done

    def _idle_drawing(self) -> _Drawing:
        if self._drawing is None:
            raise InputError("no drawing", "one that was begun", "Connect first")
        if self._drawing.work:
            raise InputError(f"another prompt while an answer is awaited ({self._drawing.work})", "one at a time",
                             "Wait, or stop it")  # fmt: skip
        return self._drawing

    def _ready(self) -> tuple[_Drawing, InteractiveDrawing]:
        drawing = self._idle_drawing()
        if drawing.over or drawing.link is None:
            raise InputError(f"a prompt on a drawing that is over: {drawing.over}", "a new one",
                             "Accept what there is, or cancel it")  # fmt: skip
        if self._session.draft.image_id != drawing.image_id:
            raise InputError(f"a prompt in another image than {drawing.image_id}", "the image it was begun in")
        return drawing, drawing.link

    def _begin_work(self, drawing: _Drawing, work: str) -> object:
        self._error = ""
        drawing.work, drawing.since, drawing.call = work, time.monotonic(), object()
        return drawing.call

    def _idle(self, drawing: _Drawing) -> None:
        drawing.work, drawing.pending, drawing.call = "", None, object()

    def _work(
        self,
        drawing: _Drawing,
        work: str,
        call: Callable[[], Any],
        marks: tuple[Mark, ...] = (),
        can_undo: bool = False,
    ) -> None:
        mine = self._begin_work(drawing, work)
        threading.Thread(
            target=self._at_work, args=(drawing, mine, call, marks, can_undo), name="navplan-interactive", daemon=True
        ).start()

    def _at_work(
        self, drawing: _Drawing, mine: object, call: Callable[[], Any], marks: tuple[Mark, ...], can_undo: bool
    ) -> None:
        """In a thread: call the segmenter, judge what it gives, take it over if somebody still waits."""
        answer = _asked(drawing, call)
        with self._lock:
            waited = self._drawing is drawing and drawing.call is mine
            if waited:
                self._take(drawing, answer, marks, can_undo)
        if not waited and answer.link is not None:
            _let_go(answer.link)

    def _take(self, drawing: _Drawing, answer: _Answer, marks: tuple[Mark, ...], can_undo: bool) -> None:
        self._idle(drawing)
        if drawing.link is None:
            drawing.link, drawing.prompts, drawing.licence = answer.link, answer.prompts, answer.licence
            if answer.link is None:
                self._leave()
        elif answer.error:
            drawing.over = drawing.link.over or ("its answer was none" if answer.broken else "")
            if drawing.over:
                _let_go(drawing.link)
        else:
            drawing.structure, drawing.marks, drawing.can_undo = answer.structure, marks, can_undo
            self._outline += 1
        self._error = answer.error

    def _leave(self) -> threading.Thread | None:
        drawing, self._drawing = self._drawing, None
        self._error = ""
        self._outline += 1
        return None if drawing is None or drawing.link is None else _let_go(drawing.link)


@dataclass(frozen=True)
class _Answer:
    """Of one call. error: why it is none, in words; broken: because what came can be no answer."""

    link: InteractiveDrawing | None = None
    prompts: tuple[str, ...] = ()
    licence: str = ""
    structure: Structure | None = None
    error: str = ""
    broken: bool = False


def _asked(drawing: _Drawing, call: Callable[[], Any]) -> _Answer:
    """What a call of the segmenter gives; foreign code: whatever it raises must not pass for an answer."""
    try:
        found = call()
        if drawing.link is None:
            return _Answer(found, tuple(one for one in PROMPTS if one in found.prompts), str(found.licence))
    except NavplanError as refused:
        return _Answer(error=str(refused))
    except Exception as fault:
        log.exception("interactive segmenter %s", drawing.segmenter)
        words = f"{drawing.segmenter} failed: {type(fault).__name__}: {str(fault)[:200]}."
        return _Answer(error=words, broken=True)
    try:
        return _Answer(structure=refuse_misfit(found, drawing.image_id, drawing.volume.grid, drawing.segmenter))
    except InputError as misfit:
        return _Answer(error=str(misfit), broken=True)


def _let_go(link: InteractiveDrawing) -> threading.Thread:
    """Close it without waiting, in the thread that is given: its server may hang."""

    def close() -> None:
        try:
            link.close()
        except Exception:
            log.exception("closing an interactive drawing")

    closing = threading.Thread(target=close, name="navplan-interactive-close", daemon=True)
    closing.start()
    return closing


def _offered() -> list[dict[str, str]]:
    found = []
    for info in registry.available(registry.INTERACTIVE):
        if info.error:
            fault = f"It does not load: {info.error}"
            found.append({"name": info.name, "description": "", "place": "", "fault": fault})
            continue
        made: InteractiveSegmenter = registry.load(registry.INTERACTIVE, info.name)
        found.append(
            {"name": info.name, "description": made.description, "place": made.place(), "fault": made.fault()}
        )
    return found


def _ml(structure: Structure | None) -> float | None:
    if structure is None or structure.occupancy is None or structure.grid is None:
        return None
    ml = float((structure.occupancy / 255.0).sum() * structure.grid.spacing_mm.prod()) / 1000
    return round(ml, 2 if ml < 10 else 1)
