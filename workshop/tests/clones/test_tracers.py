"""What people add to see errors and traces, as its manual says: what belongs to one visitor is never in what is
reported of another. Nothing leaves the machine: it is written to a file."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from workshop.tests.servers import ROOT, serve

VIEWS = """
import asyncio
import time

import sentry_sdk
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path
from opentelemetry import trace

from workshop.probe.urls import handler400, handler404, urlpatterns, websocket_urlpatterns

tracer = trace.get_tracer("shop")


def say(name):
    sentry_sdk.set_user({"username": name})
    sentry_sdk.set_tag("visitor", name)
    sentry_sdk.add_breadcrumb(message=f"visitor {name}")


def sync(request, name):
    say(name)
    with tracer.start_as_current_span(f"work {name}"):
        time.sleep(0.2)
        raise RuntimeError(name)


async def coroutine(request, name):
    say(name)
    with tracer.start_as_current_span(f"work {name}"):
        await asyncio.sleep(0.2)
        raise RuntimeError(name)


def stream(request, name):
    def parts():
        say(name)
        with tracer.start_as_current_span(f"work {name}"):
            for _ in range(5):
                yield name
                time.sleep(0.04)
            sentry_sdk.capture_exception(RuntimeError(name))

    return StreamingHttpResponse(parts())


async def nobody(request):
    raise RuntimeError("nobody")


urlpatterns = [
    *(path(f"{view.__name__}/<name>", view) for view in (sync, coroutine, stream)),
    path("nobody", nobody),
    *urlpatterns,
]
"""
SENTRY = """
import json
from pathlib import Path

import sentry_sdk
from sentry_sdk.integrations.django import DjangoIntegration
from sentry_sdk.transport import Transport

from workshop.probe.settings import *

ROOT_URLCONF = "traced_views"


class File(Transport):
    def capture_envelope(self, envelope):
        if event := envelope.get_event() or envelope.get_transaction_event():
            with Path(__file__).with_name("reports").open("a") as file:
                file.write(json.dumps(event, default=str) + "\\n")


sentry_sdk.init(
    dsn="http://key@127.0.0.1:9/1",
    transport=File,
    integrations=[DjangoIntegration(middleware_spans=True)],
    traces_sample_rate=1.0,
    send_default_pii=True,
)
"""
OPENTELEMETRY = {
    "settings": """
from workshop.probe.settings import *

ROOT_URLCONF = "traced_views"
WSGI_APPLICATION = ASGI_APPLICATION = "traced_application.application"
""",
    "application": """
from pathlib import Path

from opentelemetry import trace
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult


class File(SpanExporter):
    def export(self, spans):
        with Path(__file__).with_name("reports").open("a") as file:
            file.write("".join(span.to_json(indent=None) + "\\n" for span in spans))
        return SpanExportResult.SUCCESS


trace.set_tracer_provider(TracerProvider())
trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(File()))
DjangoInstrumentor().instrument()
""",
    "wsgi": """
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware
from wisheasy.wsgi import application

application = OpenTelemetryMiddleware(application)
""",
    "asgi": """
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from workshop.lab.asgi import application

application = OpenTelemetryMiddleware(application)
""",
}
SERVERS = {
    "wsgi": ("wsgi", {}),
    "asgi": ("asgi", {}),
    "stock": ("asgi", {"STOCK_ASGI": "1"}),
}


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    return tmp_path_factory.mktemp("database") / "db.sqlite3"


@pytest.fixture(params=SERVERS)
def traced(request, tmp_path, packages, database):
    """Serves with these modules, by their names."""
    mode, variables = SERVERS[request.param]
    variables |= {
        "DJANGO_SETTINGS_MODULE": "traced_settings",
        "PYTHONPATH": f"{tmp_path}:{ROOT}:{packages}",
        "WEB_CONCURRENCY": "1",
        "WEB_THREADS": "4",
        "DATABASE_URL": f"sqlite:///{database}",
    }

    def start(**modules):
        for name, text in {"views": VIEWS, **modules}.items():
            (tmp_path / f"traced_{name}.py").write_text(text)
        server = serve(mode, tmp_path, prepare=not database.exists(), **variables)
        return server

    start.mode, start.reports = mode, tmp_path / "reports"
    return start


def visit(server):
    """The visitors, four at a time, and then one of whom nothing is known."""
    paths = [f"{view}/{view}-{number}" for view in ("sync", "coroutine", "stream") for number in range(4)]
    with ThreadPoolExecutor(4) as visitors:
        for view in range(3):
            list(
                visitors.map(lambda path: httpx.get(f"{server.url}/{path}", timeout=30), paths[view * 4 : view * 4 + 4])
            )
    httpx.get(f"{server.url}/nobody")
    return [path.split("/")[1] for path in paths]


def reported(traced, ready):
    """What was written, as soon as `ready` is content with it."""
    for _ in range(100):
        lines = (
            [json.loads(line) for line in traced.reports.read_text().splitlines()] if traced.reports.exists() else []
        )
        if ready(lines):
            break
        time.sleep(0.05)
    return lines


def test_sentry_never_reports_one_visitor_with_another(traced):
    def all_is_there(reports):
        errors = sum("exception" in report for report in reports)
        return errors == len(names) + 1 and any(is_of_nobody(report) for report in reports)

    def is_of_nobody(report):
        return report.get("type") == "transaction" and report["request"]["url"].endswith("/nobody")

    with traced(settings=SENTRY) as server:
        names = visit(server)
        reports = reported(traced, all_is_there)
    errors = {report["exception"]["values"][-1]["value"]: report for report in reports if "exception" in report}
    assert sorted(errors) == sorted([*names, "nobody"])
    for name, report in errors.items():
        crumbs = [
            crumb["message"] for crumb in report["breadcrumbs"]["values"] if crumb["message"].startswith("visitor")
        ]
        known = name != "nobody"
        assert report.get("user", {}).get("username") == (name if known else None)
        assert report.get("tags", {}).get("visitor") == (name if known else None)
        assert crumbs == ([f"visitor {name}"] if known else [])
        assert report["request"]["url"].endswith(f"/{name}")
    [transaction] = filter(is_of_nobody, reports)
    layers = [span["description"] for span in transaction["spans"] if span["op"] == "middleware.django"]
    assert any(layer.startswith("django.middleware.security.SecurityMiddleware") for layer in layers)


def test_the_spans_of_opentelemetry_belong_to_their_own_request(traced):
    text = OPENTELEMETRY["application"] + OPENTELEMETRY[traced.mode]
    with traced(settings=OPENTELEMETRY["settings"], application=text) as server:
        names = visit(server)
        spans = reported(traced, lambda lines: sum(line["name"].startswith("work") for line in lines) == len(names))
    by_id = {span["context"]["span_id"]: span for span in spans}
    for name in names:
        [work] = [span for span in spans if span["name"] == f"work {name}"]
        above = [work]
        while parent := by_id.get(above[-1]["parent_id"]):
            above.append(parent)
        assert above[-1]["kind"] == "SpanKind.SERVER"
        assert {span["context"]["trace_id"] for span in above} == {work["context"]["trace_id"]}
        assert name in json.dumps(above[-1]["attributes"])
    assert "Failed to detach" not in server.log.read_text()
