"""Telegram, through the Bot API."""

from hermes.platforms.telegram.tools import telegram

__all__ = ["telegram"]
