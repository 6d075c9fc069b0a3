"""Segmenters run for a session: in a process of their own, stopped, refused, and never over what changed meanwhile."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

import navplan as nv
from navplan.errors import InputError
from navplan.model.structure import Presence
from navplan.session.document import document
from navplan.session.editing import edit, redo_edit, undo_edit
from navplan.session.segmenters_offered import offered
from navplan.session.segmenting import Segmenting, sentence
from navplan.session.session import Session
from tests.session.saved_case import copy_of, phantom_case

pytestmark = pytest.mark.xdist_group("saved case")  # made once
LONGEST_S = 120.0


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(copy_of("planned", tmp_path / "case"))


def middle(name: str) -> list[float]:
    points = phantom_case().structures[name].voxel_centres_mm()
    return [float(value) for value in points[((points - points.mean(axis=0)) ** 2).sum(axis=1).argmin()]]


def ended(segmenting: Segmenting) -> dict[str, object]:
    end = time.monotonic() + LONGEST_S
    while segmenting.told()["state"] == "running":
        assert time.monotonic() < end
        time.sleep(0.02)
    return segmenting.told()


def test_a_structure_from_a_seed_is_told_kept_and_taken_back(session: Session) -> None:
    before = session.case.structures["liver"]
    segmenting = Segmenting(session)
    segmenting.start("ct-region", "liver", [middle("liver")], "Dr A")
    run = segmenting._run
    assert run is not None and run.asked.volume is not session.image()[1]  # another thread may look at that one
    with pytest.raises(InputError, match="one at a time"):
        segmenting.start("ct-basic")
    edit(session, "stent", [["paint", [*middle("colon"), 6.0]]], "Dr B")  # the session goes on meanwhile
    told = ended(segmenting)
    assert told["state"] == "done", told
    (made,) = told["made"]
    assert made["name"] == "liver" and made["ml"] > 10 and not made["cut"]
    kept = nv.open_case(session.folder)
    assert kept.structures["liver"].made_by == "semiautomatic" and "stent" in kept.structures
    assert kept.audit[-1].who == "Dr A" and kept.audit[-1].details["seeds_mm"] == [middle("liver")]
    row = next(row for row in document(session)["structures"] if row["name"] == "liver")["made"]
    assert row["how"] == "semiautomatic" and row["with"].startswith("ct-region") and row["by"] == "Dr A"
    assert row["confidence"] is None and row["cut"] is False and row["ml"] == pytest.approx(made["ml"], abs=0.01)
    undo_edit(session, "Dr A")
    assert session.case.structures["liver"].digest == before.digest
    redo_edit(session, "Dr A")
    assert session.case.structures["liver"].digest == kept.structures["liver"].digest


def test_what_was_changed_meanwhile_is_not_replaced(session: Session) -> None:
    segmenting = Segmenting(session)
    segmenting.start("ct-region", "liver", [middle("liver")])
    edit(session, "liver", [["grow_mm", 4]], "Dr B")
    changed = session.case
    told = ended(segmenting)
    assert told["state"] == "refused" and "changed while it was segmented" in str(told["words"])
    assert session.case is changed


def test_a_refusal_says_what_to_do_and_changes_nothing(session: Session) -> None:
    before = session.case
    segmenting = Segmenting(session)
    corner = [float(value) for value in before.image()[1].grid.points_mm((1.0, 1.0, 1.0))]
    segmenting.start("ct-region", "liver", [corner])
    told = ended(segmenting)
    assert told["state"] == "refused" and "in air (expected: a seed in tissue)" in str(told["words"]), told
    assert session.case is before and nv.open_case(session.folder).revision == before.revision


def test_a_run_is_stopped_at_once_and_leaves_no_process(session: Session) -> None:
    before, segmenting = session.case, Segmenting(session)
    for wait_s in (0.0, 0.4):  # a process takes longer to begin
        segmenting.start("ct-basic")
        time.sleep(wait_s)
        run = segmenting._run
        assert run is not None
        segmenting.close()
        assert segmenting.told()["state"] == "stopped"
        assert run.process is None or not run.process.is_alive()
    segmenting.stop()  # nothing runs: nothing happens
    assert session.case is before


@pytest.mark.parametrize(
    ("segmenter", "structure", "seeds"),
    [
        ("nobody", "", None), ("ct-basic", "liver", [[0, 0, 0]]), ("ct-region", "liver", None),
        ("ct-region", "liver", []), ("ct-region", "liver", [[0, 0]]), ("ct-region", "liver", [None]),
        ("ct-region", "liver", [[1e5, 0, 0]]),
        ("ct-region", "liver", [[float("nan"), 0, 0]]), ("ct-region", 3, [[0, 0, 0]]), (None, "", None),
        ("totalsegmentator-mr", "", None), ("ct-region", "liver", [[0, 0, 0]] * 101),
    ],
)  # fmt: skip
def test_what_makes_no_sense_starts_nothing(
    session: Session, segmenter: object, structure: object, seeds: object
) -> None:
    segmenting = Segmenting(session)
    with pytest.raises(InputError):
        segmenting.start(segmenter, structure, seeds)
    assert segmenting.told()["state"] == "idle"


def test_what_is_offered_fits_the_image(session: Session) -> None:
    told = document(session)["segmenters"]
    assert told["whole"][0]["segmenter"] == "ct-basic"
    assert not {row["segmenter"] for row in told["whole"]} & {"totalsegmentator-mr", "ct-region", "ct-vessel"}
    names = {one["name"]: one for row in told["seeded"] for one in row["names"]}
    here = session.case.structures
    assert names["liver"]["present"] == (here["liver"].presence is Presence.PRESENT)
    assert names["kidney_right"]["required"] and not names["spleen"]["required"]  # by liver-biopsy
    assert {row["segmenter"] for row in offered("MR")["whole"]} >= {"totalsegmentator-mr"}
    assert not {row["segmenter"] for row in offered("MR")["seeded"]} & {"ct-region"}


def test_a_refusal_is_one_sentence() -> None:
    assert sentence("a seed in air.", "a seed in tissue", "") == "a seed in air (expected: a seed in tissue)."
    assert sentence("it leaked", "less", "Move the seed.") == "it leaked (expected: less) — move the seed."
