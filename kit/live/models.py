from django.db import models
from django.db.models.functions import Now


class Change(models.Model):
    """The last change of one object of a topic: what a page that was away asks for.

    There is one row per object, however often it changes, until it is so old that nobody asks for it (changes.prune).
    `position` orders the rows of a topic as they were *committed*: the database assigns it, see the migrations. A page
    that has seen everything up to a position has missed nothing below it, whatever other transactions were open.

    The row without a topic holds the horizon: no row up to that position is kept for sure.
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
