"""Forks children that save cases until they are killed. Run as a program by test_case_kill.

A line on standard input, "FOLDER SEED", forks a child; its process id is answered, and "dead" once it is killed. The
child appends each revision that it has saved to the file FOLDER.saved. Every revision's last audit entry tells what the
case must then hold.
"""

import os
import sys
from pathlib import Path

import numpy as np
from case_examples import make_plan, make_structures, make_volume

from navplan.files.case_folder import open_case_folder, save_case_folder  # imported before the fork: a child writes
from navplan.model.case import Case


def summary(case: Case) -> dict[str, object]:
    """Digests of all that a case holds."""
    return {
        "volumes": {name: volume.digest for name, volume in case.volumes.items()},
        "structures": {name: structure.digest for name, structure in case.structures.items()},
        "plans": {name: [list(plan.notes), plan.skin_map is not None] for name, plan in case.plans.items()},
    }


def changed(case: Case, rng: np.random.Generator) -> tuple[Case, str]:
    """One of the things that the writing verbs do."""
    action = str(rng.choice(["import", "segment", "absent", "plan", "save", "remove"]))
    if action == "import" or not case.volumes:
        return case.with_volume(f"ct-{rng.integers(3)}", make_volume(rng, (6, 5, 4))), "import"
    volume = next(iter(case.volumes.values()))
    if action == "segment":
        return case.with_structures(*make_structures(rng, volume, f"source {rng.integers(2)}")), action
    if action == "absent":
        return case.with_structures(make_structures(rng, volume)[-2]), action
    if action == "plan":
        plan = make_plan(rng, f"plan {rng.integers(3)}", int(rng.integers(9)), str(rng.random()))
        return case.with_plan(plan), action
    if action == "remove":
        return Case(
            case.id, dict(list(case.volumes.items())[-1:]), audit=case.audit, folder=case.folder, revision=case.revision
        ), action
    return case, action


def save_for_ever(folder: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    record = os.open(folder + ".saved", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    case = open_case_folder(folder) if Path(folder, "case.json").exists() else Case()
    while True:
        case, action = changed(case, rng)
        case = save_case_folder(case, folder, action, summary(case))
        os.write(record, f"{case.revision}\n".encode())
        if rng.random() < 0.3:
            case = open_case_folder(folder)


def serve() -> None:
    for line in sys.stdin:
        folder, seed = line.rstrip("\n").rsplit(" ", 1)
        child = os.fork()
        if child == 0:
            try:
                save_for_ever(folder, int(seed))
            except BaseException as error:
                os.write(2, repr(error).encode())
                os._exit(1)
        print(child, flush=True)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print("dead" if code == -9 else f"ended by itself with {code}", flush=True)


if __name__ == "__main__":
    serve()
