"""Reading and writing tables: real data there and back, and every way in which a file can be wrong."""

import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.datasets import load_iris

from modeseek.files import read_table, replacing, write_labels

NAMES = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]


@pytest.fixture(scope="module")
def iris() -> pd.DataFrame:
    data = load_iris(as_frame=True)
    return data.data.assign(species=data.target_names[data.target])


@pytest.fixture
def iris_csv(iris, tmp_path) -> Path:
    path = tmp_path / "iris.csv"
    iris.to_csv(path, index=False)
    return path


def save(frame: pd.DataFrame, path: Path) -> Path:
    if path.suffix in (".csv", ".tsv"):
        frame.to_csv(path, index=False, sep="," if path.suffix == ".csv" else "\t")
    elif path.suffix == ".parquet":
        frame.to_parquet(path, index=False)
    else:
        frame.to_feather(path)
    return path


def load(path: Path) -> pd.DataFrame:
    if path.suffix in (".csv", ".tsv"):
        return pd.read_csv(path, sep="," if path.suffix == ".csv" else "\t")
    return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_feather(path)


def text(tmp_path: Path, content: str | bytes, name: str = "t.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# ------------------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".feather", ".arrow"])
def test_reads_all_numeric_columns(iris, tmp_path, suffix):
    table = read_table(save(iris, tmp_path / f"iris{suffix}"))
    np.testing.assert_array_equal(table.X, iris[NAMES].to_numpy())
    assert table.X.flags.c_contiguous
    assert table.X.dtype == np.float64
    assert table.columns == tuple(NAMES)
    assert table.left_out == ("species",)


@pytest.mark.parametrize("columns", [["petal width (cm)", "sepal length (cm)"], [3, 0], ["3", "0"]])
@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".feather"])
def test_chosen_columns_come_in_the_order_asked_for(iris, tmp_path, suffix, columns):
    table = read_table(save(iris, tmp_path / f"iris{suffix}"), columns)
    np.testing.assert_array_equal(table.X, iris[[NAMES[3], NAMES[0]]].to_numpy())
    assert table.columns == (NAMES[3], NAMES[0])
    assert table.left_out == (NAMES[1], NAMES[2], "species")


def test_a_name_that_is_a_number_goes_before_the_position(tmp_path):
    path = text(tmp_path, "1,a,b\n10,20,30\n")
    assert read_table(path, ["1"]).X[0, 0] == 10
    assert read_table(path, [1]).X[0, 0] == 20


@pytest.mark.parametrize("suffix", [".parquet", ".feather", ".npy"])
def test_float32_stays_float32(iris, tmp_path, suffix):
    narrow = iris[NAMES].astype(np.float32)
    path = tmp_path / f"iris{suffix}"
    np.save(path, narrow.to_numpy()) if suffix == ".npy" else save(narrow, path)
    table = read_table(path)
    assert table.X.dtype == np.float32
    np.testing.assert_array_equal(table.X, narrow.to_numpy())


def test_one_wide_column_makes_all_wide(iris, tmp_path):
    mixed = iris.astype({NAMES[0]: np.float32, NAMES[1]: "int64"}, errors="ignore")
    assert read_table(save(mixed, tmp_path / "m.parquet")).X.dtype == np.float64


def test_integers_and_decimals_become_float64(tmp_path):
    path = tmp_path / "t.parquet"
    decimals = pa.array([Decimal("1.25"), Decimal("2.50")], pa.decimal128(5, 2))
    pq.write_table(pa.table({"i": pa.array([1, 2], pa.int16()), "d": decimals}), path)
    table = read_table(path)
    assert table.X.dtype == np.float64
    assert table.X.tolist() == [[1, 1.25], [2, 2.5]]


def test_npy_is_mapped_not_copied(tmp_path):
    data = np.random.default_rng(0).normal(size=(50, 3))
    np.save(tmp_path / "t.npy", data)
    table = read_table(tmp_path / "t.npy")
    assert isinstance(table.X.base, np.memmap) or isinstance(table.X, np.memmap)
    np.testing.assert_array_equal(table.X, data)
    np.testing.assert_array_equal(read_table(tmp_path / "t.npy", ["x2", 0]).X, data[:, [2, 0]])


def test_npy_of_one_axis_is_one_column(tmp_path):
    np.save(tmp_path / "t.npy", np.arange(5))
    assert read_table(tmp_path / "t.npy").X.shape == (5, 1)


def test_semicolons_in_a_csv(tmp_path):
    table = read_table(text(tmp_path, "a;b\n1;2.5\n3;4\n"))
    assert table.X.tolist() == [[1, 2.5], [3, 4]]


def test_a_type_that_changes_beyond_the_first_block(tmp_path):
    path = text(tmp_path, "a,b\n" + "1,2\n" * 400_000 + "1.5,x\n")  # integers, then neither
    table = read_table(path)
    assert table.columns == ("a",)
    assert table.X[-1, 0] == 1.5
    assert table.left_out == ("b",)
    with pytest.raises(ValueError, match=r"column 'b' is not numeric: it holds 'x' in row 400001 "):
        read_table(path, ["b"])


def test_no_header(tmp_path):
    path = text(tmp_path, "1,2\n3,4\n")
    with pytest.raises(ValueError, match=r"first line holds numbers \(1, 2\).*--no-header"):
        read_table(path)
    assert read_table(path, header=False).X.tolist() == [[1, 2], [3, 4]]
    assert read_table(path, header=True).columns == ("1", "2")


# ----------------------------------------------------------------------------------------- what can be wrong


@pytest.mark.parametrize(
    ("content", "columns", "message"),
    [
        ("a,b\n1,2\n3,\n", None, r"t\.csv: column 'b' has no value in row 2 of the data \(counted from 1\)"),
        ("a,b\n1,2\n3,nan\n", ["b"], r"column 'b' has no value in row 2"),
        ("a,b\n1,2\n3,inf\n", None, r"column 'b' holds inf in row 2"),
        ("a,b\n1,x\n3,y\n", ["b"], r"column 'b' is not numeric: it holds 'x' in row 1"),
        ("a,b\n1,2\n3,y\n", ["a", "b"], r"column 'b' is not numeric: it holds 'y' in row 2"),
        ("a,b\nx,y\n", None, r"t\.csv has no numeric column \(it has: a, b\)"),
        ("a,b\n1,2020-01-01\n", ["b"], r"column 'b' is not numeric, it is of type date32"),
        ("a,b\n1,\n2,\n", ["b"], r"column 'b' holds no values at all"),
        ("a,b\n1,2\n", ["c"], r"t\.csv has no column 'c' \(it has: a, b\)"),
        ("alpha,b\n1,2\n", ["alpah"], r"no column 'alpah'; did you mean 'alpha'\?"),
        ("a,b\n1,2\n", [2], r"no column '2'"),
        ("a,b\n1,2\n", ["-1"], r"no column '-1'"),
        ("a,b\n1,2\n", ["a", 0], r"column 'a' is chosen twice"),
        ("a,b\n1,2\n", [], r"no column is chosen"),
        ("a,a\n1,2\n", None, r"more than one column named 'a'"),
        ("a,b\n", None, r"t\.csv has no rows"),
        ("\n", None, r"t\.csv cannot be read as \.csv"),
        ("", None, r"t\.csv is empty"),
        ("a,b\n1,2\n3\n", None, r"cannot be read as \.csv: .*Row #3: Expected 2 columns, got 1"),
        ("a,é\n1,2\n".encode("latin-1"), None, r"names of the columns are not UTF-8"),
    ],
)
def test_broken_csv(tmp_path, content, columns, message):
    with pytest.raises(ValueError, match=message):
        read_table(text(tmp_path, content), columns)


def test_missing_value_in_parquet_in_a_later_chunk(tmp_path):
    column = pa.chunked_array([[1.0, 2.0], [3.0, None]])
    pq.write_table(pa.table({"a": column}), tmp_path / "t.parquet", row_group_size=2)
    with pytest.raises(ValueError, match=r"t\.parquet: column 'a' has no value in row 4 "):
        read_table(tmp_path / "t.parquet")


def test_nan_is_found_beyond_the_first_batch(tmp_path):
    data = np.zeros((70_000, 2), np.float32)
    data[69_999, 1] = np.nan
    np.save(tmp_path / "t.npy", data)
    with pytest.raises(ValueError, match=r"column 'x1' has no value \(NaN\) in row 70000 "):
        read_table(tmp_path / "t.npy")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array(["a"]), "must hold real numbers"),
        (np.ones((2, 2), complex), "complex128"),
        (np.ones((2, 2, 2)), r"shape \(2, 2, 2\)"),
        (np.array([None]), "cannot be read as .npy"),
        (np.ones((0, 2)), "has no rows"),
    ],
)
def test_broken_npy(tmp_path, array, message):
    np.save(tmp_path / "t.npy", array, allow_pickle=True)
    with pytest.raises(ValueError, match=message):
        read_table(tmp_path / "t.npy")


@pytest.mark.parametrize("suffix", [".parquet", ".feather", ".npy"])
def test_not_of_the_format_that_the_name_says(tmp_path, suffix):
    path = text(tmp_path, "a,b\n1,2\n" * 10, f"t{suffix}")
    with pytest.raises(ValueError, match=rf"t\{suffix} cannot be read as \{suffix}"):
        read_table(path)


def test_no_such_file_directory_or_suffix(tmp_path):
    with pytest.raises(ValueError, match=r"none\.csv does not exist"):
        read_table(tmp_path / "none.csv")
    (tmp_path / "d.csv").mkdir()
    with pytest.raises(ValueError, match=r"d\.csv is a directory"):
        read_table(tmp_path / "d.csv")
    with pytest.raises(ValueError, match=r"ends in '\.xlsx': .* one of \.csv, \.tsv, \.parquet"):
        read_table(tmp_path / "t.xlsx")
    with pytest.raises(ValueError, match=r"table has no suffix"):
        read_table(tmp_path / "table")


def test_pyarrow_missing(monkeypatch, iris_csv):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"pip install 'modeseek\[cli\]'"):
        read_table(iris_csv)


# ------------------------------------------------------------------------------------------------- writing


@pytest.mark.parametrize("out", [".csv", ".tsv", ".parquet", ".feather", ".arrow"])
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".feather"])
def test_rows_come_back_with_labels(iris, tmp_path, suffix, out):
    table = read_table(save(iris, tmp_path / f"iris{suffix}"), ["petal length (cm)"])
    labels = np.arange(150)[::-1] % 7
    write_labels(table, labels, tmp_path / f"out{out}", label_column="cluster")
    written = load(tmp_path / f"out{out}")
    pd.testing.assert_frame_equal(written, iris.assign(cluster=labels), check_dtype=False)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([f"iris{suffix}", f"out{out}"])


def test_npy_to_labels_and_to_parquet(tmp_path):
    data = np.random.default_rng(0).normal(size=(70_000, 2)).astype(np.float32)
    np.save(tmp_path / "t.npy", data)
    table, labels = read_table(tmp_path / "t.npy", [1]), np.arange(70_000) % 3
    write_labels(table, labels, tmp_path / "labels.npy")
    written = np.load(tmp_path / "labels.npy")
    assert written.dtype == np.int32
    np.testing.assert_array_equal(written, labels)
    write_labels(table, labels, tmp_path / "t.parquet")
    frame = pd.read_parquet(tmp_path / "t.parquet")
    assert list(frame.columns) == ["x0", "x1", "label"]
    np.testing.assert_array_equal(frame[["x0", "x1"]].to_numpy(), data)
    np.testing.assert_array_equal(frame["label"], labels)


def test_pandas_metadata_survives_parquet(iris, tmp_path):
    iris.set_index("species").to_parquet(tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet")
    write_labels(table, np.zeros(150, int), tmp_path / "out.parquet")
    frame = pd.read_parquet(tmp_path / "out.parquet")
    assert frame.index.name == "species"
    assert list(frame.columns) == [*NAMES, "label"]


def test_text_is_copied_byte_for_byte(tmp_path):
    content = (
        "\ufeffid,x,note\r\n"
        '007,1.50,"a ""quoted"", one"\r\n'
        "\r\n"
        '008,2.500,"two\nlines\n\nand ""three"""\n'
        "009,3e0, \u00e9"  # no line break at the end
    )
    table = read_table(text(tmp_path, content), ["x"])
    assert table.X.ravel().tolist() == [1.5, 2.5, 3]
    write_labels(table, np.array([2, 0, 1]), tmp_path / "out.csv", label_column='a,"b"')
    assert (tmp_path / "out.csv").read_bytes().decode() == (
        '\ufeffid,x,note,"a,""b"""\r\n'
        '007,1.50,"a ""quoted"", one",2\r\n'
        "\r\n"
        '008,2.500,"two\nlines\n\nand ""three""",0\n'
        "009,3e0, \u00e9,1\n"
    )


def test_no_header_in_no_header_out(tmp_path):
    table = read_table(text(tmp_path, "1,2\n3,4\n"), header=False)
    write_labels(table, np.array([5, 6]), tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "1,2,5\n3,4,6\n"


def test_stray_quote_is_an_error_not_a_shift(tmp_path):
    path = text(tmp_path, 'x,note\n1,5" pipe\n2,6" pipe\n3,plain\n')
    table = read_table(path, ["x"])
    (tmp_path / "out.csv").write_text("before")
    with pytest.raises(ValueError, match="lines are not the rows"):
        write_labels(table, np.array([0, 1, 2]), tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "before"
    write_labels(table, np.array([0, 1, 2]), tmp_path / "out.parquet")
    assert pd.read_parquet(tmp_path / "out.parquet")["note"].tolist() == ['5" pipe', '6" pipe', "plain"]


@pytest.mark.parametrize(
    ("output", "label_column", "message"),
    [
        ("out.xlsx", "label", r"ends in '\.xlsx'"),
        ("none/out.csv", "label", r"cannot write .*none/out\.csv: there is no directory"),
        ("iris.csv", "label", r"is the input itself"),
        ("sub.csv", "label", r"sub\.csv is a directory"),
        ("out.csv", "species", r"already has a column 'species': .*--label-column"),
        ("out.parquet", "petal width (cm)", r"already has a column"),
    ],
)
def test_output_that_cannot_be(iris_csv, tmp_path, output, label_column, message):
    (tmp_path / "sub.csv").mkdir()
    before = iris_csv.read_bytes()
    with pytest.raises(ValueError, match=message):
        write_labels(read_table(iris_csv), np.zeros(150, int), tmp_path / output, label_column=label_column)
    assert iris_csv.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["iris.csv", "sub.csv"]


@pytest.mark.parametrize("out", ["out.csv", "out.parquet"])
@pytest.mark.parametrize("change", [lambda s: s + "1,2,3,4,x\n", lambda s: s[: s.rindex("5.9,")]])
def test_input_that_changed_meanwhile(iris_csv, tmp_path, out, change):
    table = read_table(iris_csv)
    iris_csv.write_text(change(iris_csv.read_text()))
    (tmp_path / out).write_text("before")
    with pytest.raises(ValueError, match=r"iris\.csv"):
        write_labels(table, np.zeros(150, int), tmp_path / out)
    assert (tmp_path / out).read_text() == "before"
    assert len(list(tmp_path.iterdir())) == 2


def test_wrong_number_of_labels(iris_csv, tmp_path):
    with pytest.raises(ValueError, match=r"labels must have shape \(150,\)"):
        write_labels(read_table(iris_csv), np.zeros(149, int), tmp_path / "out.csv")


def test_what_csv_cannot_hold(tmp_path):
    pq.write_table(pa.table({"a": [1.0], "b": [[1, 2]]}), tmp_path / "t.parquet")
    with pytest.raises(ValueError, match=r"cannot write .*out\.csv"):
        write_labels(read_table(tmp_path / "t.parquet"), np.zeros(1, int), tmp_path / "out.csv")
    assert [p.name for p in tmp_path.iterdir()] == ["t.parquet"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_replacing_is_whole_or_not_at_all(tmp_path, error):
    path = tmp_path / "t.txt"
    path.write_text("before")

    def fail_halfway() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            assert temporary.parent == path.parent
            raise error

    with pytest.raises(error):
        fail_halfway()
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
    with replacing(path) as temporary:
        temporary.write_text("after")
    assert path.read_text() == "after"
    assert list(tmp_path.iterdir()) == [path]
