"""No page asks the database once per row: zeal says where it does, and three rows cost no more than two."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import zeal.constants
import zeal.patch
from django.db import DataError, IntegrityError, connection, models, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from zeal import zeal_context

from automation.ids import uuid7
from tests.integration.access import samples

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module", autouse=True)
def watched() -> None:
    """Zeal patches Django for the rest of the process; it notices nothing outside of its context."""
    zeal.constants.initialize_app_registry()
    zeal.patch.patch()


def twin(row: models.Model, number: int) -> bool:
    """Add a row like this one; False where there can be only one such row."""
    if row._meta.pk.is_relation:
        return False
    new = copy.copy(row)
    new._state = copy.copy(row._state)
    new._state.adding = True
    for field in row._meta.concrete_fields:
        value = getattr(row, field.attname)
        if field.primary_key:
            setattr(new, field.attname, _key(field, number))
        elif field.unique or field.attname in _unique(row):
            if isinstance(value, str):
                setattr(new, field.attname, f"{value}{number}"[: field.max_length])
            elif isinstance(field, models.IntegerField | models.BigIntegerField) and not field.is_relation:
                setattr(new, field.attname, 90 + number)
    try:
        with transaction.atomic():
            new.save_base(raw=True, force_insert=True)
    except (IntegrityError, DataError):
        return False
    return True


def _key(field: models.Field[Any, Any], number: int) -> Any:
    if isinstance(field, models.UUIDField):
        return uuid7()
    if isinstance(field, models.CharField):
        return f"{number}"
    return 90 + number


def _unique(row: models.Model) -> set[str]:
    """Columns that stand in a constraint of the table."""
    named = [c.fields for c in row._meta.constraints if isinstance(c, models.UniqueConstraint)]
    return {field for fields in [*named, *row._meta.unique_together] for field in fields}


@pytest.mark.parametrize("model", samples.registered(), ids=lambda model: model._meta.label)
def test_a_list_asks_as_often_for_three_rows_as_for_two(root: Client, model: type[models.Model]) -> None:
    """The list of every model."""
    row = samples.made()[model._meta.label]
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    if not twin(row, 1):
        pytest.skip("there is only one")
    root.get(url)  # What is looked up once per process.
    counts = []
    for number in (2, 3):
        with (
            zeal_context(),
            CaptureQueriesContext(
                connection,
            ) as asked,
        ):
            answer = root.get(url)
        assert answer.status_code == 200
        counts.append(len(asked))
        twin(row, number)
    assert counts[0] == counts[1]
