"""Who may see addresses, and what the others see (ux.md section 4.5)."""

from __future__ import annotations

from typing import Any


def may_see(user: Any) -> bool:
    """Whether this member of staff holds `profiles.view_pii`."""
    return bool(user.has_perm("profiles.view_pii"))


def masked(text: str) -> str:
    """`alice@example.com` → `a…@example.com`, `+49 170 1234567` → `…67`; empty stays empty."""
    name, at, domain = text.partition("@")
    if at:
        return f"{name[:1]}…@{domain}"
    return f"…{text[-2:]}" if text else ""
