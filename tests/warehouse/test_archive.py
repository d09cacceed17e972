"""Landing archives: everything comes back, and nothing else gets in."""

from __future__ import annotations

import gzip
import io
import json
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from warehouse import commands, open_latest
from warehouse.archive import MANIFEST, SUFFIXES, Restored, export_landing, import_landing
from warehouse.errors import InputError, WorkError
from warehouse.exclusion import exclude_cell
from warehouse.ingest import ingest
from warehouse.tables import export_warehouse
from warehouse.workspace import Workspace, open_workspace

if TYPE_CHECKING:
    from tests.warehouse.conftest import Landing

APP = typer.Typer()
commands.register(APP)

GOOD = b'{"schema_version": 1}'


@pytest.fixture
def elsewhere(tmp_path: Path) -> Workspace:
    return open_workspace(tmp_path / "elsewhere", create=True)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def marts(workspace: Workspace) -> dict[str, list[Any]]:
    """Every row that people read, in a fixed order."""
    with open_latest(workspace) as conn:
        names = conn.execute(
            "SELECT table_name FROM information_schema.tables "
            "WHERE regexp_matches(table_name, '^(mart|dim|fact)_') ORDER BY ALL"
        ).fetchall()
        return {name: conn.table(name).order("ALL").fetchall() for (name,) in names}


def manifest_of(files: dict[str, bytes], **changes: Any) -> bytes:
    """A manifest that fits these files."""
    import hashlib

    rows = [
        {"path": path, "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for path, data in files.items()
    ]
    return json.dumps({"landing_schema_version": 1, "files": rows} | changes).encode()


def make_zip(path: Path, members: list[tuple[str, bytes]]) -> Path:
    with zipfile.ZipFile(path, "w") as zipped:
        for name, data in members:
            zipped.writestr(name, data)
    return path


def make_tar(path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> Path:
    with tarfile.open(path, "w:gz") as packed:
        for member, data in members:
            member.size = len(data)
            packed.addfile(member, io.BytesIO(data))
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_archive_recreates_everything_elsewhere(
    demo: Workspace, landing: Landing, elsewhere: Workspace, tmp_path: Path, suffix: str
) -> None:
    # Longer than the 100 characters of a plain tar header.
    landing.plan("long", [landing.cell("c" * 120)])
    landing.run("c" * 120)
    exclude_cell(demo, "tuned", "bad disk")
    ingest(demo)
    out = tmp_path / f"results{suffix}"
    files = export_landing(demo, out)
    assert len(files) == len(contents(demo.landing))
    assert import_landing(elsewhere, out) == Restored(n_new=len(files), n_known=0)
    assert contents(elsewhere.landing) == contents(demo.landing)
    ingest(elsewhere)
    assert marts(elsewhere) == marts(demo)
    assert import_landing(elsewhere, out) == Restored(n_new=0, n_known=len(files))
    # Neither side keeps anything temporary.
    assert {path.name for path in elsewhere.root.iterdir()} == {"landing", "warehouse"}
    assert {path.name for path in tmp_path.iterdir()} == {out.name, "elsewhere", "workspace"}


def test_an_export_of_the_warehouse_comes_back(
    demo: Workspace, elsewhere: Workspace, tmp_path: Path
) -> None:
    ingest(demo)
    out = tmp_path / "new" / "export"
    done = export_warehouse(demo, out)
    rows = marts(demo)
    assert done.n_rows == {name: len(found) for name, found in rows.items()}
    for name, found in rows.items():
        # As another tool reads it, without this package.
        read = duckdb.read_parquet(f"{out}/tables/{name}/*.parquet")
        assert read.order("ALL").fetchall() == [tuple(row) for row in found]
    table = pq.read_table(out / "tables" / "mart_study" / "part-0.parquet")
    assert str(table.schema.field("abilities").type) == "list<element: string>"
    manifest = json.loads((out / MANIFEST).read_text())
    assert manifest["snapshot"] == done.snapshot and manifest["warehouse_schema_version"] >= 1
    assert {row["table"]: row["rows"] for row in manifest["tables"]} == done.n_rows
    assert import_landing(elsewhere, out).n_new == done.n_landing_files
    ingest(elsewhere)
    assert marts(elsewhere) == rows


def test_an_export_needs_a_new_folder_and_leaves_none_half_written(
    demo: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="No results yet"):
        export_warehouse(demo, tmp_path / "out")
    ingest(demo)
    with pytest.raises(InputError, match="holds something already"):
        export_warehouse(demo, demo.root)
    with pytest.raises(InputError, match="can't be made"):
        export_warehouse(demo, Path("/proc/growthpace/out"))

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("warehouse.tables.shutil.copyfile", fail)
    with pytest.raises(WorkError, match="No space left on device"):
        export_warehouse(demo, tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"workspace"}


def test_packing_needs_something_to_pack_and_somewhere_to_put_it(
    demo: Workspace, elsewhere: Workspace, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"ends in \.tar\.zst, \.tar\.gz, \.zip"):
        export_landing(demo, tmp_path / "results.rar")
    with pytest.raises(InputError, match="there is no folder"):
        export_landing(demo, tmp_path / "none" / "results.zip")
    with pytest.raises(InputError, match="Nothing has landed"):
        export_landing(elsewhere, tmp_path / "results.zip")
    with pytest.raises(InputError, match="There is no"):
        import_landing(elsewhere, tmp_path / "none.zip")
    (tmp_path / "text.txt").write_text("text")
    with pytest.raises(InputError, match="is no archive"):
        import_landing(elsewhere, tmp_path / "text.txt")


# --- Hostile and damaged archives -------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/evil.json",
        "/etc/evil.json",
        "landing/run/../../evil.json",
        "landing/run/..",
        "landing/run/.hidden.json",
        "landing/../run/a.json",
        "landing/run/a/b.json",
        "landing/run/a.parquet",
        "landing/item/a.json",
        "landing/unknown/a.json",
        "landing/run/a.json\n",
        "landing/run/a b.json",
        "landing\\run\\a.json",
        "landing/run/" + "a" * 300 + ".json",
        "evil.sh",
        "",
    ],
)
def test_a_name_that_is_no_landing_files_is_refused(
    elsewhere: Workspace, tmp_path: Path, name: str
) -> None:
    members = {"landing/run/good-1.json": GOOD, name: GOOD}
    packed = [*members.items(), (MANIFEST, manifest_of(members))]
    archives = [make_tar(tmp_path / "a.tar.gz", [(tarfile.TarInfo(n), d) for n, d in packed])]
    if name:
        archives.append(make_zip(tmp_path / "a.zip", packed))
    for archive in archives:
        with pytest.raises(WorkError, match="nothing landed"):
            import_landing(elsewhere, archive)
    assert list(elsewhere.root.iterdir()) == []
    assert not (tmp_path / "evil.json").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(elsewhere: Workspace, tmp_path: Path, kind: bytes) -> None:
    member = tarfile.TarInfo("landing/run/a.json")
    member.type, member.linkname = kind, "/etc/passwd"
    archive = make_tar(tmp_path / "a.tar.gz", [(member, b"")])
    with pytest.raises(WorkError, match="no plain file"):
        import_landing(elsewhere, archive)
    assert list(elsewhere.root.iterdir()) == []


def test_size_bombs_stop_at_the_limit(elsewhere: Workspace, tmp_path: Path) -> None:
    name = "landing/run/a.json"
    zipped = tmp_path / "a.zip"
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(name, bytes(30 << 20))
    # Two members that fit one by one.
    two = [(tarfile.TarInfo(f"landing/run/{stem}.json"), bytes(6 << 20)) for stem in "ab"]
    for archive in (zipped, make_tar(tmp_path / "a.tar.gz", two)):
        assert archive.stat().st_size < 100_000
        with pytest.raises(WorkError, match=r"unpacks to more than 0\.01 GB"):
            import_landing(elsewhere, archive, max_bytes=10_000_000)
    assert list(elsewhere.root.iterdir()) == []


def test_a_header_that_would_fill_the_memory_is_refused(
    elsewhere: Workspace, tmp_path: Path
) -> None:
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 7 << 30
    archive = tmp_path / "a.tar.gz"
    with gzip.open(archive, "wb") as packed:
        packed.write(header.tobuf(tarfile.USTAR_FORMAT))
        packed.write(bytes(4 << 20))
    with pytest.raises(WorkError, match="a header is too large"):
        import_landing(elsewhere, archive)


def _without_manifest(files: dict[str, bytes]) -> list[tuple[str, bytes]]:
    return list(files.items())


def _changed(files: dict[str, bytes]) -> list[tuple[str, bytes]]:
    return [("landing/run/a-1.json", b"{}"), (MANIFEST, manifest_of(files))]


def _missing(files: dict[str, bytes]) -> list[tuple[str, bytes]]:
    return [(MANIFEST, manifest_of(files))]


def _added(files: dict[str, bytes]) -> list[tuple[str, bytes]]:
    return [*files.items(), ("landing/run/b-1.json", b"{}"), (MANIFEST, manifest_of(files))]


def _twice(files: dict[str, bytes]) -> list[tuple[str, bytes]]:
    return [*files.items(), *files.items(), (MANIFEST, manifest_of(files))]


def _other_version(files: dict[str, bytes]) -> list[tuple[str, bytes]]:
    return [*files.items(), (MANIFEST, manifest_of(files, landing_schema_version=99))]


def _garbled_manifest(files: dict[str, bytes]) -> list[tuple[str, bytes]]:
    return [*files.items(), (MANIFEST, b'{"files": 7}')]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_without_manifest, "was cut short"),
        (_changed, "differs from the manifest"),
        (_missing, "is missing"),
        (_added, "'landing/run/b-1.json' differs from the manifest"),
        (_twice, "twice"),
        (_other_version, "schema version 99"),
        (_garbled_manifest, "can't be read"),
    ],
)
def test_what_the_manifest_does_not_say_is_refused(
    elsewhere: Workspace,
    tmp_path: Path,
    make: Callable[[dict[str, bytes]], list[tuple[str, bytes]]],
    message: str,
) -> None:
    members = make({"landing/run/a-1.json": GOOD})
    archive = make_tar(tmp_path / "a.tar.gz", [(tarfile.TarInfo(n), d) for n, d in members])
    with pytest.raises(WorkError, match=message) as caught:
        import_landing(elsewhere, archive)
    assert str(caught.value).lower().endswith("nothing landed.")
    assert list(elsewhere.root.iterdir()) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damaged_archives_are_one_sentence(
    demo: Workspace, elsewhere: Workspace, tmp_path: Path, suffix: str
) -> None:
    archive = tmp_path / f"a{suffix}"
    export_landing(demo, archive)
    whole = archive.read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 0xFF]) + whole[middle + 1 :]
    for data in (whole[:middle], whole[:-30], flipped, b"", b"text" * 500):
        archive.write_bytes(data)
        with pytest.raises(WorkError) as caught:
            import_landing(elsewhere, archive)
        assert "\n" not in str(caught.value) and str(archive) in str(caught.value)
        assert list(elsewhere.root.iterdir()) == []


def test_an_encrypted_zip_is_refused(elsewhere: Workspace, tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", [("landing/run/a-1.json", GOOD)])
    data = bytearray(archive.read_bytes())
    # The flag that says so, in the local header and in the directory at the end.
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.index(signature) + offset
        data[at : at + 2] = struct.pack("<H", 1)
    archive.write_bytes(bytes(data))
    with pytest.raises(WorkError, match="encrypted"):
        import_landing(elsewhere, archive)


def test_a_file_that_differs_from_a_landed_one_is_refused_before_anything_lands(
    demo: Workspace, elsewhere: Workspace, landing: Landing, tmp_path: Path
) -> None:
    archive = tmp_path / "a.zip"
    export_landing(demo, archive)
    (elsewhere.landing / "run").mkdir(parents=True)
    other = elsewhere.landing / "run" / "tuned-2.json"
    other.write_text("{}")
    with pytest.raises(WorkError, match=r"landing/run/tuned-2\.json differs"):
        import_landing(elsewhere, archive)
    assert contents(elsewhere.root) == {"landing/run/tuned-2.json": b"{}"}
    assert other.read_text() == "{}"


def test_an_import_that_was_cut_short_is_gone_on_with(
    demo: Workspace, elsewhere: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "a.tar.gz"
    n_files = len(export_landing(demo, archive))
    replace, n_left = Path.replace, 3

    def fail_later(path: Path, target: Path) -> Path:
        nonlocal n_left
        n_left -= 1
        if n_left < 0:
            raise OSError(28, "No space left on device")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", fail_later)
    with pytest.raises(WorkError, match="run the import again to go on"):
        import_landing(elsewhere, archive)
    monkeypatch.undo()
    # What says that a cell is complete lands last.
    assert not (elsewhere.landing / "run").exists()
    assert import_landing(elsewhere, archive) == Restored(n_new=n_files - 3, n_known=3)
    assert contents(elsewhere.landing) == contents(demo.landing)


# --- Commands ---------------------------------------------------------------------------------


def test_out_and_back_by_command(demo: Workspace, tmp_path: Path) -> None:
    ingest(demo)

    def call(*arguments: object) -> dict[str, Any]:
        result = CliRunner().invoke(APP, [*map(str, arguments), "--json"])
        assert result.exit_code == 0, result.output
        document: dict[str, Any] = json.loads(result.stdout)
        return document

    n_files = len(contents(demo.landing))
    packed = call("export", "landing", "--out", tmp_path / "a.tar.zst", "--workspace", demo.root)
    assert packed["files"] == n_files
    written = call("export", "warehouse", "--out", tmp_path / "out", "--workspace", demo.root)
    assert written["landing_files"] == n_files and written["rows"]["mart_cell"] == 4
    for kind, source in (("landing", "a.tar.zst"), ("warehouse", "out")):
        there = Workspace(root=tmp_path / f"from-{kind}")
        document = call("import", kind, tmp_path / source, "--workspace", there.root)
        assert (document["files"], document["known_files"]) == (n_files, 0)
        assert Path(document["snapshot"]).is_file()
        assert marts(there) == marts(demo)
        refused = CliRunner().invoke(APP, ["import", kind, str(tmp_path / "none")])
        assert isinstance(refused.exception, InputError)


def test_commands_tell_people_what_they_wrote(demo: Workspace, tmp_path: Path) -> None:
    ingest(demo)

    def call(*arguments: object) -> str:
        result = CliRunner().invoke(APP, [*map(str, arguments)])
        assert result.exit_code == 0, result.output
        return result.stdout

    here, out = ("--workspace", demo.root), tmp_path / "out"
    assert "Packed 10 landing files" in call(
        "export", "landing", "--out", tmp_path / "a.zip", *here
    )
    assert "and 10 landing files to" in call("export", "warehouse", "--out", out, *here)
    there = ("--workspace", tmp_path / "there")
    assert "Landed 10 files; published in" in call("import", "warehouse", out, *there)
    assert "Landed 0 files, 10 were here already" in call(
        "import", "landing", tmp_path / "a.zip", *there
    )
