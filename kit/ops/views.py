from django.core.exceptions import RequestDataTooBig
from django.shortcuts import render


def bad_request(request, exception):
    """The page for a request that Django cannot take; a body over the limit is 413, as Nginx says it."""
    if isinstance(exception, RequestDataTooBig):
        return render(request, "413.html", status=413)
    return render(request, "400.html", status=400)


def not_found(request, exception):
    """The page for an address that there is not. Django's own reads the form of a POST before, for its token, and ends
    in a 500 where it can't be read. The token that the page holds needs none of that."""
    return render(request, "404.html", status=404)
