"""Middleware of other people's kinds for tests/handler."""

from asgiref.sync import iscoroutinefunction
from django.http import HttpResponse
from django.utils.decorators import async_only_middleware, sync_and_async_middleware, sync_only_middleware
from django.utils.deprecation import MiddlewareMixin

from .urls import LOCAL, TRAIL


@sync_only_middleware
def sync_only(get_response):
    def middleware(request):
        LOCAL.value = "kept"
        TRAIL.set(TRAIL.get() + " sync-only")
        response = get_response(request)
        response["X-Sync-Only"] = getattr(LOCAL, "value", "lost")
        del LOCAL.value
        return response

    return middleware


@async_only_middleware
def async_only(get_response):
    async def middleware(request):
        TRAIL.set(TRAIL.get() + " async-only")
        response = await get_response(request)
        response["X-Async-Only"] = "1"
        return response

    return middleware


@sync_and_async_middleware
def both(get_response):
    if iscoroutinefunction(get_response):

        async def middleware(request):
            response = await get_response(request)
            response["X-Both"] = "1"
            return response

    else:

        def middleware(request):
            response = get_response(request)
            response["X-Both"] = "1"
            return response

    return middleware


class TwoHalves(MiddlewareMixin):
    """Leaves something on its thread for later."""

    def process_request(self, request):
        LOCAL.value = "kept"
        TRAIL.set(TRAIL.get() + " two-halves")

    def process_response(self, request, response):
        response["X-Two-Halves"] = getattr(LOCAL, "value", "lost")
        LOCAL.value = None
        del LOCAL.value
        return response


class Everything(MiddlewareMixin):
    def process_view(self, request, callback, args, kwargs):
        if "answer-in-view-hook" in request.GET:
            return HttpResponse("from process_view")

    def process_exception(self, request, exception):
        if "catch" in request.GET:
            return HttpResponse(f"caught {exception}")

    def process_template_response(self, request, response):
        response.context_data["number"] += 1
        return response


class AnswersAtOnce(MiddlewareMixin):
    def process_request(self, request):
        if "answer-at-once" in request.GET:
            return HttpResponse("at once")

    def process_response(self, request, response):
        response["X-Answers-At-Once"] = "1"
        return response


class RaisesBefore(MiddlewareMixin):
    def process_request(self, request):
        if "raise-before" in request.GET:
            raise RuntimeError("before")


class RaisesAfter(MiddlewareMixin):
    def process_response(self, request, response):
        if "raise-after" in request.GET:
            raise RuntimeError("after")
        return response
