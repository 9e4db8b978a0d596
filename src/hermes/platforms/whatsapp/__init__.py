"""WhatsApp, through the Business Cloud API."""

from hermes.platforms.whatsapp.tools import whatsapp

__all__ = ["whatsapp"]
