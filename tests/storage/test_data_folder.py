"""The data folder's lock, marks and secrets."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hermes.settings import SettingsError, load_settings
from hermes.storage.data_folder import DataFolder, DataFolderError, DataFolderInUseError, Mode
from hermes.storage.secrets import ensure_secrets

SECRETS = ("mcp_api_key", "credential_encryption_key", "jwt_secret")


def test_the_lock_is_one_holders_at_a_time(tmp_path: Path) -> None:
    first, second = DataFolder(tmp_path), DataFolder(tmp_path)
    first.acquire("command")
    with pytest.raises(DataFolderInUseError) as refused:
        second.acquire("server")
    assert refused.value.holder == "command"
    first.release()
    second.acquire("server")
    assert second.held
    second.release()


@pytest.mark.parametrize("mode", ["sandbox", "live"])
def test_a_folder_stays_what_it_was_first_used_for(tmp_path: Path, mode: Mode) -> None:
    other: Mode = "live" if mode == "sandbox" else "sandbox"
    DataFolder(tmp_path).claim_mode(mode)
    DataFolder(tmp_path).claim_mode(mode)
    with pytest.raises(DataFolderError, match="never meet"):
        DataFolder(tmp_path).claim_mode(other)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataFolderError, match="DATA_DIR"):
        DataFolder(tmp_path / "file" / "data")


def test_secrets_are_made_once_and_private(tmp_path: Path) -> None:
    settings = load_settings({}, env_file=None, data_dir=tmp_path)
    folder = DataFolder(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: ensure_secrets(settings, folder), range(8)))
    values = {tuple(getattr(each, name).get_secret_value() for name in SECRETS) for each in found}
    assert len(values) == 1
    key, encryption, jwt = values.pop()
    assert key.startswith("sq_op_")
    assert len(key) == 49
    assert len(bytes.fromhex(encryption)) == 32
    assert encryption != jwt
    assert (tmp_path / "secrets.env").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["secrets.env"]
    assert key not in repr(found[0])


def test_what_the_environment_gives_wins(tmp_path: Path) -> None:
    settings = load_settings({"MCP_API_KEY": "mine"}, env_file=None, data_dir=tmp_path)
    completed = ensure_secrets(settings, DataFolder(tmp_path))
    assert completed.mcp_api_key is not None
    assert completed.mcp_api_key.get_secret_value() == "mine"
    assert completed.jwt_secret is not None


def test_a_lost_line_is_not_made_again(tmp_path: Path) -> None:
    (tmp_path / "secrets.env").write_text("MCP_API_KEY=a\n")
    with pytest.raises(DataFolderError, match="CREDENTIAL_ENCRYPTION_KEY, JWT_SECRET"):
        ensure_secrets(load_settings({}, env_file=None, data_dir=tmp_path), DataFolder(tmp_path))


@pytest.mark.parametrize("name", SECRETS)
def test_with_servers_of_ones_own_a_missing_secret_is_named(name: str) -> None:
    given = {each.upper(): "x" * 32 for each in SECRETS if each != name}
    given |= {"DATABASE_URL": "mysql+asyncmy://h/d", "REDIS_URL": "redis://h"}
    with pytest.raises(SettingsError, match=f"^{name.upper()} is missing .example: {name.upper()}="):
        ensure_secrets(load_settings(given, env_file=None), None)
