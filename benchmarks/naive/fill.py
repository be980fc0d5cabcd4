"""Make the naive peer's tables, triggers and customers: `python -m benchmarks.naive.fill <job.json>`.

The job holds `triggers` (documents in the product's shape) and `customers` (how many).
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import django

KEPT = ("key", "conditions", "actions", "max_per_customer", "cooldown_minutes")


def fill(job: dict[str, Any]) -> None:
    """Fill empty tables."""
    from benchmarks.naive.models import Customer, Trigger

    Trigger.objects.bulk_create(
        Trigger(
            is_marketing=document["message_class"] == "marketing",
            **{name: document[name] for name in KEPT if name in document},
        )
        for document in job["triggers"]
    )
    Customer.objects.bulk_create(
        Customer(customer_id=f"customer_{number:07d}", email=f"customer_{number}@example.com")
        for number in range(job["customers"])
    )


def main() -> None:
    """Create the tables, then fill them."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.naive.settings")
    django.setup()
    from django.core.management import call_command

    call_command("migrate", run_syncdb=True, verbosity=0)
    fill(json.loads(Path(sys.argv[1]).read_text()))


if __name__ == "__main__":
    main()
