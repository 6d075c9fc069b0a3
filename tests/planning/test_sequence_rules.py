"""Rules of order on a block with a canal behind it and a pedicle beside that."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from navplan.errors import InputError
from navplan.extend import registry
from navplan.geometry.grid import Grid
from navplan.model.device import Device
from navplan.model.protocol import Sequence, SequenceRule, ViewRequest
from navplan.model.safety import Verdict
from navplan.model.structure import Presence, Structure
from navplan.model.trajectory import Target, Trajectory
from navplan.model.volume import Volume
from navplan.planning.sequence_rules import pedicle_grade, sequence
from navplan.planning.situation import Situation

GRID = Grid(np.diag([1.0, 1.0, 2.0, 1.0]), (90, 110, 20))
X, Y, Z = np.moveaxis(GRID.points_mm(np.stack(np.indices(GRID.shape), axis=-1)), -1, 0)
NEEDLE = Device("n11", "11 G cannula", 11, 3.05, 150.0, 0.0)


def structure(name: str, inside: np.ndarray) -> Structure:
    return Structure(
        name, Presence.PRESENT, inside * np.uint8(255), GRID, evaluated_in=GRID, image_id="ct", origin="x",
        working_resolution_mm=(1.0, 1.0, 2.0),
    )  # fmt: skip


# The midline is x = 45; the body's back is y = 50; the canal 8 mm wide each way; pedicles 8 to 17 mm from the midline.
BODY = (abs(X - 45) <= 22) & (Y >= 20) & (Y <= 50)
PEDICLES = (abs(X - 45) > 9) & (abs(X - 45) <= 18) & (Y > 50) & (Y <= 75)
CANAL = structure("spinal_canal", (abs(X - 45) <= 8) & (Y > 51) & (Y <= 66))
VERTEBRA = structure("vertebrae_L3", BODY | PEDICLES)
SACRUM = structure("vertebrae_S3", (abs(X - 45) <= 10) & (Y > 40) & (Y <= 60) & (Z <= 12))


def way(from_mm: tuple[float, float, float], to_mm: tuple[float, float, float]) -> Trajectory:
    return Trajectory(from_mm, to_mm, NEEDLE)


THROUGH = way((59.0, 105.0, 20.0), (58.0, 30.0, 20.0))  # along the left pedicle's axis
MEDIAL = way((60.0, 105.0, 20.0), (40.0, 30.0, 20.0))  # cuts the canal's corner
BREACHING = way((55.2, 105.0, 20.0), (55.2, 30.0, 20.0))  # beside the canal, partly out of the pedicle


def judged(rule: Sequence, structure_name: str, trajectory: Trajectory, *present: Structure):
    views = (ViewRequest("AP", "x"), ViewRequest("lateral", "x"))
    step = SequenceRule("the rule", rule, "as told", "x1", structure_name, ("AP", "lateral"))
    rules = replace(registry.protocol("lung-biopsy"), views=views, sequence_rules=(step,))
    situation = Situation(
        "ct", Volume(np.zeros(GRID.shape, np.int16), GRID), {one.name: one for one in present}, rules,
        Target(trajectory.target_mm, ""), "", "", "HFS", "", rules.error_model(), True, "2026-01-01",
    )  # fmt: skip
    (found,) = sequence(trajectory, situation)
    return found


def test_the_pedicle_rule_is_kept_through_the_pedicle_and_broken_across_the_canal():
    rule = Sequence.BESIDE_UNTIL_PAST_FRONT
    assert judged(rule, "spinal_canal*", THROUGH, CANAL).verdict is Verdict.PASS
    found = judged(rule, "spinal_canal*", MEDIAL, CANAL)
    assert found.verdict is Verdict.FAIL and "broken from" in found.words
    crossing_in_front = way((85.0, 105.0, 20.0), (45.0, 24.0, 20.0))  # reaches the midline, but in front of the canal
    assert judged(rule, "spinal_canal*", crossing_in_front, CANAL).verdict is Verdict.PASS
    behind = way((45.0, 105.0, 20.0), (58.0, 30.0, 20.0))  # begins behind the canal, within its width
    assert judged(rule, "spinal_canal*", behind, CANAL).verdict is Verdict.FAIL


def test_the_needles_own_width_counts():
    rule, thin = Sequence.BESIDE_UNTIL_PAST_FRONT, replace(NEEDLE, diameter_mm=0.5)
    near = (54.5, 105.0, 20.0), (54.5, 30.0, 20.0)  # 1 mm from the canal's outer faces
    assert judged(rule, "spinal_canal*", Trajectory(*near, thin), CANAL).verdict is Verdict.PASS
    assert judged(rule, "spinal_canal*", Trajectory(*near, NEEDLE), CANAL).verdict is Verdict.FAIL


def test_never_medial_counts_in_front_of_the_canal_too():
    crossing_in_front = way((85.0, 105.0, 20.0), (45.0, 24.0, 20.0))
    assert judged(Sequence.NEVER_MEDIAL, "spinal_canal*", crossing_in_front, CANAL).verdict is Verdict.FAIL
    assert judged(Sequence.NEVER_MEDIAL, "spinal_canal*", THROUGH, CANAL).verdict is Verdict.PASS


def test_not_above():
    low = way((45.0, 105.0, 2.0), (45.0, 50.0, 8.0))
    assert judged(Sequence.NOT_ABOVE, "vertebrae_S3*", low, SACRUM).verdict is Verdict.PASS
    high = way((45.0, 105.0, 2.0), (45.0, 50.0, 16.0))
    assert judged(Sequence.NOT_ABOVE, "vertebrae_S3*", high, SACRUM).verdict is Verdict.FAIL


@pytest.mark.parametrize("rule", [one for one in Sequence if one is not Sequence.PERSON])
def test_what_is_not_there_is_not_evaluated(rule: Sequence):
    assert judged(rule, "spinal_canal*", THROUGH).verdict is Verdict.NOT_EVALUATED
    unknown = Structure("spinal_canal", Presence.UNKNOWN, image_id="ct", origin="x")
    assert judged(rule, "spinal_canal*", THROUGH, unknown).verdict is Verdict.NOT_EVALUATED
    if rule is not Sequence.THROUGH_PEDICLE and rule is not Sequence.NOT_ABOVE:
        elsewhere = structure("spinal_canal", (abs(X - 45) <= 8) & (Y > 51) & (Y <= 66) & (Z > 34))
        assert judged(rule, "spinal_canal*", THROUGH, elsewhere).verdict is Verdict.NOT_EVALUATED


def test_grades_of_the_pedicle():
    """The pedicle is 9 mm wide: a needle of 3.05 mm on its axis is inside; 3.5 mm beside it, out by about 1 mm."""
    inside = pedicle_grade(THROUGH, VERTEBRA, CANAL)
    assert inside is not None and inside.grade == "A"
    breach = pedicle_grade(BREACHING, VERTEBRA, CANAL)
    assert breach is not None and breach.grade == "B" and 0.3 < breach.breach_mm < 1.6
    far = pedicle_grade(way((50.0, 105.0, 20.0), (50.0, 30.0, 20.0)), VERTEBRA, CANAL)
    assert far is not None and far.grade in ("D", "E")
    assert pedicle_grade(way((45.0, 0.0, 20.0), (45.0, 30.0, 20.0)), VERTEBRA, CANAL) is None
    rule = Sequence.THROUGH_PEDICLE
    assert judged(rule, "vertebrae_L3", THROUGH, VERTEBRA, CANAL).verdict is Verdict.PASS
    assert judged(rule, "vertebrae_L3", BREACHING, VERTEBRA, CANAL).verdict is Verdict.WARN
    assert judged(rule, "vertebrae_L3", THROUGH, VERTEBRA).verdict is Verdict.NOT_EVALUATED


def test_a_grade_that_the_voxels_do_not_prove_is_a_warning():
    coarse = replace(VERTEBRA, working_resolution_mm=(4.0, 4.0, 4.0))
    found = judged(Sequence.THROUGH_PEDICLE, "vertebrae_L3", THROUGH, coarse, CANAL)
    assert found.verdict is Verdict.WARN and "not proven with voxels of 6.9 mm" in found.words


def test_a_canal_that_is_labelled_in_part_or_in_another_frame_proves_nothing():
    rising = way((59.0, 105.0, 6.0), (58.0, 30.0, 30.0))
    rule, part = Sequence.BESIDE_UNTIL_PAST_FRONT, structure("spinal_canal", (CANAL.occupancy > 0) & (Z < 18))
    assert judged(rule, "spinal_canal*", rising, CANAL).verdict is Verdict.PASS
    assert judged(rule, "spinal_canal*", rising, part).verdict is Verdict.NOT_EVALUATED
    elsewhere = replace(CANAL, grid=replace(GRID, frame_uid="1.2.3"), evaluated_in=replace(GRID, frame_uid="4.5"))
    assert judged(rule, "spinal_canal*", THROUGH, elsewhere).verdict is Verdict.NOT_EVALUATED


def test_steps_for_a_person_are_listed_and_rules_without_sense_refused():
    found = judged(Sequence.PERSON, "", THROUGH)
    assert found.verdict is Verdict.WARN and "as told" in found.words
    lung = registry.protocol("lung-biopsy")
    for step in (
        SequenceRule("a", Sequence.PERSON, "words", "x", "spinal_canal"),
        SequenceRule("a", Sequence.NOT_ABOVE, "words", "x"), SequenceRule("a", Sequence.PERSON, "", "x"),
        SequenceRule("a", Sequence.PERSON, "words", "x", "", ("no view",)),
    ):  # fmt: skip
        with pytest.raises(InputError, match="sequence rule a"):
            replace(lung, sequence_rules=(step,))
