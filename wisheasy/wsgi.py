import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wisheasy.settings")

from kit.serving.wsgi import get_wsgi_application

application = get_wsgi_application()
