"""Every saved or deleted wish or cheer is published, wherever that happened: a page, the admin, a shell.

`QuerySet.update` and `bulk_create` send no signals: after them, call publish() for each object that changed.
"""

from django.db.models.signals import post_delete, post_save
from django.template.loader import render_to_string

from kit.live import publish, register

from .models import Cheer, Wish

TOPIC = "wishes"


def connect():
    register(TOPIC, render, public=True)
    for signal in (post_save, post_delete):
        signal.connect(wish_changed, sender=Wish)
    post_save.connect(cheer_saved, sender=Cheer)
    post_delete.connect(cheer_deleted, sender=Cheer)


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
