"""Evaluating conditions: compiled closures, the article's interpreter, json-logic; the same rules and events.

Every rule is on the name that comes: what is measured is the evaluating, not the index that would have left it out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from typing import Any

from analytics.bench.errors import PeerError
from analytics.bench.parts.base import Part, Session
from analytics.bench.shapes import TASK
from analytics.bench.workload import Item, Stream
from automation.engine.rules import compile_trigger
from automation.engine.types import Event, Facts, Mode, Verdict
from automation.engine.validate import validate_definition
from benchmarks.article.engine import Engine

EVENTS = 200
RULES = 20
NAME = "cart_abandonment"
_JSON_LOGIC = {
    "equals": "==",
    "greater_than": ">",
    "greater_than_or_equal": ">=",
    "less_than": "<",
    "in_list": "in",
}
Contestant = Callable[[], list[bool]]


def measure(session: Session) -> None:
    """Every evaluator goes through all pairs of trigger and event, and must say the same as the others."""
    wanted = [_document(number) for number in range(RULES)]
    items = [_with_shipping(item) for item in Stream(EVENTS, 50, names=((NAME, 1),)).items()]
    found: dict[str, Contestant] = {
        "compiled": _compiled(wanted, items),
        "interpreted": _interpreted(wanted, items),
    }
    if json_logic := _json_logic(wanted, items):
        found["json-logic"] = json_logic
    answers = {name: run() for name, run in found.items()}
    if any(answer != answers["compiled"] for answer in answers.values()):
        raise PeerError("the evaluators disagree")
    pairs = len(wanted) * len(items)
    rates = session.turns(
        [(name, partial(_rate, run, pairs, session.sizes.rule_seconds)) for name, run in found.items()]
    )
    figures = session.figures
    keys = {
        "compiled": "compiled_per_s",
        "interpreted": "interpreted_per_s",
        "json-logic": "json_logic_per_s",
    }
    figures.put_each("rules", {keys[name]: rates[name] for name in found})
    figures.put_ratio("rules_compiled_over_interpreted", rates["compiled"], rates["interpreted"])
    if "json-logic" in found:
        figures.put_ratio("rules_compiled_over_json_logic", rates["compiled"], rates["json-logic"])
    else:
        figures.note(
            "rules_compiled_over_json_logic", "json-logic-qubit is not installed (requirements-dev.txt)"
        )


def _document(number: int) -> dict[str, Any]:
    """Four rows; about half of the events pass the first, a few pass all."""
    rows = [
        ("total_value", "greater_than", 60 + 10 * number),
        ("category", "in_list", ["audio", "phones", "tablets"]),
        ("shipping.country", "equals", "DE"),
        ("rating", "greater_than_or_equal", 1 + number % 4),
    ]
    condition = {
        "type": "event_match",
        "event_type": NAME,
        "data_conditions": [{"field": f, "operator": o, "value": v} for f, o, v in rows],
    }
    return {
        "key": f"rule-{number}",
        "name": f"rule {number}",
        "type": "behavioral",
        "priority": "medium",
        "conditions": [condition],
        "actions": [TASK],
    }


def _with_shipping(item: Item) -> Item:
    country = ("DE", "AT", "CH", "DE")[item.number % 4]
    return item._replace(data={**item.data, "shipping": {"country": country, "method": "express"}})


def _rate(run: Contestant, pairs: int, seconds: float) -> float:
    started = time.perf_counter()
    done = 0
    while time.perf_counter() - started < seconds:
        run()
        done += pairs
    return done / (time.perf_counter() - started)


def _compiled(documents_: Sequence[dict[str, Any]], items: Sequence[Any]) -> Contestant:
    checks = []
    for number, document in enumerate(documents_):
        definition, problems = validate_definition(document)
        if definition is None:
            raise ValueError(problems)
        checks.append(compile_trigger(definition, trigger_id=number, version_id=number, mode=Mode.LIVE).full)
    now = datetime.now(UTC)
    seen = [Facts(Event(i.number, "", i.name, 1, now, now, i.data), {}, {}, now, UTC) for i in items]
    met = Verdict.MET
    return lambda: [check(facts).verdict is met for facts in seen for check in checks]


def _interpreted(documents_: Sequence[dict[str, Any]], items: Sequence[Any]) -> Contestant:
    """As the article does it: coroutines that walk the document again for each event."""
    engine = Engine(None, None, documents_)
    events = [{"event_type": item.name, "event_data": item.data} for item in items]

    async def every() -> list[bool]:
        return [await engine.holds(document, event) for event in events for document in documents_]

    return lambda: asyncio.run(every())


def _json_logic(documents_: Sequence[dict[str, Any]], items: Sequence[Any]) -> Contestant | None:
    try:
        json_logic = import_module("json_logic").jsonLogic
    except ImportError:
        return None
    rules = [_as_json_logic(document["conditions"][0]) for document in documents_]
    seen = [{"name": item.name, "data": item.data} for item in items]
    return lambda: [bool(json_logic(rule, facts)) for facts in seen for rule in rules]


def _as_json_logic(condition: dict[str, Any]) -> dict[str, Any]:
    rows = [
        {_JSON_LOGIC[row["operator"]]: [{"var": f"data.{row['field']}"}, row["value"]]}
        for row in condition["data_conditions"]
    ]
    return {"and": [{"==": [{"var": "name"}, condition["event_type"]]}, *rows]}


KEYS = ("rules", "rules_compiled_over_interpreted", "rules_compiled_over_json_logic")
PART = Part("rules", KEYS, measure)
