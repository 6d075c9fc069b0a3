"""scenario: a teacher's scenario from a case with a plan. Imports nothing but argparse until it is run."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from navplan.cli.output import Output

SIGHTS = ("ct_steps", "fluoroscopy", "biplane", "tracked")
GOALS = ("sample", "tip", "epidural", "block", "cement", "ablate")


def scenario_options(one: argparse.ArgumentParser) -> None:
    """Put the options of scenario to its parser."""
    one.add_argument("case")
    one.add_argument("--plan", default="", metavar="ID", help="of the case (default: its only one)")
    one.add_argument("--trajectory", type=int, default=1, metavar="N", help="which way, 1 the best (default)")
    one.add_argument("--title", required=True, metavar="WORDS")
    one.add_argument("--words", default="", metavar="WORDS", help="what the learner is told (default: by the goal)")
    one.add_argument("--id", default="", metavar="ID", help="default: from the title")
    one.add_argument(
        "--sight", required=True, action="append", choices=SIGHTS, help="how the needle is seen; may be given again"
    )
    one.add_argument("--goal", required=True, choices=GOALS, help="what is to be done")
    one.add_argument("--within", required=True, type=float, metavar="MM", help="of the goal (ablate: least margin)")
    one.add_argument(
        "--limit", action="append", default=[], metavar="METRIC=MOST",
        help="of a metric: an attempt beyond it is a failure on the learning curve; may be given again",
    )  # fmt: skip
    one.add_argument("--count", action="append", default=[], metavar="METRIC", help="in place of the usual metrics")
    one.add_argument("--view", action="append", default=[], metavar="VIEW", help="of the C-arm, that is judged")
    one.add_argument("--by", required=True, metavar="NAME", help="who sets goal and limits")
    one.add_argument("--out", required=True, metavar="FILE.toml", help="a new file")


def do_scenario(options: argparse.Namespace, output: Output) -> int:
    """A scenario file from a case."""
    from navplan.errors import ChoiceError
    from navplan.verbs.case_verbs import open_case
    from navplan.verbs.make_scenario import make_scenario

    if options.trajectory < 1:
        raise ChoiceError(f"--trajectory {options.trajectory}", "1 or more")
    case = open_case(options.case)
    made = make_scenario(
        case, case.plan(options.plan), title=options.title, by=options.by, out=options.out, sight=options.sight,
        goal=options.goal, within_mm=options.within, trajectory=options.trajectory - 1, id=options.id,
        words=options.words, limits=limits_of(options.limit), counted=options.count, views=options.view,
        progress=output.progress,
    )  # fmt: skip
    lines = [f"{made.scenario.id}: {made.path}", *(f"   {words}" for words in made.notes)]
    output.result("\n".join(lines), {"id": made.scenario.id, "path": str(made.path), "notes": made.notes})
    return 0


def limits_of(given: list[str]) -> dict[str, float]:
    """Limits from METRIC=MOST. Raises InputError for other words, or a metric that is given twice."""
    from navplan.errors import InputError

    found: dict[str, float] = {}
    for words in given:
        name, equals, most = words.partition("=")
        try:
            value = float(most)
        except ValueError:
            value = float("nan")
        if not equals or not name or value != value or name in found:
            raise InputError(f"--limit {words!r}", "METRIC=MOST, each metric once, as target_off_mm=10")
        found[name] = value
    return found
