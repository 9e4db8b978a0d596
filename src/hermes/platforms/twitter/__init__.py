"""X (Twitter), through its API v2."""

from hermes.platforms.twitter.tools import twitter

__all__ = ["twitter"]
