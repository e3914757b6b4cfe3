"""django-allauth's addresses, under its own names: account_login, account_signup and the others of its manual."""

from functools import wraps

import allauth.urls
from django.db import IntegrityError

urlpatterns = allauth.urls.urlpatterns


def unprocessable(view):
    """A form that is not valid is shown again as an error, which scripts and caches can tell from success."""

    @wraps(view)
    def answer(request, *args, **kwargs):
        try:
            response = view(request, *args, **kwargs)
        except IntegrityError:
            # Someone else took the name or the address after the form had checked it: now it sees that.
            response = view(request, *args, **kwargs)
        form = (getattr(response, "context_data", None) or {}).get("form")
        if request.method == "POST" and response.status_code == 200 and form is not None and form.errors:
            response.status_code = 422
        return response

    return answer


def wrap(patterns):
    for pattern in patterns:
        if hasattr(pattern, "url_patterns"):
            wrap(pattern.url_patterns)
        else:
            pattern.callback = unprocessable(pattern.callback)


wrap(urlpatterns)
