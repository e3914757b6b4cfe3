from django.tasks import task
from django.utils import timezone

from .models import KEPT_FOR, Message


@task
def send(key: int) -> None:
    """The key alone: arguments of jobs are kept, and shown in the admin. A worker that is killed after the mail server
    took the message sends it again."""
    # Sent meanwhile, or deleted by hand: nothing to do.
    if message := Message.objects.filter(pk=key).first():
        message.deliver()


@task
def prune() -> None:
    Message.objects.filter(created_at__lt=timezone.now() - KEPT_FOR).delete()
