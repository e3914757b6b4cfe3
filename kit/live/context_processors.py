from django.conf import settings


def live(request):
    """`live_transports`: what the page may try, best first, separated by spaces."""
    return {"live_transports": " ".join(settings.LIVE_TRANSPORTS)}
