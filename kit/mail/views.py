"""/dev/mail/: the mails of a project on a developer's machine without a mail server."""

from functools import wraps
from ipaddress import ip_address

from django.conf import settings
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.csp import CSP
from django.views.decorators.cache import never_cache
from django.views.decorators.csp import csp_override

from .models import Message

# For the mail's own HTML: its styles and links work, but it loads and runs nothing.
POLICY = {
    "default-src": [CSP.NONE],
    "style-src": [CSP.UNSAFE_INLINE],
    "img-src": ["data:"],
    "form-action": [CSP.NONE],
    "base-uri": [CSP.NONE],
    "frame-ancestors": [CSP.NONE],
    "sandbox": ["allow-popups", "allow-popups-to-escape-sandbox"],
}


def _here_alone(view):
    @wraps(view)
    def guarded(request, **arguments):
        if not settings.MAIL_SHOWN or not (settings.SLOT or _is_from_here(request)):
            raise Http404
        return view(request, **arguments)

    return never_cache(guarded)


def _is_from_here(request):
    """Is it from this machine, and not through a proxy, which would make all visitors look local?"""
    if any(name in request.META for name in ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_VIA")):
        return False
    try:
        return ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False


@_here_alone
def mails(request):
    return render(request, "mail/mails.html", {"mails": [(each, each.parsed()) for each in Message.objects.all()]})


@_here_alone
def mail(request, pk):
    kept = get_object_or_404(Message, pk=pk)
    parsed = kept.parsed()
    text = parsed.get_body(("plain",))
    context = {
        "mail": kept,
        "parsed": parsed,
        "text": text.get_content() if text else "",
        "html": parsed.get_body(("html",)),
        "attachments": [
            part.get_filename() or part.get_content_type() for part in parsed.walk() if part.is_attachment()
        ],
    }
    return render(request, "mail/mail.html", context)


@csp_override(POLICY)
@_here_alone
def html(request, pk):
    part = get_object_or_404(Message, pk=pk).parsed().get_body(("html",))
    if not part:
        raise Http404
    return HttpResponse(part.get_content())
