"""Topics that tests can rely on whatever the project is, one of each kind. Those of the page /probe/ are stored posts;
the objects of the others are nothing but their keys, and need no table."""

from django.template.loader import render_to_string
from django.utils.translation import get_language

from kit.live import register

from .models import Post

POSTS, NOTES = "probe", "notes"


def connect():
    register(POSTS, render_posts, public=True)
    register(NOTES, render_notes, public=True)
    register("letters/<int:user_id>", render_notes_of, may_follow=is_user)
    register("rooms/<slug:room>", render_notes_of, may_follow=is_inside)
    register("seats/<slug:room>", render_for_viewer, may_follow=is_seated, per_viewer=True)


def render_posts(keys):
    posts = Post.objects.filter(pk__in=keys)
    return {str(post.pk): render_to_string("probe/_post.html", {"post": post}) for post in posts}


def render_notes(keys):
    """A note is its own text; one that begins with "no " is gone."""
    return {key: f"<p lang={get_language()}>{key}</p>" for key in keys if not key.startswith("no ")}


def render_notes_of(keys, **parameters):
    return render_notes(keys)


def render_for_viewer(keys, user, room):
    return {key: f"<p lang={get_language()}>{key} for {user.get_username()}</p>" for key in keys}


def is_user(user, user_id):
    return user.pk == user_id


# A room is a group, its members those of the group.


def is_seated(user, room):
    return user.groups.filter(name=room).exists()


async def is_inside(user, room):
    return await user.groups.filter(name=room).aexists()
