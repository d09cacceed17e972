"""Packs the landing zone into one file and unpacks it elsewhere, where it recreates everything.

An archive holds `landing/<kind>/<file>` and, last, `manifest.json` with the size and hash of each,
so one that was cut short is known by it. Nothing in an archive is trusted: a member's name is
matched against the names that landing files can have and never used as a path, sizes are limited
while they are read, and nothing reaches the landing zone before every file was verified.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import lzma
import os
import re
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from warehouse.errors import InputError, WorkError
from warehouse.landing import list_landing, write_atomically
from warehouse.records import DOCUMENTS, SCHEMA_VERSION, RecordKind
from warehouse.study_files import find_study_files
from warehouse.workspace import Workspace

MANIFEST = "manifest.json"
MAX_BYTES = 64 << 30
SUFFIXES = (".tar.zst", ".tar.gz", ".zip")

_FORMAT = "growthpace landing archive"
_FORMAT_VERSION = 1
_MAX_MANIFEST_BYTES = 256 << 20
_MAX_FILES = 2_000_000
_CHUNK = 1 << 20
_STEM = r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}"
_KINDS = {kind.value: ".json" if kind in DOCUMENTS else ".parquet" for kind in RecordKind}
_MEMBER = re.compile(rf"landing/([a-z_]+)/({_STEM})")
# What says that a cell or an import is complete lands last, as its writers do it.
_LAST = (RecordKind.RUN, RecordKind.IMPORT, RecordKind.EXCLUSION)
# What the readers of archives raise for bytes that make no sense.
_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    RuntimeError,
    ValueError,
)


@dataclass(frozen=True, kw_only=True)
class ArchivedFile:
    """One landing file of an archive; `path` is `landing/<kind>/<name>`."""

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What an archive brought: files that landed, and files that were there already."""

    n_new: int
    n_known: int


# --- Packing ----------------------------------------------------------------------------------


def export_landing(
    workspace: Workspace, out: Path, *, study: str | None = None
) -> tuple[ArchivedFile, ...]:
    """Write landing files and their manifest as one archive.

    Parameters
    ----------
    workspace : Workspace
        Whose landing zone to pack.
    out : Path
        `.tar.zst`, `.tar.gz` or `.zip`; replaced in one step if it exists.
    study : str, optional
        Pack what makes this study's results; all landing files by default.

    Raises
    ------
    InputError
        If the name has another ending, its folder is missing, or nothing (of the study) has
        landed.
    WorkError
        If a landing file went away meanwhile, can't be told whose it is, or the disk is full.
    """
    _suffix(out)
    if not out.absolute().parent.is_dir():
        raise InputError(f"--out {out}: there is no folder {out.absolute().parent}.")
    sources = list_sources(workspace)
    if study is not None:
        kinds = [(RecordKind(source.parent.name), source) for _, source in sources]
        chosen = find_study_files(kinds, study)
        sources = [(path, source) for path, source in sources if source in chosen]
    packed: list[ArchivedFile] = []

    def write(target: Path) -> None:
        with _open_writer(out, target) as add:
            for path, source in sources:
                with source.open("rb") as handle:
                    size = source.stat().st_size
                    digest = hashlib.file_digest(handle, "sha256").hexdigest()
                    handle.seek(0)
                    add(path, size, handle)
                packed.append(ArchivedFile(path=path, size_bytes=size, sha256=digest))
            content = json.dumps(describe_files(packed), indent=1).encode()
            add(MANIFEST, len(content), io.BytesIO(content))

    try:
        write_atomically(out, write)
    except OSError as error:
        raise WorkError(f"{out} can't be written ({error}); run it again.") from error
    return tuple(packed)


def list_sources(workspace: Workspace) -> list[tuple[str, Path]]:
    """Return (path in an archive, file) of every landing file, in a fixed order.

    Raises
    ------
    InputError
        If nothing has landed.
    """
    found = [
        (f"landing/{kind.value}/{path.name}", path)
        for kind in RecordKind
        for path in list_landing(workspace, kind)
        # What the next ingest would quarantine for its name is no landing file.
        if _kind_of(f"landing/{kind.value}/{path.name}") and path.is_file()
    ]
    if not found:
        raise InputError(
            f"Nothing has landed in {workspace.root} yet, so there is nothing to pack."
        )
    return found


def describe_files(files: list[ArchivedFile]) -> dict[str, Any]:
    """Return the manifest of these files."""
    return {
        "format": _FORMAT,
        "format_version": _FORMAT_VERSION,
        "landing_schema_version": SCHEMA_VERSION,
        "growthpace_version": _own_version(),
        "files": [vars(file) for file in files],
    }


def _own_version() -> str | None:
    """Return growthpace's version; None where it runs without being installed."""
    try:
        return version("growthpace")
    except PackageNotFoundError:
        return None


@contextlib.contextmanager
def _open_writer(name: Path, target: Path) -> Iterator[Any]:
    """Open an archive for writing; gives a function that adds (path, size, handle) to it."""
    suffix = _suffix(name)
    if suffix == ".zip":
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as zipped:

            def add_zip(path: str, size: int, handle: IO[bytes]) -> None:
                member = zipfile.ZipInfo(path)
                member.compress_type = zipfile.ZIP_DEFLATED
                member.external_attr = 0o644 << 16
                with zipped.open(member, "w", force_zip64=size > 1 << 30) as target_member:
                    shutil.copyfileobj(handle, target_member, _CHUNK)

            yield add_zip
        return
    with contextlib.ExitStack() as stack:
        if suffix == ".tar.zst":
            stream = stack.enter_context(pa.CompressedOutputStream(str(target), "zstd"))
            packed = stack.enter_context(tarfile.open(fileobj=stream, mode="w|"))
        else:
            packed = stack.enter_context(tarfile.open(target, "w:gz"))

        def add_tar(path: str, size: int, handle: IO[bytes]) -> None:
            # Made anew: no user, group or time of this machine goes into the archive.
            member = tarfile.TarInfo(path)
            member.size = size
            packed.addfile(member, handle)

        yield add_tar


# --- Unpacking --------------------------------------------------------------------------------


def import_landing(workspace: Workspace, source: Path, *, max_bytes: int = MAX_BYTES) -> Restored:
    """Verify an archive, or a folder that holds what one would, and land its files.

    Parameters
    ----------
    workspace : Workspace
        Where its files land; run an ingest afterwards.
    source : Path
        `.tar.zst`, `.tar.gz` or `.zip`, or a folder that `export warehouse` wrote.
    max_bytes : int, bytes
        Refuse an archive whose files take more than this.

    Raises
    ------
    InputError
        If there is no such file.
    WorkError
        If it is damaged, incomplete or too large, holds anything but landing files, or a file
        that differs from one that has landed; nothing of it lands then.
    """
    if not source.exists():
        raise InputError(f"There is no {source}.")
    if source.is_file():
        _suffix(source)
    try:
        with tempfile.TemporaryDirectory(
            dir=workspace.root, prefix=".import-", suffix=".tmp"
        ) as folder:
            found, manifest = _stage(source, Path(folder), max_bytes)
            _verify(source, found, manifest)
            return _land(workspace, source, Path(folder), found)
    except _BROKEN as error:
        raise WorkError(f"{source} is damaged or no archive ({error}); nothing landed.") from error
    except OSError as error:
        raise WorkError(f"{source} can't be unpacked ({error}); nothing landed.") from error


def _stage(
    source: Path, folder: Path, max_bytes: int
) -> tuple[dict[str, ArchivedFile], bytes | None]:
    """Copy every member to a numbered file; return what each is by path, and the manifest."""
    found: dict[str, ArchivedFile] = {}
    manifest: bytes | None = None
    n_left = max_bytes
    with _open_members(source) as members:
        for path, handle in members:
            if path == MANIFEST:
                manifest = handle.read(_MAX_MANIFEST_BYTES)
                continue
            if _kind_of(path) is None:
                raise WorkError(
                    f"{source} holds {path!r:.200}, which is no landing file; nothing landed."
                )
            if path in found:
                raise WorkError(f"{source} holds {path} twice; nothing landed.")
            digest = hashlib.sha256()
            size = 0
            with (folder / str(len(found))).open("wb") as target:
                while chunk := handle.read(_CHUNK):
                    size += len(chunk)
                    if size > n_left:
                        raise WorkError(
                            f"{source} unpacks to more than {max_bytes / 1e9:g} GB; allow more "
                            "with --max-gb if you trust it. Nothing landed."
                        )
                    digest.update(chunk)
                    target.write(chunk)
            n_left -= size
            found[path] = ArchivedFile(path=path, size_bytes=size, sha256=digest.hexdigest())
            if len(found) > _MAX_FILES:
                raise WorkError(f"{source} holds more than {_MAX_FILES} files; nothing landed.")
    return found, manifest


@contextlib.contextmanager
def _open_members(source: Path) -> Iterator[Iterator[tuple[str, IO[bytes]]]]:
    """Open an archive or folder for reading: (name, handle) of each plain file in turn."""
    with contextlib.ExitStack() as stack:
        if source.is_dir():
            yield _folder_members(source)
        elif _suffix(source) == ".zip":
            yield _zip_members(stack.enter_context(zipfile.ZipFile(source)))
        else:
            stream: Any = stack.enter_context(source.open("rb"))
            if _suffix(source) == ".tar.zst":
                stream = stack.enter_context(pa.CompressedInputStream(stream, "zstd"))
            else:
                stream = stack.enter_context(gzip.open(stream))
            packed = tarfile.open(fileobj=stream, mode="r|", tarinfo=_Member)
            yield _tar_members(stack.enter_context(packed))


class _Member(tarfile.TarInfo):
    """A member whose extended header, which is read into memory whole, has a limited size."""

    def _proc_member(self, packed: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type not in (*tarfile.REGULAR_TYPES, tarfile.DIRTYPE) and self.size > _CHUNK:
            raise tarfile.ReadError("a header is too large")
        member: tarfile.TarInfo = super()._proc_member(packed)  # type: ignore[misc]
        return member


def _tar_members(packed: tarfile.TarFile) -> Iterator[tuple[str, IO[bytes]]]:
    for member in packed:
        handle = packed.extractfile(member) if member.isreg() else None
        if handle is None:
            raise WorkError(
                f"The archive holds {member.name!r:.200}, which is no plain file; nothing landed."
            )
        yield member.name, handle


def _zip_members(zipped: zipfile.ZipFile) -> Iterator[tuple[str, IO[bytes]]]:
    for member in zipped.infolist():
        with zipped.open(member) as handle:
            yield member.filename, handle


def _folder_members(folder: Path) -> Iterator[tuple[str, IO[bytes]]]:
    for path in [*sorted((folder / "landing").glob("*/*")), folder / MANIFEST]:
        if path.is_symlink() or not path.is_file():
            raise WorkError(f"{path} is missing or no plain file; nothing landed.")
        with path.open("rb") as handle:
            yield path.relative_to(folder).as_posix(), handle


def _kind_of(path: str) -> RecordKind | None:
    """Return the kind of a landing file's path in an archive; None if it can't be one."""
    match = _MEMBER.fullmatch(path)
    if match is None or match[1] not in _KINDS or not path.endswith(_KINDS[match[1]]):
        return None
    return RecordKind(match[1])


def _verify(source: Path, found: dict[str, ArchivedFile], manifest: bytes | None) -> None:
    """Compare what was read with the manifest."""
    if manifest is None:
        raise WorkError(f"{source} holds no {MANIFEST}: it was cut short; nothing landed.")
    try:
        document = json.loads(manifest)
        stated = {row["path"]: (row["size_bytes"], row["sha256"]) for row in document["files"]}
        schema_version = document["landing_schema_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise WorkError(f"{source}: its {MANIFEST} can't be read; nothing landed.") from error
    if schema_version != SCHEMA_VERSION:
        raise WorkError(
            f"{source} is of landing schema version {schema_version!r:.20}, not {SCHEMA_VERSION}; "
            "upgrade growthpace. Nothing landed."
        )
    for path in sorted(stated.keys() | found.keys()):
        file = found.get(path)
        if file is None or stated.get(path) != (file.size_bytes, file.sha256):
            what = "is missing" if file is None else "differs from the manifest"
            raise WorkError(f"{source}: {path!r:.250} {what}; nothing landed.")


def _land(
    workspace: Workspace, source: Path, folder: Path, found: dict[str, ArchivedFile]
) -> Restored:
    """Move verified files into the landing zone; first make sure that none differs from there."""
    moves: list[tuple[bool, Path, Path]] = []
    for number, file in enumerate(found.values()):
        kind = RecordKind(file.path.split("/")[1])
        target = workspace.landing / kind.value / file.path.rsplit("/", 1)[1]
        if not target.exists():
            moves.append((kind in _LAST, folder / str(number), target))
            continue
        with target.open("rb") as handle:
            if hashlib.file_digest(handle, "sha256").hexdigest() != file.sha256:
                raise WorkError(
                    f"{source}: {file.path} differs from the file of that name in "
                    f"{workspace.root}; nothing landed. Import it into another workspace."
                )
    # Landing files are on disk before they have their names; one call for all of them.
    os.sync()
    for _, staged, target in sorted(moves):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            staged.replace(target)
        except OSError as error:
            raise WorkError(
                f"{target} can't be written ({error.strerror}); what landed before it stays: run "
                "the import again to go on."
            ) from error
    return Restored(n_new=len(moves), n_known=len(found) - len(moves))


def _suffix(path: Path) -> str:
    """Return the ending that tells an archive's format."""
    for suffix in SUFFIXES:
        if path.name.endswith(suffix):
            return suffix
    raise InputError(f"{path} is no archive; name a file that ends in {', '.join(SUFFIXES)}.")
