"""The backends of MAILERS: what Django's send_mail calls, and what stands for a mail server where there is none."""

from django.core.exceptions import ImproperlyConfigured
from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction

MISSING = "EMAIL_URL is missing: set it to smtp://user:password@host:587, or MAILERS in settings.py, to send mail."


class Queue(BaseEmailBackend):
    """Keeps messages, in the open transaction, and has them sent after it: by a job, or at once where none are done."""

    def __init__(self, fail_silently=False, **options):
        super().__init__(**options)
        # What fails here is the database, and later there is no caller.
        self.fail_silently = fail_silently

    def send_messages(self, email_messages):
        from .models import Message

        # All are made before one is kept: a message that can't be made is the caller's mistake.
        kept = [Message.of(message) for message in email_messages if message.recipients()]
        with transaction.atomic():
            for message in kept:
                message.save()
                message.send()
        return len(kept)


class NoServer(BaseEmailBackend):
    def __init__(self, fail_silently=False, **options):
        super().__init__(**options)

    def open(self):
        raise ImproperlyConfigured(MISSING)

    def send_messages(self, email_messages):
        raise ImproperlyConfigured(MISSING)
