"""Where the table stands, whether it goes there, and whether it is met."""

import numpy as np
import pytest

from navplan.errors import GeometryError, InputError
from navplan.fluoroscopy.anatomy import Anatomy
from navplan.fluoroscopy.carms import carm_named, carm_of, carms
from navplan.fluoroscopy.image import Machine
from navplan.fluoroscopy.shot import subject_of, take_shots
from navplan.fluoroscopy.table import table_under
from navplan.geometry.carm import CArm, Detector, Table
from navplan.geometry.grid import Grid
from navplan.model.volume import Volume

BOX = np.array([[x, y, z] for x in (-150.0, 170.0) for y in (-90.0, 130.0) for z in (-200.0, 200.0)])


@pytest.mark.parametrize(
    ("position", "below", "faces"), [("HFS", 120.0, (130.0, 230.0)), ("FFP", 100.0, (-190.0, -90.0))]
)
def test_its_top_touches_the_lowest_of_the_body_in_the_middle_of_its_width(position, below, faces):
    place = table_under(BOX, np.array([40.0, 10.0, 5.0]), position, CArm())
    assert (place.below_mm, place.aside_mm, place.faults) == (below, 30.0, ())
    assert place.words == f"table top (without mattress) {below:.0f} mm below it, moved 30 mm to the patient's right"
    low, high = place.points_mm.min(axis=0), place.points_mm.max(axis=0)
    assert (low[0], high[0], low[1], high[1]) == (10 - 225, 10 + 225, *faces)


def test_what_it_does_not_reach_is_a_fault_of_its_own():
    far = table_under(BOX, np.array([160.0, -200.0, 0.0]), "HFS", CArm())
    assert far.faults == (
        "The table would stand 330 mm below the isocentre; it goes from 0 to 300",
        "The table would stand 150 mm aside; it goes to 140",
    )
    inside = table_under(BOX, np.array([10.0, 140.0, 0.0]), "HFS", CArm())
    assert "stand -10 mm below" in inside.faults[0] and len(inside.faults) == 1
    roomy = CArm(table=Table(below_isocentre_mm=(-50.0, 400.0), aside_mm=200.0))
    assert not table_under(BOX, np.array([160.0, -200.0, 0.0]), "HFS", roomy).faults


def test_nothing_is_told_of_it_without_a_position_or_a_body():
    assert table_under(BOX, np.zeros(3), "", CArm()) is None
    assert table_under(BOX[:0], np.zeros(3), "HFS", CArm()) is None


def test_the_ct_couch_is_no_body():
    """A couch 15 mm below the back, wider than the body, of 20 mm."""
    grid = Grid(np.diag([3.0, 3.0, 5.0, 1.0]), (140, 120, 20))
    x, y, _ = np.moveaxis(grid.points_mm(np.stack(np.indices(grid.shape), axis=-1)), -1, 0)
    hu = np.full(grid.shape, -1000, dtype=np.int16)
    hu[((x - 180) / 130) ** 2 + ((y - 150) / 90) ** 2 < 1.0] = 30
    hu[(abs(x - 210) < 200) & (abs(y - 265) < 10)] = -300
    place = table_under(Anatomy(Volume(hu, grid)).body_mm(), np.array([180.0, 150.0, 50.0]), "HFS", CArm())
    assert abs(place.below_mm - 90.0) < 4.0 and abs(place.aside_mm) < 4.0


def test_a_picture_names_its_place_and_warns(body):
    machine = Machine(detector=Detector(48, 48, 6.4))
    shot = take_shots(subject_of(body, (20, 0, 0), patient_position="HFS"), ("AP",), machine)[0]
    assert (shot.table.below_mm, shot.table.aside_mm) == pytest.approx((40.0, 20.0), abs=2.0)
    assert f"isocentre (20, 0, 0) mm LPS; {shot.table.words}" in shot.overlay.lines
    assert not any("table" in words for words in shot.overlay.warnings)
    far = take_shots(subject_of(body, (170, 0, 0), patient_position="HFS"), ("AP",), machine)[0]
    assert any("170 mm aside; it goes to 140" in words for words in far.overlay.warnings)
    unstated = take_shots(subject_of(body, (0, 0, 0)), ("AP",), machine)[0]
    assert unstated.table is None and not any("table" in line for line in unstated.overlay.lines)


def test_a_tube_that_meets_the_table_is_told(body):
    """40 mm below the isocentre a table 450 mm wide: a tube at SOD 300 from the left meets its edge."""
    near = CArm(sid_mm=900.0, sod_mm=300.0, primary_reach_deg=(-110.0, 110.0), panel_mm=300.0)
    machine = Machine(detector=Detector(48, 48, 6.4), carm=near)
    shot = take_shots(subject_of(body, (0, 0, 0), patient_position="HFS"), ("right lateral",), machine)[0]
    assert any("tube would meet patient, couch or table" in words for words in shot.overlay.warnings)
    alone = take_shots(subject_of(body, (0, 0, 0)), ("right lateral",), machine)[0]
    assert not any("would meet" in words for words in alone.overlay.warnings)


def test_it_is_device_data(tmp_path):
    assert carms()["mobile"].table.below_isocentre_mm == (-50.0, 350.0) and carms()["generic"].table == Table()
    path = tmp_path / "arm.toml"
    head = 'name = "a"\nsource = "b"\nsid_mm = 1000\nsod_mm = 600\n'
    head += "primary_reach_deg = [-9, 9]\nsecondary_reach_deg = [-9, 9]\n"
    path.write_text(head + "[table]\nwide_mm = 500\nbelow_isocentre_mm = [-20, 250]\n")
    assert carm_named(str(path)).table == Table(500.0, 100.0, (-20.0, 250.0), 140.0)


@pytest.mark.parametrize(
    "table",
    [
        3, [], {"wide": 400.0}, {"wide_mm": "broad"}, {"wide_mm": -1.0}, {"aside_mm": float("nan")}, {"thick_mm": True},
        {"below_isocentre_mm": [30.0]}, {"below_isocentre_mm": [300.0, 0.0]}, {"below_isocentre_mm": 30.0},
    ],
)  # fmt: skip
def test_tables_that_are_none_are_refused(table):
    entries = {
        "name": "a", "source": "b", "sid_mm": 1000, "sod_mm": 600, "primary_reach_deg": [0, 1],
        "secondary_reach_deg": [0, 1], "table": table,
    }  # fmt: skip
    with pytest.raises(InputError, match="C-arm"):
        carm_of(entries, "theirs")
    with pytest.raises(GeometryError):
        Table(wide_mm=float("inf"))
