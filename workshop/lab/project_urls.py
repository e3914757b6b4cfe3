from django.urls import include, path

from wisheasy import urls

from .consumers import Echo, Group
from .step_views import live_urlpatterns

handler400, handler404 = urls.handler400, urls.handler404
urlpatterns = [
    path("lab/", include("workshop.lab.urls")),
    path("live/lab/", include((live_urlpatterns, "lab-live"))),
    *urls.urlpatterns,
]
websocket_urlpatterns = [
    path("live/lab/echo", Echo.as_asgi()),
    path("live/lab/channels", Group.as_asgi()),
    *getattr(urls, "websocket_urlpatterns", []),
]
