"""Every saved or deleted wish, cheer or message is published, wherever that happened: a page, the admin, a shell.

`QuerySet.update` and `bulk_create` send no signals: after them, call publish() for each object that changed.
"""

from django.db.models.signals import post_delete, post_save
from django.template.loader import render_to_string

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
    """The HTML of each wish that still exists, by its key: the same for all, in the active language."""
    wishes = Wish.objects.board().filter(pk__in=keys)
    return {str(wish.pk): render_to_string("wishes/_wish.html", {"wish": wish}) for wish in wishes}


def wish_changed(instance, **kwargs):
    publish(TOPIC, instance.pk)


def cheer_saved(instance, **kwargs):
    publish(TOPIC, instance.wish_id)


def cheer_deleted(instance, origin, **kwargs):
    # A wish that takes its cheers with it speaks for itself, once.
    if not isinstance(origin, Wish) and getattr(origin, "model", None) is not Wish:
        publish(TOPIC, instance.wish_id)


# --- Conversations: each is a topic of its own, which its two participants may follow ---


def talk_topic(pk):
    return f"talks/{pk}"


def is_one_of_the_two(user, pk):
    return Talk.objects.of(user).filter(pk=pk).exists()


def render_messages(keys, pk):
    """The HTML of each message that still exists, by its key: the same for both."""
    messages = Message.objects.filter(talk=pk, pk__in=keys).select_related("author")
    return {str(message.pk): render_to_string("wishes/_message.html", {"message": message}) for message in messages}


def message_saved(instance, **kwargs):
    publish(talk_topic(instance.talk_id), instance.pk)


def message_deleted(instance, origin, **kwargs):
    # Nobody may follow a conversation any more that takes its messages with it.
    if isinstance(origin, Message) or getattr(origin, "model", None) is Message:
        publish(talk_topic(instance.talk_id), instance.pk)
