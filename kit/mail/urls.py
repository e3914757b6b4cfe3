from django.urls import path

from . import views

app_name = "mail"
urlpatterns = [
    path("", views.mails, name="mails"),
    path("<int:pk>", views.mail, name="mail"),
    path("<int:pk>/html", views.html, name="html"),
]
