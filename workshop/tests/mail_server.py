"""A mail server for tests, which keeps what it is given: envelopes and bytes."""

import re
import socketserver
import ssl
import threading
from contextlib import contextmanager, suppress
from email import message_from_bytes, policy


class Visit(socketserver.StreamRequestHandler):
    timeout = 10

    def say(self, text):
        self.wfile.write(f"{text}\r\n".encode())

    def handle(self):
        # A client that mistrusts the certificate, or finds no STARTTLS, goes away.
        with suppress(OSError):
            self.talk()

    def talk(self):
        server, sender, recipients = self.server, None, []
        self.say("220 ready")
        while line := self.rfile.readline().decode().strip():
            match line.upper().split(" ")[0]:
                case "EHLO":
                    self.say(f"250-here\r\n{'250-STARTTLS\r\n' if server.context else ''}250 AUTH PLAIN LOGIN")
                case "STARTTLS":
                    self.say("220 go on")
                    self.request = server.context.wrap_socket(self.request, server_side=True)
                    self.setup()
                case "AUTH":
                    self.say("235 welcome" if server.takes_password else "535 5.7.8 the password is wrong")
                case "MAIL":
                    sender, recipients = line, []
                    self.say("250 ok")
                case "RCPT":
                    recipients.append(line)
                    self.say("250 ok")
                case "DATA":
                    self.say("354 go on")
                    content = b"".join(iter(self.rfile.readline, b".\r\n"))
                    server.mails.append((sender, recipients, content))
                    self.say("250 taken")
                case "QUIT":
                    self.say("221 bye")
                    return
                case _:
                    self.say("250 ok")

    def finish(self):
        super().finish()
        self.request.close()


class MailServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    context = None

    @property
    def port(self):
        return self.server_address[1]

    def texts(self, address):
        """Those of the mails to this address, the oldest first."""
        mails = [content for _, recipients, content in self.mails if f"<{address}>" in "".join(recipients)]
        return [message_from_bytes(mail, policy=policy.default).get_body(("plain",)).get_content() for mail in mails]

    def links(self, address):
        """Those in these texts."""
        return re.findall(r"https?://\S+", " ".join(self.texts(address)))


@contextmanager
def mail_server(port=0, *, host="127.0.0.1", takes_password=True, certificate=None):
    """With STARTTLS where it has a certificate (workshop/tests/certificates.py)."""
    with MailServer((host, port), Visit) as server:
        server.takes_password, server.mails = takes_password, []
        if certificate:
            server.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            server.context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
        thread = threading.Thread(target=server.serve_forever, args=[0.05])
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
