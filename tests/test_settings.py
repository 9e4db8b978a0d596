"""Settings: what is wrong is named, what looks like a typing error is pointed out."""

from __future__ import annotations

import pytest

from hermes.settings import SettingsError, likely_typos, load_settings


@pytest.mark.parametrize(
    ("environ", "names"),
    [
        ({"PORT": "x"}, ["PORT", "example: PORT=3456"]),
        ({"PUBLIC_URL": "ftp://x"}, ["PUBLIC_URL", "https://mcp.example.com"]),
        ({"SIGNUP": "maybe", "LOG_FORMAT": "xml"}, ["SIGNUP", "LOG_FORMAT"]),
    ],
)
def test_a_malformed_setting_is_named_with_an_example(environ: dict[str, str], names: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(environ, env_file=None)
    assert all(name in str(caught.value) for name in names)


def test_the_public_url_follows_the_port() -> None:
    assert load_settings({"PORT": "4000"}, env_file=None).public_url == "http://127.0.0.1:4000"
    assert load_settings({"PUBLIC_URL": "https://x.example/"}, env_file=None).public_url == "https://x.example"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("HERMES_PUBLIC_URL", "PUBLIC_URL"),
        ("HERMES_DATABASE", "DATABASE_URL"),
        ("DATABSE_URL", "DATABASE_URL"),
        ("CREDENTIAL_ENCRYPTON_KEY", "CREDENTIAL_ENCRYPTION_KEY"),
    ],
)
def test_a_typing_error_is_recognised(name: str, meant: str) -> None:
    assert likely_typos({name: "x", "PATH": "/bin", "HOME": "/root", "PORT": "1", "LANG": "C"}) == {name: meant}
