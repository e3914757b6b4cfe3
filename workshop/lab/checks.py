from django.conf import settings
from django.core.checks import Tags, Warning, register


@register(Tags.security, deploy=True)
def check_public_lab(app_configs, **kwargs):
    if settings.ALLOWED_HOSTS == settings.LOOPBACK_HOSTS:
        return []
    return [
        Warning(
            f"The lab is served on {settings.SITE_URL}, which is public: everyone who finds /lab/ can keep the workers"
            " busy.",
            hint="Serve wisheasy.settings, which is the project without the lab.",
            id="lab.W001",
        )
    ]
