"""The mistakes that benchmarks/planted_mistakes.py plants: what each is, where it should be caught, and by which words.

A row asks the same thing of the case with the mistake and of the case without it. `sign` is a pattern that the words of
what catches it match, so that a refusal of everything is no catch.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks.mistake_worlds import (
    BY,
    IMAGE,
    Said,
    World,
    lying,
    moved,
    moved_plan,
    refused,
    renamed,
    said_of,
    shifted_labels,
    sides_swapped,
    taken,
    with_couch,
    without,
)
from navplan.errors import NavplanError
from navplan.extend import registry
from navplan.extend.protocol_lint import Weight, lint
from navplan.files.protocol_override import override_from_toml
from navplan.files.protocol_toml import devices_from_toml, protocol_from_toml
from navplan.geometry.conventions import DOWN_BY_PATIENT_POSITION
from navplan.model.plan import Plan
from navplan.model.protocol import LEVELS, ProcedureProtocol
from navplan.model.structure import Presence
from navplan.planning.how_the_patient_lay import header_alone
from navplan.verbs.approve import approve, standing, to_be_acknowledged
from navplan.verbs.check import check
from navplan.verbs.import_images import import_images
from navplan.verbs.phantom import phantom, write_phantom
from navplan.verbs.situation import target_of

C, L, A, R = "chest", "lumbar-spine", "abdomen", "real chest"
IMPORT, READING, PLAN, CHECK, APPROVAL, LINT = "import", "reading", "plan and check", "check", "approval", "lint"
Run = Callable[[World, bool], list[Said]]


@dataclass(frozen=True)
class Mistake:
    """planted: in words; run: what is said, with the mistake and without; limit: why nothing can tell, "" where it is
    to be caught."""

    planted: str
    worlds: tuple[str, ...]
    where: str
    sign: str
    run: Run
    limit: str = ""


def asked(right: dict[str, str], wrong: dict[str, str]) -> Run:
    """The same way, asked for otherwise."""
    return lambda here, planted: here.judged(**(wrong if planted else right))


def wrongly_lying(here: World, planted: bool) -> list[Said]:
    """An image that shows a couch without a label, and a header that says the other position; asked for as it says.
    The lumbar phantom's patient lies prone: its couch is under the belly."""
    case = without(here.case, "couch")
    if here.name != R:
        case = with_couch(case, under=DOWN_BY_PATIENT_POSITION[here.plan.patient_position])
    other = _turned(here)
    return here.judged(lying(case, other), patient_position=other) if planted else here.judged(case)


def no_couch(here: World, planted: bool) -> list[Said]:
    """What a plan notes, on an image without a couch and on the same with one."""
    case = here.case if planted else with_couch(here.case)
    words = header_alone(case.volumes[IMAGE], case.structures_of(IMAGE))
    return [Said("note", words)] if words else []


def unstated(here: World, planted: bool) -> list[Said]:
    return here.judged(made=replace(here.plan, level="") if planted else None)


def spoiled(spoil: Callable[[World], Any]) -> Run:
    """The same way on a spoiled case."""
    return lambda here, planted: here.judged(spoil(here) if planted else None)


def mirrored(flip: tuple[int, int, int], image: bool, swap: bool) -> Run:
    """The labels mirrored (with the image or without), the way mirrored with them; names left and right exchanged as
    well, as a segmenter gives them that goes by the place."""

    def run(here: World, planted: bool) -> list[Said]:
        if not planted:
            return here.judged()
        case, made = moved(here.case, flip, image), moved_plan(here, flip)
        if swap:
            case = sides_swapped(case)
            target = replace(made.target, structure=_other_side(made.target.structure))
            made = replace(made, target=target, side={"left": "right", "right": "left"}.get(made.side, made.side))
        return here.judged(case, made)

    return run


def _other_side(name: str) -> str:
    return "_".join({"left": "right", "right": "left"}.get(word, word) for word in name.split("_"))


def other_count(step: int) -> Run:
    """All that is named by a level named one level higher (-1) or lower (1) than it is; asked for as it is labelled."""

    def shifted(name: str) -> str:
        words = name.split("_")
        return "_".join(LEVELS[LEVELS.index(word) + step] if word in LEVELS else word for word in words)

    def run(here: World, planted: bool) -> list[Said]:
        if not planted:
            return here.judged()
        lost = [name for name in here.case.structures if step > 0 and "L5" in name.split("_")]
        kept = without(here.case, *lost)
        case = renamed(kept, {name: shifted(name) for name in kept.structures})
        target = replace(here.plan.target, structure=shifted(here.plan.target.structure))
        return here.judged(case, replace(here.plan, target=target, level=shifted(here.plan.level)))

    return run


def plan_on_other_image(here: World, planted: bool) -> list[Said]:
    volume = here.case.volumes[IMAGE]
    other = replace(volume, voxels=volume.voxels[::-1].copy(order="K")) if planted else volume
    return here.judged(replace(here.case, volumes={IMAGE: other}), anew=False)


def import_of_another(here: World, planted: bool) -> list[Said]:
    """A second folder of DICOM into a case; without the mistake, another series of the same patient."""
    del here
    first, same, other = _three_folders()
    case = import_images(first)
    return refused(lambda: import_images(other if planted else same, case))


@cache
def _three_folders() -> tuple[Path, Path, Path]:
    """DICOM of a patient, another series of the same, and another patient's; left in the system's temporary folder."""
    folder = Path(tempfile.mkdtemp(prefix="navplan-mistakes-"))
    coarse = (8.0, 8.0, 8.0)
    (first,) = write_phantom("abdomen", folder / "first", spacing_mm=coarse)
    (same,) = write_phantom("abdomen", folder / "same", spacing_mm=coarse, seed=1)
    (other,) = write_phantom("abdomen", folder / "other", spacing_mm=coarse, population=1)
    return first / "image", same / "image", other / "image"


def labels_of_another(frame: bool, apart_mm: float = 0.0) -> Run:
    """Masks made on another patient's image; they name its frame of reference, or none. apart_mm: how much higher the
    other one lay on the couch."""

    def spoil(here: World) -> object:
        from navplan_phantoms.abdomen import AbdomenPhantom

        spacing = float(here.case.volumes[IMAGE].grid.spacing_mm[0])
        with patch("navplan.verbs.phantom._made", lambda *a: AbdomenPhantom.population(7).make((spacing,) * 3)):
            other = phantom("abdomen")
        structures = dict(other.structures)
        if frame:
            for name, one in structures.items():
                if one.presence is Presence.PRESENT and one.grid is not None and one.evaluated_in is not None:
                    grids = {"grid": replace(one.grid, frame_uid="1.2.3")}
                    grids["evaluated_in"] = replace(one.evaluated_in, frame_uid="1.2.3")
                    structures[name] = replace(one, **grids)
        case = shifted_labels(replace(here.case, structures=structures), 0.0, apart_mm)
        if frame:
            volume = case.volumes[IMAGE]
            case = replace(case, volumes={IMAGE: replace(volume, grid=replace(volume.grid, frame_uid="1.2.4"))})
        return case

    return spoiled(spoil)


def reading(protocol: str, right: str, wrong: str) -> Run:
    """A protocol's file with some text in place of another. The parts that it includes are as they are."""

    def run(here: World, planted: bool) -> list[Said]:
        del here
        text = source_of(protocol)
        assert re.search(right, text)
        changed = re.sub(right, wrong, text, flags=re.DOTALL) if planted else text
        return refused(lambda: protocol_from_toml(changed, f"{protocol}.toml"))

    return run


def source_of(protocol: str) -> str:
    """The text of a protocol that ships."""
    package = {"lung-biopsy": "navplan_thorax", "liver-biopsy": "navplan_abdomen"}[protocol]
    return files(package).joinpath("protocols", f"{protocol.replace('-', '_')}.toml").read_text("utf-8")


def in_centimetres(part: str) -> Run:
    """The numbers of wishes, limits or error models divided by ten, their unit still called mm."""

    def run(here: World, planted: bool) -> list[Said]:
        del here
        rules = registry.protocol("lung-biopsy")
        if planted and part == "soft":
            wishes = (replace(w, ideal=w.ideal / 10, limit=w.limit / 10) if w.unit == "mm" else w for w in rules.soft)
            rules = replace(rules, soft=tuple(wishes))
        elif planted and part == "hard":
            limits = (replace(limit, min_clearance_mm=limit.min_clearance_mm / 10) for limit in rules.hard)
            rules = replace(rules, hard=tuple(limits))
        elif planted:
            models = (replace(model, entry_sigma_mm=model.entry_sigma_mm / 10) for model in rules.error_models)
            models = (replace(model, angle_sigma_deg=model.angle_sigma_deg / 10) for model in models)
            rules = replace(rules, error_models=tuple(models))
        found = lint(rules, registry.devices())
        return [Said(str(one.weight), f"{one.where}: {one.words}; expected {one.expected}") for one in found
                if one.weight is not Weight.NOTE]  # fmt: skip

    return run


def smaller_field(here: World) -> object:
    """The aorta looked for by another segmenter in a field that ends beside the way."""
    one, grid = here.case.structures["aorta"], here.case.volumes[IMAGE].grid
    entry = here.plan.trajectories[0].trajectory.entry_mm
    index = np.rint(grid.indices(np.asarray(entry))).astype(int)
    near_end = index[0] < grid.shape[0] / 2
    start = (int(index[0]) + 15, 0, 0) if near_end else (0, 0, 0)
    width = grid.shape[0] - start[0] if near_end else int(index[0]) - 15
    box = grid.crop(start, (max(width, 1), *grid.shape[1:]))
    return here.case.with_structures(replace(one, evaluated_in=box))


def thinner_device(here: World, planted: bool) -> list[Said]:
    return here.judged(made=_with_device(here.plan, 0.5) if planted else None)


def _with_device(made: Plan, diameter_mm: float) -> Plan:
    best = made.trajectories[0]
    thin = replace(best.trajectory.device, diameter_mm=diameter_mm)
    return replace(made, trajectories=(replace(best, trajectory=replace(best.trajectory, device=thin)),))


def own_device(here: World, planted: bool) -> list[Said]:
    """A device file of one's own under an id of its own: nothing that is installed to compare it with."""
    width = "0.5" if planted else "1.27"
    text = (
        f'[[devices]]\nid = "mine"\nname = "mine 18 G"\ngauge = 18\ndiameter_mm = {width}\nlength_mm = 200.0\n'
        'source = "our store"\n'
    )
    (device,) = devices_from_toml(text, "mine.toml")
    best = here.plan.trajectories[0]
    way = replace(best.trajectory, device=device, tip_short_of_target_mm=0.0)
    return here.judged(made=replace(here.plan, trajectories=(replace(best, trajectory=way),)))


def override(right: str, wrong: str) -> Run:
    """A hospital's own numbers for the lung biopsy."""

    def run(here: World, planted: bool) -> list[Said]:
        del here
        head = f'overrides = "lung-biopsy"\nby = "{BY}"\n\n'
        text = head + (wrong if planted else right) + 'source = "house rule"\n'
        return refused(lambda: override_from_toml(text, "own.toml").applied(registry.protocol("lung-biopsy")))

    return run


def lowered(here: World, planted: bool) -> list[Said]:
    """An override that fits, and lowers a limit tenfold."""
    value = "0.5" if planted else "8.0"
    text = f'overrides = "{here.plan.protocol.id}"\nby = "{BY}"\n[hard."aorta*"]\nmin_clearance_mm = {value}\n'
    text += 'source = "house rule"\n'
    rules = override_from_toml(text, "own.toml").applied(here.plan.protocol)
    return here.judged(made=replace(here.plan, protocol=rules))


def standing_after(spoil: Callable[[World, Plan], tuple[Any, Plan]]) -> Run:
    """Whether the approval of the way stands on what it becomes after it."""

    def run(here: World, planted: bool) -> list[Said]:
        report = check(here.case, here.plan)
        case, made = approve(
            here.case, here.plan, who="Dr A", reason="planted mistakes: approved to see whether it stands",
            acknowledge=to_be_acknowledged(report),
        )  # fmt: skip
        approved = World(here.name, case, made)
        if planted:
            case, made = spoil(approved, made)
        why = standing(case, made, made.approvals[-1])
        return [Said("void", why)] if why else []

    return run


def other_rules_installed(here: World, planted: bool) -> list[Said]:
    """The protocol of the approved plan is changed where it is installed."""
    rules = registry.protocol(here.plan.protocol.id)
    looser = replace(rules, hard=tuple(replace(limit, min_clearance_mm=0.0) for limit in rules.hard))

    def spoil(approved: World, made: Plan) -> tuple[object, Plan]:
        return approved.case, made

    installed: dict[str, ProcedureProtocol] = {**registry.protocols(), looser.id: looser}
    report = check(here.case, here.plan)
    case, made = approve(
        here.case, here.plan, who="Dr A", reason="planted mistakes: approved to see whether it stands",
        acknowledge=to_be_acknowledged(report),
    )  # fmt: skip
    if not planted:
        return [Said("void", why)] if (why := standing(case, made, made.approvals[-1])) else []
    with patch.object(registry, "protocols", lambda: installed):
        why = standing(case, made, made.approvals[-1])
    return [Said("void", why)] if why else []


def in_another_organ(protocol: str, right: str, wrong: str) -> Run:
    """A plan's way aimed at another organ; without the mistake, at the target. Entry: the plan's own, so that the way
    may be bad, but the finding asked for is about the target."""

    def run(here: World, planted: bool) -> list[Said]:
        name = wrong if planted else right
        aim = target_of(here.case.structures_of(IMAGE), name)
        best = here.plan.trajectories[0]
        way = replace(best.trajectory, target_mm=aim.point_mm, tip_short_of_target_mm=0.0)
        made = replace(here.plan, target=aim, trajectories=(replace(best, trajectory=way),))
        return here.judged(made=replace(made, protocol=registry.protocol(protocol)))

    return run


def drawn_in_ras(here: World, planted: bool) -> list[Said]:
    """The plan's way as a drawn line whose file calls its RAS points LPS."""
    from navplan.files.markups import write_lines

    way = here.plan.trajectories[0].trajectory
    turn = np.asarray([-1.0, -1.0, 1.0]) if planted else np.ones(3)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "line.mrk.json"
        write_lines(path, [(np.asarray(way.entry_mm) * turn, np.asarray(way.target_mm) * turn, "way")])
        made = here.plan
        return said_of(
            lambda: check(
                here.case, path, protocol=made.protocol, target=made.target.structure, side=made.side,
                level=made.level, device=way.device.id,
            )
        )  # fmt: skip


def swapped(first: str, second: str) -> Run:
    """Two labels that exchange their names."""
    return spoiled(lambda here: renamed(here.case, {first: second, second: first}))


def called(name: str, new: str) -> Run:
    """A structure under another name."""
    return spoiled(lambda here: renamed(here.case, {name: new}))


_SIDED, _TURNED = "left and right contradict", "front and back contradict"
_NOT_ON = "labels do not lie on what they name"
_OFF_EDGES = "labels lie beside the image's own edges"
_MIRRORED = "a mirrored image or mirrored labels"

MISTAKES: tuple[Mistake, ...] = (
    # ------------------------------------------------------------------------------------------------ the request
    Mistake("wrong side requested", (C, R), PLAN, "requested right, the target lies left",
            asked({"side": "L"}, {"side": "R"})),
    Mistake("wrong side requested, organ not paired", (A,), PLAN, "requested left, the target lies",
            asked({"side": "R"}, {"side": "L"})),
    Mistake("wrong level requested, two away", (L,), PLAN, "requested L5, the target lies",
            asked({"level": "L3"}, {"level": "L5"})),
    Mistake("wrong level requested: disc L3/4 asked for as L4", (L,), PLAN, "requested L4, the target lies",
            asked({"level": "L3"}, {"level": "L4"})),
    Mistake("level not stated", (L,), PLAN, "no level was requested", unstated),
    Mistake("nothing labelled that the count begins from", (L,), PLAN, "nothing that the count",
            spoiled(lambda here: without(here.case, "sacrum"))),
    Mistake("drawn line in RAS that its file calls LPS", (C, L, A, R), CHECK, "a line that (starts|ends)",
            drawn_in_ras),
    Mistake("target in another organ than the protocol's: liver", (C,), PLAN, "it is no target",
            in_another_organ("lung-biopsy", "nodule_left", "liver")),
    Mistake("target in another organ than the protocol's: kidney", (A,), PLAN, "it is no target",
            in_another_organ("liver-biopsy", "lesion", "kidney_right")),
    Mistake("target in another organ than the protocol's: spleen", (A,), PLAN, "it is no target|a target that is no",
            in_another_organ("liver-biopsy", "lesion", "spleen")),
    # ------------------------------------------------------------------------------------------------ left and right
    Mistake("labels mirrored left-right in space", (C, L, A, R), PLAN, _SIDED, mirrored((-1, 1, 1), False, False)),
    Mistake("image and labels mirrored, names with them", (C, L, A, R), PLAN, _SIDED,
            mirrored((-1, 1, 1), True, False)),
    Mistake("image and labels mirrored, named by the place", (C, L, A, R), PLAN, _MIRRORED,
            mirrored((-1, 1, 1), True, True)),
    Mistake("names left and right swapped: ribs", (C, A, R), PLAN, _SIDED,
            spoiled(lambda here: sides_swapped(here.case, "rib"))),
    Mistake("names left and right swapped: lungs", (C, A, R), PLAN, _SIDED,
            spoiled(lambda here: sides_swapped(here.case, "lung"))),
    Mistake("names left and right swapped: kidneys", (C, L, A, R), PLAN, _SIDED,
            spoiled(lambda here: sides_swapped(here.case, "kidney"))),
    Mistake("names left and right swapped: nerve roots", (L,), PLAN, _SIDED,
            spoiled(lambda here: sides_swapped(here.case, "nerve"))),
    # ---------------------------------------------------------------------------------------------- how the patient lay
    Mistake("image HFS, procedure HFP", (C, A, R), PLAN, "image taken HFS, procedure HFP",
            asked({}, {"patient_position": "HFP"})),
    Mistake("image of a prone patient read as supine: turned, named by anatomy", (C, L, A, R), PLAN, _TURNED,
            mirrored((-1, -1, 1), True, False)),
    Mistake("image of a prone patient read as supine: turned, named by the place", (C, L, A, R), PLAN, _TURNED,
            mirrored((-1, -1, 1), True, True)),
    Mistake("feet taken for the head: image and labels upside down", (C, L, A, R), PLAN, "head and feet contradict",
            mirrored((1, 1, -1), True, False)),
    Mistake("PatientPosition alone is wrong, the couch is labelled", (A,), PLAN, "does not lie under a patient",
            lambda here, planted: here.judged(lying(here.case, "HFP") if planted else None,
                                              patient_position="HFP" if planted else "")),
    Mistake("PatientPosition alone is wrong, a couch is in the picture, none is labelled", (C, L, A, R), PLAN,
            "the couch that the image shows does not lie under a patient", wrongly_lying),
    Mistake("no couch is in the picture, none is labelled: the header may be wrong", (C,), PLAN,
            "rests on the header alone", no_couch),
    Mistake("PatientPosition changed after planning", (C, L, A, R), CHECK, "image taken HF., procedure HF.",
            lambda here, planted: here.judged(
                lying(here.case, _turned(here)) if planted else None, anew=False)),
    Mistake("PatientPosition changed after approval", (C, A), APPROVAL, "changed since: .*its image",
            standing_after(lambda here, made: (lying(here.case, _turned(here)), made))),
    # ------------------------------------------------------------------------------------------------ another image
    Mistake("image of another patient brought into the case", (A,), IMPORT, "another patient", import_of_another),
    Mistake("plan checked on another image", (C, L, A, R), CHECK, "has other voxels", plan_on_other_image),
    Mistake("labels of another patient, in their own frame of reference", (A,), PLAN, "another frame of reference",
            labels_of_another(True)),
    Mistake("labels of another patient that name no frame of reference, 60 mm apart", (A,), PLAN, _NOT_ON,
            labels_of_another(False, 60.0)),
    Mistake("labels of another patient that name no frame of reference, one like the other", (A,), PLAN, _OFF_EDGES,
            labels_of_another(False)),
    Mistake("all labels shifted by 25 mm to the side", (C, A, R), PLAN, _NOT_ON,
            spoiled(lambda here: shifted_labels(here.case, 25.0))),
    Mistake("image of another year", (C, L, A, R), PLAN, "days old",
            spoiled(lambda here: taken(here.case, 400))),
    Mistake("labels changed after approval", (C, A), APPROVAL, "changed since: .*the structures",
            standing_after(lambda here, made: (without(here.case, "aorta"), made))),
    # ------------------------------------------------------------------------------------------------ labels
    Mistake("another segmenter's smaller field: aorta", (C, A, R), PLAN, "aorta: .*region in which it was looked for",
            spoiled(smaller_field)),
    Mistake("aorta renamed mass", (C, L, A, R), PLAN, "aorta.*(unknown in this case|not looked for)",
            called("aorta", "mass_2")),
    Mistake("optional vessel renamed nodule", (C,), PLAN, "pulmonary_artery.*not looked for",
            called("pulmonary_artery", "nodule_2")),
    Mistake("vertebrae_L3 and vertebrae_L4 swapped", (L,), PLAN, "not in the order of the spine",
            swapped("vertebrae_L3", "vertebrae_L4")),
    Mistake("every vertebra named one too high (L5 is called L4)", (L,), PLAN, "where L5 should be", other_count(-1)),
    Mistake("every vertebra named one too low (L4 is called L5)", (L,), PLAN, "one is missing between", other_count(1)),
    Mistake("two neighbouring ribs swapped", (C, R), PLAN, "not in the order", swapped("rib_left_7", "rib_left_8")),
    # ------------------------------------------------------------------------------------------------ rules and needle
    Mistake("protocol in centimetres: unit cm", (C,), READING, "'cm'",
            reading("lung-biopsy", 'unit = "mm"', 'unit = "cm"')),
    Mistake("wishes in centimetres under unit mm", (C,), LINT, "soft: .*not centimetres", in_centimetres("soft")),
    Mistake("limits in centimetres under min_clearance_mm", (C,), LINT, "hard: .*not centimetres",
            in_centimetres("hard")),
    Mistake("error models in centimetres under entry_sigma_mm", (C,), LINT, "error_models: .*not centimetres",
            in_centimetres("error_models")),
    Mistake("hospital override of a limit that the protocol does not have", (C,), READING, "does not have",
            override('[hard."aorta*"]\nmin_clearance_mm = 8.0\n', '[hard."aortic_arch"]\nmin_clearance_mm = 8.0\n')),
    Mistake("hospital override in a unit of its own", (C,), READING, "min_clearance_cm",
            override('[hard."aorta*"]\nmin_clearance_mm = 8.0\n', '[hard."aorta*"]\nmin_clearance_cm = 0.8\n')),
    Mistake("hospital override that lowers a limit tenfold", (C,), PLAN, "aorta.*less than half", lowered),
    Mistake("protocol changed where it is installed, after approval", (C, A), APPROVAL, "changed since: .*the rules",
            other_rules_installed),
    Mistake("protocol changed in the plan, after approval", (C, A), APPROVAL, "changed since: .*the rules",
            standing_after(lambda here, made: (here.case, _looser(made)))),
    Mistake("device in the plan thinner than the installed one", (C, A, R), CHECK, "not the one installed",
            thinner_device),
    Mistake("device of one's own thinner than its gauge", (C, A, R), PLAN, "is said to be 0.5 mm wide", own_device),
)  # fmt: skip


def _turned(here: World) -> str:
    return {"HFS": "HFP", "HFP": "HFS"}[here.plan.patient_position]


def _looser(made: Plan) -> Plan:
    limits = tuple(replace(limit, min_clearance_mm=0.0) for limit in made.protocol.hard)
    return replace(made, protocol=replace(made.protocol, hard=limits))


def empty_rules(what: str) -> Run:
    """A protocol's file without any table of one kind, and without parts that would bring one in."""

    def run(here: World, planted: bool) -> list[Said]:
        del here
        rule = '[[hard]]\nstructure = "aorta"\nmin_clearance_mm = 5.0\nsource = "x"\n'
        model = '[[error_models]]\nid = "m"\nname = "m"\nentry_sigma_mm = 3.0\nangle_sigma_deg = 2.0\nsource = "x"\n'
        lists = {"hard": rule, "error_models": model}
        if planted:
            lists[what] = ""
        head = (
            'id = "mine"\nversion = "1"\ntitle = "mine"\nprocedure = "mine"\nregion = "thorax"\n'
            'patient_positions = ["HFS"]\nbreath_state = "as imaged"\ndevices = []\n'
            "pass_through = []\nsoft = []\n" + "".join(f"{key} = []\n" for key, text in lists.items() if not text)
        )
        limits = (
            '[max_breach_probability]\nvalue = 0.05\nunit = "probability"\nsource = "x"\n'
            '[max_image_age_days]\nvalue = 30\nunit = "days"\nsource = "x"\n'
        )
        return refused(lambda: protocol_from_toml(head + "".join(lists.values()) + limits, "mine.toml"))

    return run


MISTAKES += (
    Mistake("no rules: no [[hard]]", (C,), READING, "without hard limits", empty_rules("hard")),
    Mistake("no error model", (C,), READING, "without an error model", empty_rules("error_models")),
)


def caught(mistake: Mistake, said: list[Said]) -> Said | None:
    """What catches it: the first of what was said that its sign fits."""
    return next((one for one in said if re.search(mistake.sign, one.words)), None)


def outcome(mistake: Mistake, here: World) -> tuple[Said | None, Said | None]:
    """What catches the mistake, and what of the same is said without it: nothing should be."""
    try:
        said = mistake.run(here, True)
    except NavplanError as error:
        said = [Said("refused", str(error))]
    return caught(mistake, said), caught(mistake, mistake.run(here, False))
