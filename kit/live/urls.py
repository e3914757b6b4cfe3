from django.conf import settings
from django.urls import path

from . import views

app_name = "live"

pushes = "events" in settings.LIVE_TRANSPORTS_HERE
urlpatterns = [
    # WebSockets don't arrive here: under ASGI they are routed elsewhere, and WSGI has none.
    path("<path:topic>/ws", views.upgrade_required, name="ws"),
    path("<path:topic>/events", views.events if pushes else views.upgrade_required, name="events"),
    path("<path:topic>/changes", views.wait_for_changes if pushes else views.changes_now, name="changes"),
    path("<path:rest>", views.own_websocket),
]
