"""demo: the main job on an embedded phantom, from the image to the report."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from navplan.errors import InputError
from navplan.model.case import Case

PHANTOM, PROTOCOL, TARGET = "abdomen", "liver-biopsy", "lesion"
VIEWS = (("ap", "AP"), ("lateral", "lateral"), ("bullseye", "bullseye"))

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class DemoResult:
    """The headline and verdict of the best way, the files that were written, and what was not and why."""

    headline: str
    verdict: str
    paths: tuple[Path, ...]
    notes: tuple[str, ...] = ()


def demo(out: str | Path = "demo", *, progress: Progress = lambda words, share: None) -> DemoResult:
    """Plan a liver biopsy on the abdomen phantom: import, segment, plan, check, fluoroscopy, scene, report; no network.

    Written into `out`: the case folder, shots/*.png, scene.png, hero.png, report.html and report.pdf.
    Raises InputError when the folder cannot be written.
    """
    from navplan.files.durable import folder_made
    from navplan.verbs.case_verbs import open_case

    folder = Path(out)
    case_folder = folder / "case"
    before = open_case(case_folder) if (case_folder / "case.json").exists() else None
    if before is not None and before.id != f"{PHANTOM}-demo":
        raise InputError(
            f"{case_folder}, which holds another case", "a folder without a case, or with that of an earlier demo",
            "Choose another with --out",
        )  # fmt: skip
    with ExitStack() as stack:
        try:
            stack.enter_context(folder_made(folder / "shots"))
        except OSError as error:
            raise InputError(
                f"folder {folder}: {error.strerror}", "a folder that can be written", "Choose another with --out"
            ) from error
        return _made(folder, before, progress)


def _made(folder: Path, before: Case | None, progress: Progress) -> DemoResult:
    """All files of the demo; before: the case of an earlier one in that folder."""
    from navplan.verbs.case_verbs import save_case
    from navplan.verbs.check import check
    from navplan.verbs.fluoro import fluoro
    from navplan.verbs.fluoro_files import save_shot
    from navplan.verbs.plan import plan
    from navplan.verbs.report import report
    from navplan.verbs.scene import scene

    case_folder = folder / "case"
    progress("phantom, written as DICOM and imported", 0.0)
    case = _imported_phantom()
    progress("searching ways in", 0.25)
    made = plan(
        case, PROTOCOL, TARGET, progress=lambda words, share: progress(f"planning: {words}", 0.25 + 0.15 * share)
    )
    if before is not None:  # the new demo replaces it as its next revision
        case = replace(case, folder=before.folder, revision=before.revision)
    case = save_case(case.with_plan(made), case_folder, "demo", {"plan": made.id})
    judged = check(case, made)
    progress("fluoroscopy", 0.45)
    shots = [save_shot(fluoro(case, view=view, plan=made), folder / "shots" / f"{name}.png") for name, view in VIEWS]
    progress("scene", 0.55)
    pictures = [
        scene(case, plan=made, out=folder / "scene.png"),
        scene(case, plan=made, out=folder / "hero.png", hero=True),
    ]
    progress("report", 0.8)
    written = report(case, made, folder, progress=lambda words, share: progress(f"report: {words}", 0.8 + 0.2 * share))
    progress("done", 1.0)
    paths = tuple(dict.fromkeys([*pictures, *written.paths, *shots, case_folder]))
    return DemoResult(f"{judged.verdict}: {judged.headline}", judged.verdict.value, paths, written.notes)


def _imported_phantom() -> Case:
    """The phantom, its image written as a DICOM series and read back, its structures on the image that was read."""
    from navplan.files.dicom_write import write_ct_slices
    from navplan.verbs.import_images import import_images
    from navplan.verbs.phantom import PATIENT_ID, phantom

    made = phantom(PHANTOM)
    _, volume = made.image()
    with tempfile.TemporaryDirectory() as temporary:
        write_ct_slices(
            volume.voxels, volume.grid.affine, Path(temporary) / "image", acquisition=volume.acquisition,
            patient_id=PATIENT_ID, patient_name=f"PHANTOM^{PHANTOM.upper()}", seed_uid=PHANTOM,
        )  # fmt: skip
        case = import_images(Path(temporary) / "image", Case(f"{PHANTOM}-demo", salt=made.salt), image_id="ct")
    frame_uid = case.volumes["ct"].grid.frame_uid
    for structure in made.structures.values():
        grid, region = (
            grid and replace(grid, frame_uid=frame_uid) for grid in (structure.grid, structure.evaluated_in)
        )
        case = case.with_structures(replace(structure, grid=grid, evaluated_in=region))
    return case
