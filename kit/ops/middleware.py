import sys

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings
from django.utils.deprecation import MiddlewareMixin

from . import health


class HealthMiddleware:
    """Answers probes before all other middleware: a load balancer that asks by IP address would be refused for its Host
    header, and liveness must not depend on a session, a template or a database."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response):
        self.is_async = iscoroutinefunction(get_response)
        # gunicorn.conf.py loads it if METRICS=1.
        figures = sys.modules.get("kit.figures")
        self.get_response = figures.counted(get_response) if figures else get_response
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
            # It waits for the database and Redis, which would block the event loop.
            return await sync_to_async(health.ready)(request)
        return await self.get_response(request)


class BrowserPolicyMiddleware(MiddlewareMixin):
    """Applies CSP_BY_PATH, for Django's ContentSecurityPolicyMiddleware right outside of it, and sets headers that
    Django has no settings for. A view that sets one of them keeps its own."""

    async def __acall__(self, request):
        # Inline, because Django's own handler would use a thread.
        return self.process_response(request, await self.get_response(request))

    def process_response(self, request, response):
        policy = policy_for(request.path_info)
        if policy and not hasattr(response, "_csp_config"):
            # As Django's decorator csp_override does.
            response._csp_config = policy
        headers = response.headers
        headers.setdefault("Cross-Origin-Resource-Policy", settings.SECURE_CROSS_ORIGIN_RESOURCE_POLICY)
        # Only for documents: other responses, such as those of polling, would carry half a kilobyte for nothing.
        if headers.get("Content-Type", "").startswith("text/html"):
            headers.setdefault("Permissions-Policy", settings.SECURE_PERMISSIONS_POLICY)
        return response


def policy_for(path: str) -> dict | None:
    """The policy in CSP_BY_PATH for the longest prefix of `path` that ends at a slash or is all of it."""
    fitting = [prefix for prefix in settings.CSP_BY_PATH if f"{path}/".startswith(f"{prefix.rstrip('/')}/")]
    return settings.CSP_BY_PATH[max(fitting, key=len)] if fitting else None
