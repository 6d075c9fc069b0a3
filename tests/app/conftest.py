"""What the tests of the app share: the app served without its scene's process, once a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from navplan.app.scene_views import SceneViews
from navplan.session.session import Session
from tests.app.served import Served
from tests.session.saved_case import copy_of


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The planned case, for this machine alone. The scene is tested behind its own pipe."""
    folder: Path = copy_of("planned", tmp_path_factory.mktemp("served") / "case")
    with pytest.MonkeyPatch.context() as quiet:
        quiet.setattr(SceneViews, "start", lambda self: None)
        running = Served(Session(folder))
        yield running
        running.close()
