from django.apps import AppConfig


class ProbeConfig(AppConfig):
    name = "workshop.probe"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self):
        from . import live

        live.connect()
