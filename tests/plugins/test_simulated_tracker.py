"""The simulated tracker: it plays what was asked for, the same each time, with the faults that were asked for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from navplan.errors import FileFormatError, InputError
from navplan.extend import registry
from navplan.extend.contract_checks import check_tracker
from navplan.model.pose import PoseStatus, ToolPose
from navplan_trackers.motion import between, needle_at
from navplan_trackers.script import Breathing, DropOut, Metal, Script, Waypoint, along, read_script
from navplan_trackers.simulated import SimulatedLink, SimulatedTracker

ENTRY, TARGET = (-90.0, 5.0, 10.0), (-40.0, 0.0, 0.0)
STILL = (Waypoint(0.0, (1.0, 2.0, 3.0), (0.0, 0.6, 0.8)),)
QUIET = {"jitter_mm": 0.0, "jitter_deg": 0.0}


class Clock:
    def __init__(self) -> None:
        self.time_s = 50.0

    def __call__(self) -> float:
        return self.time_s


def played(script: Script, until_s: float = 1.0, step_s: float = 0.1) -> tuple[SimulatedLink, list[ToolPose]]:
    clock = Clock()
    link = SimulatedTracker().play(script, clock)
    found = link.poses()
    for n in range(1, round(until_s / step_s) + 1):
        clock.time_s = 50.0 + n * step_s
        found += link.poses()
    return link, found


def bits(poses: list[ToolPose]) -> list[tuple[object, ...]]:
    return [(p.tool, p.number, p.status, None if p.matrix is None else p.matrix.tobytes()) for p in poses]


def test_it_comes_by_the_door_and_keeps_the_contract(tmp_path: Path) -> None:
    tracker = registry.load(registry.TRACKERS, "simulated")
    assert check_tracker(type(tracker))
    file = tmp_path / "script.json"
    file.write_text(json.dumps({"waypoints": [{"time_s": 0, "tip_mm": [1, 2, 3], "direction": [0, 0, 1]}]}))
    assert check_tracker(type(tracker), str(file))


def test_the_same_script_gives_the_same_poses_however_often_it_is_asked() -> None:
    script = along(ENTRY, TARGET, 40.0, seed=7, lost_share=0.1)
    _, one = played(script, 2.0, 0.1)
    _, other = played(script, 2.0, 0.5)
    assert bits(one) == bits(other) and len(one) == 2 * 81
    assert any(pose.status is PoseStatus.MISSING for pose in one)
    _, third = played(along(ENTRY, TARGET, 40.0, seed=8, lost_share=0.1), 2.0)
    assert bits(third) != bits(one)


def test_the_tip_goes_along_the_way_to_the_depth() -> None:
    script = along(ENTRY, TARGET, 40.0, length_mm=120.0, **QUIET)
    link, poses = played(script, 12.0)
    assert_allclose(link.truth(0.0)[0], ENTRY)
    end = np.asarray(ENTRY) + 40.0 * np.subtract(TARGET, ENTRY) / np.linalg.norm(np.subtract(TARGET, ENTRY))
    assert_allclose(link.truth(12.0)[0], end)
    last = [pose for pose in poses if pose.tool == "Needle"][-1]
    reference = [pose for pose in poses if pose.tool == "Reference"][-1]
    assert last.matrix is not None and reference.matrix is not None
    patient_from_tool = link.patient_from_reference @ np.linalg.inv(reference.matrix) @ last.matrix
    assert_allclose((patient_from_tool @ (0, 0, 120.0, 1))[:3], end, atol=1e-9)
    assert_allclose(patient_from_tool[:3, 2], np.subtract(TARGET, ENTRY) / np.linalg.norm(np.subtract(TARGET, ENTRY)))
    assert [touch.name for touch in link.touches] == ["entry"]


def test_a_drop_out_hides_one_tool_for_its_time() -> None:
    _, poses = played(Script(STILL, dropouts=(DropOut(0.2, 0.5, "Needle"),)))
    hidden = {pose.number for pose in poses if pose.tool == "Needle" and pose.status is PoseStatus.MISSING}
    assert hidden == set(range(8, 20))
    assert all(pose.status is PoseStatus.OK for pose in poses if pose.tool == "Reference")


def test_metal_moves_what_is_near_it_by_as_much_as_was_asked() -> None:
    _, straight = played(Script(STILL, **QUIET), 0.1)
    origin = np.array([1.0, 2.0, 3.0]) - 150.0 * np.array([0.0, 0.6, 0.8])
    place = (float(origin[0]), float(origin[1]), float(origin[2]))
    _, moved = played(Script(STILL, metal=Metal(place, 6.0, 30.0), **QUIET), 0.1)
    by_tool = {}
    for one, other in zip(straight, moved, strict=True):
        assert one.matrix is not None and other.matrix is not None
        by_tool[one.tool] = np.linalg.norm(one.matrix[:3, 3] - other.matrix[:3, 3])
    assert by_tool["Needle"] == pytest.approx(6.0) and by_tool["Reference"] < 6.0


def test_breathing_moves_needle_and_reference_together() -> None:
    script = Script(STILL, breathing=Breathing(8.0, 2.0, (0.0, 0.0, 1.0)), **QUIET)
    link, poses = played(script, 1.0)
    for tool in ("Needle", "Reference"):
        told = [pose.matrix for pose in poses if pose.tool == tool]
        assert told[0] is not None and told[-1] is not None
        assert np.linalg.norm(told[-1][:3, 3] - told[0][:3, 3]) == pytest.approx(8.0)
    assert link.breath() == pytest.approx(1.0)
    assert played(Script(STILL))[0].breath() is None


def test_bending_parts_the_tip_from_where_the_shaft_has_it() -> None:
    _, poses = played(Script((Waypoint(0.0, (1.0, 2.0, 3.0), (0.0, 0.6, 0.8), 4.0),), shaft="Shaft", **QUIET), 0.1)
    tip, shaft = (next(pose.matrix for pose in poses if pose.tool == tool) for tool in ("Needle", "Shaft"))
    assert tip is not None and shaft is not None
    apart = (tip @ (0, 0, 150.0, 1) - shaft @ (0, 0, 150.0, 1))[:3]
    assert np.linalg.norm(apart) == pytest.approx(4.0)


def test_a_hand_leads_the_needle_at_its_speed() -> None:
    clock = Clock()
    link = SimulatedTracker().play(Script(STILL, speed_mm_s=100.0, **QUIET), clock)
    link.lead((1.0, 2.0, 53.0), (0.0, 0.6, 0.8))
    clock.time_s += 0.25
    link.poses()
    assert_allclose(link.truth(0.25)[0], (1.0, 2.0, 28.0))
    assert_allclose(link.truth(2.0)[0], (1.0, 2.0, 53.0))
    link.lose("Needle", 0.1)
    clock.time_s += 0.05
    assert [p.status for p in link.poses() if p.tool == "Needle"][-1] is PoseStatus.MISSING
    with pytest.raises(InputError):
        link.lead((float("nan"), 0.0, 0.0), (0.0, 0.0, 1.0))
    link.restart()
    assert_allclose(link.truth(0.0)[0], (1.0, 2.0, 3.0))


def test_turns_between_directions_are_rigid_even_when_they_oppose() -> None:
    for first, second in (((0, 0, 1.0), (0, 0, -1.0)), ((0, 0, 1.0), (0, 0, 1.0)), ((0, 0.6, 0.8), (1.0, 0, 0))):
        turn = between(np.asarray(first), np.asarray(second))
        assert_allclose(turn.T @ turn, np.eye(3), atol=1e-12)
        assert_allclose(turn @ first, second, atol=1e-12)
    script = Script((Waypoint(0.0, (0, 0, 0), (0, 0, 1.0)), Waypoint(1.0, (0, 0, 2.0), (0, 0, -1.0))))
    assert np.isfinite(needle_at(script, 0.5)[1]).all()


def test_poses_that_nobody_asked_for_are_kept_for_a_minute() -> None:
    _, poses = played(Script(STILL, rate_hz=10.0), 600.0, 600.0)
    assert {pose.number for pose in poses if pose.number} == set(range(5400, 6001))


GOOD = {"waypoints": [{"time_s": 0, "tip_mm": [1, 2, 3], "direction": [0, 0, 1]}]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"waypoints": []}, "waypoints"),
        ({"waypoints": [{"time_s": 0, "tip_mm": [1, 2], "direction": [0, 0, 1]}]}, "tip_mm"),
        ({"waypoints": [{"time_s": 0, "tip_mm": [1, 2, 3], "direction": [0, 0, 0]}]}, "script.json"),
        ({"waypoints": [{"time_s": 0, "tip_mm": [1, 2, float("nan")], "direction": [0, 0, 1]}]}, "script.json"),
        ({"waypoints": [*GOOD["waypoints"], *GOOD["waypoints"]]}, "waypoints"),
        ({"waypoints": {"time_s": 0}}, "list"),
        ({"speed": 3}, "speed"),
        ({"rate_hz": 0}, "rate"),
        ({"rate_hz": "fast"}, "rate_hz"),
        ({"seed": 1.5}, "seed"),
        ({"seed": -1}, "seed"),
        ({"jitter_mm": -1}, "jitter"),
        ({"tool": "Reference"}, "different names"),
        ({"dropouts": [{"from_s": 2, "to_s": 1}]}, "drop-out"),
        ({"metal": {"place_mm": [0, 0, 0], "most_mm": 3, "reach_mm": 0}}, "metal"),
        ({"breathing": {"amplitude_mm": 3, "period_s": 0}}, "breathing"),
        ({"tracker_from_patient": [[2, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]}, "tracker_from_patient"),
        ({"tracker_from_patient": [[1, 0, 0]]}, "tracker_from_patient"),
    ],
)
def test_a_script_that_cannot_be_played_is_refused(tmp_path: Path, change: dict[str, object], words: str) -> None:
    file = tmp_path / "script.json"
    file.write_text(json.dumps({**GOOD, **change}))
    with pytest.raises(FileFormatError, match=words):
        read_script(file)


def test_a_script_of_toml_is_read_and_other_files_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "script.toml"
    file.write_text(
        'seed = 3\nshaft = "Shaft"\n[[waypoints]]\ntime_s = 0\ntip_mm = [1, 2, 3]\ndirection = [0, 0, 1]\n'
        '[[dropouts]]\nfrom_s = 1\nto_s = 2\n[[touches]]\ntime_s = 1\nname = "a"\npoint_mm = [1, 2, 3]\n'
        "[metal]\nplace_mm = [0, 0, 0]\nmost_mm = 4\nreach_mm = 20\n[breathing]\namplitude_mm = 8\nperiod_s = 4\n"
    )
    script = read_script(file)
    assert script.seed == 3 and script.metal is not None and script.breathing is not None and script.touches
    for name, data in (("a.toml", b"seed = "), ("a.json", b"[1, 2"), ("b.toml", b"\xff\xfe"), ("b.json", b"3")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(FileFormatError):
            read_script(tmp_path / name)
    with pytest.raises(FileFormatError):
        read_script(tmp_path / "none.toml")
