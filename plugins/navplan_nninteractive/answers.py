"""The published client with a look at each answer before it is believed.

The client takes an answer without its header for "nothing changed", and writes a part of another size wherever numpy
lets it. Both would be an outline that the server never gave.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from nnInteractive.inference.remote import nnInteractiveRemoteInferenceSession
from nnInteractive.inference.remote._protocol import META_HEADER, PATH_UNDO


class CheckedSession(nnInteractiveRemoteInferenceSession):
    """Every method raises ValueError for an answer that is none, before the target buffer is touched by it."""

    def _post_json(self, path: str, body: dict[str, Any]) -> Any:
        answer = super()._post_json(path, body)
        if META_HEADER not in answer.headers:
            try:
                answer.json()
            except ValueError:  # the page of a proxy that wants a password, for one
                raise ValueError("no outline in the answer, and no JSON") from None
        return answer

    def _apply_prediction_response(self, resp: Any) -> bool:
        if META_HEADER not in resp.headers:
            raise ValueError("no outline in the answer")
        told = json.loads(resp.headers[META_HEADER])
        if not isinstance(told, dict) or not isinstance(told.get("ran_prediction"), bool):
            raise ValueError("an answer that does not say whether it predicted")
        if not told["ran_prediction"] and not str(resp.request.url.path).endswith(PATH_UNDO):
            raise ValueError("it did not predict")
        if told["ran_prediction"] and told.get("bbox") is not None and not resp.content:
            raise ValueError("a change without voxels")
        return bool(super()._apply_prediction_response(resp))

    def _write_bbox_into_target_buffer(self, diff: np.ndarray, bbox: Any) -> None:
        shape = np.shape(self.target_buffer)
        whole = all(isinstance(n, int) and not isinstance(n, bool) for pair in bbox for n in pair)
        if not whole or len(bbox) != 3 or any(len(pair) != 2 for pair in bbox):
            raise ValueError(f"a change at {str(bbox)[:80]}")
        if any(not 0 <= start < stop <= size for (start, stop), size in zip(bbox, shape, strict=True)):
            raise ValueError(f"a change at {bbox} of an image of {list(shape)} voxels [k, j, i]")
        if diff.shape != tuple(stop - start for start, stop in bbox):
            raise ValueError(f"{list(diff.shape)} voxels for a change at {bbox}")
        if diff.dtype.kind not in "bui" or (diff.size and not 0 <= int(diff.min()) <= int(diff.max()) <= 1):
            raise ValueError(f"voxels of {diff.dtype} that are not 0 and 1: a mask with the value {diff.max()}")
        super()._write_bbox_into_target_buffer(diff, bbox)
