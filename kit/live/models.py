from django.db import models
from django.db.models.functions import Now


class Change(models.Model):
    """The last change of one object of a topic, for pages that were away.

    There is one row per object, however often it changes, until changes.prune removes it as too old.
    `position` orders a topic's rows by *commit*: the database assigns it, see the migrations. A page that has seen
    everything up to a position has missed nothing below it, whatever other transactions were open.

    The row without a topic holds the horizon: rows up to that position may have been removed.
    """

    topic = models.CharField(max_length=200)
    key = models.CharField(max_length=50)
    position = models.BigIntegerField(null=True, editable=False)
    at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["topic", "key"], name="live_change_of_an_object")]
        indexes = [
            models.Index(fields=["topic", "position"], name="live_change_position"),
            models.Index(fields=["at"], name="live_change_at"),
        ]

    def __str__(self):
        return f"{self.topic} {self.key} at {self.position}"
