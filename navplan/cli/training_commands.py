"""scenarios, train and score."""

from __future__ import annotations

import shlex
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from navplan.cli.output import Output
from navplan.errors import InputError

if TYPE_CHECKING:
    from navplan.model.scenario import Scenario
    from navplan.verbs.learning import LearnersCurve
    from navplan.verbs.score import Score

DONE, STOPPED = 0, 130


def do_scenarios(options: Namespace, output: Output) -> int:
    """What can be rehearsed, or one scenario's patient as a case."""
    if options.scenario or options.case:
        return _scenario_case(options, output)
    from navplan.verbs.catalogue import scenarios

    found = scenarios()
    rows = [
        f"{one.id:24} {one.version:4} {one.title}; {' or '.join(sight.replace('_', ' ') for sight in one.sight)};"
        f" from {one.origin.plugin or one.origin.file}"
        for one in found.values()
    ]
    told = {"scenarios": [_scenario(one) for one in found.values()]}
    output.result("\n".join(rows) or "no scenario is installed", told)
    return DONE


def _scenario_case(options: Namespace, output: Output) -> int:
    if not (options.scenario and options.case):
        raise InputError("one of SCENARIO and --case alone", "both, or neither for the list")
    from navplan.extend import registry
    from navplan.verbs.scenario_case import scenario_case
    from navplan.verbs.training import rehearsal_of

    case = scenario_case(rehearsal_of(registry.scenario(options.scenario), output.progress), options.case)
    plan = case.plan("")
    way = plan.best.trajectory
    output.result(
        f"{case.folder}: plan {plan.id}, {plan.best.verdict.value}, {way.tip_depth_mm:.1f} mm to the tip",
        {"case": case.folder, "plan": plan.id, "verdict": plan.best.verdict},
    )
    return DONE


def _scenario(one: Scenario) -> dict[str, Any]:
    return {
        "id": one.id, "version": one.version, "title": one.title, "words": one.words, "sight": one.sight,
        "protocol": one.protocol, "target": one.target, "goal": one.goal, "counted": one.counted,
        "difficulties": ["usual", *(other.name for other in one.difficulties)], "limits": one.limits,
        "from": one.origin.plugin or one.origin.file,
    }  # fmt: skip


def do_train(options: Namespace, output: Output) -> int:
    """Attempts by a scripted learner, or the page for a person."""
    if not options.learner:
        return _in_the_page(options, output)
    if options.name:
        raise InputError("--name with --learner", "one of the two: a script has no name")
    from navplan.verbs.train import train

    try:
        made = train(
            options.scenario, options.learner, out=options.out, seed=options.seed, runs=options.runs,
            difficulty=options.difficulty, progress=output.progress,
        )  # fmt: skip
    except KeyboardInterrupt:
        output.error(f"stopped; finished attempts are in {options.out}, the same command goes on with the others")
        return STOPPED
    new = sum(one.new for one in made)
    there = f", {len(made) - new} were there" if new < len(made) else ""
    own = f" --scenario {shlex.quote(options.scenario)}" if options.scenario.lower().endswith(".toml") else ""
    lines = [*(str(one.path) for one in made), f"{new} made{there}; see what they come to: navplan score FILES{own}"]
    output.result("\n".join(lines), {"attempts": made})
    return DONE


def _in_the_page(options: Namespace, output: Output) -> int:
    if options.runs != 1:
        raise InputError(f"--runs {options.runs} without --learner", "--learner expert, intermediate or novice")
    from navplan.cli.serving import serve_rehearsal

    serve_rehearsal(options, output)
    return DONE


def do_score(options: Namespace, output: Output) -> int:
    """What attempts come to."""
    from navplan.cli.scenario_making import limits_of
    from navplan.cli.score_words import beside_lines, curve_lines, score_lines, table_lines
    from navplan.model.scenario import MetricLimit
    from navplan.training.cusum import CusumLimits
    from navplan.verbs.learning import curves, write_table
    from navplan.verbs.score import beside, scores

    limits = CusumLimits(options.p0, options.p1)
    if options.limit and not (options.curve and options.by.strip()):
        raise InputError("--limit without --curve or --by", "both: who sets it stands beside the curve")
    teachers = [MetricLimit(name, most, options.by.strip()) for name, most in limits_of(options.limit).items()]
    if options.picture and len(options.files) != 1:
        raise InputError(f"--picture of {len(options.files)} attempts", "one attempt, and another with --beside")
    if options.picture and Path(options.picture).suffix.lower() != ".png":
        raise InputError(f"--picture {options.picture}", "a file that ends in .png")
    files = list(dict.fromkeys(options.files))
    more = [options.beside] if options.beside and options.beside not in files else []
    found = scores(
        [*files, *more], scenario=options.scenario, other_bits=options.other_bits, progress=output.progress
    )
    by_file = {str(one.path): one for one in found}
    other = by_file[str(Path(options.beside))] if options.beside else None
    mine = [one for one in found if not (more and one is other)]
    lines = score_lines(mine[0]) if len(mine) == 1 else table_lines(mine)
    rows = {one.path.name: beside(one, other) for one in mine if one is not other} if other is not None else {}
    for name, parted in rows.items():
        lines += ["", *beside_lines(name, parted, other.path.name if other is not None else "")]
    learnt = curves(mine, limits, teachers=teachers) if options.curve else ()
    for one in learnt:
        lines += ["", *curve_lines(one)]
    if options.picture:
        from navplan.verbs.score_picture import write_picture

        lines += ["", str(write_picture(options.picture, mine[0], other))]
    if options.csv:
        write_table(options.csv, mine)
        lines += ["", options.csv]
    told = {"attempts": [_told(one) for one in mine], "beside": rows, "curves": [_curve(one) for one in learnt]}
    output.result("\n".join(lines), told | {"csv": options.csv or None, "picture": options.picture or None})
    return DONE


def _told(one: Score) -> dict[str, Any]:
    from navplan.cli.score_words import value_words

    head, outcome = one.head, one.outcome
    metrics = [
        {"name": m.name, "value": m.value, "told": value_words(m.value), "unit": m.unit, "words": m.words,
         "source": m.source} for m in one.metrics
    ]  # fmt: skip
    return {
        "file": str(one.path), "scenario": head.scenario, "version": head.version, "difficulty": head.difficulty,
        "learner": head.learner, "script": head.script, "seed": head.seed, "date": head.date,
        "same_bits": not one.replay.differs_at, "differs_at": one.replay.differs_at or None,
        "made_with": head.versions, "metrics": metrics,
        "promised": {"verdict": one.ready.promised.verdict, "headline": one.ready.promised.headline},
        "last_needle": None if outcome.last is None else {
            "verdict": outcome.last.verdict, "headline": outcome.last.headline
        },
        "bow_mm": outcome.bow_mm, "entry_off_mm": outcome.entry_off_mm, "angle_off_deg": outcome.angle_off_deg,
        "depth_off_mm": outcome.depth_off_mm, "tip_off_mm": outcome.tip_off_mm, "structures": outcome.structures,
        "not_evaluated": [{"structure": name, "words": words} for name, words in outcome.unevaluated],
    }  # fmt: skip


def _curve(one: LearnersCurve) -> dict[str, Any]:
    return {
        "scenario": one.scenario, "who": one.who, "limits": one.limits, "files": one.files, "beyond": one.beyond,
        "sums": one.curve.sums, "signals": one.curve.signals, "step": one.curve.limits.step,
        "height": one.curve.limits.height, "words": one.curve.words,
    }  # fmt: skip
