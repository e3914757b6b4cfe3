"""Publishes every saved or deleted wish, cheer or message, whether on a page, in the admin or in a shell.

`QuerySet.update` and `bulk_create` send no signals: after them, call publish() for each object that changed.
"""

from functools import lru_cache

from django.conf import settings
from django.db.models.signals import post_delete, post_save
from django.template.loader import render_to_string
from django.utils.translation import get_language

from kit.live import publish, register

from .models import Cheer, Message, Talk, Wish

TOPIC = "wishes"


def connect():
    register(TOPIC, render, public=True)
    register("talks/<int:pk>", render_messages, may_follow=is_one_of_the_two)
    for signal in (post_save, post_delete):
        signal.connect(wish_changed, sender=Wish)
    post_save.connect(cheer_saved, sender=Cheer)
    post_delete.connect(cheer_deleted, sender=Cheer)
    post_save.connect(message_saved, sender=Message)
    post_delete.connect(message_deleted, sender=Message)


def render(keys):
    """The HTML of the wishes that still exist, by key: the same for every viewer, in the active language."""
    return {str(wish.pk): item(wish) for wish in Wish.objects.board().filter(pk__in=keys)}


def item(wish):
    """The HTML of a wish of board()."""
    # Everything that the template shows is an argument, so the cache is never stale.
    return _item(
        get_language(),
        pk=wish.pk,
        owner_id=wish.owner_id,
        owner=wish.owner.username,
        text=wish.text,
        created_at=wish.created_at,
        granted_at=wish.granted_at,
        cheer_count=wish.cheer_count,
    )


# Nearly all pages show the same wishes, at a millisecond each. With DEBUG, template edits take effect at once.
@lru_cache(0 if settings.DEBUG else 500)
def _item(language, **wish):
    return render_to_string("wishes/_wish.html", {"wish": wish})


def wish_changed(instance, **kwargs):
    publish(TOPIC, instance.pk)


def cheer_saved(instance, **kwargs):
    publish(TOPIC, instance.wish_id)


def cheer_deleted(instance, origin, **kwargs):
    # Deleting a wish publishes it once, not again for each cheer.
    if not isinstance(origin, Wish) and getattr(origin, "model", None) is not Wish:
        publish(TOPIC, instance.wish_id)


# --- Conversations: a topic each, which its two participants may follow ---


def talk_topic(pk):
    return f"talks/{pk}"


def is_one_of_the_two(user, pk):
    return Talk.objects.of(user).filter(pk=pk).exists()


def render_messages(keys, pk):
    """The HTML of the messages that still exist, by key: the same for both."""
    messages = Message.objects.filter(talk=pk, pk__in=keys).select_related("author")
    return {str(message.pk): render_to_string("wishes/_message.html", {"message": message}) for message in messages}


def message_saved(instance, **kwargs):
    publish(talk_topic(instance.talk_id), instance.pk)


def message_deleted(instance, origin, **kwargs):
    # If the whole conversation is deleted, no one may follow it any more.
    if isinstance(origin, Message) or getattr(origin, "model", None) is Message:
        publish(talk_topic(instance.talk_id), instance.pk)
