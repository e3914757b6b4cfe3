"""Replaces workers after a number of requests. The new worker accepts requests before the old one stops.

Gunicorn and Uvicorn stop the old one first: if it is the only worker, all visitors wait for its last request to end.
"""

import mmap
import os
import signal
import sys
import time

from gunicorn.workers.gthread import ThreadWorker

# A worker that has served enough asks Gunicorn for another, and keeps serving until that one accepts.
SERVING, ASKING, SUCCEEDED = range(3)

RETRY_SECONDS = 5

_workers = set()


def count(server, gone=None):
    """Tell Gunicorn the number of workers to keep; workers about to leave do not count."""
    if gone in _workers:
        _workers.remove(gone)
        gone.state[0] = SERVING
    leaving = sum(bool(worker.state[0]) for worker in server.WORKERS.values() if isinstance(worker, Successive))
    server._num_workers = server.cfg.workers + leaving


class Successive:
    """A mixin for Gunicorn's worker classes, which call `tick` continuously while they accept."""

    accepts = False

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.enough, self.max_requests = self.max_requests, sys.maxsize
        # Created before the fork, to share it between Gunicorn, this worker and its successors.
        self.state = mmap.mmap(-1, 1)
        _workers.add(self)

    def init_process(self):
        try:
            super().init_process()
        except (Exception, SystemExit):
            if self.accepts or not _asking():
                raise
            # A worker that fails to boot would end the server, and with it the predecessor.
            self.log.exception("This worker can't start. Its predecessor keeps serving until another one can.")
            time.sleep(RETRY_SECONDS)
            sys.exit(1)

    def tick(self, requests) -> bool:
        """Should the worker leave now?"""
        if figures := sys.modules.get("kit.figures"):
            figures.sample()
        if not self.accepts:
            self.accepts = True
            for worker in _asking():
                worker.state[0] = SUCCEEDED
        elif self.state[0] == SERVING and requests >= self.enough and os.getppid() == self.ppid:
            self.log.info("This worker has served %s requests, and is replaced.", requests)
            self.state[0] = ASKING
            # Makes Gunicorn adjust the number of workers.
            os.kill(self.ppid, signal.SIGTTIN)
        return self.state[0] == SUCCEEDED


def _asking():
    return [worker for worker in _workers if worker.state[0] == ASKING]


class ThreadedWorker(Successive, ThreadWorker):
    def notify(self):
        super().notify()
        if self.alive and self.tick(self.nr):
            self.alive = False
