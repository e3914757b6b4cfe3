from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models.functions import Upper


class User(AbstractUser):
    """Django's user in a model of ours, because replacing the user model later is hard."""

    class Meta(AbstractUser.Meta):
        # Sign-in ignores case, and would read the whole table without these.
        indexes = [
            models.Index(Upper("username"), name="accounts_user_name"),
            models.Index(fields=["email"], name="accounts_user_email"),
        ]
