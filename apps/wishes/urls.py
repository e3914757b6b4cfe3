from django.urls import path

from . import views

app_name = "wishes"
urlpatterns = [
    path("", views.board, name="board"),
    path("wishes/", views.post, name="post"),
    path("wishes/<int:pk>/cheer", views.cheer, name="cheer"),
    path("wishes/<int:pk>/grant", views.grant, name="grant"),
    path("wishes/<int:pk>/delete", views.delete, name="delete"),
]
