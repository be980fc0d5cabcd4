from django.apps import AppConfig, apps


class AutomationConfig(AppConfig):
    name = "automation"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from automation import checks  # noqa: F401 — registers itself, and needs the models.
        from automation.audit import logins

        logins.connect()

        # The admin makes its site on first use, which is later: ours has another sidebar.
        apps.get_app_config("admin").default_site = "automation.site.BeckonAdminSite"  # type: ignore[attr-defined]
