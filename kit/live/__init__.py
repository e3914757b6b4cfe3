"""Pages that stay live: `register` a topic and its audience, `publish` each change, build the page from `latest`. All
of these can be imported before the applications are loaded."""

from .topics import announce, get, publish, register

__all__ = ["announce", "is_our_origin", "latest", "publish", "register"]


def latest(topic: str) -> str:
    """The cursor of a page that is built from what the database holds now. Take it first, then query."""
    from . import changes

    return changes.latest(get(topic).name)


def is_our_origin(origin: str) -> bool:
    """Is this Origin header that of a page of this site?"""
    from . import sockets

    return sockets.is_our_origin(origin)
