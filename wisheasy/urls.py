from django.conf import settings
from django.contrib import admin
from django.urls import include, path

handler400 = "apps.ops.views.bad_request"

urlpatterns = [
    path("accounts/", include("apps.accounts.urls")),
    path("live/", include("apps.live.urls")),
    path("i18n/", include("django.conf.urls.i18n")),
    path("admin/", admin.site.urls),
    path("", include("apps.wishes.urls")),
]
if settings.LAB:
    urlpatterns += [path("lab/", include("apps.lab.urls"))]
