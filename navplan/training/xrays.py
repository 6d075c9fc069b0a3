"""The C-arm of a rehearsal: where its planes stand, the pedal, and the dose so far."""

from __future__ import annotations

from navplan.errors import InputError
from navplan.fluoroscopy.exposure import Dose
from navplan.training.actions import MoveCarm, Pedal, Xray
from navplan.training.dose import DoseEstimate
from navplan.training.log import Event

MOST_PULSES_PER_S, LONGEST_S = 30.0, 60.0


class Xrays:
    """estimate: of the dose of a pulse."""

    def __init__(self, estimate: DoseEstimate) -> None:
        self._estimate = estimate
        self.standing: dict[int, MoveCarm] = {}
        self.pedal: tuple[tuple[int, ...], float] = ((), 0.0)  # planes, pulses a second
        self._kerma_ugy, self._dap_ugy_cm2, self._pulses = 0.0, 0.0, 0.0

    @property
    def dose(self) -> Dose:
        """So far."""
        return Dose(self._kerma_ugy, self._dap_ugy_cm2, int(self._pulses + 1e-9))

    def move(self, action: MoveCarm) -> float:
        """Degrees that the arm turns by. Raises InputError for a view that it does not have."""
        if action.plane not in (0, 1) or abs(action.primary_deg) > 180 or abs(action.secondary_deg) > 90:
            view = f"plane {action.plane} at {action.primary_deg:g} / {action.secondary_deg:g} degrees"
            raise InputError(view, "plane 0 or 1, within 180 and 90 degrees")
        self._estimate.checked(action)
        before = self.standing.get(action.plane, action)
        self.standing[action.plane] = action
        around = abs((action.primary_deg - before.primary_deg + 180.0) % 360.0 - 180.0)
        return max(around, abs(action.secondary_deg - before.secondary_deg))

    def press(self, action: Pedal) -> None:
        """The pedal pressed or let go. Raises InputError."""
        if not 0.0 <= action.pulses_per_s <= MOST_PULSES_PER_S:
            raise InputError(f"{action.pulses_per_s:g} pulses a second", f"0 (off) to {MOST_PULSES_PER_S:g}")
        self.pedal = (self.planes(action.plane) if action.pulses_per_s else (), action.pulses_per_s)

    def planes(self, plane: int) -> tuple[int, ...]:
        """Those of an action's plane. Raises InputError where one was not set."""
        found = (0, 1) if plane == 2 else (plane,)
        if any(one not in self.standing for one in found):
            raise InputError(f"X-rays in plane {plane} before its C-arm was set", "a view first: move_carm")
        return found

    def shoot(self, action: Xray) -> list[Event]:
        """One shot, or X-rays for some time. Raises InputError."""
        planes, seconds, pulses = self.planes(action.plane), action.seconds, action.pulses_per_s
        if self.pedal[0]:
            raise InputError("X-rays while the pedal is pressed", "the pedal let go first: pedal of 0 pulses")
        if not 0.0 <= seconds <= LONGEST_S or not 0.0 <= pulses <= MOST_PULSES_PER_S or (seconds and not pulses):
            most = f"0 to {LONGEST_S:g} s, up to {MOST_PULSES_PER_S:g}; 0 s for one shot"
            raise InputError(f"X-rays for {seconds:g} s at {pulses:g} pulses a second", most)
        if seconds:
            return self.irradiate((planes, pulses), seconds)
        self.irradiate((planes, 1.0), 1.0)
        return [Event("shot", f"shot in plane {plane + 1}", str(plane)) for plane in planes]

    def irradiate(self, pedal: tuple[tuple[int, ...], float], seconds: float) -> list[Event]:
        """X-rays on in planes at pulses a second."""
        planes, pulses_per_s = pedal
        if not planes or seconds <= 0.0:
            return []
        for plane in planes:
            dose = self._estimate.of(self.standing[plane], pulses_per_s * seconds)
            self._kerma_ugy += dose.reference_kerma_ugy
            self._dap_ugy_cm2 += dose.dap_ugy_cm2
            self._pulses += pulses_per_s * seconds
        return [Event("fluoroscopy", f"X-rays in plane {plane + 1}", str(plane), seconds) for plane in planes]
