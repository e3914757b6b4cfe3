from django.apps import AppConfig


class OpsConfig(AppConfig):
    name = "kit.ops"

    def ready(self):
        from kit.environment import env

        from . import checks  # noqa: F401  (registers them)

        # The settings end with it; here for those that no longer do.
        env.seal()
