"""docker/certificates and docker/serve_nginx, in each shell: the test's own programs stand in for certbot and Nginx."""

import datetime
import os
import shutil
import signal
import stat
import subprocess
import sys
import time

import pytest

from workshop.tests.certificates import issue, openssl
from workshop.tests.shells import SHELLS, Container

SITE, OTHER = "www.example.test", "example.test"
# What Nginx shows: what it would have taken up.
SHOWN = 'cat "$FOLDER/certificates/site/fullchain.pem"'
# Nginx answers; the rest is Python's own.
PYTHON = f'case "$2" in *urlopen*) ;; *) exec {sys.executable} "$@" ;; esac'
# Ends what never ends, at its second rest.
SLEEP = 'echo "$1" >>"$FOLDER/slept"; [ "$(wc -l <"$FOLDER/slept")" -lt 2 ] || kill "$PPID"'
REASON = "Some challenges have failed."


@pytest.fixture(scope="module")
def issued(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    soon = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=3)).strftime("%Y%m%d%H%M%SZ")
    made = {
        "good": issue(folder / "good", SITE, OTHER),
        "another": issue(folder / "another", SITE, OTHER),
        "expired": issue(folder / "expired", SITE, OTHER, last="20260201000000Z"),
        "early": issue(folder / "early", SITE, OTHER, first="20980101000000Z"),
        "wildcard": issue(folder / "wildcard", "*.example.test", OTHER),
        "one-name": issue(folder / "one-name", SITE),
        "soon": issue(folder / "soon", SITE, OTHER, last=soon),
    }
    openssl(made["good"], "pkey", "-in", "key.pem", "-aes256", "-passout", "pass:x", "-out", "closed.pem")
    return made


@pytest.fixture(params=SHELLS)
def container(request, tmp_path, issued):
    container = Container(tmp_path / "container", request.param, "certificates")
    container.environment |= {"SITE_URL": f"https://{SITE},https://{OTHER}", "ACME_DIRECTORY": "https://acme/dir"}
    for name, text in {"python3": PYTHON, "sleep": SLEEP, "timeout": SHOWN}.items():
        container.program(name, text)
    obtains(container, issued["good"])
    return container


def obtains(container, folder):
    live = f"{container.folder}/certificates/certbot/live/site"
    container.program(
        "certbot",
        f"mkdir -p {live} && cp {folder}/key.pem {live}/privkey.pem && cp {folder}/cert.pem {live}/fullchain.pem",
    )


def fails(container, program="certbot", said=f"echo '{REASON}'"):
    container.program(program, f"{said}; exit 1")


def slept(container):
    return (container.folder / "slept").read_text().split()


def there(container):
    """What Nginx would read; None where there is nothing."""
    site = container.folder / "certificates/site"
    return (site / "fullchain.pem").read_text() if site.exists() else None


def folders(container):
    return [path for path in (container.folder / "certificates").iterdir() if (path / "fullchain.pem").exists()]


# --- From an authority ---


def test_a_certificate_is_obtained_and_looked_after_twice_a_day(container, issued):
    result = container.run("schedule")
    assert result.stderr == ""
    assert result.stdout.startswith(f"The certificate of {SITE} {OTHER} is valid until Dec 31 23:59:59 2099 GMT.")
    assert there(container) == (issued["good"] / "cert.pem").read_text()
    assert slept(container) == ["43200", "43200"]
    (folder,) = {path.resolve() for path in folders(container)}
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o640}


def test_a_certbot_that_fails_is_asked_again_soon_and_its_reason_is_said(container):
    fails(container)
    result = container.run("schedule")
    assert REASON in result.stdout
    assert "No certificate: the next attempt is in 10 s." in result.stdout
    assert slept(container) == ["10", "60"]
    assert there(container) is None


def test_while_nginx_does_not_answer_no_authority_is_asked_and_the_log_says_so_each_minute(container):
    container.program("python3", PYTHON.replace(") ;;", ") exit 1 ;;", 1))
    container.program("sleep", SLEEP.replace("-lt 2", "-lt 65"))
    fails(container, said='touch "$FOLDER/asked"')
    result = container.run("schedule")
    said = (
        f"No certificate is requested yet, because Nginx does not answer http://{SITE}/.well-known/acme-challenge/ready"
    )
    assert [line.startswith(said) for line in result.stdout.splitlines()] == [True, True]
    assert not (container.folder / "asked").exists()


def test_a_renewal_replaces_the_one_before(container, issued):
    container.run("renew")
    obtains(container, issued["another"])
    result = container.run("renew")
    assert (result.returncode, result.stderr) == (0, "")
    assert there(container) == (issued["another"] / "cert.pem").read_text()
    assert len({path.resolve() for path in folders(container)}) == 1


def test_a_renewal_that_certbot_does_not_do_fails_with_its_reason(container, issued):
    container.run("renew")
    fails(container)
    result = container.run("renew")
    assert (result.returncode, result.stdout) == (1, f"{REASON}\n")
    assert there(container) == (issued["good"] / "cert.pem").read_text()


def test_a_renewal_where_none_is_asked_for_says_so_and_fails(container):
    result = container.run("renew", ACME_DIRECTORY="off")
    assert (result.returncode, result.stdout) == (
        1,
        "ACME_DIRECTORY=off: no certificate is requested. To install your own, see docs/operations.md.\n",
    )


@pytest.mark.parametrize("step", ["mkdir", "cp", "openssl", "chmod", "ln", "mv"])
def test_a_certificate_that_cannot_be_put_in_place_is_no_success(container, issued, step):
    container.run("renew")
    obtains(container, issued["another"])
    # certbot's own do as they did.
    text = (container.programs / "certbot").read_text().replace("#!/bin/sh", f"#!/bin/sh\nPATH={os.environ['PATH']}")
    (container.programs / "certbot").write_text(text)
    fails(container, step, said="echo 'No space left on device' >&2")
    result = container.run("renew")
    assert result.returncode == 1
    said = result.stderr.splitlines()
    assert said[-1] == "The certificate that was obtained could not be put where Nginx looks."
    assert "No space left on device" in said
    assert there(container) == (issued["good"] / "cert.pem").read_text()
    if step not in ("mkdir", "chmod"):
        container.run("schedule")
        assert slept(container) == ["10", "60"]


# --- Your own ---


def pair(folder, certificate="cert.pem", key="key.pem", between=""):
    return (folder / certificate).read_text() + between + (folder / key).read_text()


@pytest.fixture
def own(container, issued):
    """The container, where one of your own is installed."""
    container.environment["ACME_DIRECTORY"] = "off"
    put(container, "own-first", issued["good"])
    return container


def test_your_own_certificate_is_installed_and_the_one_before_goes(own, issued):
    result = own.run("install", stdin=pair(issued["another"]))
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "Nginx shows it. It is valid until Dec 31 23:59:59 2099 GMT.\n"
    assert there(own) == (issued["another"] / "cert.pem").read_text()
    (folder,) = {path.resolve() for path in folders(own)}
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o640}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o750
    assert not (own.folder / "tmp/given").exists()


# GNU's tools and BusyBox's.
TOOLS = pytest.mark.parametrize("container", ["ash", "dash"], indirect=True)


@TOOLS
@pytest.mark.parametrize("which", ["key-first", "no-new-line", "windows", "wildcard", "chain", "twice"])
def test_files_are_taken_as_authorities_hand_them_out(own, issued, which):
    good, another = issued["good"], issued["another"]
    certificate, key = ((another / name).read_text() for name in ("cert.pem", "key.pem"))
    text = {
        "key-first": key + certificate,
        "no-new-line": certificate.rstrip("\n") + key,
        "windows": pair(another).replace("\n", "\r\n"),
        "wildcard": pair(issued["wildcard"]),
        "chain": certificate + (another / "ca.pem").read_text() + key,
        "twice": pair(good),
    }[which]
    result = own.run("install", stdin=text)
    assert (result.returncode, result.stderr) == (0, "")
    installed = there(own)
    assert installed.count("BEGIN CERTIFICATE") == (2 if which == "chain" else 1)


def bad(issued, which):
    good, another = issued["good"], issued["another"]
    return {
        "nothing": ("", "there is no certificate in it (-----BEGIN CERTIFICATE-----)."),
        "no-key": ((good / "cert.pem").read_text(), "there is no key in it (-----BEGIN PRIVATE KEY-----)."),
        "no-certificate": ((good / "key.pem").read_text(), "there is no certificate in it"),
        "damaged": (pair(good).replace("MII", "M", 1), "the certificate is damaged."),
        "damaged-key": (
            (good / "cert.pem").read_text() + (good / "key.pem").read_text().replace("M", "", 1),
            "the key is damaged",
        ),
        "passphrase": (pair(good, key="closed.pem"), "or has a passphrase, which Nginx does not know."),
        "mismatch": (
            (good / "cert.pem").read_text() + (another / "key.pem").read_text(),
            "the key is not that of the first certificate",
        ),
        "chain-first": ((good / "ca.pem").read_text() + pair(good), "the key is not that of the first certificate"),
        "expired": (pair(issued["expired"]), f"the certificate is not good for {SITE}: certificate has expired."),
        "early": (pair(issued["early"]), f"the certificate is not good for {SITE}: certificate is not yet valid."),
        "name": (pair(issued["one-name"]), f"the certificate is not good for {OTHER}: hostname mismatch."),
    }[which]


BAD = ["nothing", "no-key", "no-certificate", "damaged", "damaged-key", "passphrase", "mismatch", "chain-first",
       "expired", "early", "name"]  # fmt: skip


@TOOLS
@pytest.mark.parametrize("which", BAD)
def test_what_would_not_do_is_refused_in_a_sentence_and_what_was_there_stays(own, issued, which):
    text, sentence = bad(issued, which)
    before = there(own)
    result = own.run("install", stdin=text)
    assert (result.returncode, result.stdout, len(result.stderr.splitlines())) == (1, "", 1)
    assert result.stderr.startswith("Not installed; the certificate before stays: ")
    assert sentence in result.stderr
    assert there(own) == before
    assert not (own.folder / "tmp/given").exists()


def test_one_that_an_authority_would_replace_is_refused(container, issued):
    result = container.run("install", stdin=pair(issued["good"]))
    assert result.returncode == 1
    assert "Set ACME_DIRECTORY=off in .env" in result.stderr
    assert there(container) is None


@pytest.mark.parametrize("before", ["another", "the-same", "none"])
def test_one_that_nginx_does_not_show_is_taken_back(own, issued, before):
    if before == "none":
        (own.folder / "certificates/site").unlink()
        shutil.rmtree(own.folder / "certificates/own-first")
    elif before == "the-same":
        own.run("install", stdin=pair(issued["another"]))
    before = there(own)
    for name, text in {"timeout": f"cat {issued['expired']}/cert.pem", "sleep": ""}.items():
        own.program(name, text)
    result = own.run("install", stdin=pair(issued["another"]))
    assert result.returncode == 1
    assert result.stderr == (
        "Not installed; the certificate before stays: Nginx does not show it after 30 s: "
        "docker compose logs nginx | grep 'not taken up' says why.\n"
    )
    assert there(own) == before
    assert len({path.resolve() for path in folders(own)}) == (1 if before else 0)


# --- Health ---


@pytest.mark.parametrize(
    ("which", "acme", "minutes", "sentence"),
    [
        pytest.param(None, "https://acme/dir", 30, "", id="none-yet"),
        pytest.param(None, "https://acme/dir", 61, "There is no certificate after an hour", id="none"),
        pytest.param(None, "off", 61, "", id="off"),
        pytest.param("good", "https://acme/dir", 61, "", id="good"),
        pytest.param("soon", "https://acme/dir", 61, "the log says why it was not renewed.", id="ends-soon"),
        pytest.param("soon", "off", 61, "it is your own, so install another one", id="own-ends-soon"),
        pytest.param("good", "off", 61, "", id="own"),
    ],
)
def test_the_health_check_says_what_is_missing(container, issued, which, acme, minutes, sentence):
    if which:
        obtains(container, issued[which])
        verb, text = ("install", pair(issued[which])) if acme == "off" else ("renew", "")
        assert container.run(verb, stdin=text, ACME_DIRECTORY=acme).returncode == 0
    now = datetime.datetime.now(datetime.UTC).timestamp()
    (container.folder / "tmp/since").write_text(f"{now - minutes * 60:.0f}\n")
    result = container.run("health", ACME_DIRECTORY=acme)
    assert (result.returncode, result.stdout) == (1 if sentence else 0, "")
    assert sentence in result.stderr
    assert len(result.stderr.splitlines()) == (1 if sentence else 0)


# --- Nginx ---

# Loads what OpenSSL can load and fits; reloads unless the test forbids it; serves until it is ended.
NGINX = """
refuse() { echo "2026/11/26 21:41:34 [emerg] $$#$$: $*" >&2; exit 1; }
case "$*" in
    -t*)
        folder=$(sed -n 's|.*ssl_certificate \\(.*\\)/fullchain.pem;|\\1|p' "$FOLDER/tmp/loads.conf")
        key=$(openssl pkey -in "$folder/privkey.pem" -passin pass: -pubout) || refuse "cannot load $folder/privkey.pem"
        [ "$key" = "$(openssl x509 -in "$folder/fullchain.pem" -noout -pubkey)" ] || refuse 'key values mismatch'
        ;;
    *reload)
        if [ -e "$FOLDER/broken" ]; then said=refused; else said=done; fi
        echo $said >>"$FOLDER/reloads"
        [ $said = done ]
        ;;
    *) exec sleep 60 ;;
esac
"""


@pytest.fixture(params=SHELLS)
def nginx(request, tmp_path):
    container = Container(tmp_path / "container", request.param, "serve_nginx")
    container.program("nginx", NGINX)
    container.program("curl", "")
    # Ten seconds take no time here.
    container.program(
        "sleep", f'if [ "$1" = 60 ]; then exec {shutil.which("sleep")} 60; fi; exec {shutil.which("sleep")} 0.05'
    )
    return container


@pytest.fixture
def served(nginx):
    started = []

    def end():
        """What it has said."""
        process = started.pop()
        os.killpg(process.pid, signal.SIGKILL)
        return process.communicate(timeout=10)[1]

    def served():
        started.append(nginx.start())
        eventually((nginx.folder / "tmp/following").exists)
        return end

    yield served
    if started:
        end()


def eventually(condition):
    end = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def put(container, name, folder, key=None):
    """A certificate where docker/certificates puts it."""
    place = container.folder / "certificates" / name
    place.mkdir()
    shutil.copy(folder / "cert.pem", place / "fullchain.pem")
    shutil.copy((key or folder) / "key.pem", place / "privkey.pem")
    link = container.folder / "certificates/site"
    link.unlink(missing_ok=True)
    link.symlink_to(name)


def taken(container):
    return (container.folder / "tmp/certificate/fullchain.pem").read_text()


def test_a_certificate_that_is_there_is_used_from_the_start(nginx, served, issued):
    put(nginx, "first", issued["good"])
    served()
    assert taken(nginx) == (issued["good"] / "cert.pem").read_text()


def test_on_a_node_of_several_nginx_waits_for_the_files_of_the_version_that_serves(nginx):
    files, following = nginx.folder / "srv/nginx", nginx.folder / "tmp/following"
    (files / "current").symlink_to("blue")
    # Of before the node was away.
    (files / "followed").touch()
    process = nginx.start("follow")
    try:
        eventually((nginx.folder / "tmp/began").exists)
        time.sleep(0.3)
        assert not following.exists()
        # By the second, as docker/nginx_files does.
        eventually(lambda: (files / "followed").touch() or following.exists())
    finally:
        os.killpg(process.pid, signal.SIGKILL)


def test_a_new_one_is_taken_up_and_outlasts_its_place(nginx, served, issued):
    served()
    put(nginx, "first", issued["good"])
    eventually((nginx.folder / "reloads").exists)
    shutil.rmtree(nginx.folder / "certificates/first")
    assert taken(nginx) == (issued["good"] / "cert.pem").read_text()


def test_a_key_that_does_not_fit_leaves_the_one_before_and_is_named_once(nginx, served, issued):
    put(nginx, "first", issued["good"])
    end = served()
    put(nginx, "second", issued["another"], key=issued["good"])
    eventually((nginx.folder / "tmp/refused").exists)
    following = nginx.folder / "tmp/following"
    # Until it is tried a second time.
    for _ in range(2):
        os.utime(following, (0, 0))
        eventually(lambda: following.stat().st_mtime)
    sentence = (nginx.folder / "tmp/refused").read_text()
    assert sentence == f"The certificate in {nginx.folder}/certificates/second is not taken up: key values mismatch\n"
    assert taken(nginx) == (issued["good"] / "cert.pem").read_text()
    put(nginx, "third", issued["another"])
    eventually(lambda: taken(nginx) == (issued["another"] / "cert.pem").read_text())
    eventually(lambda: not (nginx.folder / "tmp/refused").exists())
    assert end().count("is not taken up") == 1


@pytest.mark.parametrize("fault", ["no-key", "mismatch"])
def test_nginx_starts_with_its_own_where_the_one_that_is_there_is_bad(nginx, served, issued, fault):
    put(nginx, "first", issued["good"], key=issued["another"])
    if fault == "no-key":
        (nginx.folder / "certificates/first/privkey.pem").unlink()
    served()
    assert taken(nginx) == (nginx.folder / "tmp/self-signed/fullchain.pem").read_text()
    assert "certificates/first is not taken up: " in (nginx.folder / "tmp/refused").read_text()
    # It is tried again where it lies.
    shutil.copy(issued["good"] / "key.pem", nginx.folder / "certificates/first/privkey.pem")
    eventually(lambda: taken(nginx) == (issued["good"] / "cert.pem").read_text())


def test_after_a_reload_that_failed_the_next_is_tried(nginx, served, issued):
    served()
    (nginx.folder / "broken").touch()
    put(nginx, "first", issued["good"])
    reloads = nginx.folder / "reloads"
    eventually(lambda: reloads.exists() and reloads.read_text().count("refused") >= 2)
    (nginx.folder / "broken").unlink()
    eventually(lambda: "done" in reloads.read_text())
    put(nginx, "second", issued["another"])
    eventually(lambda: taken(nginx) == (issued["another"] / "cert.pem").read_text())


def test_the_health_check_fails_when_no_new_certificate_would_be_taken_up(nginx, served):
    served()
    assert nginx.run("health").returncode == 0
    nginx.program("sleep", 'touch "$FOLDER/ended"; exit 1')
    eventually((nginx.folder / "ended").exists)
    os.utime(nginx.folder / "tmp/following", (0, 0))
    result = nginx.run("health")
    assert (result.returncode, result.stderr) == (
        1,
        "No new certificate would be taken up: restart this container.\n",
    )


def test_the_health_check_fails_when_nginx_does_not_answer(nginx, served):
    served()
    nginx.program("curl", "echo 'curl: (7) Failed to connect' >&2; exit 7")
    result = nginx.run("health")
    assert (result.returncode != 0, result.stderr) == (True, "curl: (7) Failed to connect\n")


@pytest.mark.parametrize("accepted", [True, False])
def test_a_configuration_that_nginx_refuses_is_named(nginx, accepted):
    if not accepted:
        nginx.program(
            "nginx", f'echo "nginx: [emerg] unknown directive in {nginx.folder}/tmp/nginx/nginx.conf:3" >&2; exit 1'
        )
    else:
        nginx.program("nginx", "")
    (nginx.folder / "nginx").mkdir()
    archive = subprocess.run(["tar", "-c", "nginx"], cwd=nginx.folder, capture_output=True, check=True).stdout
    result = nginx.run("test", stdin=archive.decode())
    assert result.returncode == (0 if accepted else 1)
    assert result.stderr == ("" if accepted else "nginx: [emerg] unknown directive in nginx/nginx.conf:3\n")
