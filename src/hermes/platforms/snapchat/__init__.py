"""Snapchat, through the Ads API and the Public Profile API."""

from hermes.platforms.snapchat.tools import snapchat

__all__ = ["snapchat"]
