"""Change what is known of the customer (S-149)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, Self

from pydantic import Field, model_validator

from automation.actions.base import Action, Example, Job, Outcome, action, check_texts, filled, refuse
from automation.channels.base import DeliveryError
from automation.engine import wording
from profiles import services
from profiles.behavior.places import settle_zone
from profiles.behavior.state import moment_text
from profiles.behavior.traits import stored, write_traits

_MAX_LIST: Final = 100
_MAX_NUMBER: Final = 1e15
_OURS: Final = frozenset(
    {
        "customer_id",
        "lifetime_value",
        "orders_count",
        "engagement_score",
        "behavior_segment",
        "first_seen",
        "last_activity",
    }
)
"""Worked out from the events; a trait of this name would only mislead."""


@action
class UpdateCustomerData(Action):
    """Set, count, collect and remove traits; the time of this action decides against other writes."""

    label = "Update customer data"
    help = (
        "Traits by name, also email, phone, first_name, last_name, locale, time_zone. Texts may hold Liquid."
    )
    icon = "✎"
    sentence = "update their data"
    examples = (
        Example(
            "Remember the cart",
            {
                "type": "update_customer_data",
                "set": {"last_cart_value": "{{ event.total_value }}"},
                "increment": {"abandoned_carts": 1},
            },
        ),
        Example(
            "Collect what they looked at, forget an old note",
            {
                "type": "update_customer_data",
                "append": {"seen_products": "{{ event.product_id }}"},
                "unset": ["note"],
            },
        ),
    )

    type: Literal["update_customer_data"]
    set: dict[str, Any] = Field(
        default_factory=dict, title="Set", max_length=50, description="Trait → value."
    )
    increment: dict[str, Any] = Field(
        default_factory=dict,
        title="Increase",
        max_length=50,
        description="Trait → number to add, or Liquid that gives one.",
    )
    append: dict[str, Any] = Field(
        default_factory=dict, title="Append", max_length=50, description="Trait → value to add to its list."
    )
    unset: list[str] = Field(
        default_factory=list, title="Remove", max_length=50, description="Names of traits."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [*self.set, *self.increment, *self.append, *self.unset]
        if not names:
            raise refuse("Nothing would change.", "Set, increase, append or remove at least one trait.")
        for name in names:
            if not 0 < len(name) <= 100 or not name.isprintable():
                raise refuse("Names of traits have 1 to 100 printable characters.")
            if name in _OURS:
                raise refuse(
                    f"“{name}” follows from the events and cannot be written.", "Choose another name."
                )
        if len({*names}) < len(names):
            raise refuse("One trait is changed twice.", "Name each trait once.")
        for value in (self.set, self.increment, self.append):
            check_texts(value)
        if not all(map(_is_step, self.increment.values())):
            raise refuse("Increase: use numbers, or Liquid that gives one.")
        return self

    def describe(self) -> str:
        """Names what is written."""
        parts = [
            *(f"set {wording.name(name)}" for name in self.set),
            *(f"increase {wording.name(name)}" for name in self.increment),
            *(f"append to {wording.name(name)}" for name in self.append),
            *(f"remove {wording.name(name)}" for name in self.unset),
        ]
        rest = super().describe().removeprefix(self.sentence)
        return f"update their data ({', '.join(parts)}){rest}"

    def perform(self, job: Job) -> Outcome:
        """Write under the profile's lock, which the caller's transaction holds."""
        stamp = (moment_text(job.now), str(job.delivery_id))
        state = services.lock([job.profile_id])[job.profile_id].state
        wanted = self._wanted(state, job.context)
        new = dict(state)
        write_traits(new, wanted, *stamp)
        settle_zone(new)
        services.store({job.profile_id: new})
        kept = {name for name in wanted if new["trait_stamps"].get(name) == list(stamp)}
        lost = sorted(wanted.keys() - kept)
        # Names only: values may be personal, and results outlive an erasure.
        return Outcome(result={"updated": sorted(kept), **({"not_updated": lost} if lost else {})})

    def _wanted(self, state: Mapping[str, Any], context: Mapping[str, Any]) -> dict[str, Any]:
        wanted = {name: filled(value, context) for name, value in self.set.items()}
        for name, value in self.increment.items():
            wanted[name] = _sum(name, stored(state, name), filled(value, context))
        for name, value in self.append.items():
            old = stored(state, name)
            items = old if isinstance(old, list) else [] if old in (None, "") else [old]
            wanted[name] = [*items, filled(value, context)][-_MAX_LIST:]
        return wanted | dict.fromkeys(self.unset)


def _is_step(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _MAX_NUMBER
    return is_number or (isinstance(value, str) and "{{" in value)


def _sum(name: str, old: Any, step: Any) -> int | float:
    """Both as numbers; a trait that is missing counts as 0."""
    total = _number(name, old if old not in (None, "") else 0) + _number(name, step)
    if abs(total) > _MAX_NUMBER:
        raise DeliveryError(f"“{name}” would become too large.", permanent=True, kind="number_too_large")
    return int(total) if total == int(total) else total


def _number(name: str, value: Any) -> float:
    try:
        if not isinstance(value, bool):
            number = float(value)
            if abs(number) <= _MAX_NUMBER:
                return number
    except (TypeError, ValueError, OverflowError):
        pass
    raise DeliveryError(f"“{name}” cannot be increased: not a number.", permanent=True, kind="not_a_number")
