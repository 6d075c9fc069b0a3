"""The paper instruments, measured on the printed page: rasterised by pdftoppm, found by thickness and shape."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import binary_opening, label

from navplan.model.plan import Approval, JudgedOn
from navplan.model.safety import Finding, FindingKind, SafetyReport, Verdict
from navplan.reports.freehand_card import FREEHAND, card_content, card_html
from navplan.reports.pdf import pdf_bytes
from navplan.verbs.check import check
from tests.reports.plans import case, entry_set_at, grey_pictures, plan

pytest.importorskip("weasyprint")
if shutil.which("pdftoppm") is None:
    pytest.skip("pdftoppm (Debian: poppler-utils) is not installed", allow_module_level=True)

DPI = 200
MM = DPI / 25.4


@pytest.fixture(scope="module")
def on():
    return case()


def pages(pdf: bytes, folder, dpi: int = DPI) -> list[np.ndarray]:
    """Each page as an array, True where it is dark."""
    (folder / "card.pdf").write_bytes(pdf)
    command = ["pdftoppm", "-r", str(dpi), "-gray", str(folder / "card.pdf"), str(folder / "page")]
    subprocess.run(command, check=True, capture_output=True)
    return [np.asarray(Image.open(path)) < 110 for path in sorted(folder.glob("page*.pgm"))]


def printed_card(on, folder, in_plane, tilt, position="HFS", approvals=(), **changes):
    made = plan(on, (entry_set_at(in_plane, tilt, position),), position=position, approvals=approvals)
    report = replace(check(on, made, guidance=FREEHAND), **changes)
    content = card_content(on, made, 0, report, grey_pictures(), "navplan test")
    return content, pages(pdf_bytes(card_html(content)), folder)


def straight_runs(dark: np.ndarray, from_mm: float, to_mm: float) -> list[float]:
    """Lengths (mm) of runs of dark along rows, between two lengths."""
    found = []
    for row in dark:
        edges = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(np.int8), [0]])))
        lengths = (edges[1::2] - edges[::2]) / MM
        found += [length for length in lengths if from_mm < length < to_mm]
    return found


def needles(dark: np.ndarray) -> list[np.ndarray]:
    """Both ends (2, 2) in mm of the thick straight lines in the lower part of the page, from left to right."""
    lower = dark.copy()
    lower[: round(120 * MM)] = False
    thick = binary_opening(lower, np.ones((4, 4), dtype=bool))
    parts, count = label(thick, np.ones((3, 3)))
    found = []
    for number in range(1, count + 1):
        rows, columns = np.nonzero(parts == number)
        points = np.stack([columns, rows], axis=1) / MM
        if not 22 < np.linalg.norm(np.ptp(points, axis=0)) < 50:
            continue
        centred = points - points.mean(axis=0)
        _, spread, axes = np.linalg.svd(centred, full_matrices=False)
        if spread[1] / np.sqrt(len(points)) > 0.5:
            continue
        axis = axes[0]
        along = centred @ axis
        found.append(points.mean(axis=0) + np.outer([along.min(), along.max()], axis))
    return sorted(found, key=lambda ends: ends[:, 0].mean())


def angle_of(ends: np.ndarray, foot: int) -> float:
    """Angle from straight up, clockwise, of the line from one end to the other."""
    way = ends[1 - foot] - ends[foot]
    return float(np.degrees(np.arctan2(way[0], -way[1])))


@pytest.mark.parametrize(
    ("in_plane", "tilt", "position"),
    [(38.0, 12.0, "HFS"), (-71.3, -33.4, "HFP"), (95.4, -36.3, "HFS"), (3.6, 0.0, "HFDL"), (-150.0, 60.0, "FFP")],
)
def test_the_drawn_angles_and_lengths_are_the_planned_ones(on, tmp_path, in_plane, tilt, position):
    content, sheets = printed_card(on, tmp_path, in_plane, tilt, position)
    assert len(sheets) == 1
    dark = sheets[0]
    assert dark.shape[0] / MM == pytest.approx(297, abs=0.5)
    across = straight_runs(dark[round(200 * MM) :], 97, 103)
    assert across and max(across) == pytest.approx(100.0, abs=0.5)
    upright = straight_runs(dark[round(150 * MM) :, round(185 * MM) :].T, 48, 52)
    assert upright and max(upright) == pytest.approx(50.0, abs=0.5)
    found = needles(dark)
    assert len(found) == 2
    middle_mm = 8.0 + content.in_plane.width_mm / 2  # the page's margin and half the drawing
    nearer = int(np.argmin(np.abs(found[0][:, 0] - middle_mm)))
    assert angle_of(found[0], foot=nearer) == pytest.approx(in_plane, abs=0.2)
    lower = int(np.argmax(found[1][:, 1]))
    assert angle_of(found[1], foot=lower) == pytest.approx(-tilt, abs=0.2)
    assert content.in_plane_big == f"{abs(in_plane):.0f}° from vertical"


@pytest.mark.parametrize(("count", "stands"), [(0, True), (2, True), (2, False)])
def test_a_crowded_card_is_still_one_page(on, tmp_path, monkeypatch, count, stands):
    """Many long open items, all wrapping: what does not fit is counted, never lost on a second page."""
    words = "a long finding that says in many words what was found where and why it is not enough to go on with " * 3
    crowd = tuple(
        Finding(FindingKind.IMAGE, Verdict.NOT_EVALUATED, f"{number} {words}", remedy=f"Do a long thing about {words}")
        for number in range(12)
    )  # fmt: skip
    hidden = tuple(
        Finding(FindingKind.NOT_IMAGED, Verdict.WARN, words, f"a_structure_with_a_long_name_{number}")
        for number in range(9)
    )
    report: SafetyReport = check(on, plan(on), guidance=FREEHAND)
    monkeypatch.setattr("navplan.reports.approval_rows.void_because", lambda *a: "" if stands else words)
    judged_on = JudgedOn(*["ab" * 32] * 6)
    given = Approval(
        words, "2026-11-24T10:00:00+00:00", words, 0, Verdict.NOT_EVALUATED, "a headline", judged_on, (words, "recess")
    )
    crowded = {"findings": (*report.findings, *crowd, *hidden)}
    content, sheets = printed_card(on, tmp_path, -110.0, 50.0, approvals=(given,) * count, **crowded)
    assert content.approval.words.startswith("by a long" if stands else "it was given by") == bool(count)
    assert len(sheets) == 1
    assert content.more_items >= 7 and content.badge.word == "NOT EVALUATED"
    bottom = np.flatnonzero(sheets[0].any(axis=1)).max() / MM
    assert bottom < 292
