from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from api.admin_key import admin_key
from api.settings import InvalidSetting, Settings


def test_the_key_that_is_set_is_used_and_no_file_is_made(tmp_path: Path) -> None:
    found = admin_key(Settings(data_dir=tmp_path, admin_key="a-long-enough-admin-key"))
    assert (found.key, found.made_in) == ("a-long-enough-admin-key", None)
    assert list(tmp_path.iterdir()) == []


def test_a_key_is_made_once_for_its_user_alone(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    first = admin_key(settings)
    file = tmp_path / "data/admin-key"
    assert first.made_in == file
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert len(first.key) >= 40
    assert first.key not in repr(first)

    again = admin_key(settings)
    assert (again.key, again.made_in) == (first.key, None)
    assert list(file.parent.iterdir()) == [file]


def test_starts_at_the_same_time_agree_on_one_key(tmp_path: Path) -> None:
    for trial in range(20):
        settings = Settings(data_dir=tmp_path / str(trial))
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(admin_key, [settings] * 8))
        assert len({one.key for one in found}) == 1
        assert len([one for one in found if one.made_in is not None]) == 1


def test_two_directories_have_two_keys(tmp_path: Path) -> None:
    assert (
        admin_key(Settings(data_dir=tmp_path / "a")).key != admin_key(Settings(data_dir=tmp_path / "b")).key
    )


def test_a_mongodb_of_ones_own_wants_the_key_to_be_set(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match=r"^SHOAL_ADMIN_KEY: .* since SHOAL_MONGODB_URI is set"):
        admin_key(Settings(data_dir=tmp_path, mongodb_uri="mongodb://db/"))


def test_an_empty_file_is_no_key(tmp_path: Path) -> None:
    (tmp_path / "admin-key").touch()
    with pytest.raises(InvalidSetting, match=r"admin-key is empty; delete it"):
        admin_key(Settings(data_dir=tmp_path))


def test_a_directory_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        InvalidSetting, match=r"^SHOAL_DATA_DIR: .*file/data/admin-key cannot be used: Not a directory"
    ):
        admin_key(Settings(data_dir=tmp_path / "file/data"))
