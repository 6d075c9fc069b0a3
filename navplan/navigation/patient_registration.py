"""The patient under the tracker: registered by landmarks to the plan's image, carried by a reference that moves with
the patient. Whether that may be trusted, checkpoints tell (`navplan.navigation.checkpoints`).

Frame "patient": LPS mm of the plan's image. Frame "reference": of the tracked body that is fixed to the patient. It
tells how the patient moves as far as it is fixed to what moves: that the body rolls or breathes beneath it, it does not
see; a checkpoint does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.errors import ChoiceError, GeometryError, InputError
from navplan.geometry.error_map import ErrorMap
from navplan.geometry.landmarks import FEWEST, fit_landmarks
from navplan.geometry.transform import Transform
from navplan.navigation.frames import Edge
from navplan.navigation.limits import GuidanceLimits

PATIENT = "patient"
CELL_MM, MOST_CELLS = 5.0, 20_000  # of the places that the registration's error is kept for
_CORNERS = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij"), axis=-1).reshape(-1, 3)


class ErrorNearby:
    """A map of a registration's error that answers at once: the largest at the corners of the cell that a point is in,
    kept. For landmarks that bounds the cell from above: to first order the error's mean square is a quadratic form of
    the place that is nowhere negative, so its root is convex (see `navplan.geometry.landmarks`)."""

    def __init__(self, of: ErrorMap) -> None:
        self._of, self._kept = of, dict[tuple[int, int, int], float]()

    def error_mm(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """(K,) upper bounds of the expected error at points (K, 3), patient frame, mm."""
        cells = np.floor(np.atleast_2d(np.asarray(points_mm, dtype=np.float64)) / CELL_MM).astype(int)
        return np.asarray([self._at((i, j, k)) for i, j, k in cells.tolist()])

    def _at(self, cell: tuple[int, int, int]) -> float:
        if cell not in self._kept:
            if len(self._kept) >= MOST_CELLS:
                self._kept.clear()
            self._kept[cell] = float(np.max(self._of.error_mm((np.asarray(cell) + _CORNERS) * CELL_MM)))
        return self._kept[cell]


@dataclass(frozen=True)
class RegisteredImage:
    """The image that landmarks were picked in. id: in its case; digest: of its voxels and grid (`Volume.digest`);
    patient_digest: by the case's salt, "" where the image does not say whose it is. Raises InputError without a digest.
    """

    id: str
    digest: str
    patient_digest: str = ""

    def __post_init__(self) -> None:
        if not self.digest:
            raise InputError(f"image {self.id!r} of a registration without a digest", "the digest of an image")

    def other_than(self, image_id: str, digest: str, patient_digest: str) -> str:
        """Why it is not this image, "" where it is."""
        if self.digest == digest:
            return ""
        told = self.patient_digest and patient_digest
        same = self.patient_digest == patient_digest
        whose = (", of the same patient" if same else ", of another patient or case") if told else ""
        return f"{self.id} ({self.digest[:8]}{whose}), the plan's is {image_id} ({digest[:8]})"


@dataclass(frozen=True, eq=False)
class PatientRegistration:
    """patient_from_reference, and how good it is.

    error: its expected error place by place in the patient; made_s: when; names, residuals_mm, left_out_mm (N,): of the
    landmarks (`navplan.geometry.landmarks.LandmarkFit`); errors_mm: expected error at named places; doubts: what speaks
    against it, each in words: with any of them it does not serve. landmarks_mm: (N, 3) in the image; image: the one
    that they were picked in, None where nobody said.
    """

    transform: Transform
    error: ErrorMap
    made_s: float
    names: tuple[str, ...] = ()
    residuals_mm: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    left_out_mm: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    errors_mm: Mapping[str, float] = field(default_factory=dict)
    doubts: tuple[str, ...] = ()
    landmarks_mm: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 3)))
    image: RegisteredImage | None = None

    def __post_init__(self) -> None:
        if self.transform.target != PATIENT or not np.isfinite(self.made_s):
            raise InputError(
                f"{self.transform.target}_from_{self.transform.source} made at {self.made_s} s",
                f"{PATIENT}_from_ a reference, at a time",
            )

    def edge(self) -> Edge:
        """For the frames; it ages by checkpoints (`standing`), not by itself."""
        return Edge(PATIENT, self.transform.source, self.transform, self.made_s, np.inf, ErrorNearby(self.error))

    def place_of(self, name: str) -> tuple[float, float, float]:
        """Where the image has a landmark, LPS mm. Raises ChoiceError for one that is none of its own."""
        if name not in self.names or len(self.landmarks_mm) != len(self.names):
            raise ChoiceError(f"landmark {name!r}", ", ".join(self.names) or "a registration by landmarks")
        x, y, z = (float(part) for part in self.landmarks_mm[self.names.index(name)])
        return x, y, z

    @property
    def words(self) -> str:
        """ "registered by 6 landmarks, expected error 1.2 mm at target; largest residual 0.8 mm (tip of rib 9)" """
        errors = ", ".join(f"{error:.1f} mm at {name}" for name, error in self.errors_mm.items())
        worst = int(np.argmax(self.residuals_mm)) if len(self.residuals_mm) else -1
        residual = f"; largest residual {self.residuals_mm[worst]:.1f} mm ({self.names[worst]})" if worst >= 0 else ""
        return f"registered by {len(self.names)} landmarks, expected error {errors or 'not asked'}{residual}"


def register_landmarks(
    names: Sequence[str], patient_mm: ArrayLike, reference_mm: ArrayLike, reference: str,
    places_mm: Mapping[str, ArrayLike], made_s: float, limits: GuidanceLimits | None = None,
    image: RegisteredImage | None = None,
) -> PatientRegistration:  # fmt: skip
    """Register by landmarks: in the image (N, 3), and as touched, in the reference's frame (N, 3), mm. places_mm: where
    the error is asked for ("target", "entry"), patient frame; image: the one that the landmarks were picked in.

    Raises GeometryError for fewer than three landmarks, other shapes, points that are not finite or lie on a line, and
    for landmarks of the same name.
    """
    limits = limits or GuidanceLimits()
    count = len(np.atleast_2d(np.asarray(patient_mm, dtype=np.float64)))
    if len(set(names)) != len(names) or len(names) != count:
        raise GeometryError(f"{len(names)} names of {count} landmarks: {', '.join(names)}", "one name each")
    fit = fit_landmarks(patient_mm, reference_mm, limits.landmark_error_mm)
    errors = {name: float(fit.error_mm(np.asarray(point, float)[None])[0]) for name, point in places_mm.items()}
    doubts = []
    for name, residual, left_out in zip(names, fit.residuals_mm, fit.left_out_mm, strict=True):
        if not residual <= limits.landmark_residual_mm:
            doubts.append(f"{name} lies {residual:.1f} mm off, at most {limits.landmark_residual_mm:g} mm allowed")
        elif left_out > limits.landmark_left_out_mm:
            doubts.append(
                f"{name} lies {left_out:.1f} mm off where the others put it, at most "
                f"{limits.landmark_left_out_mm:g} mm allowed"
            )
    if len(names) == FEWEST:
        doubts.append("three landmarks only: none can be checked by the others")
    doubts += [
        f"expected error {error:.1f} mm at {name}, at most {limits.target_error_mm:g} mm allowed"
        for name, error in errors.items() if not error <= limits.target_error_mm
    ]  # fmt: skip
    carried = Transform(fit.matrix, PATIENT, reference, origin="landmarks")
    return PatientRegistration(
        carried, fit, made_s, tuple(names), fit.residuals_mm, fit.left_out_mm, errors, tuple(doubts), fit.to_mm, image
    )
