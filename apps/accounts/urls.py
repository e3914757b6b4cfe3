"""django-allauth's URLs under its own names: account_login, account_signup and the others in its manual."""

from functools import wraps

import allauth.urls
from django.db import IntegrityError

urlpatterns = allauth.urls.urlpatterns


def unprocessable(view):
    """Answer invalid forms with 422, so that scripts and caches can tell them from success."""

    @wraps(view)
    def answer(request, *args, **kwargs):
        try:
            response = view(request, *args, **kwargs)
        except IntegrityError:
            # Someone took the name or email address after the form had validated it: validate again.
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
