"""The certificate that a server shows, whoever has issued it."""

import socket
import ssl
import time
from dataclasses import dataclass

# OpenSSL's verification codes, and what they mean for one certificate.
FAULTS = {
    9: "is not valid yet",
    10: "has expired",
    62: "is for another name",
    64: "is for another address",
}
SELF_SIGNED = 18


@dataclass(frozen=True)
class Certificate:
    fault: str | None
    """What is wrong with it by itself."""
    days: float | None
    """For which it is still good; None where it has a fault."""
    distrust: str | None
    """Why a browser would not trust whoever has issued it, in OpenSSL's words; None where it would."""


def certificate(host: str, port: int, name: str, timeout: float) -> Certificate:
    """What the server there shows to who asks for `name`. Raises OSError where there is none."""
    blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    blind.check_hostname = False
    blind.verify_mode = ssl.CERT_NONE
    with _connection(host, port, name, blind, timeout) as connection:
        itself = ssl.DER_cert_to_PEM_cert(connection.getpeercert(binary_form=True))

    everybody = ssl.create_default_context()
    # Which browsers are not about an authority's own certificate.
    everybody.verify_flags &= ~ssl.VERIFY_X509_STRICT
    distrust = None
    try:
        _connection(host, port, name, everybody, timeout).close()
    except ssl.SSLCertVerificationError as error:
        distrust = error.verify_message
        if error.verify_code == SELF_SIGNED:
            return Certificate("is self-signed: no authority has issued one", None, distrust)

    # Trusting it because it is that one leaves its name and its dates to be verified.
    acquainted = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    acquainted.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    acquainted.load_verify_locations(cadata=itself)
    try:
        with _connection(host, port, name, acquainted, timeout) as connection:
            ends = ssl.cert_time_to_seconds(connection.getpeercert()["notAfter"])
    except ssl.SSLCertVerificationError as error:
        return Certificate(FAULTS.get(error.verify_code, error.verify_message), None, distrust)
    return Certificate(None, (ends - time.time()) / 86_400, distrust)


def _connection(host, port, name, context, timeout):
    plain = socket.create_connection((host, port), timeout=timeout)
    try:
        return context.wrap_socket(plain, server_hostname=name)
    except OSError:
        plain.close()
        raise
