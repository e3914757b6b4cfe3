from django.tasks import task
from django.utils import timezone

from .models import KEPT_FOR, Message


@task
def send(key: int) -> None:
    """Takes only the key, because a job's arguments are stored and shown in the admin. If a worker is killed after the
    mail server accepted the message, the job sends it again."""
    # It may have been sent or deleted meanwhile.
    if message := Message.objects.filter(pk=key).first():
        message.deliver()


@task
def prune() -> None:
    Message.objects.filter(created_at__lt=timezone.now() - KEPT_FOR).delete()
