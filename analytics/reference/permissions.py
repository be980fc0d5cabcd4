"""Who may do what: reads permissions.toml, which tests compare with every address of the router (T24)."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from analytics.reference.page import Page

TABLE = Path(__file__).with_name("permissions.toml")
ROLES = ("marketer", "analyst", "operator", "admin", "superuser")
_LEVELS = {
    "open": "anybody",
    "machine": "this machine, or whoever holds the metrics token",
    "link": "whoever holds the signed link",
    "key in address": "whoever holds the key that the address names",
}


@cache
def table() -> Mapping[str, Any]:
    """The whole table: `models` and `pages` of the admin, `addresses` outside it."""
    return tomllib.loads(TABLE.read_text(encoding="utf-8"))


def permissions() -> str:
    """The page for people."""
    page = Page(
        "Permissions",
        "Who may do what, address by address. A test asks every address of the router with every role and every kind",
        "of key and compares the answers with this table; an address that is not declared fails it.",
        "",
        "Roles are groups of the admin; a user may be in several. *superuser* is Django's own mark and may also say",
        "who has which role. How to give roles, and how two persons publish:",
        "[roles and approval](../how-to/roles-and-approval.md).",
    )
    _models(page)
    _pages(page)
    _addresses(page)
    return page.text()


def _models(page: Page) -> None:
    page.heading("Records in the admin")
    page.add(
        "v: see lists, records and their history; a: add; c: change; d: delete; –: nothing. Rows that the engine",
        "writes are read-only for everybody.",
        "",
        _row(("Model", *ROLES)),
        _row(["---"] * (len(ROLES) + 1)),
    )
    for label, cells in sorted(table()["models"].items()):
        page.add(_row([f"`{label}`", *(_verbs(cells.get(role, "")) for role in ROLES)]))
    page.heading("Actions of lists")
    page.add(_row(("Model", "Action", *ROLES)), _row(["---"] * (len(ROLES) + 2)))
    for label, cells in sorted(table()["models"].items()):
        held = cells.get("actions", {})
        for action in sorted({name for names in held.values() for name in names}):
            marks = ("yes" if action in held.get(role, ()) else "–" for role in ROLES)
            page.add(_row([f"`{label}`", f"`{action}`", *marks]))


def _pages(page: Page) -> None:
    page.heading("Other pages of the admin")
    page.add(_row(("Page", "Method", "Who")), _row(["---"] * 3))
    for cells in table()["pages"].values():
        for method in ("GET", "POST"):
            if method in cells:
                page.add(_row([cells["what"], method, _who(cells[method])]))


def _addresses(page: Page) -> None:
    page.heading("API and public pages")
    page.add(
        "A scope in `code` needs a key that has it; a key with `admin` has every scope. An id that is not known, or",
        "belongs to another source than the key, is answered like one that does not exist: 404.",
        "",
        _row(("Address", "Method", "What", "Who")),
        _row(["---"] * 4),
    )
    for cells in table()["addresses"].values():
        methods: dict[str, list[str]] = {}
        for method in ("GET", "HEAD", "POST"):
            if method in cells:
                methods.setdefault(cells[method], []).append(method)
        for level, names in methods.items():
            who = _LEVELS.get(level, f"`{level}`")
            page.add(_row([f"`{cells['shown']}`", ", ".join(names), cells["what"], who]))


def _who(roles: list[str]) -> str:
    if not roles:
        return "nobody"
    everybody = "everybody" if "anonymous" in roles else "all staff"
    return everybody if set(ROLES) <= set(roles) else ", ".join(roles)


def _verbs(said: str) -> str:
    return " ".join(verb[0] for verb in said.split()) or "–"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
