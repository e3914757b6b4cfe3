from django.apps import AppConfig

from kit.live import register


class ErrandsConfig(AppConfig):
    name = "apps.errands"

    def ready(self):
        register("errands", render, public=True)


def render(keys):
    from django.template.loader import render_to_string

    from .models import Errand

    found = Errand.objects.filter(pk__in=keys)
    return {str(errand.pk): render_to_string("errands/_errand.html", {"errand": errand}) for errand in found}
