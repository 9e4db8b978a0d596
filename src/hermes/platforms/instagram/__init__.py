"""Instagram, through its API for professional accounts, with either login."""

from hermes.platforms.instagram.tools import instagram

__all__ = ["instagram"]
