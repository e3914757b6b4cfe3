"""A cluster as kubectl sees it: an API that keeps what is applied, and says at once what would have become of it."""

import base64
import hashlib
import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
MADE = "2026-01-01T00:00:00Z"
GROUPS = {
    "v1": ["ConfigMap", "Secret", "Service", "Pod", "Namespace"],
    "apps/v1": ["Deployment"],
    "batch/v1": ["Job"],
    "policy/v1": ["PodDisruptionBudget"],
    "networking.k8s.io/v1": ["NetworkPolicy", "Ingress"],
    "autoscaling/v2": ["HorizontalPodAutoscaler"],
    "authorization.k8s.io/v1": ["SelfSubjectAccessReview"],
}


def plural(kind):
    return {"NetworkPolicy": "networkpolicies", "Ingress": "ingresses"}.get(kind, f"{kind.lower()}s")


KINDS = {plural(kind): kind for kinds in GROUPS.values() for kind in kinds}


def version_of(kind):
    return next(version for version, kinds in GROUPS.items() if kind in kinds)


def matches(selector, labels):
    """As Kubernetes writes selectors: a=b, a!=b, a in (b,c), a notin (b,c)."""
    for part in re.findall(r"[^,(]+(?:\([^)]*\))?", selector or ""):
        if found := re.fullmatch(r"\s*(\S+) (in|notin) \((.*)\)", part):
            name, word, values = found.groups()
            if (labels.get(name) in [value.strip() for value in values.split(",")]) != (word == "in"):
                return False
        else:
            name, word, value = re.fullmatch(r"\s*([^=!\s]+)\s*(!?=)=?\s*(\S*)", part).groups()
            if (labels.get(name) == value) != (word == "="):
                return False
    return True


class Cluster:
    def __init__(self):
        self.objects = {}
        """By kind and name."""
        self.told = []
        """What happened to Deployments, Jobs and pods, in this order: a verb, a name, and what it was about."""
        self.broken = set()
        """Pairs of a Deployment, or the Job, and an image of which its pods never get ready."""
        self.stuck = set()
        """Images that no node can pull."""
        self.forbidden = set()
        self.commands = {}
        """What a command in a pod ends with, by a word in it; otherwise 0."""
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def put(self, kind, name, item):
        self.objects[kind, name] = item
        if kind not in ("Deployment", "Job"):
            return
        images = {each["name"]: each["image"] for each in self.containers(item)}
        self.told.append((kind, name, images.get("before"), images["project"]))
        if kind == "Deployment":
            replicas = item["spec"].get("replicas", 1)
            is_broken = self.is_broken(name, images)
            item["metadata"]["generation"] = 1
            item["status"] = {
                "observedGeneration": 1,
                "replicas": replicas,
                "updatedReplicas": 1 if is_broken else replicas,
                "readyReplicas": replicas,
                "availableReplicas": replicas,
                "conditions": [
                    {
                        "type": "Progressing",
                        "status": str(not is_broken),
                        "reason": "ProgressDeadlineExceeded" if is_broken else "NewReplicaSetAvailable",
                    }
                ],
            }
        if kind == "Job" and images["project"] not in self.stuck:
            ended = "Failed" if self.is_broken(name, images) else "Complete"
            item["status"] = {"conditions": [{"type": ended, "status": "True"}]}

    def is_broken(self, name, images):
        return (name, images["project"]) in self.broken

    @staticmethod
    def containers(item):
        spec = item["spec"]["template"]["spec"]
        return [*spec["containers"], *spec.get("initContainers", [])]

    def image(self, name, container="project"):
        return {each["name"]: each["image"] for each in self.containers(self.objects["Deployment", name])}[container]

    def names(self, kind):
        return {name for each, name in self.objects if each == kind}

    def pods(self):
        for (kind, name), item in list(self.objects.items()):
            if kind in ("Deployment", "Job"):
                images = {each["name"]: each["image"] for each in self.containers(item)}
                is_stuck = images.get("project") in self.stuck
                waits = {"waiting": {"reason": "ImagePullBackOff", "message": ""}}
                state = waits if is_stuck else {"running": {"startedAt": MADE}}
                container = {"name": "project", "ready": not is_stuck, "state": state}
                yield {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "metadata": {
                        "name": f"{name}-1",
                        "namespace": "wisheasy",
                        "labels": item["spec"]["template"]["metadata"]["labels"],
                        "creationTimestamp": MADE,
                    },
                    "spec": item["spec"]["template"]["spec"],
                    "status": {"phase": "Running", "containerStatuses": [container]},
                }

    def listed(self, kind, query):
        items = self.pods() if kind == "Pod" else [item for (each, _), item in self.objects.items() if each == kind]
        field = query.get("fieldSelector", "").removeprefix("metadata.name=")
        return [
            item
            for item in items
            if matches(query.get("labelSelector"), item["metadata"].get("labels", {}))
            and field in ("", item["metadata"]["name"])
        ]

    def handler(cluster):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments):
                pass

            def answer(self, body, status=200):
                data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "text/plain" if isinstance(body, str) else "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def missing(self, name=""):
                details = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
                self.answer({**details, "message": f"{name} not found"}, 404)

            def body(self):
                return json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "{}")

            def where(self):
                """The kind, the name and what of it is asked for, in a path of the API."""
                parts = [part for part in urlsplit(self.path).path.split("/") if part]
                parts = parts[2:] if parts[0] == "api" else parts[3:]
                if parts[0] == "namespaces" and len(parts) > 2:
                    parts = parts[2:]
                return KINDS[parts[0]], *[*parts[1:], "", ""][:2]

            @property
            def query(self):
                return {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}

            def do_GET(self):
                path = urlsplit(self.path).path
                if answer := discovery(path):
                    self.answer(answer)
                elif path.count("/") < 3:
                    self.missing(path)
                else:
                    self.get(*self.where())

            def get(self, kind, name, part):
                if part == "log":
                    self.answer(f"the log of {name}\n")
                elif part == "exec":
                    self.execute(name)
                elif "watch" in self.query:
                    self.watch(kind)
                elif not name:
                    head = {"apiVersion": version_of(kind), "kind": f"{kind}List", "metadata": {"resourceVersion": "1"}}
                    self.answer({**head, "items": cluster.listed(kind, self.query)})
                elif found := [item for item in cluster.listed(kind, {}) if item["metadata"]["name"] == name]:
                    self.answer(found[0])
                else:
                    self.missing(f"{plural(kind)} {name!r}")

            def do_POST(self):
                kind, name, part = self.where()
                if part == "exec":
                    return self.execute(name)
                data = self.rfile.read(int(self.headers["Content-Length"]))
                if "protobuf" in self.headers["Content-Type"]:
                    # Of a right that is asked for, or of the namespace. The words are in it as they are.
                    words = {word.decode() for word in re.findall(rb"[a-z]{3,}", data)}
                    allowed = not any(set(right.split()) <= words for right in cluster.forbidden)
                    item = {"apiVersion": version_of(kind), "kind": kind, "metadata": {"name": "wisheasy"}}
                    item["status"] = {"allowed": allowed}
                    if kind == "Namespace":
                        cluster.put(kind, "wisheasy", item)
                    return self.answer(item, 201)
                item = json.loads(data)
                item["metadata"].setdefault("namespace", "wisheasy")
                cluster.put(kind, item["metadata"]["name"], item)
                return self.answer(item, 201)

            def do_PATCH(self):
                kind, name, _ = self.where()
                patch = self.body()
                item = cluster.objects[kind, name]
                applied = patch.get("metadata", {}).get("annotations", {}).get(LAST_APPLIED)
                if applied:
                    item = json.loads(applied)
                    item["metadata"].setdefault("annotations", {})[LAST_APPLIED] = applied
                else:
                    # kubectl set image.
                    changed = patch.get("spec", {}).get("template", {}).get("spec", {})
                    for each in cluster.containers(item) if changed else []:
                        for one in changed.get("initContainers", []) + changed.get("containers", []):
                            each["image"] = one["image"] if one["name"] == each["name"] else each["image"]
                cluster.put(kind, name, item)
                return self.answer(item)

            def do_DELETE(self):
                self.body()
                kind, name, _ = self.where()
                if not cluster.objects.pop((kind, name), None):
                    return self.missing(name)
                cluster.told.append(("delete", kind, name, ""))
                return self.answer({"kind": "Status", "apiVersion": "v1", "status": "Success"})

            def watch(self, kind):
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Connection", "close")
                self.end_headers()
                if "sendInitialEvents" in self.query:
                    for item in cluster.listed(kind, self.query):
                        self.wfile.write(json.dumps({"type": "ADDED", "object": item}).encode() + b"\n")
                    end = {"resourceVersion": "1", "annotations": {"k8s.io/initial-events-end": "true"}}
                    mark = {"apiVersion": version_of(kind), "kind": kind, "metadata": end}
                    self.wfile.write(json.dumps({"type": "BOOKMARK", "object": mark}).encode() + b"\n")
                self.wfile.flush()
                time.sleep(0.3)
                self.close_connection = True

            def execute(self, pod):
                """A WebSocket, and on its channel 3 how the command ended."""
                words = parse_qs(urlsplit(self.path).query)["command"]
                cluster.told.append(("exec", pod, " ".join(words), ""))
                key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
                self.send_response(101)
                self.send_header("Upgrade", "websocket")
                self.send_header("Connection", "Upgrade")
                self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
                self.send_header("Sec-WebSocket-Protocol", "v5.channel.k8s.io")
                self.end_headers()
                code = next((code for word, code in cluster.commands.items() if word in words), 0)
                status = {"metadata": {}, "status": "Success"}
                if code:
                    cause = {"reason": "ExitCode", "message": str(code)}
                    status |= {"status": "Failure", "reason": "NonZeroExitCode", "details": {"causes": [cause]}}
                for channel, text in ((1, f"{words[-1]} in {pod}\n"), (3, json.dumps(status))):
                    data = bytes([channel]) + text.encode()
                    size = bytes([len(data)]) if len(data) < 126 else b"\x7e" + len(data).to_bytes(2)
                    self.wfile.write(b"\x82" + size + data)
                self.wfile.write(b"\x88\x02\x03\xe8")
                self.wfile.flush()
                self.close_connection = True

        return Handler


def discovery(path):
    """What the API tells of itself, at this path."""
    groups = [version.split("/") for version in GROUPS if "/" in version]
    places = {("apis/" if "/" in version else "api/") + version: version for version in GROUPS}
    answers = {
        "version": {"major": "1", "minor": "37", "gitVersion": "v1.37.0"},
        "api": {"kind": "APIVersions", "versions": ["v1"]},
        "apis": {
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": [
                {"name": group, "versions": [{"groupVersion": f"{group}/{version}", "version": version}]}
                for group, version in groups
            ],
        },
        "openapi/v3": {"paths": {place: {"serverRelativeURL": f"/openapi/v3/{place}"} for place in places}},
    }
    for place, version in places.items():
        answers[place] = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version}
        answers[place]["resources"] = [resource(kind) for kind in GROUPS[version]]
        paths = {f"/{plural(kind)}/{{name}}": {"patch": operation(version, kind)} for kind in GROUPS[version]}
        answers[f"openapi/v3/{place}"] = {"openapi": "3.0.0", "info": {"title": "", "version": ""}, "paths": paths}
    return answers.get(path.strip("/"))


def resource(kind):
    verbs = ["get", "list", "watch", "create", "patch", "delete"]
    names = {"name": plural(kind), "singularName": kind.lower(), "kind": kind}
    return {**names, "namespaced": kind != "Namespace", "verbs": verbs}


def operation(version, kind):
    group, _, number = version.rpartition("/")
    return {
        "parameters": [{"name": "fieldValidation", "in": "query"}],
        "responses": {},
        "x-kubernetes-group-version-kind": {"group": group, "version": number, "kind": kind},
    }
