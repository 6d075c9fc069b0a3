"""HTML to PDF with WeasyPrint, which is an extra: where it is missing, the reason and the remedy are given."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from navplan.errors import MissingComponentError

INSTALL = 'pip install "navplan[pdf]"'
PANGO = "Install the library Pango (Debian: libpango-1.0-0 libpangoft2-1.0-0)"
_CLOCK = "SOURCE_DATE_EPOCH"  # reproducible-builds.org: what fontTools writes into the fonts instead of the time


def pdf_bytes(html: str) -> bytes:
    """An HTML page that holds all its pictures as PDF: the same bytes for the same page.

    Raises MissingComponentError where WeasyPrint or a library that it loads is missing.
    """
    for name in ("weasyprint", "fontTools"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        from weasyprint import HTML
    except ImportError as error:
        raise MissingComponentError("WeasyPrint is not installed", "the extra [pdf]", INSTALL) from error
    except OSError as error:
        raise MissingComponentError(f"WeasyPrint cannot load {str(error).splitlines()[0]}", "Pango", PANGO) from error
    from PIL import ImageFile

    ImageFile.LOAD_TRUNCATED_IMAGES = False  # WeasyPrint lets all of the process take pictures that are cut short
    with _stopped_clock():
        return bytes(HTML(string=html).write_pdf())


@contextmanager
def _stopped_clock() -> Iterator[None]:
    """The fonts of a PDF carry the time of writing unless the environment names another."""
    before = os.environ.get(_CLOCK)
    os.environ.setdefault(_CLOCK, "0")
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(_CLOCK, None)
