"""The project, and a view that answers what it was sent."""

import hashlib

from django.http import JsonResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt


@csrf_exempt
def echo(request):
    if request.content_type == "application/json":
        return JsonResponse({"body": request.body.decode(), "length": request.META.get("CONTENT_LENGTH")})
    files = {name: hashlib.sha256(file.read()).hexdigest() for name, file in request.FILES.items()}
    return JsonResponse({"post": request.POST.dict(), "files": files})


handler400 = "kit.ops.views.bad_request"
urlpatterns = [path("echo", echo), path("", include("wisheasy.urls"))]
