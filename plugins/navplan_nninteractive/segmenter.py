"""Entry point `navplan.interactive`: nninteractive. The server is the one of NAVPLAN_NNINTERACTIVE."""

from __future__ import annotations

from navplan.model.volume import Volume
from navplan_nninteractive import link
from navplan_nninteractive.interaction import Interaction


class NNInteractiveSegmenter:
    """Points, scribbles, lassos and boxes, completed on the user's own nnInteractive server."""

    name = "nninteractive"
    description = "completes points, scribbles, lassos and boxes on an nnInteractive server of yours"
    modality = ""

    def fault(self) -> str:
        """Why it cannot be used, in a sentence, without asking the server; "" where it can."""
        return link.fault()

    def place(self) -> str:
        """Where the image's voxels go: http://HOST:PORT."""
        return link.shown()

    def open(self, volume: Volume, image_id: str, structure: str) -> Interaction:
        """A place on the server, with the image sent there. Raises what `Interaction` raises."""
        return Interaction(volume, image_id, structure)
