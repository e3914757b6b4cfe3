"""The project's addresses, those of the lab, and /probe/ and /notes/."""

from django.urls import include, path

from workshop.lab import project_urls

from . import consumers, views

handler400, handler404 = project_urls.handler400, project_urls.handler404
probe = [
    path("", views.page, name="page"),
    path("sign-in", views.sign_in, name="sign_in"),
    path("self/<slug:step>", views.step, name="step"),
    path("<int:pk>/delete", views.delete, name="delete"),
    path("upload", views.upload, name="upload"),
    path("keep", views.keep, name="keep"),
    path("private/<str:name>", views.private, name="private"),
    path("cached", views.cached, name="cached"),
    path("slow", views.slow, name="slow"),
    path("die/<slug:marker>", views.die, name="die"),
    path("stream", views.stream, name="stream"),
]
urlpatterns = [
    path("probe/", include((probe, "probe"))),
    path("notes/", views.note, name="note"),
    *project_urls.urlpatterns,
]
websocket_urlpatterns = [
    path("live/probe/own/<int:number>", consumers.Obedient.as_asgi()),
    *project_urls.websocket_urlpatterns,
]
