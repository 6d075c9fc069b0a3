"""Do the metrics rank scripted learners rightly, and can each scenario be finished and failed?

    python -m benchmarks.training [--runs 200] [--first-seed 20000] [--scenarios ID ...] [--workers 1] [--keep FOLDER]
        [--out docs/training-metrics.md]

So many attempts of each of three learners in every installed scenario; about 0.1 s an attempt. What was played is kept
in FOLDER and not played again as long as scenario and engine are the same. Exit code 1 where in any scenario the
learners are not ranked rightly, by all discriminating metrics together, in 95 % of the runs. Seeds below 20000 were
used while learners and scenarios were made.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

import numpy as np

from benchmarks.cusum_runs import SHARES, TABLE, simulated
from benchmarks.training_ranks import Values, by_metric, by_size, sessions, together
from navplan.errors import InputError
from navplan.extend import registry
from navplan.model.scenario import Origin, Scenario
from navplan.training.actions import Advance, Finish, Fire, Inject, Place
from navplan.training.attempt import Attempt
from navplan.training.learner import ScriptedLearner, on_skin
from navplan.training.metrics import DISCRIMINATING, NAMES, metrics_of
from navplan.training.skills import SKILLS
from navplan.verbs.training import Rehearsal, rehearsal_of

WANTED, SESSIONS, FIRST_SEED = 0.95, (1, 3, 5, 10), 20_000
MEASURED = tuple(name for name in NAMES if name not in ("endplates_deg", "pedicle_off_share"))
LEARNERS, FEW, LONG = (*SKILLS, "blind", "idle"), 100, 5  # FEW: attempts of those without skill


def blind(attempt: Attempt) -> None:
    """The needle as it is offered, to the planned depth without a look."""
    point, direction = (np.asarray(of) for of in attempt.offered)
    point = on_skin(attempt, point, direction)
    attempt.act(Place(tuple(point.tolist()), tuple(direction.tolist())))
    attempt.act(Advance(attempt.way.tip_depth_mm))
    if attempt.path is not None and attempt.path.inserted_mm > 0.0:
        attempt.act(Inject(1.0))
        attempt.act(Fire())
    attempt.act(Finish())


def played(ready: Rehearsal, learner: str, seed: int) -> Attempt:
    """One attempt to its end."""
    attempt = ready.attempt(seed)
    if learner in SKILLS:
        ScriptedLearner(SKILLS[learner], seed, ready.views).play(attempt)
    elif learner == "blind":
        blind(attempt)
    else:
        attempt.act(Finish())
    return attempt


def key_of(scenario: Scenario) -> str:
    """Of what decides an attempt: the scenario and the engine's own files."""
    engine = [files("navplan.training").joinpath(path.name).read_bytes() for path in sorted(_engine())]
    plain = replace(scenario, origin=Origin())  # wherever its file lies
    return hashlib.sha256(repr(plain).encode() + b"".join(engine)).hexdigest()[:12]


def _engine() -> list[Path]:
    import navplan.training

    return list(Path(navplan.training.__path__[0]).glob("*.py"))


def values_of(id_: str, runs: int, keep: Path, first: int, say: Callable[[str], None]) -> dict[str, Values]:
    """Of each learner: (N, M) metrics of so many attempts, in the order of MEASURED."""
    scenario = registry.scenario(id_)
    kept = keep / f"{id_}-{key_of(scenario)}.jsonl"
    rows: dict[tuple[str, int], list[float]] = {}
    if kept.exists():
        for line in kept.read_text().splitlines():
            if line.endswith("]}"):
                row = json.loads(line)
                rows[row["learner"], row["seed"]] = [float(value) for value in row["values"]]
    seeds = {name: range(first, first + runs) for name in SKILLS}
    for name in LEARNERS[len(SKILLS) :]:
        seeds[name] = range(first, first + min(runs, FEW))
    wanted = [(name, seed) for seed in seeds["expert"] for name in LEARNERS if seed in seeds[name]]
    missing = [one for one in wanted if one not in rows]
    if missing:
        say(f"{id_}: {len(missing)} attempts to play")
        ready, began = rehearsal_of(scenario), time.monotonic()
        with kept.open("a") as file:
            for number, (name, seed) in enumerate(missing, 1):
                attempt = played(ready, name, seed)
                found = metrics_of(attempt.log, attempt.way, ready.views, MEASURED)
                rows[name, seed] = [one.value for one in found]
                told = {"learner": name, "seed": seed, "values": [str(one.value) for one in found]}
                print(json.dumps(told), file=file)
                if number % 250 == 0:
                    file.flush()
                    say(f"{id_}: {number} of {len(missing)}, {(time.monotonic() - began) / number:.3f} s an attempt")
    return {name: np.array([rows[name, seed] for seed in of]) for name, of in seeds.items()}


@dataclass(frozen=True)
class Told:
    """What one scenario came to."""

    scenario: Scenario
    values: dict[str, Values]

    @property
    def weighed(self) -> tuple[str, ...]:
        """Discriminating metrics that it counts."""
        return tuple(name for name in DISCRIMINATING if name in self.scenario.counted)

    def means(self, attempts: int) -> Values:
        """(3, R, M) of the weighed metrics: means of sessions of so many attempts, one after the other."""
        at = [MEASURED.index(name) for name in self.weighed]
        values = np.stack([self.values[name] for name in SKILLS])[..., at]
        whole = values.shape[1] // attempts
        return sessions(values[:, : whole * attempts].reshape(len(SKILLS), whole, attempts, len(at)), attempts)

    def met(self, learner: str) -> float:
        """Share of attempts that met the goal."""
        return float(1.0 - self.values[learner][..., MEASURED.index("goal_missed")].mean())


def page(told: list[Told], runs: int) -> str:
    """docs/training-metrics.md."""
    parts = {
        "metrics": _metrics_table(), "skills": _skills_table(), "ranks": _ranks_table(told, runs),
        "each": _each_table(told), "goals": _goals_table(told),
        "cusum": TABLE + "\n".join(simulated(p, 20_000).line for p in SHARES),
    }  # fmt: skip
    text = Path(__file__).with_name("training_page.md").read_text("utf-8")
    for name, table in parts.items():
        text = text.replace(f"<!-- {name} -->", table)
    return text


def _metrics_table() -> str:
    lines = ["| metric | unit | what it is | discriminating | source |", "|---|---|---|---|---|"]
    for name, (unit, words, source) in NAMES.items():
        lines.append(f"| `{name}` | {unit} | {words} | {'yes' if name in DISCRIMINATING else ''} | {source} |")
    return "\n".join(lines)


def _skills_table() -> str:
    names = [name for name in vars(SKILLS["expert"]) if name != "name"]
    lines = [f"| | {' | '.join(SKILLS)} |", "|---|" + "---|" * len(SKILLS)]
    lines += [f"| {name} | {' | '.join(f'{getattr(of, name):g}' for of in SKILLS.values())} |" for name in names]
    return "\n".join(lines)


def _ranks_table(told: list[Told], runs: int) -> str:
    counts = [count for count in SESSIONS if count <= runs]
    heads = [f"{'one attempt' if count == 1 else f'session of {count}'} ({runs // count})" for count in counts]
    heads += [f"one attempt, by ranks ({runs})"]
    lines = ["Rightly ranked together, share of runs (how many):", "", f"| scenario | {' | '.join(heads)} | metrics |"]
    lines.append("|---|" + "---|" * (len(counts) + 2))
    for one in told:
        each = [*(by_size(one.means(count)) for count in counts), together(one.means(1))]
        shares = " | ".join(f"{ranked.right:.1%}" for ranked in each)
        lines.append(f"| {one.scenario.id} | {shares} | {len(one.weighed)} |")
    course = [np.concatenate([one.means(count) for one in told], axis=2) for count in counts]
    whole = [*(by_size(means).right for means in course), together(course[0]).right]
    shares = " | ".join(f"{share:.1%}" for share in whole)
    lines.append(f"| all of them, one after the other | {shares} | {sum(len(one.weighed) for one in told)} |")
    return "\n".join(lines)


def _each_table(told: list[Told]) -> str:
    lines = ["Each metric by itself: median of expert / intermediate / novice; share of runs that it ranks rightly (in"]
    lines += [f"order or equal), by one attempt and by sessions of {LONG}.", ""]
    lines += ["| scenario | metric | medians | one attempt | session |", "|---|---|---|---|---|"]
    for one in told:
        single, whole = by_metric(one.means(1)), by_metric(one.means(LONG))
        for number, name in enumerate(one.weighed):
            at = MEASURED.index(name)
            medians = " / ".join(f"{np.nanmedian(one.values[skill][..., at]):.3g}" for skill in SKILLS)
            first, last = single[number], whole[number]
            lines.append(
                f"| {one.scenario.id} | `{name}` | {medians} | {first.right:.1%} ({first.not_wrong:.1%}) | "
                f"{last.right:.1%} ({last.not_wrong:.1%}) |"
            )
    return "\n".join(lines)


def _goals_table(told: list[Told]) -> str:
    lines = [f"| scenario | {' | '.join(LEARNERS)} |", "|---|" + "---|" * len(LEARNERS)]
    lines += [f"| {one.scenario.id} | {' | '.join(f'{one.met(name):.1%}' for name in LEARNERS)} |" for one in told]
    return "\n".join(lines)


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def _one(work: tuple[str, int, Path, int]) -> dict[str, Values]:
    return values_of(*work, _say)


def main(arguments: list[str] | None = None) -> int:
    """Plays what is missing and writes the page, or prints it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--scenarios", nargs="*", default=[])
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=Path("training-attempts"))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    if options.runs < LONG:
        raise InputError(f"{options.runs} runs", f"{LONG} or more")
    options.keep.mkdir(parents=True, exist_ok=True)
    chosen = options.scenarios or list(registry.scenarios())
    work = [(id_, options.runs, options.keep, options.first_seed) for id_ in chosen]
    if options.workers > 1:
        with ProcessPoolExecutor(options.workers) as pool:
            values = list(pool.map(_one, work))
    else:
        values = [_one(one) for one in work]
    told = [Told(registry.scenario(id_), of) for id_, of in zip(chosen, values, strict=True)]
    text = page(told, options.runs)
    if options.out:
        options.out.write_text(text, "utf-8")
    else:
        print(text)
    return int(any(by_size(one.means(1)).right < WANTED for one in told))


if __name__ == "__main__":
    sys.exit(main())
