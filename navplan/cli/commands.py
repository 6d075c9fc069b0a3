"""One function a verb: open the case, call the verb, save the case, print."""

from __future__ import annotations

import signal
from argparse import Namespace
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from navplan.cli.approvals import do_adjust, do_approve
from navplan.cli.beside import beside_of
from navplan.cli.blocks import do_block, do_block_find, do_block_score
from navplan.cli.calibrating import do_calibrate
from navplan.cli.carrying import do_carry, do_register
from navplan.cli.editing import do_edit
from navplan.cli.fluoroscopy import do_fluoro
from navplan.cli.moved_way import against_data, against_lines, point_of
from navplan.cli.navigating import do_navigate
from navplan.cli.output import Output, listen_to_interrupts
from navplan.cli.receiving import do_pacs
from navplan.cli.registering_shots import do_register_shots
from navplan.cli.scenario_making import do_scenario
from navplan.cli.serving import do_serve, serve_case
from navplan.cli.training_commands import do_scenarios, do_score, do_train
from navplan.cli.two_plans import do_compare, do_needle, do_transfer
from navplan.errors import ChoiceError, FileFormatError, InputError

if TYPE_CHECKING:
    from navplan.model.case import Case
    from navplan.model.plan import Plan
    from navplan.model.safety import SafetyReport, Verdict
    from navplan.view.scene_fusion import Fused

DONE, WRONG, FAILED, NOT_DECIDED = 0, 2, 3, 4
__all__ = [
    "do_adjust",
    "do_approve",
    "do_block",
    "do_block_find",
    "do_block_score",
    "do_calibrate",
    "do_carry",
    "do_compare",
    "do_edit",
    "do_fluoro",
    "do_navigate",
    "do_needle",
    "do_pacs",
    "do_register",
    "do_register_shots",
    "do_scenario",
    "do_scenarios",
    "do_score",
    "do_serve",
    "do_train",
    "do_transfer",
]  # fmt: skip


def do_demo(options: Namespace, output: Output) -> int:
    """The main job on a phantom."""
    from navplan.verbs.demo import demo

    made = demo(options.out, progress=output.progress)
    for words in made.notes:
        output.message(words)
    lines = [made.headline, *(str(path) for path in made.paths)]
    result = {"headline": made.headline, "verdict": made.verdict, "paths": made.paths, "notes": made.notes}
    output.result("\n".join(lines), result)
    if options.serve:
        serve_case(str(Path(options.out) / "case"), options, output)
    return DONE


def do_phantom(options: Namespace, output: Output) -> int:
    """Write phantoms."""
    from navplan.verbs.phantom import write_phantom

    x, y, z = options.spacing
    made = write_phantom(
        options.name,
        options.out,
        format=options.format,
        spacing_mm=(x, y, z),
        orientation=options.orientation,
        seed=options.seed,
        population=options.population,
    )
    output.result("\n".join(str(path) for path in made), {"folders": made})
    return DONE


def do_inspect(options: Namespace, output: Output) -> int:
    """What a path holds."""
    from navplan.verbs.import_images import inspect

    found = inspect(options.path, bridge_gaps_mm=options.bridge_gaps, progress=output.progress)
    if len(found) == 1 and found[0].refusal:
        raise FileFormatError(found[0].refusal)
    output.result("\n".join(str(series) for series in found), {"series": found})
    return DONE


def open_case(folder: str) -> Case:
    from navplan.verbs.case_verbs import open_case

    return open_case(folder)


def saved_case(case: Case, folder: str, action: str = "", **details: Any) -> Case:
    """A new revision; the verbs that already told the record what they did name no action."""
    from navplan.verbs.case_verbs import save_case

    saved = save_case(case, folder, action, details)
    listen_to_interrupts(signal.SIG_IGN)  # from here on "nothing was changed" would be wrong
    return saved


def do_import(options: Namespace, output: Output) -> int:
    """Images into a case folder."""
    from navplan.verbs.import_images import import_images

    folder = Path(options.case)
    before = open_case(str(folder)) if (folder / "case.json").exists() else None
    case = import_images(
        options.path,
        before,
        series=options.series,
        image_id=options.image_id,
        patient_position=options.patient_position,
        date=options.date,
        slice_thickness_mm=options.slice_thickness,
        modality=options.modality,
        bridge_gaps_mm=options.bridge_gaps,
        spacing_mm=options.spacing,
        slices=options.slices,
        progress=output.progress,
    )
    new = [name for name in case.volumes if before is None or name not in before.volumes]
    saved = saved_case(case, str(folder))
    lines = [f"{folder}: revision {saved.revision}"]
    for name in new:
        volume = case.volumes[name]
        lines.append(
            f"  {name}: {volume.modality}, {volume.grid!r}, {volume.acquisition.patient_position or 'position unknown'}"
        )
        lines += [f"    {finding.severity}: {finding.told}" for finding in volume.acquisition.quality]
    details = {
        name: {"grid": repr(case.volumes[name].grid), "acquisition": case.volumes[name].acquisition} for name in new
    }
    refused = case.audit[-1].details.get("refused", {}) if case.audit else {}
    told = {"case": str(folder), "revision": saved.revision, "images": details, "refused": refused}
    output.result("\n".join(lines), told)
    return DONE


def do_segment(options: Namespace, output: Output) -> int:
    """Structures into a case."""
    from navplan.cli.moved_way import points_of
    from navplan.imaging.figures import figures_words
    from navplan.verbs.segment import absent, segment

    ways = [bool(options.segmenter), bool(options.labels), bool(options.absent)]
    if sum(ways) != 1:
        raise InputError(f"{sum(ways)} of --segmenter, --labels and --absent", "exactly one of them")
    case = open_case(options.case)
    before = dict(case.structures)
    if options.same_frame and not options.by.strip():
        raise InputError("--same-frame by nobody", "who stands for it", "Say who with --by")
    if options.absent:
        for name in options.absent:
            case = absent(case, name, options.by, image=options.image)
    else:
        resolution = options.working_resolution
        if resolution is not None and len(resolution) not in (1, 3):
            raise InputError(f"--working-resolution with {len(resolution)} numbers", "1 or 3, in mm")
        case = segment(
            case,
            options.segmenter,
            seeds_mm=points_of(options.seed, "--seed") or None,
            labels=options.labels or None,
            names=options.names or None,
            image=options.image,
            structure=options.structure,
            prefix=options.prefix,
            space=options.space,
            same_frame_by=options.by if options.same_frame else "",
            working_resolution_mm=None
            if resolution is None
            else resolution[0]
            if len(resolution) == 1
            else tuple(resolution),
        )
    new = {name: structure for name, structure in case.structures.items() if before.get(name) is not structure}
    saved = saved_case(case, options.case)
    by_presence: dict[str, list[str]] = {}
    for name, structure in sorted(new.items()):
        by_presence.setdefault(structure.presence.value, []).append(name)
    lines = [f"{options.case}: revision {saved.revision}"]
    lines += [f"  {presence} ({len(names)}): {', '.join(names)}" for presence, names in by_presence.items()]
    measured = case.audit[-1].details.get("figures", {})
    lines += [f"  {name}: {figures_words(values)}" for name, values in measured.items()]
    doubts = {name: structure.outline_doubt for name, structure in sorted(new.items()) if structure.outline_doubt}
    lines += [f"  {name}: OUTLINE IN DOUBT: {why}" for name, why in doubts.items()]
    cut = sorted(name for name, structure in new.items() if structure.cut_by_edge)
    if cut:
        lines.append(f"  cut by the edge of what was looked at ({len(cut)}): {', '.join(cut)}")
    told = {"case": options.case, "revision": saved.revision, "structures": by_presence, "cut": cut}
    if measured:
        told["figures"] = measured
    if doubts:
        told["outline_doubts"] = doubts
    output.result("\n".join(lines), told)
    return DONE


def do_plan(options: Namespace, output: Output) -> int:
    """Ranked ways to a target."""
    from navplan.model.safety import Verdict
    from navplan.verbs.plan import plan

    case = open_case(options.case)
    made = plan(
        case,
        options.protocol,
        options.target,
        side=options.side,
        level=options.level,
        image=options.image,
        device=options.device,
        guidance=options.guidance,
        margin_goal=options.margin_goal,
        patient_position=options.position,
        breath_state=options.breath,
        top=options.top,
        progress=output.progress,
        **({"beside": beside_of(options, case)} if options.beside else {}),
    )
    with ExitStack() as stack:
        if options.out:
            from navplan.files.plan_json import plan_beside

            stack.enter_context(plan_beside(options.out, made))
        saved_case(case.with_plan(made), options.case, "plan", plan=made.id)
    verdicts = [way.verdict for way in made.trajectories]
    output.result(_plan_text(made), plan_data(made))
    if any(verdict in (Verdict.PASS, Verdict.WARN) for verdict in verdicts):
        return DONE
    return NOT_DECIDED if Verdict.NOT_EVALUATED in verdicts else FAILED


def _plan_text(plan: Plan) -> str:
    tried = f" ({plan.notes[0]})" if plan.notes else ""
    lines = [f"{plan.id}: {len(plan.trajectories)} ways offered{tried}", *ways_text(plan), *plan.notes[1:]]
    if plan.skin_map is not None:
        excluded = [f"{count} {words}" for words, count in plan.skin_map.counts().items() if words != "free"]
        lines.append("ruled out: " + ("; ".join(excluded[:8]) or "none"))
    return "\n".join(lines)


def ways_text(plan: Plan) -> list[str]:
    """The ways of a plan, a line each, and what is to be done for the first."""
    lines = []
    for number, way in enumerate(plan.trajectories, 1):
        lines.append(
            f"{number}. {way.verdict}: {way.report.headline}; depth {way.trajectory.depth_mm:.0f} mm, "
            f"entry ({', '.join(f'{x:.1f}' for x in way.trajectory.entry_mm)}) LPS, score {way.desirability:.2f}, "
            f"needle {way.trajectory.device.id}"
        )
    if plan.trajectories:
        lines += [*_margin_lines(plan.trajectories[0].report), *_open_items(plan.trajectories[0].report)]
    return lines


def plan_data(plan: Plan) -> dict[str, Any]:
    """A plan as one JSON document says it."""
    ways = [
        {
            "verdict": way.verdict,
            "headline": way.report.headline,
            "desirability": way.desirability,
            "metrics": way.metrics,
            "entry_mm": way.trajectory.entry_mm,
            "target_mm": way.trajectory.target_mm,
        }
        for way in plan.trajectories
    ]
    counts = plan.skin_map.counts() if plan.skin_map is not None else {}
    return {
        "plan": plan.id,
        "protocol": plan.protocol.id,
        "trajectories": ways,
        "skin_map": counts,
        "notes": plan.notes,
    }


def _margin_lines(report: SafetyReport) -> list[str]:
    """How the zone of an ablation covers its target; nothing for any other procedure."""
    if report.ablation is None:
        return []
    from navplan.reports.ablation_section import margin_lines

    return margin_lines(report.ablation)


def _open_items(report: SafetyReport) -> list[str]:
    lines = []
    for item in report.open_items:
        lines.append(f"   {item.verdict}: {item.words}. {item.remedy}")
        told = [line for line in item.lines if len(item.lines) > 1 or line.words != item.words]
        lines += [f"      {line.verdict}: {line.words}. {line.remedy}" for line in told]
    return lines + [f"   to tick: {finding.words}" for finding in report.to_tick]


def do_check(options: Namespace, output: Output) -> int:
    """The safety report."""
    from navplan.model.safety import Verdict
    from navplan.verbs.check import check

    case = open_case(options.case)
    place = place_of(options, case.plans.get(options.plan))
    report = check(
        case,
        options.plan,
        protocol=options.protocol,
        trajectory=place,
        device=options.device,
        target=options.target,
        side=options.side,
        level=options.level,
        image=options.image,
        guidance=options.guidance,
        patient_position=options.position,
        beside=beside_of(options, case),
        entry=point_of(options.entry, "--entry"),
        aim=point_of(options.aim, "--aim"),
    )
    moved = bool(options.entry or options.aim)
    lines = [report.verdict.value, *(against_lines(report) if moved else ()), report.headline]
    lines += [*_margin_lines(report), *_open_items(report)]
    for finding in report.findings:
        name = f"{finding.structure}: " if finding.structure else ""
        breach = f" (breach up to {finding.breach_probability:.1%})" if finding.breach_probability is not None else ""
        lines.append(f"{finding.verdict:13} {finding.kind}: {name}{finding.words}{breach}")
    lines.append(f"error model: {report.error_model} ({report.error_model_source})")
    told = {"verdict": report.verdict, "headline": report.headline, **_report_data(report)}
    told |= against_data(report) if moved else {}
    output.result("\n".join(lines), told)
    return _exit_code(report.verdict, options.strict, Verdict)


def _report_data(report: SafetyReport) -> dict[str, Any]:
    from dataclasses import fields

    return {field.name: getattr(report, field.name) for field in fields(report)} | {"open_items": report.open_items}


def _exit_code(verdict: Verdict, strict: bool, kinds: type[Verdict]) -> int:
    if verdict is kinds.FAIL or (verdict is kinds.WARN and strict):
        return FAILED
    return NOT_DECIDED if verdict is kinds.NOT_EVALUATED else DONE


def place_of(options: Namespace, plan: Plan | None) -> int:
    """--trajectory, counted from 1, as the verbs count, from 0. Raises ChoiceError for one that the plan does not
    have."""
    count = len(plan.trajectories) if plan is not None else None
    if options.trajectory < 1 or (count is not None and options.trajectory > count):
        words = f"--trajectory {options.trajectory}" + (f" of plan {plan.id}" if plan is not None else "")
        raise ChoiceError(words, "1 or more" if count is None else f"1 to {count}" if count else "a plan with a way in")
    return int(options.trajectory) - 1


def chosen_plan(case: Case, plan_id: str) -> Plan | None:
    """The plan named, or the only one; None where the case has none and none is named."""
    return case.plan(plan_id) if plan_id or case.plans else None


def do_scene(options: Namespace, output: Output) -> int:
    """The 3-D scene."""
    from navplan.verbs.scene import scene

    case = open_case(options.case)
    chosen = chosen_plan(case, options.plan)
    if options.image and not options.plan and chosen is not None and chosen.provenance.image_id != options.image:
        chosen = None
    path = scene(
        case,
        plan=chosen,
        trajectory=place_of(options, chosen),
        image=options.image,
        out=options.out,
        hero=options.hero,
        fused=_fused(options),
    )
    output.result(str(path), {"path": path})
    return DONE


def _fused(options: Namespace) -> Fused | None:
    """The second image of a scene, as it was asked for."""
    from navplan.view.scene_fusion import Fused

    if not options.fused:
        if options.at or options.uptake is not None or options.fused_as != "blend":
            raise InputError("--at, --uptake or --fused-as without --fused", "--fused ID, the second image")
        return None
    at = point_of(options.at, "--at")
    return Fused(options.fused, options.fused_as, at_mm=at, uptake_suv=options.uptake)


def do_report(options: Namespace, output: Output) -> int:
    """Report and freehand card."""
    from navplan.verbs.report import report

    case = open_case(options.case)
    chosen = chosen_plan(case, options.plan)
    if chosen is None:
        raise ChoiceError(
            "a case without a plan", "a plan to report on", "Run: navplan plan CASE --protocol ID --target NAME"
        )
    made = report(
        case, chosen, options.out, trajectory=place_of(options, chosen), card_only=options.card_only,
        progress=output.progress,
    )  # fmt: skip
    for words in made.notes:
        output.message(words)
    output.result("\n".join(str(path) for path in made.paths), {"paths": made.paths, "notes": made.notes})
    return DONE


def do_plugins(options: Namespace, output: Output) -> int:
    """What is installed."""
    from navplan.verbs.catalogue import plugins

    found = plugins()
    lines = [
        f"{p.group:20} {p.name:12} {p.distribution} {p.version}  {p.where}{'  FAILED: ' + p.error if p.error else ''}"
        for p in found
    ]
    output.result("\n".join(lines), {"plugins": found})
    return DONE


def do_phantoms(options: Namespace, output: Output) -> int:
    """Digital phantoms."""
    from navplan.verbs.catalogue import phantoms

    found = phantoms()
    output.result("\n".join(f"{p.name:12} {p.distribution} {p.version}" for p in found), {"phantoms": found})
    return DONE


def do_protocols(options: Namespace, output: Output) -> int:
    """Procedures, or what is wrong with them."""
    from navplan.verbs.catalogue import lint_protocols, protocols

    if options.lint is not None:
        told = lint_protocols(options.lint)
        pairs = [(id, one) for id, found in told.items() for one in found]
        rows = [f"{id}: {one.weight}: {one.where}: {one.words} (expected: {one.expected})" for id, one in pairs]
        wrong = any(one.weight == "error" for _, one in pairs)
        output.result("\n".join(rows) or "nothing found", {"lint": told})
        return WRONG if wrong else DONE
    found = protocols()
    rows = [f"{p.id:28} {p.version:4} {p.title}{' (unproven)' if p.unproven else ''}" for p in found.values()]
    output.result("\n".join(rows), {"protocols": found})
    return DONE


def do_devices(options: Namespace, output: Output) -> int:
    """Needles, and where each comes from."""
    from navplan.verbs.catalogue import device_places, devices, user_devices_folder

    found, places = devices(), device_places()
    lines = [
        f"{d.id:34} {d.gauge} G  {d.diameter_mm:.2f} x {d.length_mm:.0f} mm, throw {d.throw_mm:.0f} mm  "
        f"from {places[d.id]}; {d.source}"
        for d in found.values()
    ]
    output.message(f"your own: *.toml in {user_devices_folder()}")
    output.result("\n".join(lines), {"devices": found, "from": places})
    return DONE
