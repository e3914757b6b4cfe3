from django.contrib.auth.models import AbstractUser


class User(AbstractUser):
    """Django's own user for now. It is ours from the first migration on, because replacing it later is a project."""
