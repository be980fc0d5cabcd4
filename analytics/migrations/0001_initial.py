"""What the start page remembers of each member of staff."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = [
        # After the groups were given their permissions: a member of staff's first steps are nobody else's.
        ("automation", "0007_roles"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations = [
        migrations.CreateModel(
            name="Onboarding",
            fields=[
                (
                    "user",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("saw_live_at", models.DateTimeField(editable=False, null=True)),
                ("saw_decision_at", models.DateTimeField(editable=False, null=True)),
                ("dismissed_at", models.DateTimeField(editable=False, null=True)),
            ],
            options={"verbose_name_plural": "onboarding"},
        ),
    ]
