"""MEDIA_STORE: the address of a store that speaks S3, and what the settings make of it."""

import importlib.util
import re
from urllib.parse import parse_qs, unquote, urlsplit

from kit.environment import WrongPart

EXPECTED = "an address such as s3://KEY:SECRET@s3.example.com/bucket?region=eu-1"


def is_store(value: str) -> bool:
    parts = urlsplit(value)
    if parts.scheme not in ("s3", "s3+http"):
        raise WrongPart(f"{parts.scheme!r} is no scheme that is known")
    if not importlib.util.find_spec("storages") or not importlib.util.find_spec("boto3"):
        raise WrongPart('add "django-storages[s3]~=1.14" to pyproject.toml and run make lock first')
    known = set(parse_qs(parts.query)) <= {"region"}
    bucket = re.fullmatch(r"/[a-z0-9][a-z0-9.-]+", parts.path)
    # A port that is no number: ValueError.
    complete = parts.hostname and parts.username and parts.password and parts.port != 0
    return bool(known and bucket and complete)


def store(value: str) -> tuple[dict, str]:
    """The entry of STORAGES for MEDIA_STORE, and the source of its files for a Content Security Policy."""
    from botocore.config import Config

    parts = urlsplit(value)
    address = f"{'https' if parts.scheme == 's3' else 'http'}://{parts.netloc.rpartition('@')[2]}"
    bucket = parts.path[1:]
    options = {
        "bucket_name": bucket,
        "endpoint_url": address,
        "region_name": parse_qs(parts.query).get("region", ["us-east-1"])[0],
        "access_key": unquote(parts.username),
        "secret_key": unquote(parts.password),
        # A name that is taken gets a suffix, so the files of a backup remain.
        "file_overwrite": False,
        # Addresses are signed, and lead to a file for this many seconds.
        "querystring_expire": 3600,
        # By default it tries five times for a minute each, and holds the thread of a visitor as long.
        "client_config": Config(
            s3={"addressing_style": "path"},
            signature_version="s3v4",
            connect_timeout=3,
            read_timeout=10,
            retries={"total_max_attempts": 2},
        ),
    }
    return {"BACKEND": "kit.s3.Store", "OPTIONS": options}, f"{address}/{bucket}/"
