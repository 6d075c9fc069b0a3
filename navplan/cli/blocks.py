"""block, block-find and block-score: a printed training block made, found in a scan, and a needle in it judged."""

from __future__ import annotations

from argparse import Namespace

from navplan.cli.output import Output
from navplan.errors import InputError

DONE = 0


def do_block(options: Namespace, output: Output) -> int:
    """A block of a plan, into a folder."""
    from navplan.cli import commands
    from navplan.verbs.block import BlockSizes, make_block

    case = commands.open_case(options.case)
    x, y, z = options.bed
    sizes = BlockSizes(options.ball, options.clearance, not options.no_channels, (x, y, z))
    if min(options.trajectory or [1]) < 1:
        raise InputError(f"--trajectory {min(options.trajectory)}", "1 or more")
    ways = [number - 1 for number in options.trajectory or [1]]
    plan = case.plan(options.plan)
    block = make_block(
        case, plan, ways=ways, structures=options.structure, sizes=sizes, out=options.out, progress=output.progress
    )
    size = " x ".join(f"{mm:.0f}" for mm in block.size_mm)
    lines = [f"{options.out}: block {block.id}, {size} mm, {len(block.marks)} pits, up is {block.letters[4]}"]
    for way in block.ways:
        lines.append(
            f"  {way.name}: {way.depth_mm:.1f} mm deep, {way.angle_deg:.1f} deg to the top face's normal, compass"
            f" {way.compass_deg:.0f} deg, at x {way.top_mm[0]:.1f}, y {way.top_mm[1]:.1f} mm; {way.device}"
        )
    lines += [f"  {note}" for note in block.notes]
    output.result("\n".join(lines), {"folder": options.out, "block": block, "ways": [_way_data(w) for w in block.ways]})
    return DONE


def _way_data(way: object) -> dict[str, object]:
    told = ("name", "depth_mm", "angle_deg", "compass_deg", "above_skin_mm")
    return {name: getattr(way, name) for name in told}


def do_block_find(options: Namespace, output: Output) -> int:
    """Where a block lies in a scan."""
    from navplan.files.block_file import read_block
    from navplan.verbs.block import find_block
    from navplan.verbs.import_images import import_images

    block = read_block(options.block)
    _, volume = import_images(options.scan, series=options.series).image("")
    found = find_block(volume, block)
    lines = [found.words]
    for name, residual, (x, y, z) in zip(block.names, found.fit.residuals_mm, found.found_mm, strict=True):
        lines.append(f"   {name}: ({x:.2f}, {y:.2f}, {z:.2f}) mm in the scan, residual {residual:.2f} mm")
    told = {
        "block": block.id, "names": block.names, "found_mm": found.found_mm, "residuals_mm": found.fit.residuals_mm,
        "fre_mm": found.fit.fre_mm, "scale": found.scale, "expected_error_mm": found.scan_from_block.expected_error_mm,
        "scan_from_block": found.scan_from_block.matrix, "patient_from_scan": found.patient_from_scan.matrix,
    }  # fmt: skip
    output.result("\n".join(lines), told)
    return DONE


def do_block_score(options: Namespace, output: Output) -> int:
    """Needles measured by hand."""
    from dataclasses import asdict

    from navplan.cli import commands
    from navplan.files.block_file import read_block
    from navplan.verbs.block_score import HandErrors, block_score

    block = read_block(options.block)
    case = commands.open_case(options.case)
    place, depth, angle, compass = options.errors
    errors = HandErrors(place, depth, angle, compass)
    scores = block_score(case, options.plan or block.plan, block, options.measured, errors)
    told = {"block": block.id, "plan": block.plan, "errors": asdict(errors), "needles": [asdict(one) for one in scores]}
    output.result("\n".join(one.words for one in scores), told)
    return DONE
