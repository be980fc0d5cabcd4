"""The periodic tasks, as rows that people may edit; existing rows are never touched (S-005)."""

from django.db import migrations

# Name, task, seconds between runs, seconds after which a run that was not begun is dropped. A sweep is cheap and
# must come through a backlog of bells, so it may wait for six intervals.
ENTRIES = [
    ("Sweep: find forgotten work", "automation.tasks.periodic_sweep", 10, 60),
    ("Partitions and retention", "automation.tasks.periodic_partitions", 24 * 3600, 24 * 3600),
    ("Invariants: verify the promises", "automation.tasks.periodic_invariants", 3600, 3600),
    ("Tidy: sum up ended hours", "automation.tasks.periodic_tidy", 3600, 3600),
]


def add_entries(apps, schema_editor):
    interval_model = apps.get_model("django_celery_beat", "IntervalSchedule")
    task_model = apps.get_model("django_celery_beat", "PeriodicTask")
    for name, task, seconds, expires in ENTRIES:
        interval, _ = interval_model.objects.get_or_create(every=seconds, period="seconds")
        task_model.objects.get_or_create(
            name=name,
            defaults={"task": task, "interval": interval, "queue": "periodic", "expire_seconds": expires},
        )


class Migration(migrations.Migration):
    dependencies = [("automation", "0002_storage"), ("django_celery_beat", "0019_alter_periodictasks_options")]
    operations = [migrations.RunPython(add_entries, migrations.RunPython.noop)]
