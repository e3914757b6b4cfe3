import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from wisheasy.serving import request_ids
from wisheasy.serving.proxies import ClientAddress

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wisheasy.settings")

application = get_wsgi_application()
if settings.FORWARDED_ALLOW_IPS:
    application = ClientAddress(application, settings.FORWARDED_ALLOW_IPS)
# Around the other, which puts the visitor's address in the place of the proxy's.
application = request_ids.wsgi(application, settings.FORWARDED_ALLOW_IPS)
