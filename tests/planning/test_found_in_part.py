"""A structure of which more may be there than was found: no way is called free of it."""

from __future__ import annotations

import numpy as np
import pytest

from navplan.extend import registry
from navplan.geometry.grid import Grid
from navplan.model.finding import FOUND_IN_PART
from navplan.model.safety import Finding, Verdict
from navplan.model.structure import Presence, Structure
from navplan.model.trajectory import Target
from navplan.model.volume import Volume
from navplan.planning.circumstances import presence
from navplan.planning.situation import Situation

GRID = Grid(np.diag([2.0, 2.0, 2.0, 1.0]), (20, 20, 20))


def present(name: str, incomplete: str = "") -> Structure:
    mask = np.zeros(GRID.shape, dtype=np.uint8)
    mask[5:8, 5:8, 5:8] = 255
    return Structure(
        name, Presence.PRESENT, mask, GRID, evaluated_in=GRID, image_id="ct", origin="x", incomplete=incomplete
    )


def absent(name: str) -> Structure:
    return Structure(name, Presence.ABSENT, evaluated_in=GRID, image_id="ct", stated_by="a", stated_on="2026-01-01")


def told(*structures: Structure) -> list[Finding]:
    protocol = registry.protocol("lung-biopsy")
    situation = Situation(
        "ct", Volume(np.zeros(GRID.shape, np.int16), GRID), {one.name: one for one in structures}, protocol,
        Target((10.0, 10.0, 10.0), ""), "left", "left", "HFS", "", protocol.error_model(), True, "2026-01-01",
    )  # fmt: skip
    return [one for one in presence(situation) if one.gap == FOUND_IN_PART]


@pytest.mark.parametrize("name", ["fissure_left", "bulla_left"])
def test_required_and_found_in_part_is_not_evaluated(name: str) -> None:
    (one,) = told(present(name, "only where it shows"))
    assert one.verdict is Verdict.NOT_EVALUATED
    assert name in one.words and "only where it shows" in one.words and "--absent" in one.remedy


def test_a_whole_one_beside_it_does_not_close_it() -> None:
    (one,) = told(present("fissure_left", "in part"), present("fissure_right"))
    assert one.verdict is Verdict.NOT_EVALUATED and "fissure_right" not in one.words


def test_a_persons_word_that_there_is_no_more_closes_it() -> None:
    assert not told(present("fissure_left", "in part"), absent("fissure"))
    assert told(present("fissure_left", "in part"), absent("fissure_right"))


def test_a_whole_one_alone_is_whole() -> None:
    assert not told(present("fissure_left"))


def test_what_is_not_required_warns() -> None:
    (one,) = told(present("bronchi_left", "in part"))
    assert one.verdict is Verdict.WARN
