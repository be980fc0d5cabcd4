"""What a condition is: a frozen pydantic model in one file, registered by decorator.

From the model alone follow validation, JSON Schema, the editor card, the sentence and the catalogue tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Annotated, Any, ClassVar, NamedTuple, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, StringConstraints
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from automation.engine import wording
from automation.engine.logic import Check as Check
from automation.engine.logic import fault
from automation.engine.problems import Problem
from automation.engine.registry import Registry
from automation.engine.types import Facts, Lookback, Result, Verdict
from automation.engine.values import shown

MAX_HOURS = 8760  # One year: no condition looks back further.
MAX_NUMBER = 1e15  # As for numbers in events; every number has a maximum.

EventName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,100}$")]


class Probe(NamedTuple):
    """One line of a trace: the same check that the engine runs, and the value it looks at."""

    pointer: str
    check: Check
    look: Callable[[Facts], Any]
    is_and: bool = False  # Its children are joined by *and*: the first failing leaf is among them.


class Example(NamedTuple):
    """A document, facts, and the verdict they get; run by the catalogue tests, shown in the reference."""

    title: str
    document: dict[str, Any]
    facts: Facts
    verdict: Verdict


class Condition(BaseModel):
    """Base of all conditions. A plugin declares the class variables, its fields, and `compile`."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)

    label: ClassVar[str] = ""  # Name on the card.
    kind: ClassVar[str] = ""  # Heading in the picker.
    help: ClassVar[str] = ""  # One line under the card.
    icon: ClassVar[str] = ""  # One symbol in front of the label.
    joiner: ClassVar[str] = ""  # Groups only: the word between two of its nodes.
    sentence: ClassVar[str] = ""  # "…{field}…"
    examples: ClassVar[tuple[Example, ...]] = ()
    variant_field: ClassVar[str] = ""  # Second discriminator, where the source format has one.

    type: str

    def compile(self) -> Check:
        """A closure with everything resolved beforehand; the only evaluator. It must not raise."""
        raise TypeError(f"{type(self).__name__} does not compile")  # The registry refuses such a plugin.

    def look(self, facts: Facts) -> Any:
        """The value the condition looked at, for the trace."""
        return None

    def is_met(self, facts: Facts) -> Result:
        """Evaluate once, with the value seen. Never raises."""
        probe = Probe("", self.compile(), self.look)
        return probe_result(probe, facts)

    def lookback(self) -> Lookback | None:
        """Which other events this condition reads: earlier ones, and on recheck later ones."""
        return None

    @property
    def needs_sends(self) -> bool:
        """True when it reads `Facts.sends`."""
        return False

    @property
    def needs_segments(self) -> bool:
        """True when it reads `Facts.segments`."""
        return False

    @property
    def needs_before(self) -> bool:
        """True when it reads `Facts.before`."""
        return False

    def waits(self) -> timedelta | None:
        """How long after the event this condition can first be decided, when not at once."""
        return None

    def entry_names(self) -> frozenset[str] | None:
        """Names that the current event must have for this to be met; None when it does not say."""
        return None

    def children(self) -> Iterable[tuple[str, Condition]]:
        """(relative pointer, node) of the nodes inside a group."""
        return ()

    def probes(self, pointer: str) -> Iterator[Probe]:
        """The lines of this node in a trace, itself first."""
        yield Probe(pointer, self.compile(), self.look)

    def problems(self) -> Iterable[tuple[str, Problem]]:
        """Combinations of fields that make no sense: (relative pointer, problem). Judged at save."""
        return ()

    def describe(self) -> str:
        """The sentence in plain English, without a full stop."""
        return wording.fill(self.sentence, self)

    @classmethod
    def key(cls) -> str:
        """`type`, or `type.variant`."""
        tag = _literal(cls, "type")
        return f"{tag}.{_literal(cls, cls.variant_field)}" if tag and cls.variant_field else tag

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """The extensions that the editor reads (ux.md section 3.1)."""
        shape = handler(schema)
        target = handler.resolve_ref_schema(shape)
        target["title"] = cls.label
        target["description"] = cls.help
        target["x-kind"], target["x-icon"] = cls.kind, cls.icon
        target["x-sentence"], target["x-help"] = cls.sentence, cls.help
        if cls.joiner:
            target["x-joiner"] = cls.joiner
        return shape


def _literal(model: type[BaseModel], field: str) -> str:
    info = model.model_fields.get(field)
    values = get_args(info.annotation) if info is not None else ()
    return values[0] if len(values) == 1 and isinstance(values[0], str) else ""


CONDITIONS: Registry[type[Condition]] = Registry(
    "condition",
    key=lambda plugin: plugin.key(),
    required=("label", "kind", "help", "icon", "sentence", "examples"),
)

Plugin = TypeVar("Plugin", bound=type[Condition])


def condition(plugin: Plugin) -> Plugin:
    """Register a condition; refused at import when it is incomplete."""
    if plugin.compile is Condition.compile:
        raise TypeError(f"condition {plugin.__qualname__} lacks compile")
    CONDITIONS.register(plugin)
    return plugin


def probe_result(probe: Probe, facts: Facts) -> Result:
    """Run a probe with the value it saw; a fault of the code itself is a broken result that says so."""
    try:
        result = probe.check(facts)
    except Exception as error:  # noqa: BLE001  # Becomes a broken result.
        result = fault(error)
    try:
        seen = probe.look(facts)
    except Exception as error:  # noqa: BLE001  # Becomes a broken result.
        seen = f"({type(error).__name__})"
    return Result(result.verdict, shown(seen), result.reason)
