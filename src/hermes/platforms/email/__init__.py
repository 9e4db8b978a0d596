"""Email: any mailbox that speaks IMAP and SMTP submission over TLS."""

from hermes.platforms.email.tools import email

__all__ = ["email"]
