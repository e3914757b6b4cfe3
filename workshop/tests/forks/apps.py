import threading

from django.apps import AppConfig

from kit.serving.forks import worker_started


class ForksConfig(AppConfig):
    name = "workshop.tests.forks"

    def ready(self):
        threading.Thread(target=wait, name="too early", daemon=True).start()
        worker_started.connect(fail)
        worker_started.connect(start)


def fail(**kwargs):
    raise RuntimeError("the port is taken")


def start(worker, **kwargs):
    threading.Thread(target=wait, name=f"of {worker.pid}", daemon=True).start()


def wait():
    threading.Event().wait()
