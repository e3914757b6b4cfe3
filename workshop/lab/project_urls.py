from django.urls import include, path

from wisheasy import urls

handler400, handler404 = urls.handler400, urls.handler404
urlpatterns = [path("lab/", include("workshop.lab.urls")), *urls.urlpatterns]
