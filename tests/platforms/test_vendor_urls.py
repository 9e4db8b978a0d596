"""Which of the URLs in a vendor's answers are followed."""

from __future__ import annotations

from typing import Any

import pytest

from hermes.platforms.vendor_urls import is_vendors

HOSTS = ("www.vendor.com", ".vendorusercontent.com")


@pytest.mark.parametrize(
    ("url", "base_url", "followed"),
    [
        ("https://www.vendor.com/upload?sig=a%2Fb", "https://api.vendor.com", True),
        ("https://www.vendor.com:443/upload", "https://api.vendor.com", True),
        ("https://api.vendor.com/next?page=2", "https://api.vendor.com", True),
        ("https://eu.vendorusercontent.com/1", "https://api.vendor.com", True),
        ("http://127.0.0.1:3457/vendor/upload/1", "http://127.0.0.1:3457/vendor", True),
        ("http://www.vendor.com/upload", "https://api.vendor.com", False),
        ("https://www.vendor.com:8443/upload", "https://api.vendor.com", False),
        ("https://vendorusercontent.com/1", "https://api.vendor.com", False),
        ("https://evilvendorusercontent.com/1", "https://api.vendor.com", False),
        ("https://www.vendor.com.evil.com/1", "https://api.vendor.com", False),
        ("https://www.vendor.com@evil.com/1", "https://api.vendor.com", False),
        ("https://evil.com\\@www.vendor.com/1", "https://api.vendor.com", False),
        ("https://user:pass@www.vendor.com/1", "https://api.vendor.com", False),
        ("http://127.0.0.1:3458/vendor/upload/1", "http://127.0.0.1:3457/vendor", False),
        ("http://127.0.0.1:3457/vendor/upload/1", "https://api.vendor.com", False),
        ("https://www.vendor.com:port/1", "https://api.vendor.com", False),
        ("https://www.vendor.com/a b", "https://api.vendor.com", False),
        ("//www.vendor.com/1", "https://api.vendor.com", False),
        ("", "https://api.vendor.com", False),
        (None, "https://api.vendor.com", False),
        (7, "https://api.vendor.com", False),
    ],
)
def test_only_the_vendors_own_addresses_are_followed(url: Any, base_url: str, followed: bool) -> None:
    assert is_vendors(url, base_url=base_url, hosts=HOSTS) is followed
