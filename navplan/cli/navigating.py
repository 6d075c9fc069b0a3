"""navigate: a way followed live, a line a second and every change of an alarm at once; and recordings replayed.

While it runs, lines on standard input tell what a team does: `touch NAME` (a landmark of the registration, under the
tool's tip now) or `touch NAME X,Y,Z` (another point of the image, LPS mm), `breath STATE` (by your word, for as long as
guidance takes it), `stop`.
"""

from __future__ import annotations

import queue
import signal
import sys
import threading
import time
from argparse import Namespace
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from navplan.cli.beside import beside_of
from navplan.cli.moved_way import point_of
from navplan.cli.output import Output
from navplan.errors import ChoiceError, InputError

if TYPE_CHECKING:
    from navplan.model.case import Case
    from navplan.model.plan import Plan
    from navplan.navigation.frames import PoseError
    from navplan.navigation.guidance import GuidanceFrame
    from navplan.verbs.navigate import LiveGuidance
    from navplan.verbs.rehearsal import Rehearsal

DONE, FAILED, NOT_DECIDED = 0, 3, 4
STEP_S, LINE_S = 0.04, 1.0
SIMULATED, REPLAY = "simulated", "replay"


def do_navigate(options: Namespace, output: Output) -> int:
    """Follow a way, or replay what was followed."""
    from navplan.verbs.case_verbs import open_case
    from navplan.verbs.navigate import plan_named

    if options.seconds is not None and not 0 < options.seconds < 1e6:
        raise InputError(f"--seconds {options.seconds:g}", "a number above 0")
    name, address = tracker_named(options.tracker)
    if options.explain is not None and name != REPLAY:
        raise InputError("--explain of a tracker that is live", "--tracker replay:FILE")
    case = open_case(options.case)
    if name == REPLAY:
        return _replay(case, options, address, output)
    plan = plan_named(case, options.plan)
    if not 1 <= options.trajectory <= len(plan.trajectories):
        raise ChoiceError(f"--trajectory {options.trajectory} of plan {plan.id}", f"1 to {len(plan.trajectories)}")
    live, rehearsed = _opened(case, plan, options, name, address)
    try:
        told = _Told(output, live)
        _run(live, rehearsed, told, options)
    finally:
        live.close()
    return told.result(options)


def tracker_named(words: str) -> tuple[str, str]:
    """NAME, NAME:ADDRESS or NAME://ADDRESS as name and address. Raises InputError for no name."""
    name, _, address = words.partition(":")
    if not name:
        raise InputError(f"--tracker {words!r}", "NAME or NAME:ADDRESS (see: navplan plugins)")
    return name, address.removeprefix("//")


def error_named(words: str) -> PoseError | None:
    """MM,DEG as the error of a pose; None for nothing. Raises InputError for what is no error."""
    from navplan.navigation.frames import PoseError

    if not words:
        return None
    try:
        position, turn = (float(part) for part in words.split(","))
    except ValueError:
        position = turn = float("nan")
    if not (0 <= position < 1e3 and 0 <= turn < 360):
        raise InputError(f"--tracker-error {words!r}", "MM,DEG: root mean square of a place, deviation of a turn")
    return PoseError(position, turn)


def _opened(
    case: Case, plan: Plan, options: Namespace, name: str, address: str
) -> tuple[LiveGuidance, Rehearsal | None]:
    """The guidance, its tracker open and its recording begun; or nothing of it, where one of them cannot be."""
    from navplan.extend import registry
    from navplan.files.calibration_files import read_tool
    from navplan.verbs.navigate import LiveGuidance, guidance_of, registered_image, registration_of
    from navplan.verbs.rehearsal import rehearsal
    from navplan.verbs.replay import recorder

    now_s = time.monotonic()
    way = plan.trajectories[options.trajectory - 1].trajectory
    tool = read_tool(options.tool, now_s) if options.tool else None
    known: dict[str, Any] = {"tool": tool, "tracker_error": error_named(options.tracker_error)}
    if options.registration:
        known["registration"] = registration_of(options.registration, way, now_s)
        known["reference"] = known["registration"].transform.source
    beside = beside_of(options, case)
    rehearsed = None
    if name == SIMULATED:
        more = {} if address else {"seed": options.seed}
        rehearsed = rehearsal(way, address, image=registered_image(case, plan.provenance.image_id), **more)
        of_it = {"tool", "tracker_error", "registration", "reference", "gate"}
        known |= {key: getattr(rehearsed, key) for key in of_it if known.get(key) is None}
    number = options.trajectory - 1
    guidance = guidance_of(case, plan, trajectory=number, beside=beside, now_s=now_s, **known)
    link = rehearsed.link if rehearsed is not None else registry.load(registry.TRACKERS, name).open(address)
    try:
        kept = recorder(options.record, case, plan, number, guidance, beside=beside) if options.record else None
    except BaseException:
        link.close()
        raise
    return LiveGuidance(guidance, link, recording=kept), rehearsed


def _run(live: LiveGuidance, rehearsed: Rehearsal | None, told: _Told, options: Namespace) -> None:
    from navplan.navigation.breath import BreathStated

    said = _listened()
    if rehearsed is not None:
        rehearsed.begin()
    began_s = time.monotonic()
    if options.breath:
        live.breathe(BreathStated(options.breath, "the command line", began_s))
    with suppress(KeyboardInterrupt):  # the way to stop it, not to cancel it
        while options.seconds is None or time.monotonic() - began_s < options.seconds:
            if rehearsed is not None:
                for words in rehearsed.before_step(live):
                    told.line(words)
            if not _heard(said, live, told):
                return
            told.frame(live.step())
            time.sleep(STEP_S)


def _listened() -> queue.SimpleQueue[str]:
    """Lines of standard input, as they come."""
    found: queue.SimpleQueue[str] = queue.SimpleQueue()
    if hasattr(signal, "SIGTTIN") and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTTIN, signal.SIG_IGN)  # in the background a terminal is not read; it must not stop us

    def listen() -> None:
        with suppress(OSError, ValueError, AttributeError):  # no standard input
            for line in sys.stdin:
                found.put(line)

    threading.Thread(target=listen, name="standard input", daemon=True).start()
    return found


def _heard(said: queue.SimpleQueue[str], live: LiveGuidance, told: _Told) -> bool:
    """Do what was said; False: stop. What cannot be done is told, and stops nothing."""
    from navplan.navigation.breath import BreathStated

    while not said.empty():
        word, _, rest = said.get().strip().partition(" ")
        try:
            if word == "stop":
                return False
            if word == "breath" and rest:
                live.breathe(BreathStated(rest.strip(), "standard input", live.clock()))
            elif word == "touch":
                name, _, place = rest.strip().rpartition(" ")
                point = point_of(place, "touch NAME") if "," in place else None
                name = name if point is not None else rest.strip()
                if not name:
                    raise InputError(f"touch {rest.strip()!r}", "touch NAME, or touch NAME X,Y,Z")
                told.line(live.touch(name, point).words)
            elif word:
                raise InputError(word, "touch NAME; touch NAME X,Y,Z; breath STATE; stop")
        except InputError as error:
            told.line(f"not done: {error}")
    return True


class _Told:
    """What is printed of frames, and counted for the end."""

    def __init__(self, output: Output, live: LiveGuidance) -> None:
        self._output, self._live = output, live
        self._began_s = live.clock()
        self._line_s, self._changes = float("-inf"), 0
        self.count: dict[str, int] = {}
        self.last: GuidanceFrame | None = None

    def line(self, words: str) -> None:
        self._output.line(f"{self._live.clock() - self._began_s:7.2f} s  {words}")

    def frame(self, frame: GuidanceFrame) -> None:
        self.last = frame
        self.count[frame.verdict.value] = self.count.get(frame.verdict.value, 0) + 1
        board = self._live.guidance.alarms
        for change in board.log[max(self._changes - board.dropped, 0) :]:
            self.line(f"{change.what} {change.verdict}: {change.words}")
        self._changes = board.dropped + len(board.log)
        if frame.now_s - self._line_s >= LINE_S:
            self._line_s = frame.now_s
            self.line(frame_words(frame))

    def result(self, options: Namespace) -> int:
        from navplan.model.finding import Verdict

        verdict = self.last.verdict if self.last is not None else Verdict.NOT_EVALUATED
        words = self.last.words if self.last is not None else "no frame"
        told = {
            "verdict": verdict, "words": words, "frames": self.count, "recording": options.record or None,
            "reasons": self.last.reasons if self.last else (), "alarms": self._live.guidance.alarms.log,
            "checkpoints": self._live.guidance.checkpoints,
        }  # fmt: skip
        counted = ", ".join(f"{count} {name}" for name, count in self.count.items())
        fault = self._live.recording.fault if self._live.recording else ""
        kept = f"; {fault or 'recorded in ' + options.record}" if options.record else ""
        self._output.result(f"{verdict}\nlast frame: {words}\nframes: {counted or 'none'}{kept}", told)
        return exit_code(verdict)


def exit_code(verdict: Any) -> int:
    """0 PASS or WARN, 3 FAIL, 4 NOT_EVALUATED."""
    from navplan.model.finding import Verdict

    return {Verdict.FAIL: FAILED, Verdict.NOT_EVALUATED: NOT_DECIDED}.get(verdict, DONE)


def frame_words(frame: GuidanceFrame) -> str:
    """One line of a frame; numbers of the needle's place only where it is known now."""
    from navplan.model.finding import tenth_below

    at = frame.approach
    if at is None:
        return frame.words
    near = frame.nearest
    least = f", nearest {near.name} {tenth_below(near.low_mm):.1f} mm" if near is not None else ""
    return (
        f"{frame.words} | depth {at.depth_mm:.1f} mm, {at.target_distance_mm:.1f} mm to the target,"
        f" {at.cross_track_mm:.1f} mm and {at.angle_deg:.1f} deg off{least}"
    )


def _replay(case: Case, options: Namespace, address: str, output: Output) -> int:
    """Every frame again, and the same, or a refusal."""
    from navplan.files.recording import read_recording
    from navplan.files.recording_words import explain
    from navplan.model.finding import Verdict
    from navplan.verbs.replay import replayed

    others = (options.record, options.registration, options.tool, options.tracker_error, options.breath, options.beside)
    if any(others):
        words = "a replay with another tool, registration, error, breath, needle beside it or recording"
        raise InputError(words, "what was recorded")
    recording = read_recording(address)
    words = explain(recording, options.explain) if options.explain is not None else ""
    count: dict[str, int] = {}
    first_s = line_s = float("nan")
    verdict, last = Verdict.NOT_EVALUATED, "no frame"
    for recorded, frame in replayed(case, recording, options.plan):
        if not sum(count.values()):
            first_s = recorded.now_s
        passed_s = recorded.now_s - first_s
        if options.seconds is not None and passed_s >= options.seconds:
            break
        verdict, last = frame.verdict, frame.words
        count[verdict.value] = count.get(verdict.value, 0) + 1
        if not words and not recorded.now_s - line_s < LINE_S:
            line_s = recorded.now_s
            output.line(f"{passed_s:7.2f} s  {frame_words(frame)}")
    whole = "finished" if recording.ended else "not finished: the program or the machine stopped while it was written"
    counted = ", ".join(f"{number} {name}" for name, number in count.items())
    told = {
        "verdict": verdict, "words": last, "frames": count, "same": True, "finished": recording.ended,
        "explained": words or None,
    }  # fmt: skip
    text = f"{verdict}\nlast frame: {last}\nframes: {counted or 'none'}, each the same; the recording is {whole}"
    output.result(words or text, told)
    return exit_code(verdict)
