from django.apps import AppConfig


class OpsConfig(AppConfig):
    name = "apps.ops"

    def ready(self):
        from . import checks  # noqa: F401  (registers them)
