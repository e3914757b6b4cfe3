"""The project with one topic more, that tests can rely on whatever applications there are: who posts a text to /notes/
publishes it."""

from django.db import transaction
from django.http import HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from kit.live.topics import publish
from wisheasy import urls

from .apps import TOPIC


@csrf_exempt
@require_POST
@transaction.atomic
def post(request):
    publish(TOPIC, request.POST["text"])
    return HttpResponse(status=204)


handler400, handler404 = urls.handler400, urls.handler404
urlpatterns = [path("notes/", post), *urls.urlpatterns]
