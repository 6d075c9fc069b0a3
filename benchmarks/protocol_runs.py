"""Each protocol run once, on a phantom or a real image: what it ends in.

    python -m benchmarks.protocol_runs [--only vertebroplasty] [--out docs/protocol-runs.md]

The phantoms are made as cases with fractional labels; a patient who lies otherwise is the same phantom said to lie so
(prone, the table's side is the front). Points that are aimed at come from the phantom's own truth.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError
from navplan.extend import registry
from navplan.model.case import Case
from navplan.model.safety import FindingKind, Verdict
from navplan.verbs.phantom import phantom
from navplan.verbs.plan import plan
from navplan.verbs.segment import absent

Aim = str | Callable[[Case], tuple[float, float, float]]


@dataclass(frozen=True)
class Run:
    """One row: which protocol on which case, aimed where, as requested."""

    protocol: str
    case: str
    aim: Aim
    words: str
    side: str = ""
    level: str = ""
    position: str = "HFS"
    absent: tuple[str, ...] = ()  # what the phantom has not, stated so


@cache
def case_of(name: str, position: str) -> Case:
    """A phantom as a case, its patient said to lie so."""
    spacing = (1.0, 1.0, 1.0) if name.startswith("lumbar") else (1.5, 1.5, 2.0)
    case = phantom(name, spacing_mm=spacing)
    (image_id, volume), *_ = case.volumes.items()
    lies = replace(volume, acquisition=replace(volume.acquisition, patient_position=position))
    return replace(case, volumes={image_id: lies})


def beside(name: str, *offset_mm: float) -> Callable[[Case], tuple[float, float, float]]:
    """A point so far from the middle of a structure's voxels, LPS mm."""

    def found(case: Case) -> tuple[float, float, float]:
        structure = case.structures[name]
        middle = structure.voxel_centres_mm().mean(axis=0) + np.asarray(offset_mm)
        x, y, z = (float(value) for value in middle)
        return x, y, z

    return found


def truth(path: str, *offset_mm: float) -> Callable[[Case], tuple[float, float, float]]:
    """A point of the lumbar phantom's truth, or beside it: "safe_triangles L4 left", "sacrum hiatus_lps_mm"."""

    def found(case: Case) -> tuple[float, float, float]:
        at = lumbar_truth()
        for key in path.split():
            at = at[key]
        at = np.asarray(at["point_lps_mm"] if isinstance(at, dict) else at) + np.asarray(offset_mm or (0.0, 0.0, 0.0))
        x, y, z = (float(value) for value in at)
        return x, y, z

    return found


@cache
def lumbar_truth() -> dict[str, Any]:
    from navplan_phantoms.lumbar import LumbarPhantom

    return LumbarPhantom().make(spacing_mm=(4.0, 4.0, 4.0), noise_hu=0.0).truth


def sacroiliac(side: str) -> Callable[[Case], tuple[float, float, float]]:
    """Amid the lower third of a sacroiliac joint of the phantom with iliac bones."""

    def found(case: Case) -> tuple[float, float, float]:
        from navplan_phantoms.pelvis import PelvisPhantom

        x, y, z = PelvisPhantom().told(np.eye(4))["sacroiliac_joints"][side]["point_lps_mm"]
        return float(x), float(y), float(z)

    return found


def body_of(level: str, aside_mm: float) -> Callable[[Case], tuple[float, float, float]]:
    """The front third of a vertebral body, beside the midline."""

    def found(case: Case) -> tuple[float, float, float]:
        told = lumbar_truth()["vertebrae"][f"vertebrae_{level}"]
        centre, front, left = (np.asarray(told[key]) for key in ("centre_lps_mm", "anterior", "left"))
        x, y, z = centre + 6.0 * front + aside_mm * left
        return float(x), float(y), float(z)

    return found


GROOVE_LEFT = truth("medial_branch_targets L4 left")
GROOVE_RIGHT = truth("medial_branch_targets L4 right")
NO_PELVIS = ("renal_pelvis", "ureter")
RUNS = (
    Run("vertebroplasty", "lumbar-spine", body_of("L3", 5.0), "body of L3", "L", "L3", "HFP"),
    Run("vertebroplasty", "lumbar-spine", body_of("L5", 5.0), "body of L5", "L", "L5", "HFP"),
    Run("vertebroplasty", "lumbar-spine", body_of("L3", 5.0), "body of L3, asked at L2", "L", "L2", "HFP"),
    Run("kyphoplasty", "lumbar-spine", body_of("L2", -5.0), "body of L2", "R", "L2", "HFP"),
    Run("transforaminal-lumbar", "lumbar-spine", truth("safe_triangles L4 left"), "safe triangle", "L", "L4", "HFP"),
    Run("medial-branch-block", "lumbar-spine", GROOVE_LEFT, "groove of L4", "L", "L4", "HFP"),
    Run("medial-branch-rf", "lumbar-spine", GROOVE_RIGHT, "groove of L4", "R", "L4", "HFP"),
    Run("disc-biopsy", "lumbar-spine", "disc_L3", "disc L3/4", "L", "L3", "HFP", ("colon",)),
    Run("lumbar-puncture", "lumbar-spine", beside("disc_L3", 0, 22, 0), "sac at L3/4", "", "L3", "HFP", ("colon",)),
    Run("interlaminar-lumbar", "lumbar-spine", beside("disc_L3", 0, 30, 0), "behind the sac, L3/4", "", "L3", "HFP"),
    Run("facet-joint", "lumbar-spine", truth("facet_recesses L3 left"), "lower recess of joint L3/4", "L", "L3", "HFP"),
    Run("sacroiliac-joint", "lumbar-pelvis", sacroiliac("left"), "lower third of the joint", "L", "", "HFP"),
    Run("caudal-epidural", "lumbar-spine", truth("sacrum hiatus_lps_mm"), "sacral hiatus", "", "", "HFP"),
    Run("stimulator-lead", "lumbar-spine", beside("disc_L1", 0, 28, 0), "behind the sac, L1/2", "", "L1", "HFP"),
    Run("coeliac-plexus-block", "lumbar-spine", beside("aorta", 14, -4, 40), "beside the aorta", "L", "", "HFP"),
    Run("liver-biopsy", "abdomen", "lesion", "lesion"),
    Run("liver-mwa", "abdomen", "lesion", "lesion", absent=("bile_duct",)),
    Run("liver-mwa", "abdomen-small-lesion", "lesion", "lesion of 13 mm", absent=("bile_duct",)),
    Run("liver-rfa", "abdomen", "lesion", "lesion", absent=("bile_duct",)),
    Run("kidney-biopsy", "abdomen", beside("kidney_left", 0, 0, -25), "lower pole", "L", "", "HFP", ("renal_pelvis",)),
    Run("kidney-cryoablation", "abdomen", beside("kidney_right", 0, 0, -20), "lower pole", "R", "", "HFP", NO_PELVIS),
    Run("adrenal-biopsy", "abdomen", beside("kidney_left", 0, 0, 45), "above the kidney", "L", "", "HFP"),
    Run("pancreas-biopsy", "abdomen", beside("aorta", 0, -35, 0), "in front of the aorta"),
    Run("node-biopsy", "abdomen", beside("aorta", 22, 5, -10), "beside the aorta", "", "", "HFP"),
    Run("abdominal-drainage", "abdomen", beside("liver", -40, 0, -30), "in the liver's edge"),
    Run("lung-biopsy", "chest", "nodule_left", "nodule", "L"),
    Run("lung-biopsy", "chest", "nodule_right", "deep nodule", "R"),
    Run("mediastinal-biopsy", "chest", "mass_mediastinum", "anterior mass"),
    Run("pleural-biopsy", "chest", "pleural_effusion_right", "pleura at the effusion", "R"),
    Run("chest-drain", "chest", "pleural_effusion_right", "effusion", "R"),
    Run("bone-biopsy", "chest", "sternum", "sternum, which it is not for"),
    Run("joint-injection", "abdomen", beside("liver", 0, 0, 0), "no joint in any phantom"),
    Run("synovial-biopsy", "abdomen", beside("liver", 0, 0, 0), "no joint in any phantom"),
)


def row(run: Run) -> list[str]:
    """What one run ends in."""
    begin = time.perf_counter()
    head = [run.protocol, run.case, run.words, f"{run.side} {run.level}".strip(), run.position]
    try:
        case = case_of(run.case, run.position)
        aim = run.aim if isinstance(run.aim, str) else run.aim(case)
        for name in run.absent:
            case = absent(case, name, by="the maker of the phantom")
        made = plan(case, run.protocol, aim, side=run.side, level=run.level)
    except (InputError, KeyError) as error:
        return [*head, "refused", str(error).split(". Expected")[0][:150], ""]
    spent = time.perf_counter() - begin
    if not made.trajectories:
        why = next((note for note in made.notes if note.startswith("No way in")), "no way in")
        return [*head, "no way in", why[:150], f"{spent:.0f} s"]
    best = made.best
    grades = [
        finding.words for finding in best.report.findings
        if finding.kind is FindingKind.RULES and finding.verdict is not Verdict.NOT_EVALUATED
        and ("Gertzbein" in finding.words or "kept all along" in finding.words)
    ]  # fmt: skip
    told = f"{best.trajectory.depth_mm:.0f} mm, {_angles(best.trajectory.direction)}; {best.report.headline}"
    told += "".join(f"; {words.split(' (')[0]}" for words in grades)
    rests = [finding for finding in best.report.findings if finding.kind is FindingKind.CONTACT]
    told += "".join(f"; {finding.structure}: {finding.words}" for finding in rests)
    return [*head, f"{len(made.trajectories)} ways, {best.verdict}", told, f"{spent:.0f} s"]


def _angles(direction: NDArray[np.float64]) -> str:
    tilt = np.degrees(np.arcsin(direction[2]))
    side = np.degrees(np.arcsin(abs(direction[0])))
    return f"{side:.0f} deg off sagittal, {abs(tilt):.0f} deg to the {'head' if tilt > 0 else 'feet'}"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="a protocol's id")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    lines = ["| protocol | case | aimed at | side, level | lies | ends in | the best way | took |", "|---" * 8 + "|"]
    for run in RUNS:
        if options.only in ("", run.protocol):
            lines.append("| " + " | ".join(row(run)) + " |")
            print(lines[-1], flush=True)
    missing = sorted(set(registry.protocols()) - {run.protocol for run in RUNS})
    lines += ["", f"Not run: {', '.join(missing) or 'none'}."]
    if options.out:
        head = options.out.read_text(encoding="utf-8").split("<!-- figures -->")[0] if options.out.exists() else ""
        options.out.write_text(head + "<!-- figures -->\n" + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
