"""What tests and drills ask for: a page with a form and a live list, and a view of each kind that a release could cut.

Sync, but for the stream under ASGI: they talk to the database, and every mode can serve them.
"""

import asyncio
import hashlib
import os
import secrets
import signal
import time
from datetime import timedelta

from django import forms
from django.conf import settings
from django.contrib.auth import get_user_model, login, logout
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.core.exceptions import PermissionDenied
from django.core.files.storage import default_storage
from django.core.validators import FileExtensionValidator
from django.db import transaction
from django.db.models import FileField
from django.db.models.fields.files import FieldFile
from django.http import Http404, HttpResponse, HttpResponseRedirect, JsonResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import cache_page
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from kit.files import private_file
from kit.live import latest, publish

from .live import NOTES, POSTS
from .models import Post

PAGE_SIZE = 20
MAX_SECONDS = 10
EVENTS, EVENT_SECONDS = 5, 0.5


class SeeOther(HttpResponseRedirect):
    status_code = 303


@require_http_methods(["GET", "HEAD", "POST"])
def page(request):
    if request.method == "POST":
        return _post(request)
    # The cursor first: what changes between the two is then shown twice, and not missed.
    cursor = latest(POSTS)
    return render(request, "probe/page.html", {"cursor": cursor, "posts": Post.objects.order_by("-pk")[:PAGE_SIZE]})


def _post(request):
    text = request.POST.get("text", "").strip()
    if not request.user.is_authenticated:
        raise PermissionDenied
    if not 0 < len(text) <= Post._meta.get_field("text").max_length or "\0" in text:
        return HttpResponse("A post has 1 to 280 characters.", status=422, content_type="text/plain")
    with transaction.atomic():
        post = Post.objects.create(text=text, owner=request.user.get_username())
        publish(POSTS, post.pk)
    return SeeOther(reverse("probe:page"))


@require_POST
@transaction.atomic
def delete(request, pk):
    post = get_object_or_404(Post, pk=pk)
    if post.owner != request.user.get_username():
        raise PermissionDenied
    post.delete()
    publish(POSTS, pk)
    return SeeOther(reverse("probe:page"))


@require_POST
def sign_in(request):
    """A session for a user of that name, made where there is none. No other account can be entered: names begin with
    probe-."""
    name = request.POST.get("name", "")
    if not name.startswith("probe-") or not name.isascii() or not name.isprintable() or len(name) > 150:
        raise PermissionDenied
    model = get_user_model()
    user, _made = model.objects.get_or_create(**{model.USERNAME_FIELD: name})
    login(request, user, settings.AUTHENTICATION_BACKENDS[0])
    return SeeOther(reverse("probe:page"))


@require_POST
def upload(request):
    if "file" not in request.FILES:
        return HttpResponse("There is no file in the form.", status=422, content_type="text/plain")
    content = request.FILES["file"].read()
    return JsonResponse({"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()})


@require_POST
def keep(request):
    """Keeps the file as a FileField would, and answers where it is: below private/, for this member alone, or pictures
    and nothing else, if asked to."""
    form = forms.Form(request.POST, request.FILES)
    kinds = [FileExtensionValidator(["jpg", "png"])] if "pictures" in request.POST else []
    form.fields["file"] = forms.FileField(validators=kinds)
    if not form.is_valid():
        return JsonResponse(form.errors, status=422)
    file = form.cleaned_data["file"]
    folder = f"private/probe/{request.user.pk}" if "private" in request.POST else "probe"
    name = default_storage.save(default_storage.generate_filename(f"{folder}/{file.name}"), file)
    return JsonResponse({"name": name, "url": default_storage.url(name)})


@require_safe
def private(request, name):
    return private_file(FieldFile(None, FileField(), f"private/probe/{request.user.pk}/{name}"))


@cache_page(60)
@require_safe
def cached(request):
    return HttpResponse(secrets.token_hex(8), content_type="text/plain")


@require_safe
def slow(request):
    try:
        seconds = float(request.GET.get("seconds", "1"))
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= MAX_SECONDS:
        return HttpResponse(f"seconds is 0 to {MAX_SECONDS}.", status=400, content_type="text/plain")
    time.sleep(seconds)
    return HttpResponse("done", content_type="text/plain")


@csrf_exempt
def die(request, marker):
    """Kills the worker that serves it, and first writes which request that was."""
    os.write(2, f"dies of {marker}\n".encode())
    os.kill(os.getpid(), signal.SIGKILL)


@require_safe
def stream(request):
    """An event stream of an application's own, in the kind that the server passes on as it is made."""

    def events():
        for number in range(EVENTS):
            yield f"data: {number}\n\n"
            time.sleep(EVENT_SECONDS)

    async def events_async():
        for number in range(EVENTS):
            yield f"data: {number}\n\n"
            await asyncio.sleep(EVENT_SECONDS)

    made = events_async() if settings.SERVER_INTERFACE == "ASGI" else events()
    # Nginx would otherwise collect the events.
    headers = {"X-Accel-Buffering": "no", "Cache-Control": "no-cache"}
    return StreamingHttpResponse(made, content_type="text/event-stream", headers=headers)


@csrf_exempt
@require_POST
@transaction.atomic
def note(request):
    publish(request.POST.get("topic", NOTES), request.POST["text"])
    return HttpResponse(status=204)


def _join(request):
    request.user.groups.add(Group.objects.get_or_create(name=request.POST["room"])[0])


def _leave(request):
    request.user.groups.clear()


def _deactivate(request):
    request.user.is_active = False
    request.user.save()


def _change_password(request):
    request.user.set_password("another one")
    request.user.save()


def _expire(request):
    Session.objects.filter(pk=request.session.session_key).update(expire_date=timezone.now() - timedelta(seconds=1))


STEPS = {
    "join": _join,
    "leave": _leave,
    "sign-out": logout,
    "deactivate": _deactivate,
    "change-password": _change_password,
    "expire": _expire,
}


@csrf_exempt
@require_POST
def step(request, step):
    """What gives the visitor a right or takes it away. Answers with the number of the user."""
    number = request.user.pk
    if step not in STEPS:
        raise Http404(f"There is no step {step!r}.")
    STEPS[step](request)
    return HttpResponse(str(number), content_type="text/plain")
