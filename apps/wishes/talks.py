"""Conversations between the owner of a wish and a member. Messages arrive from the page's form, with or without
JavaScript, and through a WebSocket (consumers.py)."""

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db import transaction
from django.http import JsonResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from kit.live import latest

from .forms import MessageForm
from .live import talk_topic
from .models import Message, Talk, Wish
from .views import SeeOther, for_members

PAGE_SIZE = 50


@require_POST
@for_members
@transaction.atomic
def begin(request, pk):
    # Lock the wish, or it could be deleted before the conversation is committed.
    wish = get_object_or_404(Wish.objects.select_for_update(no_key=True), pk=pk)
    if wish.owner_id == request.user.pk:
        raise PermissionDenied(_("This is your own wish: others can start a conversation about it."))
    talk, _is_new = Talk.objects.get_or_create(wish=wish, member=request.user)
    return SeeOther(talk.get_absolute_url())


@require_safe
@never_cache
@login_required
def talks(request):
    page = Paginator(Talk.objects.of(request.user).with_messages(), PAGE_SIZE).get_page(request.GET.get("page"))
    return render(request, "wishes/talks.html", {"page": page})


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def talk(request, pk):
    return _post(request, pk) if request.method == "POST" else _show(request, pk)


def say(user, pk, data):
    """Save the message in `data` (text, token) in the conversation `pk` of `user`. Returns the form; one that is not
    valid is not saved. Raises Http404."""
    with transaction.atomic():
        # Lock the conversation: ids then follow the order of commits, and pages never have to insert a message.
        talk = get_object_or_404(Talk.objects.of(user).select_for_update(no_key=True, of=["self"]), pk=pk)
        form = MessageForm(data, instance=Message(talk=talk, author=user))
        if form.is_valid():
            form.save()
    return form


def answer(form):
    """The response to a script that sent a message."""
    token = form["token"].value()
    if form.is_valid():
        return {"saved": token}
    return {"token": token, "errors": [error for errors in form.errors.values() for error in errors]}


@for_members
def _post(request, pk):
    form = say(request.user, pk, request.POST)
    if not request.accepts("text/html"):
        return JsonResponse(answer(form), status=200 if form.is_valid() else 422)
    if form.is_valid():
        return SeeOther(request.path)
    return _show(request, pk, form, status=422)


@login_required
def _show(request, pk, form=None, status=200):
    talk = get_object_or_404(Talk.objects.of(request.user).select_related("wish__owner", "member"), pk=pk)
    # Take the cursor first: messages in between are then shown twice, and not missed.
    cursor = latest(talk_topic(pk))
    messages = talk.messages.select_related("author").order_by("-pk")
    context = {
        "talk": talk,
        "other": talk.wish.owner if talk.member_id == request.user.pk else talk.member,
        "form": form or MessageForm(),
        "page": Paginator(messages, PAGE_SIZE).get_page(request.GET.get("page")),
        "cursor": cursor,
        "topic": talk_topic(pk),
    }
    return render(request, "wishes/talk.html", context, status=status)
