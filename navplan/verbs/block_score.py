"""block_score: a needle that a person put into a training block, measured by hand, against the plan.

    for score in block_score(case, plan, "block/", "measured.csv"):
        print(score.words)

Raw numbers, each with its unit; no composite and no pass mark. What the line would have touched in the patient is
decided by planning's own boundaries, as in a rehearsal; how wrong the measuring may be is part of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError, MismatchError
from navplan.files.block_file import Measured, read_block, read_measured
from navplan.geometry.compass import along_compass
from navplan.model.block import BlockWay, TrainingBlock
from navplan.model.case import Case
from navplan.model.finding import Verdict
from navplan.model.plan import Plan
from navplan.model.trajectory import Trajectory
from navplan.planning.target_judgement import POINT_MET_MM
from navplan.training.feel import OUTSIDE
from navplan.training.needle_path import NeedlePath
from navplan.training.outcome import not_evaluated
from navplan.training.patient import SimulatedPatient
from navplan.verbs.check import CheckedWay, checked_way
from navplan.verbs.navigate import plan_named

SURE = 1.96  # standard deviations of the measuring, within which a structure may have been touched
BACK_MM, STEP_MM = 60.0, 1.0  # that the patient's skin is looked for before the block's top face; of the line
SHALLOWEST_MM = 0.1  # of what a ruler tells
Point = tuple[float, float, float]


@dataclass(frozen=True)
class HandErrors:
    """Standard deviations of what a hand measures with ruler and protractor: where the needle goes in (each way), how
    deep, its angle and compass. Unsourced: measure the same needle ten times, and set your own. Raises InputError."""

    place_mm: float = 1.0
    depth_mm: float = 1.0
    angle_deg: float = 2.0
    compass_deg: float = 5.0

    def __post_init__(self) -> None:
        numbers = (self.place_mm, self.depth_mm, self.angle_deg, self.compass_deg)
        if not all(np.isfinite(numbers)) or min(numbers) < 0.0:
            raise InputError(f"errors of measuring of {numbers}", "four finite numbers, 0 or more")


@dataclass(frozen=True)
class BlockScore:
    """One needle. entry_mm, tip_mm: where its line meets the patient's skin (the block's top face, where it meets none)
    and its tip, LPS mm. tip_off_target_mm: of the place that the needle is for (its tip; of a cutting needle the middle
    of its sample) to the target; in_target: whether it lies in the target's structure (None: the target is a bare
    point). tip_off_mm: of its tip to the planned tip: deeper_mm along the planned way (negative:
    not deep enough), aside_mm across it. entry_off_mm: on the top face. angle_off_deg: between the two lines.
    tip_error_mm: root mean square, of the tip by the measuring. touched, maybe: structures that the plan's needle along
    this line touches for sure, and may touch, with the measuring's error. verdict, judged: by the plan's
    rules. unevaluated: structures of which nobody can tell whether they were touched
    (`navplan.training.outcome.not_evaluated`)."""

    name: str
    way: str
    entry_mm: Point
    tip_mm: Point
    in_target: bool | None
    tip_off_target_mm: float
    tip_off_mm: float
    deeper_mm: float
    aside_mm: float
    entry_off_mm: float
    angle_off_deg: float
    tip_error_mm: float
    touched: tuple[str, ...]
    maybe: tuple[str, ...]
    verdict: Verdict
    judged: str
    unevaluated: tuple[str, ...] = ()

    @property
    def _met(self) -> str:
        return "" if self.in_target is None else ", which it meets" if self.in_target else ", which it misses"

    @property
    def words(self) -> str:
        """On a few lines."""
        deep = f"{abs(self.deeper_mm):.1f} mm too {'deep' if self.deeper_mm > 0 else 'shallow'}"
        unseen = f"; not evaluated: {', '.join(self.unevaluated)}" if self.unevaluated else ""
        return (
            f"{self.name} ({self.way}): {self.tip_off_target_mm:.1f} mm off the target{self._met};"
            f" tip {self.tip_off_mm:.1f} mm off the planned one, {deep},"
            f" {self.aside_mm:.1f} mm aside (measured to {self.tip_error_mm:.1f} mm)\n"
            f"   entry {self.entry_off_mm:.1f} mm and direction {self.angle_off_deg:.1f} deg off\n"
            f"   touches {', '.join(self.touched) or 'nothing for sure'};"
            f" may touch {', '.join(self.maybe) or 'nothing'}{unseen}\n"
            f"   {self.verdict.value}: {self.judged}"
        )


def block_score(
    case: Case,
    plan: Plan | str | Path,
    block: TrainingBlock | str | Path,
    measured: Sequence[Measured] | str | Path,
    errors: HandErrors | None = None,
) -> tuple[BlockScore, ...]:
    """Each needle that was measured, in its order.

    block: a block, its folder or its block.json; measured: rows, or a CSV file of them (`navplan.files.block_file`).

    Raises MismatchError for a block of another plan or image, ChoiceError for a way that the block does not have,
    FileFormatError, InputError for a needle that does not go into the block.
    """
    held = block if isinstance(block, TrainingBlock) else read_block(block)
    found = plan_named(case, plan)
    rows = read_measured(measured) if isinstance(measured, str | Path) else tuple(measured)
    image = case.volumes.get(held.image)
    if held.plan != found.id or image is None or image.digest != held.image_digest:
        raise MismatchError(
            f"block {held.id} of plan {held.plan} on image {held.image}",
            f"a block of plan {found.id} on image {found.provenance.image_id} of this case",
            "Make the block anew of this plan, or name its plan with --plan",
        )  # fmt: skip
    ways = {row.way: held.way(row.way) for row in rows}
    checked = {name: checked_way(case, found, way.trajectory - 1) for name, way in ways.items()}
    for name, way in ways.items():
        _refuse_other_way(held, way, checked[name].trajectory)
    patients = {name: SimulatedPatient(one.situation) for name, one in checked.items()}
    told = errors or HandErrors()
    return tuple(
        _score(case, found, held, ways[row.way], checked[row.way], patients[row.way], row, told) for row in rows
    )


def _refuse_other_way(block: TrainingBlock, way: BlockWay, planned: Trajectory) -> None:
    """The plan may have been made anew under its id since the block was."""
    apart = np.linalg.norm(block.transform.apply([way.skin_mm, way.target_mm]) - [planned.entry_mm, planned.target_mm])
    if apart > 0.01 or way.device != planned.device.id:
        raise MismatchError(
            f"{way.name} of block {block.id}, which lies elsewhere or is of another needle than way {way.trajectory} of"
            f" plan {block.plan} now", "the plan that the block was made of", "Make the block anew",
        )  # fmt: skip


def _score(
    case: Case, plan: Plan, block: TrainingBlock, way: BlockWay, checked: CheckedWay, patient: SimulatedPatient,
    row: Measured, errors: HandErrors,
) -> BlockScore:  # fmt: skip
    top, tip = line_of(block, way, row)
    along = (tip - top) / np.linalg.norm(tip - top)
    spread = tip_covariance_mm2(block, way, row, errors)
    off = tip - np.asarray(way.tip_mm)
    deeper = float(off @ way.direction)
    outer, point = block.transform.apply(top), block.transform.apply(tip)
    direction = block.transform.matrix[:3, :3] @ along
    aimed = point + checked.trajectory.tip_short_of_target_mm * direction
    target = patient.situation.target
    start = _from_skin(patient, outer, point, direction)
    radius = checked.trajectory.device.radius_mm
    measured_mm = SURE * float(np.sqrt(np.linalg.eigvalsh(spread)[-1]))
    sure, maybe = _touched(patient, start, point, direction, radius, measured_mm)
    verdict, judged, unseen = _judged(case, plan, way, start, aimed)
    unseen = {**not_evaluated(checked.report), **unseen}
    inside = bool(patient.in_structure(target.structure, aimed[None])[0]) if target.structure else None
    turned = np.degrees(np.arccos(np.clip(along @ way.direction, -1.0, 1.0)))
    return BlockScore(
        row.name, way.name, _point(start), _point(point), inside,
        float(np.linalg.norm(aimed - patient.situation.target_mm)), float(np.linalg.norm(off)), deeper,
        float(np.linalg.norm(off - deeper * way.direction)), float(np.linalg.norm(top - np.asarray(way.top_mm))),
        float(turned), float(np.sqrt(np.trace(spread))), sure, maybe, verdict, judged,
        tuple(name for name in unseen if name not in sure),
    )  # fmt: skip


def line_of(block: TrainingBlock, way: BlockWay, row: Measured) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where a measured needle goes through the top face, and its tip, (3,) each, block frame.

    Raises InputError for a needle beside the block, or of no depth; GeometryError for angles that are none.
    """
    place = way.top_mm[:2] if row.x_mm is None or row.y_mm is None else (row.x_mm, row.y_mm)
    wide, long = block.size_mm[:2]
    if not (0.0 <= place[0] <= wide and 0.0 <= place[1] <= long):
        raise InputError(
            f"{row.name} at x {place[0]:g}, y {place[1]:g} mm, beside the block", f"0 to {wide:g}, 0 to {long:g} mm"
        )
    if not SHALLOWEST_MM <= row.depth_mm <= 500.0:
        raise InputError(f"{row.name} {row.depth_mm:g} mm deep", f"{SHALLOWEST_MM:g} to 500 mm along the needle")
    top = np.array([place[0], place[1], block.size_mm[2]])
    return top, np.asarray(top + row.depth_mm * along_compass(row.angle_deg, row.compass_deg))


def tip_covariance_mm2(block: TrainingBlock, way: BlockWay, row: Measured, errors: HandErrors) -> NDArray[np.float64]:
    """(3, 3) of the tip, block frame, by the errors of measuring, to first order. In a full block's channel, where
    nobody measured the place, it is known to half the clearance."""
    place = errors.place_mm
    if row.x_mm is None and way.channel_mm > 0.0 and not block.wall_mm:
        place = block.clearance_mm / 2.0
    angle, compass = np.radians([row.angle_deg, row.compass_deg])
    down, round_about = np.radians([errors.angle_deg, errors.compass_deg])
    axis = along_compass(row.angle_deg, row.compass_deg)
    lean = np.array([np.cos(angle) * np.sin(compass), np.cos(angle) * np.cos(compass), np.sin(angle)])
    turn = np.sin(angle) * np.array([np.cos(compass), -np.sin(compass), 0.0])
    parts = [
        place * np.array([1.0, 0.0, 0.0]), place * np.array([0.0, 1.0, 0.0]), errors.depth_mm * axis,
        row.depth_mm * down * lean, row.depth_mm * round_about * turn,
    ]  # fmt: skip
    return np.asarray(sum(np.outer(part, part) for part in parts))


def _from_skin(
    patient: SimulatedPatient, outer: NDArray[np.float64], tip: NDArray[np.float64], direction: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(3,) where the line comes through the patient's skin, which the block's flat top is not: looked for before the
    top face and behind it; the top face where there is none."""
    steps = np.arange(-BACK_MM, float((tip - outer) @ direction), STEP_MM)
    inside = np.asarray([name != OUTSIDE for name in patient.tissues_at(outer + steps[:, None] * direction)])
    if not inside.any():
        return outer
    at_top = int(np.searchsorted(steps, 0.0))
    if at_top < len(steps) and inside[at_top]:  # deeper than the skin: back to it
        air = np.flatnonzero(~inside[:at_top])
        return np.asarray(outer + steps[int(air[-1]) + 1 if len(air) else 0] * direction)
    behind = np.flatnonzero(inside[at_top:])
    return np.asarray(outer + steps[at_top + int(behind[0])] * direction) if len(behind) else outer


def _touched(
    patient: SimulatedPatient, start: NDArray[np.float64], tip: NDArray[np.float64], direction: NDArray[np.float64],
    radius_mm: float, measured_mm: float,
) -> tuple[tuple[str, ...], tuple[str, ...]]:  # fmt: skip
    path = NeedlePath.on_skin(start, direction).advanced(float(np.linalg.norm(tip - start)), 0.0)
    sure, maybe = patient.touched(path, radius_mm)
    wide, wider = patient.touched(path, radius_mm + measured_mm)
    return sure, tuple(sorted({*maybe, *wide, *wider} - {*sure}))


def _judged(
    case: Case, plan: Plan, way: BlockWay, start: NDArray[np.float64], aimed: NDArray[np.float64]
) -> tuple[Verdict, str, dict[str, str]]:
    """The line by the plan's own rules; NOT_EVALUATED, with why, where they do not apply to it. Of a plan to a bare
    point, which no other aim is allowed of, a line that meets the point is judged as if it met it exactly."""
    met = not plan.target.structure and float(np.linalg.norm(aimed - plan.target.point_mm)) <= POINT_MET_MM
    try:
        report = checked_way(
            case, plan, way.trajectory - 1, entry=_point(start), aim=None if met else _point(aimed)
        ).report
    except InputError as error:
        return Verdict.NOT_EVALUATED, f"not judged by the plan's rules: {error.received}", {}
    return report.verdict, report.headline, not_evaluated(report)


def _point(place: NDArray[np.float64]) -> Point:
    a, b, c = (float(one) for one in place)
    return a, b, c
