"""Receipts and tombstones of people who were forgotten, and who may do that."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("profiles", "0002_storage")]
    operations = [
        migrations.AlterModelOptions(
            name='profile',
            options={'permissions': [('erase_profile', 'Can forget a person'), ('export_profile', 'Can export everything about a person')]},
        ),
        migrations.CreateModel(
            name='Erasure',
            fields=[
                ('id', models.UUIDField(primary_key=True, serialize=False)),
                ('act', models.CharField(choices=[('erase', 'Forgotten'), ('lift', 'Allowed to come back')], max_length=10)),
                ('outcome', models.CharField(choices=[('erased', 'Something was there and is gone'), ('already_erased', 'Was forgotten before'), ('unknown', 'Nothing was known under this name'), ('lifted', 'The tombstones are gone')], max_length=15)),
                ('at', models.DateTimeField()),
                ('by', models.CharField(help_text='User name, key, or command line.', max_length=150)),
                ('counts', models.JSONField(default=dict, help_text='Table -> rows that were deleted or redacted.')),
                ('names', models.IntegerField(default=0, help_text='Names (customer ids, anonymous ids) that have a tombstone.')),
            ],
            options={
                'indexes': [models.Index(models.F('at'), name='erasure_at')],
            },
        ),
        migrations.CreateModel(
            name='Tombstone',
            fields=[
                ('digest', models.CharField(max_length=64, primary_key=True, serialize=False)),
                ('erasure', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='tombstones', to='profiles.erasure')),
            ],
        ),
    ]
