"""The naive peer's Celery app: `celery --app=benchmarks.naive.celery worker`."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.naive.settings")

app = Celery("naive")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["benchmarks.naive"])
