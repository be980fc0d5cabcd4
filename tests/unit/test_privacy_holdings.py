"""Every table and column is declared: what holds something of a person cannot be forgotten by erasure or export."""

from __future__ import annotations

import re

import pytest
from django.apps import apps
from django.conf import settings
from django.db import models

from automation.privacy.holdings import HOLDINGS, NOT_PERSONAL, Treatment

TABLES = {holding.table: holding for holding in HOLDINGS}
MODELS = [model for model in apps.get_models(include_auto_created=True) if model._meta.managed]
PERSONAL_COLUMNS = {"profile_id", "customer_id", "anonymous_id", "email", "phone", "address"}


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_every_table_is_declared_once(model: type[models.Model]) -> None:
    """R-052: a table nobody thought of fails here."""
    reasons = [NOT_PERSONAL.get(model._meta.label), NOT_PERSONAL.get(model._meta.app_label)]
    declared = [model._meta.db_table in TABLES, *map(bool, reasons)]
    assert sum(declared) == 1, (
        f"{model._meta.label}: say in automation/privacy/holdings.py what becomes of it"
    )


@pytest.mark.parametrize(
    "model",
    [model for model in MODELS if model._meta.db_table not in TABLES],
    ids=lambda model: model._meta.label,
)
def test_a_table_without_personal_data_has_no_column_of_a_person(model: type[models.Model]) -> None:
    """R-052. Members of staff have an address too, but are no customers."""
    if model._meta.app_label in ("automation", "profiles", "analytics"):
        columns = {field.column for field in model._meta.concrete_fields}
        assert columns & PERSONAL_COLUMNS == set()


@pytest.mark.parametrize("table", sorted(TABLES))
def test_every_column_of_what_stays_is_declared(table: str) -> None:
    """R-052: a new column of a redacted table is either redacted or said to hold nothing of a person."""
    holding = TABLES[table]
    model = next(model for model in MODELS if model._meta.db_table == table)
    columns = {field.column for field in model._meta.concrete_fields}
    if holding.treatment is Treatment.DELETED:
        assert not holding.kept
        assert not holding.redacted
    else:
        assert holding.kept | holding.redacted.keys() == columns
        assert holding.kept & holding.redacted.keys() == set()


def test_no_declaration_is_left_over() -> None:
    tables = {model._meta.db_table for model in MODELS}
    labels = {model._meta.label for model in MODELS}
    assert TABLES.keys() - tables == set()
    assert {label for label in NOT_PERSONAL if "." in label} - labels == set()


def test_every_declaration_says_why() -> None:
    assert all(holding.why.endswith(".") for holding in HOLDINGS)
    assert all(why.endswith(".") for why in NOT_PERSONAL.values())


def test_the_documentation_lists_every_table() -> None:
    """R-052: in the same words."""
    page = (settings.BASE_DIR / "docs" / "how-to" / "erase-and-export.md").read_text()
    shown = re.findall(r"^\| `(\w+)` \| (\w+) \| (.+) \|$", page, re.MULTILINE)
    assert shown == sorted((holding.table, holding.treatment.value, holding.why) for holding in HOLDINGS)
