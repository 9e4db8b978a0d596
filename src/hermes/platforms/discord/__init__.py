"""Discord, through its HTTP API, as a bot."""

from hermes.platforms.discord.tools import discord

__all__ = ["discord"]
