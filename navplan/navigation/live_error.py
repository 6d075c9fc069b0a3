"""How far a tracked needle may lie from where it is shown: the error model that its margins are judged under.

Along the needle: the error of the chain of frames at both ends of the part in the body (registration, reference and
tracker, with their turns times their arms), that of the tip's calibration, that of the axis times the distance from the
tip, and that of bending. Each is the root mean square of all three coordinates; all of it is laid on each axis across
the needle, and on the needle itself, since none of them says into which direction it lies. So it is no less than the
true one on any axis. Between the two ends the chain's error is no larger than at the worse one (it is a convex
function of the place: `navplan.navigation.patient_registration.ErrorNearby`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from navplan.model.error_model import ErrorModel
from navplan.navigation.tool import TrackedTool

STEP_MM = 0.1  # errors are rounded up to it, so that few models differ
LARGEST_MM = 49.0  # an error model takes no more


@dataclass(frozen=True)
class LiveError:
    """The parts, mm: of the chain of frames, the tip's calibration, the axis, bending. Unknown (NaN) stays unknown."""

    chain_mm: float
    tip_mm: float
    axis_mm: float
    bending_mm: float

    @property
    def together_mm(self) -> float:
        """Root of the sum of squares: the parts are independent."""
        return float(np.sqrt(self.chain_mm**2 + self.tip_mm**2 + self.axis_mm**2 + self.bending_mm**2))

    @property
    def known(self) -> bool:
        """Whether every part is known, and not out of all measure."""
        return bool(self.together_mm < LARGEST_MM)

    @property
    def words(self) -> str:
        """ "1.4 mm: frames 1.1, tip 0.2, axis 0.5, bending 0.6" """
        parts = (("frames", self.chain_mm), ("tip", self.tip_mm), ("axis", self.axis_mm), ("bending", self.bending_mm))
        return f"{self.together_mm:.1f} mm: {', '.join(f'{name} {value:.1f}' for name, value in parts)}"

    def model(self, planned: ErrorModel) -> ErrorModel:
        """For planning. The anatomy's motion is the plan's own: what is left of it inside the breath gate."""
        sigma = max(np.ceil(self.together_mm / STEP_MM - 1e-9), 1.0) * STEP_MM
        return ErrorModel(
            "tracked", "tracked needle", float(sigma), 0.0, "frames, calibration and bending as they are now",
            motion_sigma_mm=planned.motion_sigma_mm, depth_sigma_mm=float(sigma),
        )  # fmt: skip


def live_error(
    chain_mm: float, tool: TrackedTool, in_body_mm: float, planned: ErrorModel, bent_mm: float | None, arm_mm: float,
    ahead_mm: float = 0.0,
) -> LiveError:  # fmt: skip
    """chain_mm: the larger one of both ends of the part in the body; in_body_mm: its length when the needle is pushed
    on; ahead_mm: how far that is; arm_mm: how far from the tip its farther end lies. bent_mm: as two sensors measure it
    now, None where only one tells where the needle is: then as much as the plan expects of the whole. What is measured
    now tells nothing of the way ahead: what the plan expects to come on there is added, in full, since a needle goes
    on bending to the same side."""
    axis = arm_mm * float(np.radians(tool.axis_error_deg))
    bending = _expected_mm(in_body_mm, planned)
    if bent_mm is not None:
        bending += bent_mm - _expected_mm(max(in_body_mm - ahead_mm, 0.0), planned)
    return LiveError(chain_mm, tool.tip_error_mm, axis, bending)


def _expected_mm(in_body_mm: float, planned: ErrorModel) -> float:
    """By how much a needle is expected to bend aside over a length in the body: an arc of constant curvature."""
    return in_body_mm**2 / 2.0 * planned.bend_sigma_per_mm
