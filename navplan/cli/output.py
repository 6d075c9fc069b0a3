"""What the command line prints: results to standard output, all else to standard error."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import signal
import sys
import threading
from collections.abc import Mapping
from enum import Enum
from typing import Any

from navplan.errors import InputError


def plain(value: Any) -> Any:
    """Dataclasses, enums, paths and arrays as what JSON holds; NaN and infinity as null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str | int | bool) or value is None:
        return value
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return str(value)


def listen_to_interrupts(how: Any) -> None:
    """Set what Ctrl-C does, where that can be set: in the main thread."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, how)


class Output:
    """Text for people or one JSON document for programs; progress and messages go to standard error."""

    def __init__(self, as_json: bool, quiet: bool, verb: str) -> None:
        self.as_json, self.quiet, self.verb = as_json, quiet, verb
        self._on_line = False

    def start_log(self, path: str) -> None:
        """Warnings to standard error; all of the log to a file, if one is named."""
        logger = logging.getLogger("navplan")
        logger.handlers.clear()
        to_screen = logging.StreamHandler(sys.stderr)
        to_screen.setLevel(logging.ERROR if self.quiet else logging.WARNING)
        to_screen.setFormatter(logging.Formatter("navplan: %(message)s"))
        logger.addHandler(to_screen)
        if path:
            try:
                to_file = logging.FileHandler(path, encoding="utf-8")
            except OSError as error:
                raise InputError(f"log file {path}: {error.strerror}", "a file that can be written") from error
            to_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
            logger.addHandler(to_file)
            logger.setLevel(logging.INFO)

    def result(self, text: str, data: Any) -> None:
        """Print the result: the text, or the data as one JSON document. The work is done: Ctrl-C comes too late."""
        listen_to_interrupts(signal.SIG_IGN)
        self._end_line()
        print(json.dumps(plain(data), indent=1, ensure_ascii=False) if self.as_json else text, flush=True)

    def line(self, text: str) -> None:
        """A line of a result that grows, at once; nothing with --json, whose one document comes at the end."""
        if not self.as_json:
            self._end_line()
            print(text, flush=True)

    def message(self, text: str) -> None:
        """A line for people on standard error, unless --quiet."""
        if not self.quiet:
            self._end_line()
            print(text, file=sys.stderr, flush=True)

    def error(self, text: str) -> None:
        """One clear line on standard error, also with --quiet."""
        self._end_line()
        print(f"navplan {self.verb}: {' '.join(text.split())}", file=sys.stderr, flush=True)

    def progress(self, words: str, share: float) -> None:
        """How far long work has come; on a terminal one line that is written over."""
        if self.quiet:
            return
        if sys.stderr.isatty():
            print(f"\r\033[K{share:4.0%} {words}", end="", file=sys.stderr, flush=True)
            self._on_line = True

    def _end_line(self) -> None:
        if self._on_line:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
            self._on_line = False


def aligned(rows: list[list[str]]) -> list[str]:
    """Rows of one length as lines with their columns one below the other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
