"""Limits in bytes for what precedes a request's body: the same under WSGI and ASGI, and, as a test checks, no lower
than what Nginx passes on and adds (nginx/snippets/limits.conf)."""

from gunicorn.http.errors import InvalidHeader, InvalidHTTPVersion, LimitRequestHeaders

# A longer one gets 414. Gunicorn allows no higher limit.
REQUEST_LINE = 8190
# More gets 431: the length of one line, the number of lines, and their total length with the request line.
FIELD = 8190
FIELDS = 120
HEADER = 40 * 1024


def check(request):
    """Raise the errors that Gunicorn answers with 400 or 431, for limits that its own settings do not cover."""
    if getattr(request, "within_limits", False):
        return
    if request.version > (1, 1):
        raise InvalidHTTPVersion(request.version)
    hosts = sum(name == "HOST" for name, _ in request.headers)
    if hosts > 1 or (not hosts and request.version > (1, 0)):
        raise InvalidHeader("HOST", req=request)
    if len(request.uri) + sum(len(name) + len(value) + 4 for name, value in request.headers) > HEADER:
        raise LimitRequestHeaders("limit request headers size")
