from django.conf import settings
from django.core.checks import Tags, Warning, register


@register(Tags.security, deploy=True)
def check_public_lab(app_configs, **kwargs):
    if settings.ALLOWED_HOSTS == settings.LOOPBACK_HOSTS:
        return []
    return [
        Warning(
            f"LAB=1 on {settings.SITE_URL}, which is public: everybody who finds /lab/ can keep the workers busy.",
            hint="Set LAB=0, or leave it empty.",
            id="lab.W001",
        )
    ]
