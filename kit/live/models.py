from django.db import models


class Change(models.Model):
    """The last change of one object of a topic: what a page that was away asks for.

    There is one row per object, however often it changes, and it stays when the object is gone. `position` orders the
    rows as they were *committed*: the database assigns it, see the migration. A page that has seen everything up to
    a position has missed nothing below it, whatever other transactions were open at the time.
    """

    topic = models.CharField(max_length=50)
    key = models.CharField(max_length=50)
    position = models.BigIntegerField(null=True, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["topic", "key"], name="live_change_of_an_object")]
        indexes = [models.Index(fields=["topic", "position"], name="live_change_position")]

    def __str__(self):
        return f"{self.topic} {self.key} at {self.position}"
