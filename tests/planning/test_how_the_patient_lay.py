"""A header that the couch contradicts, labelled or not, and what is said where no couch is seen."""

from __future__ import annotations

import pytest

from benchmarks.mistake_worlds import lying, with_couch, without, world
from navplan.extend import registry
from navplan.model.case import Case
from navplan.model.safety import FindingKind, Verdict
from navplan.planning.how_the_patient_lay import NOT_UNDER, header_alone, how_the_patient_lay
from navplan.planning.situation import Situation
from navplan.verbs.situation import situation_of, target_of

COARSE_MM = 4.0
pytestmark = pytest.mark.xdist_group("lidc")  # the real chest and the worlds of phantoms made once


def asked(case: Case, position: str = "") -> Situation:
    aim = target_of(case.structures_of("ct"), "nodule_left")
    return situation_of(case, registry.protocol("lung-biopsy"), aim, side="L", patient_position=position)


@pytest.fixture(scope="module")
def bare() -> Case:
    return world("chest", COARSE_MM).case


@pytest.fixture(scope="module")
def shown(bare: Case) -> Case:
    return with_couch(bare)


def test_a_couch_in_the_voxels_contradicts_a_header_and_bears_out_another(shown: Case) -> None:
    assert how_the_patient_lay(asked(shown)) == []
    (finding,) = how_the_patient_lay(asked(lying(shown, "HFP"), "HFP"))
    assert finding.verdict is Verdict.NOT_EVALUATED and finding.kind is FindingKind.PATIENT
    assert finding.words == f"the image says HFP, but the couch that the image shows {NOT_UNDER}"
    (left,) = how_the_patient_lay(asked(lying(shown, "FFDL"), "FFDL"))
    assert NOT_UNDER in left.words


def test_without_a_header_the_couch_contradicts_the_position_that_is_asked_for(shown: Case) -> None:
    unsaid = lying(shown, "")
    (silent,) = how_the_patient_lay(asked(unsaid, "HFS"))
    assert silent.verdict is Verdict.WARN and "does not say" in silent.words
    silent, against = how_the_patient_lay(asked(unsaid, "HFP"))
    assert against.words == f"the procedure is HFP, but the couch that the image shows {NOT_UNDER}"


def test_where_no_couch_is_seen_the_header_is_called_alone(bare: Case, shown: Case) -> None:
    said = "HFS rests on the header alone: no couch is seen in the image, and none is labelled"
    assert header_alone(bare.volumes["ct"], bare.structures) == said
    assert said in world("chest", COARSE_MM).plan.notes
    assert header_alone(shown.volumes["ct"], shown.structures) == ""
    assert header_alone(lying(bare, "").volumes["ct"], bare.structures) == ""
    labelled = world("abdomen", COARSE_MM).case
    assert header_alone(bare.volumes["ct"], labelled.structures) == ""
    assert not any("header alone" in words for words in world("abdomen", COARSE_MM).plan.notes)


def test_a_labelled_couch_is_named(bare: Case) -> None:
    couch = world("abdomen", COARSE_MM).case.structures["couch"]
    case = lying(bare.with_structures(couch), "HFP")
    (finding,) = how_the_patient_lay(asked(case, "HFP"))
    assert finding.structure == "couch" and finding.words == f"the image says HFP, but couch {NOT_UNDER}"
    assert how_the_patient_lay(asked(without(case, "couch"), "HFP")) == []
