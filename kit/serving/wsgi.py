from django.conf import settings
from django.core import wsgi

from kit import request_ids

from . import bodies, head
from .media import Media
from .proxies import ClientAddress


def get_wsgi_application():
    """Django with visitors' files, behind the proxies in front of it."""
    return behind_proxies(Media(bodies.wsgi(wsgi.get_wsgi_application())))


def behind_proxies(application):
    """Wrap `application`: the visitor's address from a trusted proxy, an id for each request, and headers alone for
    HEAD."""
    application = head.wsgi(application)
    if settings.FORWARDED_ALLOW_IPS:
        application = ClientAddress(application, settings.FORWARDED_ALLOW_IPS)
    # Outside ClientAddress, which replaces the proxy's address with the visitor's.
    return request_ids.wsgi(application, settings.FORWARDED_ALLOW_IPS)
