"""A rehearsal in hand: sides, signs and mm as they are in the patient; what time costs; what is told and what not."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest

from navplan.errors import InputError
from navplan.extend import registry
from navplan.files.scenario_toml import read_scenario
from navplan.model.scenario import BreathModel, GoalKind, Sight
from navplan.session.rehearsing import BOTH, WATCHED_S, Rehearsing
from navplan.session.rehearsing_hand import placed_at, steered, tilted
from navplan.session.rehearsing_scan import METAL_HU, Scan, needle_line_mm, scan_along, scan_slice
from navplan.session.rehearsing_told import replay, told
from navplan.training.actions import MoveCarm
from navplan.training.attempt import Event
from navplan.training.contrast import Pattern
from navplan.training.needle_path import NeedlePath
from navplan.verbs.training import rehearsal_of
from navplan.view.plane_values import NOTHING, Cut, native_slice, slice_through

SHIFT_MM = 8.0  # of the vertebra, to the head: nothing real, but well seen


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    text = files("navplan_spine").joinpath("scenarios/vertebroplasty_biplane.toml").read_text("utf-8")
    path = tmp_path_factory.mktemp("scenario") / "spine.toml"
    path.write_text(re.sub(r"spacing_mm = .*", "spacing_mm = [2.5, 2.5, 2.5]", text, count=1))
    made = rehearsal_of(read_scenario(path, plugin="test"))
    breath = BreathModel(("vertebrae_L3",), (0.0, 0.0, SHIFT_MM), 4.0, 0.0)
    both = replace(made.scenario, sight=(Sight.BIPLANE, Sight.CT_STEPS), breath=breath)
    patient = type(made.patient)(made.situation, breath)
    return replace(made, scenario=both, patient=patient)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def room(ready, clock):
    return Rehearsing(ready, 3, "easy", clock=clock)


def near_the_left(room, mm: float = 40.0) -> None:
    room.act({"do": "take"})
    room.act({"do": "advance", "mm": mm})


@pytest.mark.parametrize(
    ("towards", "axis", "sign"), [("clockwise", 0, 1), ("anticlockwise", 0, -1), ("head", 2, 1), ("feet", 2, -1)]
)
def test_a_tilt_moves_the_hub_as_it_says(towards, axis, sign):
    """From the front: the hub is at the top of an axial picture, and clockwise takes it to the patient's left."""
    path = NeedlePath.on_skin((0.0, -100.0, 0.0), (0.0, 1.0, 0.0))
    lever = tilted(path.direction, towards, 10.0)
    hub = -path.levered(lever.axis, lever.deg).direction
    assert hub[axis] * sign == pytest.approx(np.sin(np.radians(10.0)))


def test_a_needle_along_the_body_has_no_hub_to_the_head():
    with pytest.raises(InputError, match="along the body"):
        tilted((0.0, 0.0, 1.0), "head", 5.0)


@pytest.mark.parametrize(("position", "left_goes"), [("HFS", 1.0), ("HFP", -1.0)])
def test_the_table_moves_the_patient_as_seen_from_the_feet(position, left_goes):
    """To the right of who looks to the head: of a supine patient to his left. So the isocentre goes to his right."""
    standing = MoveCarm(0.0, 0.0, (1.0, 2.0, 3.0))
    moved = steered(standing, position, {"table": [10.0, 0.0, 0.0]})
    assert moved.isocentre_mm == pytest.approx((1.0 - 10.0 * left_goes, 2.0, 3.0))
    assert steered(standing, position, {"table": [0.0, 10.0, 0.0]}).isocentre_mm == pytest.approx((1.0, 2.0, -7.0))
    lower = steered(standing, position, {"table": [0.0, 0.0, 10.0]}).isocentre_mm[1]  # patient up, isocentre down
    assert lower == pytest.approx(12.0 if position == "HFS" else -8.0)


def test_dials_are_the_machines_and_have_a_reach():
    """A prone patient's AP is 0 on the dial; LAO on the dial brings the detector to his right back."""
    turned = steered(MoveCarm(180.0, 0.0, (0.0, 0.0, 0.0)), "HFP", {"turn": [30.0, 10.0]})
    assert turned.primary_deg == pytest.approx(-150.0) and turned.secondary_deg == pytest.approx(10.0)
    with pytest.raises(InputError, match="reach"):
        steered(turned, "HFP", {"dial": [0.0, 80.0]})


def test_a_click_off_the_skin_is_brought_onto_it(ready):
    way = ready.way
    found = placed_at(ready.patient, np.asarray(way.entry_mm) - 25.0 * way.direction, way.direction)
    assert np.linalg.norm(np.subtract(found.point_mm, way.entry_mm)) < 4.0
    with pytest.raises(InputError, match="no skin"):
        placed_at(ready.patient, np.asarray(way.entry_mm) - 100.0 * way.direction, way.direction)


@pytest.mark.parametrize(
    "record",
    [
        {"do": "advance", "mm": 5}, {"do": "fire"}, {"do": "tilt", "towards": "head", "deg": 1}, {"do": "dance"},
        {"do": "set"}, {"do": "set", "point": [0, 0, 900]}, {"do": "carm", "plane": 2}, {"do": "carm", "speed": 3},
        {"do": "carm", "turn": [1]}, {"do": "carm", "field": 5}, {"do": "carm", "table": [900, 0, 0]},
        {"do": "shot", "plane": True}, {"do": "recall_view", "number": 0}, {"do": "advance", "mm": "5"}, {},
    ],
)  # fmt: skip
def test_what_cannot_be_done_changes_nothing(room, record):
    before = room.attempt.log
    with pytest.raises(InputError):
        room.act(record)
    assert room.attempt.log == before


def test_time_that_passes_goes_into_the_log(room, clock):
    before = room.attempt.time_s
    clock.now += 7.0
    assert room.time_s == pytest.approx(before + 7.0)
    room.act({"do": "take"})
    assert [entry.action["do"] for entry in room.attempt.log[-2:]] == ["wait", "place"]
    assert room.attempt.time_s == pytest.approx(before + 7.0 + room.ready.scenario.costs.place_s)


def test_time_runs_from_when_the_page_is_open(room, clock):
    clock.now += 120.0
    room.met()
    clock.now += 5.0
    room.met()
    near_the_left(room)
    waited = [entry.action["seconds"] for entry in room.attempt.log if entry.action["do"] == "wait"]
    assert sum(waited) == pytest.approx(5.0)


def test_a_page_that_is_gone_lets_go_of_the_pedal(room, clock):
    room.press(BOTH)
    clock.now += 60.0
    room.act({"do": "take"})
    assert room.pedal is None
    on = [event.value for entry in room.attempt.log for event in entry.events if event.kind == "fluoroscopy"]
    assert sum(on) == pytest.approx(2 * WATCHED_S, abs=0.1)  # each plane by itself
    waited = sum(entry.action.get("seconds", 0.0) for entry in room.attempt.log)
    assert waited == pytest.approx(60.0, abs=0.1)


def test_an_attempt_that_took_too_long_can_still_be_finished(room, clock):
    room.act({"do": "take"})
    for _ in range(8):
        clock.now += 600.0
        try:
            room.act({"do": "turn", "deg": 1.0})
        except InputError as error:
            assert "finish" in str(error)
    clock.now += 30.0  # thought, that nothing can be logged of any more
    room.act({"do": "finish"})
    assert room.attempt.ending is not None and room.pedal is None


def test_the_last_picture_stays_and_is_of_the_moment_the_pedal_was_let_go(room, clock):
    near_the_left(room)
    room.press(0)
    number, live, _ = room.frame(0)
    room.press(None)
    held, still_live, picture = room.frame(0)
    assert live and not still_live and held > number and picture.pulses > 1
    assert room.frame(1) is None  # its X-rays were never on


def test_contrast_medium_stays_in_pictures_and_runs_off_in_a_vessel(room, clock):
    near_the_left(room)
    room.act({"do": "inject", "ml": 1.0})
    room.act({"do": "advance", "mm": 15.0})
    room.act({"do": "inject", "ml": 2.0})
    room.act({"do": "shot"})
    contrast = room.xray_contrast()
    assert contrast.ml.sum() == pytest.approx(3.0) and len(contrast.points_mm) == len(contrast.ml)
    room.injected[0] = (replace(room.injected[0][0], pattern=Pattern.VASCULAR), *room.injected[0][1:])
    clock.now += 60.0
    assert room.xray_contrast().ml.sum() == pytest.approx(2.0, abs=1e-3)


def test_the_needle_is_where_letters_say(room):
    """Prone, from the left: in AP it is dark on the side of L, in the lateral view on that of P."""
    empty = [_shot(room, plane) for plane in (0, 1)]
    near_the_left(room)
    path, beams = room.attempt.path, [room.xray().view(room.attempt.carm(plane), np.zeros(3)).beam for plane in (0, 1)]
    assert path.entry_mm[0] > 0 and path.entry_mm[1] > 0
    for plane, wanted in ((0, "L"), (1, "P")):
        seen = _shot(room, plane)
        dark = np.argwhere(empty[plane].pixels.astype(int) - seen.pixels > 60)
        assert len(dark) > 50
        side = 0 if dark[:, 1].mean() < seen.pixels.shape[1] / 2 else 1
        assert seen.letters[side] == wanted
        detector = room.xray().view(room.attempt.carm(plane), np.zeros(3)).detector
        tip = beams[plane].project(path.tip_mm, detector)
        assert np.linalg.norm(dark[:, ::-1] - tip, axis=1).min() < 6.0  # px


def _shot(room, plane):
    room.act({"do": "shot", "plane": plane})
    return room.pictures[plane][1]


def test_a_scan_has_metal_where_the_needle_lies_and_nowhere_else(room):
    near_the_left(room)
    room.act({"do": "ct_scan"})
    scan, device = room.scans[-1], room.ready.way.device
    line = needle_line_mm(scan.path, device.length_mm, 200)
    found = scan_along(scan, room.ready.patient, device)
    metal = found.points_mm()[found.values == METAL_HU]
    assert len(metal) > 100
    apart = np.linalg.norm(metal[:, None] - np.linspace(line[0], line[-1], 2000)[None], axis=2).min(axis=1)
    assert apart.max() < device.radius_mm + 1.5
    axial = scan_slice(scan, room.ready.patient, Cut.AXIAL, tuple(scan.path.tip_mm), device)
    columns = np.nonzero(axial.values == METAL_HU)[1]
    assert axial.plane.right == (1.0, 0.0, 0.0) and columns.min() > axial.values.shape[1] / 2  # the patient's left
    beyond = scan_slice(scan, room.ready.patient, Cut.SAGITTAL, tuple(scan.path.tip_mm), device)
    assert (beyond.values == NOTHING).any()  # it covers no more than is told
    room.act({"do": "ct_scan", "length_mm": 20.0})
    short = scan_slice(room.scans[-1], room.ready.patient, Cut.SAGITTAL, tuple(scan.path.tip_mm), device)
    high = np.ptp(short.points_mm()[short.values != NOTHING][:, 2])
    cut = scan_along(room.scans[-1], room.ready.patient, device)
    shown = cut.points_mm()[cut.values != NOTHING][:, 2]  # no metal beyond either
    low, high_z = room.scans[-1].range_mm
    assert low <= shown.min() and shown.max() <= high_z
    assert 15.0 < high <= 20.0 and high_z - low == pytest.approx(20.0) and low < scan.path.tip_mm[2] < high_z


def test_a_scan_shows_what_breath_moved(room):
    """A vertebra 8 mm to the head: its slice is the one that the image has 8 mm below."""
    patient, at = room.ready.patient, room.ready.situation.target_mm
    scan = Scan(1, 0.0, 1.0, False, None, at)
    volume = room.ready.situation.image
    up = tuple(at + np.array([0.0, 0.0, 1.0]) * (SHIFT_MM - volume.grid.spacing_mm[2] * 0.2))
    there = scan_slice(scan, patient, Cut.AXIAL, up, room.ready.way.device)
    height = np.asarray(there.plane.centre_mm)[2] - SHIFT_MM
    below = native_slice(volume, Cut.AXIAL, slice_through(volume.grid, Cut.AXIAL, (at[0], at[1], height)))
    inside = patient.in_structure("vertebrae_L3", there.points_mm().reshape(-1, 3), 1.0).reshape(there.values.shape)
    plain = native_slice(volume, Cut.AXIAL, slice_through(volume.grid, Cut.AXIAL, up))
    as_it_moved = np.abs(there.values[inside].astype(int) - below.values[inside]).mean()
    as_it_was = np.abs(there.values[inside].astype(int) - plain.values[inside]).mean()
    assert inside.sum() > 50
    assert as_it_moved < 0.6 * as_it_was, (as_it_moved, as_it_was)


def test_while_it_goes_on_nothing_is_told_that_only_a_picture_shows(room):
    near_the_left(room, 70.0)
    whole = json.dumps(told(room), allow_nan=False)
    assert "tip" not in json.loads(whole)["needle"] and json.loads(whole)["result"] is None
    for word in ("touch", "vertebrae_L4", "tissue", "foramen"):
        assert word not in whole, word
    tip = f"{room.attempt.path.tip_mm[0]:.2f}"[:5]
    assert tip not in whole


def test_bone_that_the_tip_stopped_on_is_not_told_as_untouched(ready, room):
    room.act({"do": "take"})
    name = next(one.structure for one in ready.promised.clearances if one.distance)
    room.act({"do": "finish"})
    last = room.attempt.log[-1]
    room.attempt._log[-1] = replace(last, events=(*last.events, Event("stopped", "stops hard", name)))
    how = {row["name"]: row["how"] for row in told(room)["result"]["structures"]}
    assert how[name] == "stopped" and "not" in how.values()


def test_what_was_never_done_is_told_as_never(room):
    room.act({"do": "finish"})
    value = {one["name"]: (one["value"], one["never"]) for one in told(room)["result"]["metrics"]}
    assert value["target_off_mm"] == (None, True)


def test_the_learner_is_told_what_the_device_does_beyond_its_tip(ready, room):
    assert told(room)["scenario"]["zone"] is None
    zones = registry.device("liver-mwa-14g-150").zones
    goal = replace(ready.scenario.goal, kind=GoalKind.ABLATE)
    way = replace(ready.way, device=replace(ready.way.device, zones=zones[:1]))
    room.ready = replace(ready, scenario=replace(ready.scenario, goal=goal), way=way)
    zone = told(room)["scenario"]["zone"]
    assert zone["long"] == round(zones[0].derating * zones[0].length_mm) and zone["before"] > 0


def test_a_whole_attempt_is_kept_and_told(ready, clock):
    kept = []
    room = Rehearsing(ready, 3, "easy", lambda attempt: kept.append(attempt) or "somewhere", clock)
    near_the_left(room, ready.way.tip_depth_mm)
    room.act({"do": "hold_breath"})  # the vertebra lies as in the image
    room.act({"do": "fire"})
    room.act({"do": "finish"})
    found = json.loads(json.dumps(told(room), allow_nan=False))["result"]
    assert kept == [room.attempt] and found["kept"] == "somewhere" and found["goal_met"]
    assert [one["name"] for one in found["metrics"]] == list(ready.scenario.counted)
    value = {one["name"]: (one["value"], one["never"]) for one in found["metrics"]}
    assert value["pedicle_off_share"] == (None, False)  # no view was used that it is of: not known, not "never"
    assert {row["how"] for row in found["structures"]} <= {"touched", "maybe", "unknown", "stopped", "not"}
    steps = replay(room)["steps"]
    assert len(steps) == len(room.attempt.log) and steps[-1]["line_mm"] is None
    deepest = max((one for one in steps if one["line_mm"]), key=lambda one: one["time_s"])["line_mm"]
    assert deepest[-1] == pytest.approx(room.paths[-2].tip_mm, abs=0.01)
    with pytest.raises(InputError, match="after the end"):
        room.press(0)
