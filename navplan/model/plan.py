"""A plan: ranked ways to a target, the rules they were judged by, and what they were made on."""

from __future__ import annotations

from dataclasses import astuple, dataclass, field
from datetime import datetime
from re import fullmatch

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError
from navplan.model.error_model import ErrorModel
from navplan.model.protocol import ProcedureProtocol
from navplan.model.safety import SafetyReport, Verdict
from navplan.model.trajectory import Target, Trajectory

Row = tuple[float, float, float, float]
SHORTEST_REASON = 10  # letters: what an approval of anything but PASS has to say at least


@dataclass(frozen=True)
class RankedTrajectory:
    """One way in: the trajectory, its metrics by name, its desirability (0..1), and the full safety report."""

    trajectory: Trajectory
    metrics: dict[str, float]
    desirability: float
    report: SafetyReport

    @property
    def verdict(self) -> Verdict:
        """The report's verdict."""
        return self.report.verdict


@dataclass(frozen=True, eq=False)
class SkinMap:
    """Every candidate entry on the skin, and why it is ruled out.

    points_mm: (N, 3) LPS; reason: (N,) int16, index into reasons, -1 where the way is free; desirability: (N,) 0..1,
    0 where excluded; shortfall_mm: (N,) by how much the deciding limit is missed (NaN where that is no length).
    """

    points_mm: NDArray[np.float64]
    reason: NDArray[np.int16]
    reasons: tuple[str, ...]
    desirability: NDArray[np.float32]
    shortfall_mm: NDArray[np.float32]

    def __post_init__(self) -> None:
        count = len(self.points_mm)
        if any(len(values) != count for values in (self.reason, self.desirability, self.shortfall_mm)):
            raise InputError("a skin map with arrays of different lengths", "one value a point")
        if count and (int(self.reason.max(initial=-1)) >= len(self.reasons) or int(self.reason.min(initial=-1)) < -1):
            raise InputError("a skin map with a reason that has no words", "an index into reasons, or -1")

    def counts(self) -> dict[str, int]:
        """How many candidates each reason rules out, most first; "free" for the rest."""
        counted = {words: int((self.reason == index).sum()) for index, words in enumerate(self.reasons)}
        ordered = dict(sorted(counted.items(), key=lambda item: -item[1]))
        return {"free": int((self.reason == -1).sum()), **{words: n for words, n in ordered.items() if n}}


@dataclass(frozen=True)
class Provenance:
    """What a plan was made on: it is refused on anything else."""

    image_id: str
    image_digest: str
    frame_uid: str
    structure_digests: dict[str, str]
    patient_digest: str
    made_on: str
    made_by: str


@dataclass(frozen=True)
class ErrorAt:
    """Expected error of a registration, mm, at one place (LPS mm of the plan's own image): of the target, of the entry,
    middle or tip of a way, or of a structure where it comes nearest.

    Raises InputError for an error that is not above 0 and finite.
    """

    of: str
    point_mm: tuple[float, float, float]
    error_mm: float

    def __post_init__(self) -> None:
        if not 0 < self.error_mm < np.inf or not np.isfinite(self.point_mm).all():
            raise InputError(f"{self.of}: an error of {self.error_mm} mm at {self.point_mm}", "numbers above 0, finite")


@dataclass(frozen=True)
class CarriedOver:
    """Where a plan comes from that was made on another image and brought to this one by a rigid registration.

    plan_id, image_id, image_digest: the plan and the image that it was made on. matrix: rows of the (4, 4) map of LPS
    mm of that image to LPS mm of the plan's own. expected_error_mm: of the registration at the target. how: who found
    the map, and how. doubt: why what is not rigid may lie elsewhere (other position, other breath), "" where nothing
    says so. patient_known: whether both images say whose they are, and it is the same person. error_at: the expected
    error along the ways and at the carried structures.

    Raises InputError for a matrix that is not (4, 4) or an error that is not above 0 and finite.
    """

    plan_id: str
    image_id: str
    image_digest: str
    matrix: tuple[Row, Row, Row, Row]
    expected_error_mm: float
    how: str
    doubt: str = ""
    patient_known: bool = False
    error_at: tuple[ErrorAt, ...] = ()

    def __post_init__(self) -> None:
        matrix = np.asarray(self.matrix, dtype=np.float64)
        if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or not 0 < self.expected_error_mm < np.inf:
            raise InputError(
                f"a registration of shape {matrix.shape} with an error of {self.expected_error_mm} mm",
                "a finite 4x4 matrix and an expected error above 0",
            )


@dataclass(frozen=True)
class JudgedOn:
    """All that a way was judged on, as SHA-256 digests: what differs later makes an approval void.

    image: voxels, geometry and how it was taken; structures: all of that image; way: entry, target, where the tip
    stands; needle: the device; rules: protocol and error model, with what is installed otherwise under their names;
    request: target, side, patient position, breath state, and the registration of a plan that was carried over.

    Raises InputError for what is no SHA-256.
    """

    image: str
    structures: str
    way: str
    needle: str
    rules: str
    request: str

    def __post_init__(self) -> None:
        bad = [digest for digest in astuple(self) if not fullmatch(r"[0-9a-f]{64}", digest)]
        if bad:
            raise InputError(f"the digest {bad[0]!r:.80} in an approval", "64 hexadecimal digits: a SHA-256")


@dataclass(frozen=True)
class Withdrawal:
    """Who took an approval back, when (ISO 8601, UTC), and why. Raises InputError where one of them is missing."""

    who: str
    when: str
    reason: str

    def __post_init__(self) -> None:
        _refuse_unsigned("a withdrawal", self.who, self.when)
        if not self.reason.strip():
            raise InputError("a withdrawal without a reason", "why the approval no longer holds")


@dataclass(frozen=True)
class Approval:
    """A person's word for one way of a plan, exactly as it was judged then; never of another plan, image or way.

    when: ISO 8601, UTC. trajectory: which way, counted from 0. verdict, headline: as judged then. acknowledged: what no
    image shows and what was not evaluated, as the person named it. Whether it still stands is told by
    navplan.verbs.approve.standing, never by its being here.

    Raises InputError for an approval by nobody, at no time, of a FAIL, or of anything but PASS with a reason shorter
    than SHORTEST_REASON.
    """

    who: str
    when: str
    reason: str
    trajectory: int
    verdict: Verdict
    headline: str
    judged_on: JudgedOn
    acknowledged: tuple[str, ...] = ()
    withdrawn: Withdrawal | None = None

    def __post_init__(self) -> None:
        _refuse_unsigned("an approval", self.who, self.when)
        if self.trajectory < 0 or not self.headline:
            raise InputError(
                f"an approval of way {self.trajectory}, judged {self.headline!r}",
                "which way, counted from 0, and the headline of its report",
            )
        if self.verdict is Verdict.FAIL:
            raise InputError("an approval of a way that is FAIL", "a way that breaks no limit", "Choose another way in")
        if self.verdict is not Verdict.PASS and len(self.reason.strip()) < SHORTEST_REASON:
            raise InputError(
                f"an approval of a way that is {self.verdict}, for the reason {self.reason!r}",
                f"why it is approved nevertheless, in at least {SHORTEST_REASON} letters",
            )
        if not all(name.strip() for name in self.acknowledged):
            raise InputError("an approval that acknowledges something without a name", "names")


def _refuse_unsigned(what: str, who: str, when: str) -> None:
    """Raises InputError unless somebody said it, at a time with its zone."""
    try:
        known = datetime.fromisoformat(when).tzinfo is not None
    except ValueError:
        known = False
    if not who.strip() or not known:
        raise InputError(f"{what} by {who!r} at {when!r}", "who says so, and when (ISO 8601, with the time zone)")


@dataclass(frozen=True, eq=False)
class Plan:
    """Ranked trajectories (best first) with the rules, the request and the provenance.

    side, level: as requested, "" where nobody stated it, even if the target tells it. skin_map is None for a line drawn
    by hand and for a plan that was carried from another image (`carried`). notes: the program's; remarks: a person's
    own. approvals: in the order in which they were given, void and withdrawn ones too.
    """

    id: str
    protocol: ProcedureProtocol
    target: Target
    side: str
    patient_position: str
    breath_state: str
    error_model: ErrorModel
    trajectories: tuple[RankedTrajectory, ...]
    provenance: Provenance
    skin_map: SkinMap | None = None
    notes: tuple[str, ...] = field(default=())
    carried: CarriedOver | None = None
    approvals: tuple[Approval, ...] = ()
    remarks: str = ""
    level: str = ""

    @property
    def best(self) -> RankedTrajectory:
        """The first in rank. Raises InputError when no way in was found."""
        if not self.trajectories:
            raise InputError(
                f"plan {self.id} has no trajectory", "at least one way in", "See plan.skin_map.counts() for what blocks"
            )
        return self.trajectories[0]
