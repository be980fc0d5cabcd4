"""Indexes for lists of decisions of one trigger and of one reason, built while decisions go on."""

from django.db import migrations, models

from automation.models.partitioned import AddPartitionedIndex


class Migration(migrations.Migration):
    atomic = False  # CREATE INDEX CONCURRENTLY wants no transaction around it.

    dependencies = [("automation", "0008_rejected_requests")]
    operations = [
        AddPartitionedIndex(
            model_name="execution",
            index=models.Index(models.F("trigger"), models.F("id").desc(), name="execution_trigger"),
        ),
        AddPartitionedIndex(
            model_name="execution",
            index=models.Index(
                models.F("reason"),
                models.F("id").desc(),
                name="execution_reason",
                condition=models.Q(("reason", ""), _negated=True),
            ),
        ),
    ]
