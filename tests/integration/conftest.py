"""Every test decides with its own triggers and settings, at any time of day."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def fresh_engine() -> Iterator[None]:
    """Forget the compiled triggers and the policy of the test before."""
    from automation.pipeline import index, plan, record  # The apps are not loaded yet when this file is read.

    index.forget()
    plan.policy.cache_clear()
    plan.plan_of_version.cache_clear()
    record._sampled_at.clear()
    yield
    plan.policy.cache_clear()
