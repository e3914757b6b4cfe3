"""Examines the certificate that a server presents, from any issuer."""

import socket
import ssl
import time
from dataclasses import dataclass

# OpenSSL's verification codes, and their meaning for the certificate.
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
    """The certificate's own error; None if there is none."""
    days: float | None
    """Until it expires; None if it has an error."""
    distrust: str | None
    """Why browsers don't trust the issuer, in OpenSSL's words; None if they do."""


def certificate(host: str, port: int, name: str, timeout: float) -> Certificate:
    """The certificate that the server presents for `name`. Raises OSError if there is none."""
    blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    blind.check_hostname = False
    blind.verify_mode = ssl.CERT_NONE
    with _connection(host, port, name, blind, timeout) as connection:
        itself = ssl.DER_cert_to_PEM_cert(connection.getpeercert(binary_form=True))

    browsers_trust = ssl.create_default_context()
    # Browsers are not strict about an authority's own certificate.
    browsers_trust.verify_flags &= ~ssl.VERIFY_X509_STRICT
    distrust = None
    try:
        _connection(host, port, name, browsers_trust, timeout).close()
    except ssl.SSLCertVerificationError as error:
        distrust = error.verify_message
        if error.verify_code == SELF_SIGNED:
            return Certificate("is self-signed: no authority has issued one", None, distrust)

    # Trust this very certificate: its name and dates are still verified.
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
