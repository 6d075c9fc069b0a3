"""report: files written whole or not at all, on a verdict made now."""

from __future__ import annotations

import os
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from navplan.errors import ChoiceError, InputError, MismatchError
from navplan.verbs.report import report
from tests.planning.scenes import case_of, grid_of
from tests.reports.plans import LATERAL, THROUGH_AORTA, case, plan

NAMES = {"report.html", "freehand-card.html", "shots/ap.png", "shots/lateral.png", "shots/bullseye.png"}
PDFS = {"report.pdf", "freehand-card.pdf"}


@pytest.fixture(scope="module")
def on():
    return case()


@pytest.fixture
def flat(monkeypatch):
    """Without the scene, which takes the longest and has tests of its own."""
    monkeypatch.setattr("navplan.view.scene.draw_scene", no_scene)


def no_scene(*_, size, **__):
    return np.zeros((size[1], size[0], 3), np.uint8)


@pytest.fixture(scope="module")
def plain(on, tmp_path_factory):
    """A report of the plain plan without scene and WeasyPrint, over PDFs of another day: its folder, not to be written
    into, and what was made."""
    folder = tmp_path_factory.mktemp("plain")
    for name in PDFS:
        (folder / name).write_bytes(b"%PDF of another day")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("navplan.view.scene.draw_scene", no_scene)
        patch.setitem(sys.modules, "weasyprint", None)
        return folder, report(on, plan(on), folder)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_all_files_are_written_with_the_real_scene(on, tmp_path):
    pytest.importorskip("weasyprint")
    told = []
    made = report(
        on.with_plan(plan(on, (LATERAL, THROUGH_AORTA))), None, tmp_path / "out", progress=lambda *a: told.append(a)
    )
    found = files(tmp_path / "out")
    assert set(found) == NAMES | PDFS
    assert {str(path.relative_to(tmp_path / "out")) for path in made.paths} == NAMES | PDFS and made.notes == ()
    assert found["report.pdf"].startswith(b"%PDF") and found["shots/ap.png"].startswith(b"\x89PNG")
    html = found["report.html"].decode()
    assert html.count("data:image/jpeg") >= 3 + 1 + 1 + 3 + 3
    assert "all judged anew" in html and "Reached by the C-arm" in html
    assert found["freehand-card.html"].decode().count("data:image/jpeg") == 3
    shares = [share for _, share in told]
    assert shares == sorted(shares) and shares[-1] == 1.0


def test_a_stored_verdict_is_never_taken_over(on, tmp_path, flat, monkeypatch):
    """The stored reports say PASS at 50 mm; the way runs through the aorta."""
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    made = plan(on, (LATERAL, THROUGH_AORTA))
    report(on, made, tmp_path, trajectory=1)
    for name in ("report.html", "freehand-card.html"):
        html = (tmp_path / name).read_text(encoding="utf-8")
        assert "✕ FAIL" in html and "Crosses aorta" in html
        assert "50.0 to 51.0" not in html and "a stored verdict" not in html


def test_structures_changed_since_the_plan_are_judged_as_they_are_now(on, tmp_path, flat, monkeypatch):
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    made = plan(on)
    without = replace(on, structures={name: s for name, s in on.structures.items() if name != "colon"})
    report(without, made, tmp_path)
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "? NOT EVALUATED" in html and "structures changed since the plan was made" in html
    assert "Segment it, or state that it is absent" in html


def test_report_card_and_other_ways_are_all_judged_by_check(on, tmp_path, flat, monkeypatch):
    """What check adds to the judgement of a way (changed structures, rules, position) reaches each of them."""
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    from navplan.verbs import check as module

    real, asked = module.check, []

    def watched(case, plan, **request):
        asked.append((request["trajectory"], request.get("guidance", "")))
        return real(case, plan, **request)

    monkeypatch.setattr(module, "check", watched)
    report(on, plan(on, (LATERAL, THROUGH_AORTA)), tmp_path)
    assert sorted(asked) == [(0, ""), (0, "freehand"), (1, "")]


def test_the_card_alone_is_the_card_of_the_report(on, tmp_path, flat, monkeypatch):
    """Judged anew like the whole report, no scene, no shots; what lies there already stays and is told of."""
    pytest.importorskip("weasyprint")
    asked = plan(on, (LATERAL, THROUGH_AORTA))
    made = report(on, asked, tmp_path / "card", trajectory=1, card_only=True)
    assert set(files(tmp_path / "card")) == {"freehand-card.html", "freehand-card.pdf"} and made.notes == ()
    html = (tmp_path / "card" / "freehand-card.html").read_text(encoding="utf-8")
    assert "✕ FAIL" in html and "a stored verdict" not in html
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    report(on, asked, tmp_path / "all", trajectory=1)
    whole = (tmp_path / "all" / "freehand-card.html").read_text(encoding="utf-8")
    assert without_time(html) == without_time(whole)
    (tmp_path / "all" / "freehand-card.pdf").write_bytes(b"%PDF of another day")
    before = files(tmp_path / "all")
    again = report(on, asked, tmp_path / "all", trajectory=1, card_only=True)
    assert {name for name in before if name not in files(tmp_path / "all")} == {"freehand-card.pdf"}
    assert any("report.html" in note and "earlier" in note for note in again.notes)


def without_time(html: str) -> str:
    return re.sub(r"judged \d{4}-\d\d-\d\d \d\d:\d\d", "judged", html)


def test_without_weasyprint_html_is_written_and_older_pdfs_go(plain):
    folder, made = plain
    assert set(files(folder)) == NAMES
    assert any('pip install "navplan[pdf]"' in note and "report.pdf" in note for note in made.notes)
    assert sum("removed" in note for note in made.notes) == 2


def test_a_disk_that_fails_leaves_the_earlier_report_whole(on, plain, tmp_path, flat, monkeypatch):
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    shutil.copytree(plain[0], tmp_path, dirs_exist_ok=True)
    before = files(tmp_path)
    synced = []

    def full_disk(descriptor):
        synced.append(descriptor)
        if len(synced) == 5:  # after the two trials of the folder, with two files written
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("navplan.files.files_together.sync_descriptor", full_disk)
    with pytest.raises(InputError, match="No space left"):
        report(on, plan(on, (THROUGH_AORTA,)), tmp_path)
    after = files(tmp_path)
    assert after == before


@pytest.mark.skipif(os.name == "nt", reason="POSIX paths")
def test_a_folder_that_cannot_be_written_is_refused_before_any_work(on, tmp_path):
    (tmp_path / "file").write_text("no folder")
    told = []
    with pytest.raises(InputError, match="folder"):
        report(on, plan(on), tmp_path / "file" / "out", progress=lambda *a: told.append(a))
    with pytest.raises(InputError, match="folder"):
        report(on, plan(on), "/proc/no-such-folder", progress=lambda *a: told.append(a))
    with pytest.raises(InputError, match="without a folder"):
        report(on, plan(on))
    assert told == []


def test_refusals(on, tmp_path):
    with pytest.raises(ChoiceError, match=r"the case has no plan at all\. Expected: a plan of the case\. Plan first"):
        report(on, None, tmp_path / "a")
    with pytest.raises(ChoiceError, match="trajectory 3"):
        report(on, plan(on), tmp_path / "b", trajectory=3)
    with pytest.raises(InputError, match="drawn line"):
        report(on, "way.mrk.json", tmp_path / "c")
    other = case_of(grid_of((3.0, 3.0, 3.0)))
    with pytest.raises(MismatchError):
        report(other, plan(on), tmp_path / "d")
    assert not any((tmp_path / name).rglob("*.html") for name in "abcd" if list((tmp_path / name).rglob("*.html")))


def test_lying_on_the_side_there_is_no_fluoroscopy_and_it_is_said(tmp_path, flat, monkeypatch):
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    aside = case(patient_position="HFDL")
    made = report(aside, plan(aside, position="HFDL"), tmp_path)
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    if set(files(tmp_path)) == NAMES:
        pytest.skip("fluoroscopy of a patient on the side is simulated now")
    assert set(files(tmp_path)) == {"report.html", "freehand-card.html"}
    assert any(note.startswith("fluoroscopy") for note in made.notes) and "Not drawn:" in html


def test_no_name_of_a_patient_is_in_a_report(on, plain):
    text = re.sub(r"data:image[^\"]*", "", (plain[0] / "report.html").read_text(encoding="utf-8"))
    assert on.patient_digest == "p" and "case scene" in text and "known by a digest alone" in text
