"""A small rehearsal for tests: the scene of the planning tests as a case folder, and a scenario's file beside it."""

from __future__ import annotations

from pathlib import Path

import navplan as nv
from tests.planning.scenes import case_of, grid_of

PROTOCOL = Path(__file__).resolve().parents[1] / "cli" / "plain-biopsy.toml"
SCENARIO = """
id = "small-biopsy"
version = "1"
title = "A small biopsy"
words = "A lesion in a liver."
protocol = "{protocol}"
target = "lesion"
sight = ["ct_steps"]
counted = ["no_go_touched", "no_go_s", "target_off_mm", "goal_missed", "session_s", "ct_scans", "view_error_deg"]
{more}
[patient]
case = "case"

[way]
entry_mm = [-45.0, -70.0, 5.0]
target_mm = [-40.0, 0.0, 0.0]

[goal]
kind = "tip"
within_mm = 3.0
source = "test"

[[limits]]
metric = "target_off_mm"
most = 2.0
source = "test's own teacher"
"""


def scenario_file(folder: Path, more: str = "") -> Path:
    """The scenario in a folder, its case beside it."""
    if not (folder / "case").exists():
        nv.save_case(case_of(grid=grid_of((3.0, 3.0, 3.0))), folder / "case")
    path = folder / "small.toml"
    path.write_text(SCENARIO.format(protocol=PROTOCOL.as_posix(), more=more), encoding="utf-8")
    return path
