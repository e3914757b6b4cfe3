"""Gunicorn's threaded worker at a fraction of its cost per request. STOCK_WSGI=1 switches back to Gunicorn's own.

Gunicorn's costs are the handover of each request from the thread that waits for connections to another and back, their
contention for the GIL, and a parser in Python. Here:

- One thread leads: it waits for connections, and answers requests. Only if a response takes longer than PATIENCE, and
  mostly waits, as for a database, does another thread take the lead. So views that compute run on one thread, without
  wake-ups and contention for the GIL; views that wait use as many as needed, up to `threads`.
- A strict pattern recognises common requests (wsgi_http.py). Gunicorn's parser handles all others, and so every request
  that must be refused.
- The response's head and the first part of its body are sent together.
- A client that has not sent all headers yet, or that does not close its end, occupies no thread.

Gunicorn handles the rest: errors, bodies, files, hooks and signals. If it is configured for more than HTTP/1.1 over
TCP, or the system lacks the required calls (macOS, Python 3.12), its own worker serves.
"""

import errno
import mmap
import os
import select
import selectors
import socket
import threading
import time
from datetime import timedelta
from math import inf

from django.conf import settings
from gunicorn.http import wsgi
from gunicorn.workers.gthread import DEFAULT_WORKER_DATA_TIMEOUT, STOP_KEEPALIVE_LINGER, TConn

from .succession import ThreadedWorker, _workers
from .wsgi_http import PIECE, Answer, Parser, PlainRequest

# Seconds that a thread keeps the lead while it answers and waits: a process then accepts at least 1,000 requests a
# second, however long they wait. And while it computes, for at least half of the time: others could only take turns.
PATIENCE, COMPUTES = 0.001, 0.01
# The bytes that a client may still send after the last response, and the seconds until it must be gone (RFC 9112,
# 9.6). A reset would lose the response for a client that is still sending: Nginx turns a 413 into a 502.
DRAINED, DRAINS_FOR = 16 * 1024 * 1024, 2
# Seconds that a worker leaves new connections to one that has fewer by more than its threads. Otherwise, the first
# worker to wake would get all of Nginx's connections.
GIVES_WAY = 0.005
# Each worker's number of connections plus one; 0 where there is no worker.
SLOTS = 64
_held = memoryview(mmap.mmap(-1, SLOTS * 2)).cast("H")


class Connection(TConn):
    # Bytes read after the last response; None before it.
    drained = None

    def __init__(self, worker, sock, client, server):
        super().__init__(worker.cfg, sock, client, server)
        self.fd = sock.fileno()
        self.parser = Parser(worker, self)
        # Otherwise Gunicorn would create its own parser.
        self.initialized = True
        self.await_head()

    def await_head(self):
        self.timeout = time.monotonic() + max(self.cfg.keepalive, DEFAULT_WORKER_DATA_TIMEOUT)


class Worker(ThreadedWorker):
    led = gave_way = False

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        taken = {worker.slot for worker in _workers if worker is not self and isinstance(worker, Worker)}
        self.slot = next((slot for slot in range(SLOTS) if slot not in taken), SLOTS - 1)

    def suits(self):
        cfg = self.cfg
        return (
            not settings.STOCK_WSGI
            and hasattr(os, "timerfd_create") and hasattr(select, "epoll")
            and all(listener.sock.family in (socket.AF_INET, socket.AF_INET6) for listener in self.sockets)
            and not cfg.is_ssl and cfg.protocol == "http" and "h2" not in cfg.http_protocols
            and cfg.proxy_protocol == "off" and not cfg.secure_scheme_headers and "SCRIPT_NAME" not in os.environ
        )  # fmt: skip

    def run(self):
        if not self.suits():
            super().run()
            return
        self.begin()
        answered = 0
        while self.alive and self.is_parent_alive():
            self.notify()
            # Under load, check more often whether the worker is to be replaced.
            self.wait_for_and_dispatch_events(1.0 if answered == self.nr else 0.1)
            answered = self.nr
            self.close_overdue()
        self.alive = False
        self.accept_new(False)
        _held[self.slot] = 0
        # As in Gunicorn: a client that was told to keep its connection may be sending.
        linger, end = (time.monotonic() + seconds for seconds in (STOP_KEEPALIVE_LINGER, self.cfg.graceful_timeout))
        for connection in list(self.idle):
            connection.timeout = min(connection.timeout, linger)
        while self.connections and time.monotonic() < end:
            self.notify()
            self.wait_for_and_dispatch_events(0.1)
            self.close_overdue()
        self.tpool.shutdown(wait=False)
        for listener in self.sockets:
            listener.close()

    def begin(self):
        cfg, self.led = self.cfg, True
        self.environ = {
            **wsgi.base_environ(cfg), "wsgi.multithread": True, "wsgi.url_scheme": "http",
            "SERVER_PROTOCOL": "HTTP/1.1", "SCRIPT_NAME": "",
        }  # fmt: skip
        # Cached, because Gunicorn's configuration is slow to read.
        self.before, self.after = cfg.pre_request, cfg.post_request
        self.most_kept = self.max_keepalived if cfg.keepalive else 0
        self.names = {}
        self.longest_head = min(cfg.limit_request_line or PIECE, cfg.limit_request_field_size or PIECE, PIECE)
        # All connections by file descriptor, and those without a thread. A thread owns a connection by removing it from
        # `idle`.
        self.connections, self.idle = {}, set()
        self.count()
        # Guards state shared by threads: `connections`, `leader`, `since` (when it began to answer), `cpu_time` (of its
        # thread, then) and the timer for that.
        self.turn = threading.Lock()
        self.listeners = {listener.fileno(): listener for listener in self.sockets}
        self.epoll = select.epoll()
        for fd, listener in self.listeners.items():
            listener.setblocking(False)
            self.epoll.register(fd, 0)
        self.accept_new(True)
        self.poller.register(self.method_queue.fileno(), selectors.EVENT_READ, self.method_queue.run_callbacks)
        self.leader, self.since, self.cpu_time = None, 0, 0
        self.timer = os.timerfd_create(time.CLOCK_MONOTONIC)
        os.timerfd_settime(self.timer, initial=PATIENCE)
        self.next = threading.Lock()
        for number in range(cfg.threads):
            threading.Thread(target=self.work, name=f"request-{number}", daemon=True).start()

    def handle_usr1(self, sig, frame):
        super().handle_usr1(sig, frame)
        if self.led:
            # The log files have been reopened.
            self.environ["wsgi.errors"].__init__(self.cfg)

    # --- In the main thread ---

    def close_overdue(self):
        now = time.monotonic()
        for connection in list(self.idle):
            if connection.timeout <= now and self.take(connection):
                self.drop(connection)
        self.accept_new(self.alive and len(self.connections) < self.worker_connections)

    def accept_soon(self):
        time.sleep(GIVES_WAY)
        self.close_overdue()

    def accept_new(self, enabled):
        with self.turn:
            if enabled != self._accepting:
                for fd in self.listeners:
                    self.epoll.modify(fd, select.EPOLLIN if enabled else 0)
            self._accepting = enabled

    # --- In the threads for requests ---

    def work(self):
        while True:
            with self.next:
                self.await_lead()
            self.lead()

    def await_lead(self):
        while True:
            os.read(self.timer, 8)
            with self.turn:
                elapsed = time.monotonic() - self.since
                if elapsed < PATIENCE:
                    # The leader is on another request, and the timer runs again; or it waits for one.
                    continue
                if elapsed < COMPUTES and self.leader_computed() >= elapsed / 2:
                    os.timerfd_settime(self.timer, initial=PATIENCE)
                    continue
                self.leader, self.since = threading.get_ident(), inf
                return

    def leader_computed(self):
        """The CPU time in seconds that the leader has had since it began to answer."""
        return time.clock_gettime(time.pthread_getcpuclockid(self.leader)) - self.cpu_time

    def lead(self):
        me = threading.get_ident()
        while self.leader == me:
            if not (events := self.epoll.poll(0, 1)):
                self.say_since(inf)
                events = self.epoll.poll(-1, 1)
            for fd, _ in events:
                connection = self.connections.get(fd)
                try:
                    if fd in self.listeners:
                        self.on_new(self.listeners[fd])
                    elif connection and self.take(connection):
                        self.on_data(connection)
                except BaseException:
                    # Not even sys.exit() in a view may end the worker's thread.
                    self.log.exception("Error handling request")
                    if connection:
                        self.drop(connection)

    def say_since(self, since):
        """Start the timer, or stop it while there is nothing to answer."""
        with self.turn:
            if self.leader == threading.get_ident() and self.since != since:
                self.since, self.cpu_time = since, time.thread_time()
                os.timerfd_settime(self.timer, initial=0 if since == inf else PATIENCE)

    def count(self):
        _held[self.slot] = len(self.connections) + 1

    def take(self, connection):
        """Take the connection for this thread. Returns False if another has it."""
        try:
            self.idle.remove(connection)
        except KeyError:
            return False
        return True

    def give_back(self, connection):
        self.idle.add(connection)
        # From here on, another thread may own or have closed it.
        try:
            self.epoll.modify(connection.fd, select.EPOLLIN | select.EPOLLONESHOT)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EBADF):
                raise

    def drop(self, connection):
        with self.turn:
            if self.connections.get(connection.fd) is connection:
                del self.connections[connection.fd]
                self.count()
        connection.close()
        if self.alive and not self._accepting:
            # The main thread resumes accepting.
            self.method_queue.defer(self.close_overdue)

    def on_new(self, listener):
        self.gave_way = not self.gave_way and self.over_its_share()
        if self.gave_way:
            self.accept_new(False)
            self.method_queue.defer(self.accept_soon)
            return
        for _ in range(self.cfg.threads):
            try:
                sock, client = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ECONNABORTED:
                    self.log.exception("No connection can be accepted")
                    time.sleep(0.1)
                return
            connection = Connection(self, sock, client, listener.getsockname())
            with self.turn:
                self.connections[connection.fd] = connection
                self.count()
            self.idle.add(connection)
            self.epoll.register(connection.fd, select.EPOLLIN | select.EPOLLONESHOT)
            if len(self.connections) >= self.worker_connections:
                self.accept_new(False)
                return

    def over_its_share(self):
        least = min((held for held in _held if held), default=0)
        return len(self.connections) > least + self.cfg.threads

    def on_data(self, connection):
        try:
            data = connection.sock.recv(PIECE, socket.MSG_DONTWAIT)
        except BlockingIOError:
            self.give_back(connection)
            return
        except OSError:
            data = b""
        if connection.drained is not None:
            connection.drained += len(data)
        if not data or (connection.drained or 0) > DRAINED:
            self.drop(connection)
        elif connection.drained is not None:
            self.give_back(connection)
        else:
            parser = connection.parser
            if not parser.received:
                connection.await_head()
            parser.received += data
            self.answer(connection)

    def answer(self, connection):
        parser = connection.parser
        while parser.ready():
            self.say_since(time.monotonic())
            if not self.handle(connection):
                self.end(connection)
                return
            if not parser.ahead():
                connection.set_timeout()
                if not self.alive:
                    connection.timeout = min(connection.timeout, time.monotonic() + STOP_KEEPALIVE_LINGER)
                break
        self.give_back(connection)

    def end(self, connection):
        try:
            connection.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.drop(connection)
        else:
            connection.drained, connection.timeout = 0, time.monotonic() + DRAINS_FOR
            self.give_back(connection)

    def handle_request(self, req, connection):
        """Called by Gunicorn's handle(), which handles exceptions."""
        if not self.led:
            return super().handle_request(req, connection)
        environ, resp = {}, None
        try:
            self.before(self, req)
            begun = time.monotonic()
            if isinstance(req, PlainRequest):
                resp, environ = Answer(req, connection.sock, self.cfg), req.environ
                environ["wsgi.early_hints"] = wsgi._make_early_hints_callback(req, connection.sock, resp)
            else:
                resp, environ = wsgi.create(
                    req, connection.sock, connection.client, connection.server, self.cfg, response_class=Answer
                )
                environ["wsgi.multithread"] = True
            self.nr += 1
            if not self.alive or len(self.idle) >= self.most_kept:
                resp.force_close()
            body = self.wsgi(environ, resp.start_response)
            try:
                resp.send(body)
            finally:
                self.log.access(resp, req, environ, timedelta(seconds=time.monotonic() - begun))
                if hasattr(body, "close"):
                    body.close()
            return not resp.should_close()
        except OSError:
            raise
        except (Exception, SystemExit) as error:
            if resp is None or not resp.headers_sent:
                raise
            # A second head would look like part of the body.
            self.log.exception("Error handling request")
            raise StopIteration from error
        finally:
            try:
                self.after(self, req, environ, resp)
            except Exception:
                self.log.exception("Exception in post_request hook")
