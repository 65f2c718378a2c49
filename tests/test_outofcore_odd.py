"""Files read in passes when something is odd: text, damaged files and records, lost connections, full disks."""

import errno
import gzip
import os
import resource
import signal
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import feather, parquet
from sklearn.exceptions import ConvergenceWarning
from typer.testing import CliRunner

import modeseek as ms
from modeseek.cli.app import app
from modeseek.outofcore import journal
from tests.test_outofcore import blobs, cut, labels_in, refused, same, stopped, table_of, write


def text(X: np.ndarray, head: str = "x,y", sep: str = ",", end: str = "\n", more: str = "") -> str:
    """Return rows as text, with a cell more if told, and no line break after the last."""
    return end.join([head] * bool(head) + [sep.join(map(repr, row)) + more for row in X.tolist()])


def bytes_of(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# -------------------------------------------------------------------------------------------------------- text


@pytest.mark.parametrize(
    ("content", "head"),
    [
        (lambda X: text(X), "x,y,label"),
        (lambda X: text(X, end="\r\n") + "\r\n", "x,y,label"),
        (lambda X: "\ufeff" + text(X), "\ufeffx,y,label"),
        (lambda X: text(X, head="x;y", sep=";"), None),
        (lambda X: text(X, head='x,y,"s\nt"', more=',"a\n, ""q""\r\n"'), 'x,y,"s'),
        (lambda X: text(X[:900]) + "\n\n\n" + text(X[900:], head="") + "\n", "x,y,label"),
        (lambda X: "x,y\n" + "".join(f'"{a!r}","{b!r}"\n' for a, b in X.tolist()), "x,y,label"),
    ],
    ids=["no final break", "crlf", "bom", "semicolons", "breaks in quotes", "empty lines", "quoted numbers"],
)
def test_text_of_all_kinds_is_read_and_written_again(tmp_path, content, head):
    X = blobs(2_000).round(4)
    (tmp_path / "in").mkdir()
    for name, part in (("a.csv", X[:1_000]), ("b.csv", X[1_000:])):
        (tmp_path / "in" / name).write_bytes(content(part).encode())
    found = ms.cluster_files(tmp_path / "in", tmp_path / "out", bandwidth=1.0, columns=["x", "y"])
    assert found.rows == 2_000
    ms.cluster_files(tmp_path / "in", tmp_path / "npy", bandwidth=1.0, columns=["x", "y"], format="npy")
    same(found, labels_in(tmp_path / "npy"), ms.MeanShift(1.0).fit(X))
    if head is not None:
        lines = (tmp_path / "out" / "a.csv").read_bytes().decode()
        assert lines.startswith(head)
        assert lines.rstrip().endswith(f",{labels_in(tmp_path / 'npy')[999]}")


def test_text_without_names_is_read_if_told(tmp_path):
    X = blobs(2_000).round(4)
    (tmp_path / "in").mkdir()
    for name, part in (("a.csv", X[:700]), ("b.csv", X[700:])):
        (tmp_path / "in" / name).write_text(text(part, head=""))
    refused(tmp_path / "in", tmp_path / "out", r"a\.csv: the first line holds numbers .* --no-header")
    found = ms.cluster_files(tmp_path / "in", tmp_path / "out", bandwidth=1.0, header=False, format="npy")
    same(found, labels_in(tmp_path / "out"), ms.MeanShift(1.0).fit(X))
    assert found.columns == ("f0", "f1")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (gzip.compress(b"x,y\n1,2\n", mtime=0), r"b\.csv is compressed by gzip, not UTF-8 text: convert it first"),
        ("x,y\n1,2\n".encode("utf-16"), r"b\.csv is UTF-16, not UTF-8 text"),
        (b"x,y\n1,2\n\x07\x1b[2J,\x00,3\n", r"b\.csv cannot be read as \.csv: .*Row #3[^\x00-\x1f]*$"),
        (b"x,y\n" + b"1,2\n" * 10 + b"9" * 5_000 + b",oops\n", r"b\.csv cannot be read as \.csv: .{0,310}$"),
    ],
)
def test_what_is_no_text_is_said_in_one_short_line(tmp_path, content, words):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text(text(blobs(500)))
    (tmp_path / "in" / "b.csv").write_bytes(content)
    refused(tmp_path / "in", tmp_path / "out", words)
    if content[:2] in (b"\x1f\x8b", b"\xff\xfe"):
        with pytest.raises(ValueError, match=r"UTF-8 text: convert it first"):
            ms.cluster_files(tmp_path / "in" / "b.csv", tmp_path / "out.csv", bandwidth=1.0)
        done = CliRunner().invoke(
            app, ["cluster", str(tmp_path / "in" / "b.csv"), "-o", str(tmp_path / "o.csv"), "-b", "1"]
        )
        assert "not UTF-8 text" in done.output


def test_a_compressed_table_is_said_by_its_name(tmp_path):
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"x,y\n1,2\n"))
    with pytest.raises(ValueError, match=r"a\.csv\.gz is compressed: decompress it first"):
        ms.cluster_files(tmp_path / "a.csv.gz", tmp_path / "out.csv", bandwidth=1.0)


# ------------------------------------------------------------------------------------------- what files may hold


@pytest.mark.parametrize("suffix", [".parquet", ".npy", ".arrow", ".csv"])
@pytest.mark.parametrize("empty", [1, 2])
def test_a_file_without_rows_adds_none(tmp_path, suffix, empty):
    X = blobs(3_000)
    folder = cut(tmp_path / "in", X, [1_000, 2_000], suffix)
    write(folder / f"{empty:02d}{suffix}", X[:0])
    found = ms.cluster_files(folder, tmp_path / "out", bandwidth=1.0)
    kept = np.delete(X, slice(1_000 * empty, 1_000 * (empty + 1)), axis=0)
    same(found, labels_in(tmp_path / "out"), ms.MeanShift(1.0).fit(kept))
    assert found.files[empty].rows == 0


@pytest.mark.parametrize("suffix", [".parquet", ".npy", ".arrow"])
def test_files_without_any_row_are_refused(tmp_path, suffix):
    folder = cut(tmp_path / "in", blobs(3_000)[:0], [0, 0], suffix)
    refused(folder, tmp_path / "out", "no file has any rows")


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.int8, np.uint64, np.dtype(">f8")])
def test_numbers_of_every_type_are_those_of_memory(tmp_path, kind):
    X = np.abs(5.0 * blobs(3_000)).astype(kind)
    folder = cut(tmp_path / "in", X, [1_000], ".npy")
    if np.dtype(kind).isnative:
        (folder / "01.npy").unlink()
        write(folder / "01.npy", X[1_000:])
    found = ms.cluster_files(folder, tmp_path / "out", bandwidth=5.0)
    wide = X.astype(np.float32 if kind in (np.float16, np.float32) else np.float64)
    same(found, labels_in(tmp_path / "out"), ms.MeanShift(5.0).fit(wide))


def test_names_of_columns_may_be_anything(tmp_path):
    X = blobs(3_000)
    for suffix in (".parquet", ".arrow", ".csv"):
        rows = table_of(np.hstack([X, X[:, :1]])).rename_columns(['a "b", c\nd', "a.é", ""])
        if suffix == ".csv":
            pa.csv.write_csv(rows, tmp_path / "t.csv")
        else:
            (parquet.write_table if suffix == ".parquet" else feather.write_feather)(rows, tmp_path / f"t{suffix}")
        found = ms.cluster_files(
            tmp_path / f"t{suffix}", tmp_path / "out.npy", bandwidth=1.0, columns=['a "b", c\nd', "a.é"]
        )
        np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), ms.MeanShift(1.0).fit(X).labels_)
        assert found.left_out == ("",)


def test_climbs_that_do_not_rest_are_told_of_as_in_memory(tmp_path):
    X = np.array([[0.0, 0.0], [2.0, 0.0]])  # two bandwidths apart: a flat top
    folder = cut(tmp_path / "in", X, [1])
    with pytest.warns(ConvergenceWarning) as memory:
        labels = ms.MeanShift(1.0).fit(X).labels_
    with pytest.warns(ConvergenceWarning) as files:
        ms.cluster_files(folder, tmp_path / "out", bandwidth=1.0)
    assert str(files[0].message) == str(memory[0].message)
    assert files[0].filename == __file__
    np.testing.assert_array_equal(labels_in(tmp_path / "out"), labels)
    refused(folder, tmp_path / "more", "max_iter must be at least 1, got 0", max_iter=0)


# ------------------------------------------------------------------------------------- files that lie or are cut


@pytest.mark.parametrize("end", ["min", "max"])
@pytest.mark.parametrize("shift", [-100.0, 100.0, np.nan])
def test_statistics_that_lie_change_no_bit(tmp_path, end, shift):
    X = blobs(4_000)
    path = tmp_path / "a.parquet"
    parquet.write_table(table_of(X), path, compression="none", use_dictionary=False)
    about = parquet.ParquetFile(path).metadata.row_group(0).column(0).statistics
    held, at = path.read_bytes(), float(getattr(about, end))
    footer = len(held) - 8 - int.from_bytes(held[-8:-4], "little")
    lie = held[footer:].replace(np.float64(at).tobytes(), np.float64(at + shift).tobytes())
    path.write_bytes(held[:footer] + lie)
    assert lie != held[footer:]
    found = ms.cluster_files(path, tmp_path / "out.npy", bandwidth=1.0)
    same(found, np.load(tmp_path / "out.npy"), ms.MeanShift(1.0).fit(X))


@pytest.mark.parametrize("options", [{"write_statistics": False}, {"write_statistics": ["x1"]}])
def test_statistics_may_be_missing_and_row_groups_small(tmp_path, options):
    X = blobs(4_000)
    folder = cut(tmp_path / "in", X, [3_000])
    parquet.write_table(table_of(X[:3_000]), folder / "00.parquet", row_group_size=7, **options)
    found = ms.cluster_files(folder, tmp_path / "out", bandwidth=1.0)
    same(found, labels_in(tmp_path / "out"), ms.MeanShift(1.0).fit(X))


def test_an_array_that_was_cut_off_is_refused_before_it_is_read(tmp_path):
    folder = cut(tmp_path / "in", blobs(3_000), [1_000, 2_000], ".npy")
    whole = (folder / "01.npy").read_bytes()
    (folder / "01.npy").write_bytes(whole[:-1])
    told: list[object] = []
    refused(
        folder, tmp_path / "out", r"01\.npy cannot be read as \.npy: it ends before its last row", progress=told.append
    )
    assert not told
    (folder / "01.npy").write_bytes(whole.replace(b"(1000, 2)", b"(9000, 2)"))
    refused(folder, tmp_path / "out", r"01\.npy cannot be read as \.npy: it ends before its last row")


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".npy"])
def test_a_changed_byte_is_refused_in_one_line_or_read_as_it_is(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    write(path, blobs(300))
    whole, rng, n_refused = path.read_bytes(), np.random.default_rng(0), 0
    ends = np.concatenate([np.arange(0, 130, 3), np.arange(len(whole) - 400, len(whole), 9)])
    for position in [*ends, *rng.integers(0, len(whole), 20)]:
        changed = bytearray(whole)
        changed[position] ^= 1 << rng.integers(0, 8)
        path.write_bytes(changed)
        said = refusal_of(path, tmp_path / "out.npy")
        n_refused += said is not None
        assert said is None or "\n" not in said
        (tmp_path / "out.npy").unlink(missing_ok=said is not None)
        assert [each.name for each in tmp_path.iterdir()] == [path.name]
    assert n_refused


def refusal_of(path, out) -> str | None:
    try:
        ms.cluster_files(path, out, bandwidth=1.0)
    except ValueError as error:
        return str(error)
    return None


# ------------------------------------------------------------------------------------------------ going on


def test_a_refused_resume_holds_the_output_no_longer(tmp_path):
    folder = cut(tmp_path / "in", blobs(20_000), [100])
    stopped(folder, tmp_path / "out")
    with pytest.raises(ValueError, match="bandwidth") as kept:  # as sys.last_value of a session is kept
        ms.cluster_files(folder, tmp_path / "out", bandwidth=2.0, resume=True)
    found = ms.cluster_files(folder, tmp_path / "out", bandwidth=2.0)
    assert not found.resumed
    assert kept.value


def test_two_runs_of_one_output_are_refused_and_a_file_system_may_have_no_locks(tmp_path, monkeypatch):
    import fcntl

    folder = cut(tmp_path / "in", blobs(3_000), [100])

    def again(at):
        with pytest.raises(ValueError, match="another run is writing the same output"):
            ms.cluster_files(folder, tmp_path / "out", bandwidth=1.0)

    ms.cluster_files(folder, tmp_path / "out", bandwidth=1.0, progress=again)

    def none(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    assert ms.cluster_files(folder, tmp_path / "out", bandwidth=1.0).rows == 3_000


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_a_damaged_record_of_a_pass_is_made_again(tmp_path, damage):
    folder = cut(tmp_path / "in", blobs(20_000), [100])
    ms.cluster_files(folder, tmp_path / "whole", bandwidth=1.0)
    stopped(folder, tmp_path / "out")
    records = sorted((tmp_path / "out" / ".modeseek").glob("pass-*.npz"))
    assert records
    held = bytearray(records[0].read_bytes())
    if damage == "flip":
        held[len(held) // 2] ^= 1
    records[0].write_bytes({"flip": held, "cut": held[: len(held) // 2], "empty": b""}[damage])
    assert ms.cluster_files(folder, tmp_path / "out", bandwidth=1.0, resume=True).resumed
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "whole")


def test_a_run_killed_when_it_has_found_statistics_wrong_goes_on(tmp_path, monkeypatch):
    from modeseek.outofcore import cluster

    X = blobs(20_000)
    folder = cut(tmp_path / "in", X, [100])
    ms.cluster_files(folder, tmp_path / "whole", bandwidth=1.0)
    wrong = np.array([X.min(axis=0) - 1.0, X.max(axis=0)])
    monkeypatch.setattr(cluster, "bounds_in_statistics", lambda file, columns: wrong)
    for moment in ("touch", "unlink"):
        out = tmp_path / moment
        with monkeypatch.context() as patch:

            def kill(path, *_, **__):
                raise KeyboardInterrupt

            real = journal.Path.touch
            if moment == "touch":
                patch.setattr(journal.Path, "touch", kill)
            else:  # after the mark, before anything else
                patch.setattr(journal.Path, "touch", lambda path, *_, real=real: (real(path), kill(path)))
            with pytest.raises(KeyboardInterrupt):
                ms.cluster_files(folder, out, bandwidth=1.0)
        assert ms.cluster_files(folder, out, bandwidth=1.0, resume=True).resumed
        assert bytes_of(out) == bytes_of(tmp_path / "whole")


@pytest.mark.parametrize("after", range(4))
def test_a_run_killed_among_its_last_renames_goes_on(tmp_path, monkeypatch, after):
    folder = cut(tmp_path / "in", blobs(20_000), [100, 200])
    ms.cluster_files(folder, tmp_path / "whole", bandwidth=1.0)
    real, count = os.replace, iter(range(after))

    def replace(old, new):
        if os.path.basename(old).startswith("out-") and next(count, None) is None:
            raise KeyboardInterrupt
        real(old, new)

    if after < 3:
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", replace)
            with pytest.raises(KeyboardInterrupt):
                ms.cluster_files(folder, tmp_path / "out", bandwidth=1.0)
        assert len(list((tmp_path / "out").glob("*.parquet"))) == after
    found = ms.cluster_files(folder, tmp_path / "out", bandwidth=1.0, resume=True)
    assert found.resumed == (after < 3)
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "whole")


@pytest.mark.parametrize("when", ["at the end", "to begin anew"])
def test_a_run_that_is_killed_while_a_record_is_removed_leaves_none(tmp_path, monkeypatch, when):
    folder, out = cut(tmp_path / "in", blobs(30_000), [1_000]), tmp_path / "out"
    options = {"bandwidth": 1.0, "checkpoint_seconds": 0.0}
    ms.cluster_files(folder, tmp_path / "whole", **options)

    def stop(at):
        if at.stage == "write labels":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ms.cluster_files(folder, out, **options, progress=stop)
    assert (out / ".modeseek" / "labels-002.bin").exists()

    def killed(path, **_):
        if path.name == journal.PLAN:
            os.unlink(path)
            return
        for labels in (out / ".modeseek").glob("labels-*"):
            os.unlink(labels)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(*((journal.shutil, "rmtree") if when == "at the end" else (journal.Path, "unlink")), killed)
        with pytest.raises(KeyboardInterrupt):
            ms.cluster_files(folder, out, **options, resume=when == "at the end")
    ms.cluster_files(folder, out, **options, resume=True)
    assert bytes_of(out) == bytes_of(tmp_path / "whole")


@pytest.mark.parametrize("most", [300, 20_000, 120_000])
def test_a_full_disk_is_said_and_the_run_goes_on_when_there_is_room(tmp_path, most):
    folder = cut(tmp_path / "in", blobs(30_000), [1_000, 20_000])
    ms.cluster_files(folder, tmp_path / "whole", bandwidth=1.0)
    out = tmp_path / "out"

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    command = [sys.executable, "-m", "modeseek.cli", "cluster", str(folder), "-o", str(out), "-b", "1", "-q"]
    done = subprocess.run(command, preexec_fn=limit, capture_output=True, text=True)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert str(out) in line
    assert "File too large" in line
    assert not list(out.glob("*.parquet"))
    found = ms.cluster_files(folder, out, bandwidth=1.0, resume=True)
    assert found.resumed == (most > 300)
    assert bytes_of(out) == bytes_of(tmp_path / "whole")


def test_a_connection_that_is_lost_leaves_something_to_go_on_from(tmp_path, monkeypatch):
    fsspec = pytest.importorskip("fsspec")
    from modeseek.files.source import Source

    X = blobs(20_000)
    cut(tmp_path / "in", X, [100])
    fsspec.filesystem("memory").put(str(tmp_path / "in"), "/lost", recursive=True)

    class Lost(Exception):
        """As clients of object stores have them."""

    for stage, method in (("look labels up", "opened"), ("look labels up", "stamp")):
        out, now, real = tmp_path / method, [""], getattr(Source, method)

        def fail(file, *arguments, real=real, now=now, stage=stage):
            if now[0] == stage and file.path.endswith("01.parquet"):
                raise Lost("the endpoint did not answer")
            return real(file, *arguments)

        def follow(at, now=now):
            now[0] = at.stage

        options = {"bandwidth": 1.0, "labels_only": True}
        with monkeypatch.context() as patch:
            patch.setattr(Source, method, fail)
            with pytest.raises(OSError, match=r"lost/01\.parquet.*did not answer.*resume"):
                ms.cluster_files("memory://lost/*.parquet", out, progress=follow, **options)
        found = ms.cluster_files("memory://lost/*.parquet", out, resume=True, **options)
        assert found.resumed
        same(found, labels_in(out), ms.MeanShift(1.0).fit(X))


def test_a_file_that_vanishes_during_the_run_is_named(tmp_path):
    folder = cut(tmp_path / "in", blobs(20_000), [100, 200])

    def remove(at):
        if at.stage == "look labels up":
            (folder / "01.parquet").unlink(missing_ok=True)

    refused(folder, tmp_path / "out", r"01\.parquet cannot be read again: .*No such file", progress=remove)


def test_labels_that_a_power_cut_took_are_looked_up_again(tmp_path):
    """The record of the pass is there; of the labels beside it, only some."""
    write(tmp_path / "x.parquet", blobs(600_000, 2, np.float32))
    call = {"bandwidth": 1.0, "labels_only": True, "checkpoint_seconds": 0.0}
    ms.cluster_files(tmp_path / "x.parquet", tmp_path / "whole.parquet", **call)

    def stop(at):
        if at.stage == "write labels":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ms.cluster_files(tmp_path / "x.parquet", tmp_path / "out.parquet", **call, progress=stop)
    (kept,) = (tmp_path / ".out.parquet.modeseek").glob("labels-*.bin")
    os.truncate(kept, kept.stat().st_size // 2)
    ms.cluster_files(tmp_path / "x.parquet", tmp_path / "out.parquet", **call, resume=True)
    assert (tmp_path / "out.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def test_a_first_text_file_without_rows_decides_nothing(tmp_path):
    (tmp_path / "a.csv").write_text("x,y,name\n")
    (tmp_path / "b.csv").write_text("x,y,name\n" + "".join(f"{a},{b},n\n" for a, b in blobs(900)))
    found = ms.cluster_files(tmp_path, tmp_path / "out", bandwidth=1.0)
    assert found.columns == ("x", "y")
    assert [file.rows for file in found.files] == [0, 900]


def test_a_record_of_finished_outputs_that_was_cut_off_counts_whole_lines(tmp_path):
    log = journal.Journal(tmp_path / "log", {"settings": {}, "files": []}, False)
    for name in ("a.npy", "b.npy", "c.npy"):
        (log.directory / name).write_bytes(b"12345")
        log.note_written(name)
    path = log.directory / journal.WRITTEN
    for size in range(path.stat().st_size, 0, -1):
        os.truncate(path, size)
        assert set(log.written().items()) <= {("a.npy", 5), ("b.npy", 5), ("c.npy", 5)}
    log.note_written("b.npy")
    assert log.written()["b.npy"] == 5
    log.close(remove=True)
