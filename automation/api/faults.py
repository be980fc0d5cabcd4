"""What is wrong with a request, said so that a person can mend it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import NamedTuple


class Fault(NamedTuple):
    """One thing to mend."""

    pointer: str  # RFC 6901, from the root of the body.
    message: str  # What is wrong, one sentence.
    hint: str = ""  # What to do instead.

    def under(self, prefix: str) -> Fault:
        """The same fault as seen from further outside."""
        return self._replace(pointer=prefix + self.pointer)

    def document(self) -> dict[str, str]:
        """As it appears in an answer; an empty hint is left out."""
        shown = {"pointer": self.pointer, "message": self.message}
        return {**shown, "hint": self.hint} if self.hint else shown


class RejectedError(Exception):
    """The body, or one event of it, cannot be accepted; says everything that is wrong with it."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(f"{f.pointer}: {f.message}" for f in faults[:3]))
        self.faults = list(faults)


def pointer(*parts: str | int) -> str:
    """An RFC 6901 pointer; a very long or unprintable key is cut, so that answers stay small."""
    return "".join(f"/{_escaped(part)}" for part in parts)


def _escaped(part: str | int) -> str:
    text = str(part)
    text = text if len(text) <= 60 else text[:59] + "…"
    # A lone surrogate or a control character in a key must not break the answer that complains about it.
    text = "".join(c if c.isprintable() else "�" for c in text)
    return text.replace("~", "~0").replace("/", "~1")


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that was probably meant, or nothing."""
    found = get_close_matches(name.lower(), list(known), n=1, cutoff=0.6)
    return found[0] if found else ""
