"""Give a wheel the platform that its compiled programs are for.

``retag.py WHEEL FOLDER PLATFORM`` writes the wheel into FOLDER under its new name. Files in
it stay byte for byte, but ``WHEEL`` and its line in ``RECORD``. The result is the same for the
same contents: entries are sorted and bear no time.
"""

from __future__ import annotations

import base64
import hashlib
import sys
import zipfile
from pathlib import Path

EPOCH = (1980, 1, 1, 0, 0, 0)


def retag(wheel: Path, folder: Path, platform: str) -> Path:
    """The path of the new wheel."""
    with zipfile.ZipFile(wheel) as old:
        files = {name: old.read(name) for name in old.namelist()}
    (about,) = [name for name in files if name.endswith(".dist-info/WHEEL")]
    record = about.replace("/WHEEL", "/RECORD")
    lines = files[about].decode().splitlines()
    lines = [line.replace("-none-any", f"-none-{platform}") for line in lines]
    lines = [
        "Root-Is-Purelib: false" if line.startswith("Root-Is-Purelib") else line for line in lines
    ]
    files[about] = "\n".join([*lines, ""]).encode()
    files[record] = _record(files, record)
    target = folder / wheel.name.replace("-none-any", f"-none-{platform}")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            new.writestr(entry, files[name])
    return target


def _record(files: dict[str, bytes], record: str) -> bytes:
    lines = []
    for name, data in sorted(files.items()):
        if name != record:
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            lines.append(f"{name},sha256={digest},{len(data)}")
    return "\n".join([*lines, f"{record},,", ""]).encode()


if __name__ == "__main__":
    source, into, name = sys.argv[1:]
    sys.stdout.write(f"{retag(Path(source), Path(into), name)}\n")
