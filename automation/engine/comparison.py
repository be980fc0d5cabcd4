"""Comparisons inside conditions: a field path, an operator, a value; the same rules wherever they stand."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from automation.engine import wording
from automation.engine.operands import KINDS, fitting, operand_problem
from automation.engine.operators import MET, MISSING, NOT_MET, OPERATORS, Operand
from automation.engine.operators import Check as BoundCheck
from automation.engine.paths import Path, PathError, parse
from automation.engine.problems import Problem
from automation.engine.quantifiers import Over, Test, compile_test, seen
from automation.engine.types import Event, Facts, Result, Verdict


def _path(text: Any) -> Any:
    if isinstance(text, str):
        try:
            parse(text)
        except PathError as error:
            raise PydanticCustomError("field_path", "{message}", {"message": str(error)}) from None
    return text


def _operator(name: Any) -> Any:
    if not isinstance(name, str) or name not in OPERATORS:
        raise PydanticCustomError("unknown_operator", "Unknown operator")
    return name


FieldPath = Annotated[str, BeforeValidator(_path), StringConstraints(max_length=600)]
OperatorName = Annotated[
    str,
    BeforeValidator(_operator),
    Field(
        json_schema_extra={
            "enum": list(OPERATORS),
            "x-labels": {name: operator.label for name, operator in OPERATORS.items()},
            "x-operands": {name: operator.operand.value for name, operator in OPERATORS.items()},
            "x-changes": [name for name, operator in OPERATORS.items() if operator.reads_before],
            "x-fits": {kind: list(fitting(kind)) for kind in KINDS},
        }
    ),
]


def _value(value: Any) -> Any:
    items = value if isinstance(value, list) else [value]
    if len(items) > 1000:
        raise PydanticCustomError(
            "beckon", "{message}", {"message": "List at most 1,000 values.", "hint": ""}
        )
    for item in items:
        if isinstance(item, str) and len(item) > 2000:
            message = "A text here has at most 2,000 characters."
            raise PydanticCustomError("beckon", "{message}", {"message": message, "hint": ""})
        if not (item is None or isinstance(item, (str, bool, int, float))):
            message = "Enter a text, a number, yes or no, or a list of those."
            raise PydanticCustomError("beckon", "{message}", {"message": message, "hint": ""})
    return value


# One validator instead of a union: one error at one place, and no tags in its location.
_SCALAR: dict[str, Any] = {"type": ["string", "number", "boolean", "null"], "maxLength": 2000}
Value = Annotated[
    Any,
    BeforeValidator(_value),
    WithJsonSchema({"anyOf": [_SCALAR, {"type": "array", "items": _SCALAR, "maxItems": 1000}]}),
]


class Comparison(BaseModel):
    """Operator and value; the place that is compared is named by the subclass."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)

    place: ClassVar[str]  # Name of the field that holds the path.
    root: ClassVar[str]  # Where its bare paths start.

    operator: OperatorName = Field(title="Operator")
    value: Value = Field(
        default=None, title="Value", json_schema_extra={"x-widget": "value", "x-operator": "operator"}
    )
    over: Over = Field(
        default="any",
        title="Of the list",
        description="How the items of a list count, for fields with [].",
        json_schema_extra={"x-lists-only": True},
    )

    @property
    def path(self) -> Path:
        """The parsed path."""
        return parse(getattr(self, self.place), self.root)

    @property
    def needs_before(self) -> bool:
        """True when the profile before the event is read."""
        return self.path.reads_before or OPERATORS[self.operator].reads_before

    def test(self) -> Test:
        """Compile to a closure over (event, facts)."""
        return compile_test(self.path, self.operator, self.value, self.over)

    def direct(self) -> tuple[str, BoundCheck] | None:
        """The key and the bound operator of a row that compares one value of the event's data as it is."""
        path, known = self.path, OPERATORS[self.operator]
        if path.root != "event" or path.is_array or len(path.steps) != 1 or known.reads_before:
            return None
        key = path.steps[0]
        return (key, known.bind(self.value)) if isinstance(key, str) else None

    def seen(self, event: Event, facts: Facts) -> Any:
        """The value compared: after counting or adding up, when the field is a list."""
        return seen(self.path, self.over, event, facts)

    def describe(self) -> str:
        """*total value is more than 50*."""
        subject = wording.name(getattr(self, self.place))
        if self.path.is_array:
            subject = f"{_OVER[self.over]} {subject}"
        if self.path.root == "before":
            subject = subject.removeprefix("before ") + " before this event"
        operator = OPERATORS[self.operator]
        return " ".join(
            part for part in (subject, operator.label, _operand(operator.operand, self.value)) if part
        )

    def problems(self) -> Iterable[tuple[str, Problem]]:
        """The right side must suit the operator, and the operator the path."""
        operator, path = OPERATORS[self.operator], self.path
        problem = operand_problem(operator.operand, self.value)
        if problem is not None:
            yield "/value", problem
        if operator.reads_before and path.root != "profile":
            yield (
                "/operator",
                Problem("Only a profile field can change.", "Use profile.… or another operator."),
            )
        if self.over != "any" and not path.is_array:
            yield "/over", Problem("This field is no list.", "Write the list with []: items[].price")
        if self.over in ("all", "none") and operator.negates:
            yield (
                "/operator",
                Problem(
                    "“None” or “all” together with a negative operator can be read in two ways.",
                    f"Use any with “{operator.label}”, or none with “{OPERATORS[operator.negates].label}”.",
                ),
            )


_OVER = {
    "any": "any of", "all": "each of", "none": "none of", "sum": "the sum of",
    "count": "the number of", "max": "the largest of", "min": "the smallest of",
}  # fmt: skip


def _operand(operand: Operand, value: Any) -> str:
    if operand is Operand.NONE:
        return ""
    if operand is Operand.DURATION and isinstance(value, (int, float)):
        return wording.duration(value * 60)
    if operand is Operand.PAIR and isinstance(value, list):
        return wording.either(map(wording.literal, value), "and")
    return wording.literal(value)


class DataCondition(Comparison):
    """One row of `data_conditions` (source article, lines 348-357)."""

    place: ClassVar[str] = "field"
    root: ClassVar[str] = "event"

    model_config = ConfigDict(json_schema_extra={"x-sentence": "{field} {over} {operator} {value}"})

    field: FieldPath = Field(title="Field", json_schema_extra={"x-source": "event_fields"})


DataConditions = Annotated[
    list[DataCondition],
    Field(max_length=20, title="Where", json_schema_extra={"x-widget": "rows"}),
]


def all_of(rows: Iterable[DataCondition]) -> Test:
    """All rows hold: not met as soon as one is not met, else broken when one is broken.

    Rows on one key of the event's data, the hottest of all, are asked without a call in between.
    """
    steps = [(*direct, None) if (direct := row.direct()) else ("", _never, row.test()) for row in rows]

    def test(event: Event, facts: Facts) -> Result:
        data, now = event.data, facts.now
        unknown: Result | None = None
        for key, check, other in steps:
            result = check(data.get(key, MISSING), now, MISSING) if other is None else other(event, facts)
            if result is MET:
                continue
            verdict = result.verdict
            if verdict is Verdict.NOT_MET:
                return result
            if verdict is Verdict.BROKEN and unknown is None:
                unknown = result
        return MET if unknown is None else unknown

    return test


def _never(actual: Any, now: datetime, before: Any) -> Result:
    return NOT_MET


def rows_problems(
    rows: Iterable[DataCondition], prefix: str = "/data_conditions"
) -> Iterable[tuple[str, Problem]]:
    """The problems of each row, with the row in the pointer."""
    for index, row in enumerate(rows):
        for pointer, problem in row.problems():
            yield f"{prefix}/{index}{pointer}", problem


def where(rows: Iterable[DataCondition]) -> str:
    """*where total is more than 50 and currency is “EUR”*, with a leading blank; nothing without rows."""
    words = [row.describe() for row in rows]
    return f" where {' and '.join(words)}" if words else ""
