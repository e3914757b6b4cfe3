from django.apps import AppConfig


class OpsConfig(AppConfig):
    name = "kit.ops"

    def ready(self):
        from . import checks  # noqa: F401  (registers them)
