"""MEDIA_STORE: the address of an S3-compatible store, and the settings made from it."""

import importlib.util
import re
from urllib.parse import parse_qs, unquote, urlsplit

from kit.environment import WrongPart, has_scheme

EXPECTED = "an address such as s3://KEY:SECRET@s3.example.com/bucket?region=eu-1"


def is_store(value: str) -> bool:
    parts = urlsplit(value)
    has_scheme(value, "s3", "s3+http")
    if not importlib.util.find_spec("storages") or not importlib.util.find_spec("boto3"):
        raise WrongPart('add "django-storages[s3]~=1.14" to pyproject.toml and run make lock first')
    known = set(parse_qs(parts.query)) <= {"region"}
    bucket = re.fullmatch(r"/[a-z0-9][a-z0-9.-]+", parts.path)
    # Raises ValueError if the port is not a number.
    complete = parts.hostname and parts.username and parts.password and parts.port != 0
    return bool(known and bucket and complete)


def store(value: str) -> tuple[dict, str]:
    """The STORAGES entry for MEDIA_STORE, and the source of its files for the Content Security Policy."""
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
        # Never overwrites, so files in a backup stay valid.
        "file_overwrite": False,
        # Seconds for which a signed URL is valid.
        "querystring_expire": 3600,
        # The default, five attempts of a minute each, would hold a visitor's thread that long.
        "client_config": Config(
            s3={"addressing_style": "path"},
            signature_version="s3v4",
            connect_timeout=3,
            read_timeout=10,
            retries={"total_max_attempts": 2},
        ),
    }
    return {"BACKEND": "kit.s3.Store", "OPTIONS": options}, f"{address}/{bucket}/"
