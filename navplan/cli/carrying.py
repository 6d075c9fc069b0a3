"""carry: structures of one image on another, by the registration of the two."""

from __future__ import annotations

from argparse import Namespace

from navplan.cli.output import Output

DONE = 0


def do_carry(options: Namespace, output: Output) -> int:
    """Structures onto another image."""
    from navplan.cli import commands
    from navplan.verbs.carry import carry

    before = commands.open_case(options.case)
    case = carry(before, options.moving, options.fixed, options.structure, progress=output.progress)
    saved = commands._save(case, options.case)
    registration = case.registration(options.fixed, options.moving)
    done = case.audit[-1].details
    there = case.structures_of(options.fixed)
    quality = "good" if registration.good else f"NOT GOOD ENOUGH: {registration.doubt}"
    lines = [
        f"{options.case}: revision {saved.revision}",
        f"  registration of {options.moving} to {options.fixed}, {registration.kind}: {quality}",
    ]
    doubts = {name: there[name].carried_doubt for name in sorted(done["error_mm"]) if there[name].carried_doubt}
    for name, error_mm in sorted(done["error_mm"].items()):
        how_far = "" if there[name].occupancy is None else f", off by up to {error_mm:.1f} mm in 95 of 100"
        lines.append(f"  {name}: {there[name].presence.value}{how_far}")
        if name in doubts:
            lines.append(f"    NOT EVALUATED with it: {doubts[name]}")
    if done["left"]:
        lines.append(f"  left, on image {options.fixed} already or beside it: {', '.join(done['left'])}")
    told = {
        "case": options.case, "revision": saved.revision, "from": options.moving, "to": options.fixed,
        "registration": {"kind": registration.kind, "good": registration.good, "doubt": registration.doubt},
        "error_mm": done["error_mm"], "doubts": doubts, "left": done["left"],
    }  # fmt: skip
    output.result("\n".join(lines), told)
    return DONE
