from django.apps import AppConfig


class LabConfig(AppConfig):
    name = "workshop.lab"

    def ready(self):
        from . import broadcasts, checks  # noqa: F401  (registers them)

        broadcasts.connect()
