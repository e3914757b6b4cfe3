from importlib.metadata import version

# handler.py, middleware.py and threads.py use private names of these, and were compared with their source in these
# versions. Under another one Django's own handler serves, as with STOCK_ASGI=1, and a check says so (ops.W006).
COMPARED_WITH = {"django": ("6.1",), "asgiref": ("3.13",)}


def not_compared() -> list[str]:
    """What is installed in another version: "django 6.2", …"""
    found = {package: ".".join(version(package).split(".")[:2]) for package in COMPARED_WITH}
    return [f"{package} {minor}" for package, minor in found.items() if minor not in COMPARED_WITH[package]]
