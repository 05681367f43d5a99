"""Folders named in settings: never taken away from their other users."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.spool.files import make_private, write_whole
from agent.stores.base import StoreError
from agent.stores.directory import DirectoryStore
from agent.system import DataFolderError, lock_data_folder


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def test_what_is_missing_is_made_private(tmp_path: Path) -> None:
    make_private(tmp_path / "new" / "objects")
    assert {mode(path) for path in (tmp_path / "new", tmp_path / "new" / "objects")} == {0o700}


def test_a_folder_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    shared = tmp_path / "lib"
    shared.mkdir()
    shared.chmod(0o755)
    DirectoryStore(shared, reserve=0).check()
    lock_data_folder(shared).close()
    assert mode(shared) == 0o755


@pytest.mark.parametrize("open_to", [0o777, 0o1777, 0o775])
def test_a_folder_where_others_write_is_refused(tmp_path: Path, open_to: int) -> None:
    public = tmp_path / "tmp"
    public.mkdir()
    (public / "somebody's").touch()
    public.chmod(open_to)
    with pytest.raises(StoreError, match="others may write"):
        DirectoryStore(public, reserve=0).check()
    with pytest.raises(DataFolderError, match="others may write"):
        lock_data_folder(public)
    assert mode(public) == open_to


def test_a_fresh_volume_is_taken(tmp_path: Path) -> None:
    """Orchestrators hand out empty folders that everybody may write."""
    volume = tmp_path / "volume"
    volume.mkdir()
    volume.chmod(0o777)
    lock_data_folder(volume).close()
    assert mode(volume) == 0o700
    lock_data_folder(volume).close()


def test_a_link_in_the_way_of_a_file_is_not_written_through(tmp_path: Path) -> None:
    target, path = tmp_path / "shadow", tmp_path / "status.json"
    target.write_bytes(b"root")
    for name in ("status.json.tmp", "status.json"):
        (tmp_path / name).symlink_to(target)
    write_whole(path, b"{}", durable=False)
    assert target.read_bytes() == b"root"
    assert not path.is_symlink()
    assert path.read_bytes() == b"{}"


def test_the_trial_of_a_directory_store_goes_through_no_link(tmp_path: Path) -> None:
    target, folder = tmp_path / "shadow", tmp_path / "objects"
    target.write_bytes(b"root")
    folder.mkdir()
    for name in ("check", "check.tmp"):
        (folder / name).symlink_to(target)
    DirectoryStore(folder, reserve=0).check()
    assert target.read_bytes() == b"root"
