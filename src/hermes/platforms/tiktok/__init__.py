"""TikTok, through Login Kit's Display API and the Content Posting API."""

from hermes.platforms.tiktok.tools import tiktok

__all__ = ["tiktok"]
