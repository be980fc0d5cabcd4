"""Rejected requests, and who may read them."""

import django.db.models.functions.datetime
from django.apps import apps as installed
from django.contrib.auth.management import create_permissions
from django.db import migrations, models

READERS = ("Marketer", "Analyst", "Operator", "Admin")


def assign(apps, schema_editor):
    using = schema_editor.connection.alias
    create_permissions(installed.get_app_config("automation"), verbosity=0, using=using, apps=apps)
    permission = apps.get_model("auth", "Permission").objects.using(using).get(
        content_type__app_label="automation", codename="view_rejectedrequest"
    )
    for group in apps.get_model("auth", "Group").objects.using(using).filter(name__in=READERS):
        group.permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = [("automation", "0007_roles")]
    operations = [
        migrations.CreateModel(
            name="RejectedRequest",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("digest", models.CharField(editable=False, max_length=32, unique=True)),
                ("first_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("last_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("count", models.BigIntegerField(default=1)),
                (
                    "route",
                    models.CharField(
                        help_text="Address of the API, without what stands in it.", max_length=100
                    ),
                ),
                ("status", models.SmallIntegerField()),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("validation", "Something in it was wrong"),
                            ("unauthenticated", "The key is missing or not valid"),
                            ("forbidden", "The key may not do this"),
                            ("conflict", "The id was used for another event"),
                            ("length-required", "The length is not known"),
                            ("too-large", "It is too large"),
                            ("unsupported-media-type", "It is not JSON"),
                        ],
                        max_length=30,
                    ),
                ),
                ("message", models.CharField(max_length=300)),
                ("hint", models.CharField(blank=True, default="", max_length=300)),
                (
                    "pointer",
                    models.CharField(
                        blank=True,
                        default="",
                        help_text="The offending field, as a JSON pointer.",
                        max_length=300,
                    ),
                ),
                (
                    "public_id",
                    models.CharField(
                        blank=True,
                        default="",
                        help_text="Of the key; empty when it was not valid.",
                        max_length=8,
                    ),
                ),
            ],
            options={"indexes": [models.Index(models.F("last_at").desc(), name="rejected_last")]},
        ),
        migrations.RunPython(assign, migrations.RunPython.noop),
    ]
