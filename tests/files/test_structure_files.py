"""Structure files as 3D Slicer and other programs read them."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from case_examples import make_grid, make_structures, make_volume

from navplan.files.structure_files import is_hard, segmentation_layers, segmentations, terminology, write_segmentation
from navplan.geometry.grid import Grid
from navplan.model.case import Case
from navplan.model.structure import Presence, Structure
from navplan.verbs.case_verbs import open_case, save_case


def present(name: str, grid: Grid, occupancy: np.ndarray | None = None, origin: str = "x") -> Structure:
    values = np.full(grid.shape, 255, np.uint8) if occupancy is None else occupancy
    return Structure(name, Presence.PRESENT, values, grid, evaluated_in=grid, origin=origin)


def read_as_slicer(path: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Name -> (LPS mm of its voxel centres (N, 3), colour), by SimpleITK and the header's own words."""
    image = sitk.ReadImage(str(path))
    voxels = sitk.GetArrayFromImage(image)
    layers = voxels if voxels.ndim == 4 else voxels[..., None]
    axes = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    found = {}
    for number in range(sum(key.endswith("_ID") for key in image.GetMetaDataKeys())):
        value = {key: image.GetMetaData(f"Segment{number}_{key}") for key in ("Name", "LabelValue", "Layer", "Extent")}
        index = np.argwhere(layers[..., int(value["Layer"])] == int(value["LabelValue"]))[:, ::-1]
        bounds = np.array(value["Extent"].split(), dtype=int).reshape(3, 2)
        assert (index >= bounds[:, 0]).all() and (index <= bounds[:, 1]).all()
        colour = np.array(image.GetMetaData(f"Segment{number}_Color").split(), dtype=float)
        found[value["Name"]] = (index @ axes.T + np.array(image.GetOrigin()), colour)
    return found


@pytest.mark.parametrize("seed", range(8))
def test_another_program_finds_each_segment_where_it_lies(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = ("liver", "rib_left_6", "aorta", "lesion", "colon", "spleen")[: 1 + seed % 6]
    structures = make_structures(rng, make_volume(rng), names=names)
    (segmentation,) = segmentations(structures)
    path = tmp_path / "a.seg.nrrd"
    write_segmentation(path, segmentation)
    found = read_as_slicer(path)
    assert list(found) == list(names)
    for structure in segmentation.structures:
        centres, colour = found[structure.name]
        expected = structure.voxel_centres_mm(structure.occupancy >= 128)
        assert len(centres) == len(expected) and ((colour >= 0) & (colour <= 1)).all()
        order, wanted = (points[np.lexsort(np.round(points, 3).T)] for points in (centres, expected))
        assert np.allclose(order, wanted, atol=1e-6)


def test_labels_that_do_not_overlap_share_a_layer() -> None:
    grid = make_grid(np.random.default_rng(0), (300, 4, 4))
    parts = [present(f"part_{n}", grid.crop((n, 0, 0), (1, 4, 4))) for n in range(300)]
    (segmentation,) = segmentations([*parts, present("body", grid)])
    layers, places = segmentation_layers(segmentation)
    assert layers.shape[-1] == 3  # 255 labels in one, 45 in the second, the body overlaps all
    assert places[0] == (0, 1) and places[254] == (0, 255) and places[255] == (1, 1) and places[300][0] == 2


def test_sources_images_and_lattices_go_to_files_of_their_own() -> None:
    rng = np.random.default_rng(0)
    grid = make_grid(rng)
    shifted = grid.crop((0.5, 0, 0), grid.shape)
    coarser = Grid(grid.affine @ np.diag([2, 2, 2, 1]), (3, 3, 3), grid.frame_uid)
    elsewhere = Grid(grid.affine, grid.shape, "9.9")
    far = grid.crop((10**5, 10**5, 10**5), (2, 2, 2))
    grids = [grid, shifted, coarser, elsewhere, far, make_grid(rng), grid.crop((3, -2, 1), (4, 4, 4))]
    structures = [present(f"s_{n}", own) for n, own in enumerate(grids)] + [present("other", grid, origin="y")]
    groups = [[structure.name for structure in group.structures] for group in segmentations(structures)]
    assert groups == [["s_0", "s_6"], ["s_1"], ["s_2"], ["s_3"], ["s_4"], ["s_5"], ["other"]]


def test_a_single_voxel_keeps_its_place(tmp_path: Path) -> None:
    """Slicer takes an image of one voxel for an empty segmentation: there is a border."""
    grid = make_grid(np.random.default_rng(2), (1, 1, 1))
    (segmentation,) = segmentations([present("lesion", grid)])
    write_segmentation(tmp_path / "a.seg.nrrd", segmentation)
    assert segmentation.grid.shape == (3, 3, 3)
    assert np.allclose(read_as_slicer(tmp_path / "a.seg.nrrd")["lesion"][0], grid.origin_mm)


@pytest.mark.parametrize("values", [[0, 255, 1], [0, 255, 254], [3, 0, 0], [127, 128, 255]])
def test_fractions_are_kept_to_the_last_bit(tmp_path: Path, values: list[int]) -> None:
    grid = make_grid(np.random.default_rng(2), (3, 1, 1))
    occupancy = np.array(values, dtype=np.uint8).reshape(3, 1, 1)
    assert not is_hard(occupancy)
    save_case(Case().with_structures(present("lesion", grid, occupancy), present("liver", grid)), tmp_path / "case")
    assert np.array_equal(open_case(tmp_path / "case").structures["lesion"].occupancy, occupancy)
    (exact,) = (tmp_path / "case" / "structures").glob("*.occupancy.nrrd")
    image = sitk.ReadImage(str(exact))
    assert sitk.GetArrayFromImage(image).ravel().tolist() == values
    assert np.allclose(image.GetOrigin(), grid.origin_mm)


def test_terminology_names_code_and_side() -> None:
    entries = {name: terminology(Structure(name, Presence.UNKNOWN)) for name in ("rib_left_6", "lesion", "thing")}
    assert "~SCT^123037004^Anatomical Structure~SCT^113197003^Rib~SCT^7771000^Left~" in entries["rib_left_6"]
    assert "~SCT^49755003^Morphologically Altered Structure~SCT^52988006^Lesion~^^~" in entries["lesion"]
    assert all(entry.count("~") == 6 for entry in entries.values()) and "SCT" not in entries["thing"]
