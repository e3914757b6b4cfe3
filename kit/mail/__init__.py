"""Outgoing mail: the mailer `default` keeps each message in a table until the mailer `server` has sent it."""
