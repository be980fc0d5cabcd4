"""Which triggers an event may concern: by its name, then by the value of one field."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from automation.engine.paths import Getter, getter, parse
from automation.engine.rules import CompiledTrigger
from automation.engine.samples import NOON, facts
from automation.engine.types import Event, Mode, Priority
from automation.engine.values import Key, actual_keys, expected_keys

ANY = "*"
_ACTIVE = (Mode.LIVE, Mode.SHADOW)


def _rank(trigger: CompiledTrigger) -> tuple[int, int]:
    """Urgent first, then by id: the same order in every process."""
    return (trigger.definition.priority, trigger.trigger_id)


@dataclass(frozen=True, slots=True)
class _Bucket:
    """The triggers of one event name."""

    rest: tuple[CompiledTrigger, ...]  # Not told apart by a value.
    fields: tuple[tuple[Getter, Mapping[Key, tuple[CompiledTrigger, ...]]], ...]
    lane: Priority


def _bucket(triggers: Iterable[CompiledTrigger]) -> _Bucket:
    rest: list[CompiledTrigger] = []
    fields: dict[str, dict[Key, list[CompiledTrigger]]] = defaultdict(lambda: defaultdict(list))
    ordered = sorted(triggers, key=_rank)
    for trigger in ordered:
        if trigger.equality is None:
            rest.append(trigger)
            continue
        field, value = trigger.equality
        for key in expected_keys(value):
            fields[field][key].append(trigger)
    return _Bucket(
        rest=tuple(rest),
        fields=tuple(
            (getter(parse(field)), {key: tuple(found) for key, found in table.items()})
            for field, table in fields.items()
        ),
        lane=min(trigger.definition.priority for trigger in ordered),
    )


class TriggerIndex:
    """Live and shadow triggers by event name and by equality on a data field.

    Looking up costs what is found, not what exists: a thousand triggers on one event name that ask for a
    thousand products cost one dictionary look-up. The index never misses a trigger that would match.
    """

    def __init__(self, triggers: Iterable[CompiledTrigger] = ()) -> None:
        self._by_id = {trigger.trigger_id: trigger for trigger in triggers}
        self._names = _names(self._by_id.values())
        self._buckets = {name: _bucket(found) for name, found in self._names.items()}
        self._cancels = _cancels(self._by_id.values())

    @property
    def by_id(self) -> Mapping[int, CompiledTrigger]:
        """All triggers given, the inactive ones too."""
        return MappingProxyType(self._by_id)

    def __len__(self) -> int:
        return len(self._by_id)

    def candidates(self, event: Event) -> Sequence[CompiledTrigger]:
        """The triggers that may match this event, urgent first; a superset of those that do."""
        named, general = self._buckets.get(event.name), self._buckets.get(ANY)
        if general is None:
            return _hits(named, event) if named is not None else ()
        if named is None:
            return _hits(general, event)
        return sorted([*_hits(named, event), *_hits(general, event)], key=_rank)

    def lane(self, event_name: str) -> Priority | None:
        """The most urgent priority among the triggers that listen to this name, or None."""
        lanes = [bucket.lane for name in (event_name, ANY) if (bucket := self._buckets.get(name)) is not None]
        return min(lanes, default=None)

    def cancelled_by(self, event_name: str) -> Sequence[CompiledTrigger]:
        """The triggers whose waiting executions this event may cancel; ask their `cancels`."""
        return [*self._cancels.get(event_name, ()), *self._cancels.get(ANY, ())]

    def replace(self, changed: Iterable[CompiledTrigger], removed: Iterable[int] = ()) -> TriggerIndex:
        """A new index; only the buckets of event names that are concerned are built again."""
        index = TriggerIndex.__new__(TriggerIndex)
        new = {trigger.trigger_id: trigger for trigger in changed}
        gone = {*removed, *new}
        index._by_id = {key: trigger for key, trigger in self._by_id.items() if key not in gone} | new
        touched = {
            name
            for trigger in [*new.values(), *(self._by_id[key] for key in gone if key in self._by_id)]
            for name in trigger.event_names
        }
        index._names, index._buckets = dict(self._names), dict(self._buckets)
        for name in touched:
            kept = [trigger for trigger in self._names.get(name, ()) if trigger.trigger_id not in gone]
            kept += [t for t in new.values() if name in t.event_names and t.mode in _ACTIVE]
            index._names.pop(name, None)
            index._buckets.pop(name, None)
            if kept:
                index._names[name] = kept
                index._buckets[name] = _bucket(kept)
        index._cancels = _cancels(index._by_id.values())
        return index


def _hits(bucket: _Bucket, event: Event) -> Sequence[CompiledTrigger]:
    if not bucket.fields:
        return bucket.rest
    found: list[CompiledTrigger] = []
    for read, table in bucket.fields:
        for key in actual_keys(read(event, _NO_FACTS)):
            if (hits := table.get(key)) is not None:
                found.extend(hits)
    if not found:
        return bucket.rest
    if bucket.rest or len(found) > 1:
        return sorted([*bucket.rest, *found], key=_rank)
    return found


def _names(triggers: Iterable[CompiledTrigger]) -> dict[str, list[CompiledTrigger]]:
    names: dict[str, list[CompiledTrigger]] = defaultdict(list)
    for trigger in triggers:
        if trigger.mode in _ACTIVE:
            for name in trigger.event_names:
                names[name].append(trigger)
    return dict(names)


def _cancels(triggers: Iterable[CompiledTrigger]) -> dict[str, list[CompiledTrigger]]:
    names: dict[str, list[CompiledTrigger]] = defaultdict(list)
    for trigger in triggers:
        for name in trigger.cancel_names:
            names[name].append(trigger)
    return dict(names)


# Getters of event data look at the event alone.
_NO_FACTS = facts("", at=NOON)
