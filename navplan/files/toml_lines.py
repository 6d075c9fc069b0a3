"""Where in a TOML text each key stands: tomllib tells what a file says, and not where."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

_TABLE = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?")
_KEY = re.compile(r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")
_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")
_STRING = re.compile(r"'''.*?'''|\"\"\"(?:\\.|.)*?\"\"\"|'[^'\n]*'|\"(?:\\.|[^\"\\\n])*\"|#[^\n]*", re.DOTALL)


def lines_of(text: str) -> dict[str, int]:
    """The line, counted from 1, of each table and key of a valid TOML text: "goal", "goal.within_mm",
    "hazards[2].base".

    Tables of a list are counted from 1. Keys within an inline table stand at its own line under its own name.
    """
    found: dict[str, int] = {}
    counted: Counter[str] = Counter()
    table, open_brackets = "", 0
    for number, line in enumerate(_without_strings(text).split("\n"), start=1):
        if open_brackets == 0:
            head, key = _TABLE.match(line), _KEY.match(line)
            if head and not key:
                name = _name(head[2])
                if head[1] == "[[":
                    counted[name] += 1
                    found.setdefault(name, number)
                    name = f"{name}[{counted[name]}]"
                table = name
                found.setdefault(table, number)
                continue
            if key:
                found.setdefault(f"{table}.{_name(key[1])}".lstrip("."), number)
                line = line[key.end() :]
        open_brackets += sum(line.count(one) for one in "[{") - sum(line.count(one) for one in "]}")
    return found


def line_of(lines: Mapping[str, int], key: str) -> int:
    """The line of a key, of the table that it is missing from, or 1."""
    while key:
        if key in lines:
            return lines[key]
        key = key.rpartition("[" if key.endswith("]") else ".")[0]
    return 1


def _name(words: str) -> str:
    return ".".join(part.strip("\"'") for part in _PART.findall(words))


def _without_strings(text: str) -> str:
    """The same lines with comments empty and what stands in strings that are values blanked out."""

    def blank(match: re.Match[str]) -> str:
        piece = match[0]
        if piece.startswith("#"):
            return ""
        is_key = not re.search(r"[\n\[\]{}]", piece) and re.match(r"\s*(=|\.|\])", text[match.end() : match.end() + 40])
        return piece if is_key else "0" + "\n" * piece.count("\n")

    return _STRING.sub(blank, text.replace("\r\n", "\n"))
