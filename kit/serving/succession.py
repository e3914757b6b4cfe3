"""Workers that are replaced after so many requests, each by one that accepts before its predecessor stops.

Gunicorn and Uvicorn stop such a worker first. Where it is the only one, everybody waits for its last request to end.
"""

import mmap
import os
import signal
import sys
import time

from gunicorn.workers.gthread import ThreadWorker

# A worker that has served enough asks Gunicorn for one more, and serves on until that one does.
SERVING, ASKING, SUCCEEDED = range(3)

RETRY_SECONDS = 5

_workers = set()


def count(server, gone=None):
    """Tell Gunicorn how many workers there are to be: until they are gone, those that leave do not count."""
    if gone in _workers:
        _workers.remove(gone)
        gone.state[0] = SERVING
    leaving = sum(bool(worker.state[0]) for worker in server.WORKERS.values() if isinstance(worker, Successive))
    server._num_workers = server.cfg.workers + leaving


class Successive:
    """For a class of Gunicorn's workers, which calls `tick` all the time while it accepts."""

    accepts = False

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.enough, self.max_requests = self.max_requests, sys.maxsize
        # Made before the fork: Gunicorn, this worker and those that follow it share it.
        self.state = mmap.mmap(-1, 1)
        _workers.add(self)

    def init_process(self):
        try:
            super().init_process()
        except (Exception, SystemExit):
            if self.accepts or not _asking():
                raise
            # As what can't boot it would end the server, and with it the predecessor.
            self.log.exception("This worker can't start. Its predecessor serves on until another one can.")
            time.sleep(RETRY_SECONDS)
            sys.exit(1)

    def tick(self, requests) -> bool:
        """Is it time to leave?"""
        if figures := sys.modules.get("kit.figures"):
            figures.sample()
        if not self.accepts:
            self.accepts = True
            for worker in _asking():
                worker.state[0] = SUCCEEDED
        elif self.state[0] == SERVING and requests >= self.enough and os.getppid() == self.ppid:
            self.log.info("This worker has served %s requests: another one takes its place.", requests)
            self.state[0] = ASKING
            # Makes Gunicorn count.
            os.kill(self.ppid, signal.SIGTTIN)
        return self.state[0] == SUCCEEDED


def _asking():
    return [worker for worker in _workers if worker.state[0] == ASKING]


class ThreadedWorker(Successive, ThreadWorker):
    def notify(self):
        super().notify()
        if self.alive and self.tick(self.nr):
            self.alive = False
