"""One person's work on one case: what the page shows and does, without a window.

Every action changes the draft (what was chosen), or the case (what was made), never both halfway: the case is saved as
one revision before the draft points to what is new in it. The draft is kept beside the case after every action.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from navplan.errors import CaseFolderError, ChoiceError, FileFormatError, InputError
from navplan.extend import registry
from navplan.files.session_file import read_session, write_session
from navplan.model.case import Case
from navplan.model.draft import Draft, Point
from navplan.model.plan import Plan, SkinMap
from navplan.model.volume import Volume
from navplan.planning.situation import Situation
from navplan.session.dragging import Dragging
from navplan.session.history import History
from navplan.session.shown import Shown, judged, live, onto_skin, situation_for, way_of
from navplan.verbs.case_verbs import open_case, save_case
from navplan.verbs.situation import now, situation_of, target_of

if TYPE_CHECKING:
    from navplan.verbs.report import ReportFiles

Progress = Callable[[str, float], None]
REQUEST = ("image_id", "protocol", "target", "aim_mm", "side", "device", "guidance", "patient_position")


class Session:
    """All behaviour of the app. Calls may come from several threads, one at a time is served.

    folder: of the case. Raises what open_case raises. notes: what a person should be told that was found on opening.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.lock = threading.RLock()
        self.case: Case = open_case(self.folder)
        self.notes: list[str] = []
        self.unsaved = ""  # why the draft could not be kept
        self.looked_at: set[str] = set()  # views a person has had before them
        self.written: dict[str, str] = {}  # plan and way -> when its report was written
        self.hidden: tuple[str, ...] = ()  # structures that a person does not want to see; shared by all pages
        self.colours: dict[str, tuple[int, int, int]] = {}
        self._shown: dict[tuple[Any, ...], Shown] = {}
        self._dragging = Dragging()
        self._situations: dict[tuple[str, int], Situation] = {}
        try:
            drafts, at = read_session(self.folder)
        except (FileFormatError, OSError) as error:
            drafts, at = (), 0
            self.notes.append(f"what was being done here could not be read, and starts anew: {error}")
        self.history = History(drafts, at)
        self._mend()

    # what there is

    @property
    def draft(self) -> Draft:
        """What is chosen."""
        return self.history.now

    def image(self) -> tuple[str, Volume]:
        """The image that is worked on. Raises ChoiceError where the case has none."""
        return self.case.image(self.draft.image_id)

    def plan_now(self) -> Plan | None:
        """The plan that is looked at."""
        return self.case.plans.get(self.draft.plan_id)

    def shown(self) -> Shown | None:
        """The way that is looked at, judged now; None where there is none."""
        with self.lock:
            plan = self.plan_now()
            if plan is None or not plan.trajectories:
                return None
            draft = self.draft
            key = (plan.id, draft.way, draft.entry_mm, draft.moved_aim_mm, self.case.revision)
            if key not in self._shown:
                if len(self._shown) > 40:
                    self._shown.clear()
                self._shown[key] = judged(self.case, draft, self.situation(plan))
            return self._shown[key]

    def situation(self, plan: Plan) -> Situation:
        """What ways of a plan are judged against, kept as long as the case stays as it is."""
        key = (plan.id, self.case.revision)
        if key not in self._situations:
            self._situations = {key: situation_for(self.case, plan)}
        return self._situations[key]

    def live(self, entry_mm: Point | None = None, aim_mm: Point | None = None) -> Shown:
        """The way as it would be with another entry or aim; nothing is changed. Raises InputError without a way."""
        with self.lock:
            return live(self._must_show(), entry_mm, aim_mm)

    def answers_request(self, plan: Plan) -> bool:
        """Whether a plan is one for what is chosen now."""
        draft = self.draft
        device = plan.trajectories[0].trajectory.device.id if plan.trajectories else ""
        asked = (draft.protocol, draft.target, draft.image_id, draft.patient_position or plan.patient_position)
        has = (plan.protocol.id, plan.target.structure, plan.provenance.image_id, plan.patient_position)
        point = draft.aim_mm is None or draft.aim_mm == plan.target.point_mm
        sides = {"L": "left", "R": "right"}
        side = sides.get(draft.side, draft.side) == plan.side
        guided = draft.guidance in ("", plan.error_model.id)
        return asked == has and point and side and guided and (draft.device in ("", device) or not plan.trajectories)

    # what a person does

    def choose(self, **choices: Any) -> None:
        """Choose image, protocol, target, side, device, guidance or position; a plan stays until there is a new one.

        Raises InputError for a choice of another name, ChoiceError for one that the case does not offer.
        """
        unknown = sorted(set(choices) - set(REQUEST))
        if unknown:
            raise InputError(f"a choice of {', '.join(unknown)}", ", ".join(REQUEST))
        with self.lock:
            self._refuse_unknown(choices)
            if "target" in choices and "aim_mm" not in choices:
                choices["aim_mm"] = None
            if "protocol" in choices and choices["protocol"] != self.draft.protocol:
                choices.setdefault("device", "")
                choices.setdefault("guidance", "")
            self.history.change(**choices)
            self._keep()

    def aim_at(self, point_mm: Point) -> None:
        """Aim at a point LPS mm: of the lesion that holds it, else a bare point."""
        from navplan.verbs.situation import target_of

        with self.lock:
            image_id, volume = self.image()
            if not volume.grid.contains(point_mm):
                raise InputError(f"a target at {point_mm} mm LPS", "a point inside the image")
            target = target_of(self.case.structures_of(image_id), point_mm)
            self.history.change(target=target.structure, aim_mm=target.point_mm)
            self._keep()

    def plan(self, progress: Progress = lambda words, share: None) -> Plan:
        """Search every way in for what is chosen; the plan is saved and looked at. Raises what verbs.plan raises."""
        from navplan.verbs.plan import plan

        with self.lock:
            draft = self._ready()
            made = plan(
                self.case, draft.protocol, draft.aim_mm or draft.target, side=draft.side, image=draft.image_id,
                device=draft.device, guidance=draft.guidance, patient_position=draft.patient_position,
                progress=progress,
            )  # fmt: skip
            self._save(self.case.with_plan(made), "plan", plan=made.id)
            self.history.change(plan_id=made.id, way=0, entry_mm=None, moved_aim_mm=None)
            self._keep()
            return made

    def take_way(self, number: int, plan_id: str = "") -> None:
        """Look at another way, or another plan. Raises InputError, ChoiceError where there is none."""
        with self.lock:
            plan = self.case.plan(plan_id or self.draft.plan_id)
            if plan.trajectories or number:
                way_of(plan, number)
            self.history.change(plan_id=plan.id, way=number, entry_mm=None, moved_aim_mm=None)
            self._keep()

    def move(self, entry_mm: Point | None = None, aim_mm: Point | None = None) -> Shown:
        """Move the way's entry, its aim, or both (LPS mm). What cannot be judged is refused and changes nothing."""
        with self.lock:
            if entry_mm is not None and self.shown() is None:
                return self._draw(entry_mm)
            shown = self._must_show()
            found = live(shown, entry_mm, aim_mm)
            choices: dict[str, Any] = {}
            if entry_mm is not None:
                choices["entry_mm"] = found.way.entry_mm
            if aim_mm is not None:
                choices["moved_aim_mm"] = found.way.target_mm
            before = self.history.at
            self.history.change(**choices)
            try:
                now = self._must_show()
            except InputError:
                self.history.at = before
                raise
            self._keep()
            return now

    def _draw(self, entry_mm: Point) -> Shown:
        """A way to the target that no search offered: where there is none, a person may still draw one."""
        from navplan.verbs.drawn_way import drawn_way

        draft = self._ready()
        image_id, _ = self.image()
        aim = draft.aim_mm or draft.target
        asked = situation_of(
            self.case, registry.protocol(draft.protocol), target_of(self.case.structures_of(image_id), aim),
            side=draft.side, image=image_id, guidance=draft.guidance, patient_position=draft.patient_position,
        )  # fmt: skip
        made = drawn_way(
            self.case, draft.protocol, aim, onto_skin(asked, entry_mm, asked.target.point_mm), side=draft.side,
            image=image_id, device=draft.device, guidance=draft.guidance, patient_position=draft.patient_position,
        )  # fmt: skip
        self._save(self.case.with_plan(made), "draw", plan=made.id)
        self.history.change(plan_id=made.id, way=0, entry_mm=None, moved_aim_mm=None)
        self._keep()
        return self._must_show()

    def _ready(self) -> Draft:
        """The draft, if protocol and target are chosen. Raises ChoiceError."""
        draft = self.draft
        if not draft.protocol:
            raise ChoiceError("no protocol chosen", ", ".join(sorted(registry.protocols())))
        if not draft.target and draft.aim_mm is None:
            raise ChoiceError("no target chosen", "a structure, or a point in the image")
        return draft

    def put_back(self) -> None:
        """The way where the search put it."""
        with self.lock:
            self.history.change(entry_mm=None, moved_aim_mm=None)
            self._keep()

    def keep_moved(self) -> Plan:
        """The moved way as a plan of its own. Raises InputError where nothing was moved."""
        from navplan.verbs.by_hand import by_hand

        with self.lock:
            draft = self.draft
            if not draft.moved:
                raise InputError("a way that was not moved, to be kept as a plan", "one whose entry or aim was moved")
            made = by_hand(self.case, draft.plan_id, draft.way, entry=draft.entry_mm, aim=draft.moved_aim_mm)
            self._save(self.case.with_plan(made), "adjust", plan=made.id)
            self.history.change(plan_id=made.id, way=0, entry_mm=None, moved_aim_mm=None)
            self._keep()
            return made

    def approve(self, who: str, reason: str, acknowledge: Sequence[str]) -> None:
        """Approve the way that is looked at. Raises InputError naming what was not acknowledged."""
        from navplan.verbs.approve import approve

        with self.lock:
            if self.draft.moved:
                self.keep_moved()
            self._with_remarks()
            shown = self._must_show()
            case, plan = approve(
                self.case, shown.plan, shown.number, who=who, reason=reason, acknowledge=tuple(acknowledge)
            )
            self._save(case, "")
            self.history.amend(plan_id=plan.id)
            self._keep()

    def withdraw(self, who: str, reason: str) -> None:
        """Take the approval of the plan back."""
        from navplan.verbs.approve import withdraw

        with self.lock:
            plan = self._must_show().plan
            case, _ = withdraw(self.case, plan, who=who, reason=reason)
            self._save(case, "")

    def state_absent(self, names: Sequence[str], who: str) -> None:
        """Say that structures are absent: a person looked."""
        from navplan.verbs.segment import absent

        with self.lock:
            case = self.case
            for name in names:
                case = absent(case, name, who, self.image()[0])
            self._save(case, "")

    def remark(self, words: str) -> None:
        """Keep the person's own notes."""
        with self.lock:
            self.history.change(remarks=words[:20_000])
            self._keep()

    def look(self, hidden: Sequence[str], colours: dict[str, Any]) -> None:
        """Which structures are hidden, and colours (0..255) of a person's choice. What decides a verdict is drawn
        all the same. Raises InputError for colours that are none."""
        chosen = {}
        for name, colour in colours.items():
            if not (isinstance(colour, list) and len(colour) == 3 and all(v in range(256) for v in colour)):
                raise InputError(f"colour {str(colour)[:40]} of {name[:60]}", "three whole numbers of 0 to 255")
            chosen[str(name)] = (int(colour[0]), int(colour[1]), int(colour[2]))
        with self.lock:
            self.hidden, self.colours = tuple(str(name) for name in hidden), chosen

    def provisional_map(self, shown: Shown) -> SkinMap | None:
        """The skin map of the plan as it may be for the aim that is being dragged; coarse, never a verdict. None where
        the plan has no map, or while what it needs is being made."""
        with self.lock:
            return self._dragging.skin_map(shown)

    def undo(self) -> None:
        """One step back."""
        with self.lock:
            self.history.undo()
            self._mend()
            self._keep()

    def redo(self) -> None:
        """One step forward."""
        with self.lock:
            self.history.redo()
            self._mend()
            self._keep()

    def reload(self) -> None:
        """The case as it is on the disk now: another program may have changed it."""
        with self.lock:
            self.case = open_case(self.folder)
            self._shown.clear()
            self._situations.clear()
            self._mend()

    def report(
        self, folder: Path, card_only: bool = False, progress: Progress = lambda words, share: None
    ) -> ReportFiles:
        """Report and card, or the card alone, of the way that is looked at, into a folder. A moved way is kept as a
        plan first: what is printed must be found again in the case."""
        from navplan.verbs.report import report

        with self.lock:
            if self.draft.moved:
                self.keep_moved()
            self._with_remarks()
            shown = self._must_show()
            case, number = self.case, shown.number
        made = report(case, shown.plan, folder, trajectory=number, card_only=card_only, progress=progress)
        self.written[f"{shown.plan.id}/{number}"] = now()
        return made

    def why_not(self, entry_mm: Point) -> dict[str, Any]:
        """What the skin map says of an entry, and all that stands against it, worst first."""
        from navplan.planning.why_not import limit_line, reason_on_map, why_not
        from navplan.view.colours import spoken_words

        with self.lock:
            shown = self._must_show()
            told = reason_on_map(shown.plan.skin_map, entry_mm) if shown.plan.skin_map is not None else None
            found = why_not(shown.situation, shown.way.device, entry_mm)
        return {
            "map": spoken_words(str(told)) if told is not None else "", "entry": list(entry_mm),
            "against": [
                {
                    "verdict": one.verdict.value, "line": spoken_words(limit_line(one)),
                    "remedy": spoken_words(one.remedy),
                }
                for one in found
            ],
        }  # fmt: skip

    def compare(self, a: Any, b: Any) -> dict[str, Any]:
        """Two ways, each [plan, way from 0], side by side."""
        from dataclasses import asdict

        from navplan.verbs.compare import compare

        sides = []
        for side in (a, b):
            fits = isinstance(side, list) and len(side) == 2
            if not (fits and isinstance(side[0], str) and isinstance(side[1], int)):
                raise InputError(f"a side {str(side)[:60]}", "[id of a plan, which way, counted from 0]")
            sides.append((side[0], side[1]))
        with self.lock:
            (plan_a, way_a), (plan_b, way_b) = sides
            plans = self.case.plan(plan_a), self.case.plan(plan_b)  # ids, never paths
            found = compare(self.case, *plans, trajectory_a=way_a, trajectory_b=way_b)
        return asdict(found)

    # how it is kept

    def _must_show(self) -> Shown:
        shown = self.shown()
        if shown is None:
            raise InputError("no way in to work on", "a plan with a way in", "Search the ways in first")
        return shown

    def _with_remarks(self) -> None:
        """The person's notes into the plan that they are about, where they are printed."""
        plan, words = self.plan_now(), self.draft.remarks
        if plan is not None and words != plan.remarks:
            self._save(self.case.with_plan(replace(plan, remarks=words)), "remark", plan=plan.id)

    def _refuse_unknown(self, choices: dict[str, Any]) -> None:
        image_id = choices.get("image_id", self.draft.image_id)
        if image_id and image_id not in self.case.volumes:
            raise ChoiceError(f"image {image_id!r}", ", ".join(self.case.volumes))
        if choices.get("protocol"):
            registry.protocol(choices["protocol"])
        if choices.get("device"):
            registry.device(choices["device"])
        target = choices.get("target", "")
        if target and target not in self.case.structures_of(self.case.image(image_id)[0]):
            raise ChoiceError(f"target {target!r}", "a structure of the image")

    def _mend(self) -> None:
        """Defaults for what can be told, and no draft that points to what is not there."""
        draft = self.draft
        if draft.image_id not in self.case.volumes:
            image_id = next(iter(self.case.volumes), "")
            self.history.amend(image_id=image_id)
        if draft.plan_id and draft.plan_id not in self.case.plans:
            self.notes.append(f"plan {draft.plan_id} is no longer in the case")
            self.history.amend(plan_id="", way=0, entry_mm=None, moved_aim_mm=None)
        draft = self.draft
        if not draft.plan_id and len(self.case.plans) and self.history.at == 0 and not draft.protocol:
            plan = list(self.case.plans.values())[-1]
            side = {"left": "L", "right": "R"}.get(plan.side, "")
            self.history.amend(
                image_id=plan.provenance.image_id, protocol=plan.protocol.id, target=plan.target.structure, side=side,
                patient_position=plan.patient_position, plan_id=plan.id, way=0,
            )  # fmt: skip
        found = self.plan_now()
        if found is not None and self.draft.way >= max(len(found.trajectories), 1):
            self.history.amend(way=0, entry_mm=None, moved_aim_mm=None)

    def _save(self, case: Case, action: str, **details: Any) -> None:
        """The case as a new revision. Where another program changed it meanwhile, it is read anew, and the error says
        so."""
        try:
            self.case = save_case(case, self.folder, action, details)
        except CaseFolderError:
            if (self.folder / "case.json").exists():
                self.reload()
            raise
        self._shown.clear()

    def _keep(self) -> None:
        """The draft beside the case. A disk that refuses is told, and stops nobody."""
        try:
            write_session(self.folder, self.history.drafts, self.history.at)
            self.unsaved = ""
        except OSError as error:
            self.unsaved = f"{error.strerror or error}: {self.folder}"
