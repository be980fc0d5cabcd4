"""Groups of staff: Marketer, Analyst, Operator. Permissions people added or removed by hand are left alone."""

from django.apps import apps as installed
from django.contrib.auth.management import create_permissions
from django.db import migrations

READ = ["view"]
EDIT = ["view", "add", "change"]
ALL = ["view", "add", "change", "delete"]

DECISIONS = {
    "automation": {
        "event": READ, "execution": READ, "delivery": READ, "misssample": READ, "catalogueentry": READ,
        "triggerversion": READ,
    },
    "profiles": {"identity": READ},
}
GROUPS = {
    "Marketer": {
        "automation": {"trigger": EDIT, "template": EDIT, "task": ALL},
        "profiles": {
            "profile": ["view", "change"], "segment": EDIT, "membership": ALL, "consent": EDIT,
            "addresssuppression": ["view", "add"],
        },
    },
    "Analyst": {
        "automation": {"trigger": READ, "template": READ, "task": READ, "tally": READ},
        "profiles": {"profile": READ, "segment": READ, "membership": READ, "consent": READ},
    },
    "Operator": {
        "automation": {
            "trigger": ["view", "change"], "delivery": ["view", "change"], "quarantinedevent": ["view", "change"],
            "queuedevent": READ, "heartbeat": READ, "tally": READ, "epoch": READ, "sendreservation": READ,
            "writekey": EDIT, "task": READ, "template": READ,
        },
        "profiles": {
            "profile": READ, "consent": READ, "segment": READ, "membership": READ, "addresssuppression": ALL,
        },
        "django_celery_beat": {
            "periodictask": ["view", "change"], "intervalschedule": EDIT, "crontabschedule": EDIT,
        },
    },
}
PII_HOLDERS = ("Marketer",)


def make_groups(apps, schema_editor):
    using = schema_editor.connection.alias
    # Permissions are normally made after the last migration of all; the groups need them now.
    for label in ("automation", "profiles", "django_celery_beat"):
        config = installed.get_app_config(label)
        create_permissions(config, verbosity=0, using=using, apps=apps)
    permission_model = apps.get_model("auth", "Permission")
    group_model = apps.get_model("auth", "Group")
    content_type_model = apps.get_model("contenttypes", "ContentType")
    profile_type = content_type_model.objects.using(using).get(app_label="profiles", model="profile")
    view_pii, _ = permission_model.objects.using(using).get_or_create(
        content_type=profile_type,
        codename="view_pii",
        defaults={"name": "Can see e-mail addresses and telephone numbers"},
    )
    for name, apps_models in GROUPS.items():
        group, is_new = group_model.objects.using(using).get_or_create(name=name)
        if not is_new:
            continue
        for part in (apps_models, DECISIONS):
            for label, models in part.items():
                for model, verbs in models.items():
                    group.permissions.add(
                        *permission_model.objects.using(using).filter(
                            content_type__app_label=label,
                            codename__in=[f"{verb}_{model}" for verb in verbs],
                        )
                    )
        if name in PII_HOLDERS:
            group.permissions.add(view_pii)


class Migration(migrations.Migration):
    dependencies = [
        ("automation", "0003_beat"),
        ("profiles", "0002_storage"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]
    operations = [migrations.RunPython(make_groups, migrations.RunPython.noop)]
