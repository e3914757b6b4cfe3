"""Draws docs/architecture.svg from what really runs: docker-compose.yml, nginx/ and the table of modes.
`.venv/bin/python bin/draw_architecture.py` writes it anew; tests/test_architecture.py finds out when it has to be."""

import re
import sys
from html import escape
from pathlib import Path

import yaml
from django.utils.module_loading import import_string

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from kit.serving.modes import MODES, Server  # noqa: E402

# What each service is there for, in the words of docker-compose.yml, which a drawing can't read.
JOBS = {
    "nginx": "the edge",
    "waiting-room": "holds what finds no server",
    "certificates": "obtains and renews them",
    "web": "pages",
    "live": "live connections",
    "edge": "fills what Nginx reads",
    "redis": "hints, and nothing else",
    "postgres": "the truth",
    "migrate": "before each start",
    "backup": "every hour",
    "offsite": "copies of the backups",
}
# From top to bottom; a service stands in the row of its networks.
ROWS = [["edge"], ["data", "edge"], ["data"], ["data", "outside"], ["outside"]]
WIDTH, HEIGHT, MARGIN, GAP = 1000, 816, 20, 14
BOX = (WIDTH - 4 * MARGIN - 5 * GAP) / 6
STYLE = """
  :root { color-scheme: light dark; }
  .ground { fill: #ffffff; } .text { fill: #1f2933; } .quiet { fill: #5b6773; }
  .box { fill: #ffffff; stroke: #8fa0b0; } .main { stroke: #2563ab; stroke-width: 2; }
  .network { stroke: #b9c4ce; fill-opacity: 0.6; }
  .edge { fill: #dfecfa; } .data { fill: #e3ebdd; } .outside { fill: #fae6cb; }
  .slot { fill: none; stroke: #2563ab; } .arrow { fill: none; stroke: #2563ab; stroke-width: 1.6; }
  .later { stroke-dasharray: 6 5; } .head { fill: #2563ab; }
  text { font: 13px system-ui, sans-serif; } .name { font-weight: 600; } .small { font-size: 11.5px; }
  .title { font-size: 15px; font-weight: 600; } .code { font: 11.5px ui-monospace, monospace; }
  .middle { text-anchor: middle; }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #14191f; } .text { fill: #e6ebf0; } .quiet { fill: #9ba7b4; }
    .box { fill: #1b2229; stroke: #5b6976; } .main { stroke: #6cabf0; }
    .network { stroke: #46525e; } .edge { fill: #16293e; } .data { fill: #22301f; } .outside { fill: #40301a; }
    .slot { stroke: #6cabf0; } .arrow { stroke: #6cabf0; } .head { fill: #6cabf0; }
  }
"""


class Stack:
    """What there is to draw."""

    def __init__(self):
        compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
        self.services = compose["services"]
        self.closed = [name for name, options in compose["networks"].items() if (options or {}).get("internal")]
        self.slots = sorted({name.partition("-")[2] for name in self.services if name.startswith("web-")})
        # Who answers each upstream, in each mode: {"hybrid": {"pages": "web", "live": "live"}, …}
        self.upstreams = {
            mode: dict(re.findall(r"upstream (\w+)_SLOT \{.*?server (\w+)-SLOT", text, re.DOTALL))
            for mode in MODES
            for text in [(ROOT / f"nginx/upstreams/{mode}.conf").read_text()]
        }

    def row(self, networks: list[str]) -> list[str]:
        return [name for name, service in self.services.items() if sorted(service["networks"]) == networks]

    def servers(self) -> list[str]:
        """web and live, without their slot."""
        return list(dict.fromkeys(name.partition("-")[0] for name in self.row(["data", "edge"])))

    def answers(self, server: str) -> list[str]:
        """The upstreams that it answers, in one mode or another."""
        return list(dict.fromkeys(up for mode in self.upstreams.values() for up, who in mode.items() if who == server))

    def knows(self, slot: str, service: str) -> bool:
        """Have the servers of the slot the address of that service?"""
        secret = {"postgres": "database_url", "redis": "redis_url"}[service]
        return all(secret in self.services[f"{server}-{slot}"]["secrets"] for server in self.servers())

    def routes(self) -> list[tuple[str, str]]:
        """Each address that Nginx knows of the site, and where it leads."""
        site = (ROOT / "nginx/server.conf").read_text().split("\n}\n")[0]
        return [(path, self.target(name)) for path, name in re.findall(r"location (/\S*) \{ include (\S+);", site)]

    def target(self, snippet: str) -> str:
        text = (ROOT / "nginx" / snippet).read_text()
        if found := re.search(r"proxy_pass http://(\w+)_SLOT", text):
            return found[1]
        if root := re.search(r"^root (\S+);", text, re.MULTILINE):
            return f"files in {root[1]}"
        return self.target(re.search(r"include (snippets/to_\S+);", text)[1])

    def ports(self) -> list[str]:
        return list(dict.fromkeys(re.search(r":(\d+)(?:/udp)?$", port)[1] for port in self.services["nginx"]["ports"]))

    def image(self, name: str) -> str:
        image = self.services[name]["image"]
        # The project's own is named after its slot.
        text = "project image" if "COMPOSE_PROJECT_NAME" in image else re.sub(r"\$\{\w+:-(.*?)\}", r"\1", image)
        return f"{text}, once" if self.services[name].get("restart") == "no" else text

    def volumes(self, name: str) -> list[str]:
        mounts = (text.partition(":")[0] for text in self.services[name].get("volumes", []))
        return [f"volume {source}" for source in mounts if not source.startswith(".")]


class Drawing:
    def __init__(self):
        self.parts: list[str] = []

    def rect(self, x, y, width, height, kind, radius=8):
        self.parts.append(
            f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius}"/>'
        )

    def text(self, x, y, text, kind):
        self.parts.append(f'<text class="{kind}" x="{x:g}" y="{y:g}">{escape(text)}</text>')

    def path(self, path, kind, ends=False):
        head = ' marker-end="url(#head)"' if ends else ""
        self.parts.append(f'<path class="{kind}"{head} d="{path}"/>')

    def arrow(self, x, y, to_x, to_y, kind="arrow"):
        """Downwards, and aside on the way."""
        half = (y + to_y) / 2
        self.path(f"M{x:g} {y:g} C{x:g} {half:g} {to_x:g} {half:g} {to_x:g} {to_y - 3:g}", kind, ends=True)

    def box(self, x, y, width, height, lines, kind="box"):
        """A name, and quieter lines beneath it."""
        self.rect(x, y, width, height, kind, 6)
        top = y + height / 2 - 8 * len(lines) + 12
        for number, line in enumerate(lines):
            kind = "text name middle" if number == 0 else "quiet small middle"
            self.text(x + width / 2, top + 16 * number, line, kind)

    def svg(self, title: str) -> str:
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}"'
                f' height="{HEIGHT}" role="img" aria-labelledby="title"><title id="title">{escape(title)}</title>',
                f"<style>{STYLE}</style>",
                '<defs><marker id="head" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="7" markerHeight="7"'
                ' orient="auto"><path class="head" d="M0 0 L8 4 L0 8 Z"/></marker></defs>',
                f'<rect class="ground" width="{WIDTH}" height="{HEIGHT}"/>',
                *self.parts,
                "</svg>\n",
            ]
        )


def worker(server: Server) -> str:
    """As Gunicorn calls its own, and of a class of this project's, what it is made from."""
    name = server.gunicorn_worker_class
    return import_string(name).__mro__[1].__name__ if "." in name else name


def draw() -> str:
    stack, drawing = Stack(), Drawing()
    edge, both, data, data_out, outside = map(stack.row, ROWS)
    placed = {*edge, *both, *data, *data_out, *outside}
    if unknown := set(stack.services) - (placed & {*JOBS, *both}):
        raise SystemExit(f"bin/draw_architecture.py: say in JOBS, and if need be in ROWS, what {unknown} is and where.")
    if stack.closed != ["data"]:
        raise SystemExit(
            f"bin/draw_architecture.py says of the network data that it has no way out, not {stack.closed}."
        )
    columns = {name: 2 * MARGIN + n * (BOX + GAP) for n, name in enumerate([*data, *data_out, *outside])}
    draw_networks(drawing, columns[data_out[0]] - GAP / 2, columns[data_out[-1]] + BOX + GAP / 2)
    draw_edge(stack, drawing, [name for name in edge if name != "nginx"])
    for number, slot in enumerate(stack.slots):
        draw_slot(stack, drawing, slot, number, columns)
    for name, x in columns.items():
        drawing.box(x, 476, BOX, 88, [name, JOBS[name], stack.image(name), *stack.volumes(name)])
    drawing.text(MARGIN, 626, "Who answers what, in each mode", "text title")
    for number, name in enumerate(MODES):
        draw_mode(stack, drawing, name, number)
    return drawing.svg("What runs, on which network, and who answers in each mode")


def draw_networks(drawing, outside_begins, data_ends):
    right = WIDTH - MARGIN
    drawing.rect(MARGIN, 84, WIDTH - 2 * MARGIN, 356, "network edge", 12)
    drawing.path(f"M{MARGIN} 316 H{right} V456 H{data_ends:g} V590 H{MARGIN} Z", "network data")
    drawing.rect(outside_begins, 470, right - outside_begins, 120, "network outside", 12)
    drawing.text(MARGIN + 14, 106, "network edge: only Nginx is published", "quiet small")
    drawing.text(MARGIN + 14, 584, "network data: no way out, and none in", "quiet small")
    drawing.text(outside_begins + 14, 584, "network outside: a way out, where nobody listens", "quiet small")


def draw_edge(stack, drawing, others):
    middle = WIDTH / 2
    drawing.text(middle, 36, "visitors", "text title middle")
    drawing.text(middle, 54, f"ports {' and '.join(stack.ports())} of Nginx", "quiet small middle")
    drawing.arrow(middle, 60, middle, 118)
    drawing.rect(285, 118, 430, 152, "box main")
    drawing.text(middle, 138, f"nginx: {JOBS['nginx']}", "text name middle")
    drawing.text(middle, 154, ", ".join([stack.image("nginx"), *stack.volumes("nginx")]), "quiet small middle")
    for number, (path, target) in enumerate(stack.routes()):
        drawing.text(301, 176 + 17 * number, path, "text code")
        drawing.text(508, 176 + 17 * number, f"→ {target}", "quiet code")
    left, right = 2 * MARGIN, WIDTH - 2 * MARGIN - 180
    for name, x in zip(others, (right, left), strict=True):
        drawing.box(x, 152, 180, 84, [name, JOBS[name], stack.image(name), *stack.volumes(name)])
    drawing.path(f"M715 194 H{right - 3}", "arrow later", ends=True)


def draw_slot(stack, drawing, slot, number, columns):
    """The slot, its servers, the way to it, and its ways to what its servers have the address of."""
    kind = "later" if number else ""
    side = 1 if number else -1
    width = (WIDTH - 4 * MARGIN - GAP) / 2
    left = 2 * MARGIN + number * (width + GAP)
    middle = left + width / 2
    drawing.rect(left, 330, width, 98, f"slot {kind}", 10)
    what = "the release before, or the next" if number else "what serves"
    drawing.text(left + 14, 348, f"slot {slot}: {what}", "text small")
    inner = (width - 3 * GAP) / 2
    for place, server in enumerate(stack.servers()):
        x = left + GAP + place * (inner + GAP)
        name = f"{server}-{slot}"
        drawing.box(x, 356, inner, 62, [name, " and ".join(stack.answers(server)), stack.image(name)])
    drawing.arrow(WIDTH / 2 + 60 * side, 270, middle, 330, f"arrow {kind}")
    for offset, name in ((-20, "postgres"), (20, "redis")):
        if stack.knows(slot, name):
            drawing.arrow(middle + offset, 428, columns[name] + BOX / 2 + 18 * side, 476, f"arrow {kind}")


def draw_mode(stack, drawing, name, number):
    width = (WIDTH - 2 * MARGIN - 2 * GAP) / 3
    left = MARGIN + number * (width + GAP)
    drawing.rect(left, 640, width, 158, "box")
    drawing.text(left + 14, 662, f"SERVER_MODE={name}", "text name")
    y = 686
    seen = set()
    for upstream, service in stack.upstreams[name].items():
        server: Server = getattr(MODES[name], upstream)
        lines = [
            f"Gunicorn, {worker(server)}",
            f"workers for each CPU: {server.workers_per_cpu}; threads of each: {server.threads}",
        ]
        if server in seen:
            lines = []
        seen.add(server)
        if upstream == "live":
            lines.append(f"live pages by {', '.join(server.live_transports)}")
        drawing.text(left + 14, y, f"{upstream} → {service}, {server.interface}", "text")
        for line_number, line in enumerate(lines, start=1):
            drawing.text(left + 14, y + 16 * line_number, line, "quiet small")
        y += 22 + 16 * len(lines)


if __name__ == "__main__":
    (ROOT / "docs/architecture.svg").write_text(draw())
