from django.core.exceptions import RequestDataTooBig
from django.shortcuts import render


def bad_request(request, exception):
    """The page for a request that Django can't accept: 413 for a body over the limit, as from Nginx, else 400."""
    if isinstance(exception, RequestDataTooBig):
        return render(request, "413.html", status=413)
    return render(request, "400.html", status=400)


def not_found(request, exception):
    """The page for an unknown address. Django's own first reads a POST's form for its CSRF token, and fails with 500 if
    it can't be read. The token in this page doesn't need that."""
    return render(request, "404.html", status=404)
