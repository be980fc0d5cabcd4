"""Who may publish, the question and its answer on each trigger, and the group Admin.

Permissions that people gave to or took from a group by hand are left alone, except that operators no longer edit
triggers: they pause them.
"""

import django.db.models.deletion
from django.apps import apps as installed
from django.conf import settings
from django.contrib.auth.management import create_permissions
from django.db import migrations, models

APPS = ("automation", "profiles", "analytics", "django_celery_beat")
# Who is who stays with superusers: whoever edits users or groups can give themselves every right. Logs of log-ins
# are read; deleting the wrong passwords of a name opens it again.
ADMIN_MORE = {
    "auth": ("view_user", "view_group"),
    "axes": ("view_accessattempt", "delete_accessattempt", "view_accesslog", "view_accessfailurelog"),
}
MORE = {
    "Marketer": ["pause_trigger"],
    "Operator": ["pause_trigger", "view_auditentry"],
}
LESS = {"Operator": ["change_trigger"]}


def assign(apps, schema_editor):
    using = schema_editor.connection.alias
    for label in (*APPS, "auth", "axes"):
        create_permissions(installed.get_app_config(label), verbosity=0, using=using, apps=apps)
    permissions = apps.get_model("auth", "Permission").objects.using(using)
    groups = apps.get_model("auth", "Group").objects.using(using)
    ours = permissions.filter(content_type__app_label__in=APPS)
    admin, is_new = groups.get_or_create(name="Admin")
    if is_new:
        admin.permissions.add(*ours)
        for label, codenames in ADMIN_MORE.items():
            admin.permissions.add(
                *permissions.filter(content_type__app_label=label, codename__in=codenames)
            )
    for name, codenames in MORE.items():
        for group in groups.filter(name=name):
            group.permissions.add(*ours.filter(codename__in=codenames))
    for name, codenames in LESS.items():
        for group in groups.filter(name=name):
            group.permissions.remove(*ours.filter(codename__in=codenames))


class Migration(migrations.Migration):
    dependencies = [
        ("automation", "0006_audit"),
        ("profiles", "0003_erasure"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("axes", "0010_accessattemptexpiration"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations = [
        migrations.AlterModelOptions(
            name="delivery",
            options={
                "permissions": [("view_response", "Can see what the receivers of webhooks answered")],
                "verbose_name_plural": "deliveries",
            },
        ),
        migrations.AlterModelOptions(
            name="trigger",
            options={
                "permissions": [
                    ("publish_trigger", "Can bring triggers live and back from a pause"),
                    ("pause_trigger", "Can pause triggers"),
                ]
            },
        ),
        migrations.AddField(
            model_name="trigger",
            name="authors",
            field=models.JSONField(
                db_default=[],
                default=list,
                editable=False,
                help_text="Ids of the users whose changes have not been live yet.",
            ),
        ),
        migrations.AddField(
            model_name="trigger",
            name="asked_by",
            field=models.ForeignKey(
                editable=False,
                help_text="Who asked to publish.",
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="trigger", name="asked_at", field=models.DateTimeField(editable=False, null=True)
        ),
        migrations.AddField(
            model_name="trigger",
            name="asked_note",
            field=models.CharField(blank=True, db_default="", default="", editable=False, max_length=300),
        ),
        migrations.AddField(
            model_name="trigger",
            name="declined_by",
            field=models.ForeignKey(
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="trigger", name="declined_at", field=models.DateTimeField(editable=False, null=True)
        ),
        migrations.AddField(
            model_name="trigger",
            name="declined_note",
            field=models.CharField(blank=True, db_default="", default="", editable=False, max_length=300),
        ),
        migrations.RunPython(assign, migrations.RunPython.noop),
    ]
