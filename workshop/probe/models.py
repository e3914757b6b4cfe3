from django.db import models


class Post(models.Model):
    text = models.CharField(max_length=280)
    owner = models.CharField(max_length=150)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self):
        return self.text
