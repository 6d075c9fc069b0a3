"""Label maps and their names from files."""

import gzip
import json

import numpy as np
import pytest
import SimpleITK as sitk

from navplan.errors import FileFormatError, InputError
from navplan.extend.protocol_lint import vocabulary
from navplan.files.label_files import read_label_maps
from navplan.files.label_names import names_from_mapping, read_label_names
from navplan.files.nifti import write_nifti
from navplan.files.nrrd import write_nrrd
from navplan.files.structure_files import segmentations, write_segmentation
from navplan.files.structure_names import canonical_name
from navplan.geometry.grid import Grid
from navplan.imaging.label_map import structures_from_labels

GRID = Grid(np.array([[-1.0, 0, 0, 20], [0, -1.5, 0, 30], [0, 0, 2.0, -40], [0, 0, 0, 1]]), (9, 8, 7))
LABELS = np.zeros((9, 8, 7), dtype=np.uint8)
LABELS[1:4, 2:5, 1:3], LABELS[5:8, 1:3, 2:6], LABELS[4, 6, 6] = 1, 5, 17


@pytest.fixture
def nifti(tmp_path):
    path = tmp_path / "some.nii.gz"
    write_nifti(path, LABELS, GRID)
    return path


def written(folder, name, text):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_any_image_format_gives_the_labels_where_they_lie(tmp_path, suffix):
    path = tmp_path / ("labels" + suffix)
    image = sitk.GetImageFromArray(np.ascontiguousarray(LABELS.T))
    image.SetSpacing(GRID.spacing_mm.tolist())
    image.SetOrigin(GRID.origin_mm.tolist())
    image.SetDirection(GRID.axes.ravel().tolist())
    sitk.WriteImage(image, str(path))
    (found,) = read_label_maps(path, {1: "Liver", 5: "Spleen"})
    assert (found.labels == LABELS).all()
    assert np.abs(found.grid.corners_mm() - GRID.corners_mm()).max() < 1e-4
    assert found.names == {1: "liver", 5: "spleen"}


def test_names_of_a_table_go_before_those_of_the_file(tmp_path, nifti):
    data = gzip.decompress(nifti.read_bytes())
    table = (
        b'<?xml version="1.0"?><CaretExtension><VolumeInformation Index="0"><LabelTable>'
        b'<Label Key="0" Alpha="1"><![CDATA[background]]></Label>'
        b'<Label Key="1" Red="0.0" Alpha="1"><![CDATA[liver]]></Label>\n<Label Key="5"><![CDATA[kidney_left]]></Label>'
        b"</LabelTable></VolumeInformation></CaretExtension>"
    )
    table += b"\0" * (-(len(table) + 8) % 16)
    head = bytearray(data[:352])
    head[348] = 1
    head[108:112] = np.float32(352 + 8 + len(table)).tobytes()
    size = np.array([8 + len(table), 30], dtype="<i4").tobytes()
    path = tmp_path / "named.nii.gz"
    path.write_bytes(gzip.compress(bytes(head) + size + table + data[352:]))
    (own,) = read_label_maps(path)
    assert own.names == {1: "liver", 5: "kidney_left"} and (own.labels == LABELS).all()
    (given,) = read_label_maps(path, {1: "liver", 5: "spleen"})
    assert given.names == {1: "liver", 5: "spleen"}
    assert any("kidney_left" in note for note in given.notes)


def test_a_file_without_names_has_none(nifti):
    assert read_label_maps(nifti)[0].names == {}


def test_a_single_mask_takes_the_name_that_is_given(tmp_path):
    path = tmp_path / "mask.nrrd"
    write_nrrd(path, (LABELS == 5).astype(np.uint8) * 255, GRID)
    (found,) = read_label_maps(path, structure="Left Lung")
    assert found.names == {255: "lung_left"}


def test_several_labels_are_no_single_mask(nifti):
    with pytest.raises(InputError, match="mask of one structure"):
        read_label_maps(nifti, structure="liver")


def test_slicers_segmentation_with_layers(tmp_path):
    path = tmp_path / "Segmentation.seg.nrrd"
    layers = np.zeros((2, 9, 8, 7), dtype=np.uint8)
    layers[0, 1:4, 2:5, 1:3], layers[0, 5:8, 1:3, 2:6], layers[1, 2:6, 2:4, 2:4] = 1, 2, 1
    header = {}
    for number, (name, layer, label) in enumerate((("Liver", 0, 1), ("Left Kidney", 0, 2), ("tumour", 1, 1))):
        header |= {
            f"Segment{number}_ID": f"Segment_{number}", f"Segment{number}_Name": name,
            f"Segment{number}_Layer": str(layer), f"Segment{number}_LabelValue": str(label),
        }  # fmt: skip
    write_nrrd(path, layers, GRID, header)
    first, second = read_label_maps(path)
    assert first.names == {1: "liver", 2: "kidney_left"} and second.names == {1: "tumour"}
    assert (first.labels == layers[0]).all() and (second.labels == layers[1]).all()
    with pytest.raises(InputError, match="layers"):
        read_label_maps(path, {1: "liver"})


def test_a_segmentation_that_navplan_wrote_is_read_again(tmp_path):
    made = structures_from_labels(LABELS, GRID, {1: "liver", 5: "kidney_left", 17: "mass"}, "ct", GRID, "a")
    (segmentation,) = segmentations(made)
    path = tmp_path / "case.seg.nrrd"
    write_segmentation(path, segmentation)
    (found,) = read_label_maps(path)
    again = structures_from_labels(found.labels, found.grid, found.names, "ct", GRID, "b")
    for one, other in zip(sorted(made, key=str_of), sorted(again, key=str_of), strict=True):
        assert one.name == other.name
        assert np.allclose(one.voxel_centres_mm(), other.voxel_centres_mm())


def str_of(structure):
    return structure.name


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"Segment1_Layer": "4"}, "layer 4"),
        ({"Segment1_LabelValue": "1"}, "a free one"),
        ({"Segment1_LabelValue": "x"}, "whole numbers"),
        ({"Segment1_Name": "LIVER"}, "several segments named liver"),
        ({"Segmentation_MasterRepresentation": "Fractional labelmap"}, "binary label maps"),
    ],
)
def test_a_segmentation_that_contradicts_itself_is_refused(tmp_path, changed, words):
    path = tmp_path / "bad.seg.nrrd"
    header = {
        "Segment0_ID": "a", "Segment0_Name": "liver", "Segment0_LabelValue": "1", "Segment0_Layer": "0",
        "Segment1_ID": "b", "Segment1_Name": "spleen", "Segment1_LabelValue": "5", "Segment1_Layer": "0",
    }  # fmt: skip
    write_nrrd(path, LABELS, GRID, header | changed)
    with pytest.raises(FileFormatError, match=words):
        read_label_maps(path)


def test_a_folder_of_masks_names_each_by_its_file(tmp_path):
    write_nifti(tmp_path / "aorta.nii.gz", (LABELS == 1).astype(np.uint8), GRID)
    write_nifti(tmp_path / "Left Lung.nii.gz", (LABELS[2:, 1:] == 5).astype(np.uint8), GRID.crop((2, 1, 0), (7, 7, 7)))
    write_nifti(tmp_path / "gallbladder.nii.gz", np.zeros_like(LABELS), GRID)
    write_nifti(tmp_path / "lumen.nii.gz", LABELS, GRID)
    written(tmp_path, "phase.json", "{}")
    found = {name: (one, number) for one in read_label_maps(tmp_path) for number, name in one.names.items()}
    assert set(found) == {"aorta", "lung_left", "gallbladder", "lumen_1", "lumen_5", "lumen_17"}
    assert found["lung_left"][0].grid.shape == (7, 7, 7)


def test_one_name_from_two_files_of_a_folder_is_kept_twice_and_told(tmp_path):
    header = {"Segment0_ID": "a", "Segment0_Name": "aorta", "Segment0_LabelValue": "1"}
    write_nrrd(tmp_path / "other.seg.nrrd", (LABELS == 5).astype(np.uint8), GRID, header)
    write_nifti(tmp_path / "aorta.nii.gz", (LABELS == 1).astype(np.uint8), GRID)
    maps = read_label_maps(tmp_path)
    assert sorted(name for one in maps for name in one.names.values()) == ["aorta", "other_aorta"]
    assert any("two files" in note for one in maps for note in one.notes)


def test_paths_that_hold_no_labels_are_refused(tmp_path, nifti):
    with pytest.raises(InputError, match="no such file"):
        read_label_maps(tmp_path / "none.nii.gz")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no label map in it"):
        read_label_maps(tmp_path / "empty")
    with pytest.raises(FileFormatError):
        read_label_maps(written(tmp_path, "text.dcm", "no DICOM"))
    with pytest.raises(InputError, match="names for the folder"):
        read_label_maps(tmp_path, {1: "liver"})
    with pytest.raises(InputError, match="one of them"):
        read_label_maps(nifti, {1: "liver"}, structure="spleen")
    cut = tmp_path / "cut.nii.gz"
    cut.write_bytes(nifti.read_bytes()[:-40])
    with pytest.raises(FileFormatError):
        read_label_maps(cut)


def test_fractions_are_no_labels(tmp_path):
    path = tmp_path / "probability.nrrd"
    write_nrrd(path, LABELS.astype(np.float32) / 3, GRID)
    with pytest.raises(InputError, match="no whole numbers"):
        read_label_maps(path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "group,original_idx,structure,id\norgans,5,liver,1\norgans,1,Spleen,5\n"),
        ("b.csv", "\ufeffLabel Value;Name\n1;liver\n5;spleen\n0;Background\n"),
        ("c.tsv", "name\tlabel\nliver\t1\nspleen\t5\n"),
        ("d.json", '{"1": "liver", "5": "spleen"}'),
        ("e.json", '{"labels": {"background": 0, "liver": 1, "spleen": 5}}'),
        ("f.json", '[{"id": 1, "name": "liver"}, {"id": 5, "name": "spleen"}]'),
        ("g.json", '{"1": {"name": "liver"}, "5": {"name": "spleen"}}'),
        ("h.toml", '[labels]\n1 = "liver"\n5 = "spleen"\n'),
    ],
)
def test_names_from_tables(tmp_path, name, text):
    assert read_label_names(written(tmp_path, name, text)).names == {1: "liver", 5: "spleen"}


def test_rows_without_name_or_label_and_rows_twice_are_told(tmp_path):
    path = written(tmp_path, "a.csv", "structure,id\nliver,1\nliver,1\n,7\nspleen,\n\n,\n")
    found = read_label_names(path)
    assert found.names == {1: "liver"} and len(found.notes) == 3


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.csv", "structure,id\nliver,1\nspleen,1\n", "label 1 is liver and spleen"),
        ("b.csv", "organ,colour\nliver,red\n", "columns organ, colour"),
        ("c.csv", "structure,id\nliver,one\n", "'one'"),
        ("d.csv", "structure,id\nliver,-1\n", "label -1"),
        ("e.csv", "structure,id\nliver,0\n", "0 is background"),
        ("f.csv", "", "columns none"),
        ("g.json", '{"1": "liver", "1": "spleen"}', "twice"),
        ("h.json", "{", "JSON"),
        ("i.json", '{"labels": {"whole": [1, 2]}}', "whole"),
        ("j.json", "3", "int"),
        ("k.toml", "1 = ", "TOML"),
        ("l.xlsx", "", "unknown kind"),
        ("m.json", "{}", "no name"),
        ("n.csv", "structure,id\n???,3\n", r"\?\?\?"),
    ],
)
def test_tables_that_make_no_sense_are_refused(tmp_path, name, text, words):
    with pytest.raises(InputError, match=words):
        read_label_names(written(tmp_path, name, text))


def test_names_of_a_dict_are_spelled_like_those_of_a_file():
    assert names_from_mapping({1: "Left Kidney"}).names == {1: "kidney_left"}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Left Lung", "lung_left"), ("lung left", "lung_left"), ("colon_descending", "colon_descending"),
        ("T12", "vertebrae_T12"), ("vertebra L1", "vertebrae_L1"), ("vertebrae_C7", "vertebrae_C7"),
        ("T12 vertebra", "vertebrae_T12"), ("vertebrae_T14", "vertebrae_t14"), ("L-Kidney", "kidney_left"),
        ("Kidney (R)", "kidney_right"), ("rib_left_6", "rib_left_6"), ("Left rib 06", "rib_left_6"),
        ("Rib 6 left", "rib_left_6"), ("bulla_left_1", "bulla_left_1"), ("IVC", "inferior_vena_cava"),
        ("left upper lobe", "lung_upper_lobe_left"), ("lung_upper_lobe_left", "lung_upper_lobe_left"),
        ("Oesophagus", "esophagus"), ("left-right shunt", "left_right_shunt"), ("S1", "s1"), ("Liver", "liver"),
        ("portal_vein_and_splenic_vein", "portal_vein_and_splenic_vein"), ("left", "left"),
    ],
)  # fmt: skip
def test_canonical_names(text, name):
    assert canonical_name(text) == name
    assert canonical_name(name) == name


def test_a_name_without_letters_is_refused():
    for text in ("", "  ", "_-_", "???"):
        with pytest.raises(InputError, match="letters or digits"):
            canonical_name(text)


def test_json_names_survive_a_round_trip(tmp_path):
    names = {number: f"structure_{number}" for number in range(1, 40)}
    path = written(tmp_path, "names.json", json.dumps(names))
    assert read_label_names(path).names == names


def slicer_file(path, segments):
    header = {}
    for n, (name, entry) in enumerate(segments):
        header |= {
            f"Segment{n}_ID": f"s{n}", f"Segment{n}_Name": name, f"Segment{n}_LabelValue": str(n + 1),
            f"Segment{n}_Layer": "0", f"Segment{n}_Tags": f"TerminologyEntry:{entry}|Segmentation.Status:x|",
        }  # fmt: skip
    write_nrrd(path, (LABELS > 0).astype(np.uint8), GRID, header)
    return path


def entry(kind, side="^^"):
    anatomy = "SCT^123037004^Anatomical Structure"
    return f"General Anatomy list~{anatomy}~{kind}~{side}~Anatomic codes - DICOM master list~^^~^^"


def test_slicers_terminology_names_what_a_segments_name_does_not_and_never_overrules_it(tmp_path):
    left, right = "SCT^7771000^Left", "SCT^24028007^Right"
    kidney, liver, tissue = "SCT^64033007^Kidney", "SCT^10200004^Liver", "SCT^85756007^Tissue"
    path = slicer_file(
        tmp_path / "a.seg.nrrd",
        [
            ("Segment_1", entry(kidney, left)), ("kidney", entry(kidney, right)), ("Segment_3", entry(tissue)),
            ("spleen", entry(liver)), ("liver segment 4", entry(liver)), ("colon", "broken"),
        ],
    )  # fmt: skip
    (found,) = read_label_maps(path)
    assert list(found.names.values()) == [
        "kidney_left", "kidney_right", "segment_3", "label_4", "liver_segment_4", "colon",
    ]  # fmt: skip
    assert len(found.notes) == 2 and "'spleen', is coded as Liver" in found.notes[1]


def test_what_navplan_writes_for_slicer_keeps_its_names(tmp_path):
    names = vocabulary()
    named = {n + 1: name for n, name in enumerate(names)}
    array = np.zeros((len(names) + 1, 1, 1), dtype=np.uint8)
    array[1:, 0, 0] = np.arange(1, len(names) + 1)
    grid = Grid(np.eye(4), array.shape)
    found = structures_from_labels(array, grid, named, "ct", grid, "test")
    (whole,) = segmentations(found)
    write_segmentation(tmp_path / "case.seg.nrrd", whole)
    (again,) = read_label_maps(tmp_path / "case.seg.nrrd")
    assert sorted(again.names.values()) == sorted(names) and not again.notes
