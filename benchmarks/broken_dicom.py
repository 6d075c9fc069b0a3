"""Small DICOM series, and the ways in which benchmarks/fuzz_intake.py breaks them."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pydicom
from pydicom import Dataset

from benchmarks.broken_bytes import any_bytes, cut, header_bytes, lengths, nested, pick, some_files, transferred

REAL = (
    "dicom_nasty/failing/gantrytilting/001", "dicom_nasty/failing/sliceincrement/001",
    "dicom_nasty/generic/anatomical/001", "dicom_nasty/generic/anatomical/002_non_isotropic",
    "dicom_nasty/generic/compressed/001", "dicom_nasty/generic/compressed_j2k/001",
    "dicom_nasty/generic/compressed_jpeg/001", "dicom_nasty/generic/compressed_jpegls/001",
    "dicom_nasty/generic/compressed_rle/001", "dicom_nasty/generic/rgb/001", "dicom_nasty/philips_enhanced/001",
    "dicom_nasty/siemens_multiframe/001", "dicom_nasty/hyperfine/001", "seg_dcmqi/segmentations/23x38x3/image",
    "seg_dcmqi/segmentations/24x38x3/multiframe", "sts002_ct_mr_pet/PET/image", "sts002_ct_mr_pet/MR_T1/image",
)  # fmt: skip
MOST_FILES = 12  # of a real series: its first ones
TAGS = (
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns", "RescaleSlope",
    "RescaleIntercept", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel",
    "PhotometricInterpretation", "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID",
    "PatientPosition", "PatientID", "PixelData", "NumberOfFrames", "Modality", "ImageType", "SliceThickness",
    "PixelPaddingValue", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "Units",
    "SpecificCharacterSet", "AcquisitionDate", "PatientWeight", "RadiopharmaceuticalInformationSequence",
)  # fmt: skip
NONSENSE = (
    "", "nan", "inf", "-inf", "1e400", "0", "-1", "99999999999", "1\\2", "1\\2\\3\\4\\5\\6\\7", "abc", "\\", "\\\\\\",
    " 1 ", "1,5", "0x10", "1e-300", "١", "\0", "0.0000000000000001", "A" * 200,
)  # fmt: skip
Random = np.random.Generator


def base_series(root: Path, images: Path | None) -> list[Path]:
    """Folders of good series: written here (even, tilted, uneven, turned), and real ones where there are images."""
    from navplan.files.dicom_write import write_ct_slices
    from navplan.model.acquisition import Acquisition

    random, found = np.random.default_rng(0), []
    turned = np.linalg.qr(random.normal(size=(3, 3)))[0]
    for name, axes, tilt in (("even", np.eye(3), 0.0), ("tilted", np.eye(3), 0.4), ("turned", turned, 0.0)):
        affine = np.eye(4)
        affine[:3, :3] = axes * (0.7, 0.9, 2.5)
        affine[1, 2] += tilt * 2.5
        folder = root / name
        i, j, k = np.indices((24, 20, 9))
        voxels = np.rint(300 * np.sin(i / 4) + 20 * j - 30 * k + 5 * random.normal(size=i.shape)).astype(np.int16)
        write_ct_slices(
            voxels, affine, folder, acquisition=Acquisition(patient_position="HFS", slice_thickness_mm=2.5),
            patient_id="P", patient_name="A", seed_uid=name, frame_uid="1.2.3",
        )  # fmt: skip
        found.append(folder)
    shutil.copytree(found[0], root / "gap")
    (root / "gap" / "CT0004.dcm").unlink()
    found.append(root / "gap")
    return found + [images / name for name in REAL if images is not None and (images / name).is_dir()]


def broken(random: Random, bases: Sequence[Path], folder: Path) -> tuple[str, ...]:
    """Copy one of the series into an empty folder and break it; gives back the names of the ways."""
    base = bases[int(random.integers(len(bases)))]
    for path in sorted(base.iterdir())[:MOST_FILES]:
        if path.is_file():
            shutil.copyfile(path, folder / path.name)
    ways = tuple(str(way) for way in random.choice(list(WAYS), int(random.integers(1, 4)), replace=False))
    ways = tuple(sorted(ways, key=list(WAYS).index))  # those that need a whole file come first
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for way in ways:
            WAYS[way](random, folder)
    return ways


def _edit(paths: Sequence[Path], change: Callable[[Dataset], None]) -> None:
    """Whatever pydicom would still write."""
    mode = pydicom.config.settings.writing_validation_mode
    pydicom.config.settings.writing_validation_mode = pydicom.config.IGNORE
    try:
        for path in paths:
            try:
                data = pydicom.dcmread(path, force=True)
                change(data)
                data.save_as(path, enforce_file_format=False)
            except Exception:  # broken already: it stays as it is
                continue
    finally:
        pydicom.config.settings.writing_validation_mode = mode


def _parts(data: Dataset, keyword: str) -> list[Dataset]:
    """The data sets that hold an attribute: the file's own, or those inside its functional groups."""
    return [part for part in _all_parts(data) if keyword in part]


def _all_parts(data: Dataset) -> list[Dataset]:
    found = [data]
    for element in data:
        if element.VR == "SQ" and not element.tag.is_private:
            for item in element.value or ():
                found += _all_parts(item)
    return found


def removed(random: Random, folder: Path) -> None:
    """attributes removed"""
    keyword = pick(random, TAGS)

    def change(data: Dataset) -> None:
        for part in _parts(data, keyword):
            delattr(part, keyword)

    _edit(some_files(random, folder), change)


def nonsense(random: Random, folder: Path) -> None:
    """values that make no sense"""
    keyword, value = pick(random, TAGS), pick(random, NONSENSE)

    def change(data: Dataset) -> None:
        for part in _parts(data, keyword)[-1:]:
            old = part[keyword]
            raw = value.encode("utf-8")
            raw += b" " * (len(raw) % 2)
            kind = old.VR if old.VR not in ("SQ",) else "LO"
            from pydicom.dataelem import RawDataElement

            part._dict[old.tag] = RawDataElement(old.tag, kind, len(raw), raw, 0, False, True)

    _edit(some_files(random, folder), change)


def moved(random: Random, folder: Path) -> None:
    """slices moved"""
    kind, size = int(random.integers(5)), 10.0 ** random.uniform(-3, 6)

    def change(data: Dataset) -> None:
        for part in _parts(data, "ImagePositionPatient"):
            place = np.array(part.ImagePositionPatient, dtype=float)
            place = (
                place + random.normal(size=3) * size, place + np.array([0, 0, size]), -place, place[[1, 2, 0]],
                place * 0,
            )[kind]  # fmt: skip
            part.ImagePositionPatient = [f"{value:.6g}" for value in place]

    _edit(some_files(random, folder), change)


def turned(random: Random, folder: Path) -> None:
    """directions changed"""
    kind, size = int(random.integers(5)), 10.0 ** random.uniform(-5, 0.5)
    noise = random.normal(size=6)

    def change(data: Dataset) -> None:
        for part in _parts(data, "ImageOrientationPatient"):
            old = np.array(part.ImageOrientationPatient, dtype=float)
            new = (old + size * noise, old[[3, 4, 5, 0, 1, 2]], -old, old * (1 + size), old * 0)[kind]
            if kind == 0 and size > 1e-2:  # still at right angles
                row = new[:3] / np.linalg.norm(new[:3])
                column = new[3:] - (new[3:] @ row) * row
                new = np.concatenate([row, column / np.linalg.norm(column)])
            part.ImageOrientationPatient = [f"{value:.8f}" for value in new]

    _edit(some_files(random, folder), change)


def spaced(random: Random, folder: Path) -> None:
    """pixel spacing changed"""
    new = [f"{value:.6g}" for value in 10.0 ** random.uniform(-4, 4, 2) * random.choice([1.0, 1.0, 1.0, -1.0])]

    def change(data: Dataset) -> None:
        for part in _parts(data, "PixelSpacing"):
            part.PixelSpacing = new

    _edit(some_files(random, folder), change)


def sized(random: Random, folder: Path) -> None:
    """sizes lied about, up to 65535 x 65535"""
    keyword = pick(random, ["Rows", "Columns", "both", "swapped"])
    value = pick(random, [0, 1, 2, 17, 1000, 32768, 65535])

    def change(data: Dataset) -> None:
        if keyword == "swapped":
            data.Rows, data.Columns = data.Columns, data.Rows
        for one in ("Rows", "Columns"):
            if keyword in (one, "both"):
                setattr(data, one, value)

    _edit(some_files(random, folder), change)


def bits(random: Random, folder: Path) -> None:
    """pixel format lied about"""
    keyword = pick(random, ["BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel",
                             "PhotometricInterpretation", "PlanarConfiguration"])  # fmt: skip
    value = pick(random, ["RGB", "MONOCHROME1", "PALETTE COLOR", "YBR_FULL", "X"])
    if keyword != "PhotometricInterpretation":
        value = pick(random, [0, 1, 3, 8, 11, 12, 15, 16, 17, 32, 64, 65535])
    stored = int(random.integers(1, 17))

    def change(data: Dataset) -> None:
        setattr(data, keyword, value)
        if keyword == "BitsStored":
            data.BitsStored, data.HighBit = stored, stored - 1

    _edit(some_files(random, folder), change)


def rescaled(random: Random, folder: Path) -> None:
    """slopes and intercepts changed"""
    keyword = pick(random, ["RescaleSlope", "RescaleIntercept"])
    value = pick(random, ["0", "-1", "2", "0.5", "1e30", "1e-30", "1e308", "-1e308", "100000", "0.1", "3.7"])

    def change(data: Dataset) -> None:
        for part in _parts(data, keyword) or [data]:
            setattr(part, keyword, value)

    _edit(some_files(random, folder), change)


def padded(random: Random, folder: Path) -> None:
    """padding values invented"""
    value, limit = (int(one) for one in random.integers(-32768, 65535, 2))
    ranged = bool(random.integers(2))

    def change(data: Dataset) -> None:
        signed = data.get("PixelRepresentation", 0) == 1
        kind = "SS" if signed else "US"
        for keyword, number in (("PixelPaddingValue", value), ("PixelPaddingRangeLimit", limit)):
            if keyword == "PixelPaddingValue" or ranged:
                number = min(max(number, -32768 if signed else 0), 32767 if signed else 65535)
                data[keyword] = pydicom.DataElement(keyword, kind, number)

    _edit(some_files(random, folder), change)


def framed(random: Random, folder: Path) -> None:
    """frames and functional groups miscounted or moved"""
    kind, value = int(random.integers(4)), pick(random, [0, 1, 2, 3, 7, 9, 1000, 2**31 - 1])

    def change(data: Dataset) -> None:
        groups = data.get("PerFrameFunctionalGroupsSequence")
        if kind == 0 or not groups:
            data.NumberOfFrames = value
        elif kind == 1:
            del groups[0]
            data.NumberOfFrames = len(groups)
        elif kind == 2:
            groups.reverse()
        else:
            groups.append(groups[0])
            data.NumberOfFrames = len(groups)

    _edit(some_files(random, folder), change)


def classed(random: Random, folder: Path) -> None:
    """kinds of object lied about"""
    tail = pick(random, ["2", "2.1", "4", "4.1", "128", "7", "6.2", "12.1", "1.1", "66.4", "481.3"])

    def change(data: Dataset) -> None:
        data.SOPClassUID = f"1.2.840.10008.5.1.4.1.1.{tail}"

    _edit(some_files(random, folder), change)


def mixed(random: Random, folder: Path) -> None:
    """slices copied, renamed, or of another series or patient"""
    kind, stamp = int(random.integers(5)), f"1.2.3.{int(random.integers(10**6))}"
    for number, path in enumerate(some_files(random, folder)):
        copy = folder / f"copy{number}{path.name}"
        if kind < 3:
            shutil.copyfile(path, copy)

        def change(data: Dataset, number: int = number) -> None:
            if kind == 1:
                data.SOPInstanceUID = f"{stamp}.{number}"
            if kind == 2:
                data.PixelData = bytes(len(data.PixelData))
            if kind == 3:
                data.SeriesInstanceUID = stamp
            if kind == 4:
                data.PatientID = stamp

        _edit([copy if kind < 3 else path], change)


def lost(random: Random, folder: Path) -> None:
    """slices missing"""
    paths = sorted(folder.iterdir())
    for path in random.choice(np.array(paths, dtype=object), min(len(paths) - 1, 3), replace=False):
        path.unlink()


WAYS: dict[str, Callable[[Random, Path], None]] = {
    way.__name__: way
    for way in (
        removed, nonsense, moved, turned, spaced, sized, bits, rescaled, padded, framed, classed, mixed, lost, nested,
        transferred, lengths, header_bytes, any_bytes, cut,
    )
}  # fmt: skip
