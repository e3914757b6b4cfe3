from contextlib import contextmanager
from importlib.metadata import version
from types import FunctionType

# handler.py, middleware.py and threads.py use private names of these, and were compared with their source in these
# versions. Under another one Django's own handler serves, as with STOCK_ASGI=1, and a check says so (ops.W006).
COMPARED_WITH = {"django": ("6.1",), "asgiref": ("3.13",)}


def not_compared() -> list[str]:
    """What is installed in another version: "django 6.2", …"""
    found = {package: ".".join(version(package).split(".")[:2]) for package in COMPARED_WITH}
    return [f"{package} {minor}" for package, minor in found.items() if minor not in COMPARED_WITH[package]]


def is_own(function) -> bool:
    """Is this Django's own, or kit's, and not what a tracer has put around it or in its place?"""
    function = getattr(function, "__func__", function)
    # functools.wraps copies the name and the module, but not these.
    return type(function) is FunctionType and function.__globals__["__name__"].startswith(("django.", "kit."))


@contextmanager
def replaced(module, **names):
    """The module with other things under these names, until the context ends."""
    originals = {name: getattr(module, name) for name in names}
    vars(module).update(names)
    try:
        yield
    finally:
        vars(module).update(originals)
