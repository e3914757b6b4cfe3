from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.urls import include, path
from django.views.generic import TemplateView

from apps.wishes.consumers import TalkConsumer

handler400 = "kit.ops.views.bad_request"
handler404 = "kit.ops.views.not_found"
handler429 = "apps.accounts.adapter.too_many"

# Apply the limits and the second factor of the site's own form.
admin.site.login = secure_admin_login(admin.site.login)

urlpatterns = [
    path("", include("apps.wishes.urls")),
    path("", TemplateView.as_view(template_name="home.html"), name="home"),
    path("accounts/", include("apps.accounts.urls")),
    path("dev/mail/", include("kit.mail.urls")),
    path("live/", include("kit.live.urls")),
    path("i18n/", include("django.conf.urls.i18n")),
    path("admin/", admin.site.urls),
]

websocket_urlpatterns = [
    # Channels' consumers. Every path begins with live/.
    path("live/talks/<int:pk>", TalkConsumer.as_asgi()),
]
