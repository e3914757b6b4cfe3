"""Views for tests/handler, which asks each of them through Django's own ASGI handler and through ours."""

import asyncio
import contextvars
import threading

from asgiref.sync import sync_to_async
from django import forms
from django.contrib import messages
from django.core.exceptions import BadRequest, PermissionDenied
from django.db import connection, transaction
from django.http import FileResponse, Http404, HttpResponse, HttpResponseRedirect, JsonResponse, StreamingHttpResponse
from django.middleware.csrf import get_token
from django.template import engines
from django.template.response import TemplateResponse
from django.urls import include, path
from django.utils.translation import get_language, gettext
from django.views.decorators.csp import csp_override
from django.views.decorators.csrf import csrf_exempt

from apps.accounts.models import User

TRAIL = contextvars.ContextVar("trail", default="")


def sync_view(request):
    return HttpResponse("sync", headers={"X-First": "1", "X-Second": "2"})


async def async_view(request):
    return HttpResponse("async", headers={"X-First": "1", "X-Second": "2"})


def cookies(request):
    response = HttpResponse("cookies")
    response.set_cookie("one", "1", max_age=60)
    response.set_cookie("two", "2", httponly=True, samesite="Strict")
    response.delete_cookie("three")
    return response


def raises(kind):
    def sync_raise(request):
        raise kind("of the view")

    async def async_raise(request):
        raise kind("of the view")

    return sync_raise, async_raise


def stream_sync(request):
    return StreamingHttpResponse(part for part in (b"one ", b"two ", b"three"))


async def stream_async(request):
    async def parts():
        for part in (b"one ", b"two ", b"three"):
            await asyncio.sleep(0)
            yield part

    return StreamingHttpResponse(parts())


def file(request):
    return FileResponse(open(__file__, "rb"), as_attachment=True)


def echo(request):
    files = {name: upload.read().decode() for name, upload in request.FILES.items()}
    return JsonResponse(
        {"post": sorted(request.POST.dict()), "files": files, "length": len(request.body) if not files else 0}
    )


async def echo_async(request):
    return JsonResponse({"post": sorted(request.POST.dict()), "body": len(request.body)})


def token(request):
    return HttpResponse(f"{len(get_token(request))}")


def session_write(request):
    request.session["count"] = request.session.get("count", 0) + 1
    return HttpResponse(f"{request.session['count']}", status=int(request.GET.get("status", 200)))


async def session_write_async(request):
    count = await request.session.aget("count", 0)
    await request.session.aset("count", count + 1)
    return HttpResponse(f"{count + 1}")


def session_interrupted(request):
    """Somebody signs out meanwhile, in another request."""
    request.session["count"] = 1
    request.session.save()
    type(request.session)(request.session.session_key).delete()
    request.session["count"] = 2
    return HttpResponse("too late")


def csrf_failure(request, reason=""):
    return HttpResponse(f"refused, {User.objects.count()} users", status=403)


def session_flush(request):
    request.session.flush()
    return HttpResponse("flushed")


def message_add(request):
    messages.info(request, "a message")
    return HttpResponse("added")


def message_read(request):
    return HttpResponse(" ".join(str(message) for message in messages.get_messages(request)))


def language(request):
    return HttpResponse(f"{get_language()} {gettext('Delete')}")


async def language_async(request):
    return HttpResponse(f"{get_language()} {gettext('Delete')}")


def user(request):
    return HttpResponse(f"{request.user.is_authenticated} {request.user}")


async def user_async(request):
    found = await request.auser()
    return HttpResponse(f"{found.is_authenticated} {found}")


def template(request):
    template = engines["django"].from_string("{{ number }} {{ request.path }} {{ user.is_authenticated }}")
    return TemplateResponse(request, template, {"number": 42})


async def template_async(request):
    return template(request)


def template_replaced(request):
    """What a callback after the rendering returns takes the answer's place."""
    response = template(request)
    response.add_post_render_callback(lambda rendered: HttpResponse(rendered.content + b" replaced"))
    return response


def template_fails(request):
    def fails():
        raise ValueError("of the template")

    return TemplateResponse(request, engines["django"].from_string("{{ fails }}"), {"fails": fails})


async def nonce(request):
    template = engines["django"].from_string("<script {% csp_nonce_attr %}></script>")
    return TemplateResponse(request, template)


@csp_override({})
async def no_policy(request):
    return HttpResponse("no policy")


def form(request):
    class Form(forms.Form):
        name = forms.CharField(max_length=3)

    return HttpResponse(Form(request.GET).as_p())


def atomic(request):
    """What ATOMIC_REQUESTS undoes."""
    User.objects.create(username=f"atomic-{request.GET['name']}")
    in_atomic = connection.in_atomic_block
    if "fail" in request.GET:
        raise ValueError("undo")
    return HttpResponse(f"{in_atomic}")


async def queries(request):
    names = [user.username async for user in User.objects.order_by("pk")]
    await asyncio.sleep(0)
    first = await User.objects.order_by("pk").afirst()
    return HttpResponse(f"{names} {first}")


async def transaction_async(request):
    """A transaction whose beginning and end are two calls."""
    await sync_to_async(transaction.set_autocommit)(False)
    await sync_to_async(User.objects.create)(username=f"open-{request.GET['name']}")
    await asyncio.sleep(0.01)
    await sync_to_async(transaction.rollback)()
    await sync_to_async(transaction.set_autocommit)(True)
    return HttpResponse(f"{await User.objects.filter(username__startswith='open-').acount()}")


def trail(request):
    TRAIL.set(TRAIL.get() + " view")
    return HttpResponse(TRAIL.get())


async def trail_async(request):
    TRAIL.set(TRAIL.get() + " view")
    return HttpResponse(TRAIL.get())


def thread_local(request):
    return HttpResponse(getattr(LOCAL, "value", "nothing"))


async def thread_local_async(request):
    return HttpResponse(await sync_to_async(lambda: getattr(LOCAL, "value", "nothing"))())


def nothing(request):
    return None


WAITING = []


async def waits(request):
    WAITING.pop().set()
    await asyncio.sleep(10)


LOCAL = threading.local()


def url(name, view):
    return path(name, view, name=name)


urlpatterns = [
    # The error pages link to these.
    path("i18n/", include("django.conf.urls.i18n")),
    path("accounts/", include("apps.accounts.urls")),
    url("sync", sync_view),
    url("async", async_view),
    url("slashed/", sync_view),
    url("cookies", cookies),
    url("stream-sync", stream_sync),
    url("stream-async", stream_async),
    url("file", file),
    url("redirect", lambda request: HttpResponseRedirect("/sync")),
    url("echo", echo),
    url("echo-async", echo_async),
    url("exempt", csrf_exempt(echo)),
    url("token", token),
    url("session", session_write),
    url("session-async", session_write_async),
    url("session-flush", session_flush),
    url("session-interrupted", session_interrupted),
    url("message-add", message_add),
    url("message-read", message_read),
    url("language", language),
    url("language-async", language_async),
    url("user", user),
    url("user-async", user_async),
    url("template", template),
    url("template-async", template_async),
    url("template-replaced", template_replaced),
    url("template-fails", template_fails),
    url("nonce", nonce),
    url("no-policy", no_policy),
    url("form", form),
    url("atomic", atomic),
    url("queries", queries),
    url("transaction-async", transaction_async),
    url("trail", trail),
    url("trail-async", trail_async),
    url("thread-local", thread_local),
    url("thread-local-async", thread_local_async),
    url("nothing", nothing),
    url("waits", waits),
]
for name, kind in {
    "404": Http404,
    "403": PermissionDenied,
    "400": BadRequest,
    "500": RuntimeError,
}.items():
    sync_raise, async_raise = raises(kind)
    urlpatterns += [url(f"raise-{name}", sync_raise), url(f"raise-{name}-async", async_raise)]
