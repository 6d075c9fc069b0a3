"""report: report.html, report.pdf, the freehand card and the shots of one trajectory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from navplan.errors import ChoiceError, InputError, MissingComponentError
from navplan.model.case import Case
from navplan.model.plan import Plan, RankedTrajectory

if TYPE_CHECKING:
    from navplan.fluoroscopy.shot import FluoroShot
    from navplan.model.safety import SafetyReport
    from navplan.reports.pictures import Picture
    from navplan.reports.report_page import Drawn

Progress = Callable[[str, float], None]
VIEWS = ("AP", "lateral", "bullseye")


@dataclass(frozen=True)
class ReportFiles:
    """The files that were written, and what a person should know of them."""

    paths: tuple[Path, ...]
    notes: tuple[str, ...] = ()


def report(
    case: Case,
    plan: Plan | str | Path | None = None,
    out: str | Path = "",
    *,
    trajectory: int = 0,
    card_only: bool = False,
    progress: Progress = lambda words, share: None,
) -> ReportFiles:
    """Judge a trajectory anew, draw it, and write report.html, report.pdf, freehand-card.html, .pdf and shots/*.png.

    plan: a Plan, the id of one in the case, a plan's file, or None for the only one; trajectory: counted from 0; out: a
    folder, made if need be. card_only: the freehand card alone, without the pictures and the other ways that only the
    report shows. All files are written, or none: they take their names together at the end. Without WeasyPrint there is
    no PDF, and a note says how to get it.

    Raises InputError for a folder that can't be written to, MismatchError for a plan made on another image,
    ChoiceError.
    """
    from navplan.files.durable import folder_made

    if not str(out):
        raise InputError("a report without a folder", "a folder to write to", "Add --out DIR")
    folder = Path(out)
    with ExitStack() as stack:
        try:
            stack.enter_context(folder_made(folder if card_only else folder / "shots"))
        except OSError as error:
            raise InputError(
                f"folder {folder}: {error.strerror or error}",
                "a folder that can be written to",
                "Choose another with --out",
            ) from error
        _try_to_write(folder, ("",) if card_only else ("", "shots/"))
        if card_only:
            return _card_alone(case, plan, folder, trajectory, progress)
        return _written(case, plan, folder, trajectory, progress)


def _written(
    case: Case, plan: Plan | str | Path | None, folder: Path, trajectory: int, progress: Progress
) -> ReportFiles:
    from navplan.files.files_together import write_together

    found = _plan_of(case, plan)
    progress("judging", 0.0)
    named = plan if isinstance(plan, str | Path) else found
    judged = _judged(case, found, named, trajectory)
    now = replace(found, trajectories=judged)
    progress("drawing", 0.25)
    drawn, shots = _drawn(case, now, trajectory, progress)
    progress("pages", 0.8)
    by_hand = _freehand_report(case, now, named, trajectory)
    pages, notes = _pages(case, now, trajectory, drawn, by_hand)
    files = _in_order({**pages, **shots})
    progress("writing", 0.95)
    paths = write_together(folder, files)
    notes = (*notes, *drawn.gaps, *_without_stale(folder, files))
    progress("done", 1.0)
    return ReportFiles(paths, notes)


def _card_alone(
    case: Case, plan: Plan | str | Path | None, folder: Path, trajectory: int, progress: Progress
) -> ReportFiles:
    """The freehand card of one way, judged anew. A report that lies there already stays, and a note says so."""
    from navplan.files.files_together import write_together
    from navplan.reports.pictures import main_window, plane_pictures
    from navplan.verbs.check import check

    found = _plan_of(case, plan)
    progress("judging", 0.0)
    named = plan if isinstance(plan, str | Path) else found
    fresh = check(case, named, trajectory=trajectory)
    ways = tuple(
        replace(ranked, report=fresh) if place == trajectory else ranked
        for place, ranked in enumerate(found.trajectories)
    )
    now = replace(found, trajectories=ways)
    by_hand = _freehand_report(case, now, named, trajectory)
    progress("drawing", 0.4)
    planes = plane_pictures(case, now, ways[trajectory], main_window(ways[trajectory]))
    progress("pages", 0.6)
    files, notes = _as_files({"freehand-card": _card_html(case, now, trajectory, by_hand, planes)})
    paths = write_together(folder, _in_order(files))
    if (folder / "report.html").is_file():
        notes = (*notes, f"{folder / 'report.html'} is of an earlier time: this card is not part of it")
    progress("done", 1.0)
    return ReportFiles(paths, (*notes, *_without_stale(folder, files, ("freehand-card.pdf",))))


def _try_to_write(folder: Path, below: Sequence[str]) -> None:
    """Before any work is done."""
    from navplan.files.files_together import write_together

    for path in write_together(folder, {f"{place}.navplan-trial": b"" for place in below}):
        path.unlink(missing_ok=True)


def _plan_of(case: Case, plan: Plan | str | Path | None) -> Plan:
    if isinstance(plan, Plan):
        return plan
    words = "" if plan is None else str(plan)
    if words.endswith(".mrk.json"):
        raise InputError(f"a drawn line {Path(words).name}", "a plan", "Judge a drawn line with: navplan check")
    if words.endswith(".json") and Path(words).exists():
        from navplan.files.plan_json import read_plan

        return read_plan(Path(words))
    return case.plan(words)


def _judged(case: Case, plan: Plan, named: Plan | str | Path, number: int) -> tuple[RankedTrajectory, ...]:
    """All ways of the plan with reports made now; no stored verdict is taken over.

    named: the plan as it was asked for, a file perhaps. number: the way that the report is about; it is refused first.
    """
    from navplan.verbs.check import check

    chosen = check(case, named, trajectory=number)
    return tuple(
        replace(ranked, report=chosen if place == number else check(case, named, trajectory=place))
        for place, ranked in enumerate(plan.trajectories)
    )


def _freehand_report(case: Case, plan: Plan, named: Plan | str | Path, number: int) -> SafetyReport:
    """Judged for a needle held by hand, where the protocol has an error model for it; as planned otherwise."""
    from navplan.reports.freehand_card import freehand_model
    from navplan.verbs.check import check

    model = freehand_model(plan)
    if model is None or plan.error_model.id == model.id:
        return plan.trajectories[number].report
    return check(case, named, trajectory=number, guidance=model.id)


def _drawn(case: Case, plan: Plan, number: int, progress: Progress) -> tuple[Drawn, dict[str, bytes]]:
    """The pictures, and the shots as files."""
    from navplan.fluoroscopy.picture import shot_png
    from navplan.reports.pictures import main_window, path_picture, plane_pictures, scene_picture, shot_picture
    from navplan.reports.report_page import Drawn
    from navplan.verbs.fluoro import fluoro_views
    from navplan.view.windows import Window

    ranked = plan.trajectories[number]
    window = main_window(ranked)
    windows = dict.fromkeys((window, Window.SOFT_TISSUE))
    planes = tuple(plane_pictures(case, plan, ranked, each) for each in windows)
    path = path_picture(case, plan, ranked)
    progress("fluoroscopy", 0.4)
    shots: list[tuple[FluoroShot, Picture]] = []
    shot_files: dict[str, bytes] = {}
    gaps: list[str] = []
    try:
        for shot in fluoro_views(case, views=VIEWS, plan=plan, trajectory=number):
            png = shot_png(shot)
            shots.append((shot, shot_picture(shot, png)))
            shot_files[f"shots/{shot.name.lower()}.png"] = png
    except ChoiceError:
        raise
    except InputError as error:
        gaps.append(f"fluoroscopy: {error}")
    progress("scene", 0.55)
    return Drawn(planes, scene_picture(case, plan, number), path, tuple(shots), tuple(gaps)), shot_files


def _pages(
    case: Case, plan: Plan, number: int, drawn: Drawn, by_hand: SafetyReport
) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """Names and bytes of the pages, and notes."""
    from navplan.reports.freehand_card import card_content, card_html
    from navplan.reports.report_page import report_content, report_html

    card = card_content(case, plan, number, by_hand, drawn.planes[0], _made_by())
    content = report_content(case, plan, number, plan.trajectories, drawn, _made_by())
    return _as_files({"report": report_html(content, card), "freehand-card": card_html(card)})


def _card_html(
    case: Case, plan: Plan, number: int, by_hand: SafetyReport, planes: tuple[Picture, Picture, Picture]
) -> str:
    from navplan.reports.freehand_card import card_content, card_html

    return card_html(card_content(case, plan, number, by_hand, planes, _made_by()))


def _made_by() -> str:
    return f"navplan {version('navplan')}"


def _as_files(pages: dict[str, str]) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """HTML pages as .html and .pdf, and notes."""
    from navplan.reports.pdf import pdf_bytes

    files: dict[str, bytes] = {}
    notes: tuple[str, ...] = ()
    try:
        files |= {f"{name}.pdf": pdf_bytes(html) for name, html in pages.items()}
    except MissingComponentError as error:
        words = " and ".join(f"{name}.pdf" for name in pages)
        notes = (f"{words} {'were' if len(pages) > 1 else 'was'} not written: {error}",)
    files |= {f"{name}.html": html.encode("utf-8") for name, html in pages.items()}
    return files, notes


def _in_order(files: dict[str, bytes]) -> dict[str, bytes]:
    order = ["report.html", "report.pdf", "freehand-card.html", "freehand-card.pdf"]
    return {name: files[name] for name in [*(name for name in order if name in files), *files]}


def _without_stale(
    folder: Path, files: dict[str, bytes], names: Sequence[str] = ("report.pdf", "freehand-card.pdf")
) -> tuple[str, ...]:
    """Take away PDFs of an earlier report that this one did not replace: they would show another verdict."""
    notes = []
    for name in names:
        path = folder / name
        if name not in files and path.is_file():
            path.unlink()
            notes.append(f"{name} of an earlier report was removed: it was not of this one")
    return tuple(notes)
