"""What messages hold, without their bytes. Lengths in mm; LPS where a class says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from navplan.errors import InputError
from navplan_openigtlink.header import ASCII, seconds_of

Point3 = tuple[float, float, float]
Colour = tuple[int, int, int, int]
YELLOW: Colour = (255, 255, 0, 255)
OK_CODE = 1
TIP_ONLY = 3  # kind of a tool of which only the tip is known


@dataclass(frozen=True, eq=False)
class Transform:
    """TRANSFORM: (4, 4), parent_from_device, as the sender tells it; its last row is not on the wire."""

    type: ClassVar[str] = "TRANSFORM"
    matrix: NDArray[np.float64]

    def __post_init__(self) -> None:
        _check_matrix(self.matrix)


@dataclass(frozen=True, eq=False)
class TrackedMatrix:
    """One tool of TDATA. kind: 1 tracker, 2 with 6 degrees of freedom, 3 tip only, 4 without roll."""

    name: str
    matrix: NDArray[np.float64]
    kind: int = 2

    def __post_init__(self) -> None:
        _check_matrix(self.matrix)


@dataclass(frozen=True)
class TrackedQuaternion:
    """One tool of QTDATA. quaternion: x, y, z, w; kind as in TDATA."""

    name: str
    position_mm: Point3
    quaternion: tuple[float, float, float, float]
    kind: int = 2


@dataclass(frozen=True)
class TrackingData:
    """TDATA: all tools that the tracker sees; one that it does not see is left out."""

    type: ClassVar[str] = "TDATA"
    tools: tuple[TrackedMatrix, ...]


@dataclass(frozen=True)
class QuaternionTrackingData:
    """QTDATA: the same with quaternions."""

    type: ClassVar[str] = "QTDATA"
    tools: tuple[TrackedQuaternion, ...]


@dataclass(frozen=True)
class Position:
    """POSITION: quaternion x, y, z, w; None where only a position was sent."""

    type: ClassVar[str] = "POSITION"
    position_mm: Point3
    quaternion: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class Status:
    """STATUS: code 1 is OK, all others (Documents/Protocol/status.md) are not; subcode is the device's own."""

    type: ClassVar[str] = "STATUS"
    code: int
    subcode: int = 0
    name: str = ""
    words: str = ""


@dataclass(frozen=True)
class Text:
    """STRING: encoding by its IANA MIBenum, 3 for ASCII, 106 for UTF-8; of any other each byte is one character."""

    type: ClassVar[str] = "STRING"
    text: str
    encoding: int = ASCII


@dataclass(frozen=True)
class Point:
    """One point of POINT: position in LPS mm; colour red, green, blue, opacity 0 to 255."""

    name: str
    position_mm: Point3
    group: str = ""
    colour: Colour = YELLOW
    diameter_mm: float = 0.0
    owner: str = ""


@dataclass(frozen=True)
class Points:
    """POINT."""

    type: ClassVar[str] = "POINT"
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Line:
    """One line of TRAJ: entry and target in LPS mm, one of them None where only the other is known."""

    name: str
    entry_mm: Point3 | None
    target_mm: Point3 | None
    group: str = ""
    colour: Colour = YELLOW
    diameter_mm: float = 0.0
    owner: str = ""

    def __post_init__(self) -> None:
        if self.entry_mm is None and self.target_mm is None:
            raise InputError(f"a line {self.name!r} without points", "an entry, a target, or both")


@dataclass(frozen=True)
class Lines:
    """TRAJ."""

    type: ClassVar[str] = "TRAJ"
    lines: tuple[Line, ...]


@dataclass(frozen=True, eq=False)
class Image:
    """IMAGE: voxels[i, j, k] or [i, j, k, component] of the part that was sent, affine (4, 4) of the WHOLE image's
    index to LPS mm.

    size: of the whole image, offset: of the part's first voxel in it; both follow from voxels where the whole is sent.
    ras: whether the wire has it in RAS.
    """

    type: ClassVar[str] = "IMAGE"
    voxels: NDArray[Any]
    affine: NDArray[np.float64]
    size: tuple[int, int, int] = (0, 0, 0)
    offset: tuple[int, int, int] = (0, 0, 0)
    ras: bool = False

    def __post_init__(self) -> None:
        if self.voxels.ndim not in (3, 4) or min(self.voxels.shape) < 1:
            raise InputError(f"voxels of shape {self.voxels.shape}", "[i, j, k] or [i, j, k, component], none empty")
        affine = np.asarray(self.affine, dtype=np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            raise InputError(f"an affine of shape {affine.shape}", "a finite (4, 4) affine")
        size = self.voxels.shape[:3] if self.size == (0, 0, 0) else self.size
        if any(o < 0 or o + n > s for o, n, s in zip(self.offset, self.voxels.shape, size, strict=False)):
            raise InputError(
                f"a part {self.voxels.shape} at {self.offset} of an image {size}", "a part that lies in it"
            )
        object.__setattr__(self, "affine", affine)
        object.__setattr__(self, "size", tuple(size))

    @property
    def whole(self) -> bool:
        """Whether all of the image is here."""
        return self.size == self.voxels.shape[:3]


@dataclass(frozen=True, eq=False)
class Attribute:
    """One attribute of a mesh: kind as in polydata.md (0 point scalars, 16 cell scalars); values (n, components)."""

    name: str
    kind: int
    values: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Mesh:
    """POLYDATA: points (n, 3) LPS mm; cells as flat lists (count, index, index, ..., count, ...), as VTK keeps them."""

    type: ClassVar[str] = "POLYDATA"
    points_mm: NDArray[np.float64]
    vertices: NDArray[np.uint32] = field(default_factory=lambda: np.zeros(0, np.uint32))
    lines: NDArray[np.uint32] = field(default_factory=lambda: np.zeros(0, np.uint32))
    polygons: NDArray[np.uint32] = field(default_factory=lambda: np.zeros(0, np.uint32))
    strips: NDArray[np.uint32] = field(default_factory=lambda: np.zeros(0, np.uint32))
    attributes: tuple[Attribute, ...] = ()

    @staticmethod
    def of_triangles(points_mm: NDArray[np.float64], triangles: NDArray[np.integer[Any]]) -> Mesh:
        """A mesh of triangles (m, 3)."""
        cells = np.full((len(triangles), 4), 3, dtype=np.uint32)
        cells[:, 1:] = triangles
        return Mesh(np.asarray(points_mm, dtype=np.float64), polygons=cells.ravel())

    @property
    def triangles(self) -> NDArray[np.uint32]:
        """(m, 3) indices. Raises InputError where a polygon has more or fewer corners."""
        if len(self.polygons) % 4 or (self.polygons[::4] != 3).any():
            raise InputError("polygons that are not all triangles", "triangles")
        return self.polygons.reshape(-1, 4)[:, 1:]


@dataclass(frozen=True)
class Capability:
    """CAPABILITY: names of the types that the sender reads."""

    type: ClassVar[str] = "CAPABILITY"
    types: tuple[str, ...]


@dataclass(frozen=True)
class Request:
    """GET_ (once), STT_ (start), STP_ (stop) and RTS_ (answer) of a type.

    interval_ms, coordinates: of STT_TDATA and STT_QTDATA, the least time between two messages and the frame asked for;
    failed: of RTS_; body: of any other request that has one.
    """

    action: str
    of: str
    interval_ms: int = 0
    coordinates: str = ""
    failed: bool = False
    body: bytes = b""

    @property
    def type(self) -> str:
        """As it stands in the header, cut to 12 characters: GET_TRANSFOR, GET_CAPABIL."""
        return "GET_CAPABIL" if (self.action, self.of) == ("GET", "CAPABILITY") else f"{self.action}_{self.of}"[:12]


@dataclass(frozen=True)
class Unknown:
    """A message of a type that is not read here: its content as it came."""

    type: str
    body: bytes


Content = (
    Transform | TrackingData | QuaternionTrackingData | Position | Status | Text | Points | Lines | Image | Mesh
    | Capability | Request | Unknown
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Message:
    """A content and what its header says: device name, time stamp (32.32 bits since 1970 UTC, 0 for none), header
    version.

    message_id and metadata need header version 2.
    """

    content: Content
    device: str = ""
    timestamp: int = 0
    version: int = 1
    message_id: int = 0
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def type(self) -> str:
        """As in the header."""
        return self.content.type

    @property
    def sent_s(self) -> float:
        """By the sender's clock, seconds since 1970 UTC, NaN where it says none."""
        return seconds_of(self.timestamp)


def _check_matrix(matrix: NDArray[np.float64]) -> None:
    if np.shape(matrix) != (4, 4):
        raise InputError(f"a matrix of shape {np.shape(matrix)}", "(4, 4)")
