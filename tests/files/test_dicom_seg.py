"""DICOM SEG: every kind of it comes out where and as it was written, or is refused with the reason."""

from dataclasses import replace

import numpy as np
import pydicom
import pytest
from pydicom.sr.coding import Code
from scipy.spatial.transform import Rotation
from structure_examples import (
    KIDNEY,
    LEFT,
    LIVER,
    RIGHT,
    image_in,
    mask_on,
    seg_file,
    segment_description,
)

from navplan.errors import FileFormatError, InputError, MismatchError
from navplan.files.structures_in import read_structures
from navplan.geometry.grid import Grid
from navplan.model.acquisition import Acquisition
from navplan.model.structure import Presence

SHAPE = (14, 12, 8)


def an_affine(turned_deg=(0.0, 0.0, 0.0), spacing=(0.7, 0.8, 2.0), down=False):
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", turned_deg, degrees=True).as_matrix() * spacing
    affine[:3, 2] *= -1 if down else 1
    affine[:3, 3] = (-12.3, 45.6, -78.0)
    return affine


@pytest.fixture
def image(tmp_path):
    return image_in(tmp_path / "image", an_affine())


def box(i, j, k):
    mask = np.zeros(SHAPE[::-1], dtype=bool)
    mask[slice(*k), slice(*j), slice(*i)] = True
    return mask


ONE, OTHER = box((2, 7), (3, 9), (1, 5)), box((5, 11), (2, 6), (3, 7))


def by_name(read):
    return {one.name: one for one in read.structures}


@pytest.mark.parametrize("turned", [(0, 0, 0), (12, -20, 31), (90, 0, 0)])
@pytest.mark.parametrize("down", [False, True])
def test_overlapping_segments_lie_where_they_were_drawn_in_any_orientation(tmp_path, turned, down):
    volume, slices = image_in(tmp_path / "image", an_affine(turned, down=down))
    placed = [
        np.stack([mask[round(volume.grid.indices(s.ImagePositionPatient)[2])] for s in slices])
        for mask in (ONE, OTHER)
    ]
    path = seg_file(tmp_path / "a.seg", slices, placed, [segment_description(1, "liver"), segment_description(2, "x")])
    found = by_name(read_structures(path, volume, "ct"))
    assert (mask_on(volume.grid, found["liver"]) == ONE.T * 255).all()
    assert (mask_on(volume.grid, found["x"]) == OTHER.T * 255).all()
    assert not found["x"].fractional and found["x"].grid.frame_uid == volume.grid.frame_uid


def test_who_made_it_is_kept_without_a_persons_name(tmp_path, image):
    volume, slices = image
    path = seg_file(tmp_path / "a.dcm", slices, [ONE], [segment_description(1, "liver")])
    read = read_structures(path, volume, "ct")
    (one,) = read.structures
    assert (one.made_by, one.made_with) == ("manual", "Acme, Drawer, 3.1")
    assert len(one.made_on) == 10 and one.confidence is None
    assert "ROE" not in repr(read) and "DOE" not in repr(read) and one.origin.startswith("SEG ")


def test_shares_stay_shares_and_probabilities_become_labels(tmp_path, image):
    volume, slices = image
    values = np.zeros(SHAPE[::-1])
    values[2, 3, 4:9] = 0.001, 0.2, 0.5, 0.9, 1.0
    path = seg_file(
        tmp_path / "o.dcm", slices, [values], [segment_description(1, "liver")], "FRACTIONAL",
        fractional_type="OCCUPANCY",
    )  # fmt: skip
    stored = pydicom.dcmread(path)
    (one,) = read_structures(path, volume, "ct").structures
    assert stored.MaximumFractionalValue == 255 and one.fractional
    assert mask_on(volume.grid, one)[4:9, 3, 2].tolist() == [round(v * 255) for v in (0.001, 0.2, 0.5, 0.9, 1.0)]
    assert one.working_resolution_mm == (3.0, 3.0, 3.0)  # nobody says how well the shares were known
    path = seg_file(tmp_path / "p.dcm", slices, [values], [segment_description(1, "liver")], "FRACTIONAL")
    read = read_structures(path, volume, "ct")
    (one,) = read.structures
    assert not one.fractional and mask_on(volume.grid, one)[4:9, 3, 2].tolist() == [0, 0, 255, 255, 255]
    assert one.confidence == pytest.approx((0.5 + 0.9 + 1.0) / 3, abs=0.01)
    assert any("no shares" in note for note in read.notes)


def test_coarse_shares_are_no_promise_of_every_touched_voxel(tmp_path, image):
    volume, slices = image
    values = np.zeros(SHAPE[::-1])
    values[2, 3, 4:7] = 0.2, 0.6, 1.0
    path = seg_file(
        tmp_path / "o.dcm", slices, [values], [segment_description(1, "liver")], "FRACTIONAL",
        fractional_type="OCCUPANCY", max_fractional_value=10,
    )  # fmt: skip
    (one,) = read_structures(path, volume, "ct").structures
    assert not one.fractional and mask_on(volume.grid, one)[4:7, 3, 2].tolist() == [0, 255, 255]


def test_a_probability_below_a_half_everywhere_is_unknown_not_absent(tmp_path, image):
    volume, slices = image
    values = np.where(ONE, 0.3, 0.0)
    path = seg_file(tmp_path / "p.dcm", slices, [values], [segment_description(1, "liver")], "FRACTIONAL")
    read = read_structures(path, volume, "ct")
    assert read.structures[0].presence is Presence.UNKNOWN and any("unknown" in note for note in read.notes)


def test_a_label_map_without_its_background(tmp_path, image):
    volume, slices = image
    labels = np.where(ONE, 1, 0) + np.where(OTHER & ~ONE, 2, 0)
    path = tmp_path / "l.dcm"
    import highdicom as hd
    from pydicom.uid import generate_uid

    described = [segment_description(1, "liver"), segment_description(2, "spleen")]
    hd.seg.Segmentation(
        slices, labels.astype(np.uint8), "LABELMAP", described, generate_uid(), 7, generate_uid(), 1, "A", "B", "3", "S"
    ).save_as(path)
    found = by_name(read_structures(path, volume, "ct"))
    assert set(found) == {"liver", "spleen"}
    assert (mask_on(volume.grid, found["liver"]) == ONE.T * 255).all()
    assert (mask_on(volume.grid, found["spleen"]) == (OTHER & ~ONE).T * 255).all()


def test_a_segment_without_frames_is_unknown(tmp_path, image):
    volume, slices = image
    path = seg_file(
        tmp_path / "a.dcm", slices, [ONE, np.zeros_like(ONE)],
        [segment_description(1, "liver"), segment_description(2, "spleen")],
    )  # fmt: skip
    found = by_name(read_structures(path, volume, "ct"))
    assert found["spleen"].presence is Presence.UNKNOWN and found["liver"].presence is Presence.PRESENT


def test_the_region_is_the_image_only_if_all_its_slices_are_named(tmp_path, image):
    volume, slices = image
    whole = seg_file(tmp_path / "a.dcm", slices, [ONE], [segment_description(1, "liver")])
    (one,) = read_structures(whole, volume, "ct").structures
    assert one.evaluated_in.same_as(volume.grid) and not one.cut_by_edge
    part = seg_file(tmp_path / "b.dcm", slices[1:6], [ONE[1:6]], [segment_description(1, "liver")])
    read = read_structures(part, volume, "ct")
    (one,) = read.structures
    assert one.evaluated_in.shape[2] < 6 and one.cut_by_edge
    assert any("names 5 images" in note for note in read.notes)


def test_missing_frames_are_empty_slices_where_they_belong(tmp_path, image):
    volume, slices = image
    gapped = ONE.copy()
    gapped[2:4] = False
    path = seg_file(tmp_path / "a.dcm", slices, [gapped], [segment_description(1, "liver")])
    assert pydicom.dcmread(path).NumberOfFrames == 2
    (one,) = read_structures(path, volume, "ct").structures
    assert (mask_on(volume.grid, one) == gapped.T * 255).all()
    bare = pydicom.dcmread(path)
    measures = bare.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    if "SpacingBetweenSlices" in measures:
        del measures.SpacingBetweenSlices
    bare.save_as(path)  # now nothing says that the two frames are not one thick slice each
    read = read_structures(path, volume, "ct")
    assert (mask_on(volume.grid, read.structures[0]) == gapped.T * 255).all()
    assert any("3 slices of the image apart" in note for note in read.notes)


@pytest.mark.parametrize(
    ("label", "kind", "side", "name", "told"),
    [
        ("Kidney", KIDNEY, RIGHT, "kidney_right", ""),
        ("Segment_1", KIDNEY, LEFT, "kidney_left", "read as kidney_left"),
        ("Segment_1", Code("T-62000", "SRT", "Liver"), None, "liver", "read as liver"),
        ("left kidney", KIDNEY, None, "kidney_left", ""),
        ("left kidney", KIDNEY, RIGHT, "label_1", "is coded as Kidney, right"),
        ("spleen", LIVER, None, "label_1", "is coded as Liver"),
        ("rib_left_6", Code("24915002", "SCT", "Seventh rib"), LEFT, "label_1", "Seventh rib"),
        ("rib_left_6", Code("113197003", "SCT", "Rib"), LEFT, "rib_left_6", ""),
        ("rib", Code("24915002", "SCT", "Seventh rib"), LEFT, "rib_left_7", "read as rib_left_7"),
        ("liver segment 4", LIVER, None, "liver_segment_4", ""),
        ("atrium", Code("82471001", "SCT", "Left atrium"), None, "heart_atrium_left", ""),
        ("atrium", Code("82471001", "SCT", "Left atrium"), RIGHT, "label_1", "Left atrium"),
        ("my thing", TISSUE_CODE := Code("85756007", "SCT", "Tissue"), None, "my_thing", ""),
        ("my thing", TISSUE_CODE, LEFT, "my_thing_left", ""),
    ],
)
def test_the_name_is_what_label_and_code_say_together(tmp_path, image, label, kind, side, name, told):
    volume, slices = image
    path = seg_file(tmp_path / "a.dcm", slices, [ONE], [segment_description(1, label, kind, side)])
    read = read_structures(path, volume, "ct")
    assert read.structures[0].name == name and told in " ".join(read.notes)
    assert bool(told) == any("is coded as" in note or "coded as" in note for note in read.notes)


def test_names_that_are_given_go_first_and_same_names_are_told_apart(tmp_path, image):
    volume, slices = image
    described = [segment_description(1, "left kidney", KIDNEY, RIGHT), segment_description(2, "x", KIDNEY, LEFT)]
    path = seg_file(tmp_path / "a.dcm", slices, [ONE, OTHER], described)
    found = read_structures(path, volume, "ct", names={1: "kidney_right"}).structures
    assert [one.name for one in found] == ["kidney_right", "kidney_left"]
    described = [segment_description(1, "aa", LIVER), segment_description(2, "bb", LIVER)]
    path = seg_file(tmp_path / "b.dcm", slices, [ONE, OTHER], described)
    assert [one.name for one in read_structures(path, volume, "ct").structures] == ["liver_aa", "liver_bb"]
    with pytest.raises(InputError, match="2 segments"):
        read_structures(path, volume, "ct", structure="liver")


def changed(path, change):
    header = pydicom.dcmread(path)
    change(header)
    header.save_as(path)
    return path


def test_another_frame_of_reference_patient_or_place_is_refused(tmp_path, image):
    volume, slices = image
    path = seg_file(tmp_path / "a.dcm", slices, [ONE], [segment_description(1, "liver")])
    with pytest.raises(MismatchError, match=r"frame of reference 9\.9"):
        read_structures(changed(path, lambda h: setattr(h, "FrameOfReferenceUID", "9.9")), volume, "ct")
    changed(path, lambda h: setattr(h, "FrameOfReferenceUID", volume.grid.frame_uid))
    read_structures(path, volume, "ct", salt="salt")

    def aside(header):
        for frame in header.PerFrameFunctionalGroupsSequence:
            place = frame.PlanePositionSequence[0]
            place.ImagePositionPatient = [place.ImagePositionPatient[0] + 500, *place.ImagePositionPatient[1:]]

    with pytest.raises(MismatchError, match="beside"):
        read_structures(changed(path, aside), volume, "ct")
    path = seg_file(tmp_path / "b.dcm", slices, [ONE], [segment_description(1, "liver")])
    with pytest.raises(MismatchError, match="another patient"):
        read_structures(changed(path, lambda h: setattr(h, "PatientID", "P2")), volume, "ct", salt="salt")


def test_for_an_image_without_a_frame_somebody_has_to_stand(tmp_path, image):
    volume, slices = image
    path = seg_file(tmp_path / "a.dcm", slices, [ONE], [segment_description(1, "liver")])
    grid = Grid(volume.grid.affine, volume.grid.shape)
    named = replace(volume, grid=grid)  # its series is named in the SEG
    assert by_name(read_structures(path, named, "ct"))["liver"].presence is Presence.PRESENT
    nifti = replace(named, acquisition=Acquisition())
    with pytest.raises(MismatchError, match="of one patient and place"):
        read_structures(path, nifti, "ct")
    with pytest.raises(MismatchError, match="the file names no frame"):
        read_structures(
            changed(path, lambda h: setattr(h, "FrameOfReferenceUID", "")),
            replace(volume, acquisition=Acquisition()), "ct", same_frame_by=" ",
        )  # fmt: skip
    read = read_structures(path, nifti, "ct", same_frame_by="Dr A")
    assert any("the word of Dr A" in note for note in read.notes)


def test_what_is_damaged_is_one_clear_error(tmp_path, image):
    volume, slices = image
    path = seg_file(tmp_path / "a.dcm", slices, [ONE], [segment_description(1, "liver")])
    whole = path.read_bytes()

    def without(keyword):
        return lambda header: delattr(header, keyword)

    for number, change in enumerate(
        [
            without("SegmentSequence"), without("PixelData"), without("PerFrameFunctionalGroupsSequence"),
            without("SharedFunctionalGroupsSequence"), without("Rows"),
            lambda header: setattr(header, "NumberOfFrames", 9),
            lambda header: setattr(header, "PixelData", header.PixelData[:20]),
        ]
    ):  # fmt: skip
        path.write_bytes(whole)
        with pytest.raises(InputError) as caught:
            read_structures(changed(path, change), volume, "ct")
        assert "\n" not in str(caught.value), number
    for size in (0, 100, 400, len(whole) // 2):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError):
            read_structures(path, volume, "ct")


def test_an_image_is_no_segmentation(tmp_path, image):
    volume, _ = image
    file = sorted((tmp_path / "image").glob("*.dcm"))[0]
    with pytest.raises(FileFormatError, match="CT Image Storage"):
        read_structures(file, volume, "ct")
