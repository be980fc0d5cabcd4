"""The validator: pointers into the stored document, sentences for a marketer."""
# ruff: noqa: E501  # One case a line.

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from automation.engine.conditions import node_adapter
from automation.engine.definition import TriggerDefinition
from automation.engine.types import MessageClass, Priority, TriggerType
from automation.engine.validate import Problem, validate_conditions, validate_definition
from tests.unit.engine.documents import attribute, group, happens, row, trigger

ENTRY = happens("page_view")


def deep(levels: int) -> dict[str, Any]:
    node = ENTRY
    for _ in range(levels):
        node = group("any", node)
    return node


def only_problem(conditions: Any) -> tuple[str, Problem]:
    nodes, problems = validate_conditions(conditions)
    assert nodes is None
    assert len(problems) == 1, problems
    return next(iter(problems.items()))


@pytest.mark.parametrize(
    ("conditions", "pointer", "message"),
    [
        # H-033: nothing matches everyone.
        ([], "/conditions", "A trigger without conditions would answer every event."),
        (None, "/conditions", "Conditions: a list is expected."),
        ([group("any")], "/conditions/0/conditions", "This group is empty: add a condition or remove it."),
        ([{"type": "all"}], "/conditions/0/conditions", "This group has no conditions."),
        ([{"type": "event_match"}], "/conditions/0", "This would match every event."),
        # H-032, H-034: unknown names.
        ([{"type": "magic"}], "/conditions/0", "This kind is not known: “magic”."),
        ([{"type": []}], "/conditions/0", "This kind is not known: not a name."),
        ([{}], "/conditions/0", "It does not say of what kind it is."),
        ([ENTRY, 5], "/conditions/1", "An object is expected here."),
        (
            [group("any", {"type": "behavior_pattern", "pattern_type": "mood"})],
            "/conditions/0/conditions/0",
            "This kind is not known: “mood”.",
        ),
        (
            [{"type": "time_based", "time_condition_type": "tide"}],
            "/conditions/0",
            "This kind is not known: “tide”.",
        ),
        ([{"type": "time_based"}], "/conditions/0", "It does not say of what kind it is."),
        (
            [happens("a", row("x", "matches", "y"))],
            "/conditions/0/data_conditions/0/operator",
            "This operator is not known.",
        ),
        ([ENTRY | {"evnt": 1}], "/conditions/0/evnt", "“evnt” is not a field here."),
        ([ENTRY | {"a/b~c": 1}], "/conditions/0/a~1b~0c", "“a/b~c” is not a field here."),
        # A key that looks like a tag of the union.
        ([group("any", ENTRY) | {"any": 1}], "/conditions/0/any", "“any” is not a field here."),
        # Strict types and bounds.
        (
            [{"type": "behavior_pattern", "pattern_type": "engagement_decline", "decline_percent": 120}],
            "/conditions/0/decline_percent",
            "Decline: use 1 to 100.",
        ),
        (
            [{"type": "behavior_pattern", "pattern_type": "engagement_decline", "decline_percent": "50"}],
            "/conditions/0/decline_percent",
            "Decline: enter a number.",
        ),
        (
            [{"type": "behavior_pattern", "pattern_type": "purchase_frequency", "min_purchases": True}],
            "/conditions/0/min_purchases",
            "Purchases: enter a whole number.",
        ),
        (
            [{"type": "behavior_pattern", "pattern_type": "browsing_intensity", "timeframe_hours": 1e14}],
            "/conditions/0/timeframe_hours",
            "Window: use more than 0 up to 720.",
        ),
        (
            [{"type": "time_based", "time_condition_type": "day_of_week", "allowed_days": [1, 7]}],
            "/conditions/0/allowed_days/1",
            "Days: use 0 to 6.",
        ),
        (
            [{"type": "time_based", "time_condition_type": "day_of_week", "allowed_days": []}],
            "/conditions/0/allowed_days",
            "Choose at least one day.",
        ),
        ([happens("Page View")], "/conditions/0/event_type", "Event: use lower-case letters, digits and _ only."),
        (
            [attribute("a b", "exists")],
            "/conditions/0/attribute",
            "Use letters, digits and _ , with dots between the parts: items[].price",
        ),
        ([{"type": "customer_attribute", "attribute": "a"}], "/conditions/0/operator", "Choose an operator."),
        # H-041: an empty or missing sequence is neither true nor an exception.
        (
            [{"type": "sequence", "sequence": []}],
            "/conditions/0/sequence",
            "A sequence has at least 2 steps.",
        ),
        ([{"type": "sequence", "sequence": None}], "/conditions/0/sequence", "Steps: a list is expected."),
        (
            [{"type": "sequence", "sequence": [{"event_type": "a"}, {}]}],
            "/conditions/0/sequence/1/event_type",
            "Choose an event.",
        ),
        # What cannot be stored.
        ([happens("a\x00b")], "/conditions/0/event_type", "A text here holds a character that cannot be stored."),
        ([attribute("a", "equals", "\ud800")], "/conditions/0/value", "A text here holds a character that cannot be stored."),
        ([attribute("a", "greater_than", 1e300)], "/conditions/0/value", "This number is too large."),
        ([attribute("a", "greater_than", float("nan"))], "/conditions/0/value", "This is not a number."),
        ([attribute("a", "equals", {1, 2})], "/conditions/0/value", "Only texts, numbers, yes or no, lists and objects can be stored."),
        # H-044: five levels of groups.
        ([deep(6)], "/conditions/0" + "/conditions/0" * 5, "Groups are nested more than 5 levels deep."),
        ([deep(300)], "/conditions/0" + "/conditions/0" * 5, "Groups are nested more than 5 levels deep."),
        ([ENTRY] * 101, "", "This document is too large."),
    ],
)  # fmt: skip
def test_problem_is_at_its_place(conditions: Any, pointer: str, message: str) -> None:
    """S-117, H-032, H-033, H-034, H-041, H-043: refused at save with pointer and sentence."""
    place, problem = only_problem(conditions)
    assert (place, problem.message) == (pointer, message)


@pytest.mark.parametrize(
    ("document", "pointer", "message"),
    [
        (attribute("a", "equals"), "/value", "Enter a value."),
        (attribute("a", "equals", [1]), "/value", "Enter one value, not a list."),
        (attribute("a", "in_list", "DE"), "/value", "List at least one value, separated by commas."),
        (attribute("a", "not_in_list", "DE"), "/value", "List at least one value, separated by commas."),
        (attribute("a", "in_list", []), "/value", "List at least one value, separated by commas."),
        (attribute("a", "in_list", ["a", None]), "/value", "An empty entry is in the list."),
        (attribute("a", "greater_than", "many"), "/value", "Enter a number or a date."),
        (attribute("a", "greater_than", True), "/value", "Enter a number or a date."),
        (attribute("a", "between", 5), "/value", "Enter two values, the lower one first."),
        (attribute("a", "between", [9, 5]), "/value", "The lower value comes first."),
        (attribute("a", "between", [1, "2025-01-01"]), "/value", "Enter two numbers or two dates."),
        (attribute("a", "before", "soon"), "/value", "Enter a date."),
        (attribute("a", "within_last", 0), "/value", "Enter a number of hours."),
        (attribute("a", "within_next", 100_000), "/value", "Enter a number of hours."),
        (attribute("a", "starts_with", 5), "/value", "Enter a text."),
        (attribute("a", "exists", 5), "/value", "This operator takes no value."),
        (attribute("before.a", "changed"), "/operator", "Only a profile field can change."),
        (attribute("a", "equals", 1) | {"over": "sum"}, "/over", "This field is no list."),
        (
            attribute("a[]", "not_equals", 1) | {"over": "none"},
            "/operator",
            "“None” or “all” together with a negative operator can be read in two ways.",
        ),
        (happens("e", row("a", "in_list", "x")), "/data_conditions/0/value", "List at least one value, separated by commas."),
        (happens("e", row("a", "changed")), "/data_conditions/0/operator", "Only a profile field can change."),
        (
            {"type": "sequence", "sequence": [{"event_type": "a"}, {"event_type": "c"}, {"event_type": "b", "absent": True}]},
            "/sequence/2/absent",
            "The first and the last step must happen.",
        ),
        (
            {"type": "sequence", "sequence": [{"event_type": "a", "same_in": "x"}, {"event_type": "b"}]},
            "/sequence/0/same_in",
            "Nothing is joined in this sequence.",
        ),
        ({"type": "event_count", "event_type": "a", "value": 1.5}, "/value", "Number: use a whole number from 0 to 1,000."),
        ({"type": "event_count", "event_type": "a", "value": 0}, "/value", "At least 0 times is always true."),
        ({"type": "event_count", "event_type": "a", "value": 1, "aggregate": "sum"}, "/field", "Choose the field that is measured."),
        ({"type": "absence", "event_type": "a"}, "/within_hours", "Say how long: hours, minutes, or since a date."),
        (
            {"type": "absence", "event_type": "a", "within_hours": 1, "within_minutes": 1},
            "/within_minutes",
            "Say how long: hours, minutes, or since a date.",
        ),
        ({"type": "absence", "event_type": "a", "since": "soon"}, "/since", "Since: enter a date."),
        ({"type": "absence", "event_type": "a", "since": "2025-01-01", "after": True}, "/since", "“And then” needs a duration."),
        (
            {"type": "segment", "segment": "vip", "membership": "not_in", "since_hours": 1},
            "/since_hours",
            "How long a customer is outside is not known.",
        ),
        ({"type": "date", "attribute": "a", "comparison": "before"}, "/value", "Enter a date."),
        ({"type": "date", "attribute": "a", "comparison": "within_last"}, "/days", "Enter a number of days."),
        (
            {"type": "date", "attribute": "a", "comparison": "within_last", "days": 1, "days_before": 1},
            "/days_before",
            "Only an anniversary can be looked ahead to.",
        ),
        (
            {"type": "time_based", "time_condition_type": "time_of_day", "start_hour": 9, "end_hour": 9},
            "/end_hour",
            "Start and end are the same.",
        ),
        (
            {"type": "time_based", "time_condition_type": "time_of_day", "start": "09:00", "start_hour": 9},
            "/start_hour",
            "The same time is given twice.",
        ),
        (
            {"type": "time_based", "time_condition_type": "day_of_week", "allowed_days": [1, 1]},
            "/allowed_days",
            "A day is listed twice.",
        ),
        (
            {"type": "behavior_pattern", "pattern_type": "purchase_frequency", "measure": "overdue"},
            "/timeframe_hours",
            "A rhythm does not show in so short a time.",
        ),
        (
            {"type": "behavior_pattern", "pattern_type": "engagement_decline", "timeframe_hours": 48, "baseline_hours": 24},
            "/baseline_hours",
            "The time compared with is shorter than the window.",
        ),
        (
            {
                "type": "behavior_pattern",
                "pattern_type": "browsing_intensity",
                "timeframe_hours": 720,
                "min_z_score": 3,
            },
            "/baseline_windows",
            "All windows together are longer than a year.",
        ),
    ],
)  # fmt: skip
def test_combination_is_refused(document: dict[str, Any], pointer: str, message: str) -> None:
    """S-137, H-034, H-042: what can be read but makes no sense, at the top and inside a group."""
    place, problem = only_problem([document])
    assert (place, problem.message) == (f"/conditions/0{pointer}", message)
    other = attribute("country", "exists")
    place, problem = only_problem([other, group("all", other, document)])
    assert (place, problem.message) == (f"/conditions/1/conditions/1{pointer}", message)


def test_all_problems_are_shown_at_once() -> None:
    """H-034: type errors do not hide combinations elsewhere."""
    conditions = [
        {"type": "magic"},
        attribute("a", "in_list", 5),
        group("any", {"type": 5}, attribute("a", "between")),
    ]
    assert set(validate_conditions(conditions)[1]) == {
        "/conditions/0",
        "/conditions/1/value",
        "/conditions/2/conditions/0",
        "/conditions/2/conditions/1/value",
    }


def test_valid_conditions_come_back_as_nodes() -> None:
    """S-117: the list itself or an object that holds it."""
    conditions = [ENTRY, deep(5)]
    nodes, problems = validate_conditions(conditions)
    assert problems == {}
    assert nodes is not None
    assert [node.type for node in nodes] == ["event_match", "any"]
    assert validate_conditions({"conditions": conditions})[0] == nodes


def test_two_events_at_one_moment_are_refused() -> None:
    """H-039: such a trigger could never fire."""
    place, problem = only_problem([happens("a"), happens("b")])
    assert (place, problem.message) == (
        "/conditions",
        "These conditions ask for different events at the same moment.",
    )
    assert validate_conditions([group("any", happens("a"), happens("b"))])[1] == {}


@pytest.mark.parametrize(("kind", "refused"), [("all", False), ("any", True), ("not", True)])
def test_waiting_absence_stands_only_under_and(kind: str, refused: bool) -> None:
    """H-049: what is decided later cannot be mixed with what is decided now."""
    later = {"type": "absence", "event_type": "buy", "within_minutes": 30, "after": True}
    problems = validate_conditions([ENTRY, group(kind, later, attribute("a", "exists"))])[1]
    assert list(problems) == (["/conditions/1/conditions/0"] if refused else [])


# --- the whole definition ---


def definition_problems(**more: Any) -> dict[str, str]:
    definition, problems = validate_definition(trigger(ENTRY, **more))
    assert (definition is None) is bool(problems)
    return {pointer: problem.message for pointer, problem in problems.items()}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"priority": "urgent"}, {"/priority": "Priority: choose critical, high, medium or low."}),
        ({"priority": 5}, {"/priority": "Priority: choose critical, high, medium or low."}),
        ({"actions": []}, {"/actions": "Nothing would happen."}),
        ({"actions": [5]}, {"/actions/0": "Actions: an object is expected."}),
        ({"key": "No Key"}, {"/key": "Key: use lower-case letters, digits, - and _ only."}),
        ({"name": ""}, {"/name": "Name: this is needed."}),
        ({"enabled": True}, {"/enabled": "“enabled” is not a field here."}),
        ({"timing": {"kind": "delay", "minutes": -5}}, {"/timing/minutes": "Delay: use more than 0 up to 525,600."}),
        ({"timing": {"kind": "soon"}}, {"/timing": "This kind is not known: “soon”."}),
        ({"cooldown_minutes": "60"}, {"/cooldown_minutes": "Cooldown: enter a number."}),
        ({"max_per_period": {"count": 0, "hours": 1}}, {"/max_per_period/count": "Times: use 1 to 1,000."}),
        ({"goal": {}}, {"/goal/event_name": "Goal event: this is needed."}),
        ({"cancel_when": ["Buy"]}, {"/cancel_when/0": "Cancel when: use lower-case letters, digits and _ only."}),
        (
            {"cancel_when": ["buy", group("any", {"type": "segment"})]},
            {"/cancel_when/1/conditions/0/segment": "Segment: this is needed."},
        ),
        (
            {"cancel_when": [attribute("a", "in_list", 1)]},
            {"/cancel_when/0/value": "List at least one value, separated by commas."},
        ),
        ({"valid_from": "tomorrow"}, {"/valid_from": "Enter a date and time."}),
        ({"valid_from": "2025-06-02", "valid_until": "2025-06-02"}, {"/valid_until": "The end comes before the beginning."}),
        ({"cooldown_path": "product_id"}, {"/cooldown_minutes": "Cooldown for each: the cooldown itself is missing."}),
        ({"dedupe_path": "items[].id"}, {"/dedupe_path": "One value is needed here, not a list."}),
        (
            {
                "recheck": False,
                "conditions": [ENTRY, {"type": "absence", "event_type": "b", "within_hours": 1, "after": True}],
            },
            {"/recheck": "“And then no …” is decided at the due moment."},
        ),
        (
            {"conditions": [attribute("a", "exists")]},
            {"/conditions": "No event starts this behavioral trigger."},
        ),
        ({"conditions": [attribute("a", "exists")], "type": "lifecycle"}, {}),
        ({"conditions": [{"type": "sequence", "sequence": [{"event_type": "a"}, {"event_type": "b"}]}]}, {}),
    ],
)  # fmt: skip
def test_definition_is_judged_as_a_whole(more: dict[str, Any], expected: dict[str, str]) -> None:
    """S-117, S-140, H-033: every field of a trigger."""
    assert definition_problems(**more) == expected


@pytest.mark.parametrize("document", [None, [], "x", 5])
def test_definition_is_an_object(document: Any) -> None:
    """H-047: whatever is sent, the answer is a sentence."""
    assert validate_definition(document) == (None, {"": Problem("A trigger is an object.")})


def test_defaults_of_a_definition() -> None:
    """S-140: the stored document and what it leaves out."""
    definition, _ = validate_definition(trigger(ENTRY))
    assert definition is not None
    assert (definition.type, definition.priority) == (TriggerType.BEHAVIORAL, Priority.HIGH)
    assert (definition.message_class, definition.topic) == (MessageClass.MARKETING, "marketing")
    assert (definition.timing.kind, definition.recheck, definition.on_lost) == ("immediate", True, "suppress")
    assert (definition.holdout, definition.holdout_percent, definition.value) == (5.0, None, 0)


@pytest.mark.parametrize(
    ("message_class", "declared", "percent"),
    [("marketing", None, 5), ("transactional", None, 0), ("marketing", 0, 0), ("transactional", 10, 10)],
)
def test_holdout_default_depends_on_the_class(message_class: str, declared: Any, percent: float) -> None:
    """S-140: 5 % for marketing, none for transactional."""
    more = {"message_class": message_class, "holdout_percent": declared}
    definition, _ = validate_definition(trigger(ENTRY, **more))
    assert definition is not None
    assert definition.holdout == percent


def test_definition_round_trips_through_json() -> None:
    """S-117: what is stored is read back as the same."""
    document = trigger(
        ENTRY,
        group("not", attribute("country", "in_list", ["DE"])),
        priority=1,
        timing={"kind": "local_time", "time": "09:30"},
        cancel_when=["buy", attribute("a", "exists")],
        goal={"event_name": "buy", "value_path": "event.data.total"},
        max_per_period={"count": 2, "hours": 24},
        valid_from="2025-06-01T02:00:00+02:00",
    )
    definition, problems = validate_definition(document)
    assert problems == {}
    assert definition is not None
    stored = definition.model_dump(mode="json")
    assert stored["priority"] == "critical"
    assert stored["valid_from"] == "2025-06-01T00:00:00Z"
    assert validate_definition(stored) == (definition, {})
    assert TriggerDefinition.model_validate_json(definition.model_dump_json()) == definition


def test_every_number_has_a_maximum() -> None:
    """H-046: "1e308 hours" would overflow a timedelta."""
    unbounded = []
    for schema in (node_adapter.json_schema(), TypeAdapter(TriggerDefinition).json_schema()):
        pending: list[tuple[str, Any]] = [("", schema)]
        while pending:
            place, part = pending.pop()
            if isinstance(part, list):
                pending.extend((f"{place}/{index}", item) for index, item in enumerate(part))
            if not isinstance(part, dict):
                continue
            pending.extend((f"{place}/{key}", item) for key, item in part.items())
            is_number = part.get("type") in ("number", "integer")
            if is_number and not {"maximum", "exclusiveMaximum"} & part.keys():
                unbounded.append(place)
            if part.get("type") == "array" and "maxItems" not in part:
                unbounded.append(place)
            if (
                part.get("type") == "string"
                and not {"maxLength", "pattern", "enum", "const", "format"} & part.keys()
            ):
                unbounded.append(place)
    assert unbounded == []
