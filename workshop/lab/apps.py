from django.apps import AppConfig


class LabConfig(AppConfig):
    name = "workshop.lab"

    def ready(self):
        from . import checks, live  # noqa: F401  (registers them)

        live.connect()
