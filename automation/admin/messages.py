"""What messages say, and tasks for people."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest

from automation.models import Task, Template
from profiles.admin.lists import KeysetAdmin, recent


@admin.register(Template)
class TemplateAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    is_about_customers = False
    list_display = ("name", "key", "subject", "is_published", "updated_at")
    list_filter = ("is_published",)
    search_fields = ("name", "key", "subject")
    fields = (("name", "key"), "is_published", "subject", "html", "text", ("created_at", "updated_at"))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        fixed = ("created_at", "updated_at")
        return ("key", *fixed) if obj else fixed  # Triggers refer to a template by its key.

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return {} if obj else {"key": ("name",)}


@admin.register(Task)
class TaskAdmin(KeysetAdmin):
    list_display = ("title", "profile", "assignee", "due_at", "state", "created_at")
    list_filter = ("state", recent("created_at"))
    list_select_related = ("profile", "assignee")
    autocomplete_fields = ("profile", "assignee")
    fields = ("title", "notes", "profile", ("assignee", "due_at"), "state", "created_at")
    readonly_fields = ("created_at",)
    actions = ("finish",)

    @admin.action(description="Mark as done", permissions=["change"])
    def finish(self, request: HttpRequest, queryset: QuerySet[Task]) -> None:
        done = 0
        for task in queryset.exclude(state=Task.State.DONE):
            with transaction.atomic():
                task.state = Task.State.DONE
                task.save(update_fields=["state"])
                self.log_change(request, task, "Done.")
            done += 1
        self.message_user(request, f"{done} done.", messages.SUCCESS)
