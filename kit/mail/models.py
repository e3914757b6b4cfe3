import email
import logging
from datetime import timedelta
from email import policy

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, mailers
from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

logger = logging.getLogger(__name__)

# Sends lines unchanged.
AS_MADE = policy.SMTP.clone(refold_source="none")
KEPT_FOR = timedelta(days=30)
# The number of messages kept for /dev/mail/.
SHOWN = 100


class Message(models.Model):
    """A mail that has not been sent yet. The content is secret: it has password reset links."""

    id = models.BigAutoField(primary_key=True)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, db_index=True)
    sender = models.TextField(_("from"))
    recipients = models.JSONField(_("to"))
    content = models.BinaryField()
    error = models.TextField(_("last failure"), blank=True)

    class Meta:
        ordering = ["-pk"]
        verbose_name = _("mail not sent")
        verbose_name_plural = _("mails not sent")

    def __str__(self):
        return f"{self.pk}"

    @classmethod
    def of(cls, message):
        content = message.message(policy=policy.SMTP).as_bytes()
        return cls(
            sender=str(message.from_email), recipients=[str(each) for each in message.recipients()], content=content
        )

    def parsed(self):
        return email.message_from_bytes(bytes(self.content), policy=AS_MADE)

    def send(self):
        """Send the mail after the open transaction."""
        from .tasks import send

        if settings.MAIL_SHOWN:
            old = Message.objects.values_list("pk", flat=True)[SHOWN:]
            Message.objects.filter(pk__in=list(old)).delete()
        elif settings.WORKER_PROCESSES:
            send.enqueue(self.pk)
        else:
            transaction.on_commit(self._send_now)

    def _send_now(self):
        try:
            self.deliver()
        except Exception as error:
            # Don't fail the visitor's page, just as a job wouldn't: the mail stays in the admin.
            logger.error("Mail %s was not sent, and is kept in the admin: %s", self.pk, error)

    def deliver(self):
        """Send with the mailer `server` and delete the mail. On failure, keep it and raise the error."""
        try:
            if mailers["server"].send_messages([Kept(self)]) != 1:
                raise OSError("The mailer `server` took no message.")
        except Exception as error:
            Message.objects.filter(pk=self.pk).update(error=f"{type(error).__name__}: {error}")
            raise
        self.delete()


class Kept(EmailMultiAlternatives):
    """The stored mail for any backend: SMTP sends the exact bytes, a provider's API uses the parts."""

    def __init__(self, kept):
        parsed = self._parsed = kept.parsed()
        self._recipients = kept.recipients
        bodies = {kind: parsed.get_body((kind,)) for kind in ("plain", "html")}
        plain, html = (part.get_content() if part else None for part in bodies.values())
        lists = {name: _addresses(parsed[name]) for name in ("to", "cc", "reply-to")}
        seen = {address.addr_spec for name in ("to", "cc") for address in getattr(parsed[name], "addresses", ())}
        own = {"subject", "from", "to", "cc", "reply-to", "mime-version"}
        super().__init__(
            parsed["subject"],
            plain or "",
            kept.sender,
            lists["to"],
            cc=lists["cc"],
            reply_to=lists["reply-to"],
            bcc=[each for each in kept.recipients if each not in lists["to"] + lists["cc"] and each not in seen],
            headers={
                name: value
                for name, value in parsed.items()
                if name.lower() not in own and not name.lower().startswith("content-")
            },
            alternatives=[(html, "text/html")] if html else [],
            attachments=[part for part in parsed.walk() if part.is_attachment()],
        )

    def message(self, *, policy=None):
        return self._parsed

    def recipients(self):
        return self._recipients


def _addresses(header):
    return [str(address) for address in getattr(header, "addresses", ())]
