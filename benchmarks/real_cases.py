"""Real cases that a radiologist would plan so: what each plan ends in, and what is open, as a table.

    python -m benchmarks.real_cases IMAGES [--only kidney] [--pictures FOLDER] [--out docs/real-cases.md]

Five that a radiologist would do so, and three beside them, in brackets: one that has to be refused, and two that are
done otherwise. Nothing is stated to be absent that is there: what no label holds stays open, or a person outlined it
(`benchmarks.real_outlines`). Positions are stated as they are: every image here was taken supine.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import navplan as nv
from benchmarks.real_outlines import ABDOMEN, ABDOMEN_LABELS, CHEST, write_outline
from benchmarks.real_targets import ABDOMEN_IMAGE, CHEST_IMAGE, METASTASIS_MM
from navplan.model.case import Case
from navplan.model.plan import Plan
from navplan.model.safety import SafetyReport

BARE = "crlm1004_abdomen_ct"
READER = "stated for this example, the slices not searched"
MARK = "<!-- figures -->"


@dataclass(frozen=True)
class RealCase:
    """One case: images, what was outlined (outline, name of the structure), what a person looked for and did not find,
    and the request."""

    name: str
    words: str
    images: str
    protocol: str
    target: str | tuple[float, float, float]
    side: str = ""
    level: str = ""
    position: str = "HFS"
    outlines: tuple[tuple[str, str], ...] = ()
    absent: tuple[str, ...] = ()
    guidance: str = ""
    sensible: bool = True  # a radiologist would do it so


CASES = (
    RealCase(
        "lung", "mass of the left lung", CHEST, "lung-biopsy", "mass", "L", position="HFP",
        outlines=(("mass", "mass"),), absent=("bulla", "fissure"),
    ),
    RealCase(
        "liver", "invented lesion, right liver", ABDOMEN, "liver-biopsy", "lesion", "R", outlines=(("ball", "lesion"),)
    ),
    RealCase(
        "vertebra", "front of the body of L3", ABDOMEN, "vertebroplasty", "cement_region", level="L3", position="HFP",
        outlines=(
            ("L3_with_cortex", "vertebrae_L3"), ("front_of_L3", "cement_region"), ("spinal_canal", "spinal_canal"),
        ),
    ),
    RealCase(
        "kidney", "lower pole, cortex", ABDOMEN, "kidney-biopsy", "sample_region", "R", position="HFP",
        outlines=(("kidney_lower_pole", "sample_region"), ("renal_pelvis", "renal_pelvis_right")), guidance="navigated",
    ),
    RealCase(
        "ilium", "marrow of the iliac bone, from behind", ABDOMEN, "bone-biopsy", "sample_region", "R", position="HFP",
        outlines=(("back_of_ilium", "sample_region"),), absent=("closed_compartment",),
    ),
    RealCase(
        "no-labels", "liver without labels", BARE, "liver-biopsy", METASTASIS_MM, "R", position="", sensible=False
    ),
    RealCase(
        "lung-supine", "the same mass, supine", CHEST, "lung-biopsy", "mass", "L",
        outlines=(("mass", "mass"),), absent=("bulla", "fissure"), sensible=False,
    ),
    RealCase(
        "ilium-front", "marrow of the iliac wing, from the front", ABDOMEN, "bone-biopsy", "sample_region", "R",
        outlines=(("iliac_wing", "sample_region"),), absent=("closed_compartment",), sensible=False,
    ),
)  # fmt: skip


@cache
def labelled(images: Path, which: str) -> Case:
    """A CT with what ct-basic computes and, where there are any, the network's labels."""
    folder = images / which
    if which == BARE:
        return nv.segment(nv.import_images(folder, image_id="ct"), "ct-basic")
    image, labels, names, working_mm = {
        CHEST: (CHEST_IMAGE, "mask.nii.gz", "structures.csv", 1.5),
        ABDOMEN: (ABDOMEN_IMAGE, ABDOMEN_LABELS, "labels.json", 3.0),
    }[which]
    case = nv.import_images(folder / image, image_id="ct", patient_position="HFS")
    case = nv.segment(case, "ct-basic")
    return nv.segment(case, labels=folder / labels, names=folder / names, working_resolution_mm=working_mm)


def planned(one: RealCase, images: Path) -> tuple[Case, Plan]:
    """A case with its outlines and statements, and its plan."""
    case = labelled(images, one.images)
    with tempfile.TemporaryDirectory() as work:
        for outline, name in one.outlines:
            file = write_outline(outline, images, Path(work) / f"{outline}.nii.gz")
            case = nv.segment(case, labels=file, structure=name)
    for name in one.absent:
        case = nv.absent(case, name, READER)
    request = {"side": one.side, "level": one.level, "patient_position": one.position, "guidance": one.guidance}
    plan = nv.plan(case, one.protocol, one.target, **request)
    return case.with_plan(plan), plan


def row(one: RealCase, plan: Plan) -> str:
    """A line of the table."""
    way, report = plan.best.trajectory, plan.best.report
    items = report.open_items
    behind = sum(max(len(line.findings), 1) for item in items for line in item.lines)
    request = " ".join(word for word in (one.side, one.level) if word)
    lies = plan.patient_position + (" (image HFS)" if plan.patient_position != "HFS" and one.images != BARE else "")
    told = f"{way.depth_mm:.0f} mm, {plan.error_model.name}. {report.headline.split(' - ')[0]}"
    name = one.name if one.sensible else f"({one.name})"
    cells = (name, f"{one.words}: {one.protocol}", request, lies, told, plan.best.verdict, str(len(items)))
    return f"| {' | '.join((*cells, headline_counts(report), str(behind)))} |"


def headline_counts(report: SafetyReport) -> str:
    """What the headline counts beside the open items."""
    return ", ".join(part for part in report.headline.split(" - ") if part.endswith(("not imaged", "to tick")))


def item_words(one: RealCase, report: SafetyReport) -> list[str]:
    """Each open item of a case with its lines."""
    lines = [f"**{one.name}.** {report.headline}", ""]
    for item in report.open_items:
        lines.append(f"- {item.verdict}, {item.cause.value}:")
        lines += [f"    - {line.verdict}: {line.brief} ({max(len(line.findings), 1)})" for line in item.lines]
    lines += [f"- to tick: {finding.words}" for finding in report.to_tick]
    return [*lines, ""]


def figures(images: Path, only: str = "", pictures: Path | None = None) -> str:
    """The table and the words beneath it, as markdown; a hero still of each plan where a folder is given."""
    table = [
        "| case | what | side, level | lies | best way | verdict | open items | counted apart | findings behind them |",
        "|---" * 9 + "|",
    ]
    words = []
    for one in CASES:
        if only not in ("", one.name):
            continue
        case, plan = planned(one, images)
        table.append(row(one, plan))
        words += item_words(one, plan.best.report)
        print(table[-1], flush=True)
        if pictures is not None:
            pictures.mkdir(parents=True, exist_ok=True)
            nv.scene(case, plan=plan, out=pictures / f"real-{one.name}.png", hero=True)
    return "\n".join([*table, "", *words]).replace("*_", "_").replace("*:", ":")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, nargs="?", default=Path(os.environ.get("NAVPLAN_REAL_IMAGES", ".")))
    parser.add_argument("--only", default="", choices=["", *(one.name for one in CASES)])
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    told = figures(options.images, options.only, options.pictures)
    if options.out:
        head = options.out.read_text(encoding="utf-8").split(MARK)[0] if options.out.exists() else ""
        options.out.write_text(f"{head}{MARK}\n{told}", encoding="utf-8")
    else:
        print(told)


if __name__ == "__main__":
    main()
