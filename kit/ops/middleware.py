from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings

from . import health


class HealthMiddleware:
    """Answers the probes before anything else looks at the request: a load balancer that asks by IP address would be
    refused for its Host header, and liveness must not depend on a session, a template or a database."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response):
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request):
        if self.is_async:
            return self.__acall__(request)
        if request.path_info == health.LIVE:
            return health.live(request)
        if request.path_info == health.READY:
            return health.ready(request)
        return self.get_response(request)

    async def __acall__(self, request):
        if request.path_info == health.LIVE:
            return health.live(request)
        if request.path_info == health.READY:
            # It waits for the database and Redis; the event loop must not.
            return await sync_to_async(health.ready)(request)
        return await self.get_response(request)


class BrowserPolicyMiddleware:
    """Adds the headers that Django has no settings for. A view that has set one of them keeps its own."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response):
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request):
        if self.is_async:
            return self.__acall__(request)
        return self.with_headers(self.get_response(request))

    async def __acall__(self, request):
        return self.with_headers(await self.get_response(request))

    def with_headers(self, response):
        headers = response.headers
        headers.setdefault("Cross-Origin-Resource-Policy", settings.SECURE_CROSS_ORIGIN_RESOURCE_POLICY)
        # Only a document has abilities to lose; for what a page polls the header is half a kilobyte of nothing.
        if headers.get("Content-Type", "").startswith("text/html"):
            headers.setdefault("Permissions-Policy", settings.SECURE_PERMISSIONS_POLICY)
        return response
