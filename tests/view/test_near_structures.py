"""What a scene shows."""

from dataclasses import replace

from navplan.model.structure import Structure
from navplan.model.trajectory import Trajectory
from navplan.planning.check_plan import judge
from navplan.verbs.situation import situation_of, target_of
from navplan.view.near_structures import choose_structures
from tests.planning.scenes import case_of, protocol_of
from tests.planning.test_judgement import LATERAL, NEEDLE


def named(structure: Structure, name: str) -> Structure:
    return replace(structure, name=name)


def test_unnamed_bone_is_not_drawn_over_named_bones_and_is_where_it_stands_alone() -> None:
    case = case_of()
    rib = case.structures["rib_right_9"]
    three = [named(rib, name) for name in ("rib_right_8", "rib_right_10", "vertebrae_L1")]
    both = case.with_structures(named(rib, "bone"), *three)
    for shown_case, expected in ((both, False), (case.with_structures(named(rib, "bone")), True)):
        situation = situation_of(shown_case, protocol_of(), target_of(dict(shown_case.structures), "lesion"))
        way = Trajectory(*LATERAL, NEEDLE)
        shown = choose_structures(shown_case.structures, way, judge(way, situation), "lesion")
        assert ("bone" in shown.bones or "bone" in shown.deciding) is expected


def test_before_there_is_a_way_a_lesion_is_drawn_however_many_organs_there_are() -> None:
    case = case_of()
    organs = [named(case.structures["liver"], f"organ_{number}") for number in range(20)]
    lesion = case.structures["lesion"]
    structures = {**{one.name: one for one in organs}, "lesion": lesion}
    shown = choose_structures(structures, None, None, "")
    assert len(shown.organs) < len(organs) and shown.organs[0] == "lesion"
