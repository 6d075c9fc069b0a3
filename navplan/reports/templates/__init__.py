"""The pages of reports, as Jinja templates beside this file; a name that a template misses is an error, never a gap."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment


@lru_cache(maxsize=1)
def _environment() -> Environment:
    from jinja2 import DictLoader, Environment, StrictUndefined

    folder = files(__name__)
    pages = {item.name: item.read_text(encoding="utf-8") for item in folder.iterdir() if item.name.endswith(".html")}
    return Environment(
        loader=DictLoader(pages), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


def page(name: str, **content: Any) -> str:
    """A template filled in; text in `content` is escaped."""
    return _environment().get_template(name).render(**content)


def style() -> str:
    """The style sheet of all pages."""
    return files(__name__).joinpath("style.css").read_text(encoding="utf-8")
