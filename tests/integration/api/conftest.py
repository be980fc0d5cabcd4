"""Keys and a shop. The apps are not loaded yet when this file is read, so imports stand inside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.test import Client

if TYPE_CHECKING:
    from automation.models import WriteKey
    from tests.integration.api.shops import Shop


@pytest.fixture(autouse=True)
def fresh_process(settings: Any, tmp_path: Path) -> None:
    """Nothing known from the test before; and whitenoise need not warn of a missing folder."""
    settings.STATIC_ROOT = tmp_path
    from automation.api import keys, leases, pressure, throttle

    for module in (keys, pressure, leases, throttle.KEYS, throttle.ADDRESSES, throttle.FAILURES):
        module.forget()


@pytest.fixture
def new_key(db: None) -> Callable[..., tuple[WriteKey, str]]:
    """Make a key: `new_key(source=…, scopes=[…])`."""

    def make(
        source: str = "shop", scopes: tuple[str, ...] = ("events:write",), **fields: Any
    ) -> tuple[WriteKey, str]:
        from automation.models import WriteKey

        key = WriteKey(name=f"Key of {source}", source=source, scopes=list(scopes), **fields)
        token = key.issue()
        key.save()
        return key, token

    return make


@pytest.fixture
def shop(new_key: Callable[..., tuple[WriteKey, str]], client: Client) -> Shop:
    """A shop whose key may send events."""
    from tests.integration.api.shops import Shop

    return Shop(new_key()[1], "shop", client)
