import os
import threading

from django.http import JsonResponse
from django.urls import include, path


def threads(request):
    return JsonResponse({"pid": os.getpid(), "threads": [thread.name for thread in threading.enumerate()]})


urlpatterns = [path("threads", threads), path("", include("wisheasy.urls"))]
