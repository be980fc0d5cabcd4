"""The audit log: its tables, the triggers that keep it as it is, and the periodic check."""

import django.db.models.deletion
from django.db import migrations, models

ENTRIES = [("Audit: verify the chain", "automation.tasks.periodic_audit", 3600, 3600)]

# ALWAYS: also where session_replication_role says that ordinary triggers do not fire. The owner of the table may
# disable a trigger; what is changed then no longer fits the chain.
REFUSE = """
CREATE FUNCTION automation_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% of % is refused: the audit log is append-only', TG_OP, TG_TABLE_NAME
    USING ERRCODE = 'insufficient_privilege', HINT = 'Add an entry that corrects the other.';
END $$;
CREATE TRIGGER audit_unchanged BEFORE UPDATE OR DELETE ON automation_auditentry
  FOR EACH ROW EXECUTE FUNCTION automation_refuse_change();
CREATE TRIGGER audit_not_emptied BEFORE TRUNCATE ON automation_auditentry
  FOR EACH STATEMENT EXECUTE FUNCTION automation_refuse_change();
CREATE TRIGGER audit_unchanged BEFORE UPDATE ON automation_auditpersonal
  FOR EACH ROW EXECUTE FUNCTION automation_refuse_change();
ALTER TABLE automation_auditentry ENABLE ALWAYS TRIGGER audit_unchanged;
ALTER TABLE automation_auditentry ENABLE ALWAYS TRIGGER audit_not_emptied;
ALTER TABLE automation_auditpersonal ENABLE ALWAYS TRIGGER audit_unchanged;
"""
LET = """
DROP TRIGGER audit_unchanged ON automation_auditentry;
DROP TRIGGER audit_not_emptied ON automation_auditentry;
DROP TRIGGER audit_unchanged ON automation_auditpersonal;
DROP FUNCTION automation_refuse_change();
"""


def add_entries(apps, schema_editor):
    interval_model = apps.get_model("django_celery_beat", "IntervalSchedule")
    task_model = apps.get_model("django_celery_beat", "PeriodicTask")
    for name, task, seconds, expires in ENTRIES:
        interval, _ = interval_model.objects.get_or_create(every=seconds, period="seconds")
        task_model.objects.get_or_create(
            name=name,
            defaults={"task": task, "interval": interval, "queue": "periodic", "expire_seconds": expires},
        )


class Migration(migrations.Migration):

    dependencies = [
        ('automation', '0005_retention_indexes'),
    ]

    operations = [
        migrations.CreateModel(
            name='AuditEntry',
            fields=[
                ('id', models.BigIntegerField(primary_key=True, serialize=False)),
                ('at', models.DateTimeField()),
                ('action', models.CharField(help_text='What was done, such as trigger.changed.', max_length=60)),
                ('actor', models.CharField(help_text='User name, key, or command line.', max_length=150)),
                ('actor_id', models.BigIntegerField(help_text="The user's id; none for keys and commands.", null=True)),
                ('target', models.CharField(blank=True, default='', help_text='app.model and id.', max_length=200)),
                ('details', models.JSONField(default=dict)),
                ('ip', models.CharField(blank=True, default='', max_length=45, verbose_name='IP address')),
                ('request_id', models.CharField(blank=True, default='', max_length=64)),
                ('personal_digest', models.CharField(blank=True, default='', max_length=64)),
                ('previous_hash', models.CharField(help_text='No fork: two cannot follow one.', max_length=64, unique=True)),
                ('entry_hash', models.CharField(max_length=64, unique=True)),
            ],
            options={
                'verbose_name': 'audit entry',
                'verbose_name_plural': 'audit log',
                'permissions': [('export_rows', 'Can export lists as CSV')],
            },
        ),
        migrations.CreateModel(
            name='AuditCheck',
            fields=[
                ('id', models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
                ('walked_id', models.BigIntegerField(default=0, help_text='The last entry of the walk under way.')),
                ('walked_hash', models.CharField(blank=True, default='', max_length=64)),
                ('head_id', models.BigIntegerField(default=0, help_text='The newest entry of the last complete walk.')),
                ('head_hash', models.CharField(blank=True, default='', max_length=64)),
                ('complete_at', models.DateTimeField(help_text='When the last complete walk ended.', null=True)),
                ('checked_at', models.DateTimeField(null=True)),
                ('problem', models.CharField(blank=True, default='', max_length=500)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('id', 1)), name='audit_check_single')],
            },
        ),
        migrations.CreateModel(
            name='AuditPersonal',
            fields=[
                ('entry', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='personal', serialize=False, to='automation.auditentry')),
                ('profile_id', models.BigIntegerField(db_index=True, null=True)),
                ('salt', models.BinaryField(max_length=32)),
                ('values', models.JSONField(default=dict)),
            ],
        ),
        migrations.AddIndex(
            model_name='auditentry',
            index=models.Index(models.F('action'), models.F('id'), name='audit_action'),
        ),
        migrations.AddIndex(
            model_name='auditentry',
            index=models.Index(models.F('actor'), models.F('id'), name='audit_actor'),
        ),
        migrations.AddIndex(
            model_name='auditentry',
            index=models.Index(models.F('target'), models.F('id'), name='audit_target'),
        ),
        migrations.AddIndex(
            model_name='auditentry',
            index=models.Index(models.F('at'), name='audit_at'),
        ),
        migrations.RunSQL(REFUSE, LET),
        migrations.RunPython(add_entries, migrations.RunPython.noop),
    ]
