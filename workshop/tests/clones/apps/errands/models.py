from django.db import models


class Errand(models.Model):
    text = models.CharField(max_length=100)
    # What the worker finds out. None until then.
    letters = models.IntegerField(null=True)

    def __str__(self):
        return self.text
