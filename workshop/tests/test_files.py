"""Visitors' files, where no Nginx serves them: in each mode the same names, headers and refusals."""

import contextlib
import os
import posixpath
import re
from types import SimpleNamespace

import httpx
import pytest
from django.conf import settings as project

from kit import files
from kit.serving.media import Media
from kit.store import is_store
from workshop.tests.servers import EMBEDDED_MODES, ROOT, serve

PICTURE = b"\x89PNG\r\n" + os.urandom(300_000)
MEGABYTE = 1024 * 1024
TRICKS = [
    "../../etc/passwd", "..\\..\\evil.png", "nul\0.png", "x.php.jpg", "a.html", "a.svg", ".htaccess", "CON", "a.",
    "a.png.", "\u202egnp.exe", "가" * 100 + ".png", "x" * 300, "a.png/../b.html", "a b;c.png",
    "....", "%2e%2e%2fa", "<b>.png",
]  # fmt: skip


@pytest.fixture(scope="module", params=EMBEDDED_MODES)
def server(request, tmp_path_factory):
    variables = {"DJANGO_SETTINGS_MODULE": "workshop.tests.files_settings", "LIMIT_UPLOAD": "3"}
    folder = tmp_path_factory.mktemp(request.param)
    with serve(request.param, folder, MEDIA_FOLDER=str(folder / "media"), **variables) as server:
        server.media = folder / "media"
        yield server


@pytest.fixture(scope="module")
def poster(server):
    with server.poster() as poster:
        yield poster


def send(poster, content=PICTURE, name="me.png", **data):
    return poster.keep(name, content, **data)


def test_a_picture_is_shown_and_its_name_says_nothing(poster):
    answer = send(poster).json()
    assert re.fullmatch(r"/media/probe/[\w-]{22}\.png", answer["url"])
    shown = poster.client.get(answer["url"])
    assert shown.content == PICTURE
    assert {name: shown.headers.get(name) for name in files.headers("a.png")} == files.headers("a.png")
    assert "Content-Disposition" not in shown.headers
    part = poster.client.get(answer["url"], headers={"Range": "bytes=2-5"})
    assert (part.status_code, part.content) == (206, PICTURE[2:6])
    assert poster.client.post(answer["url"]).status_code in (403, 405)


@pytest.mark.parametrize("name", TRICKS, ids=ascii)
def test_no_trick_with_a_name_works(poster, server, name):
    answer = send(poster, b"<script>alert(1)</script>", name)
    assert answer.status_code in (200, 422)
    if answer.status_code == 422:
        return
    url = answer.json()["url"]
    assert re.fullmatch(r"/media/probe/[\w-]{22}(\.[a-z0-9]{1,10})?", url)
    assert (server.media / url.removeprefix("/media/")).is_file()
    shown = poster.client.get(url)
    is_picture = url.endswith((".png", ".jpg"))
    assert ("attachment" in shown.headers.get("Content-Disposition", "")) is not is_picture
    assert shown.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in shown.headers["Content-Security-Policy"]
    assert not shown.headers["Content-Type"].startswith(("text/", "image/svg"))


def test_a_kind_that_the_form_forbids_is_not_kept(poster, server):
    before = sorted(server.media.rglob("*"))
    for name in ("a.svg", "a.png.html", "a"):
        assert send(poster, b"<svg/>", name, pictures="1").status_code == 422
    assert sorted(server.media.rglob("*")) == before
    assert send(poster, pictures="1").status_code == 200


def test_a_form_of_another_site_keeps_nothing(poster, server):
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', poster.client.get("/probe/").text)[1]
    before = sorted(server.media.rglob("*"))
    for data, headers in (
        ({}, {}),
        ({"csrfmiddlewaretoken": "x" * 64}, {}),
        ({"csrfmiddlewaretoken": token}, {"Origin": "https://forged.example"}),
    ):
        forged = poster.client.post("/probe/keep", data=data, files={"file": ("a.png", PICTURE)}, headers=headers)
        assert forged.status_code == 403
    assert sorted(server.media.rglob("*")) == before


def test_a_large_one_is_kept_and_a_larger_one_is_answered_413_with_our_page(poster, server):
    assert send(poster, b"x" * (2 * MEGABYTE + MEGABYTE // 2)).status_code == 200
    before = len(list(server.media.rglob("*.png")))
    answer = send(poster, b"x" * 4 * MEGABYTE)
    assert answer.status_code == 413
    assert "<html" in answer.text
    assert len(list(server.media.rglob("*.png"))) == before


def test_a_larger_one_in_chunks_gets_the_same(poster):
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', poster.client.get("/probe/").text)[1]
    fields = {"csrfmiddlewaretoken": token}
    request = httpx.Request("POST", "http://x", data=fields, files={"file": b"x" * 5 * MEGABYTE})
    kind = {"Content-Type": request.headers["Content-Type"]}
    answer = poster.client.post("/probe/keep", content=iter([request.read()]), headers=kind)
    assert answer.status_code == 413
    assert "<html" in answer.text


@pytest.mark.parametrize("size", [4, 20])
def test_after_a_larger_one_the_connection_serves_on(poster, size):
    head = {"Content-Type": "multipart/form-data; boundary=x"}
    for _ in range(3):
        # More than the server reads of it: the rest may never be sent.
        with contextlib.suppress(httpx.WriteError, httpx.ReadError):
            assert poster.client.post("/probe/keep", content=b"x" * size * MEGABYTE, headers=head).status_code == 413
        assert poster.client.get("/healthz/live").status_code == 200


def test_a_private_file_is_sent_to_its_owner_alone(poster, server):
    answer = send(poster, b"%PDF", "invoice.pdf", private="1").json()
    assert answer["name"].startswith("private/probe/")
    assert poster.client.get(answer["url"]).status_code == 404
    address = f"/probe/private/{posixpath.basename(answer['name'])}"
    with server.poster() as other, server.client() as stranger:
        assert [client.get(address).status_code for client in (other.client, stranger)] == [404, 404]
    sent = poster.client.get(address)
    assert (sent.content, sent.headers["Content-Disposition"][:10]) == (b"%PDF", "attachment")
    assert sent.headers["Content-Security-Policy"] == files.POLICY


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.html", "application/octet-stream"), ("a.svg", "application/octet-stream"), ("a.pdf", "application/pdf")],
)
def test_a_private_file_has_a_type_of_the_list_or_none(poster, name, kind):
    kept = posixpath.basename(send(poster, b"<svg/>", name, private="1").json()["name"])
    assert poster.client.get(f"/probe/private/{kept}").headers["Content-Type"] == kind


@pytest.mark.parametrize(
    "path", ["", "probe", "probe/", ".uploads/x", "probe/.hidden", "%2e%2e/db.sqlite3", "link.png", "x" * 300]
)
def test_nothing_else_is_served(poster, server, path):
    (server.media / "probe").mkdir(parents=True, exist_ok=True)
    (server.media / "probe/.hidden").write_text("x")
    if not (server.media / "link.png").is_symlink():
        (server.media / "link.png").symlink_to("/etc/passwd")
    assert poster.client.get(f"/media/{path}").status_code == 404


def test_a_file_beside_another_is_not_taken_for_its_compressed_form(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    (tmp_path / "a.png").write_bytes(b"right")
    (tmp_path / "a.png.gz").write_bytes(b"wrong")
    found = Media().find_file("/media/a.png").get_response("GET", {"HTTP_ACCEPT_ENCODING": "gzip"})
    with found.file as file:
        assert file.read() == b"right"
    assert Media().find_file("/media/a.png.gz")


def test_what_a_killed_server_left_of_an_upload_is_removed_after_a_day(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    files.prune.func()
    (tmp_path / ".uploads").mkdir()
    kept = [tmp_path / "a.png", tmp_path / ".uploads/now.upload"]
    left = tmp_path / ".uploads/left.upload"
    for file in (*kept, left):
        file.touch()
    for file in (kept[0], left):
        os.utime(file, (0, 0))
    files.prune.func()
    assert [file.exists() for file in (*kept, left)] == [True, True, False]


def test_in_the_stack_nginx_sends_a_private_file(settings):
    settings.SLOT = "blue"
    storage = files.Files()
    answer = files.private_file(SimpleNamespace(storage=storage, name="private/a.pdf"))
    assert answer.headers["X-Accel-Redirect"] == "/private-media/private/a.pdf"
    assert answer.content == b""


def test_nginx_says_the_same():
    text = (ROOT / "nginx/snippets/media.conf").read_text()
    kinds = {
        f".{end}": kind
        for kind, ends in re.findall(r"^    (\w+/\w+) +([\w ]+);", text, re.MULTILINE)
        for end in ends.split()
    }
    assert kinds == files.TYPES
    assert f'Content-Security-Policy "{files.POLICY}" always' in text
    maps = (ROOT / "nginx/snippets/maps.conf").read_text()
    assert files.CACHED in maps
    shown = re.compile(re.search(r"'~\*(.+?webp.+?)'", maps)[1], re.IGNORECASE)
    for end, kind in files.TYPES.items():
        assert bool(shown.search(f"/media/x{end}")) is kind.startswith("image/")


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("ftp://a:b@c/bucket", "'ftp' is none of the schemes s3, s3+http"),
        ("s3://a:b@c/bucket", 'add "django-storages[s3]~=1.14"'),
    ],
)
def test_a_store_that_cannot_be_used_is_refused_by_name(value, why):
    with pytest.raises(ValueError, match=re.escape(why)):
        is_store(value)


def test_the_limit_of_a_form_is_one_megabyte_still():
    assert project.DATA_UPLOAD_MAX_MEMORY_SIZE == MEGABYTE
