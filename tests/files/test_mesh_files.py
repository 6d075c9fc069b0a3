"""Meshes to occupancy: the right volume at the right place, every touched voxel, and what is refused."""

import contextlib

import numpy as np
import pytest
from scipy.spatial import cKDTree
from vtkmodules.vtkCommonCore import vtkPoints, vtkStringArray
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData
from vtkmodules.vtkIOGeometry import vtkOBJWriter, vtkSTLWriter
from vtkmodules.vtkIOPLY import vtkPLYWriter
from vtkmodules.vtkIOXML import vtkXMLPolyDataWriter

from navplan.errors import FileFormatError, InputError, MismatchError
from navplan.files.mesh_files import read_mesh
from navplan.files.structures_in import read_structures
from navplan.geometry.grid import Grid
from navplan.imaging.voxelise import check_closed, voxelise
from navplan.model.volume import Volume

FRAME = "1.2.3"
GRID = Grid(np.array([[1.5, 0, 0, -30], [0, 1.5, 0, -30], [0, 0, 2.0, 20], [0, 0, 0, 1]]), (44, 40, 30), FRAME)
CUBE = np.array([(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=float)
SIDES = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
FACES = np.array([tri for a, b, c, d in SIDES for tri in ((a, b, c), (a, c, d))])


@pytest.fixture
def image():
    return Volume(np.zeros(GRID.shape, dtype=np.int16), GRID)


def ball(radius=14.0, centre=(3.3, -4.1, 50.2), rings=40):
    """A closed ball of triangles that face outward: points and triangles."""
    polar = np.linspace(0, np.pi, rings + 1)[1:-1]
    round_about = np.linspace(0, 2 * np.pi, 2 * rings, endpoint=False)
    t, p = np.meshgrid(polar, round_about, indexing="ij")
    points = np.stack([np.sin(t) * np.cos(p), np.sin(t) * np.sin(p), np.cos(t)], axis=-1).reshape(-1, 3)
    points = np.concatenate([points, [(0, 0, 1), (0, 0, -1)]])
    n, north, south = 2 * rings, len(points) - 2, len(points) - 1
    faces = []
    for r in range(rings - 2):
        for c in range(n):
            a, b = r * n + c, r * n + (c + 1) % n
            faces += [(a, a + n, b), (b, a + n, b + n)]
    last = (rings - 2) * n
    faces += [(north, c, (c + 1) % n) for c in range(n)]
    faces += [(south, last + (c + 1) % n, last + c) for c in range(n)]
    return points * radius + centre, np.array(faces)


def enclosed(points, faces):
    a, b, c = (points[faces[:, n]] for n in range(3))
    return np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6


def write(path, points, faces, head=""):
    kind = path.suffix
    if kind == ".stl":
        lines = [f"solid {head}"]
        for face in faces:
            corners = "\n".join(f"vertex {x:.9g} {y:.9g} {z:.9g}" for x, y, z in points[face])
            lines.append(f"facet normal 0 0 0\nouter loop\n{corners}\nendloop\nendfacet")
        path.write_text("\n".join([*lines, "endsolid"]) + "\n")
    elif kind == ".obj":
        lines = [f"# {head}", *(f"v {x:.9g} {y:.9g} {z:.9g}" for x, y, z in points)]
        path.write_text("\n".join([*lines, *(f"f {a + 1} {b + 1} {c + 1}" for a, b, c in faces)]) + "\n")
    elif kind == ".ply":
        top = (
            f"ply\nformat ascii 1.0\ncomment {head}\nelement vertex {len(points)}\nproperty float x\nproperty float y\n"
            f"property float z\nelement face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"
        )
        body = [f"{x:.9g} {y:.9g} {z:.9g}" for x, y, z in points] + [f"3 {a} {b} {c}" for a, b, c in faces]
        path.write_text(top + "\n".join(body) + "\n")
    else:
        numbers = " ".join(f"{value:.9g}" for value in points.ravel())
        field = (
            f'<FieldData><Array type="String" Name="SPACE" NumberOfTuples="1" format="ascii">'
            f"{' '.join(str(ord(letter)) for letter in head[-3:])} 0</Array></FieldData>"
            if head
            else ""
        )
        path.write_text(
            f'<VTKFile type="PolyData" version="1.0" byte_order="LittleEndian"><PolyData>{field}'
            f'<Piece NumberOfPoints="{len(points)}" NumberOfPolys="{len(faces)}"><Points>'
            f'<DataArray type="Float32" NumberOfComponents="3" format="ascii">{numbers}</DataArray></Points><Polys>'
            f'<DataArray type="Int64" Name="connectivity" format="ascii">{" ".join(map(str, faces.ravel()))}'
            "</DataArray>"
            f'<DataArray type="Int64" Name="offsets" format="ascii">'
            f"{' '.join(str(3 * n + 3) for n in range(len(faces)))}</DataArray></Polys></Piece></PolyData></VTKFile>"
        )
    return path


def millilitres(structure):
    return structure.occupancy.sum() / 255 * structure.grid.spacing_mm.prod() / 1000


@pytest.mark.parametrize("kind", [".stl", ".obj", ".ply", ".vtp"])
def test_every_format_gives_the_ball_where_it_lies(tmp_path, image, kind):
    points, faces = ball()
    path = write(tmp_path / f"Liver{kind}", points, faces, "3D Slicer output. SPACE=LPS")
    read = read_structures(path, image, "ct")
    (one,) = read.structures
    assert one.name == "liver" and one.fractional and one.evaluated_in is GRID and not read.notes
    assert millilitres(one) == pytest.approx(enclosed(points, faces) / 1000, rel=2e-3)
    weights = one.occupancy[one.occupancy > 0].astype(float)
    middle = np.average(one.voxel_centres_mm(), axis=0, weights=weights)
    assert np.abs(middle - (3.3, -4.1, 50.2)).max() < 0.02
    assert one.working_resolution_mm == (3.0, 3.0, 3.0)  # nobody says what it was drawn on


@pytest.mark.parametrize("kind", [".stl", ".obj", ".ply", ".vtp"])
def test_the_side_that_the_file_or_the_caller_says_is_kept(tmp_path, image, kind):
    points, faces = ball(8.0, (12.0, 10.0, 50.0))
    mirrored = points * (-1, -1, 1)
    said = write(tmp_path / f"a{kind}", mirrored, faces, "SPACE=RAS")
    (one,) = read_structures(said, image, "ct").structures
    assert np.abs(one.voxel_centres_mm().mean(axis=0) - (12, 10, 50)).max() < 0.3
    with pytest.raises(InputError, match="which says RAS"):
        read_structures(said, image, "ct", space="LPS")
    silent = write(tmp_path / f"b{kind}", mirrored, faces)
    (one,) = read_structures(silent, image, "ct", space="RAS").structures
    assert np.abs(one.voxel_centres_mm().mean(axis=0) - (12, 10, 50)).max() < 0.3
    read = read_structures(silent, image, "ct")
    assert any("taken as LPS" in note for note in read.notes)


def test_every_voxel_that_the_mesh_touches_has_occupancy():
    rng = np.random.default_rng(3)
    points, faces = ball(11.0, (2.0, 3.0, 51.0), rings=6)
    points = points + rng.normal(0, 0.8, points.shape)  # corners that no line runs through
    points[-2] += (0.3, 0.2, 12.0)  # a thin spike
    found = voxelise(points, faces, GRID)
    share = rng.dirichlet((1, 1, 1), (len(faces), 400))
    on_it = np.einsum("fsc,fcx->fsx", share, points[faces]).reshape(-1, 3)
    index = np.rint(found.grid.indices(np.concatenate([on_it, points]))).astype(int)
    assert (found.occupancy[tuple(index.T)] > 0).all()
    touched = found.occupancy > 0
    far = found.grid.points_mm(np.argwhere(touched & (found.occupancy == 1)))
    distance = cKDTree(on_it).query(far)[0]
    assert distance.max() < GRID.diagonal_mm / 2 + 0.3  # the samples' own distance on top


def test_shares_are_exact_where_faces_lie_along_the_voxels():
    low, high = GRID.points_mm((10.25, 12.5, 5.5)), GRID.points_mm((14.5, 20.5, 9.0))
    found = voxelise(CUBE * (high - low) + low, FACES, GRID)
    start = np.rint(GRID.indices(found.grid.origin_mm)).astype(int)
    whole = np.zeros(GRID.shape, dtype=int)
    whole[tuple(slice(s, s + n) for s, n in zip(start, found.grid.shape, strict=True))] = found.occupancy
    assert whole[12, 15, 7] == 255 and whole[12, 15, 9] == 128 and whole[10, 15, 7] == 64
    assert whole[10, 15, 9] == 32 and whole[9, 15, 7] == 0 and whole[16, 15, 7] == 0


def test_a_cavity_is_empty_and_parts_that_overlap_are_one():
    points, faces = ball(14.0)
    inner, _ = ball(7.0)
    shell = voxelise(np.concatenate([points, inner]), np.concatenate([faces, faces[:, ::-1] + len(points)]), GRID)
    expected = enclosed(points, faces) - enclosed(inner, faces)
    assert shell.occupancy.sum() / 255 * GRID.spacing_mm.prod() == pytest.approx(expected, rel=5e-3)
    both = voxelise(np.concatenate([points, inner]), np.concatenate([faces, faces + len(points)]), GRID)
    alone = voxelise(points, faces, GRID)
    assert both.occupancy.sum() == pytest.approx(alone.occupancy.sum(), rel=1e-3)


def test_an_image_in_any_orientation_gives_the_same_volume():
    turn = np.linalg.qr(np.random.default_rng(4).normal(size=(3, 3)))[0]
    affine = np.eye(4)
    affine[:3, :3] = turn * (1.5, 1.2, 2.5)
    affine[:3, 3] = np.array((3.3, -4.1, 50.2)) - affine[:3, :3] @ (20, 20, 10)
    points, faces = ball()
    found = voxelise(points, faces, Grid(affine, (41, 41, 21), FRAME))
    volume = found.occupancy.sum() / 255 * found.grid.spacing_mm.prod()
    assert volume == pytest.approx(enclosed(points, faces), rel=3e-3) and found.lost == 0.0


def test_beyond_the_image_it_is_cut_by_the_edge_and_beside_it_refused(tmp_path, image):
    points, faces = ball(14.0, (-28.0, 0.0, 50.0))
    read = read_structures(write(tmp_path / "liver.ply", points, faces, "SPACE=LPS"), image, "ct")
    assert read.structures[0].cut_by_edge and any("beyond the image" in note for note in read.notes)
    with pytest.raises(MismatchError, match="beside the image"):
        read_structures(write(tmp_path / "far.ply", points + 500, faces), image, "ct")
    with pytest.raises(MismatchError, match="--space RAS"):
        read_structures(write(tmp_path / "metres.ply", points / 1000, faces), image, "ct")


def test_open_and_crooked_surfaces_are_refused(tmp_path, image):
    points, faces = ball()
    for wrong, words in (
        (faces[:-1], "3 open edges"),
        (np.concatenate([faces, faces[:1]]), "more than two triangles"),
        (np.concatenate([faces[1:], faces[:1, ::-1]]), "face both ways"),
    ):
        with pytest.raises(InputError, match=words):
            check_closed(wrong, "a")
        with pytest.raises(InputError):
            read_structures(write(tmp_path / "liver.ply", points, wrong), image, "ct")


def test_a_folder_of_meshes_is_one_structure_a_file(tmp_path, image):
    folder = tmp_path / "meshes"
    folder.mkdir()
    points, faces = ball(8.0)
    write(folder / "Left kidney.stl", points, faces, "SPACE=LPS")
    write(folder / "liver.ply", points, faces, "SPACE=LPS")
    read = read_structures(folder, image, "ct")
    assert sorted(one.name for one in read.structures) == ["kidney_left", "liver"] and len(read.sha256) == 2
    write(folder / "left_kidney.obj", points, faces, "SPACE=LPS")
    with pytest.raises(InputError, match="kidney_left"):
        read_structures(folder, image, "ct")
    (folder / "map.nrrd").write_text("x")
    with pytest.raises(InputError, match="several kinds"):
        read_structures(folder, image, "ct")


@pytest.mark.parametrize("kind", [".stl", ".obj", ".ply", ".vtp"])
def test_what_is_no_mesh_is_one_clear_error(tmp_path, image, kind):
    path = tmp_path / f"liver{kind}"
    for content in (b"", b"\0" * 200, b"hello", b"solid x\nendsolid\n", b"ply\nformat ascii 1.0\n", b"<VTKFile>"):
        path.write_bytes(content)
        with pytest.raises(InputError):
            read_structures(path, image, "ct")
    whole = write(path, *ball(8.0)).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError):
        read_structures(path, image, "ct")


def test_names_by_number_and_a_space_for_other_files_are_refused(tmp_path, image):
    path = write(tmp_path / "liver.ply", *ball(8.0))
    with pytest.raises(InputError, match="names by number"):
        read_structures(path, image, "ct", names={1: "liver"})
    (tmp_path / "a.nrrd").write_text("x")
    with pytest.raises(InputError, match="only for meshes"):
        read_structures(tmp_path / "a.nrrd", image, "ct", space="RAS")
    bad = write(tmp_path / "b.ply", *ball(8.0))
    bad.write_bytes(bad.read_bytes().replace(b"comment ", b"comment SPACE=LPS SPACE=RAS"))
    with pytest.raises(FileFormatError, match="space"):
        read_structures(bad, image, "ct")


def vtk_mesh(path, mode="binary", packed=True, wide=False):
    """The ball as VTK itself writes it."""
    points, faces = ball(9.0, (5.0, 4.0, 50.0), rings=8)
    mesh = vtkPolyData()
    places, polygons = vtkPoints(), vtkCellArray()
    for point in points:
        places.InsertNextPoint(*point)
    for face in faces:
        polygons.InsertNextCell(3, [int(corner) for corner in face])
    mesh.SetPoints(places)
    mesh.SetPolys(polygons)
    said = vtkStringArray()
    said.SetName("SPACE")
    said.InsertNextValue("RAS")
    mesh.GetFieldData().AddArray(said)
    kinds = {".stl": vtkSTLWriter, ".ply": vtkPLYWriter, ".vtp": vtkXMLPolyDataWriter, ".obj": vtkOBJWriter}
    writer = kinds[path.suffix]()
    writer.SetInputData(mesh)
    writer.SetFileName(str(path))
    if path.suffix == ".vtp":
        {"ascii": writer.SetDataModeToAscii, "binary": writer.SetDataModeToBinary}.get(
            mode, writer.SetDataModeToAppended
        )()
        writer.SetEncodeAppendedData(mode != "raw")
        if not packed:
            writer.SetCompressorTypeToNone()
        (writer.SetHeaderTypeToUInt64 if wide else writer.SetHeaderTypeToUInt32)()
    elif path.suffix == ".stl" or path.suffix == ".ply":
        (writer.SetFileTypeToASCII if mode == "ascii" else writer.SetFileTypeToBinary)()
    writer.Write()
    return points.astype(np.float32).astype(float), faces


WRITTEN = [
    (".stl", "ascii", 0, 0), (".stl", "binary", 0, 0), (".ply", "ascii", 0, 0), (".ply", "binary", 0, 0),
    (".obj", "", 0, 0), (".vtp", "ascii", 0, 0),
    *((".vtp", mode, packed, wide) for mode in ("binary", "base64", "raw") for packed in (0, 1) for wide in (0, 1)),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "mode", "packed", "wide"), WRITTEN)
def test_what_vtk_writes_is_read_as_it_was(tmp_path, kind, mode, packed, wide):
    path = tmp_path / f"a{kind}"
    points, faces = vtk_mesh(path, mode, bool(packed), bool(wide))
    found, triangles, space = read_mesh(path)
    assert len(found) == len(points) and len(triangles) == len(faces)
    check_closed(triangles, "a")
    assert enclosed(found, triangles) == pytest.approx(enclosed(points, faces), rel=1e-4)
    assert np.abs(np.sort(found, axis=0) - np.sort(points, axis=0)).max() < 1e-4
    assert space == ("RAS" if kind == ".vtp" else "")


@pytest.mark.parametrize(("kind", "mode", "packed", "wide"), WRITTEN)
def test_damaged_bytes_are_refused_or_read_and_nothing_else(tmp_path, image, kind, mode, packed, wide):
    path = tmp_path / f"a{kind}"
    vtk_mesh(path, mode, bool(packed), bool(wide))
    whole, rng = path.read_bytes(), np.random.default_rng(5)
    for _ in range(60):
        damaged = bytearray(whole)
        for _ in range(int(rng.integers(1, 9))):
            damaged[int(rng.integers(0, len(damaged) if rng.random() < 0.5 else min(len(damaged), 900)))] = int(
                rng.integers(0, 256)
            )
        if rng.random() < 0.2:
            del damaged[int(rng.integers(0, len(damaged))) :]
        path.write_bytes(damaged)
        with contextlib.suppress(InputError):
            read_structures(path, image, "ct")


def test_polygons_lists_of_other_lengths_and_negative_numbers(tmp_path):
    square = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    obj = tmp_path / "a.obj"
    lines = [f"v {x} {y} {z}" for x, y, z in CUBE] + [f"f {' '.join(f'{c - 8}/1/1' for c in one)}" for one in square]
    obj.write_text("\n".join(lines))
    ply = tmp_path / "a.ply"
    head = (
        "ply\nformat binary_big_endian 1.0\nelement vertex 8\nproperty double x\nproperty double y\nproperty double z\n"
        "element face 6\nproperty list uchar int vertex_index\nproperty uchar red\nend_header\n"
    )
    rows = b"".join(b"\x04" + np.array(one, ">i4").tobytes() + b"\x07" for one in square)
    ply.write_bytes(head.encode() + CUBE.astype(">f8").tobytes() + rows)
    for path in (obj, ply):
        points, triangles, _ = read_mesh(path)
        check_closed(triangles, "a")
        assert len(triangles) == 12 and abs(enclosed(points, triangles)) == pytest.approx(1.0)
