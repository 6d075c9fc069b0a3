"""Pages as PDF: the same bytes for the same page, and a remedy where it cannot be made."""

from __future__ import annotations

import os
import sys
import time

import pytest

from navplan.errors import MissingComponentError
from navplan.reports.pdf import pdf_bytes

PAGE = "<html><body><p>Clearance 3.6 to 8.1 mm ✓ ✕</p></body></html>"


def test_the_same_page_gives_the_same_bytes():
    pytest.importorskip("weasyprint")
    first = pdf_bytes(PAGE)
    time.sleep(1.1)  # fonts carry a time in seconds
    assert first == pdf_bytes(PAGE) and first.startswith(b"%PDF")
    assert "SOURCE_DATE_EPOCH" not in os.environ


def test_a_report_does_not_let_pictures_be_cut_short_elsewhere():
    pytest.importorskip("weasyprint")
    from PIL import ImageFile

    pdf_bytes("<p>one</p>")
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


def test_without_weasyprint_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    with pytest.raises(MissingComponentError, match=r'pip install "navplan\[pdf\]"'):
        pdf_bytes(PAGE)


def test_without_pango_the_remedy_is_named(monkeypatch):
    class Broken:
        def find_spec(self, name, path=None, target=None):
            if name == "weasyprint":
                raise OSError("cannot load library 'libpango-1.0-0'")

    monkeypatch.delitem(sys.modules, "weasyprint", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    with pytest.raises(MissingComponentError, match="libpango"):
        pdf_bytes(PAGE)
