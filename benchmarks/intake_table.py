"""Every DICOM series of a folder: imported with its slices where their headers say, or refused with the reason.

    python -m benchmarks.intake_table IMAGES [--out docs/intake.md] [--dcm2niix PATH]

Each data set of IMAGES is read as a whole; of dicom_nasty, whose folders repeat series of one another, each folder by
itself, and then the whole. The judge (benchmarks/intake_truth.py) reads the files with pydicom and NumPy alone. Series
that were not resampled are converted by dcm2niix too (extra `benchmark`), and compared voxel by voxel.

Exit code: 0; 1 if a series is wrong anywhere, or refused that is not among those that may be.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom

from benchmarks.intake_truth import PLACE_MM, Agreement, agreement, header_slices
from navplan.errors import InputError
from navplan.files.dicom_read import read_series
from navplan.files.dicom_scan import DicomSeries, find_series
from navplan.imaging.quality import check_quality
from navplan.model.volume import Volume

START = "<!-- figures -->"
BY_FOLDER = "dicom_nasty"
RESAMPLED = ("tilted_stack", "uneven_slices")
STRUCTURES = ("SEG", "RTSTRUCT")
FLAT_SHARE = 0.97
# What may be refused, and a word of the reason.
MAY_BE_REFUSED = (
    ("dicom_nasty/failing/notavolume", ""), ("dicom_nasty/failing/slicecount", ""),
    ("dicom_nasty/failing/sliceorientation", ""), ("xa_run", "no volume"), ("rtstruct_breast_dicompyler", "RT Plan"),
    ("", "a single slice"), ("seg_dcmqi", "1.2.840.10008.5.1.4.1.1.66.7"),
)  # fmt: skip


@dataclass(frozen=True)
class Line:
    """Of the table. wrong: "" where all is as it must be."""

    name: str
    kind: str
    outcome: str
    places: str
    values: str
    second: str
    findings: str
    wrong: str = ""


def lines_of(images: Path, dcm2niix: str, only: Sequence[str] = ()) -> tuple[list[Line], list[Line], int, int]:
    """Lines of image series and of structures, and how many files could not be read, and pictures left over.

    only: names of data sets, all of them where there are none.
    """
    made, structures, unread_files, lost = [], [], 0, 0
    for folder in _folders(images, only):
        series, unread = find_series(folder)
        unread_files += len(unread)
        lost += abs(_pictures_in(folder) - sum(len(one.frames) + len(one.copies) for one in series))
        for one in series:
            line = line_of(one, images, folder, dcm2niix)
            (structures if one.modality in STRUCTURES else made).append(line)
    return made, structures, unread_files, lost


def line_of(series: DicomSeries, images: Path, folder: Path, dcm2niix: str) -> Line:
    """What becomes of one series, judged."""
    within = sorted({str(path.parent.relative_to(images)) for path in series.paths})
    name = ", ".join(within)
    whole = folder.name == BY_FOLDER and folder.parent == images
    if whole:
        name = f"{name} (in the whole of {BY_FOLDER})"
    if series.part:
        name += f": {series.part}"
    kind = f"{series.modality}, {len(series.frames)}"
    try:
        volume = read_series(series)
    except InputError as error:
        allowed = series.modality in STRUCTURES or any(
            any(path.startswith(start) for path in within) and word in error.received for start, word in MAY_BE_REFUSED
        )
        return Line(name, kind, f"refused: {error.received}", "", "", "", "", "" if allowed else "may not be refused")
    findings = [*volume.acquisition.quality, *check_quality(volume)]
    codes = [finding.code for finding in findings]
    resampled = any(code in codes for code in RESAMPLED)
    found = agreement(
        volume.voxels, volume.grid.affine, header_slices((frame.path, frame.number) for frame in series.frames), None,
        volume.quantity == "SUV", unknown=volume.acquisition.padding_hu,
    )  # fmt: skip
    grid = " x ".join(str(n) for n in volume.grid.shape)
    spacing = " x ".join(f"{value:.4g}" for value in volume.grid.spacing_mm)
    if resampled:
        places = "resampled"
        values = f"{100 * found.flat_share:.2f} % of {found.flat} flat pixels within 60"
        second = "-"
    else:
        places = f"{found.off_mm:.4f} mm"
        values = f"{found.seen} pixels, {found.wrong} differ" + (
            f", times {found.factor:.5g} (SUV)" if found.factor != 1.0 else ""
        )
        second = "-, colours" if "colours" in codes else _second(series, volume, found, dcm2niix)
    wrong = _wrong(found, resampled, second)
    return Line(
        name, kind, f"{grid}, {spacing} mm, {volume.quantity}", places, values, second, ", ".join(dict.fromkeys(codes)),
        wrong,
    )  # fmt: skip


def _wrong(found: Agreement, resampled: bool, second: str) -> str:
    wrong = []
    if resampled:
        if found.flat_share < FLAT_SHARE or not found.flat:
            wrong.append("values of flat areas")
    else:
        if found.off_mm > PLACE_MM:
            wrong.append("places")
        if found.wrong:
            wrong.append("values")
        if second.startswith("differs"):
            wrong.append("not as dcm2niix has it")
    return ", ".join(wrong)


def _folders(images: Path, only: Sequence[str]) -> list[Path]:
    found = []
    for folder in sorted(path for path in images.iterdir() if path.is_dir() and (not only or path.name in only)):
        if folder.name == BY_FOLDER:
            inner = [path for path in sorted(folder.rglob("*")) if path.is_dir()]
            found += [path for path in inner if any(_is_dicom(file) for file in path.iterdir())]
        found.append(folder)
    return found


def _is_dicom(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _pictures_in(folder: Path) -> int:
    """By pydicom: files, or the frames of enhanced ones."""
    count = 0
    for path in folder.rglob("*"):
        if _is_dicom(path):
            header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["PerFrameFunctionalGroupsSequence"])
            if header.file_meta.MediaStorageSOPClassUID == "1.2.840.10008.1.3.10":
                continue
            kind = str(header.file_meta.MediaStorageSOPClassUID)
            groups = len(header.get("PerFrameFunctionalGroupsSequence") or ())
            count += groups if groups and kind.rpartition(".")[0] != "1.2.840.10008.5.1.4.1.1.66" else 1
    return count


def _second(series: DicomSeries, volume: Volume, found: Agreement, dcm2niix: str) -> str:
    """Whether dcm2niix has the same voxels at the same places; of Philips by DICOM's slope (-p n), not Philips' own."""
    if not dcm2niix:
        return "not run"
    said = _compared(series, volume, found, dcm2niix, ())
    if not said.startswith("differs in"):
        return said
    return said if (again := _compared(series, volume, found, dcm2niix, ("-p", "n"))) != "equal" else f"{again} (-p n)"


def _compared(
    series: DicomSeries, volume: Volume, found: Agreement, dcm2niix: str, options: Sequence[str]
) -> str:
    import SimpleITK as sitk

    with tempfile.TemporaryDirectory() as root:
        source, target = Path(root, "in"), Path(root, "out")
        source.mkdir()
        target.mkdir()
        for number, path in enumerate(dict.fromkeys(series.paths)):
            shutil.copy(path, source / f"{number:05d}.dcm")
        # -m y: slices of one series are one image, whatever their exposure
        command = [dcm2niix, "-b", "n", "-z", "n", "-m", "y", *options, "-f", "%s_%d", "-o", str(target), str(source)]
        subprocess.run(command, capture_output=True, timeout=120, check=False)
        made = sorted(target.glob("*.nii"))
        if len(made) != 1:
            return f"differs: {len(made)} files"
        image = sitk.ReadImage(str(made[0]))
        values = sitk.GetArrayFromImage(image).T
        if values.ndim != 3:
            return f"differs: {values.ndim} axes"
        affine = np.eye(4)
        affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
        affine[:3, 3] = image.GetOrigin()
    index = np.indices(values.shape).reshape(3, -1).T
    mine = (np.linalg.inv(volume.grid.affine) @ affine)[:3]
    there = index @ mine[:, :3].T + mine[:, 3]
    whole = np.rint(there).astype(int)
    off = float(np.linalg.norm((there - whole) * volume.grid.spacing_mm, axis=1).max())
    # NIfTI keeps places as float32, and dcm2niix turns slices round
    outside = whole.min() < 0 or bool((whole.max(axis=0) >= volume.grid.shape).any())
    if values.size != volume.voxels.size or off > 0.02 or outside:
        return f"differs: {values.shape}, {off:.3f} mm off"
    expected = values.reshape(-1).astype(np.float64) * found.factor
    unlike = ~np.isclose(volume.voxels[tuple(whole.T)].astype(np.float64), expected, rtol=1e-6, atol=1e-6)
    count = int(np.count_nonzero(unlike))
    return f"differs in {count} voxels" if count else "equal"


def page_of(made: list[Line], structures: list[Line], unread: int, lost: int) -> str:
    """The part of the page that the command makes."""
    refused = [line for line in made if line.outcome.startswith("refused")]
    bad = [line for line in made if line.wrong]
    equal = sum(line.second.startswith("equal") for line in made)
    rows = [
        f"{len(made)} image series: {len(made) - len(refused)} imported, {len(refused)} refused; {len(bad)} wrong. "
        f"dcm2niix has {equal} of them with equal voxels. Pictures found by pydicom and by navplan differ by {lost}; "
        f"{unread} files beside them could not be read.",
        "",
        "| Series | Modality, pictures | Imported | Farthest from its header | Values | dcm2niix | Findings |",
        "|---|---|---|---|---|---|---|",
    ]
    for line in made:
        cells = [line.name, line.kind, line.outcome, line.places, line.values, line.second, line.findings]
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    rows += ["", "Structures, no images (`navplan segment --labels` reads what it can of them):", ""]
    rows += ["| Series | Modality | Said of it by `inspect` |", "|---|---|---|"]
    rows += [f"| {line.name} | {line.kind.split(',')[0]} | {line.outcome} |" for line in structures]
    rows += [""] + [f"- **Wrong**: {line.name}: {line.wrong}" for line in bad]
    return "\n".join(rows).rstrip() + "\n"


def dcm2niix_path() -> str:
    """Of the program, "" where it is not there."""
    beside = Path(sys.executable).with_name("dcm2niix")
    return str(beside) if beside.exists() else shutil.which("dcm2niix") or ""


def main() -> int:
    """By the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--dcm2niix", default=dcm2niix_path(), metavar="PATH")
    options = parser.parse_args()
    made, structures, unread, lost = lines_of(options.images, options.dcm2niix)
    page = page_of(made, structures, unread, lost)
    print(page)
    if options.out:
        before = options.out.read_text().split(START)[0] if options.out.exists() else "# Intake\n\n"
        options.out.write_text(f"{before}{START}\n\n{page}")
    return 1 if lost or any(line.wrong for line in made) else 0


if __name__ == "__main__":
    sys.exit(main())
