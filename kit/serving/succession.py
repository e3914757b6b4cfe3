"""Workers that are replaced after so many requests, each by one that accepts before its predecessor stops.

Gunicorn and Uvicorn stop such a worker first. Where it is the only one, everybody waits for its last request to end.
"""

import mmap
import os
import signal
import sys
import time
import weakref

from gunicorn.workers.gthread import ThreadWorker

# A worker asks Gunicorn for one more (SIGTTIN), serves until that one does, and then lets itself be stopped (SIGTTOU).
SERVING, ASKING, SUCCEEDED, LEAVING = range(4)

RETRY_SECONDS = 5

_workers = weakref.WeakSet()


def count(server):
    """Tell Gunicorn how many workers there are to be: by states, as two signals at once may arrive as one."""
    asking = sum(getattr(worker, "asks", False) for worker in server.WORKERS.values())
    server._num_workers = server.cfg.workers + asking


class Successive:
    """For a class of Gunicorn's workers, which calls `tick` all the time while it accepts, and `leave` to stop."""

    accepts = False

    def __init__(self, *arguments, **options):
        # Made before the fork: Gunicorn, this worker and those that follow it share it.
        self.state = mmap.mmap(-1, 1)
        super().__init__(*arguments, **options)
        self.enough, self.max_requests = self.max_requests, sys.maxsize
        _workers.add(self)

    @property
    def asks(self) -> bool:
        return self.state[0] in (ASKING, SUCCEEDED)

    @property
    def age(self):
        """Of too many workers Gunicorn stops the one whose age is the lowest number."""
        return -1 if self.state[0] == LEAVING else self._age

    @age.setter
    def age(self, value):
        self._age = value

    def init_process(self):
        try:
            super().init_process()
        except (Exception, SystemExit):
            if self.accepts or not any(worker.asks for worker in _workers):
                raise
            # As what can't boot it would end the server, and with it the predecessor.
            self.log.exception("This worker can't start. Its predecessor serves on until another one can.")
            time.sleep(RETRY_SECONDS)
            sys.exit(1)

    def tick(self, requests):
        if not self.accepts:
            self.accepts = True
            for worker in _workers:
                if worker.state[0] == ASKING:
                    worker.state[0] = SUCCEEDED
        elif self.state[0] == SERVING and requests >= self.enough:
            self.log.info("This worker has served %s requests: another one takes its place.", requests)
            self._turn(ASKING, signal.SIGTTIN)
        elif self.state[0] == SUCCEEDED:
            self._turn(LEAVING, signal.SIGTTOU)

    def leave(self):
        self.state[0] = LEAVING

    def _turn(self, state, sign):
        self.state[0] = state
        if os.getppid() == self.ppid:
            os.kill(self.ppid, sign)


class ThreadedWorker(Successive, ThreadWorker):
    def notify(self):
        super().notify()
        if self.alive:
            self.tick(self.nr)

    def handle_exit(self, sig, frame):
        self.leave()
        super().handle_exit(sig, frame)
