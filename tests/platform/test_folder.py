"""The data folder: made whole, refused when it is not ours or not whole, held by one."""

from __future__ import annotations

from pathlib import Path

import pytest

from qcloud.platform.folder import DataFolder, FolderError, write_private


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    made = DataFolder(tmp_path / "data")
    made.prepare()
    return made


def test_a_new_folder_is_private_and_its_secrets_differ(folder: DataFolder) -> None:
    assert folder.root.stat().st_mode & 0o777 == 0o700
    assert (folder.root / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert len(set(folder.secrets().values())) == len(folder.secrets()) == 7


def test_preparing_again_keeps_the_secrets(folder: DataFolder) -> None:
    before = folder.secrets()
    folder.prepare()
    assert folder.secrets() == before


def test_a_half_written_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    with pytest.raises(FolderError, match=r"postgres but was never finished.*make clean-data"):
        DataFolder(tmp_path).prepare()


def test_another_versions_folder_is_refused(folder: DataFolder) -> None:
    (folder.root / "format").write_text("99\n")
    with pytest.raises(FolderError, match="another version of QCloud"):
        folder.prepare()


def test_lost_secrets_are_told_with_what_to_do(folder: DataFolder) -> None:
    (folder.root / "secrets.json").unlink()
    with pytest.raises(FolderError, match=r"restore it from a backup.*make clean-data"):
        folder.prepare()


def test_secrets_that_others_can_read_are_refused(folder: DataFolder) -> None:
    (folder.root / "secrets.json").chmod(0o644)
    with pytest.raises(FolderError, match="chmod 600"):
        folder.prepare()


def test_a_second_start_names_the_first(folder: DataFolder) -> None:
    import os

    with folder.lock(), pytest.raises(FolderError, match=rf"already runs .*process {os.getpid()}"):
        folder.lock()
    folder.lock().close()


def test_a_path_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="too long a path for a socket"):
        DataFolder(tmp_path / ("x" * 90)).prepare()


def test_a_private_file_replaces_the_old_one_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_private(path, "old")
    write_private(path, "new")
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(tmp_path.iterdir()) == [path]
