"""Of each protocol that no case has tried yet: the rules that must never be lost."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from navplan.extend import registry
from navplan.model.protocol import Need, ProcedureProtocol, Sequence, fits


@dataclass(frozen=True)
class Kept:
    """required: names that must be known; at_least: names and how far the needle stays from them, mm; not_imaged:
    patterns; ways: what it may cross; person: words of the steps that a person ticks; level: where they are looked at,
    of the left side."""

    required: tuple[str, ...] = ()
    at_least: tuple[tuple[str, float], ...] = ()
    not_imaged: tuple[str, ...] = ()
    ways: tuple[str, ...] = ()
    person: tuple[str, ...] = ()
    level: str = ""


PEDICLE = Kept(
    required=("spinal_canal", "aorta"),
    at_least=(
        ("spinal_canal", 1), ("aorta", 3), ("inferior_vena_cava", 3), ("lung_left", 2), ("foramen_L3_left", 0),
        ("vertebrae_L2", 0), ("vertebrae_L4", 0), ("rib_left_12", 0), ("hip_left", 0),
    ),
    not_imaged=("nerve_root*",), ways=("vertebrae_L3",), level="L3",
    person=("live lateral", "back quarter", "any leak", "front third to quarter", "broken back wall"),
)  # fmt: skip
MEDIAL_BRANCH = Kept(
    required=("spinal_canal", "foramen_L3_left", "vertebrae_L4"),
    at_least=(("foramen_L4_left", 2), ("spinal_canal", 2), ("psoas_left", 0), ("iliopsoas_left", 0), ("aorta", 5)),
    not_imaged=("nerve_root*",), level="L4",
)  # fmt: skip
KEPT = {
    "mediastinal-biopsy": Kept(
        required=("heart", "aorta", "trachea", "pulmonary_vein", "lung_left", "lung_right"),
        at_least=(("heart", 5), ("aorta", 5), ("superior_vena_cava", 5), ("esophagus", 5), ("sternum", 0)),
        not_imaged=("internal_mammary*", "intercostal_bundle*"), ways=("mass", "lymph_node"),
    ),
    "pleural-biopsy": Kept(
        required=("heart", "aorta", "lung_left", "lung_right", "rib_left_6"),
        at_least=(("lung_left", 2), ("diaphragm", 0), ("liver", 3), ("spleen", 3)),
        not_imaged=("intercostal_bundle*",), ways=("pleural_effusion",),
    ),
    "chest-drain": Kept(
        required=("heart", "aorta", "lung_left", "lung_right", "spleen", "rib_left_6"),
        at_least=(("lung_left", 3), ("diaphragm", 0), ("liver", 3), ("stomach", 3), ("colon", 3)),
        not_imaged=("intercostal_bundle*", "internal_mammary*"), ways=("pleural_effusion_right",),
        person=("side holes",),
    ),
    "kidney-biopsy": Kept(
        required=("colon", "spleen", "liver", "lung_left", "lung_right", "renal_pelvis_left", "aorta"),
        at_least=(
            ("colon", 5), ("renal_hilum_left", 5), ("renal_artery_left", 5), ("kidney_right", 5), ("ureter_left", 5),
        ),
        not_imaged=("costophrenic_recess*",), ways=("kidney_left",),
    ),
    "adrenal-biopsy": Kept(
        required=("kidney_left", "kidney_right", "liver", "spleen", "lung_left", "lung_right", "aorta"),
        at_least=(("adrenal_gland_right", 3), ("inferior_vena_cava", 5), ("pancreas", 5)),
        not_imaged=("costophrenic_recess*",), ways=("adrenal_gland_left",),
    ),
    "pancreas-biopsy": Kept(
        required=("colon", "portal_vein", "aorta", "inferior_vena_cava"),
        at_least=(
            ("superior_mesenteric_artery", 5), ("stomach", 5), ("duodenum", 5), ("small_bowel", 5), ("liver", 3),
            ("common_bile_duct", 3), ("spleen", 5),
        ),
        not_imaged=("mesenteric_branches*",), ways=("pancreas",),
    ),
    "node-biopsy": Kept(
        required=("aorta", "inferior_vena_cava", "kidney_left", "kidney_right", "colon"),
        at_least=(("aorta", 3), ("ureter_left", 3), ("iliac_artery_left", 3), ("small_bowel", 5), ("spinal_canal", 5)),
        not_imaged=("lumbar_plexus*",), ways=("lymph_node",),
    ),
    "abdominal-drainage": Kept(
        required=("colon", "small_bowel", "spleen", "aorta", "lung_left", "lung_right"),
        at_least=(("colon", 5), ("stomach", 5), ("duodenum", 5), ("iliac_vena_left", 3), ("gallbladder", 5)),
        not_imaged=("costophrenic_recess*", "epigastric_vessels*"), ways=("abscess", "collection", "liver"),
        person=("side holes",),
    ),
    "liver-rfa": Kept(
        required=("bile_duct", "colon", "gallbladder", "lung_left", "lung_right", "heart", "portal_vein"),
        at_least=(("heart", 10), ("stomach", 5), ("small_bowel", 5), ("bile_ducts", 5)),
        not_imaged=("diaphragm*", "costophrenic_recess*"), ways=("liver", "liver_tumor"),
        person=("3-14 mm", "at least 5 mm"),
    ),
    "kidney-cryoablation": Kept(
        required=("colon", "ureter_left", "renal_pelvis_left", "spleen", "liver", "lung_left", "lung_right"),
        at_least=(("small_bowel", 5), ("duodenum", 5), ("kidney_right", 5), ("renal_vein_left", 5)),
        not_imaged=("costophrenic_recess*",), ways=("kidney_left",),
        person=("10 minutes of freezing, 8 of thawing, 10", "at least 5 mm", "2-4 probes"),
    ),
    "coeliac-plexus-block": Kept(
        required=("aorta", "kidney_left", "kidney_right", "lung_left", "lung_right"),
        at_least=(("aorta", 2), ("celiac_trunk", 3), ("spinal_canal", 5), ("vertebrae_L1", 0), ("stomach", 5)),
        not_imaged=("radicular_artery*",), ways=("celiac_plexus",), person=("contrast", "before alcohol or phenol"),
    ),
    "vertebroplasty": PEDICLE,
    "kyphoplasty": PEDICLE,
    "transforaminal-lumbar": Kept(
        required=("spinal_canal", "disc_L4", "vertebrae_L4", "aorta"),
        at_least=(("kidney_left", 5), ("colon", 5), ("vertebrae_L5", 0), ("lung_left", 5), ("disc_L3", 0)),
        not_imaged=("nerve_root*", "radicular_artery*"), ways=("foramen_L4_left",), level="L4",
        person=("6 o'clock", "none in a vessel"),
    ),
    "interlaminar-lumbar": Kept(
        required=("vertebrae_L4",), at_least=(("spinal_cord", 0), ("dural_sac", 0), ("vertebrae_L3", 0), ("aorta", 5)),
        not_imaged=("dura*", "nerve_root*"), ways=("epidural_space", "spinal_canal"), level="L4",
        person=("loss of resistance", "1-2 mm of the ventral interlaminar line"),
    ),
    "caudal-epidural": Kept(
        required=("sacrum",), at_least=(("dural_sac", 0), ("sacral_foramen_2_left", 0), ("rectum", 5), ("colon", 5)),
        not_imaged=("dura*",), ways=("epidural_space",), person=("midline in AP, then lateral",),
    ),
    "lumbar-puncture": Kept(
        required=("kidney_left", "kidney_right", "colon", "aorta", "vertebrae_L3"),
        at_least=(("spinal_cord", 5), ("small_bowel", 5), ("vertebrae_L4", 0), ("kidney_left", 5)),
        not_imaged=("conus*", "nerve_root*"), ways=("dural_sac", "dura"), level="L3", person=("below the conus on MR",),
    ),
    "medial-branch-block": MEDIAL_BRANCH,
    "medial-branch-rf": Kept(
        MEDIAL_BRANCH.required, (("foramen_L4_left", 3), ("spinal_canal", 3), ("psoas_left", 0)), ("nerve_root*",),
        level="L4", person=("parallel to the nerve", "the leg does not"),
    ),
    "facet-joint": Kept(
        required=("spinal_canal", "vertebrae_L4"),
        at_least=(("spinal_canal", 2), ("foramen_L4_left", 1), ("psoas_left", 0)),
        not_imaged=("nerve_root*",), ways=("facet_joint_L4_left",), level="L4", person=("FIRST profile",),
    ),
    "sacroiliac-joint": Kept(
        required=("sacrum", "hip_left"),
        at_least=(
            ("presacral_space", 0), ("colon", 5), ("rectum", 5), ("sacral_foramen_1_left", 2), ("iliac_artery_left", 5),
        ),
        not_imaged=("sacral_roots*",), ways=("sacroiliac_joint_left",), person=("less than 2.5 mL",),
    ),
    "disc-biopsy": Kept(
        required=("spinal_canal", "aorta", "inferior_vena_cava", "colon", "kidney_left", "kidney_right"),
        at_least=(("spinal_canal", 1), ("aorta", 5), ("iliac_artery_left", 5), ("small_bowel", 5), ("vertebrae_L5", 0)),
        not_imaged=("nerve_root*",), ways=("disc_L4",), level="L4", person=("halves the endplate",),
    ),
    "stimulator-lead": Kept(
        required=("vertebrae_L1",), at_least=(("dural_sac", 0), ("spinal_cord", 1), ("vertebrae_L2", 0)),
        not_imaged=("dura*",), ways=("epidural_space",), level="L1", person=("less than 45 degrees",),
    ),
    "bone-biopsy": Kept(
        required=("closed_compartment",),
        at_least=(("hip_joint_left", 2), ("femur_right", 0), ("vertebrae_L4", 0), ("rib_left_6", 0), ("sacrum", 0)),
        not_imaged=("neurovascular_bundle*",), ways=("femur_left", "hip_left"), person=("one track",),
    ),
    "joint-injection": Kept(
        at_least=(
            ("tendon", 1), ("cartilage_femur", 0), ("femur_left", 0), ("hip_left", 0), ("femoral_artery_left", 3),
        ),
        not_imaged=("neurovascular_bundle*",), ways=("joint_space",), person=("contrast flows off",),
    ),
    "synovial-biopsy": Kept(
        at_least=(("tendon", 1), ("femur_left", 0), ("popliteal_artery_left", 3), ("cartilage_tibia", 0)),
        not_imaged=("neurovascular_bundle*",), ways=("synovium",), person=("suprapatellar recess",),
    ),
}  # fmt: skip


@pytest.fixture(params=KEPT)
def rules(request: pytest.FixtureRequest) -> tuple[ProcedureProtocol, Kept]:
    kept = KEPT[request.param]
    return registry.protocol(request.param).at_level(kept.level), kept


def test_what_must_be_known_is_required(rules: tuple[ProcedureProtocol, Kept]) -> None:
    protocol, kept = rules
    for name in kept.required:
        found = [one for one in protocol.hard if one.needs is Need.REQUIRED and fits(name, one.structure, "left")]
        assert found, name


def test_the_distances_are_no_smaller(rules: tuple[ProcedureProtocol, Kept]) -> None:
    protocol, kept = rules
    for name, least_mm in kept.at_least:
        limit = protocol.limit_for(name, "left")
        assert limit is not None and limit.min_clearance_mm >= least_mm, name


def test_what_no_plain_ct_shows_is_listed(rules: tuple[ProcedureProtocol, Kept]) -> None:
    protocol, kept = rules
    listed = {limit.structure for limit in protocol.hard if limit.needs is Need.NOT_IMAGED}
    assert set(kept.not_imaged) <= listed


def test_the_way_to_the_target_is_open(rules: tuple[ProcedureProtocol, Kept]) -> None:
    protocol, kept = rules
    for name in kept.ways:
        assert protocol.may_cross(name, "left") and not protocol.limit_for(name, "left"), name


def test_the_steps_of_a_person_are_told(rules: tuple[ProcedureProtocol, Kept]) -> None:
    protocol, kept = rules
    words = " / ".join(step.words for step in protocol.sequence_rules if step.rule is Sequence.PERSON)
    assert [step for step in kept.person if step not in words] == []


COMPUTED = {
    "vertebroplasty": {(Sequence.BESIDE_UNTIL_PAST_FRONT, "spinal_canal*"), (Sequence.THROUGH_PEDICLE, "vertebrae_L3")},
    "kyphoplasty": {(Sequence.BESIDE_UNTIL_PAST_FRONT, "spinal_canal*"), (Sequence.THROUGH_PEDICLE, "vertebrae_L3")},
    "transforaminal-lumbar": {(Sequence.NEVER_MEDIAL, "spinal_canal*")},
    "caudal-epidural": {(Sequence.NOT_ABOVE, "vertebrae_S3*")},
}


@pytest.mark.parametrize("id", COMPUTED)
def test_the_rules_of_order_that_are_computed(id: str) -> None:
    protocol = registry.protocol(id).at_level(KEPT[id].level)
    computed = {(step.rule, step.structure) for step in protocol.sequence_rules if step.rule is not Sequence.PERSON}
    assert computed == COMPUTED[id]


def test_sides_and_levels() -> None:
    sided = {id for id in KEPT if registry.protocol(id).sided}
    assert sided == {
        "pleural-biopsy", "chest-drain", "kidney-biopsy", "adrenal-biopsy", "kidney-cryoablation",
        "transforaminal-lumbar", "medial-branch-block", "medial-branch-rf", "facet-joint", "sacroiliac-joint",
        "bone-biopsy", "joint-injection", "synovial-biopsy",
    }  # fmt: skip
    levels = {id: registry.protocol(id).levels for id in KEPT if registry.protocol(id).levels}
    assert levels["vertebroplasty"] == levels["kyphoplasty"]
    assert {"T1", "T12", "L5"} <= set(levels["vertebroplasty"])
    assert levels["transforaminal-lumbar"] == levels["medial-branch-rf"] == ("L1", "L2", "L3", "L4", "L5", "S1")
    assert "L1" not in levels["lumbar-puncture"], "the conus reaches it"
    assert levels["facet-joint"] == levels["disc-biopsy"] == ("L1", "L2", "L3", "L4", "L5")


def test_the_cannula_of_a_kyphoplasty_is_thicker() -> None:
    thinnest = min(registry.device(id).diameter_mm for id in registry.protocol("kyphoplasty").devices)
    assert thinnest > max(registry.device(id).diameter_mm for id in registry.protocol("vertebroplasty").devices)


def test_what_is_drained_is_judged_by_the_drain() -> None:
    for id in ("chest-drain", "abdominal-drainage"):
        first = registry.device(registry.protocol(id).devices[0])
        assert "drain" in first.name and first.diameter_mm > 3.0
