"""Triggers: the page on which a marketer says when, if and then."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.options import ShowFacets
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from automation import wording
from automation.actions.registry import ACTIONS
from automation.admin import kinds, links, modes, trigger_facts
from automation.admin.editor import Editing
from automation.admin.pausing import Pausing, paused_by
from automation.admin.preview import Previewing
from automation.admin.publishing import Publishing
from automation.admin.testing import Testing
from automation.admin.trigger_filters import AskedFilter, EventFilter, ModeFilter, ProblemFilter
from automation.admin.trigger_form import TriggerForm
from automation.admin.trigger_list import TriggerList
from automation.admin.versions import Versions
from automation.engine.advice import advised
from automation.engine.conditions import CONDITIONS
from automation.engine.types import Mode, Verdict
from automation.models import Trigger
from automation.pipeline import asking, publish
from profiles.admin.parts import Cell, Part, Row, WithParts

_OUTCOMES = {
    "fired": gettext_lazy("Fired"),
    "suppressed": gettext_lazy("Held back"),
    "waiting": gettext_lazy("Waits"),
}


@admin.register(Trigger)
class TriggerAdmin(  # type: ignore[type-arg]
    Publishing, Pausing, Versions, Testing, TriggerList, Editing, Previewing, WithParts, admin.ModelAdmin
):
    """In any mode an invalid document is refused. Saving into shadow publishes a version; a save that wants it
    live stores the document and leads to the page that confirms it.
    """

    is_about_customers = False
    form = TriggerForm
    list_filter = (ModeFilter, EventFilter, ProblemFilter, AskedFilter, kinds.TypeFilter)
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    list_max_show_all = 0
    actions = (
        "go_live",
        "ask_to_publish",
        "go_shadow",
        "pause",
        "archive",
        "restore",
        "duplicate",
        "export_json",
        "copy_as_curl",
    )

    # --- The form

    def get_fieldsets(self, request: HttpRequest, obj: Trigger | None = None) -> Any:
        said = ("shown_state",) if obj else ()
        is_read = obj is not None and not self.has_change_permission(request, obj)
        if is_read:
            said = ("sentence", *said)
        return (
            (None, {"fields": ("name", *said, "mode", "seen_state"), "classes": ("editor-head",)}),
            (
                _("The document") if is_read else _("When, if, then"),
                {
                    "classes": ("editor-document", "collapse") if is_read else ("editor-document",),
                    "fields": (
                        "conditions",
                        "condition_examples",
                        "actions",
                        "action_examples",
                        "cancel_when",
                    ),
                },
            ),
            (
                _("When it acts"),
                {
                    "classes": ("editor-rails",),
                    "fields": ("timing", "recheck", ("valid_from", "valid_until")),
                },
            ),
            (
                _("Guard rails"),
                {
                    "classes": ("editor-rails",),
                    "description": _("How urgent, how often, and who wins when two triggers want one slot."),
                    "fields": (
                        "priority",
                        "message_class",
                        "topic",
                        ("cooldown_minutes", "cooldown_path"),
                        "max_per_customer",
                        "max_per_period",
                        "dedupe_path",
                        "max_per_hour",
                        ("on_lost", "value"),
                    ),
                },
            ),
            (_("Measuring"), {"classes": ("editor-rails",), "fields": ("holdout_percent", "goal")}),
            (_("About it"), {"classes": ("editor-rails",), "fields": ("key", "description", "type")}),
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Trigger | None = None) -> tuple[str, ...]:
        shown = ("sentence", "shown_state", "condition_examples", "action_examples")
        return ("key", *shown) if obj else shown  # The key names the trigger in files and links.

    def get_prepopulated_fields(self, request: HttpRequest, obj: Trigger | None = None) -> Any:
        return {} if obj else {"key": ("name",)}

    def has_change_permission(self, request: HttpRequest, obj: Trigger | None = None) -> bool:
        return super().has_change_permission(request, obj) and (obj is None or obj.mode != Mode.ARCHIVED)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # Archive it: its history stays.

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Trigger | None:
        """While a change is being saved nobody else changes this trigger."""
        found = super().get_object(request, object_id, from_field)
        if found is not None and request.method == "POST":
            found = Trigger.objects.select_for_update().get(pk=found.pk)
        return found

    def save_model(self, request: HttpRequest, obj: Trigger, form: Any, change: bool) -> None:
        """Store, and publish when the engine should see it. Runs in the transaction of the whole page."""
        obj.updated_by = request.user  # type: ignore[assignment]
        if not change:
            obj.created_by = request.user  # type: ignore[assignment]
        if form.before != obj.document():
            asking.note_author(obj, request.user)  # type: ignore[arg-type]
        wanted = Mode(obj.mode)
        # Its answer asks what becomes of what waits.
        request.has_stopped = "mode" in form.changed_data and (  # type: ignore[attr-defined]
            wanted not in publish.ENGINE_MODES
            or (wanted is Mode.SHADOW and form.initial.get("mode") == Mode.LIVE)
        )
        if wanted in publish.ENGINE_MODES:
            obj.mode = form.initial["mode"] if change else Mode.DRAFT  # Until it is published.
        elif "mode" in form.changed_data:
            obj.pause_reason = paused_by(request) if wanted == Mode.PAUSED else ""
        obj.save()
        for _pointer, problem in advised(obj.document()):
            messages.warning(request, f"{problem.message} {problem.hint}")
        if wanted in publish.ENGINE_MODES:
            self.publish_saved(request, obj, wanted)

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        if add or form.before is None:
            return super().construct_change_message(request, form, formsets, add)
        said = wording.changes(form.before, form.instance.document()).splitlines()
        if form.initial.get("mode") != form.instance.mode:
            said.append(f"mode: {form.initial.get('mode')} → {form.instance.mode}")
        return "; ".join(said) or "Nothing changed."

    # --- The page

    @admin.display(description=gettext_lazy("acting now"))
    def shown_state(self, trigger: Trigger) -> str:
        version = trigger.current_version
        if version is None:
            return _("nothing: it was never published.")
        mode = str(modes.WORDS[trigger.mode]).lower()
        if trigger.mode == Mode.LIVE:
            said = [_("version %(number)s.") % {"number": version.number}]
        else:
            said = [_("nothing: version %(number)s is %(mode)s.") % {"number": version.number, "mode": mode}]
        if trigger.pause_reason:
            said.append(trigger.pause_reason)
        if version.definition != trigger.document():
            said.append(_("What you see here differs from it."))
        return " ".join(said)

    @admin.display(description=gettext_lazy("examples"))
    def condition_examples(self, trigger: Trigger | None = None) -> SafeString:
        return _examples((kind.label, kind.help, _document(kind)) for kind in CONDITIONS.values())

    @admin.display(description=gettext_lazy("examples"))
    def action_examples(self, trigger: Trigger | None = None) -> SafeString:
        return _examples((kind.label, kind.help, _document(kind)) for kind in ACTIONS.values())

    def parts(self, request: HttpRequest, obj: Trigger) -> list[Part]:
        return [_decisions(obj), _misses(obj)]


def _decisions(trigger: Trigger) -> Part:
    done = trigger_facts.lately([trigger.pk])[trigger.pk]
    rows = [
        Row(
            (
                Cell(str(_OUTCOMES.get(label.partition(":")[0], label))),
                Cell(label.partition(":")[2].replace("_", " ")),
                Cell(f"{count:,}", css="beckon-number"),
            )
        )
        for label, count in done.by_reason.most_common()
    ]
    here = {"trigger__id__exact": trigger.pk}
    return Part(
        _("Last 24 hours"),
        (_("Outcome"), _("Reason"), _("Times")),
        rows,
        links=(
            Cell(_("All decisions"), links.listing("automation.execution", **here)),
            Cell(_("All deliveries"), links.listing("automation.delivery", **here)),
        ),
        empty=_("No decision yet."),
    )


def _misses(trigger: Trigger) -> Part:
    counts = trigger_facts.missed(trigger.pk)
    version = trigger.current_version
    said = wording.places(version.definition) if version else {}
    rows = [
        Row(
            (
                Cell(_("could not be checked") if kind == "broken" else _("not met")),
                Cell(said.get(pointer, pointer)),
                Cell(pointer),
                Cell(f"{count:,}", css="beckon-number"),
            ),
            css="sign-broken" if kind == "broken" else "",
        )
        for (kind, pointer), count in counts.most_common(20)
    ]
    return Part(
        _("Why it did not fire"),
        (_("Result"), _("First condition that failed"), _("Place"), _("Times")),
        rows,
        note=_("Events of the last 24 hours that it listened to and did not answer."),
        links=(Cell(_("A sample of these events"), links.listing("automation.misssample", q=trigger.pk)),),
    )


def _document(kind: Any) -> Any:
    """The first example that shows the kind at work."""
    for example in kind.examples:
        document = getattr(example, "document", example)
        if getattr(example, "verdict", Verdict.MET) is Verdict.MET:
            return document
    return {}


def _examples(kinds: Iterable[tuple[str, str, Any]]) -> SafeString:
    rows = format_html_join(
        "",
        '<dt>{}</dt><dd>{}<pre class="json" tabindex="0">{}</pre></dd>',
        (
            (label, text, json.dumps(document, indent=1, ensure_ascii=False))
            for label, text, document in kinds
        ),
    )
    return format_html(
        '<details class="beckon-examples"><summary>What can stand here?</summary><dl>{}</dl></details>', rows
    )
