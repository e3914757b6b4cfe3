from contextlib import contextmanager
from importlib.metadata import version
from types import FunctionType

# handler.py, middleware.py and threads.py use private names of these packages, and were compared with the source of
# these versions. With others, Django's own handler serves, as with STOCK_ASGI=1, and a check reports it (ops.W006).
COMPARED_WITH = {"django": ("6.1",), "asgiref": ("3.13",)}


def not_compared() -> list[str]:
    """The packages installed in other versions: "django 6.2", …"""
    found = {package: ".".join(version(package).split(".")[:2]) for package in COMPARED_WITH}
    return [f"{package} {minor}" for package, minor in found.items() if minor not in COMPARED_WITH[package]]


def is_own(function) -> bool:
    """Is this function Django's or kit's own, and not replaced or wrapped by a tracer?"""
    function = getattr(function, "__func__", function)
    # functools.wraps copies the name and the module, but not these.
    return type(function) is FunctionType and function.__globals__["__name__"].startswith(("django.", "kit."))


@contextmanager
def replaced(module, **names):
    """Replace these names in the module until the context ends."""
    originals = {name: getattr(module, name) for name in names}
    vars(module).update(names)
    try:
        yield
    finally:
        vars(module).update(originals)
