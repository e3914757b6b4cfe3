"""The board and its actions. The views are sync because they query the database."""

import json
from functools import wraps
from urllib.parse import urlsplit

from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db import transaction
from django.http import HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import escape_leading_slashes, url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from kit.live import latest

from .forms import WishForm
from .live import TOPIC, item
from .models import Cheer, Wish

PAGE_SIZE = 20


class SeeOther(HttpResponseRedirect):
    status_code = 303


def for_members(view):
    """Answer signed-out visitors with 403: a redirect would lose their input."""

    @wraps(view)
    def checked(request, *args, **kwargs):
        if not request.user.is_authenticated:
            raise PermissionDenied(_("You need an account to do that."))
        return view(request, *args, **kwargs)

    return checked


@require_safe
def board(request):
    return _board(request, WishForm())


@require_http_methods(["GET", "HEAD", "POST"])
def post(request):
    if request.method != "POST":
        return redirect("wishes:board")
    if request.content_type == "application/json":
        return _post_json(request)
    return _post_form(request)


@require_POST
@for_members
@transaction.atomic
def cheer(request, pk):
    # Lock the wish, or it could be deleted before the cheer is committed.
    wish = get_object_or_404(Wish.objects.select_for_update(no_key=True), pk=pk)
    if wish.owner_id == request.user.pk:
        raise PermissionDenied(_("Cheers come from others: this wish is your own."))
    Cheer.objects.get_or_create(wish=wish, user=request.user)
    return _back(request)


@require_POST
@for_members
@transaction.atomic
def grant(request, pk):
    _own(request, pk).grant()
    return _back(request)


@require_POST
@for_members
@transaction.atomic
def delete(request, pk):
    _own(request, pk).delete()
    return _back(request)


def _board(request, form, status=200):
    # Take the cursor first: changes in between are then shown twice, and not missed.
    cursor = latest(TOPIC)
    page = Paginator(Wish.objects.board(), PAGE_SIZE).get_page(request.GET.get("page"))
    # All viewers get the same fragments: the page's style element marks those that this viewer has cheered.
    cheered = []
    if request.user.is_authenticated:
        cheered = Cheer.objects.filter(user=request.user, wish__in=[wish.pk for wish in page.object_list])
        cheered = cheered.values_list("wish_id", flat=True)
    context = {
        "form": form,
        "page": page,
        "items": [item(wish) for wish in page.object_list],
        "cursor": cursor,
        "cheered": ", ".join(f"#wish-{key}" for key in cheered),
        "max_length": Wish.MAX_LENGTH,
    }
    return render(request, "wishes/board.html", context, status=status)


@for_members
def _post_form(request):
    form = WishForm(request.POST, instance=Wish(owner=request.user))
    if not form.is_valid():
        return _board(request, form, status=422)
    with transaction.atomic():
        form.save()
    return SeeOther(reverse("wishes:board"))


def _post_json(request):
    if not request.user.is_authenticated:
        return JsonResponse({"error": _("You need an account to do that.")}, status=403)
    try:
        data = json.loads(request.body)
    except (ValueError, RecursionError):
        return JsonResponse({"error": _('The body is not JSON: send {"text": "…"}.')}, status=400)
    if not isinstance(data, dict):
        return JsonResponse({"error": _('The body is not a JSON object: send {"text": "…"}.')}, status=400)
    if not isinstance(data.get("text", ""), str):
        return JsonResponse({"errors": {"text": [_("The text is not a string.")]}}, status=422)
    form = WishForm(data, instance=Wish(owner=request.user))
    if not form.is_valid():
        return JsonResponse({"errors": {name: list(errors) for name, errors in form.errors.items()}}, status=422)
    with transaction.atomic():
        wish = form.save()
    return JsonResponse({"id": wish.pk}, status=201)


def _own(request, pk):
    wish = get_object_or_404(Wish.objects.select_for_update(), pk=pk)
    if wish.owner_id != request.user.pk:
        raise PermissionDenied(_("This wish belongs to someone else."))
    return wish


def _back(request):
    """Redirect to the page that the visitor came from, if it is ours."""
    address = request.headers.get("Referer", "")
    if not url_has_allowed_host_and_scheme(address, {request.get_host()}, require_https=request.is_secure()):
        return SeeOther(reverse("wishes:board"))
    page = urlsplit(address)._replace(scheme="", netloc="", fragment="").geturl()
    # A path with two leading slashes would name another host.
    return SeeOther(escape_leading_slashes(page) if page.startswith("/") else reverse("wishes:board"))
