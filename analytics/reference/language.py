"""Reference pages of the language of triggers: the document, its conditions, its actions."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from analytics.reference import fields
from analytics.reference.page import Page
from automation.actions.registry import ACTIONS
from automation.engine import timing
from automation.engine.comparison import DataCondition
from automation.engine.conditions import CONDITIONS, Condition, node_adapter
from automation.engine.conditions.sequence import Step
from automation.engine.definition import Goal, Period, TriggerDefinition
from automation.engine.operators import OPERATORS, Operand
from automation.engine.types import Mode, Priority, Verdict

_VERDICTS = {Verdict.MET: "met", Verdict.NOT_MET: "not met", Verdict.BROKEN: "could not be checked"}
_OPERANDS = {
    Operand.SCALAR: "a text, a number, yes or no",
    Operand.TEXT: "a text",
    Operand.NUMBER: "a number, a number as text, or a date",
    Operand.LIST: "a list",
    Operand.PAIR: "`[low, high]`, both included",
    Operand.DATE: "a date (ISO 8601)",
    Operand.DURATION: "hours",
    Operand.NONE: "nothing",
}
_TIMINGS = (timing.Immediate, timing.Delay, timing.LocalTime, timing.OptimalPersonal, timing.Within24h)
_MODES = {
    Mode.DRAFT: "Ignored by the engine.",
    Mode.SHADOW: "Judged and recorded on real events; nothing is sent.",
    Mode.LIVE: "Acts.",
    Mode.PAUSED: "Nothing new starts; what comes due meanwhile is held back, unless it was called off when pausing.",
    Mode.ARCHIVED: "Hidden and read-only; its history stays.",
}


def triggers() -> str:
    """The document of a trigger."""
    page = Page(
        "Triggers",
        "A trigger is one JSON document. The admin edits it, every publish stores it as an immutable version,",
        "and the engine reads nothing else. Unknown fields are refused. Example:",
    )
    page.code(_EXAMPLE)
    page.heading("The document")
    page.add(*fields.table(TriggerDefinition, about=_ABOUT))
    page.heading("Timing")
    page.add(
        "`timing` says when a matched trigger acts; its `kind` tells the forms apart. The hour at which customers",
        "read is not learned yet, so `optimal_personal` and `within_24h` act at once.",
        "",
    )
    for form in _TIMINGS:
        page.heading(f"`{_only(form, 'kind')}`", level=3)
        page.add(_first_line(form.__doc__), "")
        page.add(*fields.table(form, skip=("kind",)))
    page.heading("Most times per period")
    page.add(*fields.table(Period))
    page.heading("Goal")
    page.add(*fields.table(Goal))
    page.heading("Modes")
    page.add(
        "| Mode | What the engine does |",
        "|---|---|",
        *(f"| `{mode}` | {said} |" for mode, said in _MODES.items()),
    )
    page.heading("Priorities")
    page.add("| Priority | Decided within |", "|---|---|")
    page.add(*(f"| `{one.lane}` | {_deadline(one)} |" for one in Priority))
    return page.text()


def conditions() -> str:
    """Every condition, by heading of the picker."""
    page = Page(
        "Conditions",
        "The conditions of a trigger are a list; all must hold. Groups (`all`, `any`, `not`) may be nested up to",
        "five levels deep. A condition is *met*, *not met*, or *could not be checked*; what the last one means",
        "for a group is explained in [how judging works](../explanation/judging.md#three-results-never-two).",
    )
    by_kind: dict[str, list[tuple[str, type[Condition]]]] = defaultdict(list)
    for key, plugin in CONDITIONS.items():
        by_kind[plugin.kind].append((key, plugin))
    for heading in sorted(by_kind):
        page.heading(heading)
        for _, plugin in sorted(by_kind[heading], key=lambda entry: entry[1].label):
            _condition(page, plugin)
    page.heading("Rows")
    page.add("One row of `data_conditions` compares one field of an event.", "")
    page.add(*fields.table(DataCondition), "", _PATHS)
    page.heading("Steps")
    page.add("One step of a sequence.", "", *fields.table(Step))
    page.heading("Operators")
    page.add("| Operator | Reads | Right side |", "|---|---|---|")
    for name, operator in OPERATORS.items():
        label = (
            f"{operator.label}; the exact opposite of `{operator.negates}`"
            if operator.negates
            else operator.label
        )
        page.add(f"| `{name}` | {label} | {_OPERANDS[operator.operand]} |")
    return page.text()


def actions() -> str:
    """Every action."""
    page = Page(
        "Actions",
        "The actions of a trigger are a list, carried out in order: each begins when the one before it has ended,",
        "after its own delay. Each is one row of the outbox with a key of its own, so none runs twice by accident;",
        "what that means for mail and webhooks is explained in [once](../explanation/once.md).",
    )
    for key, plugin in ACTIONS.items():
        page.heading(plugin.label)
        page.add(
            plugin.help, "", f"`type`: `{key}`. In a sentence: *{plugin.sentence}*. {_reach(plugin)}", ""
        )
        page.add(*fields.table(plugin))
        for example in plugin.examples:
            page.add("", f"{example.title}:")
            page.code(example.document)
    return page.text()


def _condition(page: Page, plugin: type[Condition]) -> None:
    page.heading(plugin.label, level=3)
    variant = plugin.variant_field
    tags = [f"`type`: `{_only(plugin, 'type')}`"]
    if variant:
        tags.append(f"`{variant}`: `{_only(plugin, variant)}`")
    page.add(" ".join((plugin.__doc__ or "").split()), "", f"{', '.join(tags)}. {plugin.help}", "")
    page.add(*fields.table(plugin))
    for example in plugin.examples:
        node = node_adapter.validate_python(example.document)
        page.add("", f"{example.title} – *{node.describe()}* – {_VERDICTS[example.verdict]}:")
        page.code(example.document)


def _only(model: Any, name: str) -> str:
    (value,) = model.model_fields[name].annotation.__args__
    return str(value)


def _reach(plugin: Any) -> str:
    if plugin.is_message:
        return f"A message by `{plugin.channel}`: it counts against the caps and needs consent."
    if plugin.channel == "internal":
        return "It changes our database only: carried out exactly once."
    return f"It calls out by `{plugin.channel}`."


def _deadline(priority: Priority) -> str:
    seconds = int(priority.deadline.total_seconds())
    return f"{seconds} s" if seconds else "at once"


def _first_line(docstring: str | None) -> str:
    return (docstring or "").strip().split("\n")[0]


def documents(page: str) -> Iterable[Any]:
    """The JSON blocks of a page, for the tests."""
    for block in page.split("```json\n")[1:]:
        yield json.loads(block.split("\n```")[0])


_ABOUT = {
    "key": "Stable name for files, links and the API.",
    "name": "Unique; what people read, also `trigger_name` in messages.",
    "description": "For the people who look after it.",
    "type": "What kind of moment it answers; a dimension of reports, never a limit on conditions.",
    "priority": "How soon an event is decided, and who wins a slot; see [priorities](#priorities).",
    "message_class": "Transactional messages skip caps, quiet hours, engagement rule and holdout, never a refusal"
    " or a dead address.",
    "topic": "What customers consent to.",
    "conditions": "All must hold.",
    "actions": "Carried out in order; see [actions](actions.md).",
    "timing": "When a match acts.",
    "cancel_when": "Event names or conditions that call off an execution that waits.",
    "recheck": "Whether the conditions are asked again at the due moment. Consent, caps and addresses always are.",
    "cooldown_minutes": "Rest per customer after it fired.",
    "cooldown_path": "Counts the rest for each value of this field (an order, a product).",
    "max_per_customer": "Firings per customer, for ever.",
    "max_per_period": "Firings per customer in a rolling period.",
    "dedupe_path": "At most one decision per customer for each value of this field; without it, for each event.",
    "holdout_percent": "Share of customers who never get it, so that its effect can be measured. None: 5 for"
    " marketing, 0 for transactional.",
    "goal": "What counts as success.",
    "valid_from": "Before this moment it holds everything back as `expired`, with the moment.",
    "valid_until": "From this moment on it holds everything back as `expired`.",
    "max_per_hour": "Blast guard: firings in one clock hour over all customers.",
    "on_lost": "What becomes of it when another trigger took the slot: held back, or tried again when it is free.",
    "value": "Decides between equal priorities; the higher wins.",
}
_PATHS = (
    "A field is a path: `total`, `items.0.sku`, `items[].price` (with `over`: how the items of the list count),"
    " `context.device.type`, `profile.traits.plan`, `before.orders_count` (the profile before this event). A dot"
    " inside a name is written `\\.`."
)
_EXAMPLE = {
    "key": "cart_recovery",
    "name": "Cart recovery",
    "type": "behavioral",
    "priority": "high",
    "conditions": [
        {
            "type": "event_match",
            "event_type": "cart_abandonment",
            "data_conditions": [{"field": "total_value", "operator": "greater_than", "value": 50}],
        }
    ],
    "timing": {"kind": "delay", "minutes": 30},
    "cancel_when": ["purchase_completed"],
    "actions": [{"type": "send_email", "template_id": "cart_recovery"}],
    "cooldown_minutes": 1440,
}
