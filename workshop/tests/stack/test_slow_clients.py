"""A thousand connections of somebody who sends or reads as slowly as can be (slowhttptest): nobody else notices.

In one mode, because Nginx takes a request whole before a server sees it; in wsgi, which has the most to lose, for its
threads are few.
"""

import json
import os
import re
import shutil
import subprocess
import time

import pytest

CONNECTIONS = 1000
SECONDS = 15
# As slowhttptest has it: a header, or a bit of a body, every 5 s; or so many bytes read of an answer.
ATTACKS = {
    "headers": ["-H", "-i", "5", "-u", "{url}/"],
    "bodies": ["-B", "-i", "5", "-s", "65536", "-x", "16", "-u", "{url}/accounts/login/"],
    "reads": [
        "-X",
        "-k",
        "3",
        "-n",
        "5",
        "-z",
        "32",
        "-w",
        "128",
        "-y",
        "256",
        "-u",
        "{url}/static/admin/js/vendor/jquery/jquery.js",
    ],
}
# Somebody at another address, whom no limit for the attacker's concerns: a container beside Nginx.
BYSTANDER = """
import http.client, json, sys, time
host, seconds = sys.argv[1], float(sys.argv[2])
figures, failed, end = [], [], time.monotonic() + seconds
while time.monotonic() < end:
    begin = time.monotonic()
    try:
        connection = http.client.HTTPConnection("nginx", 8080, timeout=10)
        connection.request("GET", "/", headers={"Host": host})
        response = connection.getresponse()
        response.read()
        if response.status != 200:
            failed.append(str(response.status))
    except (OSError, http.client.HTTPException) as error:
        failed.append(repr(error))
    finally:
        connection.close()
    figures.append(time.monotonic() - begin)
    time.sleep(0.1)
figures.sort()
print(json.dumps({"slowest": figures[-1], "third": figures[-3], "requests": len(figures), "failed": failed}))
"""

pytestmark = pytest.mark.modes("wsgi")


@pytest.fixture(scope="module")
def slowhttptest():
    path = shutil.which("slowhttptest")
    if not path and not os.environ.get("CI"):
        pytest.skip("slowhttptest is not installed: apt install slowhttptest")
    assert path, "slowhttptest is not installed"
    return path


@pytest.mark.parametrize("kind", ATTACKS)
def test_a_thousand_slow_clients_keep_nobody_else_waiting(stack, slowhttptest, figures, tmp_path, kind):
    options = [option.format(url=f"http://localhost:{stack.port}") for option in ATTACKS[kind]]
    # Nginx may be out of connections for whoever comes from the attacker's address.
    image = f"{stack.project}:{stack.slot()}"
    attack = subprocess.Popen(
        [slowhttptest, *options, "-c", str(CONNECTIONS), "-r", str(CONNECTIONS // 2), "-l", str(SECONDS), "-p", "5"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        # All connections are there.
        time.sleep(3)
        measured = stack.run(
            "docker", "run", "--rm", "--network", f"{stack.project}_frontend", "--entrypoint", "python",
            image, "-c", BYSTANDER, f"localhost:{stack.port}", str(SECONDS - 5),
        )  # fmt: skip
        said, _ = attack.communicate(timeout=SECONDS + 15)
    finally:
        attack.kill()
    result = json.loads(measured.stdout)
    # It tells how far it is every 5 s: the last of it, without colours.
    said = re.sub(r"\x1b\[[\d;]*\w", "", said).rpartition("status on")[2]
    reached = {name: int(count) for name, count in re.findall(r"(\w+): +(\d+)", said)}
    figures.append(
        f"{stack.mode}: {CONNECTIONS} clients with slow {kind}, {reached['connected']} of them after {SECONDS} s: the "
        f"slowest of {result['requests']} requests of somebody else took {result['slowest'] * 1000:.0f} ms"
    )
    assert reached["connected"] + reached["closed"] + reached["error"] >= CONNECTIONS * 0.95
    assert result["failed"] == []
    assert result["requests"] >= 20
    # Who is kept waiting is kept so each time. A packet that is lost on its way is sent again after a second.
    assert result["third"] < 1
    assert result["slowest"] < 3
