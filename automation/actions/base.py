"""What an action is: a frozen pydantic model in one file, registered by decorator.

From the model alone follow validation, JSON Schema, the editor card, the sentence and the catalogue tests.
An action on the channel `internal` touches only our database: it is carried out exactly once, in the
transaction that records its result, under the customer's lock. Any other action calls a channel.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, TypeVar, get_args
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from automation.channels.base import Message, Receipt
from automation.engine import wording
from automation.engine.registry import Registry
from automation.engine.types import Event
from automation.rendering import liquid
from automation.rendering.context import TriggerFacts
from automation.rendering.email import Source

INTERNAL = "internal"
MAX_DELAY_MINUTES = 525_600  # One year.
MAX_CHAIN = 5  # Events that follow from events that follow from …


class Example(NamedTuple):
    """A document that is valid; checked by the catalogue tests, shown in the reference."""

    title: str
    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Job:
    """One action to carry out for one customer. `context` are the variables that Liquid sees."""

    delivery_id: UUID  # The same on every attempt.
    execution_id: int
    profile_id: int
    customer_id: str
    address: str
    channel: str
    message_class: str
    topic: str
    now: datetime
    event: Event
    trigger: TriggerFacts
    context: Mapping[str, Any]
    templates: Mapping[str, Source]  # Those that the action names, by key.
    send: Callable[[Message], Receipt]  # By the action's channel; raises DeliveryError.
    depth: int = 0  # How many events of this chain were emitted by actions.


class Emit(NamedTuple):
    """An event to ingest in the transaction that records the result."""

    name: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a carried-out action leaves behind. `result` is JSON-safe, small, and holds no address."""

    provider_id: str = ""
    result: Mapping[str, Any] = field(default_factory=dict)
    emits: tuple[Emit, ...] = ()


class Action(BaseModel):
    """Base of all actions. A plugin declares the class variables, its fields, and `perform`."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)

    label: ClassVar[str] = ""  # Name on the card.
    help: ClassVar[str] = ""  # One line under the card.
    icon: ClassVar[str] = ""  # One symbol in front of the label.
    sentence: ClassVar[str] = ""  # "…{field}…"
    examples: ClassVar[tuple[Example, ...]] = ()
    channel: ClassVar[str] = INTERNAL
    is_message: ClassVar[bool] = False  # A message to the customer: it counts against the caps.

    type: str
    delay_minutes: float = Field(
        default=0,
        ge=0,
        le=MAX_DELAY_MINUTES,
        title="Wait before it",
        description="Minutes after the action before it ended.",
        json_schema_extra={"x-unit": "minutes"},
    )
    on_failure: Literal["stop", "continue"] = Field(
        default="continue",
        title="If it fails",
        description="Whether the actions after it still run.",
        json_schema_extra={"x-labels": {"stop": "stop", "continue": "go on with the next"}},
    )

    @abstractmethod
    def perform(self, job: Job) -> Outcome:
        """Do it. Raises DeliveryError or liquid.TemplateError when that did not work."""

    def templates(self) -> tuple[str, ...]:
        """Keys of the e-mail templates it needs."""
        return ()

    @property
    def delay(self) -> timedelta:
        """How long it waits after the action before it."""
        return timedelta(minutes=self.delay_minutes)

    def describe(self) -> str:
        """The sentence in plain English, without a full stop."""
        words = wording.fill(self.sentence, self)
        return f"{words} after {wording.duration(self.delay_minutes)}" if self.delay_minutes else words

    @classmethod
    def key(cls) -> str:
        """The value of `type`."""
        info = cls.model_fields.get("type")
        values = get_args(info.annotation) if info is not None else ()
        return values[0] if len(values) == 1 and isinstance(values[0], str) else ""

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """The extensions that the editor reads."""
        shape = handler(schema)
        target = handler.resolve_ref_schema(shape)
        target["title"], target["description"] = cls.label, cls.help
        target["x-icon"], target["x-help"] = cls.icon, cls.help
        target["x-sentence"] = f"{cls.sentence} after {{delay_minutes}}"
        target["x-channel"] = cls.channel
        return shape


ACTIONS: Registry[type[Action]] = Registry(
    "action",
    key=lambda plugin: plugin.key(),
    required=("label", "help", "icon", "sentence", "examples", "channel"),
)

Plugin = TypeVar("Plugin", bound=type[Action])


def action(plugin: Plugin) -> Plugin:
    """Register an action; refused at import when it is incomplete."""
    if plugin.perform is Action.perform:
        raise TypeError(f"action {plugin.__qualname__} lacks perform")
    ACTIONS.register(plugin)
    return plugin


def refuse(message: str, hint: str = "") -> PydanticCustomError:
    """The error to raise in a validator, with the words that the marketer will read."""
    return PydanticCustomError("beckon", "{message}", {"message": message, "hint": hint})


def _readable(source: str) -> str:
    try:
        liquid.compile(source)
    except liquid.TemplateError as error:
        raise refuse(f"This template cannot be read: {error}.", "See the Liquid reference.") from None
    return source


Liquid = Annotated[str, AfterValidator(_readable)]
"""A text that may hold Liquid; refused at save when it cannot be read."""


def filled(value: Any, context: Mapping[str, Any], depth: int = 0) -> Any:
    """JSON data with every text in it filled; a single `{{ expression }}` keeps its type."""
    if isinstance(value, str):
        return liquid.evaluate(value, context)
    if isinstance(value, Mapping):
        return {key: filled(item, context, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [filled(item, context, depth + 1) for item in value]
    return value


def check_texts(value: Any) -> None:
    """Refuse JSON data in which a text cannot be read as Liquid, or that is nested too deeply."""
    pending: list[tuple[Any, int]] = [(value, 0)]
    while pending:
        one, depth = pending.pop()
        if depth > 10:
            raise refuse("This is nested too deeply.", "At most 10 levels.")
        if isinstance(one, str):
            _readable(one)
        elif isinstance(one, Mapping):
            pending += [(item, depth + 1) for item in _items(one.values())]
        elif isinstance(one, list | tuple):
            pending += [(item, depth + 1) for item in _items(one)]


def _items(values: Iterable[Any]) -> list[Any]:
    items = list(values)
    if len(items) > 200:
        raise refuse("This has too many entries.", "At most 200.")
    return items
