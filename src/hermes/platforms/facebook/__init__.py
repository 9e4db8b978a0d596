"""Facebook, through the Graph API's Pages."""

from hermes.platforms.facebook.tools import facebook

__all__ = ["facebook"]
