"""What each workload answers, through real servers, sync and async alike."""

import json
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from workshop.tests.servers import ROOT

KINDS = ("sync", "async")
both = pytest.mark.parametrize("kind", KINDS)
NAMES = ("plain", "page", "query", "queries", "upstream", "fanout", "mixed", "cpu", "stream", "download")


def get(server, path, **headers):
    # Loading the certificates, of which there are none here, would take longer than most answers.
    return httpx.get(f"{server.url}/lab/{path}", headers=headers, timeout=30, verify=False)


def timed(call):
    begin = time.monotonic()
    return call(), time.monotonic() - begin


@both
@pytest.mark.parametrize("name", NAMES)
def test_every_workload_answers_and_says_where_it_ran(lab, name, kind):
    response = get(lab, f"{name}/{kind}")
    assert response.status_code == 200
    assert int(response.headers["Lab-Process"]) > 1
    assert response.headers["Lab-Thread"]
    assert "Set-Cookie" not in response.headers


@both
def test_all_middleware_is_passed(lab, kind):
    # A header each of security, locale and clickjacking protection.
    headers = get(lab, f"plain/{kind}").headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Content-Language"] == "en"


@both
def test_a_view_says_how_long_it_took(lab, kind):
    response = get(lab, f"upstream/{kind}?seconds=0.2")
    took = re.fullmatch(r"view;dur=([\d.]+)", response.headers["Server-Timing"])
    # A timer may be a little early.
    assert 199 <= float(took[1]) < 1000


def test_an_async_view_under_asgi_runs_on_the_event_loop(lab):
    on_loop = get(lab, "plain/async").headers["Lab-Thread"] == "MainThread"
    assert on_loop == (lab.mode == "asgi")
    assert get(lab, "plain/sync").headers["Lab-Thread"] != "MainThread"


@both
def test_the_page_has_about_ten_kilobytes_from_a_loop(lab, kind):
    html = get(lab, f"page/{kind}").text
    assert 9_000 < len(html) < 12_000
    assert html.count("<tr") == 51


@both
def test_a_query_answers_one_of_the_thousand_rows(lab, kind):
    row = get(lab, f"query/{kind}").json()
    assert 1 <= row["number"] <= 1000
    assert row["text"] == f"Row {row['number']} of 1000"


@both
def test_five_queries_answer_five_rows(lab, kind):
    rows = get(lab, f"queries/{kind}").json()["rows"]
    assert len(rows) == 5
    assert all(row["text"] == f"Row {row['number']} of 1000" for row in rows)


@both
@pytest.mark.parametrize("name", ["upstream", "mixed"])
def test_the_upstream_is_waited_for_as_long_as_asked(lab, name, kind):
    response, seconds = timed(lambda: get(lab, f"{name}/{kind}?seconds=0.3"))
    assert response.status_code == 200
    assert 0.3 <= seconds < 0.9


@both
@pytest.mark.parametrize("name", ["upstream", "mixed"])
@pytest.mark.parametrize("seconds", ["", "-1", "5.1", "nan", "inf", "1e0", "one", "٣", "0x1", "1 ", "9" * 400])
def test_a_wait_that_is_none_is_refused_in_one_sentence(lab, name, kind, seconds):
    response = httpx.get(f"{lab.url}/lab/{name}/{kind}", params={"seconds": seconds})
    assert response.status_code == 400
    assert response.json() == {"error": f"seconds={seconds[:20]!r} is not a number of seconds from 0 to 5."}


def test_the_sentence_is_there_in_korean(lab):
    response = get(lab, "upstream/sync?seconds=x", **{"Accept-Language": "ko"})
    assert response.json() == {"error": "seconds='x': 0부터 5까지의 초 값이 아닙니다."}


def test_ten_upstreams_take_a_second_in_turn_and_a_tenth_at_once(lab):
    assert timed(lambda: get(lab, "fanout/sync"))[1] >= 1
    assert timed(lambda: get(lab, "fanout/async"))[1] < 0.8


def test_both_kinds_compute_the_same(lab):
    assert get(lab, "cpu/sync").json() == get(lab, "cpu/async").json()


def test_only_async_under_asgi_waits_without_holding_a_thread(lab):
    with lab.client() as client, ThreadPoolExecutor(12) as pool:
        answers, seconds = timed(lambda: list(pool.map(client.get, ["/lab/upstream/async?seconds=1"] * 12)))
    assert {answer.status_code for answer in answers} == {200}
    # Twelve on the four threads of WSGI: three times a second.
    assert seconds >= 3 if lab.mode == "wsgi" else seconds < 2.5


def arrivals(server, path):
    """The moments at which the pieces of the body arrived, and all of it."""
    with httpx.stream("GET", f"{server.url}/lab/{path}", timeout=30) as response:
        found = [(time.monotonic(), piece) for piece in response.iter_raw()]
    return [moment for moment, _ in found], b"".join(piece for _, piece in found)


@both
def test_a_stream_has_twenty_pieces(lab, kind):
    _moments, body = arrivals(lab, f"stream/{kind}")
    assert body.decode().splitlines() == [f"piece {number} of 20" for number in range(1, 21)]


def test_pieces_arrive_as_they_are_made_unless_wsgi_has_to_collect_what_is_async(lab):
    for kind in KINDS:
        moments, _body = arrivals(lab, f"stream/{kind}")
        # The whole of it takes a second. What was collected first arrives at one moment.
        assert (moments[-1] - moments[0] > 0.6) == ((lab.mode, kind) != ("wsgi", "async")), kind


@both
def test_a_download_has_the_length_it_says(lab, kind):
    response = get(lab, f"download/{kind}")
    assert response.headers["Content-Length"] == str(20 * 1024 * 1024)
    assert len(response.content) == 20 * 1024 * 1024


@pytest.mark.parametrize("path", ["nothing/sync", "plain", "plain/", "plain/threads", "plain/sync/"])
def test_what_is_no_workload_is_answered_404(lab, path):
    assert get(lab, path).status_code == 404


@both
def test_a_workload_is_read_and_not_written(lab, kind):
    assert httpx.head(f"{lab.url}/lab/plain/{kind}").status_code == 200
    with lab.client() as client:
        token = csrf_token(client)
        answer = client.post(f"/lab/plain/{kind}", headers={"X-CSRFToken": token, "Origin": origin(lab)})
        assert answer.status_code == 405


def origin(server):
    # SITE_URL, where nothing else is said.
    return server.url.replace("127.0.0.1", "localhost")


def csrf_token(client):
    return re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', client.get("/lab/").text)[1]


def changes(client):
    return client.get("/live/lab/changes?after=0").json()["changes"]


@both
def test_a_broadcast_changes_the_live_topic(lab, kind):
    with lab.client() as client:
        headers = {"X-CSRFToken": csrf_token(client)}
        response = client.post(f"/lab/broadcast/{kind}", headers=headers)
        assert response.status_code == 201
        text = response.json()["text"]
        assert abs(float(text) - time.time()) < 5
        assert changes(client) == [{"id": "0", "html": f'<p id="lab-0">{text}</p>'}]


@both
def test_a_broadcast_needs_the_token_of_the_page(lab, kind):
    with lab.client() as client:
        assert client.post(f"/lab/broadcast/{kind}").status_code == 403
        assert client.get(f"/lab/broadcast/{kind}").status_code == 405


def test_the_command_publishes_as_often_as_it_is_told(lab, tmp_path):
    environment = {
        **{name: os.environ[name] for name in ("PATH", "SECRET_KEY")},
        "DATABASE_URL": f"sqlite:///{lab.log.parent}/db.sqlite3",
        "DJANGO_SETTINGS_MODULE": "workshop.lab.settings",
    }

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "manage.py", "lab_broadcast", *arguments],
            cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

    texts = run("--count", "2", "--every", "0.01").stdout.split()
    assert len(texts) == 2
    with lab.client() as client:
        assert texts[1] in changes(client)[0]["html"]
    for wrong in ("0", "-1"):
        refused = run("--count", wrong)
        assert refused.returncode == 1
        assert "a whole number of 1 or more" in refused.stderr


def test_the_page_lists_every_workload_and_why(lab):
    html = get(lab, "").text
    data = json.loads(re.search(r'<script id="workloads" type="application/json">(.*?)</script>', html)[1])
    assert [workload["name"] for workload in data] == [*NAMES, "broadcast"]
    for workload in data:
        assert workload["description"]
        whys = [workload["kinds"][kind]["why"] for kind in KINDS]
        assert all(whys)
        assert whys[0] != whys[1]
        for kind in KINDS:
            address = f"/lab/{workload['name']}/{kind}"
            assert workload["kinds"][kind]["address"] == address
            assert (f'href="{address}"' in html) == (workload["method"] == "GET")


def test_nothing_left_a_traceback_in_the_log(lab):
    assert "Traceback" not in lab.log.read_text()
