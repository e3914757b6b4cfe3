"""Certificates for tests, in a folder each: cert.pem and key.pem."""

import ipaddress
import subprocess


def openssl(folder, *arguments):
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def kind(name):
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return "DNS"
    return "IP"


def issue(folder, *names, first="20260101000000Z", last="20991231235959Z"):
    """A certificate of an authority that nobody knows, valid between these two moments."""
    folder.mkdir()
    (folder / "index.txt").touch()
    names_of_it = ",".join(f"{kind(name)}:{name}" for name in names)
    (folder / "ca.cnf").write_text(
        "[ca]\ndefault_ca=own\n[own]\ndatabase=index.txt\nnew_certs_dir=.\nserial=serial\ndefault_md=sha256\n"
        f"policy=any\nrand_serial=yes\nx509_extensions=names\n[any]\ncommonName=supplied\n[names]\nsubjectAltName={names_of_it}\n"
    )
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    # Since 3.13 Python insists on the usage.
    authority = ["-subj", "/CN=authority", "-addext", "keyUsage=critical,keyCertSign", "-days", "9"]
    openssl(folder, "req", "-x509", *key, *authority, "-keyout", "ca.key", "-out", "ca.pem")
    openssl(folder, "req", *key, "-subj", f"/CN={names[0]}", "-keyout", "key.pem", "-out", "request.pem")
    openssl(
        folder, "ca", "-batch", "-config", "ca.cnf", "-cert", "ca.pem", "-keyfile", "ca.key", "-in", "request.pem",
        "-startdate", first, "-enddate", last, "-notext", "-out", "cert.pem",
    )  # fmt: skip
    return folder


def self_sign(folder):
    """As Nginx does until there is another one: for another name, too."""
    folder.mkdir()
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl(folder, "req", "-x509", *key, "-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "cert.pem")
    return folder
