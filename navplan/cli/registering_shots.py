"""register-shots: a CT in one real fluoroscopic picture or two."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from navplan.cli.output import Output
from navplan.errors import InputError

DONE, TIP_FAILS, NOT_EVALUATED = 0, 3, 4
NO_PLAN = "none"
STILL = (0.0, 0.0, 0.0)


def do_register_shots(options: Namespace, output: Output) -> int:
    """Pictures, start and tip from options; result and overlays into a folder."""
    from navplan.cli import commands
    from navplan.fluoroscopy.drr import ProjectedCt
    from navplan.model.safety import Verdict
    from navplan.verbs.fluoro import needle_on_image
    from navplan.verbs.given_shots import given_shots, refuse_another_patient
    from navplan.verbs.register_shots import ShotStart, as_data, outlined_structures, register_shots, verdict_of
    from navplan.verbs.register_shots_files import refuse_folder, save_registered_shots

    point_of = commands.point_of
    start = ShotStart(
        point_of(options.isocentre, "--isocentre"), point_of(options.shift, "--shift") or STILL,
        point_of(options.turn, "--turn") or STILL, options.landmarks,
    )  # fmt: skip
    tip = [_pixel(words) for words in options.tip]
    refuse_folder(options.out)
    case = commands.open_case(options.case)
    plan = None if options.plan == NO_PLAN else commands.chosen_plan(case, options.plan)
    place = commands.place_of(options, plan)
    shots = given_shots(case, [_shot(words) for words in options.shot])
    image_id, volume, way, _ = needle_on_image(case, plan, place, options.image, "")
    refuse_another_patient(shots, image_id, volume)  # before the CT is made ready
    outlined = outlined_structures(case, image_id, plan, place, options.outline)
    output.progress("getting the CT ready", 0.0)
    ct = ProjectedCt(volume)
    result = register_shots(
        case, shots, image=image_id, plan=plan, trajectory=place, start=start, tip=tip, ct=ct,
        progress=output.progress,
    )  # fmt: skip
    paths = save_registered_shots(result, ct, options.out, outlined, way)
    for words in result.warnings:
        output.message(f"! {words}")
    lines = [*result.words]
    if result.tip is not None:
        lines += [f"tip, {result.tip.verdict.value}: {result.tip.words[0]}", *result.tip.words[1:]]
    output.result("\n".join([*lines, *(str(path) for path in paths)]), {**as_data(result), "paths": paths})
    verdict = verdict_of(result)
    if verdict is Verdict.FAIL:
        return TIP_FAILS
    return NOT_EVALUATED if verdict is Verdict.NOT_EVALUATED else DONE


def _shot(words: str) -> tuple[Path, int]:
    """FILE or FILE:N, N counted from 1."""
    path, colon, number = words.rpartition(":")
    if not colon or not number.isdigit() or Path(words).exists():
        path, number = words, "1"
    if not path or int(number) < 1:
        raise InputError(f"--shot {words!r}", "FILE, or FILE:N with a picture counted from 1")
    return Path(path), int(number) - 1


def _pixel(words: str) -> tuple[float, float]:
    try:
        row, column = (float(part) for part in words.split(","))
    except ValueError as error:
        raise InputError(f"--tip {words!r}", "ROW,COLUMN in pixels, counted from 0") from error
    return row, column
