"""segment and absent: what enters the case, what is recorded, what is refused."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from navplan.cli import main
from navplan.errors import ChoiceError, InputError, MismatchError
from navplan.extend import registry
from navplan.files.nifti import write_nifti
from navplan.geometry.grid import Grid
from navplan.imaging.label_map import structure_from_mask
from navplan.model.case import Case
from navplan.model.structure import Presence, Structure
from navplan.model.volume import Volume
from navplan.verbs.case_verbs import open_case, save_case
from navplan.verbs.segment import absent, segment

FRAME = "1.2.3"
GRID = Grid(np.array([[2.0, 0, 0, -40], [0, 2.0, 0, -40], [0, 0, 4.0, 100], [0, 0, 0, 1]]), (40, 40, 12), FRAME)


@pytest.fixture
def case():
    voxels = np.full(GRID.shape, -1000, dtype=np.int16)
    voxels[5:35, 8:32, :] = 40
    return Case("c").with_volume("ct", Volume(voxels, GRID))


@pytest.fixture
def labels(tmp_path):
    array = np.zeros(GRID.shape, dtype=np.uint8)
    array[10:20, 10:20, 2:6], array[22:26, 12:20, 3:8] = 1, 9
    path = tmp_path / "JANE_DOE_labels.nii.gz"
    write_nifti(path, array, GRID)
    return path


def test_labels_come_in_with_their_names_and_empty_ones_as_unknown(case, labels, tmp_path):
    table = tmp_path / "names.csv"
    table.write_text("structure,id\nLiver,1\ngallbladder,4\n,5\n")
    done = segment(case, labels=labels, names=table, working_resolution_mm=3)
    assert set(done.structures) == {"liver", "gallbladder", "label_9"}
    assert done.structures["liver"].working_resolution_mm == (3.0, 3.0, 3.0)
    assert done.structures["gallbladder"].presence is Presence.UNKNOWN
    entry = done.audit[-1]
    assert entry.action == "segment" and entry.when.endswith("+00:00")
    assert entry.details["empty"] == ["gallbladder"] and entry.details["unnamed"] == ["label_9"]
    assert len(entry.details["notes"]) == 1
    assert not case.structures and not case.audit  # the case that was given is as it was


def test_no_name_of_a_file_enters_the_record_or_the_structures(case, labels):
    done = segment(case, labels=labels)
    assert "DOE" not in repr(done.audit)
    assert all("DOE" not in structure.origin for structure in done.structures.values())
    assert len(done.audit[-1].details["labels_sha256"][0]) == 64


def test_empty_labels_are_named_in_a_warning(case, labels, caplog):
    segment(case, labels=labels, names={1: "liver", 2: "spleen"})
    assert "spleen" in caplog.text and "label_9" in caplog.text


def test_a_segmenter_by_name(case):
    done = segment(case, "ct-basic")
    body = done.structures["body"]
    assert body.presence is Presence.PRESENT and body.image_id == "ct"
    assert done.structures["lung_left"].presence is Presence.UNKNOWN
    assert done.audit[-1].details["segmenter"] == body.origin


def test_what_is_unknown_replaces_nothing_and_what_is_present_is_told(case, labels):
    once = segment(case, labels=labels, names={1: "trachea", 9: "lung_left"})
    once = absent(once, "metal", "R. Reader")
    twice = segment(once, "ct-basic")
    for name in ("trachea", "lung_left", "metal"):
        assert twice.structures[name] is once.structures[name]
    assert {"trachea", "lung_left", "metal"} <= set(twice.audit[-1].details["kept"])
    again = segment(twice, labels=labels, names={1: "metal", 9: "body"})
    assert again.structures["metal"].presence is Presence.PRESENT
    assert [text.split(" ")[0] for text in again.audit[-1].details["replaced"]] == ["metal", "body"]


def test_prefix_and_single_structure(case, labels, tmp_path):
    done = segment(case, labels=labels, names={1: "liver", 9: "lesion"}, prefix="reader2")
    assert set(done.structures) == {"reader2_liver", "reader2_lesion"}
    mask = tmp_path / "mask.nii.gz"
    array = np.zeros(GRID.shape, dtype=np.uint8)
    array[3:5, 3:5, 3:5] = 1
    write_nifti(mask, array, GRID)
    assert set(segment(case, labels=mask, structure="Lesion 1").structures) == {"lesion_1"}


def test_labels_beside_the_image_are_refused_with_both_places(case, tmp_path):
    far = GRID.crop((100, 0, 0), GRID.shape)
    path = tmp_path / "far.nii.gz"
    write_nifti(path, np.ones(GRID.shape, dtype=np.uint8), far)
    with pytest.raises(MismatchError, match="beside the image"):
        segment(case, labels=path)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"segmenter": "ct-basic", "labels": "x.nii.gz"},
        {"segmenter": "ct-basic", "names": {1: "liver"}},
        {"segmenter": "ct-basic", "structure": "liver"},
        {"segmenter": "ct-basic", "working_resolution_mm": 3.0},
        {"labels": "/no/such/file.nii.gz"},
        {"segmenter": "no-such-segmenter"},
    ],
)
def test_wrong_use_is_refused(case, options):
    with pytest.raises(InputError):
        segment(case, **options)


def test_several_images_and_none_chosen(case, labels):
    two = case.with_volume("ct_2", Volume(np.zeros(GRID.shape, dtype=np.int16), GRID))
    with pytest.raises(ChoiceError, match="ct, ct_2"):
        segment(two, labels=labels)
    done = segment(two, labels=labels, names={1: "liver"}, image="ct_2")
    assert done.structures["liver"].image_id == "ct_2"
    both = segment(done, labels=labels, names={1: "liver"}, image="ct")
    assert both.structures["liver"].image_id == "ct_2"
    assert both.structures["liver@ct"].image_id == "ct"
    assert both.structures_of("ct")["liver"].image_id == "ct"
    assert both.structures_of("ct_2")["liver"].image_id == "ct_2"


def test_mr_is_refused_by_a_ct_segmenter(case):
    mr = Case("m").with_volume("mr", Volume(np.zeros(GRID.shape, dtype=np.int16), GRID, "MR", "signal"))
    with pytest.raises(InputError, match="MR"):
        segment(mr, "ct-basic")


class ClaimsAbsence:
    name = "claims-absence"
    description = "says what only a person may say"
    modality = "CT"

    def segment(self, volume, image_id):
        return [Structure("liver", Presence.ABSENT, image_id=image_id, stated_by="a program", stated_on="2020-01-01")]


def test_a_segmenter_can_not_state_absence(case, monkeypatch):
    from navplan.extend import registry

    monkeypatch.setattr(registry, "load", lambda group, name: ClaimsAbsence)
    with pytest.raises(InputError, match="Only a person"):
        segment(case, "claims-absence")


def test_absent_is_signed_and_dated(case):
    done = absent(case, "Gall bladder", "R. Reader")
    stated = done.structures["gallbladder"]
    assert stated.presence is Presence.ABSENT and stated.stated_by == "R. Reader"
    assert stated.stated_on.endswith("+00:00") and stated.image_id == "ct"
    assert stated.evaluated_in.same_as(GRID)
    assert done.audit[-1].who == "R. Reader" and done.audit[-1].details["structure"] == "gallbladder"


def test_absent_is_refused_for_what_has_voxels_and_without_a_name(case, labels):
    done = segment(case, labels=labels, names={1: "liver", 4: "gallbladder", 9: "x"})
    with pytest.raises(InputError, match="but it is in the case"):
        absent(done, "liver", "R. Reader")
    with pytest.raises(InputError, match="nobody"):
        absent(done, "gallbladder", "  ")
    assert absent(done, "gallbladder", "R. Reader").structures["gallbladder"].presence is Presence.ABSENT


def test_the_verb_loads_nothing_heavy_until_it_is_called():
    import subprocess

    code = (
        "import sys, navplan.verbs.segment; "
        "print([m for m in ('scipy', 'SimpleITK', 'vtk', 'pydicom') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_region_that_touches_the_images_end_is_said_to_be_cut(case, tmp_path):
    array = np.zeros(GRID.shape, dtype=np.uint8)
    array[10:20, 10:20, 0:3], array[22:26, 12:20, 3:8] = 1, 2
    write_nifti(tmp_path / "a.nii.gz", array, GRID)
    done = segment(case, labels=tmp_path / "a.nii.gz", names={1: "liver", 2: "areola"})
    assert done.structures["liver"].cut_by_edge and not done.structures["areola"].cut_by_edge
    details = done.audit[-1].details
    assert details["cut"] == ["liver"] and details["unmapped"] == ["areola"]


def test_who_made_a_structure_is_there_again_when_the_case_is_opened(case, tmp_path):
    mesh = tmp_path / "Liver.obj"
    corners = [(x, y, z) for x in (-10, 10) for y in (-10, 10) for z in (110, 130)]
    faces = "1 2 4 3\nf 5 7 8 6\nf 1 5 6 2\nf 3 4 8 7\nf 1 3 7 5\nf 2 6 8 4"
    mesh.write_text("# SPACE=LPS\n" + "".join(f"v {x} {y} {z}\n" for x, y, z in corners) + f"f {faces}\n")
    done = segment(segment(case, "ct-basic"), labels=mesh)
    told = replace(
        done.structures["liver"], made_by="manual", made_with="Acme 3", made_on="2024-01-02", confidence=0.75
    )
    folder = tmp_path / "case"
    save_case(done.with_structures(told), folder, "test", {})
    again = open_case(folder)
    liver, body = again.structures["liver"], again.structures["body"]
    assert (liver.made_by, liver.made_with, liver.made_on) == ("manual", "Acme 3", "2024-01-02")
    assert liver.confidence == 0.75 and liver.fractional and (liver.occupancy == told.occupancy).all()
    assert body.made_by == "automatic" and body.made_with.startswith("ct-basic") and len(body.made_on) == 10


def test_the_side_of_a_mesh_is_for_labels_alone(case):
    with pytest.raises(InputError, match="a space"):
        segment(case, "ct-basic", space="RAS")


class SeedBall:
    """A segmenter that starts from points: a cube of 3 voxels about each."""

    name, description, modality = "seed-ball", "cubes about the seeds", "CT"

    def segment_from(self, volume, image_id, seeds_mm, structure):
        mask = np.zeros(volume.grid.shape, dtype=bool)
        for index in np.rint(volume.grid.indices(seeds_mm)).astype(int):
            mask[tuple(slice(n - 1, n + 2) for n in index)] = True
        return [structure_from_mask(mask, volume.grid, structure or "cube", image_id, "seed-ball 1", volume.grid)]


@pytest.fixture
def seed_ball(monkeypatch):
    load = registry.load
    monkeypatch.setattr(registry, "load", lambda group, name: SeedBall() if name == "seed-ball" else load(group, name))


def test_a_segmenter_that_starts_from_seeds(case, seed_ball):
    done = segment(case, "seed-ball", seeds_mm=[(0, 0, 120), (10, 0, 120)], structure="Left Lung")
    found = done.structures["lung_left"]
    assert np.count_nonzero(found.occupancy) == 54 and found.made_with == "seed-ball 1"
    details = done.audit[-1].details
    assert details["seeds_mm"] == [[0.0, 0.0, 120.0], [10.0, 0.0, 120.0]]
    measured = details["figures"]["lung_left"]
    assert measured["volume_cm3"] == pytest.approx(54 * 16 / 1000) and measured["mean"] == 40.0 == measured["p95"]
    assert set(segment(case, "seed-ball", seeds_mm=(0, 0, 120)).structures) == {"cube"}


@pytest.mark.parametrize(
    ("seeds", "words"),
    [
        ([(500.0, 0.0, 120.0)], "beside the image"),
        ([(np.nan, 0.0, 120.0)], "finite"),
        ([(0.0, 0.0)], "finite"),
        ([], "finite"),
        ("liver", "finite"),
        (None, "without a seed"),
    ],
)
def test_bad_seeds_are_refused_with_what_was_given(case, seed_ball, seeds, words):
    with pytest.raises(InputError, match=words):
        segment(case, "seed-ball", seeds_mm=seeds)


def test_seeds_for_what_takes_none(case, labels):
    with pytest.raises(InputError, match="takes none"):
        segment(case, "ct-basic", seeds_mm=[(0, 0, 120)])
    with pytest.raises(InputError, match="seeds with labels"):
        segment(case, labels=labels, seeds_mm=[(0, 0, 120)])


def test_a_seed_from_the_command_line(case, seed_ball, tmp_path, capsys):
    folder = tmp_path / "case"
    save_case(case, folder, "new", {})
    assert main(["segment", str(folder), "--segmenter", "seed-ball", "--seed=-4,2,120", "--as", "node"]) == 0
    assert "node: 0.4 cm³; values 40 ± 0" in capsys.readouterr().out
    assert open_case(folder).structures["node"].presence is Presence.PRESENT
    assert main(["segment", str(folder), "--segmenter", "seed-ball", "--seed=1,2"]) == 2
    assert "--seed '1,2'" in capsys.readouterr().err
