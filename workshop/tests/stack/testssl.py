"""What testssl.sh finds about TLS, and what of it is to be there."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

BAD = ("MEDIUM", "HIGH", "CRITICAL")
# What it calls bad and is as it is to be.
ACCEPTED = {
    # Mozilla's intermediate profile: all ciphers are strong, and the client knows which of them it is fast with.
    "cipher_order",
    # The authority of the tests names neither OCSP nor a list of what it revoked. A real one does as it likes.
    "cert_revocation",
}
# What Mozilla's intermediate profile (guideline 5.7) allows of ciphers and curves, without those that need a file.
CIPHERS = {
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    *(
        f"ECDHE-{key}-{cipher}"
        for key in ("ECDSA", "RSA")
        for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
    ),
}
CURVES = {"X25519", "prime256v1", "secp384r1"}
# Protocols, ciphers, forward secrecy, preference, certificate, headers, known weaknesses.
PARTS = ["-p", "-s", "-f", "-P", "-S", "-h", "-U"]


def run(site: str, authority: Path, folder: Path) -> dict[str, dict]:
    """The findings about `site`, an https address on this machine, by their names."""
    command = shutil.which("testssl") or shutil.which("testssl.sh")
    if not command and not os.environ.get("CI"):
        pytest.skip("testssl.sh is not installed: apt install testssl.sh")
    assert command, "testssl.sh is not installed"
    output = folder / "testssl.json"
    quiet = ["--quiet", "--color", "0", "--warnings", "off", "--nodns", "none", "--ip", "127.0.0.1"]
    subprocess.run(
        [command, *quiet, *PARTS, "--add-ca", str(authority), "--jsonfile", str(output), site],
        cwd=folder, stdout=subprocess.DEVNULL, timeout=300, check=False,
    )  # fmt: skip
    return {finding["id"]: finding for finding in json.loads(output.read_text())}


def bad(findings: dict[str, dict]) -> dict[str, str]:
    return {
        name: f"{finding['severity']}: {finding['finding']}"
        for name, finding in findings.items()
        if finding["severity"] in BAD and name not in ACCEPTED
    }
