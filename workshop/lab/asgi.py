import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "workshop.lab.settings")

from kit.serving.asgi import get_asgi_application

application = get_asgi_application()
