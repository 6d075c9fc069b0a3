"""`navplan fluoro`: from options to shots, and to files."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from navplan.cli.output import Output
from navplan.errors import InputError

if TYPE_CHECKING:
    from navplan.fluoroscopy.exposure import Dose
    from navplan.fluoroscopy.image import Machine
    from navplan.fluoroscopy.shot import FluoroShot, Subject
    from navplan.fluoroscopy.view_finder import FoundView
    from navplan.geometry.carm import CArm
    from navplan.model.case import Case
    from navplan.model.plan import Plan

NO_PLAN = "none"  # --plan none: no needle


def do_fluoro(options: Namespace, output: Output) -> int:
    """A shot, a run, a sweep, both planes, or a real picture's counterpart."""
    from navplan.cli import commands
    from navplan.fluoroscopy.carms import carm_named
    from navplan.fluoroscopy.purposes import program_for
    from navplan.verbs.fluoro import fluoro_machine, fluoro_subject, protocol_views

    _refuse_what_does_not_go_together(options)
    carm, field, fill = carm_named(options.carm or "generic"), _field(options.field), _fill(options.fill)
    case = commands.open_case(options.case)
    plan = None if options.plan == NO_PLAN else commands.chosen_plan(case, options.plan)
    if plan is None and options.trajectory != 1:
        words = f"--trajectory {options.trajectory} without a plan"
        raise InputError(words, "a plan whose ways are counted", "Give --plan")
    place = commands.place_of(options, plan)
    program = options.program or program_for(options.find or "").name
    machine = fluoro_machine(
        rows=options.size or 512, cols=options.size or 512, detector_mm=options.zoom, carm=carm, field_mm=field,
        kv=options.kv, shutters=not options.open_shutters, program=program,
    )  # fmt: skip
    views: tuple[str | FoundView, ...]
    if options.find == "protocol":
        if plan is None:
            raise InputError("the views of a protocol without a plan", "a plan", "Give --plan")
        views = protocol_views(case, plan, trajectory=place, patient_position=options.position, carm=carm)
        isocentre = None
    else:
        view, isocentre = _view(options, case, plan, place, carm)
        views = (view,)
    if options.isocentre:
        isocentre = commands.point_of(options.isocentre, "--isocentre")
    subject = fluoro_subject(
        case, plan=plan, trajectory=place, image=options.image, patient_position=options.position,
        isocentre_mm=isocentre, beside=commands.beside_of(options, case), fill=fill,
        outline=tuple(dict.fromkeys([*options.outline, *_named_in(options)])),
    )  # fmt: skip
    told = [view.words for view in views if not isinstance(view, str)]
    paths, dose, warnings = _taken(options, subject, views, machine, output)
    for words in warnings:
        output.message(f"! {words}")
    found = [] if not told else [
        {"view": view.words, "ideal_reachable": view.ideal_reachable, "off_deg": view.off_deg}
        for view in views if not isinstance(view, str)
    ]  # fmt: skip
    data: dict[str, Any] = {
        "path": paths[0], "paths": paths, "dose": dose, "warnings": warnings, **(found[0] if len(found) == 1 else {}),
    }  # fmt: skip
    if len(found) > 1:
        data["views"] = found
    output.result("\n".join([*(str(path) for path in paths), *told, f"dose: {dose.words} (assumed)"]), data)
    return commands.DONE


def _refuse_what_does_not_go_together(options: Namespace) -> None:
    suffix = Path(options.out).suffix.lower()
    moves = bool(options.to or options.run) or suffix == ".mp4"
    wrong = (
        *(
            (value is not None and not value.strip(), f"--{name} without a value")
            for name in ("find", "like", "to", "biplane", "carm", "field")
            for value in (getattr(options, name),)
        ),
        (suffix == ".dcm" and bool(options.outline), "--outline in a .dcm, which has no place for lines"),
        (options.picture != 1 and not options.like, "--picture without --like"),
        (options.size is not None and options.size < 1, f"--size {options.size}"),
        (bool(options.like) and (options.size or options.zoom) is not None, "--like with --size or --zoom"),
        (options.pictures is not None and not moves, "--pictures without a run or sweep"),
        (options.rate is not None and not moves, "--rate without a run or sweep"),
        (bool(options.like) and (moves or options.biplane), "--like with a run, a sweep or a second plane"),
        (bool(options.like) and suffix != ".png", "--like, which is drawn beside the real picture, not as .png"),
        (options.find == "protocol" and (moves or options.biplane), "--find protocol with a run or a second plane"),
        (options.find == "protocol" and suffix != ".png", "--find protocol, which is several pictures, not as .png"),
        (
            moves and suffix not in (".mp4", ".dcm"),
            f"a run or sweep as {suffix or 'a file without an ending'}, not .mp4 or .dcm",
        ),
        (bool(options.biplane) and suffix == ".mp4", "both planes as .mp4"),
        (options.enhanced and suffix != ".dcm", "--enhanced for a file that is no .dcm"),
        (options.enhanced and bool(options.biplane), "--enhanced for both planes"),
        (bool(options.isocentre) and bool(options.find), "--isocentre with --find, which finds it"),
        (bool(options.biplane) and options.carm not in (None, "biplane"), f"--biplane with --carm {options.carm}"),
    )
    for is_wrong, words in wrong:
        if is_wrong:
            raise InputError(words, "options that go together", "See: navplan fluoro --help")


def _field(words: str | None) -> tuple[float, float] | None:
    """ "120x80" in mm."""
    if words is None:
        return None
    try:
        wide, tall = (float(side) for side in words.lower().split("x"))
    except ValueError as error:
        raise InputError(f"--field {words}", "width x height in mm, for example 120x80") from error
    return wide, tall


def _named_in(options: Namespace) -> list[str]:
    """The structure that a view was found for is drawn: else nobody could tell which vertebra it is."""
    _, of, name = (options.find or "").rpartition(" of ")
    return [name] if of and not options.out.lower().endswith(".dcm") else []


def _fill(given: list[str]) -> dict[str, str]:
    found = {}
    for words in given:
        name, equals, medium = words.partition("=")
        if not equals or not name or not medium:
            raise InputError(f"--fill {words}", "NAME=MEDIUM, for example aorta=iodine")
        if name in found:
            raise InputError(f"--fill {name} given twice", "each structure once")
        found[name] = medium
    return found


def _view(
    options: Namespace, case: Case, plan: Plan | None, place: int, carm: CArm
) -> tuple[str | FoundView, tuple[float, float, float] | None]:
    from navplan.verbs.fluoro import find_view

    if options.find is None:
        return options.view, None
    return find_view(
        case, options.find, plan=plan, trajectory=place, image=options.image, patient_position=options.position,
        carm=carm,
    )  # fmt: skip


def _taken(
    options: Namespace, subject: Subject, views: tuple[str | FoundView, ...], machine: Machine, output: Output
) -> tuple[tuple[Path, ...], Dose, tuple[str, ...]]:
    """What was written, what it took, and what must be told of it."""
    from navplan.fluoroscopy.exposure import Dose
    from navplan.fluoroscopy.shot import take_shots
    from navplan.verbs.fluoro import fluoro_biplane, fluoro_like, fluoro_run
    from navplan.verbs.fluoro_files import (
        RATE_PER_S,
        save_beside_real,
        save_biplane_shots,
        save_run,
        save_shot,
        save_shots,
    )

    if options.like:
        shot, real = fluoro_like(subject, options.like, options.picture - 1, machine=machine)
        path = save_beside_real(shot, real, options.picture - 1, options.out)
        return (path,), shot.image.dose, shot.overlay.warnings
    if options.biplane:
        planes = fluoro_biplane(subject, (views[0], options.biplane), planes=_planes(machine))
        return save_biplane_shots(planes, options.out), planes[0].image.dose + planes[1].image.dose, _all(planes)
    if options.to or options.run or options.out.lower().endswith(".mp4"):
        if options.run and subject.way is None:
            raise InputError("--run without a needle", "a plan whose needle goes in", "Give --plan, or --to VIEW")
        count = 30 if options.pictures is None else options.pictures
        seen = _Seen(count, output.progress)
        run = fluoro_run(subject, views[0], to=options.to or None, pictures=count, machine=machine)
        rate = RATE_PER_S if options.rate is None else options.rate
        path = save_run(run, options.out, rate_per_s=rate, enhanced=options.enhanced, each=seen)
        return (path,), seen.dose, seen.warnings.words
    shots = take_shots(subject, views, machine)
    if len(shots) > 1:
        return (save_shots(shots, options.out),), sum((shot.image.dose for shot in shots), Dose()), _all(shots)
    return (save_shot(shots[0], options.out, enhanced=options.enhanced),), shots[0].image.dose, _all(shots)


def _all(shots: Sequence[FluoroShot]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words for shot in shots for words in shot.overlay.warnings))


def _planes(machine: Machine) -> tuple[Machine, Machine]:
    from dataclasses import replace

    from navplan.fluoroscopy.carms import carms

    known = carms()
    return replace(machine, carm=known["biplane"]), replace(machine, carm=known["biplane-lateral"])


class _Seen:
    """Tells how far a run has come, and adds up what it takes."""

    def __init__(self, count: int, progress: Callable[[str, float], None]) -> None:
        from navplan.fluoroscopy.exposure import Dose
        from navplan.fluoroscopy.overlay import Worst

        self.dose, self.warnings = Dose(), Worst()
        self._done, self._count, self._progress = 0, count, progress

    def __call__(self, shot: FluoroShot) -> None:
        self.dose, self._done = self.dose + shot.image.dose, self._done + 1
        self.warnings.add(shot.overlay.warnings)
        self._progress(f"picture {self._done} of {self._count}", self._done / self._count)

