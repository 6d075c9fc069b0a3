"""The lumbar phantom's truth against what the learner sees: layers, contrast, views, sides, dose."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from navplan.extend import registry
from navplan.geometry.carm import ViewAngles, angles_of
from navplan.model.scenario import GoalKind
from navplan.training.actions import MoveCarm
from navplan.training.contrast import Pattern, at_a_root, spread_of
from navplan.training.dose import DoseEstimate
from navplan.training.endings import ending_of
from navplan.training.needle_path import NeedlePath
from navplan.training.patient import SimulatedPatient
from navplan.training.views import judged, off_deg, seen_vertebra
from navplan.verbs.phantom import phantom
from navplan.verbs.situation import situation_of, target_of
from tests.training.training_scene import ENTRY, TARGET, patient_of, scenario_of, way_of

DISC_Z = -18.0  # of L3/4, where no lamina lies behind the canal


@pytest.fixture(scope="module")
def spine() -> SimulatedPatient:
    case = phantom("lumbar-spine", spacing_mm=(3.0, 3.0, 3.0))
    target = target_of(case.structures_of("ct"), "vertebrae_L3")
    return SimulatedPatient(
        situation_of(case, registry.protocol("vertebroplasty"), target, side="L", level="L3", patient_position="HFP")
    )


def first(patient: SimulatedPatient, tissue: str, line: np.ndarray) -> np.ndarray:
    return line[patient.tissues_at(line).index(tissue)]


def behind(z: float) -> np.ndarray:
    """Points from the back to the front in the midline."""
    return np.array([(0.0, y, z) for y in np.arange(60.0, 0.0, -0.5)])


def test_layers_come_in_the_order_that_a_needle_from_behind_meets(spine):
    seen = list(dict.fromkeys(spine.tissues_at(behind(DISC_Z))))
    wanted = ["ligamentum_flavum", "epidural_layer", "thecal_sac", "disc_L3"]
    assert [name for name in seen if name in wanted] == wanted


def test_epidural_contrast_runs_along_the_canal_and_intrathecal_layers_where_the_patient_lies(spine):
    tip = first(spine, "epidural_layer", behind(DISC_Z))
    epidural = spread_of(spine, tip, 2.0)
    size = np.ptp(epidural.points_mm, axis=0)
    assert epidural.pattern is Pattern.EPIDURAL and size[2] > 1.5 * max(size[0], size[1])
    assert "schematic" in epidural.words
    assert set(spine.tissues_at(epidural.points_mm)) <= {"epidural_layer"}
    tip = first(spine, "thecal_sac", behind(DISC_Z))
    prone = spread_of(spine, tip, 2.0)
    supine = spread_of(SimulatedPatient(replace(spine.situation, patient_position="HFS")), tip, 2.0)
    assert prone.pattern is supine.pattern is Pattern.INTRATHECAL
    assert prone.points_mm[:, 1].mean() < supine.points_mm[:, 1].mean() - 2.0  # a prone patient's front is down
    more = spread_of(spine, first(spine, "epidural_layer", behind(DISC_Z)), 4.0)
    assert np.ptp(more.points_mm[:, 2]) > size[2]


def test_vessels_discs_and_soft_tissue(spine):
    aorta = spine.situation.structures["aorta"]
    middle = aorta.grid.points_mm(np.argwhere(aorta.occupancy > 200)[len(aorta.occupancy) // 2 : ][0])
    found = spread_of(spine, middle, 1.0)
    assert found.pattern is Pattern.VASCULAR and found.where == "aorta" and np.ptp(found.points_mm[:, 2]) > 40.0
    assert spine.in_structure("aorta", found.points_mm).all()
    disc = spine.situation.structures["disc_L3"]
    inside = disc.grid.points_mm(np.argwhere(disc.occupancy > 200).mean(axis=0))
    assert spread_of(spine, inside, 1.0).pattern is Pattern.INTRADISCAL
    muscle = np.array([35.0, 60.0, DISC_Z])
    ball = spread_of(spine, muscle, 1.0)
    assert ball.pattern is Pattern.SOFT_TISSUE and np.linalg.norm(ball.points_mm - muscle, axis=1).max() < 12.0
    volume = len(ball.points_mm)
    assert 0 < volume <= 1000
    assert spread_of(spine, np.array([0.0, 300.0, 0.0]), 1.0).pattern is Pattern.OUTSIDE


def test_a_hidden_vessel_beside_a_root(spine):
    foramen = spine.situation.structures["foramen_L3_left"]
    tip = foramen.grid.points_mm(np.argwhere(foramen.occupancy > 200).mean(axis=0))
    assert tip[0] > 0.0  # the patient's left is +x
    assert at_a_root(spine.tissues_at(tip)[0])
    assert spread_of(spine, tip, 1.0).pattern is Pattern.EPIDURAL
    given = spread_of(spine, tip, 1.0)
    where = spine.tissues_at(given.points_mm)
    assert sum(at_a_root(name) for name in where) > 3 and where.count("epidural_layer") > 3  # to its root, and inwards
    hidden = spread_of(spine, tip, 1.0, hidden=True)
    assert hidden.pattern is Pattern.VASCULAR and np.ptp(hidden.points_mm[:, 2]) == pytest.approx(59.0)


def test_an_epidural_in_the_sac_or_through_it_is_missed(spine):
    tip = first(spine, "epidural_layer", behind(DISC_Z))
    way = replace(way_of(), entry_mm=(0.0, 90.0, DISC_Z), target_mm=tuple(tip.tolist()))
    goal = replace(scenario_of().goal, kind=GoalKind.EPIDURAL)
    path = NeedlePath.on_skin((0.0, 90.0, DISC_Z), (0.0, -1.0, 0.0))
    for _ in range(round((90.0 - tip[1]) / 0.5)):
        path = path.advanced(0.5, 0.0)
    ended = {
        "right": ending_of(goal, spine, way, path, 0.0, Pattern.EPIDURAL),
        "unseen": ending_of(goal, spine, way, path, 0.0),
        "deeper": ending_of(goal, spine, way, path.advanced(4.0, 0.0), 0.0, Pattern.EPIDURAL),
        "back": ending_of(goal, spine, way, path, 0.0, Pattern.EPIDURAL, frozenset({"thecal_sac"})),
        "vessel": ending_of(goal, spine, way, path, 0.0, Pattern.VASCULAR),
    }  # fmt: skip
    assert {name: one.goal_met for name, one in ended.items()} == {
        "right": True, "unseen": False, "deeper": False, "back": False, "vessel": False,
    }  # fmt: skip


def test_a_view_is_judged_by_the_phantoms_own_vertebra(spine):
    seen = seen_vertebra(spine.situation)
    assert seen is not None and seen.frame.name == "vertebrae_L3"
    left, right = seen.pedicles_mm
    assert left[0] > 8.0 and right[0] == pytest.approx(-left[0], abs=1.5)
    wanted = (ViewAngles(0.0, 0.0), ViewAngles(90.0, 0.0))
    entry = np.array([40.0, 90.0, 10.0])  # behind, at the left
    square = judged(ViewAngles(0.0, 0.0), wanted, seen, entry)
    assert square.off_deg == pytest.approx(0.0, abs=1e-6) and square.wanted == 0
    assert square.endplates_deg == pytest.approx(0.0, abs=1.5)
    tilted = judged(ViewAngles(8.0, 12.0), wanted, seen, entry)
    assert tilted.endplates_deg == pytest.approx(12.0, abs=1.5)
    cosine = np.cos(np.radians(8.0)) * np.cos(np.radians(12.0))
    assert tilted.off_deg == pytest.approx(np.degrees(np.arccos(cosine)), abs=1e-6)
    assert off_deg(ViewAngles(-90.0, 0.0), wanted[1]) == pytest.approx(0.0, abs=1e-5)  # lateral from either side
    assert off_deg(ViewAngles(180.0, 0.0), wanted[0]) == pytest.approx(180.0)  # PA is not AP
    # looked at along its own pedicle, that lies in the body's middle; from the other side, far out
    along = (seen.frame.centre_mm - left) * (1.0, 1.0, 0.0)
    eye = judged(angles_of(along), (), seen, entry)
    other = judged(angles_of(along * (-1.0, 1.0, 1.0)), (), seen, entry)
    assert eye.pedicle_share < 0.15 < 0.6 < other.pedicle_share
    assert judged(angles_of(along), (), seen, entry * (-1, 1, 1)).pedicle_share > 0.6
    assert np.isnan(eye.off_deg) and eye.wanted == -1


def test_dose_goes_down_with_the_field_and_up_with_zoom_and_pulses(spine):
    estimate = spine.dose
    at = tuple(spine.situation.target_mm.tolist())
    whole, narrow = (estimate.of(MoveCarm(0.0, 0.0, at, field_mm=mm), 1.0) for mm in (0.0, 200.0))
    assert narrow.dap_ugy_cm2 / whole.dap_ugy_cm2 == pytest.approx((200.0 / 307.2) ** 2, rel=1e-6)
    assert narrow.reference_kerma_ugy == whole.reference_kerma_ugy
    zoomed = estimate.of(MoveCarm(0.0, 0.0, at, zoom_mm=150.0), 1.0)
    assert zoomed.reference_kerma_ugy > 1.3 * whole.reference_kerma_ugy
    ten = estimate.of(MoveCarm(0.0, 0.0, at), 10.0)
    assert ten.dap_ugy_cm2 == pytest.approx(10.0 * whole.dap_ugy_cm2) and ten.pulses == 10
    lateral = estimate.of(MoveCarm(90.0, 0.0, at), 1.0)
    assert lateral.reference_kerma_ugy > whole.reference_kerma_ugy  # through more of the patient
    far = estimate.of(MoveCarm(0.0, 0.0, at, sid_mm=1300.0), 1.0)
    assert far.reference_kerma_ugy > whole.reference_kerma_ugy  # the panel farther from the patient
    assert DoseEstimate(None).of(MoveCarm(0.0, 0.0, at), 3.0).pulses == 3


def test_contrast_in_the_scene_without_a_canal():
    patient = patient_of()
    assert spread_of(patient, np.asarray(TARGET), 1.0).pattern is Pattern.SOFT_TISSUE
    colon = spread_of(patient, np.array([0.0, -40.0, -40.0]), 1.0)
    assert colon.pattern is Pattern.HOLLOW and colon.where == "colon" and ENTRY[1] < 0.0
