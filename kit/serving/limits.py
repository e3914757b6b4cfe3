"""What a request may have before its body, in bytes: the same under WSGI and ASGI, and no less than Nginx lets pass and
adds to it (nginx/snippets/limits.conf). A test holds it to that."""

from gunicorn.http.errors import InvalidHeader, InvalidHTTPVersion, LimitRequestHeaders

# A longer one is answered 414. Gunicorn can take no longer one.
REQUEST_LINE = 8190
# What exceeds one of these is answered 431: the length of one line, their number, and all together with the first line.
FIELD = 8190
FIELDS = 120
HEADER = 40 * 1024


def check(request):
    """Raise what Gunicorn answers with 400 or 431, for what its own settings do not cover."""
    if request.version > (1, 1):
        raise InvalidHTTPVersion(request.version)
    hosts = sum(name == "HOST" for name, _ in request.headers)
    if hosts > 1 or (not hosts and request.version > (1, 0)):
        raise InvalidHeader("HOST", req=request)
    if len(request.uri) + sum(len(name) + len(value) + 4 for name, value in request.headers) > HEADER:
        raise LimitRequestHeaders("limit request headers size")
