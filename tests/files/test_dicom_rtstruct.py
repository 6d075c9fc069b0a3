"""RTSTRUCT: contours to voxels, holes and islands, what is empty or drawn elsewhere, and what is refused."""

from dataclasses import replace

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from scipy.spatial.transform import Rotation
from structure_examples import image_in, mask_on, rtstruct_file

from navplan.errors import FileFormatError, InputError, MismatchError
from navplan.files.structures_in import read_structures
from navplan.geometry.grid import Grid
from navplan.imaging.contours import polygon_mask
from navplan.model.acquisition import Acquisition
from navplan.model.structure import Presence

SHAPE = (40, 36, 16)
SPACING = (0.7, 0.8, 2.0)


def an_image(folder, turned_deg=(0.0, 0.0, 0.0), spacing=SPACING):
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", turned_deg, degrees=True).as_matrix() * spacing
    affine[:3, 3] = (-12.3, 45.6, -78.0)
    return image_in(folder, affine, SHAPE)[0]


@pytest.fixture
def image(tmp_path):
    return an_image(tmp_path / "image")


def ring(grid, k, radius, centre=(20.0, 18.0), count=90):
    """A circle of a radius in voxels about an index, LPS mm."""
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    index = np.column_stack(
        [centre[0] + radius * np.cos(angle), centre[1] + radius * np.sin(angle), np.full(count, float(k))]
    )
    return grid.points_mm(index)


def disc(radius, centre=(20.0, 18.0)):
    i, j = np.meshgrid(np.arange(SHAPE[0]), np.arange(SHAPE[1]), indexing="ij")
    return np.hypot(i - centre[0], j - centre[1]) < radius


def read(tmp_path, volume, regions, **more):
    return read_structures(rtstruct_file(tmp_path / "rs.dcm", volume, regions, **more), volume, "ct")


def of(found, name="liver"):
    return next(one for one in found.structures if one.name == name)


def near(mask, expected):
    """Equal but for voxels whose centre lies within the polygon's coarseness."""
    return np.count_nonzero(mask != expected) <= 0.01 * np.count_nonzero(expected)


@pytest.mark.parametrize("turned", [(0, 0, 0), (12, -20, 31), (90, 0, 0)])
def test_a_ball_lies_where_it_was_drawn_in_any_orientation(tmp_path, turned):
    volume = an_image(tmp_path / "image", turned)
    radii = {k: 12 * np.sqrt(1 - ((k - 8) / 6) ** 2) for k in range(3, 14)}
    contours = [ring(volume.grid, k, radius) for k, radius in radii.items()]
    found = read(tmp_path, volume, [{"name": "Liver", "contours": contours}])
    one = of(found)
    mask = mask_on(volume.grid, one) > 0
    for k in range(SHAPE[2]):
        expected = disc(radii[k]) if k in radii else np.zeros(SHAPE[:2], dtype=bool)
        assert near(mask[:, :, k], expected), k
    assert one.evaluated_in.same_as(volume.grid) and not one.cut_by_edge and not one.fractional
    assert (one.made_by, one.made_with, one.made_on) == ("manual", "Acme, 5", "2024-01-02")
    assert "ROE" not in repr(found)


def test_holes_islands_and_islands_in_holes(tmp_path, image):
    grid = image.grid
    contours = [
        contour
        for k in (5, 6, 7)
        for contour in (ring(grid, k, 6), ring(grid, k, 14), ring(grid, k, 2), ring(grid, k, 2, (37, 33)))
    ]
    mask = mask_on(grid, of(read(tmp_path, image, [{"name": "Liver", "contours": contours}]))) > 0
    expected = disc(14) & ~disc(6) | disc(2) | disc(2, (37, 33))
    assert near(mask[:, :, 6], expected) and mask[20, 18, 6] and not mask[24, 18, 6] and mask[37, 33, 6]


def test_a_keyhole_is_a_hole(tmp_path, image):
    outer, inner = ring(image.grid, 6, 14), ring(image.grid, 6, 6)[::-1]
    keyhole = np.concatenate([outer, outer[:1], np.roll(inner, 1, axis=0), inner[-1:]])
    mask = mask_on(image.grid, of(read(tmp_path, image, [{"name": "Liver", "contours": [keyhole]}]))) > 0
    assert near(mask[:, :, 6], disc(14) & ~disc(6))


def test_contours_that_cross_or_come_twice_cut_no_hole_that_nobody_drew(tmp_path, image):
    grid = image.grid
    crossing = [ring(grid, 6, 6), ring(grid, 6, 6, (26, 18))]
    found = read(tmp_path, image, [{"name": "Liver", "contours": crossing}])
    mask = mask_on(grid, of(found)) > 0
    assert near(mask[:, :, 6], disc(6) | disc(6, (26, 18))) and any("cross" in note for note in found.notes)
    found = read(tmp_path, image, [{"name": "Liver", "contours": [ring(grid, 6, 6), ring(grid, 6, 6)]}])
    assert near((mask_on(grid, of(found)) > 0)[:, :, 6], disc(6)) and any("twice" in note for note in found.notes)


def test_a_contour_smaller_than_a_voxel_is_still_there(tmp_path, image):
    found = read(tmp_path, image, [{"name": "Liver", "contours": [ring(image.grid, 6, 0.2, (20.4, 18.4))]}])
    assert np.argwhere(mask_on(image.grid, of(found))).tolist() == [[20, 18, 6]]
    assert any("no voxel's centre" in note for note in found.notes)


def test_an_empty_region_is_unknown_and_said(tmp_path, image):
    regions = [
        {"name": "Liver", "contours": [ring(image.grid, 6, 6)]}, {"name": "Spleen", "contours": []},
        {"name": "Pancreas"},
    ]  # fmt: skip
    found = read(tmp_path, image, regions)
    for name in ("spleen", "pancreas"):
        assert of(found, name).presence is Presence.UNKNOWN
        assert any(note.startswith(f"{name}: listed without a closed contour") for note in found.notes)


def test_points_and_open_contours_are_left_out_and_said(tmp_path, image):
    contours = [ring(image.grid, 6, 6), ring(image.grid, 7, 6)[:1], ring(image.grid, 8, 6), ring(image.grid, 9, 3)[:2]]
    kinds = ["CLOSED_PLANAR", "POINT", "OPEN_PLANAR", "CLOSED_PLANAR"]
    found = read(tmp_path, image, [{"name": "Liver", "contours": contours, "kind": kinds}])
    mask = mask_on(image.grid, of(found)) > 0
    assert mask.any(axis=(0, 1)).nonzero()[0].tolist() == [6]
    told = " ".join(found.notes)
    assert "1 POINT" in told and "1 OPEN_PLANAR" in told and "fewer than three points" in told
    found = read(
        tmp_path, image,
        [{"name": "Liver", "contours": contours[:1]}, {"name": "iso", "contours": contours[1:2], "kind": "POINT"}],
    )  # fmt: skip
    assert of(found, "iso").presence is Presence.UNKNOWN


def test_planes_off_the_slices_go_to_the_nearest_and_several_on_one_are_joined(tmp_path, image):
    grid = image.grid
    found = read(tmp_path, image, [{"name": "Liver", "contours": [ring(grid, k + 0.3, 6) for k in (5, 6, 7)]}])
    assert (mask_on(grid, of(found)) > 0).any(axis=(0, 1)).nonzero()[0].tolist() == [5, 6, 7]
    assert any("off the image's slices" in note for note in found.notes)
    fine = [ring(grid, k, 6 if n % 2 else 3) for n, k in enumerate(np.arange(4.75, 8.01, 0.25))]
    mask = mask_on(grid, of(read(tmp_path, image, [{"name": "Liver", "contours": fine}]))) > 0
    assert all(near(mask[:, :, k], disc(6)) for k in (5, 6, 7))  # even-odd over all of a slice would empty it


def test_coarser_planes_stand_for_slabs_and_the_resolution_says_so(tmp_path, image):
    found = read(tmp_path, image, [{"name": "Liver", "contours": [ring(image.grid, k, 6) for k in (3, 6, 9)]}])
    one = of(found)
    used = (mask_on(image.grid, one) > 0).any(axis=(0, 1)).nonzero()[0]
    assert used.tolist() == list(range(2, 11)) and one.working_resolution_mm == (3.0, 3.0, 6.0)
    assert any("6.0 mm apart" in note for note in found.notes)


def test_a_gap_is_not_filled_and_said(tmp_path, image):
    contours = [ring(image.grid, k, 6) for k in (2, 3, 4, 9, 10, 11)]
    found = read(tmp_path, image, [{"name": "Liver", "contours": contours}])
    used = (mask_on(image.grid, of(found)) > 0).any(axis=(0, 1)).nonzero()[0]
    assert used.tolist() == [2, 3, 4, 9, 10, 11]
    assert any("gaps of 10.0 mm" in note for note in found.notes)


def test_planes_across_another_axis_of_the_image_are_filled_too(tmp_path, image):
    angle = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    contours = [
        image.grid.points_mm(np.column_stack([np.full(90, i), 18 + 8 * np.cos(angle), 8 + 4 * np.sin(angle)]))
        for i in (10.0, 11.0, 12.0)
    ]
    mask = mask_on(image.grid, of(read(tmp_path, image, [{"name": "Liver", "contours": contours}]))) > 0
    assert mask.any(axis=(1, 2)).nonzero()[0].tolist() == [10, 11, 12] and mask[11, 18, 8]


def test_askew_planes_are_unknown_not_bent_onto_the_slices(tmp_path, image):
    askew = ring(image.grid, 6, 8)
    askew[:, 2] += np.linspace(-3, 3, len(askew))
    regions = [{"name": "Liver", "contours": [ring(image.grid, 6, 6)]}, {"name": "Spleen", "contours": [askew]}]
    found = read(tmp_path, image, regions)
    assert of(found, "spleen").presence is Presence.UNKNOWN and any("askew" in note for note in found.notes)


def test_beyond_the_image_it_is_cut_by_the_edge(tmp_path, image):
    found = read(tmp_path, image, [{"name": "Liver", "contours": [ring(image.grid, k, 6) for k in range(12, 20)]}])
    assert of(found).cut_by_edge and any("4 of its 8 planes lie beyond" in note for note in found.notes)


def test_another_frame_of_reference(tmp_path, image):
    inside = {"name": "Liver", "contours": [ring(image.grid, 6, 6)]}
    with pytest.raises(MismatchError, match=r"frame of reference 9\.9"):
        read(tmp_path, image, [inside], frame="9.9")
    found = read(tmp_path, image, [inside, {"name": "Spleen", "contours": inside["contours"], "frame": "9.9"}])
    assert of(found, "spleen").presence is Presence.UNKNOWN
    assert any("another frame of reference" in note for note in found.notes)
    with pytest.raises(MismatchError, match="none of 1 regions"):
        read(tmp_path, image, [{"name": "Liver", "contours": [ring(image.grid, 60, 6)]}])


def test_a_file_of_another_series_was_looked_at_where_it_has_contours(tmp_path, image):
    regions = [{"name": "Liver", "contours": [ring(image.grid, k, 6) for k in (5, 6, 7)]}, {"name": "Spleen"}]
    found = read(tmp_path, image, regions, series=False)
    assert of(found).evaluated_in.shape == (*SHAPE[:2], 3) and of(found).cut_by_edge
    assert any("names no image of this series" in note for note in found.notes)


def test_names_by_type_and_by_number(tmp_path, image):
    contours = [ring(image.grid, 6, 6)]
    regions = [
        {"name": "outline of all", "contours": contours, "type": "EXTERNAL"}, {"name": "Lt Lung", "contours": contours},
    ]  # fmt: skip
    assert [one.name for one in read(tmp_path, image, regions).structures] == ["body", "lung_left"]
    path = tmp_path / "rs.dcm"
    named = read_structures(path, image, "ct", names={1: "skin", 2: "Left Lung"})
    assert [one.name for one in named.structures] == ["skin", "lung_left"]


def test_a_folder_that_holds_one_is_read_and_of_two_is_not(tmp_path, image):
    folder = tmp_path / "mask"
    folder.mkdir()
    rtstruct_file(folder / "a.dcm", image, [{"name": "Liver", "contours": [ring(image.grid, 6, 6)]}])
    assert of(read_structures(folder, image, "ct")).presence is Presence.PRESENT
    rtstruct_file(folder / "b.dcm", image, [{"name": "Liver", "contours": [ring(image.grid, 6, 6)]}])
    with pytest.raises(InputError, match=r"a\.dcm, b\.dcm"):
        read_structures(folder, image, "ct")


def test_damaged_contours_are_one_clear_error(tmp_path, image):
    path = rtstruct_file(tmp_path / "rs.dcm", image, [{"name": "Liver", "contours": [ring(image.grid, 6, 6)]}])
    whole = path.read_bytes()

    def contour(header) -> Dataset:
        return header.ROIContourSequence[0].ContourSequence[0]

    for change in (
        lambda header: setattr(contour(header), "ContourData", contour(header).ContourData[:-1]),
        lambda header: setattr(contour(header), "NumberOfContourPoints", 5),
        lambda header: setattr(header.ROIContourSequence[0], "ReferencedROINumber", 77),
        lambda header: delattr(header, "StructureSetROISequence"),
    ):
        path.write_bytes(whole)
        header = pydicom.dcmread(path)
        change(header)
        header.save_as(path)
        with pytest.raises(FileFormatError):
            read_structures(path, image, "ct")
    for size in (50, 300, len(whole) // 2):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError):
            read_structures(path, image, "ct")


def test_for_an_image_without_a_frame_somebody_has_to_stand(tmp_path, image):
    path = rtstruct_file(tmp_path / "rs.dcm", image, [{"name": "Liver", "contours": [ring(image.grid, 3, 6.0)]}])
    nifti = replace(image, grid=Grid(image.grid.affine, image.grid.shape), acquisition=Acquisition())
    with pytest.raises(MismatchError, match="of one patient and place"):
        read_structures(path, nifti, "ct")
    read = read_structures(path, nifti, "ct", same_frame_by="Dr A")
    assert of(read).presence is Presence.PRESENT and any("the word of Dr A" in note for note in read.notes)


def test_polygons_that_share_an_edge_share_no_pixel_and_miss_none():
    square = np.array([(2.0, 2.0), (6.0, 2.0), (6.0, 6.0), (2.0, 6.0)])
    beside = square + np.array((4.0, 0.0))
    one, other = polygon_mask([square], (12, 9)), polygon_mask([beside], (12, 9))
    assert not (one & other).any() and (one | other).sum() == 8 * 4
