"""The printed block as a patient: gel about what is printed, air above, and the patient's structures untold in it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from navplan.errors import ChoiceError, InputError
from navplan.model.scenario import Sight
from navplan.model.trajectory import Trajectory
from navplan.training.actions import Advance, Finish, Inject, Place
from navplan.training.attempt import Attempt
from navplan.training.block_patient import BOX, BlockPatient
from navplan.training.feel import GEL, OUTSIDE, PRINTED
from navplan.training.log import Event
from tests.training.training_scene import NEEDLE, patient_of, scenario_of, way_of

WAY = Trajectory((-22.0, -70.0, -20.0), (-22.0, 0.0, -20.0), NEEDLE)  # beside the colon, which ends 8 mm to the feet
COLON_MIDDLE = (-22.0, -40.0, -40.0)


@pytest.fixture(scope="module")
def block() -> BlockPatient:
    return BlockPatient(patient_of().situation, WAY, ["colon"])


def test_the_way_goes_through_gel_from_the_flat_face_on(block: BlockPatient) -> None:
    along = np.linspace(0.5, WAY.tip_depth_mm, 50)
    assert set(block.tissues_at(np.array([WAY.point_at_mm(at) for at in along]))) == {GEL}
    above = np.array([[-22.0, -70.6, -20.0], [-30.0, -70.6, -35.0], [-10.0, -70.6, -5.0]])
    assert set(block.tissues_at(above)) == {OUTSIDE}  # flat: the body of the scene is a box, its front at -70
    made = block.block
    assert made.transform.apply(np.asarray(made.ways[0].tip_mm)) == pytest.approx(WAY.point_at_mm(WAY.tip_depth_mm))


def test_what_is_printed_is_named_and_nothing_else_of_the_patient_is_there(block: BlockPatient) -> None:
    assert block.tissues_at(np.array(COLON_MIDDLE))[0] == PRINTED + "colon"
    assert block.tissues_at(np.array([-22.0, 0.0, -20.0]))[0] == GEL  # liver, in the patient
    assert patient_of().tissues_at(np.array([-22.0, 0.0, -20.0]))[0] == "liver"
    size, turn = np.asarray(block.block.size_mm), block.block.transform
    x, y = size[:2] / 2
    walls = turn.apply(np.array([[5.0, y, 25.0], [x, size[1] - 5.0, 25.0], [x, y, 2.0]]))
    assert set(block.tissues_at(walls)) == {PRINTED + BOX}
    assert block.tissues_at(turn.apply(np.array([[-1.0, 40.0, 25.0]])))[0] == OUTSIDE


def pushed_at_the_colon(patient: BlockPatient) -> tuple[Attempt, tuple[Event, ...]]:
    attempt = Attempt(scenario_of(sight=(Sight.TRACKED,)), patient, WAY)
    attempt.act(Place((-22.0, -70.0, -30.0), (0.0, 1.0, 0.0)))
    events = attempt.act(Advance(60.0)).events
    return attempt, events


def test_print_stops_the_needle(block: BlockPatient) -> None:
    attempt, felt = pushed_at_the_colon(block)
    assert (felt[0].kind, felt[0].structure) == ("stopped", "colon") and {one.structure for one in felt} == {"colon"}
    assert attempt.path is not None and attempt.path.tip_mm[1] == pytest.approx(-46.6, abs=1.5)  # its wall, 12 mm about
    assert attempt.act(Finish()).events[0].kind == "finished"


def test_gel_shows_no_contrast_medium(block: BlockPatient) -> None:
    source = replace(scenario_of().patient, block=True)
    attempt = Attempt(scenario_of(sight=(Sight.TRACKED,), patient=source, counted=("target_off_mm",)), block, WAY)
    attempt.act(Place((-22.0, -70.0, -20.0), (0.0, 1.0, 0.0)))
    attempt.act(Advance(20.0))
    with pytest.raises(InputError, match="gel"):
        attempt.act(Inject(1.0))


def test_what_is_not_printed_is_touched_and_not_felt() -> None:
    attempt, events = pushed_at_the_colon(BlockPatient(patient_of().situation, WAY, []))
    assert [(event.kind, event.structure) for event in events] == [("touched", "colon")]
    assert attempt.path is not None and attempt.path.inserted_mm == pytest.approx(60.0)


@pytest.mark.parametrize("name", ["pearl", "body"])
def test_what_has_no_shape_of_its_own_is_not_printed(name: str) -> None:
    with pytest.raises(ChoiceError, match=f"'{name}'"):
        BlockPatient(patient_of().situation, way_of(), [name])


def test_a_way_along_the_head_is_a_block_of_its_own_axes() -> None:
    turned = replace(WAY, entry_mm=(-30.0, 0.0, 60.0), target_mm=(-30.0, 0.0, 0.0))
    patient = BlockPatient(patient_of().situation, turned, [])
    assert patient.tissues_at(np.array([-30.0, 0.0, 59.0]))[0] == GEL
    assert patient.tissues_at(np.array([-30.0, 0.0, 61.0]))[0] == OUTSIDE
