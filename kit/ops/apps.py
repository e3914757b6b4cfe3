from django.apps import AppConfig
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db.utils import load_backend


class OpsConfig(AppConfig):
    name = "kit.ops"

    def __init__(self, app_name, app_module):
        super().__init__(app_name, app_module)
        if settings.TASKS["default"]["BACKEND"].startswith("django_ox.") and "django_ox" not in settings.INSTALLED_APPS:
            raise SystemExit(
                'INSTALLED_APPS has no "django_ox", which keeps the jobs: add it, and "django-ox~=1.9" to the packages '
                "in pyproject.toml, and run make lock."
            )
        if settings.MAILERS["default"]["BACKEND"].startswith("kit.mail.") and "kit.mail" not in settings.INSTALLED_APPS:
            raise SystemExit(
                'INSTALLED_APPS has no "kit.mail", which keeps mails until they are sent: add it, and '
                'path("dev/mail/", include("kit.mail.urls")) to urlpatterns in urls.py.'
            )
        # Check before the first model, which would load the engine and end in a traceback.
        for alias, database in settings.DATABASES.items():
            engine = database.get("ENGINE", "django.db.backends.dummy")
            try:
                load_backend(engine)
            except ImproperlyConfigured as error:
                reason = " ".join(str(error).split())
                raise SystemExit(f"ENGINE={engine!r} of the database {alias!r} can't be loaded: {reason}") from None

    def ready(self):
        from kit import jobs  # noqa: F401  (connects its receivers)
        from kit.environment import env
        from kit.serving import threads  # noqa: F401  (the same)

        from . import checks  # noqa: F401  (registers them)

        # Settings end with env.seal(); this is for those that no longer do.
        env.seal()
