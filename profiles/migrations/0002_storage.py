"""Leave room on profile pages, so that updates stay on their page (HOT)."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("profiles", "0001_initial")]
    operations = [
        migrations.RunSQL(
            "ALTER TABLE profiles_profile SET (fillfactor = 85)", "ALTER TABLE profiles_profile RESET (fillfactor)"
        )
    ]
