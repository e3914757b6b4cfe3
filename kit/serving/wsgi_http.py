"""Requests as most clients send them, and responses in one piece, for wsgi_worker.py. The rest is Gunicorn's."""

import re
import time

from gunicorn import util
from gunicorn.http import wsgi
from gunicorn.http.body import Body, LengthReader
from gunicorn.http.message import Request
from gunicorn.http.parser import RequestParser

# Bytes read at a time. Gunicorn parses longer heads.
PIECE = 8192
# The number of header names to cache. Clients choose them, so memory must be bounded.
MOST_NAMES = 1000

# No underscores in names, because they would become the same as dashes. One line per header, ended by CRLF.
LINE = re.compile(rb"(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) /(?!/)[!\"$-~]* HTTP/1\.1\r\n")
PLAIN = re.compile(LINE.pattern + rb"(?:[!#$%&'*+.^`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*\r\n)+")
UNUSUAL = ("TRANSFER-ENCODING", "EXPECT")


class PlainRequest(Request):
    """Like Gunicorn's request, but built without its parser."""

    version = (1, 1)
    scheme = "http"
    fragment = ""
    trailers = ()
    must_close = False
    proxy_protocol_info = None
    # It has one host, and its total length is within the limit of one line.
    within_limits = True

    def __init__(self, parser, method, uri, headers, environ, length):
        self.cfg, self.unreader, self.req_number = parser.cfg, parser.unreader, parser.req_count
        self.peer_addr = self.remote_addr = parser.source_addr
        self.method, self.uri, self.headers, self.environ = method, uri, headers, environ
        self.path, _, self.query = uri.partition("?")
        self.body = Body(LengthReader(parser.unreader, length))
        self.has_body = length > 0
        self.closes = environ.get("HTTP_CONNECTION", "").lower() == "close"

    def should_close(self):
        return self.must_close or self.closes


class Parser(RequestParser):
    """Tries the pattern for plain requests before Gunicorn's parser. `received` holds the data read so far."""

    received = b""

    def __init__(self, worker, connection):
        super().__init__(worker.cfg, connection.sock, connection.client)
        self.names = worker.names
        self.longest, self.most = worker.longest_head, worker.cfg.limit_request_fields
        self.environ = {
            **worker.environ,
            "gunicorn.socket": connection.sock,
            "SERVER_NAME": connection.server[0],
            "SERVER_PORT": str(connection.server[1]),
            "REMOTE_ADDR": connection.client[0],
            "REMOTE_PORT": str(connection.client[1]),
        }

    def ready(self):
        """Is the head complete, or can the request be refused already?"""
        data = self.received
        if b"\r\n\r\n" in data or len(data) >= PIECE or data.count(b"\n") != data.count(b"\r\n"):
            return True
        return b"\r\n" in data and not LINE.match(data)

    def __next__(self):
        data, self.received = self.received, b""
        if request := self._plain(data):
            self.mesg = request
            return request
        self.unreader.unread(data)
        return super().__next__()

    def _plain(self, data):
        end = data.find(b"\r\n\r\n")
        # A head this short has no line over the limit.
        if not 0 < end <= self.longest or not (match := PLAIN.fullmatch(data, 0, end + 2)):
            return None
        method, uri, lines = match[0].decode("latin-1").split(" ", 2)
        environ, headers = self.environ.copy(), []
        for line in lines.split("\r\n")[1:-1]:
            name, _, value = line.partition(":")
            upper, key = self.names.get(name) or self._remember(name)
            # Leave duplicate headers, and those with a special meaning, to Gunicorn.
            if key in environ:
                return None
            environ[key] = value = value.strip(" \t")
            headers.append((upper, value))
        if "HTTP_HOST" not in environ or len(headers) > self.most:
            return None
        length = environ.get("CONTENT_LENGTH", "0")
        if not (length.isdecimal() and length.isascii()) or len(length) > 15:
            return None
        self.req_count += 1
        if len(data) > end + 4:
            self.unreader.unread(data[end + 4 :])
        request = PlainRequest(self, method, uri, headers, environ, int(length))
        path = request.path
        environ["REQUEST_METHOD"], environ["RAW_URI"], environ["QUERY_STRING"] = method, uri, request.query
        environ["PATH_INFO"] = util.unquote_to_wsgi_str(path) if "%" in path else path
        environ["wsgi.input"] = request.body
        return request

    def _remember(self, name):
        upper = name.upper()
        key = upper.replace("-", "_")
        if upper in UNUSUAL:
            # This key always exists, so the header counts as a duplicate.
            key = "REMOTE_ADDR"
        elif upper not in ("CONTENT-TYPE", "CONTENT-LENGTH"):
            key = f"HTTP_{key}"
        known = upper, key
        if len(self.names) < MOST_NAMES:
            self.names[name] = known
        return known

    def finish_body(self, deadline=None, max_bytes=None):
        if isinstance(self.mesg, PlainRequest) and not self.mesg.has_body:
            return True
        return super().finish_body(deadline, max_bytes)

    def ahead(self):
        """Has the client already sent part of its next request?"""
        self.received = self.unreader.take_buffered()
        return bool(self.received)


class Answer(wsgi.Response):
    """Like Gunicorn's response, but sends its head and the first part of its body together."""

    # Header names known to be valid.
    good = set()
    # The current second, and its formatted date.
    now = (0, "")

    def process_headers(self, headers):
        headers = list(headers)
        try:
            names, values = zip(*headers, strict=True)
            usual = self.good.issuperset(names) and wsgi.HEADER_VALUE_RE.fullmatch("".join(values))
        except (TypeError, ValueError):
            usual = False
        if not usual:
            super().process_headers(headers)
            if len(self.good) < MOST_NAMES:
                self.good.update(name for name, _ in self.headers if self.is_good(name))
            return
        for name, value in headers:
            if name == "Content-Length":
                self.response_length = int(value)
            self.headers.append((name, value.strip(" \t")))

    @staticmethod
    def is_good(name):
        return name == "Content-Length" or (name.lower() != "content-length" and not util.is_hoppish(name))

    def head(self):
        second = int(time.time())
        if self.now[0] != second:
            Answer.now = second, util.http_date(second)
        connection = "upgrade" if self.upgrade else "close" if self.should_close() else "keep-alive"
        version, minor = self.req.version
        lines = [
            f"HTTP/{version}.{minor} {self.status}\r\nServer: {self.version}\r\nDate: {self.now[1]}\r\n"
            f"Connection: {connection}\r\n"
        ]
        if self.chunked:
            lines.append("Transfer-Encoding: chunked\r\n")
        lines += [f"{name}: {value}\r\n" for name, value in self.headers]
        lines.append("\r\n")
        return "".join(lines).encode("latin-1")

    def send(self, body):
        if isinstance(body, wsgi.FileWrapper):
            self.write_file(body)
        else:
            for part in body:
                self.write(part)
        self.close()

    def send_headers(self):
        if not self.headers_sent:
            self.sock.sendall(self.head())
            self.headers_sent = True

    def write(self, arg):
        # Don't copy large parts.
        if self.headers_sent or self._omits_body or type(arg) is not bytes or not 0 < len(arg) <= 65536:
            return super().write(arg)
        if self.response_length is not None:
            arg = arg[: self.response_length]
        self.sent = len(arg)
        self.sock.sendall(self.head() + (b"%X\r\n%b\r\n" % (len(arg), arg) if self.chunked else arg))
        self.headers_sent = True
        return None
