"""pacs: an inbox that other DICOM nodes send to, what has arrived in it, and whether a node answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from navplan.files.dicom_inbox import ArrivedStudy
    from navplan.files.dicom_network import Listener


@contextmanager
def listen(
    inbox: str | Path, port: int = 11112, *, ae_title: str = "NAVPLAN", host: str = "127.0.0.1",
    require_ae_title: bool = False,
) -> Iterator[Listener]:  # fmt: skip
    """Take in what is sent to a port (C-STORE, C-ECHO) for as long as the `with` lasts; its `tally` counts.

    inbox: folder, made where it is not there; port: 0 takes a free one (see `port` of what is given back).
    Raises InputError for a port, an address or a title that cannot be had and a folder that cannot be written to,
    CaseFolderError where another program listens into the folder.
    """
    from navplan.files.dicom_inbox import Inbox
    from navplan.files.dicom_network import Listener

    with Inbox(inbox) as kept:
        listener = Listener(kept, port, ae_title, host, require_ae_title)
        try:
            yield listener
        finally:
            listener.stop()


def arrived(inbox: str | Path) -> tuple[ArrivedStudy, ...]:
    """The studies in an inbox, the one that grew last first. Import one with import_images(study.folder)."""
    from navplan.files.dicom_inbox import InboxList

    return InboxList(inbox).studies()


def echo(host: str, port: int, *, ae_title: str = "NAVPLAN", called: str = "ANY-SCP") -> float:
    """C-ECHO: milliseconds until the node answered. Raises InputError where it does not."""
    from navplan.files.dicom_network import echo

    return echo(host, port, ae_title, called)
