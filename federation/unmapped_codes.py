"""Which codes come in that the rule set has no row for, so that the people who keep it see what to add next.

A field that should hold a code can hold anything, a name or a citizen number too, so what was in it is shown by
rule, and everything else is only counted, with the reason:

1. Only values of closed lists (code maps, divisions). Of a division its first six digits, which are what is not
   known.
2. A **code** is shown: at most 12 letters, digits and ``- _ . /``, no more than three letters in a row, at most
   five digits, and not letters alone in parts (Li-Na); or six digits, or 20 to 24 characters, where that is the
   form of the list's own codes and no citizen number is in it. Numbers of persons, passports, telephones and bank
   cards have 7 to 19.
3. A **word** (letters of any script, brackets, at most 12 characters) is shown when documents of five different
   holders had it. Names hardly repeat; and a list that gets more than twenty different unknown words holds
   something else than codes, so none of its words is shown. Until then words and holders are kept as keyed hashes.
   Words that peers or platforms send are never shown.

The codes shown are at most 50 of a list and direction, 500 in all. Counts are of this process since it started; what
a later rule set has a row for is dropped.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from federation.translator import Direction, Inexact
from mapping.code_tables import DIVISIONS, CodeTable, form_of

__all__ = [
    "CODES_MAX",
    "CODES_PER_LIST_MAX",
    "HOLDERS_MIN",
    "WORDS_MAX",
    "NotShown",
    "UnmappedCode",
    "UnmappedCodes",
    "kind_of_code",
]

CODES_MAX = 500
CODES_PER_LIST_MAX = 50
CODE_LENGTH_MAX = 12
HOLDERS_MIN = 5
WORDS_MAX = 20
_LONG_CODE = range(20, 25)
_DIGITS_MAX = 5
_IN_WORDS = " -·()（）、/"
_NO_FORMS: frozenset[str] = frozenset()
_PLAIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9]|[-_./](?=[A-Za-z0-9]))*", re.ASCII)
# Four letters in a row; or letters alone in several parts, such as Li-Na, unless each part is one letter.
_NAME_LIKE = re.compile(r"[A-Za-z]{4}|^(?=.*[A-Za-z]{2})[A-Za-z]+(?:[-_./][A-Za-z]+)+$", re.ASCII)
_CITIZEN = re.compile(r"[1-9][0-9]{5}(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])[0-3][0-9]{4}[0-9Xx]", re.ASCII)
_DIVISION = re.compile(r"[1-9][0-9]{5}(?:[0-9]{3}|[0-9]{6})?", re.ASCII)


class NotShown(StrEnum):
    """Why an unmapped value is only counted."""

    NUMBER = "number"
    """It has as many digits as a person's number could."""
    LONG = "long"
    """It is longer than any code."""
    WORD = "word"
    """A word that too few holders' documents had, or that a peer or a platform sent."""
    FREE_TEXT = "free_text"
    """A word, of a list that gets too many different ones."""
    FORM = "form"
    """It does not look like a code."""
    FULL = "full"
    """A code, but no more of this list are kept."""


class UnmappedCode(NamedTuple):
    """A code that no row is for. `list_name` is the code map's name, or ``division``."""

    direction: Direction
    list_name: str
    code: str
    times: int
    last_seen_at: datetime


@dataclass(slots=True)
class _Seen:
    count: int
    last_seen_at: datetime
    digest: bytes


@dataclass(slots=True)
class _Words:
    """The unknown words of one list, under one rule set."""

    digest: bytes
    holders: dict[bytes, set[bytes]] = field(default_factory=dict)

    def is_free_text(self) -> bool:
        """Whether there are too many of them to be codes."""
        return len(self.holders) > WORDS_MAX


def kind_of_code(code: str, forms: frozenset[str]) -> NotShown | None:
    """Why a value of a closed list is not shown as a code; None when it is. `forms`: of the list's own codes.

    NotShown.WORD says that it is a word, of which rule 3 decides.
    """
    if len(code) > _LONG_CODE[-1]:
        return NotShown.LONG
    digits = sum(map(str.isdigit, code))
    if _PLAIN.fullmatch(code) and not _NAME_LIKE.search(code):
        if len(code) <= CODE_LENGTH_MAX and digits <= _DIGITS_MAX:
            return None
        has_form = (len(code) == 6 or len(code) in _LONG_CODE) and form_of(code) in forms
        if has_form and not _CITIZEN.search(code):
            return None
    if digits > _DIGITS_MAX:
        return NotShown.NUMBER
    if len(code) > CODE_LENGTH_MAX:
        return NotShown.LONG
    is_word = code[:1].isalpha() and all(one.isalpha() or one in _IN_WORDS for one in code)
    return NotShown.WORD if is_word else NotShown.FORM


class UnmappedCodes:
    """The codes seen, bounded, and how many were not shown. For one thread."""

    def __init__(self) -> None:
        self._seen: dict[tuple[Direction, str], dict[str, _Seen]] = {}
        self._words: dict[str, _Words] = {}
        self._secret = secrets.token_bytes(16)
        self._not_shown: Counter[tuple[Direction, str, NotShown]] = Counter()

    def note(self, one: Inexact, table: CodeTable, now: datetime, digest: bytes) -> None:
        """Count a value that `table`, of the rule set with that digest, has no row for."""
        code = one.code.strip()
        if one.direction is Direction.TO_SHARED and code in table.without_target:
            return  # the rule set says that there is nothing for it: nothing to add
        if table.name == DIVISIONS:
            hidden = None if _DIVISION.fullmatch(code) else NotShown.FORM
            code = code[:6]
        else:
            is_read = one.direction is Direction.TO_SHARED
            hidden = kind_of_code(code, table.local_forms if is_read else table.shared_forms)
        if hidden is NotShown.WORD:
            hidden = self._word(one, code, table.name, digest)
        hidden = hidden or self._count(one.direction, table.name, code, now, digest)
        if hidden is not None:
            self._not_shown[one.direction, table.name, hidden] += 1

    def codes(self, tables: Mapping[str, CodeTable], digest: bytes) -> tuple[UnmappedCode, ...]:
        """What the rule set in force still has no row for, the most frequent first."""
        self._drop_known({table.name: table for table in tables.values()}, digest)
        found = [
            UnmappedCode(*of, code, seen.count, seen.last_seen_at)
            for of, codes in self._seen.items()
            for code, seen in codes.items()
        ]
        return tuple(sorted(found, key=lambda one: (-one.times, one.list_name, one.code, one.direction)))

    @property
    def not_shown(self) -> Mapping[tuple[Direction, str, NotShown], int]:
        """How many values of which list were only counted, and why."""
        return self._not_shown

    def _count(
        self, direction: Direction, name: str, code: str, now: datetime, digest: bytes
    ) -> NotShown | None:
        codes = self._seen.setdefault((direction, name), {})
        seen = codes.get(code)
        if seen is None:
            if len(codes) >= CODES_PER_LIST_MAX or sum(map(len, self._seen.values())) >= CODES_MAX:
                return NotShown.FULL
            seen = codes[code] = _Seen(0, now, digest)
        seen.count, seen.last_seen_at, seen.digest = seen.count + 1, now, digest
        return None

    def _word(self, one: Inexact, word: str, name: str, digest: bytes) -> NotShown | None:
        """Rule 3: None when the word may be shown."""
        if one.direction is not Direction.TO_SHARED or not one.whose:
            return NotShown.WORD
        words = self._words.get(name)
        if words is None or words.digest != digest:  # another rule set knows other words
            words = self._words[name] = _Words(digest)
        if words.is_free_text():
            return NotShown.FREE_TEXT
        holders = words.holders.setdefault(self._hash(word), set())
        if len(holders) < HOLDERS_MIN:
            holders.add(self._hash(one.whose))
        if words.is_free_text():
            self._take_back_words(name)
            return NotShown.FREE_TEXT
        return None if len(holders) >= HOLDERS_MIN else NotShown.WORD

    def _take_back_words(self, name: str) -> None:
        of = (Direction.TO_SHARED, name)
        codes = self._seen.get(of, {})
        for word in [code for code in codes if kind_of_code(code, _NO_FORMS) is NotShown.WORD]:
            self._not_shown[*of, NotShown.FREE_TEXT] += codes.pop(word).count

    def _hash(self, text: str) -> bytes:
        return hashlib.blake2b(text.encode(), key=self._secret, digest_size=8).digest()

    def _drop_known(self, tables: Mapping[str, CodeTable], digest: bytes) -> None:
        """Forget what was last seen under another rule set and has a row in this one, or no list any more."""
        for (direction, name), codes in self._seen.items():
            table = tables.get(name)
            if table is None:
                codes.clear()
                continue
            known = table.local | table.without_target if direction is Direction.TO_SHARED else table.shared
            for code in [code for code, seen in codes.items() if seen.digest != digest and code in known]:
                del codes[code]
