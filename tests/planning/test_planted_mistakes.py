"""Every row of docs/planted-mistakes.md on coarse phantoms: a mistake is caught by what names it, and only then.

The whole table, on finer phantoms and on the real chest, is benchmarks/planted_mistakes.py."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.mistake_worlds import World, renamed, shifted_labels, sides_swapped, without, world
from benchmarks.mistakes import MISTAKES, Mistake, R, outcome
from navplan.model.safety import Verdict
from navplan.planning.labels_fit_image import labels_fit_image
from navplan.planning.which_way_round import which_way_round

COARSE_MM = 4.0
pytestmark = pytest.mark.xdist_group("lidc")  # the real chest and the worlds of phantoms made once
ROWS = [(mistake, name) for mistake in MISTAKES for name in mistake.worlds if name != R]


@pytest.fixture(scope="module")
def worlds() -> dict[str, World]:
    return {name: world(name, COARSE_MM) for name in ("chest", "lumbar-spine", "abdomen")}


@pytest.mark.parametrize(("mistake", "name"), ROWS, ids=[f"{one.planted}-{name}" for one, name in ROWS])
def test_a_mistake_is_caught_and_its_counterpart_is_not(mistake: Mistake, name: str, worlds: dict[str, World]) -> None:
    by, counterpart = outcome(mistake, worlds[name])
    assert counterpart is None
    assert (by is None) == bool(mistake.limit), by


def test_nothing_is_said_where_names_and_places_agree(worlds: dict[str, World]) -> None:
    for here in worlds.values():
        assert which_way_round(here.case.structures) == ()


def test_one_label_alone_on_the_wrong_side_is_named(worlds: dict[str, World]) -> None:
    case = without(worlds["chest"].case, "rib_right_6")
    (finding,) = which_way_round(renamed(case, {"rib_left_6": "rib_right_6"}).structures)
    assert finding.verdict is Verdict.NOT_EVALUATED
    assert finding.words.startswith("left and right contradict the names: rib_right_6 lies ")


def test_without_a_spine_the_body_is_the_middle(worlds: dict[str, World]) -> None:
    case = worlds["abdomen"].case
    bare = without(case, *(name for name in case.structures if name.startswith("vertebrae")))
    assert which_way_round(bare.structures) == ()
    (finding,) = which_way_round(sides_swapped(bare, "kidney").structures)
    assert "right of the body's middle" in finding.words


def test_one_organ_on_its_other_side_is_a_warning_and_a_liver_there_is_not_evaluated(worlds: dict[str, World]) -> None:
    structures = worlds["abdomen"].case.structures
    for names, verdict in (
        ({"spleen": "gallbladder", "gallbladder": "spleen"}, Verdict.WARN),
        ({"spleen": "liver", "liver": "spleen"}, Verdict.NOT_EVALUATED),
    ):
        (finding,) = which_way_round(renamed(worlds["abdomen"].case, names).structures)
        assert finding.verdict is verdict and "situs inversus" in finding.words, structures.keys()


def test_one_label_beside_what_it_names_is_a_warning(worlds: dict[str, World]) -> None:
    case = worlds["abdomen"].case
    image = case.volumes["ct"]
    assert labels_fit_image(image, case.structures) == ()
    aorta = shifted_labels(case, 400.0).structures["aorta"]
    (finding,) = labels_fit_image(image, {**case.structures, "aorta": aorta})
    assert finding.verdict is Verdict.WARN and "aorta (0% of it fits)" in finding.words
    assert labels_fit_image(replace(image, quantity="SUV"), {"aorta": aorta}) == ()
