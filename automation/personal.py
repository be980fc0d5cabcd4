"""Whether what a trigger asks for is personal: for whoever may not see personal data, an answer would tell it.

Stricter than masking a value that is shown, for a question can be asked again and again: an address whose key is not
on a list, or a whole object with one inside, would be spelled out one condition after the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from profiles.behavior import ATTRIBUTES
from profiles.masking import is_personal

# Fields of definitions that name a value (FieldPath in the engine).
_PATHS: Final = frozenset(
    "attribute field same same_in value_path currency_path cooldown_path dedupe_path".split()
)
_ASKED: Final = ("conditions", "cancel_when", "goal", "cooldown_path", "dedupe_path")
_PERSONAL: Final = re.compile(
    r".*e_?mail.*|.*phone.*|.*msisdn.*|.*telefon.*|.*address.*|.*street.*|.*surname|.*birth.*|(?:.*_)?dob|"
    r"(?:.*_)?(?:first|last|full|given|family|middle|maiden|user|billing|shipping|contact|customer|recipient)_?names?|"
    r"(?:.*_)?(?:zip|post|postal)_?code|(?:.*_)?iban|(?:.*_)?passport.*|(?:.*_)?ssn",
    re.IGNORECASE,
)
_WHOLE: Final = frozenset(  # Objects that hold such values.
    "traits profile before customer user person contact recipient shipping billing delivery event data context".split()
)
_INDEX: Final = re.compile(r"\[\d*\]")
_NO_LETTER: Final = re.compile(r"\\.|[^\w.]")


def reads_personal(document: Mapping[str, Any]) -> bool:
    """Whether anything in a trigger's document that is judged reads an address, a name or the like."""
    return any(
        _is_asked(name, value) if isinstance(value, str) else asks(value)
        for name in _ASKED
        if (value := document.get(name))
    )


def asks(value: Any) -> bool:
    """The same of a condition, or of a list of them."""
    return any(_is_asked(key, place) for key, place in paths(value))


def paths(value: Any) -> Iterator[tuple[str, str]]:
    """Every value that a condition names, also inside of groups and rows: its key and the path."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if isinstance(item, str):
                if key in _PATHS:
                    yield key, item
            else:
                yield from paths(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from paths(item)


def _is_asked(key: str, place: str) -> bool:
    parts = [part for part in _NO_LETTER.sub("_", _INDEX.sub("", place)).lower().split(".") if part]
    if not parts or parts[-1] in _WHOLE:
        return True
    # Alone, a name is a product's as often as a person's.
    if parts[-1] in ("name", "names") and (key == "attribute" or not _WHOLE.isdisjoint(parts[:-1])):
        return True
    return any(
        is_personal(part) or (part not in ATTRIBUTES and _PERSONAL.fullmatch(part) is not None)
        for part in parts
    )
