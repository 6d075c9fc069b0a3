"""The needle half way in: found on the plan's own image, corrected, and what it would pass then."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from navplan.cli import main
from navplan.errors import ChoiceError, InputError, MismatchError
from navplan.geometry.lines import distance_points_to_segment, perpendicular_axes, unit
from navplan.model.case import Case
from navplan.model.plan import Plan
from navplan.model.safety import Verdict
from navplan.model.volume import Volume
from navplan.verbs.case_verbs import save_case
from navplan.verbs.needle import needle_in
from navplan.verbs.phantom import phantom
from navplan.verbs.plan import plan


def with_needle(case: Case, tip: np.ndarray, hub: np.ndarray) -> Case:
    (image_id, volume), *_ = case.volumes.items()
    at = volume.grid.points_mm(np.stack(np.indices(volume.grid.shape), axis=-1).reshape(-1, 3))
    near = np.flatnonzero(distance_points_to_segment(at, hub, tip)[0] < 4.0)
    share = np.zeros(len(near))
    for step in np.ndindex(5, 5, 5):
        offset = ((np.asarray(step) + 0.5) / 5 - 0.5) * volume.grid.spacing_mm
        share += (distance_points_to_segment(at[near] + offset, hub, tip)[0] <= 0.735) / 125.0
    voxels = np.array(volume.voxels).reshape(-1)
    flat = voxels.astype(np.float32)
    flat[near] += share * (8000.0 - flat[near])
    painted = np.clip(flat, -1024, 3071).astype(np.int16).reshape(volume.grid.shape)
    return replace(case, volumes={image_id: Volume(painted, volume.grid, acquisition=volume.acquisition)})


@pytest.fixture(scope="module")
def made() -> tuple[Case, Plan, np.ndarray, np.ndarray]:
    """A phantom with a needle 4 degrees off, half way along the best way of a plan on that very image."""
    case = phantom("abdomen", spacing_mm=(2.5, 2.5, 2.5))
    way = plan(case, "liver-biopsy", "lesion", top=1, device="liver-coaxial-18g-150").best.trajectory
    direction = unit(way.direction + np.tan(np.radians(4.0)) * perpendicular_axes(way.direction)[0])
    tip = np.asarray(way.entry_mm) + 0.55 * way.depth_mm * direction
    case = with_needle(case, tip, tip - 160.0 * direction)
    return case, plan(case, "liver-biopsy", "lesion", top=1, device="liver-coaxial-18g-150"), tip, direction


def test_it_is_found_and_corrected(made: tuple[Case, Plan, np.ndarray, np.ndarray]) -> None:
    case, planned, tip, direction = made
    found = needle_in(case, planned)
    assert np.linalg.norm(found.needle.tip_mm - tip) < 1.5
    assert np.degrees(np.arccos(found.needle.direction @ direction)) < 0.6
    away = np.cross(np.asarray(planned.best.trajectory.target_mm) - tip, direction)
    assert found.correction.miss_mm == pytest.approx(float(np.linalg.norm(away)), abs=1.0)
    assert "needle seen over" in found.words[0] and "straight on it would pass the target" in found.words[1]
    assert found.report.verdict is not Verdict.PASS and "turn in the tissue" in found.report.findings[0].words


def test_an_image_without_one_says_so(made: tuple[Case, Plan, np.ndarray, np.ndarray]) -> None:
    case = phantom("abdomen", spacing_mm=(4.0, 4.0, 4.0))
    with pytest.raises(InputError, match="no needle"):
        needle_in(case, plan(case, "liver-biopsy", "lesion", top=1, device="liver-coaxial-18g-150"))


def test_another_image_and_another_way_are_refused(made: tuple[Case, Plan, np.ndarray, np.ndarray]) -> None:
    case, planned, _, _ = made
    with pytest.raises(ChoiceError, match="way 99"):
        needle_in(case, planned, 98)
    (image_id, volume), *_ = case.volumes.items()
    other = replace(case, volumes={image_id: Volume(np.array(volume.voxels) + np.int16(1), volume.grid)})
    with pytest.raises(MismatchError):
        needle_in(other, planned)


def test_the_command_says_what_to_do(
    made: tuple[Case, Plan, np.ndarray, np.ndarray], tmp_path, capsys: pytest.CaptureFixture[str]
) -> None:
    case, planned, _, _ = made
    save_case(case.with_plan(planned), tmp_path / "case", "test", {})
    code = main(["needle", str(tmp_path / "case")])
    told = capsys.readouterr().out
    assert code in (0, 3, 4) and "needle seen over" in told and "advance" in told and "once corrected:" in told
    assert main(["needle", str(tmp_path / "case"), "--trajectory", "77"]) == 2
