"""Scripted attempts kept, played again to the same bits or refused, and told beside what the plan promised."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import navplan as nv
from navplan.cli.score_words import score_lines
from navplan.errors import ChoiceError, FileFormatError, InputError, MismatchError
from navplan.extend import registry
from navplan.files.attempt_file import AttemptFile, read_attempt, write_attempt
from navplan.files.chained_lines import chained
from navplan.model.protocol import Need
from navplan.model.safety import Verdict
from navplan.model.scenario import MetricLimit
from navplan.model.structure import Presence, Structure
from navplan.planning.check_plan import judge
from navplan.planning.margins import margins
from navplan.session.rehearsing import Rehearsing
from navplan.session.rehearsing_told import result
from navplan.training.actions import Advance, CtScan, Finish, Fire, Place, Wait
from navplan.training.log import chained as link
from navplan.verbs.attempts import head_of, keep_attempt
from navplan.verbs.learning import curves
from navplan.verbs.score import beside, score, scores
from navplan.verbs.score_picture import score_picture
from navplan.verbs.train import Trained, train
from navplan.verbs.training import Rehearsal, rehearsal_of
from tests.verbs.rehearsal_scene import scenario_file


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Rehearsal:
    """A small scenario, made ready."""
    return rehearsal_of(registry.scenario(scenario_file(tmp_path_factory.mktemp("scenario"))))


@pytest.fixture(scope="module")
def novices(ready: Rehearsal, tmp_path_factory: pytest.TempPathFactory) -> tuple[Trained, ...]:
    """Three attempts by the scripted novice."""
    return train(ready, "novice", out=tmp_path_factory.mktemp("attempts"), runs=3)


@pytest.fixture(scope="module")
def through_the_colon(ready: Rehearsal, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A needle that goes straight into the colon, waits there, comes back, and goes the planned way."""
    attempt, way = ready.attempt(3), ready.way
    for action in (
        Place((-30.0, -70.0, -40.0), (0.0, 1.0, 0.0)), Advance(25.0), Wait(30.0), Advance(-40.0),
        Place(way.entry_mm, tuple(way.direction.tolist())), Advance(30.0), CtScan(), Advance(way.tip_depth_mm - 30.0),
        Fire(), Finish(),
    ):  # fmt: skip
        attempt.act(action)
    return keep_attempt(ready, attempt, tmp_path_factory.mktemp("hand"), "Otter")


def tampered(file: AttemptFile, path: Path, number: int, **action: float) -> Path:
    """The same file with one action's numbers changed, its sums and links made right again."""
    log = list(file.log)
    log[number - 1] = replace(log[number - 1], action={**log[number - 1].action, **action})
    for n in range(number - 1, len(log)):
        log[n] = replace(log[n], chain=link(log[n - 1].chain if n else "", log[n]))
    write_attempt(path, file.head, log)
    return path


def test_what_a_file_tells_of_an_action_is_what_its_link_was_made_of(
    ready: Rehearsal, through_the_colon: Path, tmp_path: Path
) -> None:
    file = read_attempt(through_the_colon)
    log = list(file.log)
    assert any(event.kind == "touched" for event in log[1].events)
    log[1] = replace(log[1], events=())
    write_attempt(tmp_path / "kinder.attempt", file.head, log)
    for other_bits in (False, True):
        with pytest.raises(FileFormatError, match="action 2, which was changed after it was done"):
            score(tmp_path / "kinder.attempt", ready, other_bits=other_bits)


def test_an_attempt_is_scored_from_its_replay_to_the_bit(ready: Rehearsal, novices: tuple[Trained, ...]) -> None:
    for made in novices:
        found = score(made.path, ready)
        file = read_attempt(made.path)
        assert [entry.chain for entry in found.replay.attempt.log] == [entry.chain for entry in file.log]
        assert repr(found.replay.attempt.log) == repr(file.log)
        assert repr(found.metrics) == repr(score(made.path, ready).metrics)  # NaN is not itself
        assert found.replay.words == "played again to the same bits"
    assert len({read_attempt(made.path).log[-1].chain for made in novices}) == 3  # seeds differ


def test_what_is_there_is_not_done_again(ready: Rehearsal, novices: tuple[Trained, ...], tmp_path: Path) -> None:
    folder = novices[0].path.parent
    before = {path: path.read_bytes() for path in folder.iterdir()}
    again = train(ready, "novice", out=folder, seed=1, runs=3)
    assert [one.new for one in again] == [False, False, True]
    assert all(path.read_bytes() == data for path, data in before.items())
    again[-1].path.unlink()
    (tmp_path / novices[0].path.name).write_bytes(novices[1].path.read_bytes())
    with pytest.raises(MismatchError, match="differs in seed"):
        train(ready, "novice", out=tmp_path)
    (tmp_path / novices[0].path.name).write_bytes(novices[0].path.read_bytes()[:-40])
    with pytest.raises(InputError, match="torn off"):
        train(ready, "novice", out=tmp_path)


def test_a_stop_leaves_whole_files_and_no_other(
    ready: Rehearsal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from navplan.verbs import train as module

    whole = module.ScriptedLearner.play

    def stopped(self: object, attempt: object) -> None:
        if attempt.seed == 1:  # type: ignore[attr-defined]
            attempt.act(Wait(1.0))  # type: ignore[attr-defined]
            raise KeyboardInterrupt
        whole(self, attempt)  # type: ignore[arg-type]

    monkeypatch.setattr(module.ScriptedLearner, "play", stopped)
    with pytest.raises(KeyboardInterrupt):
        train(ready, "expert", out=tmp_path / "a", runs=3)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["small-biopsy-usual-expert-0000.attempt"]
    monkeypatch.undo()
    assert [one.new for one in train(ready, "expert", out=tmp_path / "a", runs=2)] == [False, True]


def test_what_cannot_be_is_refused_before_a_file_is_made(ready: Rehearsal, tmp_path: Path) -> None:
    for wrong, match in (
        ({"learner": "surgeon"}, "surgeon"), ({"runs": 0}, "0 runs"), ({"seed": -1}, "seed -1"),
        ({"difficulty": "absurd"}, "absurd"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=match):
            train(ready, **{"out": tmp_path / "a", **wrong})  # type: ignore[arg-type]
    with pytest.raises(ChoiceError):
        train("no-such-scenario", out=tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_other_bits_are_told_from_the_entry_on_and_not_scored(
    ready: Rehearsal, novices: tuple[Trained, ...], tmp_path: Path
) -> None:
    file = read_attempt(novices[0].path)
    number = next(entry.number for entry in file.log if entry.action["do"] == "advance")
    mm = file.log[number - 1].action["mm"]
    path = tampered(file, tmp_path / "a.attempt", number, mm=mm - 0.25)
    with pytest.raises(MismatchError, match=rf"other bits from action {number} on; made with .*numpy .*--other-bits"):
        score(path, ready)
    found = score(path, ready, other_bits=True)
    assert found.replay.differs_at == number and repr(found.metrics) != "()"
    path = tampered(file, tmp_path / "b.attempt", number, mm=500.0)
    with pytest.raises(MismatchError, match=f"action {number} cannot be done again"):
        score(path, ready, other_bits=True)


def test_another_scenario_patient_or_way_is_refused(
    ready: Rehearsal, novices: tuple[Trained, ...], tmp_path: Path
) -> None:
    file = read_attempt(novices[0].path)
    slower = replace(ready.scenario, costs=replace(ready.scenario.costs, place_s=21.0))
    with pytest.raises(MismatchError, match="rules, costs or variation"):
        score(file, replace(ready, scenario=slower))
    with pytest.raises(MismatchError, match="needle or its way"):
        score(file, replace(ready, way=replace(ready.way, target_mm=(-40.0, 0.0, 0.5))))
    structures = {name: one for name, one in ready.situation.structures.items() if name != "colon"}
    with pytest.raises(MismatchError, match="outlined on the patient"):
        score(file, replace(ready, situation=replace(ready.situation, structures=structures)))
    with pytest.raises(MismatchError, match="an attempt at small-biopsy"):
        score(file, replace(ready, scenario=replace(ready.scenario, id="other")))
    told = replace(ready.scenario, words="Better words.", limits=(MetricLimit("session_s", 1.0, "another teacher"),))
    assert score(file, replace(ready, scenario=told)).replay.differs_at == 0  # words and limits may change


def test_when_a_structure_was_said_to_be_absent_does_not_matter_and_that_it_was_does(ready: Rehearsal) -> None:
    def made(presence: Presence, day: str) -> Rehearsal:
        grid = ready.situation.image.grid
        said = Structure("spleen", presence, evaluated_in=grid, image_id="ct", stated_by="test", stated_on=day)
        structures = {**ready.situation.structures, "spleen": said}
        return replace(ready, situation=replace(ready.situation, structures=structures))

    heads = [
        head_of(one, one.attempt(0)).structures
        for one in (made(Presence.ABSENT, "2026-12-01"), made(Presence.ABSENT, "2026-12-02"), ready)
    ]
    assert heads[0] == heads[1] != heads[2]


def test_what_was_touched_stands_beside_the_promise(ready: Rehearsal, through_the_colon: Path) -> None:
    found = score(through_the_colon, ready)
    first = found.outcome.structures[0]
    radius = ready.way.device.radius_mm
    assert first.name == "colon" and first.touched and first.least is not None
    assert first.least.low_mm == -radius and first.least.high_mm <= 0.0
    assert first.promised is not None and first.last is not None
    assert first.promised.low_mm > 25.0 and first.last.low_mm == pytest.approx(first.promised.low_mm, abs=1.0)
    entries = found.replay.attempt.log
    assert first.touched_s == pytest.approx(entries[3].time_s - entries[1].time_s)  # waiting there, and coming back
    assert not any(row.touched for row in found.outcome.structures[1:])
    assert found.outcome.last is not None and found.outcome.last.verdict is ready.promised.verdict
    assert found.outcome.entry_off_mm < 1e-6 and found.outcome.angle_off_deg < 2.0
    assert abs(found.outcome.depth_off_mm) < 1e-6
    aorta = next(row for row in found.outcome.structures if row.name == "aorta")
    risk = next(risk for risk in ready.situation.risks if risk.name == "aorta")
    lines = [path.points_mm[[0, -1]] for path in found.replay.paths if path is not None and path.inserted_mm > 1.0]
    last = found.last
    assert last is not None
    lines.append(np.stack([last.tip_mm, last.tip_mm + ready.way.device.throw_mm * last.direction]))
    measured = margins([risk.boundary], [line[0] for line in lines], [line[1] for line in lines])
    assert aorta.least is not None and aorta.last is not None
    assert aorta.least.low_mm == pytest.approx(measured.low_mm(radius).min(), abs=0.3)  # bent shafts are not lines


def test_no_needle_is_not_judged(ready: Rehearsal, tmp_path: Path) -> None:
    attempt = ready.attempt(0)
    attempt.act(Finish())
    found = score(keep_attempt(ready, attempt, tmp_path), ready)
    assert found.outcome.last is None and found.last is None and np.isnan(found.outcome.tip_off_mm)
    assert all(row.least is None and not row.touched for row in found.outcome.structures)
    values = {one.name: one.value for one in found.metrics}
    assert np.isnan(values["no_go_touched"]) and np.isnan(values["no_go_s"])  # none was spared either
    assert curves([found])[0].beyond == (("target_off_mm",),)  # never done is beyond
    with pytest.raises(MismatchError, match="never was in the body"):
        beside(found, found)


def test_what_was_never_evaluated_is_not_told_to_be_spared(
    ready: Rehearsal, novices: tuple[Trained, ...], tmp_path: Path
) -> None:
    rules = ready.situation.protocol
    vein = replace(rules.hard[0], structure="portal_vein", needs=Need.REQUIRED)
    situation = replace(ready.situation, protocol=replace(rules, hard=(*rules.hard, vein)))
    blind = replace(ready, situation=situation, promised=judge(ready.way, situation))
    found = score(novices[0].path, blind)
    assert {name for name, _ in found.outcome.unevaluated} == {"portal_vein"}
    values = {one.name: one.value for one in found.metrics}
    assert np.isnan(values["no_go_touched"]) and np.isnan(values["no_go_s"])
    limits = (MetricLimit("no_go_touched", 0.0, "test"),)
    assert curves([found], teachers=limits)[0].beyond == (("no_go_touched",),)
    assert any("not evaluated, and may have been touched: portal_vein" in line for line in score_lines(found))
    rehearsing = Rehearsing(blind)
    rehearsing.act({"do": "finish"})
    shown = result(rehearsing)["structures"]
    assert [one["how"] for one in shown if one["name"] == "portal_vein"] == ["unknown"]
    cut = next(one for one in ready.promised.clearances if one.structure == "aorta")
    findings = tuple(
        replace(one, verdict=Verdict.NOT_EVALUATED) if one is cut else one for one in ready.promised.findings
    )
    found = score(novices[0].path, replace(ready, promised=replace(ready.promised, findings=findings)))
    assert next(row.touched for row in found.outcome.structures if row.name == "aorta") is None
    assert any(line.split()[0] == "aorta" and "not evaluated" in line for line in score_lines(found) if line)


def test_two_attempts_part_where_their_needles_do(
    ready: Rehearsal, novices: tuple[Trained, ...], through_the_colon: Path
) -> None:
    one, hand = score(novices[0].path, ready), score(through_the_colon, ready)
    same = beside(one, one)
    assert same[-1].off_mm < 1e-9 and same[-1].time_s == same[-1].other_s
    assert max(row.off_mm for row in same) < max(row.off_mm for row in beside(one, hand))
    rows = beside(hand, one)
    assert [row.number for row in rows] == [2, 4 + 2, 4 + 4] and rows[0].off_mm > 30.0 > rows[1].off_mm
    assert rows[0].time_s == hand.replay.attempt.log[1].time_s


def test_a_curve_takes_attempts_by_date_and_names_whose_limits(
    ready: Rehearsal, novices: tuple[Trained, ...], through_the_colon: Path
) -> None:
    found = [score(made.path, ready) for made in reversed(novices)] + [score(through_the_colon, ready)]
    hand, scripted = sorted(curves(found), key=lambda one: one.who)
    assert (hand.who, scripted.who) == ("Otter", "scripted novice")
    assert scripted.files == tuple(made.path.name for made in novices)
    assert scripted.limits[0].source == "test's own teacher"
    values = [next(m.value for m in score(made.path, ready).metrics if m.name == "target_off_mm") for made in novices]
    assert [bool(names) for names in scripted.beyond] == [value > 2.0 for value in values]
    unknown = replace(ready.scenario, limits=(MetricLimit("view_error_deg", 90.0, "x"),))
    again = [score(made.path, replace(ready, scenario=unknown)) for made in novices[:1]]
    assert curves(again)[0].beyond == (("view_error_deg",),)  # what is not known is not within a limit
    with pytest.raises(InputError, match="sets no limits"):
        curves([score(novices[0].path, replace(ready, scenario=replace(ready.scenario, limits=())))])


def test_the_table_has_units_in_its_columns_and_one_row_an_attempt(
    ready: Rehearsal, novices: tuple[Trained, ...], tmp_path: Path
) -> None:
    found = [score(made.path, ready) for made in novices]
    nv.write_table(tmp_path / "t.csv", found)
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 and rows[0]["file"] == novices[0].path.name and rows[0]["same_bits [0 or 1]"] == "1"
    assert float(rows[0]["target_off_mm [mm]"]) == next(m.value for m in found[0].metrics if m.name == "target_off_mm")
    assert rows[0]["view_error_deg [degrees]"] == "nan" and "shots [shots]" not in rows[0]


def test_the_scenario_is_made_ready_once_for_all(
    ready: Rehearsal, novices: tuple[Trained, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    from navplan.verbs import score as module

    made = []
    monkeypatch.setattr(module, "rehearsal_of", lambda scenario, progress: made.append(scenario) or ready)
    file = ready.scenario.origin.file
    found = scores([one.path for one in reversed(novices)], scenario=file)
    assert [one.head.seed for one in found] == [0, 1, 2] and len(made) == 1
    with pytest.raises(ChoiceError, match="small-biopsy"):
        scores([novices[0].path])


@pytest.mark.xdist_group("render")
def test_the_picture_shows_shafts_and_what_was_touched(
    ready: Rehearsal, novices: tuple[Trained, ...], through_the_colon: Path
) -> None:
    from navplan.view.attempt_picture import ATTEMPT, OTHER, TOUCHED

    def share(picture: np.ndarray, colour: tuple[int, int, int]) -> int:
        return int((np.abs(picture[:760].astype(int) - colour).max(axis=2) < 12).sum())

    hand = score_picture(score(through_the_colon, ready), score(novices[0].path, ready))
    alone = score_picture(score(novices[0].path, ready))
    assert hand.shape[1] == 2 * 760 + 6 and hand.dtype == np.uint8
    assert share(hand, ATTEMPT) > 300 and share(hand, OTHER) > 100 and share(hand, TOUCHED) > 50
    assert share(alone, ATTEMPT) > 300 and share(alone, OTHER) == 0 and share(alone, TOUCHED) == 0


def test_a_file_of_a_chain_that_is_right_by_itself_is_still_no_attempt(tmp_path: Path) -> None:
    (tmp_path / "a.attempt").write_bytes(chained([{"kind": "head"}]))
    with pytest.raises(InputError, match="navplan attempt"):
        score(tmp_path / "a.attempt")
