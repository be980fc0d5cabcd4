"""Give a person something to do (S-150)."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from django.contrib.auth import get_user_model
from pydantic import Field

from automation.actions.base import Action, Example, Job, Liquid, Outcome, action
from automation.models import Task
from automation.rendering import liquid


@action
class CreateTask(Action):
    """The task appears in the inbox of the admin."""

    label = "Create a task"
    help = "Something a person should do for this customer; it appears under Tasks."
    icon = "☑"
    sentence = "create the task {title}"
    examples = (
        Example(
            "Call a valuable customer",
            {
                "type": "create_task",
                "title": "Call {{ first_name }} about the cart of {{ cart_value }}",
                "assignee": "anna",
                "due_in_hours": 24,
            },
        ),
    )

    type: Literal["create_task"]
    title: Liquid = Field(title="Title", min_length=1, max_length=500)
    notes: Liquid = Field(default="", title="Notes", max_length=5000)
    assignee: str = Field(
        default="",
        title="For whom",
        max_length=150,
        description="A user name; empty: anybody.",
        json_schema_extra={"x-source": "users"},
    )
    due_in_hours: float | None = Field(
        default=None, title="Due in", ge=0, le=8760, json_schema_extra={"x-unit": "hours"}
    )

    def perform(self, job: Job) -> Outcome:
        """One task for each delivery; an assignee who does not exist any more leaves it to anybody."""
        title = " ".join(liquid.render(liquid.compile(self.title), job.context).text.split())
        notes = liquid.render(liquid.compile(self.notes), job.context).text
        user = get_user_model().objects.filter(username=self.assignee, is_active=True).first()
        task, _ = Task.objects.get_or_create(
            delivery_id=job.delivery_id,
            defaults={
                "profile_id": job.profile_id,
                "title": title.replace("\0", "")[:200] or "Task",
                "notes": notes.replace("\0", "")[:20_000],
                "assignee": user,
                "due_at": None if self.due_in_hours is None else job.now + timedelta(hours=self.due_in_hours),
            },
        )
        unknown = {"unknown_assignee": self.assignee} if self.assignee and not user else {}
        return Outcome(result={"task_id": task.pk, **unknown})
