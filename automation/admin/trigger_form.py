"""The form of a trigger: plain words around the stored document, and every problem on its field."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec
from django import forms
from django.core.exceptions import ValidationError
from django.utils.formats import date_format
from django.utils.timezone import localtime

from automation.admin import modes
from automation.engine.problems import Problem
from automation.engine.types import MessageClass, Mode, Priority, TriggerType
from automation.models import Trigger
from automation.pipeline import publish

PRIORITIES = (
    (int(Priority.CRITICAL), "Critical – at once"),
    (int(Priority.HIGH), "High – within 1 minute"),
    (int(Priority.MEDIUM), "Medium – within 5 minutes"),
    (int(Priority.LOW), "Low – within 15 minutes"),
)
MODES = modes.choices()
TYPES = (
    (TriggerType.BEHAVIORAL.value, "Behavioural – answers what a customer just did"),
    (TriggerType.TRANSACTIONAL.value, "Transactional – belongs to an order or an account"),
    (TriggerType.LIFECYCLE.value, "Lifecycle – a stage of the relationship"),
    (TriggerType.CONTEXTUAL.value, "Contextual – place, device, season"),
    (TriggerType.PREDICTIVE.value, "Predictive – a score crossed a line"),
)
CLASSES = (
    (MessageClass.MARKETING.value, "Marketing – consent, caps, quiet hours and holdout apply"),
    (
        MessageClass.TRANSACTIONAL.value,
        "Transactional – the customer waits for it; only refusals and dead addresses stop it",
    ),
)
LOSING = (("suppress", "Held back"), ("defer", "Tried again when the slot is free"))
MAX_TEXT = 200_000
KEY_ORDER = (
    "type",
    "kind",
    "pattern_type",
    "time_condition_type",
    "event_type",
    "event_name",
    "attribute",
    "field",
    "over",
    "operator",
    "value",
    "template_id",
    "segment",
    "url",
    "data_conditions",
    "conditions",
)


class DocumentField(forms.JSONField):
    """A piece of the stored document as indented JSON; says where it cannot be read."""

    def __init__(self, *, rows: int = 4, **kwargs: Any) -> None:
        widget = forms.Textarea(attrs={"class": "beckon-json", "rows": rows, "spellcheck": "false"})
        super().__init__(widget=widget, **kwargs)

    def to_python(self, value: Any) -> Any:
        text = value if isinstance(value, str) else ""
        if not text.strip():
            return None
        if len(text) > MAX_TEXT:
            raise ValidationError("This is too long.")
        try:
            return msgspec.json.decode(text.encode("utf-8", "surrogatepass"))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ValidationError(_where(text)) from error

    def prepare_value(self, value: Any) -> str:
        if isinstance(value, str):
            return value
        return "" if value in (None, {}, []) else json.dumps(_ordered(value), indent=2, ensure_ascii=False)

    def bound_data(self, data: Any, initial: Any) -> Any:
        return data  # Whatever was typed comes back as it was typed.

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool((self.to_python(data) or None) != (initial or None))
        except ValidationError:
            return True


def _ordered(value: Any) -> Any:
    """The same, its keys in the order in which one says them; PostgreSQL does not keep theirs."""
    if isinstance(value, list):
        return [_ordered(item) for item in value]
    if not isinstance(value, dict):
        return value
    ranks = {key: rank for rank, key in enumerate(KEY_ORDER)}
    return {
        key: _ordered(value[key]) for key in sorted(value, key=lambda key: (ranks.get(key, len(ranks)), key))
    }


def _where(text: str) -> str:
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return f"This is not JSON yet: line {error.lineno}, column {error.colno}: {error.msg}."
    except RecursionError:
        return "This is nested too deeply."
    return "This is not JSON: it holds NaN, Infinity or a broken character."


class TriggerForm(forms.ModelForm):  # type: ignore[type-arg]
    """Refuses what the engine could not evaluate, in every mode (ux.md section 3.7)."""

    mode = forms.ChoiceField(choices=MODES, widget=forms.RadioSelect, initial=Mode.DRAFT)
    priority = forms.TypedChoiceField(choices=PRIORITIES, coerce=int, initial=int(Priority.MEDIUM))
    type = forms.ChoiceField(choices=TYPES, initial=TriggerType.BEHAVIORAL)
    message_class = forms.ChoiceField(
        label="Kind of message", choices=CLASSES, initial=MessageClass.MARKETING
    )
    on_lost = forms.ChoiceField(
        label="When another trigger wins the slot", choices=LOSING, initial="suppress"
    )
    conditions = DocumentField(
        rows=14,
        required=False,
        help_text="A list; all of it must hold. Groups: all, any, not. The first event_match is the WHEN.",
    )
    actions = DocumentField(rows=10, required=False, help_text="A list, carried out in this order.")
    timing = DocumentField(
        required=False,
        help_text='{"kind": "immediate"}, {"kind": "delay", "minutes": 30},'
        ' {"kind": "local_time", "time": "18:00"}, {"kind": "optimal_personal", "within_hours": 24}'
        ' or {"kind": "within_24h"}. Empty: immediate.',
    )
    cancel_when = DocumentField(
        required=False,
        help_text='Events or conditions that cancel a waiting execution: ["purchase_completed"].',
    )
    max_per_period = DocumentField(
        rows=2,
        required=False,
        label="Most times per period",
        help_text='{"count": 2, "hours": 168} is twice a week. Empty: no limit.',
    )
    goal = DocumentField(
        rows=5,
        required=False,
        help_text='What counts as success: {"event_name": "purchase_completed", "window_hours": 168,'
        ' "value_path": "total", "currency_path": "currency"}.',
    )
    seen_state = forms.CharField(required=False, widget=forms.HiddenInput)

    class Meta:
        model = Trigger
        fields = (
            "name",
            "key",
            "description",
            "mode",
            "conditions",
            "type",
            "actions",
            "message_class",
            "topic",
            "timing",
            "cancel_when",
            "recheck",
            "valid_from",
            "valid_until",
            "priority",
            "cooldown_minutes",
            "cooldown_path",
            "max_per_customer",
            "max_per_period",
            "dedupe_path",
            "max_per_hour",
            "holdout_percent",
            "on_lost",
            "value",
            "goal",
        )
        widgets = {"description": forms.Textarea(attrs={"rows": 2})}
        labels = {
            "recheck": "Judge again before it acts",
            "cooldown_minutes": "Rest per customer (minutes)",
            "cooldown_path": "Rest counted separately per",
            "max_per_customer": "Most times per customer, for ever",
            "dedupe_path": "Once per",
            "max_per_hour": "Most times an hour, all customers",
            "holdout_percent": "Share held out (%)",
            "value": "Declared value",
            "valid_from": "Starts",
            "valid_until": "Ends",
        }
        help_texts = {
            "key": "A stable short name, for files and the API. It cannot be changed later.",
            "topic": "What customers consent to, such as marketing.",
            "cooldown_minutes": "1440 is one day. Empty: none.",
            "cooldown_path": "Such as product_id: each product has its own rest. Empty: one for all.",
            "max_per_customer": "Empty: no limit.",
            "dedupe_path": "A property such as order_id: never twice for the same order.",
            "max_per_hour": "A guard against a mistake that mails everybody. Empty: none.",
            "holdout_percent": "Customers who never get it, so that its effect can be measured."
            " Empty: 5 for marketing, none for transactional.",
            "value": "Among triggers of equal priority the higher value wins.",
            "recheck": "Conditions, consent and caps are looked at again when its moment has come.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.before = self.instance.document() if self.instance.pk else None
        self.problems: Mapping[str, Problem] = {}
        if self.instance.pk and "seen_state" in self.fields:
            self.fields["seen_state"].initial = state_of(self.instance)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        for name, empty in (("conditions", []), ("actions", []), ("timing", {}), ("cancel_when", [])):
            if name in cleaned and cleaned[name] is None:
                cleaned[name] = empty
        seen = cleaned.get("seen_state")
        if self.instance.pk and seen and seen != state_of(self.instance):
            typed = self.data.copy()  # type: ignore[attr-defined]
            typed[self.add_prefix("seen_state")] = state_of(self.instance)
            self.data = typed
            raise ValidationError(_conflict(self.instance))
        return cleaned

    def _post_clean(self) -> None:
        """After the model's own checks: the document as a whole, each problem at its field."""
        super()._post_clean()  # type: ignore[misc]
        if self.errors:
            return
        self.problems = publish.check(self.instance.document())
        for pointer, problem in self.problems.items():
            field = pointer.split("/")[1] if "/" in pointer else ""
            text = f"{pointer or '/'}: {problem.message} {problem.hint}".strip()
            self.add_error(field if field in self.fields else None, ValidationError(text, code="document"))


def state_of(trigger: Trigger) -> str:
    """What a page that edits this trigger was made from; any change, also the engine's pause, alters it."""
    return f"{trigger.updated_at.isoformat()}/{trigger.mode}/{trigger.current_version_id or 0}"


def _conflict(trigger: Trigger) -> str:
    who = trigger.updated_by.get_username() if trigger.updated_by else "Beckon"
    at = date_format(localtime(trigger.updated_at), "j M H:i")
    said = trigger.current_version.changes if trigger.current_version else ""
    changed = f" The newest version says: {said}" if said else ""
    return (
        f"{who} changed this trigger while you were editing it ({at}; mode is now {trigger.mode}).{changed}"
        " What you wrote is kept below. Save again to replace theirs with yours."
    )
