"""What ships: each rule that a needle's safety hangs on is there, and no rule opens a way that another closes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import rayleigh

from navplan.extend import registry
from navplan.extend.contract_checks import check_data_plugin, check_phantom, check_segmenter
from navplan.extend.protocol_lint import vocabulary
from navplan.model.anatomy import Tissue, anatomy_of
from navplan.model.device import NEEDLE_DIAMETER_MM
from navplan.model.protocol import LEVELS, Need, ProcedureProtocol, fits, is_unsourced

SIDES = ("left", "right")
# Names that segmenters give, and some that people make up; those of the spine at each level.
NAMES = (
    *vocabulary(),
    *(f"vertebrae_{level}" for level in LEVELS), *(f"disc_{level}" for level in LEVELS[7:-3]),
    *(f"{kind}_{level}_{side}" for kind in ("foramen", "nerve_root") for level in LEVELS[7:-2] for side in SIDES),
    "tibia_left", "radius_right", "dural_sac", "sacral_canal", "hip_right", "femur_right", "renal_artery_left",
)  # fmt: skip
# Spaces that hold a target: no nerve, though the names are near. Their dura is a limit of its own, or the target.
CANAL_IS_OPEN = ("caudal-epidural", "interlaminar-lumbar", "lumbar-puncture", "stimulator-lead")
TRIED = ("liver-biopsy", "lung-biopsy")
PROVEN = (*TRIED, "liver-mwa", "vertebroplasty", "transforaminal-lumbar", "medial-branch-block")
RISKS = {
    Tissue.BONE,
    Tissue.CARTILAGE,
    Tissue.HEART,
    Tissue.VESSEL,
    Tissue.BOWEL,
    Tissue.AIRWAY,
    Tissue.NERVE,
    Tissue.IMPLANT,
}
METRICS = {
    "clearance_mm": "larger", "depth_mm": "smaller", "tilt_deg": "smaller", "aerated_lung_mm": "smaller",
    "parenchyma_mm": "larger", "pleural_angle_deg": "larger", "capsule_angle_deg": "larger",
    "rib_above_mm": "larger", "pedicle_out_mm": "smaller", "sagittal_deg": "smaller",
    "capsule_punctures": "smaller", "pleura_punctures": "smaller", "fissure_crossings": "smaller",
    "out_of_plane_mm": "smaller", "carm_beyond_deg": "smaller", "gantry_room_mm": "larger",
    "operator_reach_mm": "larger", "margin_over_goal_mm": "larger",
}  # fmt: skip


def shipped() -> list[str]:
    return [id for id, one in registry.protocols().items() if "(navplan " in one.plugin]


@pytest.fixture(params=shipped())
def protocol(request: pytest.FixtureRequest) -> ProcedureProtocol:
    return registry.protocol(request.param)


@pytest.fixture(params=TRIED)
def tried(request: pytest.FixtureRequest) -> ProcedureProtocol:
    return registry.protocol(request.param)


def at_each_level(protocol: ProcedureProtocol) -> list[ProcedureProtocol]:
    """Without a level, and at each that it is for."""
    return [protocol.at_level(level) for level in ("", *protocol.levels)]


def required(protocol: ProcedureProtocol, name: str, side: str) -> bool:
    return any(limit.needs is Need.REQUIRED and fits(name, limit.structure, side) for limit in protocol.hard)


@pytest.mark.parametrize(
    "package", ["navplan_abdomen", "navplan_musculoskeletal", "navplan_spine", "navplan_thorax"]
)
def test_each_package_keeps_the_contract(package: str):
    assert check_data_plugin(package)


@pytest.mark.parametrize("side", ["left", "right"])
def test_no_name_is_both_a_limit_and_a_way(protocol: ProcedureProtocol, side: str):
    for rules in at_each_level(protocol)[1 if protocol.levels else 0 :]:
        both = [name for name in NAMES if rules.limit_for(name, side) and rules.may_cross(name, side)]
        assert both == []


@pytest.mark.parametrize("side", ["left", "right", ""])
def test_what_bleeds_leaks_or_breaks_is_never_a_way(protocol: ProcedureProtocol, side: str):
    for rules in at_each_level(protocol):
        ways = [name for name in NAMES if rules.may_cross(name, side) and not rules.limit_for(name, side)]
        opened = [name for name in ways if anatomy_of(name).tissue in RISKS and not by_exact_name(rules, name, side)]
        assert opened == (["spinal_canal"] if protocol.id in CANAL_IS_OPEN else [])
        closed = {"bulla", "fissure", "kidney_cyst_left", "gallbladder", "bile_duct", "myocardium", "heart_muscle"}
        assert not closed & set(ways)


def by_exact_name(rules: ProcedureProtocol, name: str, side: str) -> bool:
    """Whether a bone is crossed because the protocol names it, and no other with it."""
    rule = rules.may_cross(name, side)
    return anatomy_of(name).tissue is Tissue.BONE and rule is not None and "*" not in rule.structure


def test_a_vertebra_is_crossed_at_the_requested_level_alone(protocol: ProcedureProtocol):
    for level in ("", *protocol.levels):
        rules = protocol.at_level(level)
        crossed = [
            name for name in NAMES
            if name.startswith("vertebrae_") and rules.may_cross(name, "left") and not rules.limit_for(name, "left")
        ]  # fmt: skip
        treated = protocol.id in ("vertebroplasty", "kyphoplasty") and level
        assert sorted(set(crossed)) == ([f"vertebrae_{level}"] if treated else [])


def test_metal_and_implants_are_hard_everywhere(protocol: ProcedureProtocol):
    for name in ("metal", "implant", "hip_implant_left", "port", "port_catheter", "pacemaker"):
        assert protocol.limit_for(name, "left"), name
        assert not protocol.may_cross(name, "left"), name


def test_what_no_case_has_shown_is_called_unproven(protocol: ProcedureProtocol):
    assert protocol.unproven == (protocol.id not in PROVEN)
    assert any(limit.needs is Need.NOT_IMAGED for limit in protocol.hard), "at best WARN"


def test_a_port_is_not_taken_for_the_portal_vein(protocol: ProcedureProtocol):
    for limit in protocol.hard:
        if fits("port", limit.structure) or fits("port_catheter", limit.structure):
            assert not fits("portal_vein", limit.structure)
    assert not any(fits("portal_vein", pattern) for pattern in protocol.entry_not_on)


@pytest.mark.parametrize("side", SIDES)
def test_lung_biopsy_enters_one_lung_once(side: str):
    lung = registry.protocol("lung-biopsy")
    other = {"left": "right", "right": "left"}[side]
    assert lung.sided and lung.pleura_punctures_max == 1
    for part in ("lung_{}", "lung_upper_lobe_{}", "lung_lower_lobe_{}"):
        assert lung.may_cross(part.format(side), side) and not lung.limit_for(part.format(side), side)
        assert lung.limit_for(part.format(other), side) and not lung.may_cross(part.format(other), side)
        assert required(lung, part.format(other), side)
        assert lung.limit_for(part.format(side), ""), "without a side both lungs are closed"


def test_lung_biopsy_asks_for_what_it_must_know():
    lung = registry.protocol("lung-biopsy")
    for name in ("heart", "aorta", "trachea", "pulmonary_vein", "bulla", "bulla_left_1", "fissure", "rib_left_6"):
        assert required(lung, name, "left"), name
    for name, at_least in (
        ("heart", 5),
        ("aorta", 5),
        ("trachea", 5),
        ("superior_vena_cava", 5),
        ("pulmonary_vein", 3),
    ):
        limit = lung.limit_for(name, "left")
        assert limit is not None and limit.min_clearance_mm >= at_least
    not_imaged = {limit.structure for limit in lung.hard if limit.needs is Need.NOT_IMAGED}
    assert {"internal_mammary*", "intercostal_bundle*"} <= not_imaged


def test_liver_biopsy_asks_for_what_it_must_know():
    liver = registry.protocol("liver-biopsy")
    for name in (
        "lung_right",
        "lung_lower_lobe_right",
        "lung_left",
        "gallbladder",
        "colon",
        "kidney_right",
        "portal_vein",
    ):
        assert required(liver, name, ""), name
        limit = liver.limit_for(name)
        assert limit is not None and limit.min_clearance_mm > 0
    assert not required(liver, "heart", "")
    not_imaged = {limit.structure for limit in liver.hard if limit.needs is Need.NOT_IMAGED}
    assert "costophrenic_recess*" in not_imaged
    diaphragm = liver.may_cross("diaphragm")
    assert diaphragm is not None and "recess" in diaphragm.source
    assert liver.may_cross("liver") and not liver.may_cross("spleen")


def test_one_structure_in_place_of_another_does_not_satisfy_what_is_required(protocol: ProcedureProtocol):
    """kidney_left known must not stand for kidney_right, nor the lung that is entered for the other one."""
    for limit in protocol.hard:
        if limit.needs is Need.REQUIRED:
            for one, other in (
                ("kidney_left", "kidney_right"),
                ("lung_left", "lung_right"),
                ("lung_left", "lung_vessels"),
            ):
                assert not (fits(one, limit.structure, "left") and fits(other, limit.structure, "left"))


def test_wishes_point_the_right_way(protocol: ProcedureProtocol):
    assert protocol.soft
    for soft in protocol.soft:
        assert METRICS[soft.metric] == ("larger" if soft.ideal > soft.limit else "smaller"), soft.metric
        assert soft.unit == soft.metric.rsplit("_", 1)[1]
    weights = {soft.metric: soft.weight for soft in protocol.soft}
    disputed = weights.get("pleural_angle_deg")
    assert disputed is None or disputed <= 0.1 * max(weights.values())


def test_error_models_have_the_published_spread(protocol: ProcedureProtocol):
    """Upper quartiles of PMC5351986 as those of a Rayleigh distribution at 100 mm; the median alone is exceeded."""
    for id, quartile, median in (("navigated", 9.1, 4.1), ("freehand", 15.1, 8.9)):
        model = protocol.error_model(id)
        sigma = float(model.sigma_mm(100.0))
        assert rayleigh(scale=sigma).ppf(0.75) == pytest.approx(quartile, rel=0.01)
        assert rayleigh(scale=sigma).median() > median
        assert "PMC5351986" in model.source and is_unsourced(model.source)
    robot = float(protocol.error_model("robot").sigma_mm(100.0))
    assert np.sqrt(2) * robot == pytest.approx(np.hypot(1.6, 1.5), rel=0.01)
    assert protocol.error_model().id in ("freehand", "fluoroscopy")
    if protocol.error_model().id == "fluoroscopy":
        sigma = float(protocol.error_model().sigma_mm(100.0))
        navigated, freehand = (float(protocol.error_model(id).sigma_mm(100.0)) for id in ("navigated", "freehand"))
        assert navigated < sigma < freehand and is_unsourced(protocol.error_model().source)


def test_every_device_is_judged_by_its_introducer(tried: ProcedureProtocol):
    for device in (registry.device(id) for id in tried.devices):
        assert device.diameter_mm == NEEDLE_DIAMETER_MM[device.gauge - 1] > NEEDLE_DIAMETER_MM[device.gauge]
        assert device.throw_mm > 0 and is_unsourced(device.source)


def test_no_device_is_thinner_than_its_gauge(protocol: ProcedureProtocol):
    assert protocol.devices
    for device in (registry.device(id) for id in protocol.devices):
        assert device.diameter_mm >= NEEDLE_DIAMETER_MM[device.gauge] and device.source.strip()
        if "cutting" in device.tip:
            assert device.throw_mm > 0 and device.diameter_mm == NEEDLE_DIAMETER_MM[device.gauge - 1]
        if " F drain" in device.name:
            french = int(device.name.split(" F ")[0])
            assert device.diameter_mm == pytest.approx(french / 3, abs=0.01)


def test_every_source_says_something(protocol: ProcedureProtocol):
    rules = [*protocol.hard, *protocol.pass_through, *protocol.soft, *protocol.error_models, *protocol.views]
    assert all(len(rule.source.strip()) > 3 for rule in rules)
    sourced = [limit for limit in protocol.hard if not is_unsourced(limit.source)]
    assert all(any(character.isdigit() for character in limit.source) for limit in sourced), "a citation has a number"
    assert protocol.bleeding_risk is not None and "SIR 2019" in protocol.bleeding_risk.source
    steps = [step for step in protocol.sequence_rules if not is_unsourced(step.source)]
    assert all(any(character.isdigit() for character in step.source) or "(" in step.source for step in steps)


def test_a_view_is_for_something_and_its_angles_are_angles(protocol: ProcedureProtocol):
    assert protocol.views
    for view in protocol.views:
        assert view.purpose and (view.primary_deg is None) == (view.secondary_deg is None)
        assert abs(view.primary_deg or 0.0) <= 180 and abs(view.secondary_deg or 0.0) <= 60
    named = {view.name: view for view in protocol.views if view.primary_deg is not None}
    for name, view in named.items():
        if name.endswith(" left"):
            other = named[f"{name.removesuffix('left')}right"]
            assert other.secondary_deg == view.secondary_deg
            assert other.primary_deg == pytest.approx(-(view.primary_deg or 0.0), abs=2.0)


def test_everybody_is_asked_for_consent_and_for_bleeding(protocol: ProcedureProtocol):
    words = " ".join(protocol.checklist).lower()
    for word in ("consent", "anticoagulants", "dressing", "scar", "request"):
        assert word in words, word


def test_what_ct_does_not_show_is_on_the_checklist(tried: ProcedureProtocol):
    protocol = tried
    words = " ".join(protocol.checklist).lower()
    for word in (
        "dressing",
        "port",
        "scar",
        "side" if protocol.sided else "stoma",
        "breath",
        "anticoagulants",
        "consent",
    ):
        assert word in words
    if protocol.id == "lung-biopsy":
        assert "pneumothorax kit" in words and "air embolism" in words
        assert any("PMC7362905" in note for note in protocol.notes)


def test_every_plugin_that_ships_loads_and_keeps_its_contract():
    for group, check in ((registry.SEGMENTERS, check_segmenter), (registry.PHANTOMS, check_phantom)):
        shipped = [info for info in registry.available(group) if info.distribution == "navplan"]
        assert shipped
        for info in shipped:
            assert not info.error, f"{info.name}: {info.error}"
            plugin = registry.load(group, info.name)
            assert plugin.name == info.name
            if not info.name.startswith("totalsegmentator"):  # the user's own program: test_totalsegmentator.py
                check(plugin)
