"""One person's work on one case: what the page shows and does, without a window.

Every action changes the draft (what was chosen), or the case (what was made), never both halfway: the case is saved as
one revision before the draft points to what is new in it. The draft is kept beside the case after every action.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from navplan.errors import CaseFolderError, ChoiceError, FileFormatError, GeometryError, InputError
from navplan.extend import registry
from navplan.files.session_file import read_session, write_session
from navplan.geometry.table_angles import POSITION_WORDS
from navplan.model.case import Case
from navplan.model.draft import Draft, Point
from navplan.model.plan import Plan, SkinMap
from navplan.model.volume import Volume
from navplan.session.asked import choices_of, colours_of, names_of, number_of, text_of
from navplan.session.dragging import Dragging
from navplan.session.history import History
from navplan.session.judged_ways import JudgedWays
from navplan.session.shown import Shown, judged, live, moved_to, onto_skin, way_of
from navplan.verbs.case_verbs import open_case, save_case
from navplan.verbs.situation import audited, now, situation_of, target_of

if TYPE_CHECKING:
    from navplan.model.safety import SafetyReport
    from navplan.verbs.report import ReportFiles

Progress = Callable[[str, float], None]
LONGEST_REMARK = 20_000


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
        self._looked_at: set[tuple[Any, ...]] = set()  # views a person has had before them, and of which way
        self.written: dict[str, str] = {}  # plan and way -> when its report was written
        self.hidden: tuple[str, ...] = ()  # structures that a person does not want to see; shared by all pages
        self.colours: dict[str, tuple[int, int, int]] = {}
        self._shown: dict[tuple[Any, ...], Shown] = {}
        self._ways = JudgedWays()
        self._dragging = Dragging()
        try:
            drafts, at = read_session(self.folder)
        except (FileFormatError, OSError) as error:
            drafts, at = (), 0
            self.notes.append(f"what was being done here could not be read, and starts anew: {error}")
        self.history = History(drafts, at)
        if not drafts:
            self._begin()
        self._mend()

    # what there is

    @property
    def draft(self) -> Draft:
        """What is chosen."""
        return self.history.now

    @property
    def key(self) -> str:
        """Tells this case from any other that may be served at the same address: its folder and id, as a digest."""
        return hashlib.sha256(f"{self.folder.absolute()}\0{self.case.id}".encode()).hexdigest()[:16]

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
            return None if plan is None or not plan.trajectories else self._judged(plan, self.draft)

    def _judged(self, plan: Plan, draft: Draft) -> Shown:
        """A way of the plan as a draft has it, judged on the case as it is, today: an image grows old."""
        key = (plan.id, draft.way, draft.entry_mm, draft.moved_aim_mm, self.case.revision, today())
        if key not in self._shown:
            if len(self._shown) > 40:
                self._shown.clear()
            found = self._shown[key] = judged(self.case, draft)
            if not draft.moved:
                self._ways.know(self.case, plan, draft.way, found.ranked.report, today())
        return self._shown[key]

    def reports(self, plan: Plan) -> tuple[SafetyReport | None, ...]:
        """Of each way of a plan a report made on the case as it is; None for one that cannot be judged."""
        with self.lock:
            return self._ways.reports(self.case, plan, today())

    def live(self, entry_mm: Point | None = None, aim_mm: Point | None = None) -> Shown:
        """The way as it would be with another entry or aim; nothing is changed. Raises InputError without a way."""
        with self.lock:
            return live(self._must_show(), self.draft, entry_mm, aim_mm)

    def answers_request(self, plan: Plan) -> bool:
        """Whether a plan is one for what is chosen now."""
        draft = self.draft
        device = plan.trajectories[0].trajectory.device.id if plan.trajectories else ""
        asked = (draft.protocol, draft.target, draft.image_id, draft.patient_position or plan.patient_position)
        has = (plan.protocol.id, plan.target.structure, plan.provenance.image_id, plan.patient_position)
        point = draft.aim_mm is None or draft.aim_mm == plan.target.point_mm
        sides = {"L": "left", "R": "right"}
        side = (sides.get(draft.side, draft.side), draft.level) == (plan.side, plan.level)
        guided = draft.guidance in ("", plan.error_model.id)
        return asked == has and point and side and guided and (draft.device in ("", device) or not plan.trajectories)

    # what a person does

    def choose(self, **choices: Any) -> None:
        """Choose image, protocol, target, side, device, guidance or position; a plan stays until there is a new one.

        Another image puts away what was chosen on the one before: its plan, and a point on it. Raises InputError for a
        choice of another name or kind, ChoiceError for one that the case does not offer.
        """
        chosen = choices_of(choices)
        with self.lock:
            self._refuse_unknown(chosen)
            if "image_id" in chosen and chosen["image_id"] != self.draft.image_id:
                chosen = {"aim_mm": None, **chosen, **self._without_plan_of_another(chosen["image_id"])}
            if "target" in chosen:
                chosen.setdefault("aim_mm", None)
            if "protocol" in chosen and chosen["protocol"] != self.draft.protocol:
                chosen = {"device": "", "guidance": "", "level": "", **chosen}
            self._change(**chosen)

    def _without_plan_of_another(self, image_id: str) -> dict[str, Any]:
        plan = self.plan_now()
        if plan is None or plan.provenance.image_id == image_id:
            return {}
        return {"plan_id": "", "way": 0, "entry_mm": None, "moved_aim_mm": None}

    def aim_at(self, point_mm: Point) -> None:
        """Aim at a point LPS mm: of the lesion that holds it, else a bare point."""
        from navplan.verbs.situation import target_of

        with self.lock:
            image_id, volume = self.image()
            if not volume.grid.contains(point_mm):
                raise InputError(f"a target at {point_mm} mm LPS", "a point inside the image")
            target = target_of(self.case.structures_of(image_id), point_mm)
            self._change(target=target.structure, aim_mm=target.point_mm)

    def plan(self, progress: Progress = lambda words, share: None) -> Plan:
        """Search every way in for what is chosen; the plan is saved and looked at. Raises what verbs.plan raises."""
        from navplan.verbs.plan import plan

        with self.lock:
            draft = self._ready()
            made = plan(
                self.case, draft.protocol, draft.aim_mm or draft.target, side=draft.side, level=draft.level,
                image=draft.image_id, device=draft.device, guidance=draft.guidance,
                patient_position=draft.patient_position, progress=progress,
            )  # fmt: skip
            self._save(self.case.with_plan(made), "plan", plan=made.id)
            for number, ranked in enumerate(made.trajectories):
                self._ways.know(self.case, made, number, ranked.report, today())
            self._change(plan_id=made.id, way=0, entry_mm=None, moved_aim_mm=None)
            return made

    def take_way(self, number: int, plan_id: str = "") -> None:
        """Look at another way, or another plan and its image. Raises InputError, ChoiceError where there is none."""
        number, plan_id = number_of(number, "a way"), text_of(plan_id, "a plan")
        with self.lock:
            plan = self.case.plan(plan_id or self.draft.plan_id)
            if plan.trajectories or number:
                way_of(plan, number)
            made_on = plan.provenance.image_id
            image_id = made_on if made_on in self.case.volumes else self.draft.image_id
            self._change(image_id=image_id, plan_id=plan.id, way=number, entry_mm=None, moved_aim_mm=None)

    def move(self, entry_mm: Point | None = None, aim_mm: Point | None = None) -> Shown:
        """Move the way's entry, its aim, or both (LPS mm). What cannot be judged is refused and changes nothing."""
        with self.lock:
            if entry_mm is not None and self.shown() is None:
                return self._draw(entry_mm)
            shown = self._must_show()
            way = moved_to(shown, self.draft, entry_mm, aim_mm).trajectory
            choices: dict[str, Any] = {}
            if entry_mm is not None:
                choices["entry_mm"] = way.entry_mm
            if aim_mm is not None:
                choices["moved_aim_mm"] = way.target_mm
            judged_so = self._judged(shown.plan, replace(self.draft, **choices))
            self._change(**choices)
            return judged_so

    def _draw(self, entry_mm: Point) -> Shown:
        """A way to the target that no search offered: where there is none, a person may still draw one."""
        from navplan.verbs.drawn_way import drawn_way

        draft = self._ready()
        image_id, _ = self.image()
        aim = draft.aim_mm or draft.target
        asked = situation_of(
            self.case, registry.protocol(draft.protocol), target_of(self.case.structures_of(image_id), aim),
            side=draft.side, level=draft.level, image=image_id, guidance=draft.guidance,
            patient_position=draft.patient_position,
        )  # fmt: skip
        made = drawn_way(
            self.case, draft.protocol, aim, onto_skin(asked, entry_mm, asked.target.point_mm), side=draft.side,
            level=draft.level, image=image_id, device=draft.device, guidance=draft.guidance,
            patient_position=draft.patient_position,
        )  # fmt: skip
        self._save(self.case.with_plan(made), "draw", plan=made.id)
        self._change(plan_id=made.id, way=0, entry_mm=None, moved_aim_mm=None)
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
            self._change(entry_mm=None, moved_aim_mm=None)

    def keep_moved(self) -> Plan:
        """The moved way as a plan of its own. Raises InputError where nothing was moved."""
        with self.lock:
            made = self._moved_plan()
            self._save(self.case.with_plan(made), "adjust", plan=made.id)
            self._look_at_kept(made)
            return made

    def _look_at_kept(self, made: Plan) -> None:
        """A moved way that became a plan; where a point was asked for, its own is what is asked for from now on."""
        aim = None if self.draft.aim_mm is None else made.target.point_mm
        self._change(plan_id=made.id, way=0, entry_mm=None, moved_aim_mm=None, aim_mm=aim)

    def _moved_plan(self) -> Plan:
        from navplan.verbs.by_hand import by_hand

        draft = self.draft
        if not draft.moved:
            raise InputError("a way that was not moved, to be kept as a plan", "one whose entry or aim was moved")
        plan = self.case.plan(draft.plan_id)
        return by_hand(self.case, plan, draft.way, entry=draft.entry_mm, aim=draft.moved_aim_mm)

    def as_seen(self, key: str) -> None:
        """Raises InputError unless the way that is looked at is the one with this `Shown.key`: another page may have
        taken another way, moved it, or changed what it is judged on."""
        if text_of(key, "what was seen") != self._must_show().key:
            raise InputError(
                "another way, or another judgement, than the page showed when this was asked for",
                "the way that is before you", "Look at it again, then repeat the step",
            )  # fmt: skip

    def approve(self, who: str, reason: str = "", acknowledge: Sequence[str] = ()) -> None:
        """Approve the way that is looked at; a moved one is kept as a plan with it, in one revision. Raises InputError
        naming what was not acknowledged."""
        from navplan.verbs.approve import approve

        said: dict[str, Any] = {
            "who": text_of(who, "who approves"), "reason": text_of(reason, "a reason"),
            "acknowledge": names_of(acknowledge, "what is acknowledged"),
        }  # fmt: skip
        with self.lock:
            moved, number = self.draft.moved, self.draft.way
            plan = self._with_remarks(self._moved_plan() if moved else self._must_show().plan)
            case = self.case.with_plan(plan)
            if moved:
                case, number = audited(case, "adjust", plan=plan.id), 0
            case, _ = approve(case, plan, number, **said)
            self._save(case, "")
            if moved:
                self._look_at_kept(plan)

    def withdraw(self, who: str, reason: str) -> None:
        """Take the approval of the plan back; of one whose ways can no longer be judged, too."""
        from navplan.verbs.approve import withdraw

        who, reason = text_of(who, "who withdraws"), text_of(reason, "a reason")
        with self.lock:
            plan = self.plan_now()
            if plan is None:
                raise InputError("no plan to withdraw the approval of", "a plan that is approved")
            case, _ = withdraw(self.case, plan, who=who, reason=reason)
            self._save(case, "")

    def state_absent(self, names: Sequence[str], who: str) -> None:
        """Say that structures are absent: a person looked."""
        from navplan.verbs.segment import absent

        names, who = names_of(names, "what is absent"), text_of(who, "who looked")
        if not names:
            raise InputError("nothing said to be absent", "names of structures")
        with self.lock:
            case = self.case
            for name in names:
                case = absent(case, name, who, self.image()[0])
            self._save(case, "")

    def remark(self, words: str) -> None:
        """Keep the person's own notes; what is approved or printed from then on has them."""
        words = text_of(words, "a remark", LONGEST_REMARK)
        with self.lock:
            self._change(remarks=words)

    def look(self, hidden: Sequence[str], colours: dict[str, Any]) -> None:
        """Which structures are hidden, and colours (0..255) of a person's choice. What decides a verdict is drawn
        all the same. Raises InputError for colours that are none."""
        not_seen, chosen = names_of(hidden, "what is hidden"), colours_of(colours)
        with self.lock:
            self.hidden, self.colours = not_seen, chosen

    def saw(self, view: str) -> bool:
        """Note that a person has a view of the way before them; whether it is the first time."""
        with self.lock:
            new = not self.has_seen(view)
            self._looked_at.add(self._sight(view))
            return new

    def has_seen(self, view: str) -> bool:
        """Whether a person has had a view of the way, as it is, before them."""
        return self._sight(view) in self._looked_at

    def _sight(self, view: str) -> tuple[Any, ...]:
        draft = self.draft
        return view, draft.plan_id, draft.way, draft.entry_mm, draft.moved_aim_mm

    def provisional_map(self, shown: Shown) -> SkinMap | None:
        """The skin map of the plan as it may be for the aim that is being dragged; coarse, never a verdict. None where
        the plan has no map, or while what it needs is being made."""
        with self.lock:
            return self._dragging.skin_map(shown)

    def take_case(self, case: Case, action: str, **details: Any) -> None:
        """A case that a verb made of this one, as a new revision. The first image is looked at where there was none.
        To be called under the lock that the case was read under."""
        with self.lock:
            self._save(case, action, **details)
            self._mend()
            self._keep()

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
        """The case as it is on the disk now: another program may have changed it. Raises CaseFolderError where another
        case, or another patient's, lies there."""
        with self.lock:
            found = open_case(self.folder)
            patients = {self.case.patient_digest, found.patient_digest} - {""}
            if found.id != self.case.id or len(patients) > 1:
                raise CaseFolderError(
                    f"{self.folder} holds another case now: {found.id}", f"{self.case.id}, which was opened",
                    "Put it back, or open the other one by itself",
                )  # fmt: skip
            self.case = found
            self._shown.clear()
            self._mend()
            self._keep()

    def report(
        self, folder: Path, card_only: bool = False, progress: Progress = lambda words, share: None
    ) -> ReportFiles:
        """Report and card, or the card alone, of the way that is looked at, into a folder. A moved way is kept as a
        plan first: what is printed must be found again in the case."""
        from navplan.verbs.report import report

        with self.lock:
            if self.draft.moved:
                self.keep_moved()
            plan = self._must_show().plan
            if self._with_remarks(plan) is not plan:
                self._save(self.case.with_plan(self._with_remarks(plan)), "remark", plan=plan.id)
            shown = self._must_show()
            case, number = self.case, shown.number
        made = report(case, shown.plan, folder, trajectory=number, card_only=card_only, progress=progress)
        self.written[f"{shown.plan.id}/{number}"] = now()
        return made

    def why_not(self, entry_mm: Point) -> dict[str, Any]:
        """What the skin map says of an entry, and all that stands against it, worst first."""
        from navplan.planning.why_not import FREE, limit_line, reason_on_map, why_not
        from navplan.view.colours import spoken_words

        with self.lock:
            shown = self._must_show()
            if not shown.situation.image.grid.contains(entry_mm):
                raise GeometryError(f"an entry at {entry_mm} mm LPS", "a point inside the image")
            told = reason_on_map(shown.plan.skin_map, entry_mm) if shown.plan.skin_map is not None else None
            found = why_not(shown.situation, shown.way.device, entry_mm)
        return {
            "map": spoken_words(str(told)) if told is not None else "", "entry": list(entry_mm),
            "map_free": told is None or told.words == FREE,
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
            if not (isinstance(side, list | tuple) and len(side) == 2):
                raise InputError(f"a side {str(side)[:60]}", "[id of a plan, which way, counted from 0]")
            sides.append((text_of(side[0], "a plan"), number_of(side[1], "a way")))
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

    def _with_remarks(self, plan: Plan) -> Plan:
        """The person's notes in the plan that they are about, where they are printed; itself where it has them."""
        words = self.draft.remarks
        return replace(plan, remarks=words) if words and words != plan.remarks else plan

    def _refuse_unknown(self, choices: dict[str, Any]) -> None:
        """Ids of what is installed, never paths of files."""
        image_id = choices.get("image_id", self.draft.image_id)
        if "image_id" in choices and image_id not in self.case.volumes:
            raise ChoiceError(f"image {image_id[:80]!r}", ", ".join(self.case.volumes) or "a case with an image")
        protocols, target = registry.protocols(), choices.get("target", "")
        rules = protocols.get(choices.get("protocol", self.draft.protocol))
        offered: dict[str, Collection[str]] = {
            "protocol": protocols, "device": registry.devices(), "side": ("L", "R"),
            "level": rules.levels if rules else (),
            "guidance": [model.id for model in rules.error_models] if rules else [], "patient_position": POSITION_WORDS,
        }  # fmt: skip
        for name, known in offered.items():
            if choices.get(name) and choices[name] not in known:
                raise ChoiceError(f"{name} {choices[name][:80]!r}", ", ".join(known) or "a protocol first")
        if target and target not in self.case.structures_of(image_id):
            raise ChoiceError(f"target {target[:80]!r}", "a structure of the image")

    def _begin(self) -> None:
        """Where nothing was kept: with the newest plan, as it was asked for."""
        if not self.case.plans:
            return
        plan = list(self.case.plans.values())[-1]
        self.history.amend(
            image_id=plan.provenance.image_id, protocol=plan.protocol.id, target=plan.target.structure,
            side={"left": "L", "right": "R"}.get(plan.side, ""), level=plan.level,
            patient_position=plan.patient_position, plan_id=plan.id,
        )  # fmt: skip

    def _mend(self) -> None:
        """No draft that points to what is not there."""
        if self.draft.image_id not in self.case.volumes:
            self.history.amend(image_id=next(iter(self.case.volumes), ""))
        if self.draft.plan_id and self.draft.plan_id not in self.case.plans:
            self.notes.append(f"plan {self.draft.plan_id} is no longer in the case")
            self.history.amend(plan_id="", way=0, entry_mm=None, moved_aim_mm=None)
        found = self.plan_now()
        if found is not None and not 0 <= self.draft.way < max(len(found.trajectories), 1):
            self.history.amend(way=0, entry_mm=None, moved_aim_mm=None)
        if found is not None and found.provenance.image_id in self.case.volumes:
            self.history.amend(image_id=found.provenance.image_id)

    def _save(self, case: Case, action: str, **details: Any) -> None:
        """The case as a new revision. Where another program changed it meanwhile, it is read anew, and the error says
        so."""
        try:
            self.case = save_case(case, self.folder, action, details)
        except CaseFolderError as error:
            before = self.case.revision
            if (self.folder / "case.json").exists():
                self.reload()
            if self.case.revision == before:
                raise
            read = "The case was read again: look at what changed, then repeat the step; what was chosen is kept"
            raise CaseFolderError(error.received, error.expected, read) from error
        self._shown.clear()

    def _change(self, **choices: Any) -> None:
        """A new draft, kept beside the case. Raises InputError for one that no file can hold; nothing is changed."""
        before = self.history.drafts, self.history.at
        self.history.change(**choices)
        try:
            self._keep()
        except InputError:
            self.history = History(*before)
            raise

    def _keep(self) -> None:
        """The draft beside the case. A disk that refuses is told, and stops nobody."""
        try:
            write_session(self.folder, self.history.drafts, self.history.at)
            self.unsaved = ""
        except OSError as error:
            self.unsaved = f"{error.strerror or error}: {self.folder}"


def today() -> str:
    """The day, UTC."""
    return now()[:10]
