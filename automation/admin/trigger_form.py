"""The form of a trigger: plain words around the stored document, and every problem on its field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext_lazy as _

from automation import wording
from automation.admin import kinds, modes
from automation.admin.document_field import DocumentField
from automation.admin.editor_fields import (
    GoalWidget,
    PartsField,
    PeriodWidget,
    SpanField,
    TimingWidget,
    Whole,
)
from automation.engine.problems import Problem
from automation.engine.types import MessageClass, Mode, Priority, TriggerType
from automation.models import Trigger
from automation.pipeline import publish

PRIORITIES = (
    (int(Priority.CRITICAL), _("Critical – at once")),
    (int(Priority.HIGH), _("High – within 1 minute")),
    (int(Priority.MEDIUM), _("Medium – within 5 minutes")),
    (int(Priority.LOW), _("Low – within 15 minutes")),
)
MODES = modes.choices()
TYPES = kinds.choices()
CLASSES = (
    (MessageClass.MARKETING.value, _("Marketing – consent, caps, quiet hours and holdout apply")),
    (
        MessageClass.TRANSACTIONAL.value,
        _("Transactional – the customer waits for it; only refusals and dead addresses stop it"),
    ),
)
CONFLICT = _("Somebody else changed this trigger while you were editing it.")
LOSING = (("suppress", _("Held back")), ("defer", _("Tried again when the slot is free")))


class ModeWidget(forms.RadioSelect):
    """One row of choices, and beside it the line that says what the chosen one means."""

    template_name = "admin/beckon/mode_widget.html"

    def create_option(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        option = super().create_option(*args, **kwargs)
        option["title"], _dash, option["means"] = str(option["label"]).partition(" – ")
        return option


class TriggerForm(forms.ModelForm):  # type: ignore[type-arg]
    """Refuses what the engine could not evaluate, in every mode (ux.md section 3.7)."""

    mode = forms.ChoiceField(choices=MODES, widget=ModeWidget, initial=Mode.DRAFT)
    priority = forms.TypedChoiceField(choices=PRIORITIES, coerce=int, initial=int(Priority.MEDIUM))
    type = forms.ChoiceField(choices=TYPES, initial=TriggerType.BEHAVIORAL)
    message_class = forms.ChoiceField(
        label=_("Kind of message"), choices=CLASSES, initial=MessageClass.MARKETING
    )
    on_lost = forms.ChoiceField(
        label=_("When another trigger wins the slot"), choices=LOSING, initial="suppress"
    )
    conditions = DocumentField(
        rows=14,
        required=False,
        help_text=_("A list; all of it must hold. Groups: all, any, not. The first event_match is the WHEN."),
    )
    actions = DocumentField(rows=10, required=False, help_text=_("A list, carried out in this order."))
    cancel_when = DocumentField(
        required=False,
        label=_("Stop waiting when"),
        help_text=_("Events or conditions that stop what still waits, such as “purchase_completed”."),
    )
    timing = PartsField(
        required=False,
        widget=TimingWidget,
        label=_("When it acts"),
        help_text=_("Counted from the event; each action may wait in addition."),
    )
    cooldown_minutes = SpanField(
        label=_("Rest for a customer after it fired"),
        help_text=_("Empty: none."),
    )
    max_per_period = PartsField(
        required=False,
        widget=PeriodWidget,
        label=_("Most times per period, for one customer"),
        help_text=_("2 times in 7 days is twice a week. Empty: no limit."),
    )
    goal = PartsField(
        required=False,
        widget=GoalWidget,
        label=_("Goal"),
        help_text=_("The event that counts as success. Empty: nothing is counted."),
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
            "recheck": _("Judge again before it acts"),
            "topic": _("Topic that they consent to"),
            "cooldown_path": _("The rest is counted separately per"),
            "max_per_customer": _("Most times for one customer, ever"),
            "dedupe_path": _("Only once for each"),
            "max_per_hour": _("Most times an hour, for all customers"),
            "holdout_percent": _("Share held out (%)"),
            "value": _("Declared value"),
            "valid_from": _("Starts"),
            "valid_until": _("Ends"),
        }
        help_texts = {
            "key": _("A stable short name, for files and the API. It cannot be changed later."),
            "topic": _("What customers consent to, such as marketing."),
            "cooldown_path": _("Such as product_id: each product has its own rest. Empty: one for all."),
            "max_per_customer": _("Empty: no limit."),
            "dedupe_path": _("A property such as order_id: never twice for the same order."),
            "max_per_hour": _("A guard against a mistake that mails everybody. Empty: none."),
            "holdout_percent": _(
                "Customers who never get it, so that its effect can be measured."
                " Empty: 5 for marketing, none for transactional."
            ),
            "value": _("Among triggers of equal priority the higher value wins."),
            "recheck": _("Conditions, consent and caps are looked at again when its moment has come."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.before = self.instance.document() if self.instance.pk else None
        self.problems: Mapping[str, Problem] = {}
        self.conflicts_with = ""  # The state that the page was made from, when somebody changed it since.
        if self.instance.pk and "seen_state" in self.fields:
            self.fields["seen_state"].initial = state_of(self.instance)

    def clean_mode(self) -> str:
        """The button “Save and go live” asks for it, whatever the control says."""
        return Mode.LIVE.value if "_golive" in self.data else str(self.cleaned_data["mode"])

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        for name in ("conditions", "actions", "cancel_when"):
            if name in cleaned and cleaned[name] is None:
                cleaned[name] = []
        self._keep_goal_rows(cleaned)
        seen = cleaned.get("seen_state") or "/"  # Nothing: a page that says not what it was made from.
        if self.instance.pk and "seen_state" in self.fields and seen != state_of(self.instance):
            typed = self.data.copy()  # type: ignore[attr-defined]
            typed[self.add_prefix("seen_state")] = state_of(self.instance)
            self.data, self.conflicts_with = typed, seen
            raise ValidationError(CONFLICT, code="conflict")
        return cleaned

    def _keep_goal_rows(self, cleaned: dict[str, Any]) -> None:
        """Rows that narrow the goal event have no field here; they stay while the event is the same."""
        goal, stored = cleaned.get("goal"), self.instance.goal
        if goal and stored and goal["event_name"] == stored.get("event_name") and "data_conditions" in stored:
            cleaned["goal"] = {**goal, "data_conditions": stored["data_conditions"]}

    def _post_clean(self) -> None:
        """After the model's own checks: the document as a whole, each problem at its field."""
        super()._post_clean()  # type: ignore[misc]
        if self.errors:
            return
        self.problems = publish.check(self.instance.document())
        for pointer, problem in self.problems.items():
            field = pointer.split("/")[1] if "/" in pointer else ""
            where = wording.place(pointer)
            text = f"{where}: {problem.message}" if where else problem.message
            self.add_error(
                field if field in self.fields else None,
                ValidationError(f"{text} {problem.hint}".strip(), code="document"),
            )


def state_of(trigger: Trigger) -> str:
    """What a page that edits this trigger was made from; any change, also the engine's pause, alters it."""
    return f"{trigger.updated_at.isoformat()}/{trigger.mode}/{trigger.current_version_id or 0}"


def composed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs by name, as a browser sends them, with the values of those that consist of several put together."""
    found = dict(values)
    for name, field in TriggerForm.base_fields.items():
        if isinstance(field.widget, Whole) and any(
            f"{name}{part}" in values for part in field.widget.widgets_names[1:]
        ):
            found[name] = field.widget.value_from_datadict(values, MultiValueDict(), name)
    return found
