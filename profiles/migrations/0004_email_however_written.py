"""People are found by their address however it is written.

PostgreSQL takes no samples of the index: they would outlive an erasure.
"""

import django.db.models.functions.text
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("profiles", "0003_erasure")]
    operations = [
        migrations.RemoveIndex(model_name="profile", name="profile_email"),
        migrations.AddIndex(
            model_name="profile",
            index=models.Index(django.db.models.functions.text.Lower("email"), name="profile_email"),
        ),
        migrations.RunSQL(
            "ALTER INDEX profile_email ALTER COLUMN 1 SET STATISTICS 0",
            "ALTER INDEX profile_email ALTER COLUMN 1 SET STATISTICS -1",
        ),
    ]
