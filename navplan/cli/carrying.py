"""register and carry: one image in the frame of another, and its structures there."""

from __future__ import annotations

from argparse import Namespace

from navplan.cli.output import Output

DONE, NOT_EVALUATED = 0, 4
MEAN_OF = {  # of the error
    "landmarks": "the mean at the landmarks", "surface": "the mean at the surface",
    "vertebrae": "the mean in the vertebrae",
}  # fmt: skip

LONG_DAYS = 90  # between two images, from which on it is told (unsourced)
NEXT = "look at both (navplan scene --fused), or begin from landmarks (--landmarks) or a map laid by hand (--start)"


def do_carry(options: Namespace, output: Output) -> int:
    """Structures onto another image."""
    from navplan.cli import commands
    from navplan.verbs.carry import carry

    before = commands.open_case(options.case)
    case = carry(before, options.moving, options.fixed, options.structure, progress=output.progress)
    saved = commands.saved_case(case, options.case)
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


def do_register(options: Namespace, output: Output) -> int:
    """One image in the frame of another."""
    from navplan.cli import commands
    from navplan.planning.carried_plan import days_apart
    from navplan.verbs.register import register

    case = register(
        commands.open_case(options.case), options.fixed, options.moving, kind=options.kind, engine=options.engine,
        landmarks=options.landmarks, structure=options.structure, mask=options.mask,
        own_coordinates=options.own_coordinates, start=options.start, given=options.given, progress=output.progress,
    )  # fmt: skip
    saved = commands.saved_case(case, options.case)
    found = case.registration(options.fixed, options.moving)
    expected_mm = found.transform.expected_error_mm
    mean = MEAN_OF.get(found.kind, "the mean over the body")
    told_error = "not known" if expected_mm is None else f"{expected_mm:.1f} mm in 95 of 100, {mean}"
    lines = [
        f"{options.case}: revision {saved.revision}",
        f"  {found.made_with}: {'good' if found.good else 'NOT GOOD ENOUGH'}",
        f"  expected error: {told_error}",
    ]
    if found.good and expected_mm is not None:
        lines.append("  good: every check passed; that does not make the error small: look at it where the needle goes")
    signs = {True: "passed", False: "FAILED", None: "NOT COMPUTED"}
    lines += [f"  {signs[check.passed]}: {check.words}" for check in found.checks]
    days = days_apart(*(case.volumes[one].acquisition for one in (found.moving, found.fixed)))
    if days is not None and days > LONG_DAYS:
        lines.append(f"  {days} days lie between the images: what grew or was operated on since, no check finds")
    if not found.good:
        lines.append(f"  kept, and what is carried by it is in doubt; {NEXT}")
    told = {
        "case": options.case, "revision": saved.revision, "days_apart": days, "fixed": found.fixed,
        "moving": found.moving, "kind": found.kind, "good": found.good, "expected_error_mm": expected_mm,
        "matrix": found.transform.matrix.tolist(),
        "checks": [
            {"name": one.name, "words": one.words, "value": one.value, "limit": one.limit, "passed": one.passed}
            for one in found.checks
        ],
    }  # fmt: skip
    output.result("\n".join(lines), told)
    return DONE if found.good else NOT_EVALUATED
