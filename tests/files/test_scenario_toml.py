"""Scenario files: read whole, or refused with the line that is wrong."""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from navplan.errors import FileFormatError, InputError
from navplan.files.scenario_toml import read_scenario, scenario_from_toml
from navplan.files.scenario_writing import scenario_text
from navplan.files.toml_lines import line_of, lines_of
from navplan.model.scenario import (
    BreathModel,
    Costs,
    Difficulty,
    Goal,
    GoalKind,
    Hazard,
    MetricLimit,
    PatientSource,
    PlannedWay,
    Scenario,
    Sight,
    Variation,
)
from navplan.training.hazards import FACTORS

SCENARIO = """# A comment with a = 3 and [brackets]
id = "mine"
version = "1"
title = "Mine"
words = '''Two lines,
goal = 5 of them'''
protocol = "liver-biopsy"
target = "lesion"
side = "R"
level = "L3"
device = "liver-coaxial-18g-150"
sight = ["ct_steps",
  "fluoroscopy"]
into_bone = false
bend_mm_at_100 = 4
bend_source = "unsourced"
views = ["AP", "lateral of vertebrae_L3", "LAO 30"]
counted = ["no_go_touched", "target_off_mm"]

[patient]
phantom = "abdomen"
spacing_mm = [3.0, 3.0, 4.0]
seed = 2
position = "HFS"

[way]
entry_mm = [1.0, 2.0, 3.0]
target_mm = [4.0, 5.0, 6.0]
tip_short_mm = 11.0

[goal]
kind = "sample"
within_mm = 8.0
source = "unsourced"

[breath]
structures = ["liver", "lesion"]
shift_mm = [1.3, -3.8, -11.9]
period_s = 4.0
hold_sd = 0.1
source = "PMC5978939"

[costs]
shot_s = 2.0
source = "unsourced"

[variation]
start_mm = 1.0
source = "unsourced"

[[difficulties]]
name = "hard"
variation = {start_mm = 6.0, source = "unsourced"}
hold_sd = 0.4
bend_mm_at_100 = 9.0
source = "made up"

[[hazards]]
name = "one"
base = 0.1
factors = [["fissure_crossed", 3.75]]
source = "PMC7362905"

[[hazards]]
name = "two"
base = 0.2
factors = []
source = "unsourced"

[[limits]]
metric = "target_off_mm"
most = 10.0
source = "Dr X"
"""
LINES = SCENARIO.split("\n")


def line(start: str, which: int = 1) -> int:
    """The number of the line that begins so."""
    return [number for number, words in enumerate(LINES, start=1) if words.startswith(start)][which - 1]


def test_a_whole_file_is_read_and_its_lines_are_known() -> None:
    scenario = scenario_from_toml(SCENARIO, "mine.toml", plugin="p", folder="/f")
    assert scenario.sight == (Sight.CT_STEPS, Sight.FLUOROSCOPY)
    assert scenario.goal.kind is GoalKind.SAMPLE
    assert scenario.breath is not None and scenario.breath.shift_mm == (1.3, -3.8, -11.9)
    assert scenario.way is not None and scenario.way.tip_short_mm == 11.0
    assert scenario.hazards[0].factors == (("fissure_crossed", 3.75),)
    assert scenario.at("hard").variation.start_mm == 6.0
    hard = scenario.at("hard")
    assert hard.at("hard") is hard and hard.difficulty == "hard"
    assert hard.breath is not None and hard.breath.hold_sd == 0.4
    assert (hard.bend_mm_at_100, scenario.at("").bend_mm_at_100) == (9.0, 4.0)
    with pytest.raises(InputError, match="besides hard"):
        hard.at("usual")
    assert (scenario.origin.plugin, scenario.origin.file, scenario.origin.folder) == ("p", "mine.toml", "/f")
    assert scenario.origin.lines["goal.within_mm"] == line("within_mm")
    assert scenario.origin.lines["hazards[2].base"] == line("base", 2)
    with pytest.raises(InputError, match=r"difficulty 'odd' of mine.*usual, hard"):
        scenario.at("odd")


def test_what_is_written_reads_back_the_same() -> None:
    scenario = scenario_from_toml(SCENARIO, "mine.toml")
    again = scenario_from_toml(scenario_text(scenario), "again.toml")
    assert again == scenario
    assert scenario_text(again) == scenario_text(scenario)


@pytest.mark.parametrize("quoted", ['a "quoted" word \\ and\nlines\t', "'''", '"""', "[way]\nentry_mm = 3", "é\x7f"])
def test_any_text_survives_writing(quoted: str) -> None:
    from dataclasses import replace

    scenario = replace(scenario_from_toml(SCENARIO, "mine.toml"), words=quoted, title=quoted)
    again = scenario_from_toml(scenario_text(scenario), "again.toml")
    assert (again.words, again.title) == (quoted, quoted)


CHANGED = [  # line that begins so, what stands there instead, words of the message, whose line is told
    ("within_mm", "within_mm = nan", "nan.*finite"),
    ("within_mm", "within_mm = inf", "inf.*finite"),
    ("within_mm", "within_mm = -1.0", "within_mm -1.0.*0 to 200"),
    ("within_mm", 'within_mm = "8"', "'8'.*a number"),
    ("within_mm", "within_mm = 1979-05-27", "a date"),
    ("within_mm", "within_mm = true", "True.*a number"),
    ("kind", 'kind = "win"', "'win'"),
    ("id", 'id = "Not an id"', "small letters"),
    ("id", "id = 3", "a text"),
    ("title", 'title = " "', "blank"),
    ("protocol", 'protocol = ""', "blank"),
    ("sight", 'sight = ["xray",', "ct_steps"),
    ("sight", 'sight = ["fluoroscopy",', "twice"),
    ("into_bone", 'into_bone = "no"', "true or false"),
    ("bend_mm_at_100", "bend_mm_at_100 = 51.0", "0 to 50"),
    ("views", 'views = ["from above"]', "view 'from above'"),
    ("counted", "counted = []", "counted: nothing"),
    ("counted", 'counted = ["target_off_mm", "luck"]', "metric 'luck'"),
    ("counted", 'counted = ["target_off_mm", "target_off_mm"]', "twice"),
    ("spacing_mm", "spacing_mm = [3.0, 3.0]", "more values"),
    ("spacing_mm", "spacing_mm = [3.0, 3.0, 0.0]", "from 0.3"),
    ("seed", "seed = -1", "0 or more"),
    ("seed", "seed = 1.5", "a number"),
    ("entry_mm", "entry_mm = [1.0, 2.0, 3.0, 4.0]", "fewer values"),
    ("entry_mm", "entry_mm = [1.0, 2.0, nan]", "finite"),
    ("target_mm", "target_mm = [1.0, 2.0, 3.0]", "the entry"),
    ("shift_mm", "shift_mm = [0.0, 0.0, 999.0]", "at most 200"),
    ("structures", "structures = []", "at least one"),
    ("period_s", "period_s = 0.1", "1 to 60"),
    ("hold_sd", "hold_sd = 2.0", "0 to 1"),
    ("shot_s", "shot_s = -2.0", "0 to 3600"),
    ("start_mm", "start_mm = -1.0", "0 to 100"),
    ("base", "base = 1.0", "below 1"),
    ("factors", 'factors = [["fissure_crossed", 0.0]]', "above 0"),
    ("factors", 'factors = [["luck", 2.0]]', "factor 'luck'"),
    ("factors", 'factors = [["fissure_crossed"]]', "more values"),
    ("factors", 'factors = [["fissure_crossed", 2.0], ["fissure_crossed", 2.0]]', "twice"),
    ("position", 'position = "on his back"', "HFS"),
    ("metric", 'metric = "session_s"', "not counted.*no_go_touched"),
    ("most", "most = inf", "finite"),
    ("most", 'most = "ten"', "a number"),
    ('source = "Dr X"', 'source = ""', "blank"),
    ('source = "Dr X"', "source = 7", "a text"),
    ('name = "hard"', 'name = "usual"', "another than"),
    ("variation =", "variation = {start_mm = 6.0}", "no source"),
    ("hold_sd = 0.4", "hold_sd = 3", "0 to 1"),
    ("bend_mm_at_100 = 9", "bend_mm_at_100 = -9", "0 to 50"),
    ('source = "made up"', "", "no source"),
    ("variation =", "variation = {start = 6.0, source = 'unsourced'}", "no such key"),
]


@pytest.mark.parametrize(("start", "instead", "words"), CHANGED, ids=[f"{c[1]:.40}" for c in CHANGED])
def test_a_value_that_is_wrong_names_its_line(start: str, instead: str, words: str) -> None:
    lines = list(LINES)
    at = line(start)
    lines[at - 1] = instead
    with pytest.raises(InputError) as refused:
        scenario_from_toml("\n".join(lines), "bad.toml")
    said = str(refused.value)
    head = re.match(r"bad\.toml line (\d+)", said)
    assert head, said
    assert re.search(words, said), said
    assert int(head[1]) == (at if instead else line("[[difficulties]]")), said


NEEDED = [
    ("id", 1), ("version", 1), ("title", 1), ("protocol", 1), ("counted", 1), ("kind", line("[goal]")),
    ("within_mm", line("[goal]")), ("entry_mm", line("[way]")), ("target_mm", line("[way]")),
    ("structures", line("[breath]")), ("shift_mm", line("[breath]")), ("period_s", line("[breath]")),
    ("hold_sd", line("[breath]")), ("base", line("[[hazards]]")), ("factors", line("[[hazards]]")),
    ('name = "one"', line("[[hazards]]")), ("metric", line("[[limits]]")), ("most", line("[[limits]]")),
    ('source = "Dr X"', line("[[limits]]")), ('source = "PMC5978939"', line("[breath]")),
    ("phantom", line("[patient]")), ("variation =", line("[[difficulties]]")),
]  # fmt: skip


@pytest.mark.parametrize(("start", "told"), NEEDED, ids=[one for one, _ in NEEDED])
def test_a_key_that_is_missing_names_its_table(start: str, told: int) -> None:
    lines = list(LINES)
    lines[line(start) - 1] = ""
    with pytest.raises(InputError) as refused:
        scenario_from_toml("\n".join(lines), "bad.toml")
    assert str(refused.value).startswith(f"bad.toml line {told}"), str(refused.value)


AFTER = ["id", "phantom", "entry_mm", "kind", "structures", "shot_s", "start_mm", "base", "most"]


@pytest.mark.parametrize("after", AFTER)
def test_an_unknown_key_names_its_line(after: str) -> None:
    lines = list(LINES)
    at = line(after)
    lines.insert(at, "fun = 3")
    with pytest.raises(InputError, match=rf"bad\.toml line {at + 1} \(.*fun\): no such key here"):
        scenario_from_toml("\n".join(lines), "bad.toml")


@pytest.mark.parametrize("gone", ["patient", "goal"])
def test_a_table_that_is_missing_is_named(gone: str) -> None:
    text = re.sub(rf"\[{gone}\].*?\n\n", "", SCENARIO, flags=re.DOTALL)
    with pytest.raises(InputError, match=rf"bad\.toml line 1: a scenario without {gone}"):
        scenario_from_toml(text, "bad.toml")


def test_a_number_of_thousands_of_digits_is_no_toml() -> None:
    with pytest.raises(FileFormatError, match=r"bad\.toml: no valid TOML"):
        scenario_from_toml(SCENARIO.replace("within_mm = 8.0", f"within_mm = {'9' * 5000}"), "bad.toml")


def test_one_patient() -> None:
    both = SCENARIO.replace('phantom = "abdomen"', 'phantom = "abdomen"\ncase = "here"')
    with pytest.raises(InputError, match=rf"line {line('phantom')} \(patient.phantom\).*one of the two"):
        scenario_from_toml(both, "bad.toml")


BLOCK = """id = "mine"
version = "1"
title = "Mine"
words = "mine"
protocol = "liver-biopsy"
target = "lesion"
sight = ["tracked"]
into_bone = false
counted = ["target_off_mm"]
[patient]
phantom = "abdomen"
block = true
printed = ["rib_right_10"]
[goal]
kind = "tip"
within_mm = 5.0
source = "unsourced"
"""


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"tracked"', '"ct_steps"', r"line 7 \(sight\).*tracked"),
        ('"tracked"', '"tracked", "fluoroscopy"', r"line 7 \(sight\).*tracked"),
        ('counted = ["target_off_mm"]', 'counted = ["target_off_mm", "dural_punctures"]', r"line 9 \(counted\).*dural"),
        ("[goal]", "[variation]\nmoves_per_hour = 3.0\nsource='x'\n[goal]", r"line 14 \(variation\).*lies still"),
        ("into_bone = false", "views = ['AP']", r"line 8 \(views\).*no C-arm"),
        ('kind = "tip"', 'kind = "block"', r"line 14 \(goal\).*no contrast"),
        ("into_bone = false", "into_bone = true", r"line 8 \(into_bone\).*not drilled"),
        ('["rib_right_10"]', '["rib_right_10", "rib_right_10"]', r"line 13 \(patient.printed\).*each once"),
        ("block = true", "block = false", r"line 13 \(patient.printed\).*block = true"),
        ("[goal]", "[breath]\nstructures=['liver']\nshift_mm=[0,0,9]\nperiod_s=4\nhold_sd=0\nsource='x'\n[goal]",
         r"line 14 \(breath\).*does not breathe"),
    ],
)  # fmt: skip
def test_what_a_block_of_gel_does_not_do(old: str, new: str, told: str) -> None:
    block = scenario_from_toml(BLOCK, "block.toml")
    assert block.patient.block and scenario_from_toml(scenario_text(block), "again.toml") == block
    with pytest.raises(InputError, match=told):
        scenario_from_toml(BLOCK.replace(old, new), "block.toml")


def test_neither_target_nor_way() -> None:
    text = re.sub(r"\[way\].*?\n\n", "", SCENARIO, flags=re.DOTALL).replace('target = "lesion"\n', "")
    with pytest.raises(InputError, match="target and way: neither"):
        scenario_from_toml(text, "bad.toml")


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("id = \n" + SCENARIO, 1),
        (SCENARIO.replace("[goal]", "[goal"), line("[goal]")),
        (SCENARIO.replace('id = "mine"', 'id = "mine'), 2),
        (SCENARIO.replace("[way]", "[goal]"), line("[goal]")),  # declared twice: told where the second stands
        (SCENARIO + "\nx = '''", len(LINES) + 1),
    ],
)
def test_what_is_no_toml_names_its_line(text: str, at: int) -> None:
    with pytest.raises(FileFormatError, match=rf"bad\.toml line {at}\b.*no valid TOML"):
        scenario_from_toml(text, "bad.toml")


def test_wrong_kinds_of_tables() -> None:
    with pytest.raises(InputError, match=r"line 2 \(goal\).*a table"):
        scenario_from_toml("version = '1'\ngoal = 3\n" + re.sub(r"\[goal\].*?\n\n", "", SCENARIO.replace(
            'version = "1"\n', ""), flags=re.DOTALL), "bad.toml")  # fmt: skip
    with pytest.raises(InputError, match=rf"line {line('[[limits]]')} \(limits\).*a table: \[\[limits\]\]"):
        scenario_from_toml(SCENARIO.replace("[[limits]]", "[limits]"), "bad.toml")
    with pytest.raises(InputError, match=rf"line {line('[goal]')} \(goal\).*a table: \[goal\]"):
        scenario_from_toml(SCENARIO.replace("[goal]", "[[goal]]"), "bad.toml")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(SCENARIO.replace("Mine", "Lävion").encode("latin-1"))
    with pytest.raises(FileFormatError, match="not text in UTF-8"):
        read_scenario(tmp_path / "latin.toml")
    (tmp_path / "huge.toml").write_bytes(b"#" * 1_000_001)
    with pytest.raises(FileFormatError, match="1000001 bytes"):
        read_scenario(tmp_path / "huge.toml")
    (tmp_path / "deep.toml").write_text("a = " + "[" * 50_000, encoding="utf-8")
    with pytest.raises(FileFormatError, match="no valid TOML"):
        read_scenario(tmp_path / "deep.toml")
    with pytest.raises(InputError, match=r"none\.toml"):
        read_scenario(tmp_path / "none.toml")
    (tmp_path / "bom.toml").write_bytes(b"\xef\xbb\xbf" + SCENARIO.replace("\n", "\r\n").encode())
    assert read_scenario(tmp_path / "bom.toml").origin.lines["goal"] == line("[goal]")


def test_lines_agree_with_what_tomllib_reads() -> None:
    """Every key that tomllib finds has a line, and that line holds the key's name."""

    def keys(data: object, at: str) -> list[str]:
        named: list[tuple[str, object]] = []
        if isinstance(data, dict):
            named = [(f"{at}.{name}".lstrip("."), value) for name, value in data.items()]
        elif isinstance(data, list) and data and all(isinstance(one, dict) for one in data):
            named = [(f"{at}[{number}]", one) for number, one in enumerate(data, 1)]
        return [one for key, value in named for one in (key, *keys(value, key))]

    found = lines_of(SCENARIO)
    for key in keys(tomllib.loads(SCENARIO), ""):
        name = re.sub(r"\[\d+\]$", "", key).rpartition(".")[2]
        assert name in LINES[line_of(found, key) - 1], key


def test_the_page_on_scenarios_is_true() -> None:
    """Its example reads, and it names every key, sight, goal and factor."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "scenarios.md").read_text(encoding="utf-8")
    example = re.search(r"```toml\n(.*?)```", page, re.DOTALL)
    assert example and scenario_from_toml(example[1], "docs/scenarios.md").id == "my-liver"
    kinds = (Scenario, PatientSource, PlannedWay, Goal, BreathModel, Costs, Variation, Difficulty, Hazard, MetricLimit)
    words = [field.name for kind in kinds for field in fields(kind)] + [*Sight, *GoalKind, *FACTORS]
    missing = [word for word in words if f"`{word}`" not in page and f"`[{word}]`" not in page]
    assert [word for word in missing if f"`[[{word}]]`" not in page and word not in ("difficulty", "origin")] == []
