"""Django's sessions in the database (SESSION_ENGINE), for what can be the key of one."""

from django.contrib.sessions.backends import db


class SessionStore(db.SessionStore):
    def _validate_session_key(self, key):
        # A cookie can hold any text, "\000" in quotes as well, and PostgreSQL fails where it is asked for that one.
        return super()._validate_session_key(key) and key.isascii() and key.isalnum()
