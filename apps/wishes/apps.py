from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class WishesConfig(AppConfig):
    name = "apps.wishes"
    verbose_name = _("Wishes")

    def ready(self):
        from . import live

        live.connect()
