"""Members of staff who are signed in. This file is read before Django is set up: it imports no models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.test import Client


@pytest.fixture(autouse=True)
def static_root(settings: Any, tmp_path: Path) -> None:
    """Whitenoise warns when collectstatic has not run; here it need not have."""
    settings.STATIC_ROOT = tmp_path


SignIn = Callable[..., Client]


@pytest.fixture
def sign_in(db: None) -> SignIn:
    """`sign_in("Marketer")` is a client of a new member of that group; without a group, a superuser's."""

    def signed_in(group: str = "") -> Client:
        user = get_user_model().objects.create(
            username=group or "root", is_staff=True, is_superuser=not group
        )
        if group:
            user.groups.add(apps.get_model("auth", "Group").objects.get(name=group))
        client = Client()
        client.force_login(user)
        return client

    return signed_in


@pytest.fixture
def root(sign_in: SignIn) -> Client:
    """A superuser's client."""
    return sign_in()
