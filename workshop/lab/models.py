from django.db import models


class Row(models.Model):
    """What the workloads ask for: numbers 1 to 1,000, written by a migration. Number 0 is what `broadcast` changes."""

    number = models.PositiveIntegerField(primary_key=True)
    text = models.CharField(max_length=100)

    def __str__(self):
        return f"{self.number} {self.text}"
