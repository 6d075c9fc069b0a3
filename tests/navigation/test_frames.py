"""Chains of frames: what they carry, their error, and each reason for which there is none."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from navplan.errors import InputError
from navplan.geometry.transform import Transform
from navplan.model.pose import PoseStatus, ToolPose
from navplan.navigation.frames import Edge, Frames, PoseError


def rigid(seed: int, target: str, source: str) -> Transform:
    rng = np.random.default_rng(seed)
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.random(random_state=rng.integers(1 << 30)).as_matrix()
    matrix[:3, 3] = rng.uniform(-200, 200, 3)
    return Transform(matrix, target, source)


def edge(seed: int, target: str, source: str, time_s: float = 10.0, age_s: float = 0.1, **more) -> Edge:
    return Edge(target, source, rigid(seed, target, source), time_s, age_s, more.pop("error", PoseError(0.3)), **more)


def lost(target: str, source: str, status: PoseStatus = PoseStatus.MISSING, words: str = "") -> Edge:
    return Edge(target, source, None, 10.0, 0.1, PoseError(0.3), status, words)


PATIENT = edge(1, "patient", "reference", 0.0, np.inf, error=PoseError(1.0, 0.2))
REFERENCE = edge(2, "tracker", "reference")
TOOL = edge(3, "tracker", "tool")
ALL = Frames((PATIENT, REFERENCE, TOOL))


def test_a_chain_is_the_product_of_its_edges_each_in_its_direction() -> None:
    chain = ALL.chain("patient", "tool", 10.05)
    truth = PATIENT.transform @ REFERENCE.transform.inverse() @ TOOL.transform
    assert chain.why == "" and np.allclose(chain.transform.matrix, truth.matrix)
    assert (chain.transform.target, chain.transform.source) == ("patient", "tool")
    assert np.isclose(chain.age_s, 0.05)
    back = ALL.chain("tool", "patient", 10.05)
    assert np.allclose(back.transform.matrix, truth.inverse().matrix)
    assert np.allclose(ALL.chain("tool", "tool", 99.0).transform.matrix, np.eye(4))


def test_the_error_is_that_of_edges_shaken_by_their_own() -> None:
    frames = Frames(
        (
            edge(1, "patient", "reference", 0.0, np.inf, error=PoseError(0.6, 0.3)),
            edge(2, "tracker", "reference", error=PoseError(0.25, 0.2)),
            edge(3, "tracker", "tool", error=PoseError(0.25, 0.4)),
        )
    )
    chain, point = frames.chain("patient", "tool", 10.0), np.array([[0.0, 0.0, 150.0]])
    rng = np.random.default_rng(7)
    truth, moved = chain.transform.apply(point)[0], []
    for _ in range(6000):
        at = point
        for one, as_is in reversed(chain.through):
            matrix = one.transform.matrix.copy()
            matrix[:3, :3] = Rotation.from_rotvec(np.radians(rng.normal(0, one.error.turn_deg, 3))).as_matrix() @ (
                matrix[:3, :3]
            )
            matrix[:3, 3] += rng.normal(0, one.error.position_mm / np.sqrt(3), 3)
            shaken = Transform(matrix, one.target, one.source)
            at = shaken.apply(at) if as_is else shaken.inverse().apply(at)
        moved.append(at[0] - truth)
    measured = np.sqrt((np.asarray(moved) ** 2).sum(axis=1).mean())
    assert chain.error_mm(point)[0] == pytest.approx(measured, rel=0.04)


def test_an_error_that_nobody_knows_stays_unknown() -> None:
    frames = ALL.with_edge(edge(3, "tracker", "tool", error=PoseError(float("nan"))))
    assert np.isnan(frames.chain("patient", "tool", 10.0).error_mm((0, 0, 0))).all()


@pytest.mark.parametrize(
    ("changed", "now_s", "words"),
    [
        (lost("tracker", "tool"), 10.0, "tracker_from_tool not seen"),
        (lost("tracker", "reference", PoseStatus.INVALID, "a mirrored turn"), 10.0, "no valid pose (a mirrored turn)"),
        (edge(3, "tracker", "tool"), 10.2, "tracker_from_tool is 0.200 s old, at most 0.1 s allowed"),
        (edge(3, "tracker", "tool", 12.0), 10.0, "tracker_from_tool is 2.000 s ahead of the clock"),
    ],
)
def test_no_chain_leads_through_what_may_not_be_used_and_it_is_named(changed: Edge, now_s: float, words: str) -> None:
    chain = ALL.with_edge(changed).chain("patient", "tool", now_s)
    assert chain.transform is None and words in chain.why
    with pytest.raises(InputError):
        chain.error_mm((0, 0, 0))


def test_a_missing_edge_is_named() -> None:
    apart = Frames((PATIENT, TOOL))
    assert apart.chain("patient", "tool", 10.0).why == "no edge leads from patient, reference to tool, tracker"
    assert "nothing is known of probe" in ALL.chain("patient", "probe", 10.0).why


def test_an_older_edge_tells_that_the_clock_went_back() -> None:
    back = ALL.with_edge(edge(3, "tracker", "tool", 7.5))
    assert back.told == "the clock of tracker_from_tool went back by 2.500 s"
    assert "went back by 2.500 s" in back.chain("patient", "tool", 10.0).why
    again = back.with_edge(edge(3, "tracker", "tool", 7.52))  # the reference's time still lies ahead
    assert again.told == "" and "ahead of the clock" in again.chain("patient", "tool", 7.53).why


def test_a_second_way_must_agree_with_the_first() -> None:
    truth = PATIENT.transform @ REFERENCE.transform.inverse()
    direct = Edge("patient", "tracker", Transform(truth.matrix, "patient", "tracker"), 10.0, np.inf, PoseError(1.0))
    assert ALL.with_edge(direct).chain("patient", "tool", 10.0).why == ""
    moved = truth.matrix.copy()
    moved[:3, 3] += (0.0, 3.0, 0.0)
    off = Edge("patient", "tracker", Transform(moved, "patient", "tracker"), 10.0, np.inf, PoseError(1.0))
    why = ALL.with_edge(off).chain("patient", "tool", 10.0).why
    assert "differ by 3.0 mm" in why and "tracker_from_reference" in why
    turned = truth.matrix.copy()
    turned[:3, :3] = turned[:3, :3] @ Rotation.from_rotvec((0, 0, np.radians(2))).as_matrix()
    off = Edge("patient", "tracker", Transform(turned, "patient", "tracker"), 10.0, np.inf, PoseError(1.0))
    assert ALL.with_edge(off).chain("patient", "tool", 10.0).transform is None
    # two ways that agree, of which one is not seen: the other carries
    assert ALL.with_edge(direct).with_edge(lost("tracker", "reference")).chain("patient", "tool", 10.0).why == ""


def test_a_rigid_motion_of_the_tracker_changes_nothing() -> None:
    motion = rigid(9, "tracker", "tracker")
    moved = Frames(
        Edge(e.target, e.source, motion @ e.transform if e.target == "tracker" else e.transform, 10.0, np.inf, e.error)
        for e in (PATIENT, REFERENCE, TOOL)
    )
    one, other = ALL.chain("patient", "tool", 10.0), moved.chain("patient", "tool", 10.0)
    assert np.allclose(one.transform.matrix, other.transform.matrix)
    assert np.allclose(one.error_mm((10, 20, 30)), other.error_mm((10, 20, 30)))


def test_frames_are_not_changed_by_what_comes() -> None:
    before = ALL.chain("patient", "tool", 10.0).transform.matrix
    ALL.with_edge(lost("tracker", "tool"))
    assert np.array_equal(ALL.chain("patient", "tool", 10.0).transform.matrix, before)


def test_a_trackers_own_estimate_counts_where_it_is_larger() -> None:
    pose = ToolPose("tool", "tracker", np.eye(4), 1.0, error_mm=0.9)
    assert Edge.of_pose(pose, 0.1, PoseError(0.25)).error.position_mm == 0.9
    assert Edge.of_pose(pose, 0.1, PoseError(float("nan"))).error.position_mm == 0.9
    seen = Edge.of_pose(ToolPose.measured("tool", "tracker", np.diag([1, 1, -1, 1.0]), 1.0), 0.1, PoseError(0.25))
    assert seen.status is PoseStatus.INVALID and seen.transform is None


@pytest.mark.parametrize(
    "make",
    [
        lambda: Edge("", "tool", None, 1.0, 1.0, status=PoseStatus.MISSING),
        lambda: Edge("tool", "tool", None, 1.0, 1.0, status=PoseStatus.MISSING),
        lambda: Edge("tracker", "tool", None, 1.0, 1.0),
        lambda: Edge("tracker", "tool", None, float("nan"), 1.0, status=PoseStatus.MISSING),
        lambda: Edge("tracker", "tool", rigid(1, "tracker", "other"), 1.0, 1.0),
        lambda: Edge("tracker", "tool", rigid(1, "tracker", "tool"), 1.0, 0.0),
        lambda: PoseError(-1.0),
        lambda: ALL.with_edge(edge(3, "tool", "tracker")),
    ],
)
def test_what_is_no_edge_is_refused(make) -> None:
    with pytest.raises(InputError):
        make()


def test_a_pose_whose_error_has_no_bound_is_not_used():
    pose = ToolPose.measured("Needle", "tracker", np.eye(4), 1.0, error_mm=np.inf)
    edge = Edge.of_pose(pose, 0.1, PoseError(0.25))
    assert edge.transform is None and "no bound" in edge.fault(1.0)
