from django.apps import apps  # only with lab
from django.contrib import admin
from django.urls import include, path

handler400 = "apps.ops.views.bad_request"
handler404 = "apps.ops.views.not_found"

urlpatterns = [
    path("accounts/", include("apps.accounts.urls")),
    path("live/", include("apps.live.urls")),
    path("i18n/", include("django.conf.urls.i18n")),
    path("admin/", admin.site.urls),
    path("", include("apps.wishes.urls")),  # only with wishes, else path("", include("apps.home.urls")),
]
# only with lab
if apps.is_installed("apps.lab"):
    urlpatterns += [path("lab/", include("apps.lab.urls"))]
# end of lab
