"""Segmenters asked for over HTTP: nothing that is asked wrongly is a fault of the server, or starts anything."""

from __future__ import annotations

import pytest

from tests.app.served import Served
from tests.app.test_actions import HOSTILE

pytestmark = pytest.mark.xdist_group("served")  # one case for all
GOOD = {"segmenter": "ct-region", "structure": "liver", "seeds": [[0.0, 0.0, 0.0]], "who": ""}


@pytest.mark.parametrize("argument", ["segmenter", "structure", "seeds", "who"])
def test_no_value_of_an_argument_is_a_fault_of_the_server(served: Served, argument: str) -> None:
    revision = served.session.case.revision
    wrong = {**GOOD, "seeds": [[1e5, 0, 0]]}  # beside the image: what is right otherwise starts nothing either
    for value in HOSTILE:
        answer = served.post("/api/segment/start", {**wrong, argument: value})
        assert answer.status == 400 and "Traceback" not in answer.words, (value, answer.body[:200])
    assert served.app.segments.segmenting.told()["state"] == "idle" and served.session.case.revision == revision


def test_only_what_is_meant_is_taken(served: Served) -> None:
    for arguments in ({}, {"segmenter": "ct-basic", "folder": "/"}, {"structure": "liver"}):
        assert served.post("/api/segment/start", arguments).status == 400
    assert served.get("/api/segment/start").status == 404
    assert served.post("/api/segment/stop", {}).status == 200  # nothing runs
