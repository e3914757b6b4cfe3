"""Outgoing mail: the mailer `default` stores each message in the database until the mailer `server` has sent it."""
