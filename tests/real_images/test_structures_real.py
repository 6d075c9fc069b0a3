"""SEG, label-map SEG and RTSTRUCT of other programs, against their publishers' label maps and another reader."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest

from navplan.errors import MismatchError
from navplan.files.nrrd import read_nrrd
from navplan.files.structures_in import read_structures
from navplan.geometry.grid import Grid
from navplan.model.acquisition import Acquisition
from navplan.model.case import Case
from navplan.model.structure import Presence, Structure
from navplan.model.volume import Volume
from navplan.verbs.import_images import import_images
from navplan.verbs.segment import segment
from tests.imaging.chest_scene import dice

OVERLAPS = {"green": (1, 1), "artery": (2, 2), "purple": (3, 3), "light_blue": (1, 4), "vein": (1, 5)}
TUMOUR_MM = (81.2, 129.3, -551.6)  # LPS middle of the tumour on the CT


@pytest.fixture(scope="module")
def seg(real_images: Path) -> Path:
    return real_images / "seg_dcmqi" / "segmentations"


@pytest.fixture(scope="module")
def ct(seg: Path) -> Case:
    return import_images(seg / "ct-3slice", image_id="ct")


def mask_of(case: Case, name: str, grid: Grid) -> np.ndarray:
    """A structure on another grid of the same lattice, whichever way its axes run."""
    structure = case.structures[name]
    index = grid.indices(structure.voxel_centres_mm())
    assert np.abs(index - np.rint(index)).max() < 0.02
    mask = np.zeros(grid.shape, dtype=bool)
    mask[tuple(np.rint(index).astype(int).T)] = True
    return mask


def published(path: Path, label: int) -> tuple[np.ndarray, Grid]:
    array, grid, _ = read_nrrd(path)
    return array == label, grid


def test_a_seg_is_the_publishers_label_map_voxel_for_voxel(seg: Path, ct: Case):
    expected, grid = published(seg / "liver_seg.nrrd", 1)
    case = segment(ct, labels=seg / "liver.dcm")
    assert (mask_of(case, "liver", grid) == expected).all() and expected.sum() == 107098
    liver = case.structures["liver"]
    assert liver.made_by == "semiautomatic" and liver.made_with.startswith("SlicerEditor, QIICR")
    assert liver.made_on == "2016-03-18" and liver.cut_by_edge and liver.evaluated_in.same_as(case.image()[1].grid)


def test_overlapping_segments_are_each_the_publishers(seg: Path, ct: Case):
    case = segment(ct, labels=seg / "partial_overlaps.dcm")
    masks = {}
    for name, (file, label) in OVERLAPS.items():
        expected, grid = published(seg / f"partial_overlaps-{file}.nrrd", label)
        masks[name] = mask_of(case, name, grid)
        assert (masks[name] == expected).all(), name
    assert (masks["artery"] & masks["purple"]).any()


@pytest.mark.parametrize("size", ["23x38x3", "24x38x3"])
def test_small_segs_with_bits_packed_across_frames(seg: Path, size: str):
    case = import_images(seg / size / "image", image_id="ct")
    expected, grid = published(seg / size / "nrrd" / "label.nrrd", 1)
    case = segment(case, labels=seg / size / "seg" / "label.seg")
    assert (mask_of(case, "liver", grid) == expected).all()


@pytest.mark.parametrize(("kind", "looked_at"), [("ppv5", False), ("noppv", True)])
def test_a_sparse_label_map_is_the_publishers_and_its_padding_was_not_looked_at(seg: Path, kind: str, looked_at: bool):
    case = import_images(seg / "24x38x3" / "image", image_id="ct")
    expected, grid = published(seg / f"sparse_labelmap_{kind}_seg.nrrd", 1)
    case = segment(case, labels=seg / f"sparse-labelmap-{kind}.dcm")
    assert set(case.structures) == {"liver"}
    assert (mask_of(case, "liver", grid) == expected).all()
    assert (case.structures["liver"].evaluated_in.shape[2] == 3) == looked_at


def dcmqi() -> str:
    beside = Path(sys.executable).with_name("segimage2itkimage")
    found = str(beside) if beside.is_file() else shutil.which("segimage2itkimage")
    if not found:
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail("dcmqi is not installed, and in CI it must read the same.")
        pytest.skip("NOT COMPARED WITH DCMQI: no segimage2itkimage: pip install dcmqi")
    return found


def test_dcmqi_reads_the_same_voxels(seg: Path, ct: Case, tmp_path: Path):
    program = dcmqi()
    for file, names in (("liver", ["liver"]), ("partial_overlaps", list(OVERLAPS))):
        out = tmp_path / file
        out.mkdir()
        order = [program, "--inputDICOM", seg / f"{file}.dcm", "--outputDirectory", out, "--outputType", "nrrd"]
        subprocess.run(order, check=True, capture_output=True, timeout=120)
        case = segment(ct, labels=seg / f"{file}.dcm")
        for number, name in enumerate(names, start=1):
            array, grid, _ = read_nrrd(out / f"{number}.nrrd")
            assert (mask_of(case, name, grid) == (array != 0)).all() and array.any(), name


def test_a_seg_of_another_patient_or_frame_is_refused(seg: Path, ct: Case):
    with pytest.raises(MismatchError, match="another patient"):
        segment(ct, labels=seg / "sparse-labelmap-noppv.dcm")
    volume = ct.image()[1]
    with pytest.raises(MismatchError, match="frame of reference"):
        read_structures(seg / "sparse-labelmap-noppv.dcm", volume, "ct")


def test_a_tumour_drawn_on_ct_mr_and_pet_lies_at_one_place_in_the_patient(real_images: Path):
    folder = real_images / "sts002_ct_mr_pet"
    found: dict[str, Structure] = {}
    for kind in ("CT", "MR_T1", "PET"):
        case = import_images(folder / kind / "image", image_id="image")
        (found[kind],) = segment(case, labels=folder / kind / "mask").structures.values()
    for kind, one in found.items():
        assert one.presence is Presence.PRESENT and one.anatomy.tissue == "lesion" and not one.cut_by_edge
        millilitres = np.count_nonzero(one.occupancy) * one.grid.spacing_mm.prod() / 1000
        assert 52.5 < millilitres < 55.0, kind
        middle = one.voxel_centres_mm().mean(axis=0)
        assert np.linalg.norm(middle - TUMOUR_MM) < 0.5, kind
        assert one.made_by == "manual" and one.made_with == "MIM Software Inc., MIM, 6.3.9"
        assert one.made_on == "2009-10-18"
    grid = found["CT"].grid
    on_ct = found["CT"].occupancy > 0
    for kind, least in (("MR_T1", 0.99), ("PET", 0.85)):  # voxels of the PET are 5.5 mm
        other = found[kind]
        index = np.rint(other.grid.indices(grid.points_mm(np.argwhere(np.ones(grid.shape, dtype=bool))))).astype(int)
        inside = ((index >= 0) & (index < other.grid.shape)).all(axis=1)
        mask = np.zeros(len(index), dtype=bool)
        mask[inside] = other.occupancy[tuple(index[inside].T)] > 0
        assert dice(mask.reshape(grid.shape), on_ct) > least, kind


def test_contours_of_one_image_on_another_of_the_same_frame(real_images: Path):
    """Drawn on the MR, read on the PET of the same frame of reference: there, and the region is where contours are."""
    folder = real_images / "sts002_ct_mr_pet"
    volume = import_images(folder / "CT" / "image", image_id="ct").image()[1]
    read = read_structures(folder / "MR_T1" / "mask", volume, "ct")
    (one,) = read.structures
    assert np.linalg.norm(one.voxel_centres_mm().mean(axis=0) - TUMOUR_MM) < 0.5
    assert one.evaluated_in.shape[2] == 16 and one.cut_by_edge
    assert any("names no image of this series" in note for note in read.notes)


def test_a_breast_plans_regions_and_the_empty_one_is_reported(real_images: Path):
    folder = real_images / "rtstruct_breast_dicompyler"
    header, drawn = pydicom.dcmread(folder / "ct.0.dcm"), pydicom.dcmread(folder / "rtss.dcm")
    places = sorted({float(c.ContourData[2]) for r in drawn.ROIContourSequence for c in r.get("ContourSequence", [])})
    gap = float(np.median(np.diff(places)))
    affine = np.diag([*(float(mm) for mm in header.PixelSpacing[::-1]), gap, 1.0])
    affine[:3, 3] = (*header.ImagePositionPatient[:2], places[0])
    slices = round((places[-1] - places[0]) / gap) + 1
    grid = Grid(affine, (int(header.Columns), int(header.Rows), slices), header.FrameOfReferenceUID)
    acquisition = Acquisition(series_uid=header.SeriesInstanceUID)
    read = read_structures(
        folder / "rtss.dcm", Volume(np.zeros(grid.shape, dtype=np.int16), grid, acquisition=acquisition), "ct"
    )
    found = {one.name: one for one in read.structures}
    assert {name for name, one in found.items() if one.presence is Presence.UNKNOWN} == {"areola"}
    assert any(note.startswith("areola: listed without a closed contour") for note in read.notes)
    assert {"body", "breast", "heart", "lung_left", "tumor_bed"} <= set(found)
    millilitres = {
        name: np.count_nonzero(one.occupancy) * one.grid.spacing_mm.prod() / 1000
        for name, one in found.items() if one.occupancy is not None
    }  # fmt: skip
    for one in drawn.ROIContourSequence:  # what the contours enclose by their areas, outer ones less those within
        name = {1: "body", 4: "breast", 5: "heart", 6: "lung_left", 9: "tumor_bed"}.get(int(one.ReferencedROINumber))
        if name in ("heart", "tumor_bed"):  # one contour a slice, no hole
            areas = [np.array(c.ContourData, dtype=float).reshape(-1, 3)[:, :2] for c in one.ContourSequence]
            total = sum(abs(np.sum(p[:, 0] * np.roll(p[:, 1], -1) - np.roll(p[:, 0], -1) * p[:, 1])) / 2 for p in areas)
            assert millilitres[name] == pytest.approx(total * gap / 1000, rel=0.02), name
    assert 500 < millilitres["lung_left"] < 2500 and 10_000 < millilitres["body"] < 60_000
