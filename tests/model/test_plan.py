"""What an approval has to say: who, when, of a way that breaks no limit, with a reason where one is needed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from navplan.errors import InputError
from navplan.model.plan import Approval, JudgedOn, Withdrawal
from navplan.model.safety import Verdict

WHEN = "2026-11-28T10:00:00+00:00"
JUDGED_ON = JudgedOn(*["ab" * 32] * 6)
GIVEN = Approval("Dr A", WHEN, "seen on the reformats", 0, Verdict.WARN, "Clear >= 2.0 mm", JUDGED_ON, ("recess",))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"who": ""}, "who says so"),
        ({"who": "  "}, "who says so"),
        ({"when": "yesterday"}, "ISO 8601"),
        ({"when": "2026-11-28T10:00:00"}, "time zone"),
        ({"trajectory": -1}, "counted from 0"),
        ({"headline": ""}, "headline"),
        ({"verdict": Verdict.FAIL}, "breaks no limit"),
        ({"reason": "short one"}, "at least 10"),
        ({"reason": "short        "}, "at least 10"),
        ({"reason": "", "verdict": Verdict.NOT_EVALUATED}, "at least 10"),
        ({"acknowledged": ("recess", " ")}, "without a name"),
    ],
)
def test_what_is_no_approval(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        replace(GIVEN, **changes)


def test_a_way_that_passes_needs_no_reason() -> None:
    assert replace(GIVEN, verdict=Verdict.PASS, reason="").withdrawn is None


def test_a_withdrawal_says_who_when_and_why() -> None:
    for words in (("", WHEN, "why"), ("Dr A", "", "why"), ("Dr A", WHEN, " ")):
        with pytest.raises(InputError):
            Withdrawal(*words)


def test_digests_are_digests() -> None:
    for bad in ("", "ab" * 31, "AB" * 32, "zz" * 32):
        with pytest.raises(InputError, match="SHA-256"):
            replace(JUDGED_ON, rules=bad)
