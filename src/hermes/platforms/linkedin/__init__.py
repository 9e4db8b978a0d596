"""LinkedIn, through its versioned REST API."""

from hermes.platforms.linkedin.tools import linkedin

__all__ = ["linkedin"]
