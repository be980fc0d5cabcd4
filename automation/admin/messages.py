"""What messages say, and tasks for people."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from automation.admin import links
from automation.models import Task, Template
from profiles.admin.lists import KeysetAdmin, Titled, recent
from profiles.clock import when


@admin.register(Template)
class TemplateAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    is_about_customers = False
    list_title = gettext_lazy("Templates")
    list_display = ("name", "key", "subject", "is_published", "changed")
    list_filter = ("is_published",)
    search_fields = ("name", "key", "subject")
    fields = (("name", "key"), "is_published", "subject", "html", "text", ("created_at", "updated_at"))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        fixed = ("created_at", "updated_at")
        return ("key", *fixed) if obj else fixed  # Triggers refer to a template by its key.

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return {} if obj else {"key": ("name",)}

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return Titled

    @admin.display(description=gettext_lazy("last changed"), ordering="updated_at")
    def changed(self, template: Template) -> str | SafeString:
        return when(template.updated_at)


@admin.register(Task)
class TaskAdmin(KeysetAdmin):
    list_display = ("title", "customer", "assignee", "due", "state", "made")
    list_filter = ("state", recent("created_at"))
    list_select_related = ("profile", "assignee")
    autocomplete_fields = ("profile", "assignee")
    fields = ("title", "notes", "profile", ("assignee", "due_at"), "state", "created_at")
    readonly_fields = ("created_at",)
    actions = ("finish",)

    @admin.display(description=gettext_lazy("customer"))
    def customer(self, task: Task) -> SafeString:
        return links.anchor("profiles.profile", task.profile_id, task.profile)

    @admin.display(description=gettext_lazy("due"))
    def due(self, task: Task) -> str | SafeString:
        """When, and a mark where that is over and nobody has done it."""
        at = when(task.due_at)
        if task.due_at is None or task.state == Task.State.DONE or task.due_at >= timezone.now():
            return at
        return format_html('{} <strong class="sign-failed">{}</strong>', at, _("overdue"))

    @admin.display(description=gettext_lazy("made"))
    def made(self, task: Task) -> str | SafeString:
        return when(task.created_at)

    @admin.action(description=gettext_lazy("Mark as done"), permissions=["change"])
    def finish(self, request: HttpRequest, queryset: QuerySet[Task]) -> None:
        done = 0
        for task in queryset.exclude(state=Task.State.DONE):
            with transaction.atomic():
                task.state = Task.State.DONE
                task.save(update_fields=["state"])
                self.log_change(request, task, "Done.")
            done += 1
        said = ngettext("%(n)s task is done.", "%(n)s tasks are done.", done) % {"n": done}
        self.message_user(request, said, messages.SUCCESS)
