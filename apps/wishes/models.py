import uuid

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .text import validate_text


class WishQuerySet(models.QuerySet):
    def board(self):
        """Wishes as the board shows them, newest first, with their owner and `cheer_count`, in one query."""
        # By key, not by time: pages place pushed wishes by their id.
        return self.select_related("owner").annotate(cheer_count=models.Count("cheers")).order_by("-pk")


class Wish(models.Model):
    MAX_LENGTH = 280

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="wishes", verbose_name=_("owner"))
    text = models.CharField(_("text"), max_length=MAX_LENGTH, validators=[validate_text])
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    granted_at = models.DateTimeField(_("granted at"), null=True, blank=True)

    objects = WishQuerySet.as_manager()

    class Meta:
        verbose_name = _("wish")
        verbose_name_plural = _("wishes")

    def __str__(self):
        return self.text

    def grant(self):
        """Record the first time only."""
        if self.granted_at is None:
            self.granted_at = timezone.now()
            self.save(update_fields=["granted_at"])


class Cheer(models.Model):
    wish = models.ForeignKey(Wish, models.CASCADE, related_name="cheers", verbose_name=_("wish"))
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="cheers", verbose_name=_("user"))
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("cheer")
        verbose_name_plural = _("cheers")
        constraints = [models.UniqueConstraint(fields=["wish", "user"], name="one_cheer_per_user_and_wish")]

    def __str__(self):
        return f"{self.user} → {self.wish}"


class TalkQuerySet(models.QuerySet):
    def of(self, user):
        """Conversations of `user`; none for AnonymousUser."""
        return self.filter(models.Q(wish__owner=user.pk) | models.Q(member=user.pk))

    def with_messages(self):
        """Conversations with messages, newest first, with their people and `latest`, the time of the last message."""
        talks = self.select_related("wish__owner", "member").annotate(latest=models.Max("messages__created_at"))
        return talks.filter(latest__isnull=False).order_by("-latest")


class Talk(models.Model):
    """The conversation between a wish's owner and one member about it."""

    wish = models.ForeignKey(Wish, models.CASCADE, related_name="talks", verbose_name=_("wish"))
    member = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="talks", verbose_name=_("user"))

    objects = TalkQuerySet.as_manager()

    class Meta:
        verbose_name = _("conversation")
        verbose_name_plural = _("conversations")
        constraints = [models.UniqueConstraint(fields=["wish", "member"], name="one_talk_per_wish_and_member")]

    def __str__(self):
        return f"{self.member} → {self.wish}"

    def get_absolute_url(self):
        return reverse("wishes:talk", args=[self.pk])


class Message(models.Model):
    MAX_LENGTH = 1000

    talk = models.ForeignKey(Talk, models.CASCADE, related_name="messages", verbose_name=_("conversation"))
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name=_("user"))
    text = models.CharField(_("text"), max_length=MAX_LENGTH, validators=[validate_text])
    # Chosen by the sender, so that a message sent again is saved once.
    token = models.UUIDField(default=uuid.uuid4)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("message")
        verbose_name_plural = _("messages")
        constraints = [models.UniqueConstraint(fields=["talk", "token"], name="one_message_per_talk_and_token")]

    def __str__(self):
        return self.text
