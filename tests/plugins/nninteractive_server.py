"""A small server that speaks nnInteractive's protocol, without a network of neurons: it grows regions of like values.

Paths, headers, metadata, checks and answers: nnInteractive 2, inference/server/app.py and inference_session.py; arrays
are packed by the published client's own module. `fault` says what goes wrong at the next interaction.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from nnInteractive.inference.remote._protocol import LEASE_HEADER, META_HEADER
from nnInteractive.inference.remote.serialization import pack_array, unpack_array
from scipy import ndimage

LIKE = 150  # how far values may be from the middle one of what was marked
_CHANGE = {"ran_prediction": True, "bbox": [[2, 6], [2, 6], [2, 6]]}
_BROKEN: dict[str, tuple[Any, np.ndarray | None]] = {  # header and voxels of answers that are none
    "one voxel for many": (_CHANGE, np.ones((1, 1, 1), np.uint8)),  # numpy would spread it
    "a row for a box": (_CHANGE, np.ones((4,), np.uint8)),
    "another shape": (_CHANGE, np.ones((3, 4, 4), np.uint8)),
    "no voxels": (_CHANGE, None),
    "fractions": (_CHANGE, np.full((4, 4, 4), 0.7, np.float32)),
    "two channels": (_CHANGE, np.ones((2, 4, 4, 4), np.uint8)),
    "from the end": ({**_CHANGE, "bbox": [[-6, -2], [2, 6], [2, 6]]}, np.ones((4, 4, 4), np.uint8)),
    "beyond the end": ({**_CHANGE, "bbox": [[2, 6], [2, 6], [9999, 10003]]}, np.ones((4, 4, 4), np.uint8)),
    "half voxels": ({**_CHANGE, "bbox": [[2.5, 6.5], [2, 6], [2, 6]]}, np.ones((4, 4, 4), np.uint8)),
    "no prediction": ({"ran_prediction": False, "bbox": None}, None),
    "says nothing": ({}, None),
    "a list": ([1, 2], None),
}


class Refused(Exception):
    def __init__(self, code: int, detail: str) -> None:
        self.code, self.detail = code, detail


class Dropped(Exception):
    """The connection ends without an answer."""


class Place:
    """What the server keeps for one client."""

    def __init__(self) -> None:
        self.image = self.target = self.before = None

    def mark(self, where: np.ndarray, positive: bool) -> list[list[int]] | None:
        """Adds or takes away the region that was marked; gives the box that changed."""
        self.before = self.target.copy()
        like = np.abs(self.image - np.median(self.image[where])) <= LIKE
        numbers, _ = ndimage.label(like)
        grown = np.isin(numbers, [n for n in np.unique(numbers[where]) if n])
        self.target[grown] = 1 if positive else 0
        return self.changed(self.before)

    def undo(self) -> tuple[bool, list[list[int]] | None]:
        if self.before is None:
            return False, None
        now, self.before, self.target = self.target, None, self.before
        return True, self.changed(now)

    def changed(self, before: np.ndarray) -> list[list[int]] | None:
        places = np.argwhere(before != self.target)
        if not len(places):
            return None
        return [[int(a), int(b) + 1] for a, b in zip(places.min(0), places.max(0), strict=True)]


class NNInteractiveServer:
    """with NNInteractiveServer() as server: Interaction(..., server.url)"""

    def __init__(self, places: int = 1, key: str = "", solid_boxes: bool = False, points: bool = True) -> None:
        self.places, self.key, self.fault = places, key, ""
        self.kinds = {"points": points, "scribble": True, "lasso": True, "bbox2d": True, "bbox3d": solid_boxes}
        self.taken: dict[str, Place] = {}
        self.calls: list[tuple[str, dict, np.ndarray | None]] = []
        self.bodies: list[bytes] = []
        self.let_go = threading.Event()  # what hangs goes on
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.answer(self)

            def do_POST(self) -> None:
                outer.answer(self)

            def log_message(self, *words: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._http.handle_error = lambda *_: None  # clients that leave in the middle
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> NNInteractiveServer:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def stop(self) -> None:
        self.let_go.set()
        self._http.shutdown()
        self._http.server_close()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        meta: dict | None = None
        try:
            if self.key and request.headers.get("Authorization") != f"Bearer {self.key}":
                raise Refused(401, "Invalid bearer token")
            made = self._made(request.path, request.headers, body)
            if isinstance(made, tuple):
                meta, data = made
            else:
                data = json.dumps(made).encode()
            code = 200
        except Dropped:
            request.close_connection = True
            return
        except Refused as refused:
            code, data = refused.code, json.dumps({"detail": refused.detail}).encode()
            data = refused.detail.encode() if code == 200 else data
        with suppress(BrokenPipeError, ConnectionResetError):
            request.send_response(code)
            request.send_header("Content-Length", str(len(data)))
            if meta is not None:
                request.send_header(META_HEADER, json.dumps(meta))
            request.end_headers()
            request.wfile.write(data)

    def _made(self, path: str, headers: Any, body: bytes) -> dict | tuple[dict, bytes]:
        if path == "/healthz":
            return {"ok": True}
        if path == "/claim":
            if len(self.taken) >= self.places:
                raise Refused(503, f"server is at capacity ({self.places} sessions)")
            token = uuid.uuid4().hex
            self.taken[token] = Place()
            return {"lease_token": token, "idle_timeout_seconds": 600.0, "liveness_timeout_seconds": 60.0}
        token = headers.get(LEASE_HEADER, "")
        if path == "/capabilities":
            return {
                "supported_interactions": self.kinds, "num_interaction_channels": 7, "do_autozoom": True,
                "channel_mapping": {"prev_seg": 0, "points": [3, 4], "scribble": [5, 6], "lasso": [1, 2]},
                "supports_initial_label": True, "supports_zero_shot_label_refinement": True, "supports_undo": True,
                "preferred_scribble_thickness": [1, 3, 3], "interaction_decay": 0.98,
                "inference_session_version": "2.6.0", "license": "CC BY-NC-SA 4.0",
            }  # fmt: skip
        if path == "/release":
            self.taken.pop(token, None)
            return {"released": True}
        if token not in self.taken or self.fault == "over":
            raise Refused(410, "lease expired or unknown")
        if path == "/heartbeat":
            return {"remaining_seconds": 600.0}
        return self._interaction(path, self.taken[token], headers, body)

    def _interaction(self, path: str, place: Place, headers: Any, body: bytes) -> dict | tuple[dict, bytes]:
        binary = META_HEADER in headers
        asked = json.loads(headers[META_HEADER] if binary else body)
        array = unpack_array(body) if binary else None
        self.calls.append((path, asked, array))
        self.bodies.append(body)
        if path == "/set_image":
            if self.fault == "hang at the image":
                self.let_go.wait(60)
            place.image, place.target = array[0].astype(np.float64), None
            return {"original_image_shape": [1, 7, 7, 7] if self.fault == "grid" else list(array.shape)}
        if path == "/set_target_buffer":
            place.target = np.zeros(asked["shape"], dtype=asked["dtype"])
            return {}
        if path == "/reset_interactions":
            place.target.fill(0)
            place.before = None
            return {}
        if self.fault == "refuse":
            raise Refused(400, "the model is tired")
        if self.fault == "drop":
            raise Dropped
        if self.fault == "slow":
            time.sleep(1.0)
        if self.fault == "hang":
            self.let_go.wait(60)
        if self.fault == "page":  # of a proxy that wants a password: 200, and no outline
            raise Refused(200, "<html>log in</html>")
        if path == "/undo":
            ran, box = place.undo()
        else:
            ran, box = True, place.mark(self._where(path, place, asked, array), asked["include_interaction"])
        if self.fault == "garbage":
            return {"ran_prediction": True, "bbox": [[0, 1], [0, 1], [0, 1]]}, b"NNIA and nothing that follows"
        if self.fault in _BROKEN:
            meta, broken = _BROKEN[self.fault]
            return meta, b"" if broken is None else pack_array(broken)
        if box is None:
            return {"ran_prediction": ran, "bbox": None}, b""
        part = place.target[tuple(slice(*one) for one in box)]
        if self.fault == "twos":
            part = part + 1
        return {"ran_prediction": True, "bbox": box, "dtype": "uint8", "shape": list(part.shape)}, pack_array(part)

    def _where(self, path: str, place: Place, asked: dict, array: np.ndarray | None) -> np.ndarray:
        where = np.zeros(place.image.shape, dtype=bool)
        if path == "/add_point_interaction":
            where[tuple(round(n) for n in asked["coordinates"])] = True
        elif path == "/add_bbox_interaction":
            sizes = [stop - start for start, stop in asked["bbox_coords"]]
            if 0 in sizes or (1 not in sizes and not self.kinds["bbox3d"]):
                raise Refused(400, f"bounding box of size {sizes}")
            where[tuple(slice(*one) for one in asked["bbox_coords"])] = True
        elif path in ("/add_scribble_interaction", "/add_lasso_interaction"):
            box = asked["interaction_bbox"]
            if [stop - start for start, stop in box] != list(array.shape):
                raise Refused(400, f"image shape {list(array.shape)} must match interaction_bbox {box}")
            if any(a < 0 or b > size for (a, b), size in zip(box, where.shape, strict=True)):
                raise Refused(400, f"interaction_bbox {box} exceeds original image bounds")
            where[tuple(slice(*one) for one in box)] = array > 0
        else:
            raise Refused(404, "Not Found")
        return where
