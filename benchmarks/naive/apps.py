"""The naive peer's Django app."""

from django.apps import AppConfig


class NaiveConfig(AppConfig):
    """Tables without migrations: they are made by `migrate --run-syncdb`."""

    name = "benchmarks.naive"
    label = "naive"
