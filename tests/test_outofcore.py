"""Files read in passes: labels of all rows in memory, however rows are cut; runs that stop go on to the same bits."""

import os
import signal
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from benchmarks import kill_resume, outofcore
from pyarrow import csv, feather, parquet
from typer.testing import CliRunner

import modeseek as ms
from modeseek.cli.app import app
from modeseek.outofcore import cluster, dataset, inputs, labels, passes

CENTRES = np.random.default_rng(3).uniform(-10, 10, (9, 3))


def blobs(n: int, d: int = 2, dtype: type = np.float64) -> np.ndarray:
    rng = np.random.default_rng(n + d)
    return (CENTRES[rng.integers(0, len(CENTRES), n), :d] + rng.normal(size=(n, d))).astype(dtype)


def table_of(X: np.ndarray) -> pa.Table:
    return pa.table({f"x{j}": np.ascontiguousarray(column) for j, column in enumerate(X.T)})


def write(path, X: np.ndarray, group: int = 7000) -> None:
    if path.suffix == ".npy":
        np.save(path, X)
    elif path.suffix == ".parquet":
        parquet.write_table(table_of(X), path, row_group_size=group)
    elif path.suffix in (".csv", ".tsv"):
        csv.write_csv(table_of(X), path, csv.WriteOptions(delimiter="," if path.suffix == ".csv" else "\t"))
    else:
        feather.write_feather(table_of(X), path, compression="lz4", chunksize=group)


def read(path) -> np.ndarray:
    if path.suffix == ".npy":
        return np.load(path)
    if path.suffix == ".parquet":
        return parquet.read_table(path)["label"].to_numpy()
    if path.suffix in (".csv", ".tsv"):
        options = csv.ParseOptions(delimiter="," if path.suffix == ".csv" else "\t")
        return csv.read_csv(path, parse_options=options)["label"].to_numpy()
    return feather.read_table(path)["label"].to_numpy()


def cut(folder, X: np.ndarray, pieces, suffix: str = ".parquet"):
    folder.mkdir()
    for k, part in enumerate(np.split(X, pieces)):
        write(folder / f"{k:02d}{suffix}", part)
    return folder


def labels_in(folder) -> np.ndarray:
    return np.concatenate([read(path) for path in sorted(folder.iterdir())])


def same(found, labels: np.ndarray, model: ms.MeanShift) -> None:
    np.testing.assert_array_equal(labels, model.labels_)
    np.testing.assert_array_equal(found.centers, model.cluster_centers_)
    np.testing.assert_array_equal(found.weights, model.cluster_weights_)
    assert found.bandwidth == model.bandwidth_
    assert found.sketch == model.sketch_
    assert str(found.certificate) == str(model.certificate_)


# ------------------------------------------------------------------------------------------------------- laws


@pytest.mark.parametrize("fidelity", ["certified", "fast"])
@pytest.mark.parametrize(
    ("n", "d", "h"),
    [(300, 2, 1.0), (60_000, 1, 0.5), (60_000, 2, 1.0), (30_000, 3, 2.0), (700_000, 2, 1.5), (3_200_000, 2, 2.0)],
)
def test_labels_are_those_of_all_rows_in_memory(tmp_path, fidelity, n, d, h):
    if (n, d, fidelity) == (30_000, 3, "certified"):
        pytest.skip("all points climb there, in memory")
    X = blobs(n, d, np.float32)
    folder = cut(tmp_path / "in", X, [n // 7, n // 2, n // 2 + 1])
    found = ms.cluster_files(folder, tmp_path / "out", bandwidth=h, fidelity=fidelity, labels_only=True)
    same(found, labels_in(tmp_path / "out"), ms.MeanShift(h, fidelity=fidelity).fit(X))
    assert found.rows == n
    assert [file.rows for file in found.files] == [n // 7, n // 2 - n // 7, 1, n - n // 2 - 1]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".arrow", ".feather", ".npy", ".parquet"])
@pytest.mark.parametrize("pieces", [[], [1, 20_000], [13, 29_999]])
def test_neither_format_nor_cut_changes_a_bit(tmp_path, suffix, pieces):
    X = blobs(30_000).round(3)
    folder = cut(tmp_path / "in", X, pieces, suffix)
    found = ms.cluster_files(folder, tmp_path / "out", bandwidth=1.0)
    same(found, labels_in(tmp_path / "out"), ms.MeanShift(1.0).fit(X))
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {suffix}


@pytest.mark.parametrize("fidelity", ["certified", "fast"])
def test_slabs_and_threads_change_nothing(tmp_path, monkeypatch, fidelity):
    X = blobs(1_100_000, 2, np.float32)
    folder = cut(tmp_path / "in", X, [400_000])
    found = []
    for n_jobs, chunks in ((1, (1, 1)), (2, (2, 2)), (3, (4, 32))):
        monkeypatch.setattr(passes, "CHUNKS", chunks)
        out = tmp_path / f"out{n_jobs}"
        ms.cluster_files(folder, out, bandwidth=1.0, fidelity=fidelity, labels_only=True, n_jobs=n_jobs)
        found.append(labels_in(out))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


@pytest.mark.parametrize("group", [60_000, 90_000, 300_000, 2_000_000])  # one after the other, two at once, in pieces
def test_row_groups_of_any_size_are_read_in_order(tmp_path, group):
    X = blobs(1_200_000, 2, np.float32)
    write(tmp_path / "x.parquet", X, group)
    read = dataset.open_dataset(inputs.find_inputs(tmp_path / "x.parquet"))
    for first in (0, 1 << 18, 1 << 20):
        slabs = [(row, slab.copy()) for row, slab in read.slabs(first, 2)]
        np.testing.assert_array_equal(np.concatenate([slab for _, slab in slabs]), X[first:])
        assert [row for row, _ in slabs] == list(range(first, len(X), 1 << 19))


def test_columns_are_written_with_a_dictionary_only_where_values_repeat(tmp_path):
    n = 3000
    columns = {
        "id": np.arange(n),
        "x": blobs(n)[:, 0],
        "few": np.arange(n) % 5 / 2.0,
        "name": np.where(blobs(n)[:, 1] > 0, "a", "b"),
    }
    parquet.write_table(pa.table(columns), tmp_path / "in.parquet")
    ms.cluster_files(tmp_path / "in.parquet", tmp_path / "out.parquet", bandwidth=1.0, columns=["x"])
    written = parquet.ParquetFile(tmp_path / "out.parquet")
    group = written.metadata.row_group(0)
    kinds = {group.column(i).path_in_schema: group.column(i).encodings for i in range(group.num_columns)}
    assert {name for name, used in kinds.items() if "RLE_DICTIONARY" in used} == {"few", "name"}
    assert "DELTA_BINARY_PACKED" in kinds["label"]
    assert written.read().drop(["label"]).equals(pa.table(columns))


def test_nested_columns_are_copied(tmp_path):
    rows = pa.table({"x": blobs(500)[:, 0], "tags": [[k, k + 1] for k in range(500)]})
    parquet.write_table(rows, tmp_path / "in.parquet")
    ms.cluster_files(tmp_path / "in.parquet", tmp_path / "out.parquet", bandwidth=1.0, columns=["x"])
    assert parquet.read_table(tmp_path / "out.parquet").drop(["label"]).equals(rows)


def test_the_bandwidth_chosen_is_that_of_all_rows(tmp_path):
    X = blobs(40_000)
    folder = cut(tmp_path / "in", X, [100])
    same(ms.cluster_files(folder, tmp_path / "out"), labels_in(tmp_path / "out"), ms.MeanShift().fit(X))


@pytest.mark.parametrize("cluster_all", [True, False])
def test_small_clusters_are_settled_as_in_memory(tmp_path, cluster_all):
    X = np.concatenate([blobs(40_000), [[40.0, 40.0], [41.0, -39.0]]])
    folder = cut(tmp_path / "in", X, [100])
    options = {"bandwidth": 1.0, "min_cluster_size": 50, "cluster_all": cluster_all}
    found = ms.cluster_files(folder, tmp_path / "out", **options)
    same(found, labels_in(tmp_path / "out"), ms.MeanShift(**options).fit(X))
    assert found.noise == (0 if cluster_all else 2)


@pytest.mark.parametrize("compact", [[], [[300.0, 0.0]]])
def test_statistics_that_are_wrong_are_found_out(tmp_path, monkeypatch, compact):
    X = blobs(30_000)
    folder = cut(tmp_path / "in", X, [100])
    wrong = np.array([X.min(axis=0), X.max(axis=0)]) + (compact or [[0.0, -0.5], [0.0, -0.5]][:1])
    monkeypatch.setattr(cluster, "bounds_in_statistics", lambda file, columns: wrong)
    found = ms.cluster_files(folder, tmp_path / "out", bandwidth=1.0)
    same(found, labels_in(tmp_path / "out"), ms.MeanShift(1.0).fit(X))


def test_rows_come_back_as_they_were(tmp_path):
    X = blobs(9_000)
    rows = table_of(X).append_column("name", pa.array([f"row, {k}" for k in range(len(X))]))
    folder = tmp_path / "in"
    folder.mkdir()
    parquet.write_table(rows[:4000], folder / "a.parquet")
    parquet.write_table(rows[4000:], folder / "b.parquet")
    found = ms.cluster_files(folder, tmp_path / "out", bandwidth=1.0)
    out = pa.concat_tables([parquet.read_table(tmp_path / "out" / f"{name}.parquet") for name in "ab"])
    assert out.drop_columns(["label"]).equals(rows)
    np.testing.assert_array_equal(out["label"].to_numpy(), ms.MeanShift(1.0).fit(X).labels_)
    assert found.left_out == ("name",)


def test_one_text_file_is_written_as_by_the_command_in_memory(tmp_path):
    write(tmp_path / "t.csv", blobs(5_000))
    for name, more in (("a.csv", []), ("b.csv", ["--stream"])):
        done = CliRunner().invoke(
            app, ["cluster", str(tmp_path / "t.csv"), "-o", str(tmp_path / name), "-b", "1", "-q", *more]
        )
        assert done.exit_code == 0, done.output
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


# ---------------------------------------------------------------------------------------------------- resuming


def stopped_after(moment: int, folder, out, options) -> None:
    """Stop a run when it has told so often how far it is."""
    count = iter(range(moment))

    def stop(at):
        if next(count, None) is None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ms.cluster_files(folder, out, **options, progress=stop)


@pytest.mark.parametrize("fidelity", ["certified", "fast"])
def test_a_run_that_was_stopped_anywhere_goes_on_to_the_same_bits(tmp_path, monkeypatch, fidelity):
    monkeypatch.setattr(passes, "CHUNKS", (1, 1))
    folder = cut(tmp_path / "in", blobs(800_000, 2, np.float32), [300_000])
    options = {"bandwidth": 1.0, "fidelity": fidelity, "checkpoint_seconds": 0.0}
    ms.cluster_files(folder, tmp_path / "whole", **options)
    begun = []
    ms.cluster_files(folder, tmp_path / "count", **options, progress=begun.append)
    moments = range(1, len(begun), max(1, len(begun) // 12))
    for moment in moments:
        out = tmp_path / f"out{moment}"
        stopped_after(moment, folder, out, options)
        assert [path.name for path in out.iterdir()] == [".modeseek"]
        found = ms.cluster_files(folder, out, **options, resume=True)
        assert found.resumed
        for path in (tmp_path / "whole").iterdir():
            assert (out / path.name).read_bytes() == path.read_bytes()
        assert len(list(out.iterdir())) == 2


@pytest.mark.parametrize(("fidelity", "d"), [("certified", 2), ("certified", 1), ("fast", 2)])
def test_checkpoints_hold_the_rows_before_them_and_no_others(tmp_path, fidelity, d):
    """Several workers are ahead of the row that a checkpoint names: what they have done must not be in it."""
    folder = cut(tmp_path / "in", blobs(4_000_000, d, np.float32), [1_300_000])
    options = {"bandwidth": 1.0, "fidelity": fidelity, "labels_only": True, "n_jobs": 4, "checkpoint_seconds": 0.004}
    ms.cluster_files(folder, tmp_path / "whole", **options)
    for moment in (3, 6, 9, 13, 20, 25, 29):
        out = tmp_path / f"out{moment}"
        stopped_after(moment, folder, out, options)
        ms.cluster_files(folder, out, **options, resume=True)
        for path in (tmp_path / "whole").iterdir():
            assert (out / path.name).read_bytes() == path.read_bytes(), moment


def test_passes_that_are_done_are_not_made_again(tmp_path, monkeypatch):
    folder = cut(tmp_path / "in", blobs(50_000), [100])
    seen = []

    def stop(at):
        if at.stage == "write labels":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ms.cluster_files(folder, tmp_path / "out", bandwidth=1.0, progress=stop, checkpoint_seconds=0.0)
    for read in ("slabs", "pieces"):
        monkeypatch.setattr(dataset.Dataset, read, lambda *_: pytest.fail("a pass is made again"))
    ms.cluster_files(folder, tmp_path / "out", bandwidth=1.0, progress=seen.append, resume=True)
    assert seen


def test_a_killed_process_leaves_nothing_half_written(tmp_path):
    folder = cut(tmp_path / "in", blobs(400_000), [100_000])
    out = tmp_path / "out"
    code = (
        "import os, signal, sys, modeseek as ms\n"
        "def kill(at):\n"
        "    if at.stage == 'look labels up' and at.done:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "ms.cluster_files(sys.argv[1], sys.argv[2], bandwidth=1.0, progress=kill, checkpoint_seconds=0.0)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder), str(out)], env=os.environ)
    assert done.returncode == -signal.SIGKILL
    assert [path.name for path in out.iterdir()] == [".modeseek"]
    assert ms.cluster_files(folder, out, bandwidth=1.0, resume=True).resumed
    ms.cluster_files(folder, tmp_path / "whole", bandwidth=1.0)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == {
        path.name: path.read_bytes() for path in (tmp_path / "whole").iterdir()
    }


def stopped(folder, out) -> None:
    def stop(at):
        if at.stage == "look labels up":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ms.cluster_files(folder, out, bandwidth=1.0, progress=stop, checkpoint_seconds=0.0)


def test_resuming_refuses_other_settings_and_files_that_changed(tmp_path):
    folder = cut(tmp_path / "in", blobs(30_000), [100])
    stopped(folder, tmp_path / "out")
    with pytest.raises(ValueError, match=r"bandwidth=1\.0, not 2\.0"):
        ms.cluster_files(folder, tmp_path / "out", bandwidth=2.0, resume=True)
    stopped(folder, tmp_path / "out")
    write(folder / "01.parquet", blobs(29_000))
    with pytest.raises(ValueError, match=r"01\.parquet has changed since the run to resume"):
        ms.cluster_files(folder, tmp_path / "out", bandwidth=1.0, resume=True)


def test_without_resume_a_run_begins_anew(tmp_path):
    folder = cut(tmp_path / "in", blobs(30_000), [100])
    stopped(folder, tmp_path / "out")
    found = ms.cluster_files(folder, tmp_path / "out", bandwidth=2.0)
    assert not found.resumed
    same(found, labels_in(tmp_path / "out"), ms.MeanShift(2.0).fit(blobs(30_000)))


# ------------------------------------------------------------------------------------------------------ errors


def refused(folder, out, match: str, **options) -> None:
    with pytest.raises(ValueError, match=match):
        ms.cluster_files(folder, out, **{"bandwidth": 1.0, **options})
    assert not out.exists()


@pytest.mark.parametrize("suffix", [".parquet", ".npy", ".arrow", ".csv"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_none_is_named_by_file_and_row(tmp_path, suffix, value):
    X = blobs(20_000)
    X[12_345, 1] = value
    folder = cut(tmp_path / "in", X, [5_000, 10_000, 15_000], suffix)
    refused(folder, tmp_path / "out", rf"02{suffix}.*'x1'.*row 2346 of the data")


def test_a_missing_value_is_named_by_file_and_row(tmp_path):
    folder = cut(tmp_path / "in", blobs(10_000), [5_000])
    rows = table_of(blobs(5_000)).to_pydict()
    rows["x0"][4321] = None
    parquet.write_table(pa.table(rows), folder / "01.parquet")
    refused(folder, tmp_path / "out", r"01\.parquet: column 'x0' has no value in row 4322")


@pytest.mark.parametrize("suffix", [".parquet", ".npy", ".arrow"])
def test_a_file_that_is_broken_is_named(tmp_path, suffix):
    folder = cut(tmp_path / "in", blobs(30_000), [10_000, 20_000], suffix)
    broken = folder / f"01{suffix}"
    held = bytearray(broken.read_bytes())
    held[40_000:80_000] = b"?" * 40_000
    broken.write_bytes(held[:90_000] if suffix == ".npy" else held)
    if suffix == ".arrow":  # its numbers are compressed
        refused(folder, tmp_path / "out", rf"01{suffix}")
    else:
        refused(folder, tmp_path / "out", rf"01{suffix} cannot be read as {suffix}")


def test_text_that_is_no_number_is_named_by_file_and_row(tmp_path):
    folder = cut(tmp_path / "in", blobs(10_000), [5_000], ".csv")
    lines = (folder / "01.csv").read_text().splitlines()
    lines[4_000] = "1.0,oops"
    (folder / "01.csv").write_text("\n".join(lines))
    refused(folder, tmp_path / "out", r"01\.csv cannot be read as \.csv: .*#4001.*oops")


def test_columns_must_be_the_same_in_every_file(tmp_path):
    folder = cut(tmp_path / "in", blobs(10_000), [5_000])
    parquet.write_table(table_of(blobs(5_000)).rename_columns(["x0", "other"]), folder / "01.parquet")
    refused(folder, tmp_path / "out", r"01\.parquet has no column 'x1'")
    write(folder / "01.parquet", blobs(5_000).astype(np.float32))
    refused(folder, tmp_path / "out", r"01\.parquet: column 'x0' is of type float, but of type double in .*00\.parquet")


def test_a_file_that_changes_between_passes_is_named(tmp_path):
    folder = cut(tmp_path / "in", blobs(30_000), [10_000])

    def change(at):
        if at.stage == "look labels up":
            write(folder / "01.parquet", blobs(20_000) + 1.0)
            os.utime(folder / "01.parquet", (1, 1))

    refused(folder, tmp_path / "out", r"01\.parquet has changed", progress=change)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"bandwidth": "silverman"}, "one number as bandwidth"),
        ({"bandwidth": -1.0}, "bandwidth must be a finite number above 0"),
        ({"fidelity": "some"}, "fidelity must be one of"),
        ({"columns": ["y"]}, "has no column 'y'"),
        ({"label_column": "x0"}, "already has a column 'x0'"),
        ({"format": "xlsx"}, "the format must be one of"),
    ],
)
def test_settings_that_do_not_fit_are_refused_early(tmp_path, options, match):
    refused(cut(tmp_path / "in", blobs(1_000), [100]), tmp_path / "out", match, **options)


def test_inputs_that_are_none_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no file matches"):
        ms.cluster_files(str(tmp_path / "*.csv"), tmp_path / "out", bandwidth=1.0)
    with pytest.raises(ValueError, match="holds no table"):
        ms.cluster_files(tmp_path, tmp_path / "out", bandwidth=1.0)
    write(tmp_path / "a.npy", blobs(1_000, 3))
    with pytest.raises(ValueError, match="given twice"):
        ms.cluster_files([tmp_path / "a.npy"] * 2, tmp_path / "out", bandwidth=1.0)
    with pytest.raises(ValueError, match="input itself"):
        ms.cluster_files([tmp_path / "a.npy"], tmp_path, bandwidth=1.0)


def test_what_does_not_fit_in_memory_is_refused(tmp_path, monkeypatch):
    folder = cut(tmp_path / "in", blobs(5_000), [100])
    monkeypatch.setattr(cluster, "FEW", 1_000)
    refused(folder, tmp_path / "out", "needs all 5000 rows in memory", fidelity="exact")
    monkeypatch.setattr(labels, "MOST_OPEN", 3)
    refused(cut(tmp_path / "more", blobs(30_000), [100]), tmp_path / "out", 'use fidelity "fast"')


# ----------------------------------------------------------------------------------- addresses, the command line


def test_addresses_are_read_through_fsspec(tmp_path):
    fsspec = pytest.importorskip("fsspec")
    X = blobs(30_000)
    cut(tmp_path / "in", X, [10_000, 20_000], ".parquet")
    write(tmp_path / "in" / "03.csv", blobs(2_000))
    store = fsspec.filesystem("memory")
    store.put(str(tmp_path / "in"), "/bucket", recursive=True)
    expected = ms.MeanShift(1.0).fit(X).labels_
    for address in ("memory://bucket/*.parquet", f"file://{tmp_path}/in/0*.parquet"):
        ms.cluster_files(address, tmp_path / "out", bandwidth=1.0, labels_only=True)
        np.testing.assert_array_equal(labels_in(tmp_path / "out"), expected)
    ms.cluster_files(["memory://bucket/03.csv"], tmp_path / "text", bandwidth=1.0)
    text = (tmp_path / "text" / "03.csv").read_text().splitlines()
    assert [line.rpartition(",")[0] for line in text] == (tmp_path / "in" / "03.csv").read_text().splitlines()
    with pytest.raises(ValueError, match="nothing is found at memory://bucket/none"):
        ms.cluster_files("memory://bucket/none.parquet", tmp_path / "out", bandwidth=1.0)


def run(*arguments: str):
    return CliRunner().invoke(app, ["cluster", *map(str, arguments)])


def test_the_command_takes_many_files_a_pattern_or_a_directory(tmp_path):
    X = blobs(20_000)
    folder = cut(tmp_path / "in", X, [5_000])
    expected = ms.MeanShift(1.0).fit(X).labels_
    for k, given in enumerate(([folder], [folder / "*.parquet"], sorted(folder.iterdir()))):
        done = run(*given, "-o", tmp_path / f"out{k}", "-b", "1", "--labels-only", "--format", "npy")
        assert done.exit_code == 0, done.output
        assert "certificate" in done.output
        np.testing.assert_array_equal(labels_in(tmp_path / f"out{k}"), expected)


def test_the_command_says_what_passes_do_not_know(tmp_path):
    folder = cut(tmp_path / "in", blobs(2_000), [500])
    for option in (["--kernel", "flat"], ["--standardize"], ["--audit", "10"], ["-b", "1,2"], ["-b", "scott"]):
        done = run(folder, "-o", tmp_path / "out", *option)
        assert done.exit_code == 1
        assert "not on files that are read in passes" in done.output
    assert not (tmp_path / "out").exists()


def test_a_table_larger_than_its_share_of_memory_is_read_in_passes(tmp_path, monkeypatch):
    from modeseek.cli import many

    write(tmp_path / "t.parquet", blobs(5_000))
    monkeypatch.setattr(many, "machine_memory", lambda: 1e5)
    done = run(tmp_path / "t.parquet", "-o", tmp_path / "out.parquet", "-b", "1")
    assert "look labels up" in done.output
    expected = ms.MeanShift(1.0).fit(blobs(5_000)).labels_
    np.testing.assert_array_equal(read(tmp_path / "out.parquet"), expected)


def test_progress_counts_rows_to_the_end(tmp_path):
    folder = cut(tmp_path / "in", blobs(50_000), [100])
    told: list[passes.Progress] = []
    ms.cluster_files(folder, tmp_path / "out", bandwidth=1.0, progress=told.append)
    for stage in ("sketch", "look labels up", "write labels"):
        last = [at for at in told if at.stage == stage][-1]
        assert (last.done, last.total) == (50_000, 50_000)


# -------------------------------------------------------------------------------------------------- benchmarks


def test_the_benchmark_compares_labels_in_the_order_of_rows(tmp_path):
    outofcore.make(tmp_path / "data", 30_000, 3)
    X = outofcore.in_memory(str(tmp_path / "data"))
    assert X.shape == (30_000, 2)
    assert outofcore.scan(str(tmp_path / "data")) == pytest.approx(float(X.sum(dtype=np.float64)), rel=1e-9)
    expected = ms.MeanShift(1.0).fit(X).labels_
    ms.cluster_files(tmp_path / "data", tmp_path / "out", bandwidth=1.0, labels_only=True)
    assert outofcore.written(tmp_path / "out") == outofcore.digest([expected[:7], expected[7:]])
    assert outofcore.written(tmp_path / "out") != outofcore.digest([expected[::-1]])


def test_the_benchmark_kills_and_resumes(tmp_path):
    (row,) = kill_resume.measure(tmp_path, 60_000, 1)
    assert row["same_bytes"]
    assert not row["half_written"]
    assert not row["left_behind"]
