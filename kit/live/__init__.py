"""Live pages: `register` a topic and its audience, `publish` each change, and build the page from `latest`. You can
import all of these before the applications are loaded."""

from .topics import announce, get, publish, register

__all__ = ["announce", "is_our_origin", "latest", "publish", "register"]


def latest(topic: str) -> str:
    """The cursor for a page that is built now. Call it before you query."""
    from . import changes

    return changes.latest(get(topic).name)


def is_our_origin(origin: str) -> bool:
    """Does this Origin header name a page of this site?"""
    from . import sockets

    return sockets.is_our_origin(origin)
