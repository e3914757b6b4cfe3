from django.contrib.auth.models import AbstractUser


class User(AbstractUser):
    """Django's own user, but ours from the first migration on: replacing it later is a project."""
