"""Counterparts of Django's middleware that run its own hooks on the event loop.

MiddlewareMixin runs process_request and process_response of all built-in middleware on a thread, though most only look
at the request. These counterparts use a thread only if the request shows that a hook may wait for a database, a cache
or a disk. Subclasses of built-in middleware are not replaced, because their hooks may do anything.
"""

from importlib import import_module
from io import BytesIO

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.messages.storage import default_storage
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.handlers import exception
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.common import CommonMiddleware
from django.middleware.csp import ContentSecurityPolicyMiddleware
from django.middleware.csrf import CsrfViewMiddleware
from django.middleware.gzip import GZipMiddleware
from django.middleware.http import ConditionalGetMiddleware
from django.middleware.locale import LocaleMiddleware
from django.middleware.security import SecurityMiddleware
from django.utils.deprecation import MiddlewareMixin
from django.utils.functional import SimpleLazyObject, empty

from kit.ops.middleware import BrowserPolicyMiddleware

from . import is_own
from .threads import current_executor

# Bytes up to which a form is parsed or a response compressed on the event loop: well under 1 ms.
SMALL_FORM = 16 * 1024
SMALL_ANSWER = 16 * 1024


class InlineHooks:
    """MiddlewareMixin.__acall__ without threads, except for hooks that may wait. Of consecutive counterparts in
    MIDDLEWARE, the outermost runs them all, in one coroutine instead of two each."""

    def __init__(self, get_response):
        super().__init__(get_response)
        self.request_hook = getattr(self, "process_request", None)
        self.response_hook = getattr(self, "process_response", None)
        inner = getattr(get_response, "__wrapped__", None)
        if isinstance(inner, InlineHooks):
            self.layers, self.innermost = [self, *inner.layers], inner.innermost
        else:
            self.layers, self.innermost = [self], get_response

    def request_may_wait(self, request) -> bool:
        return False

    def response_may_wait(self, request, response) -> bool:
        return False

    async def __acall__(self, request):
        response, passed = await self.enter(request)
        response = response or await self.innermost(request)
        return await self.leave(request, response, passed)

    async def enter(self, request):
        """Run the request hooks. Returns their response, if any, and the number of layers that it passes on its way."""
        for depth, layer in enumerate(self.layers):
            if layer.request_hook is None:
                continue
            try:
                if layer.request_may_wait(request):
                    response = await sync_to_async(layer.request_hook)(request)
                else:
                    response = layer.request_hook(request)
            except Exception as error:
                # The error surfaces outside the layer that raised it. Outside the outermost one, others handle it.
                if layer is self:
                    raise
                return await respond_to(error, request), depth
            if response:
                return response, depth + 1
        return None, len(self.layers)

    async def leave(self, request, response, passed):
        for layer in reversed(self.layers[:passed]):
            if layer.response_hook is None:
                continue
            try:
                if layer.response_may_wait(request, response):
                    response = await sync_to_async(layer.response_hook)(request, response)
                else:
                    response = layer.response_hook(request, response)
            except Exception as error:
                if layer is self:
                    raise
                response = await respond_to(error, request)
        return response


async def respond_to(error, request):
    """The response for an exception. It is made on a bounded thread, because the error page may query. (Django uses a
    thread of the event loop's default executor, which would keep a connection of its own.)"""
    return await sync_to_async(exception.response_for_exception)(request, error)


class InlineSession(InlineHooks, SessionMiddleware):
    """Saving waits for the database or the cache, unless the session is in its cookie. Opening only notes the key."""

    def __init__(self, get_response):
        super().__init__(get_response)
        engine = settings.SESSION_ENGINE
        # Django's own, or one that inherits how it opens and inspects a session.
        store = import_module(engine).SessionStore
        self.engine_is_known = all(
            method.__module__.startswith("django.contrib.sessions.backends.")
            for method in (store.__init__, store.is_empty)
        )
        self.engine_is_cookie = engine == "django.contrib.sessions.backends.signed_cookies"

    def request_may_wait(self, request):
        return not self.engine_is_known

    def response_may_wait(self, request, response):
        if self.engine_is_cookie:
            return False
        session = getattr(request, "session", None)
        return session is not None and (
            not self.engine_is_known or session.modified or settings.SESSION_SAVE_EVERY_REQUEST
        )


class Rejection:
    """Stands for the error page that Django's process_view would render for a rejected request."""

    def __init__(self, reason):
        self.reason = reason


class InlineCsrf(InlineHooks, CsrfViewMiddleware):
    """The secret may be in the session, and the token in a large form or an upload. The error page is rendered on a
    thread, because its template may query."""

    def request_may_wait(self, request):
        return settings.CSRF_USE_SESSIONS

    def response_may_wait(self, request, response):
        return settings.CSRF_USE_SESSIONS

    def view_may_wait(self, request):
        if settings.CSRF_USE_SESSIONS:
            return True
        if request.method != "POST" or hasattr(request, "_post"):
            return False
        stream = request._stream
        return not (
            request.content_type == "application/x-www-form-urlencoded"
            and isinstance(stream, BytesIO)
            and stream.getbuffer().nbytes <= SMALL_FORM
        )

    def _reject(self, request, reason):
        return Rejection(reason)

    async def process_view(self, request, callback, callback_args, callback_kwargs):
        check = super().process_view
        if self.view_may_wait(request):
            check = sync_to_async(check)
            response = await check(request, callback, callback_args, callback_kwargs)
        else:
            response = check(request, callback, callback_args, callback_kwargs)
        if isinstance(response, Rejection):
            response = await sync_to_async(super()._reject)(request, response.reason)
        return response


class InlineMessages(InlineHooks, MessageMiddleware):
    """Messages that were added or read are stored, perhaps in the session. Most requests have none, so the storage is
    created on first use."""

    def __init__(self, get_response):
        super().__init__(get_response)
        self.storage_is_known = settings.MESSAGE_STORAGE.startswith("django.contrib.messages.storage.")

    def request_may_wait(self, request):
        return not self.storage_is_known

    def process_request(self, request):
        request._messages = SimpleLazyObject(lambda: default_storage(request))

    def response_may_wait(self, request, response):
        messages = getattr(request, "_messages", None)
        if messages is None or getattr(messages, "_wrapped", None) is empty:
            return False
        return not self.storage_is_known or messages.used or messages.added_new

    def process_response(self, request, response):
        if getattr(getattr(request, "_messages", None), "_wrapped", None) is empty:
            return response
        return super().process_response(request, response)


class InlineGZip(InlineHooks, GZipMiddleware):
    """Compressing a large response takes long, and zlib releases the GIL."""

    def response_may_wait(self, request, response):
        return not response.streaming and len(response.content) > SMALL_ANSWER


class Pinned:
    """A third-party middleware with hooks before and after the view. Both run on one thread, so that thread-local data
    of the first is still there for the second."""

    async def __acall__(self, request):
        executor = current_executor()
        if executor is None:
            return await super().__acall__(request)
        with executor.pinned():
            return await super().__acall__(request)


HOOKS = ("__call__", "__acall__", "process_request", "process_view", "process_response")
COUNTERPARTS = {
    **{
        middleware: type(middleware.__name__, (InlineHooks, middleware), {})
        for middleware in (
            AuthenticationMiddleware,
            BrowserPolicyMiddleware,
            CommonMiddleware,
            ConditionalGetMiddleware,
            ContentSecurityPolicyMiddleware,
            LocaleMiddleware,
            SecurityMiddleware,
            XFrameOptionsMiddleware,
        )
    },
    CsrfViewMiddleware: InlineCsrf,
    GZipMiddleware: InlineGZip,
    MessageMiddleware: InlineMessages,
    SessionMiddleware: InlineSession,
}


def counterpart(middleware):
    """The class to load for an entry of MIDDLEWARE: its counterpart, or itself."""
    if middleware in COUNTERPARTS:
        hooks = (getattr(middleware, name) for name in HOOKS if hasattr(middleware, name))
        return COUNTERPARTS[middleware] if all(map(is_own, hooks)) else middleware
    if (
        isinstance(middleware, type)
        and issubclass(middleware, MiddlewareMixin)
        and not middleware.__module__.startswith("django.")
        and hasattr(middleware, "process_request")
        and hasattr(middleware, "process_response")
    ):
        return type(middleware.__name__, (Pinned, middleware), {})
    return middleware
