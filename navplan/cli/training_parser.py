"""Words and options of rehearsal: scenarios, train, score; imports nothing but argparse."""

from __future__ import annotations

import argparse
from collections.abc import Callable

LEARNERS = ("expert", "intermediate", "novice")


def training_verbs(
    verb: Callable[[str, str], argparse.ArgumentParser], serving: Callable[..., None]
) -> None:  # fmt: skip
    """Put the verbs of rehearsal to the parser."""
    one = verb("scenarios", "rehearsals that can be played: their needle, how it is seen, where they come from")
    one.add_argument(
        "scenario", nargs="?", default="", metavar="SCENARIO",
        help="with --case: save this one's phantom as a case, the expert's way in it as a plan",
    )  # fmt: skip
    one.add_argument("--case", default=None, metavar="DIR", help="a new folder")

    one = verb("train", "play a scenario in the app; with --learner, let a scripted one play it, without any display")
    one.add_argument("scenario", metavar="SCENARIO", help="id or TOML file (see: navplan scenarios)")
    one.add_argument(
        "--learner", choices=LEARNERS, default="", help="a script: skill as noise and habits, not a person's"
    )
    one.add_argument("--difficulty", default="", metavar="NAME", help="one of the scenario's own (default: usual)")
    one.add_argument("--seed", type=int, default=0, metavar="S", help="of what differs between attempts; the first one")
    one.add_argument("--runs", type=int, default=1, metavar="N", help="attempts, of seeds S, S+1 ... (with --learner)")
    one.add_argument(
        "--name", default="", metavar="PSEUDONYM", help="who plays in the app; it is stored in the attempt's file"
    )
    one.add_argument(
        "--out", default="attempts", metavar="DIR",
        help="a file an attempt, whole or not at all; what is there already is not done again (default: attempts)",
    )  # fmt: skip
    serving(one)

    one = verb("score", "attempts played again, and what they come to: raw numbers, no mark and no pass")
    one.add_argument("files", nargs="+", metavar="FILE", help="attempts, of one scenario or several")
    one.add_argument("--scenario", default="", metavar="FILE.toml", help="of a scenario that is not installed")
    one.add_argument("--csv", default="", metavar="FILE", help="also a table: one row an attempt")
    one.add_argument(
        "--curve", action="store_true", help="the learning curve (CUSUM) of each learner, by the teacher's limits"
    )
    one.add_argument(
        "--limit", action="append", default=[], metavar="METRIC=MOST",
        help="of --curve: beyond it an attempt is a failure; in place of the scenario's own; needs --by; repeatable",
    )  # fmt: skip
    one.add_argument("--by", default="", metavar="NAME", help="of --limit: who sets it")
    one.add_argument("--p0", type=float, default=0.1, metavar="SHARE", help="of --curve: acceptable failures (0.1)")
    one.add_argument("--p1", type=float, default=0.2, metavar="SHARE", help="of --curve: unacceptable ones (0.2)")
    one.add_argument("--beside", default="", metavar="FILE", help="another attempt: where the needles part")
    one.add_argument("--picture", default="", metavar="FILE.png", help="of one attempt (with --beside: of two)")
    one.add_argument(
        "--other-bits", action="store_true", help="score the replay also where it comes to other bits than the file has"
    )
