from django.urls import path

from . import talks, views

app_name = "wishes"
urlpatterns = [
    path("", views.board, name="board"),
    path("wishes/", views.post, name="post"),
    path("wishes/<int:pk>/cheer", views.cheer, name="cheer"),
    path("wishes/<int:pk>/grant", views.grant, name="grant"),
    path("wishes/<int:pk>/delete", views.delete, name="delete"),
    path("wishes/<int:pk>/talk", talks.begin, name="begin_talk"),
    path("talks/", talks.talks, name="talks"),
    path("talks/<int:pk>", talks.talk, name="talk"),
]
