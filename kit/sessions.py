"""Django's database sessions (SESSION_ENGINE), which ignore malformed session keys."""

from django.contrib.sessions.backends import db


class SessionStore(db.SessionStore):
    def _validate_session_key(self, key):
        # A cookie can hold any text, including "\000" in quotes, with which PostgreSQL's query would fail.
        return super()._validate_session_key(key) and key.isascii() and key.isalnum()
