"""The mail backends of MAILERS: the one for Django's send_mail, and the stand-in for a missing mail server."""

from django.core.exceptions import ImproperlyConfigured
from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction

MISSING = "EMAIL_URL is missing: set it to smtp://user:password@host:587, or MAILERS in settings.py, to send mail."


class Queue(BaseEmailBackend):
    """Stores messages in the open transaction. A job sends them after it, or this process if no jobs are run."""

    def __init__(self, fail_silently=False, **options):
        super().__init__(**options)
        # Only the database can fail here. Sending fails later, without a caller.
        self.fail_silently = fail_silently

    def send_messages(self, email_messages):
        from .models import Message

        # Build all before storing any: a message that can't be built is the caller's error.
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
