"""Partitions around today, storage settings of the queue tables, and the epoch of the triggers."""

from datetime import UTC, datetime

from django.db import migrations

from automation.models.partitioned import ensure_partitions

# The queue is emptied as fast as it fills: vacuum by rows, not by share of the table.
CHURNING = (
    "autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0,"
    " autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 100000"
)


def make_partitions(apps, schema_editor):
    ensure_partitions(datetime.now(UTC), back=13)


class Migration(migrations.Migration):
    dependencies = [("automation", "0001_initial")]
    operations = [
        migrations.RunPython(make_partitions, migrations.RunPython.noop),
        migrations.RunSQL(
            f"ALTER TABLE automation_queuedevent SET ({CHURNING});"
            " ALTER TABLE automation_heartbeat SET (fillfactor = 50);"
            " ALTER TABLE automation_delivery SET (fillfactor = 80);"
            " INSERT INTO automation_epoch (id, value) VALUES (1, 0);"
            " CREATE FUNCTION automation_raise_epoch() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN INSERT INTO automation_epoch (id, value) VALUES (1, 1)"
            " ON CONFLICT (id) DO UPDATE SET value = automation_epoch.value + 1; RETURN NULL; END $$;"
            " CREATE TRIGGER trigger_changed AFTER INSERT OR UPDATE OR DELETE ON automation_trigger"
            " FOR EACH STATEMENT EXECUTE FUNCTION automation_raise_epoch();",
            "DROP TRIGGER trigger_changed ON automation_trigger; DROP FUNCTION automation_raise_epoch();",
        ),
    ]
