"""MEDIA_STORE, as docs/product.md tells it, with a store that speaks S3 (moto's)."""

import asyncio
import contextlib
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from urllib.parse import quote

import httpx
import pytest

from kit.store import EXPECTED
from workshop.tests.servers import EMBEDDED_MODES, free_port, serve

from . import page

PICTURE = b"\x89PNG\r\n" + secrets.token_bytes(100_000)
BUCKET = "media-of-the-test"


class Relay:
    """A port in front of the store that can make it slow."""

    def __init__(self, port):
        self.behind = port
        self.delay = 0
        self.loop = asyncio.new_event_loop()
        self.server = self.loop.run_until_complete(asyncio.start_server(self.pass_both_ways, "127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    async def pass_both_ways(self, reader, writer):
        behind_reader, behind_writer = await asyncio.open_connection("127.0.0.1", self.behind)
        await asyncio.gather(self.pass_on(reader, behind_writer), self.pass_on(behind_reader, writer))

    async def pass_on(self, reader, writer):
        while data := await reader.read(65_536):
            await asyncio.sleep(self.delay)
            writer.write(data)
            await writer.drain()
        writer.close()


# What the owner of a store does in its console: a bucket, and a key that may do everything in it and nothing else.
CONSOLE = """
import json, sys
import boto3

address, bucket = sys.argv[1:]
options = {"endpoint_url": address, "region_name": "us-east-1", "aws_access_key_id": "-", "aws_secret_access_key": "-"}
boto3.client("s3", **options).create_bucket(Bucket=bucket)
iam = boto3.client("iam", **options)
iam.create_user(UserName="media")
allowed = {"Effect": "Allow", "Action": "s3:*", "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]}
policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
iam.put_user_policy(UserName="media", PolicyName="media", PolicyDocument=policy)
print(json.dumps(iam.create_access_key(UserName="media")["AccessKey"], default=str))
"""


@pytest.fixture(scope="module")
def store(packages, tmp_path_factory):
    port = free_port()
    # From the fifth call on it asks who is there, as a real one does.
    environment = {**os.environ, "PYTHONPATH": str(packages), "INITIAL_NO_AUTH_ACTION_COUNT": "4"}
    with (tmp_path_factory.mktemp("store") / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            env=environment, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.1)
        made = subprocess.run(
            [sys.executable, "-c", CONSOLE, f"http://127.0.0.1:{port}", BUCKET],
            env=environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        relay = Relay(port)
        relay.key = json.loads(made.stdout)
        yield relay
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def project(clone, packages):
    page.add_app("pictures", clone)
    page.migrate("pictures", clone, packages)
    # Nobody wants to wait for that here.
    file = clone / "kit/store.py"
    text = file.read_text()
    assert text.count("read_timeout=10") == 1
    file.write_text(text.replace("read_timeout=10", "read_timeout=1"))
    return clone


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module", params=EMBEDDED_MODES)
def server(request, project, packages, folder, store):
    secret = folder / "media_store"
    key, password = quote(store.key["AccessKeyId"], safe=""), quote(store.key["SecretAccessKey"], safe="")
    secret.write_text(f"{store.url.replace('http', 's3+http').replace('//', f'//{key}:{password}@')}/{BUCKET}\n")
    variables = {
        "PYTHONPATH": str(packages),
        "MEDIA_STORE_FILE": str(secret),
        "WEB_THREADS": "2",
    }
    fresh = not (folder / "db.sqlite3").exists()
    with serve(request.param, folder, project, prepare=fresh, **variables) as server:
        yield server


def upload(member, name="picture.png"):
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', member.client.get("/pictures/").text)[1]
    return member.client.post(
        "/pictures/", data={"csrfmiddlewaretoken": token}, files={"file": (name, PICTURE)}, follow_redirects=True
    )


def addresses(answer):
    return [unescape(address) for address in re.findall(r'<img src="([^"]+)"', answer.text)]


@contextlib.contextmanager
def signed_addresses(store):
    """moto checks signatures in headers, as those of an upload. In an address it only wants to see one, and not even
    that while it checks the others."""
    httpx.post(f"{store.url}/moto-api/reset-auth", content="1000")
    yield
    httpx.post(f"{store.url}/moto-api/reset-auth", content="0")


def test_what_is_uploaded_can_be_seen(server, store):
    with server.member() as member:
        answer = upload(member)
    assert answer.status_code == 200, answer.text
    [address] = addresses(answer)
    assert address.startswith(f"{store.url}/{BUCKET}/pictures/")
    assert "X-Amz-Expires=3600" in address
    with signed_addresses(store):
        assert httpx.get(address).content == PICTURE
        assert httpx.get(address.split("?")[0]).status_code == 403
    # The page's policy lets a browser load it, and nothing of somebody else's bucket.
    policy = answer.headers["Content-Security-Policy"]
    assert f"img-src 'self' {store.url}/{BUCKET}/;" in f"{policy};"


def test_a_second_one_of_the_same_name_takes_no_place(server):
    with server.member() as member:
        upload(member)
        first, second = addresses(upload(member))
    assert first.split("?")[0] != second.split("?")[0]


def test_what_can_hold_scripts_is_refused(server):
    with server.member() as member:
        answer = upload(member, name="picture.svg")
    assert addresses(answer) == []
    assert "svg" in answer.text


@contextlib.contextmanager
def slow(store, delay):
    store.delay = delay
    try:
        yield
    finally:
        store.delay = 0


@pytest.mark.modes("asgi")
def test_a_slow_store_does_not_hold_the_event_loop(server, store):
    with server.member() as one, server.member() as other, ThreadPoolExecutor(2) as visitors:
        upload(one), upload(other)
        with slow(store, 0.5), server.client() as client:
            uploads = [visitors.submit(upload, member) for member in (one, other)]
            # Both threads wait for the store; what needs none is answered.
            time.sleep(0.3)
            for _ in range(5):
                begin = time.monotonic()
                assert client.get("/healthz/live").status_code == 200
                assert time.monotonic() - begin < 0.4
            assert not all(each.done() for each in uploads)
        assert [len(addresses(each.result())) for each in uploads] == [2, 2]


@pytest.mark.modes("asgi")
def test_a_store_that_is_away_is_given_up_on(server, store):
    with server.member() as member, slow(store, 60):
        begin = time.monotonic()
        assert upload(member).status_code == 500
        # Two tries.
        assert time.monotonic() - begin < 6


WRONG = {
    "another scheme": ("gs://key:secret@host/bucket", "; 'gs' is none of the schemes s3, s3+http"),
    "no bucket": ("s3://key:secret@host", ""),
    "no key": ("s3://host/bucket", ""),
    "an option that there is not": ("s3://key:secret@host/bucket?acl=public", ""),
}


@pytest.mark.parametrize(("address", "why"), WRONG.values(), ids=WRONG)
def test_a_wrong_address_stops_the_start_and_is_not_shown(project, packages, address, why):
    result = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=project, env={**os.environ, "PYTHONPATH": str(packages), "MEDIA_STORE": address},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 1
    assert result.stderr == f"MEDIA_STORE is wrong: expected {EXPECTED}{why}.\n"
