"""One structure, drawn by hand and completed by nnInteractive."""

from __future__ import annotations

import threading
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navplan.errors import InputError
from navplan.imaging.label_map import structure_from_mask
from navplan.model.structure import Structure
from navplan.model.volume import Volume
from navplan_nninteractive.drawing import Drawn, box_between, inside_outline, line_through, voxel_at
from navplan_nninteractive.link import connect, named, told

PROMPTS = {"points": "point", "scribble": "scribble", "lasso": "lasso", "bbox2d": "box", "bbox3d": "box"}


class Interaction:
    """A structure that grows and shrinks with each point, scribble, lasso and box; all of them in LPS mm.

        with Interaction(volume, "ct", "lesion", "http://gpu-box:1527") as drawing:
            lesion = drawing.point((-61.0, 12.5, 84.0))
            lesion = drawing.point((-55.0, 20.0, 84.0), positive=False)

    positive=False means: this is no part of it. Each call sends one interaction, waits for the prediction (seconds on a
    GPU) and gives the structure as it is now: hard labels on the image's voxels, unknown while it has none, evaluated
    in the whole image. Its resolution is unknown, since the server says not on which grid it predicted; the worst
    plausible is then taken. Calls from several threads come one after the other.

    After an error of the connection nobody knows what the server has taken in: the interaction is over, `structure` is
    the last one that it gave, and every further call raises InputError.

    The array goes out as [k, j, i], as nnInteractive's own programs read images, and comes back so.
    """

    def __init__(self, volume: Volume, image_id: str, name: str, server: str = "", api_key: str = "") -> None:
        """Claims a place on the server and sends the image's voxels. See `link.connect` for server and api_key.

        Raises InputError, MissingComponentError: see `link.connect` and `link.told`; InputError for an image of zeros
        alone, which the server cannot take.
        """
        if not volume.voxels.any():
            raise InputError("an image that is 0 everywhere", "an image with something in it")
        self._volume, self._image_id, self._name, self._server = volume, image_id, name, named(server)
        self._lock = threading.RLock()
        self._over = ""
        self._buffer: NDArray[np.uint8] = np.zeros(volume.grid.shape[::-1], dtype=np.uint8)
        self._structure = self._made(self._buffer)  # a name that is none is refused before anything is sent
        self._remote = connect(server, api_key)
        try:
            with told(server):
                self._remote.set_image(np.ascontiguousarray(volume.voxels.T)[None])
                self._remote.set_target_buffer(self._buffer)
                if tuple(self._remote.original_image_shape or ()) != (1, *self._buffer.shape):
                    raise ValueError(f"an image of shape {self._remote.original_image_shape}")
                self._kinds = {str(kind) for kind, can in self._remote.supported_interactions.items() if can}
                self._thickness = np.broadcast_to(
                    np.asarray(self._remote.preferred_scribble_thickness, dtype=np.float64)[..., ::-1]
                    if np.ndim(self._remote.preferred_scribble_thickness) else
                    np.float64(self._remote.preferred_scribble_thickness), 3,
                )  # fmt: skip
            self._structure = self._made(self._buffer)
        except BaseException:
            self._remote.close()
            raise

    @property
    def structure(self) -> Structure:
        """As the last interaction left it."""
        return self._structure

    @property
    def licence(self) -> str:
        """Of the weights on the server, as it says: "CC BY-NC-SA 4.0"; "" where it does not."""
        return str(self._remote.license or "")

    @property
    def prompts(self) -> frozenset[str]:
        """The methods that the server's model takes: "point", "scribble", "lasso", "box"."""
        return frozenset(PROMPTS[kind] for kind in self._kinds & PROMPTS.keys())

    @property
    def over(self) -> str:
        """Why nothing more can be drawn; "" while it goes on."""
        return self._over

    @property
    def kinds(self) -> frozenset[str]:
        """What the server's model takes: "points", "scribble", "lasso", "bbox2d", "bbox3d"."""
        return frozenset(self._kinds)

    def point(self, point_mm: ArrayLike, positive: bool = True) -> Structure:
        """A point (3,) in it, or beside it. Raises InputError for one outside the image."""
        i, j, k = voxel_at(self._volume.grid, point_mm)
        return self._send("points", lambda: self._remote.add_point_interaction([k, j, i], positive))

    def scribble(self, points_mm: ArrayLike, positive: bool = True, normal: ArrayLike | None = None) -> Structure:
        """A line through points (N, 3) of one slice of the image, as thick in it as the model likes it best. normal:
        (3,) square to the slice, which a straight line does not tell by itself."""
        drawn = line_through(self._volume.grid, points_mm, self._thickness, normal)
        return self._send("scribble", lambda: self._remote.add_scribble_interaction(*_sent(drawn, positive)))

    def lasso(self, points_mm: ArrayLike, positive: bool = True) -> Structure:
        """A closed outline through points (N, 3) of one slice of the image, round about what is meant."""
        drawn = inside_outline(self._volume.grid, points_mm)
        return self._send("lasso", lambda: self._remote.add_lasso_interaction(*_sent(drawn, positive)))

    def box(self, corner_mm: ArrayLike, opposite_mm: ArrayLike, positive: bool = True) -> Structure:
        """A box between two points (3,): flat, in one slice of the image, unless the model takes solid ones."""
        ranges = box_between(self._volume.grid, corner_mm, opposite_mm)
        flat = any(stop - start == 1 for start, stop in ranges)
        kind = "bbox2d" if flat and "bbox2d" in self._kinds else "bbox3d"
        if kind == "bbox3d" and kind not in self._kinds and not flat:
            slices = min(stop - start for start, stop in ranges)
            raise InputError(
                f"a box over {slices} slices, for a model without solid boxes", "both corners on one slice of the image"
            )
        sent = [list(one) for one in reversed(ranges)]
        return self._send(kind, lambda: self._remote.add_bbox_interaction(sent, positive))

    def undo(self) -> Structure:
        """Takes the last interaction back; a server keeps one. Raises InputError where there is none."""
        return self._send("", self._undone)

    def reset(self) -> Structure:
        """Takes all interactions back: a structure without voxels, unknown."""
        return self._send("", self._remote.reset_interactions)

    def close(self) -> None:
        """Give the place on the server back; a call that is under way does not hold it up. May be called twice."""
        self._over = self._over or "it was closed"
        self._remote.close()

    def __enter__(self) -> Interaction:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _undone(self) -> None:
        if not self._remote.supports_undo or not self._remote.undo():
            raise _NothingToUndo

    def _send(self, kind: str, call: Callable[[], Any]) -> Structure:
        with self._lock:
            if self._over:
                raise InputError(
                    f"an interaction on {self._name} after {self._over}", "a new one",
                    "Begin the structure again; the last outline is kept",
                )  # fmt: skip
            if kind and kind not in self._kinds:
                raise InputError(
                    f"{kind} for a model that does not take it", ", ".join(sorted(self._kinds)) or "nothing at all"
                )
            try:
                with told(self._server):
                    call()
                    if int(self._buffer.max()) > 1:
                        raise ValueError(f"a mask with the value {self._buffer.max()}")
                self._structure = self._made(self._buffer)
            except _NothingToUndo:
                raise InputError("nothing to undo", "an interaction; the server keeps the last one alone") from None
            except BaseException as error:
                self._over = f"an error ({str(error)[:120] or type(error).__name__})"
                raise
            return self._structure

    def _made(self, buffer: NDArray[np.uint8]) -> Structure:
        from dataclasses import replace

        grid = self._volume.grid
        made = structure_from_mask(buffer.T == 1, grid, self._name, self._image_id, self._origin(), grid)
        return replace(made, made_by="semiautomatic", made_with=self._origin())

    def _origin(self) -> str:
        server = getattr(getattr(self, "_remote", None), "INFERENCE_SESSION_VERSION", "")
        return f"nnInteractive {server} (client {_client_version()})" if server else "nnInteractive"


class _NothingToUndo(Exception):
    pass


def _sent(drawn: Drawn, positive: bool) -> tuple[NDArray[np.uint8], bool, bool, bool, list[list[int]]]:
    """Arguments of the client for a mask: the part [k, j, i], positive, predict, no override, and where the part is."""
    part = np.ascontiguousarray(drawn.mask.T)
    where = [[start, start + size] for start, size in zip(drawn.start[::-1], part.shape, strict=True)]
    return part, positive, True, False, where


def _client_version() -> str:
    try:
        return version("nninteractive-client")
    except PackageNotFoundError:
        return "unknown"
