import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "workshop.lab.settings")
django.setup()

from kit.serving.asgi import get_asgi_application  # noqa: E402
from workshop.lab.routing import routes  # noqa: E402

application = get_asgi_application(routes)
