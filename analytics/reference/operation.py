"""Reference pages of what is seen from outside: reasons, errors, commands."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from django.apps import apps
from django.core.management import get_commands, load_command_class

from analytics.reference.page import Page
from automation.api.problems import KINDS
from automation.engine.types import ExecutionStatus, Reason, Waiting
from automation.reasons import ATTENTION, WORDS, Attention

_STATUSES = {
    ExecutionStatus.PENDING: "Decided; waits for its moment or for its first action.",
    ExecutionStatus.PROCESSING: "At least one action has begun, not all have ended.",
    ExecutionStatus.TRIGGERED: "All actions have ended and at least one succeeded.",
    ExecutionStatus.SUPPRESSED: "Held back; the reason says why.",
    ExecutionStatus.FAILED: "All actions have ended and none succeeded.",
}
_WAITING = {
    Waiting.DELAY: "The trigger's own timing.",
    Waiting.QUIET_HOURS: "The customer's night; due when it ends.",
    Waiting.LOST_TO: "Another trigger took the slot; it tries again when the slot is free.",
}
_APPS = ("config", "profiles", "automation", "analytics")
_EVERY_COMMAND = {
    "help", "version", "verbosity", "settings", "pythonpath", "traceback", "no_color", "force_color", "skip_checks",
}  # fmt: skip


def reasons() -> str:
    """Statuses, reasons, and why something waits: all closed lists."""
    page = Page(
        "Statuses and reasons",
        "Every decision is one execution with one of five statuses. Whatever is held back says why, from a closed",
        "list. All reasons that stood against acting are stored; the first is the decisive one.",
    )
    page.heading("Statuses")
    page.add(
        "| Status | Meaning |", "|---|---|", *(f"| `{one}` | {_STATUSES[one]} |" for one in ExecutionStatus)
    )
    page.heading("Reasons")
    page.add(
        f"*{ATTENTION[Attention.NORMAL]}* means that a guard rail did its work;",
        f"*{ATTENTION[Attention.LOOK]}* that something is set up wrongly, is late or does not answer.",
        "",
        "| Reason | In the admin | What it says | |",
        "|---|---|---|---|",
        *(f"| `{one}` | {WORDS[one].label} | {WORDS[one].text} | {WORDS[one].advice} |" for one in Reason),
    )
    page.heading("Waiting")
    page.add("Why a pending execution is not due yet.", "")
    page.add("| Waiting | Meaning |", "|---|---|", *(f"| `{one}` | {_WAITING[one]} |" for one in Waiting))
    return page.text()


def errors() -> str:
    """The kinds of problem documents."""
    page = Page(
        "Errors of the API",
        "Every error is an RFC 9457 problem document (`application/problem+json`). `type` is an address whose",
        "anchor is one of the kinds below; `errors` names each place as a JSON pointer; `request_id` is also in the",
        "header `X-Request-Id` and in the log.",
    )
    page.code(
        {
            "type": "https://beckon.example.com/api/docs/#validation",
            "title": KINDS["validation"].title,
            "status": 400,
            "detail": "1 place needs attention.",
            "instance": "/api/v1/events/",
            "request_id": "0197f3c2",
            "errors": [{"pointer": "/event_type", "message": "It is not said what happened."}],
        }
    )
    for name, kind in KINDS.items():
        page.heading(name)
        page.add(f"**{kind.status} – {kind.title}.** {kind.meaning}")
    return page.text()


def commands() -> str:
    """Beckon's own management commands with their options."""
    page = Page(
        "Commands",
        "Commands of `manage.py`. Those with `--json` print one JSON object. Exit code 0: fine, 1: not well or",
        "failed, 2: wrong use.",
    )
    for name, app in sorted(get_commands().items()):
        if app.partition(".")[0] not in _APPS or not apps.is_installed(app):
            continue
        command = load_command_class(app, name)
        parser = command.create_parser("manage.py", name)
        page.heading(name)
        page.add(command.help)
        options = list(_options(parser))
        if options:
            page.add("", "| Argument | What it does |", "|---|---|", *options)
    return page.text()


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        if action.dest in _EVERY_COMMAND:
            continue
        name = action.option_strings[-1] if action.option_strings else f"<{action.dest}>"
        if action.choices:
            name += f" {' or '.join(map(str, action.choices))}"
        elif action.option_strings and action.nargs != 0:
            name += f" {action.dest.upper()}"
        yield f"| `{name}` | {_said(action)} |"


def _said(action: argparse.Action) -> str:
    """The help as a sentence, with a number as default unless it is told there."""
    text = (action.help or "").strip().rstrip(".").replace("|", "/")
    if text and text.split()[0].isalpha():
        text = text[0].upper() + text[1:]
    sentences = [text] if text else []
    is_number = isinstance(action.default, int | float) and not isinstance(action.default, bool)
    if is_number and "default" not in text.lower():
        sentences.append(f"Default {action.default:,g}")
    return "".join(f"{sentence}. " for sentence in sentences).strip() or "–"
