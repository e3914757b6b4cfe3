"""Two topics that tests can rely on whatever the project is: the stored posts of the page /probe/, and "notes", whose
objects are nothing but their keys and need no table."""

from django.template.loader import render_to_string
from django.utils.translation import get_language

from kit.live import register

from .models import Post

POSTS, NOTES = "probe", "notes"


def connect():
    register(POSTS, render_posts, public=True)
    register(NOTES, render_notes, public=True)


def render_posts(keys):
    posts = Post.objects.filter(pk__in=keys)
    return {str(post.pk): render_to_string("probe/_post.html", {"post": post}) for post in posts}


def render_notes(keys):
    """A note is its own text; one that begins with "no " is gone."""
    return {key: f"<p lang={get_language()}>{key}</p>" for key in keys if not key.startswith("no ")}
