"""Blocks of rows: any range is what NumPy and pyarrow read of the whole, and faults are named."""

import itertools
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather

from jgd.runtime import blocks

N = 103
COLUMNS = {"x": ["a", "half", "count"], "y": "label", "more": ("flag", "vector")}


def some_data(num_rows=N, seed=0):
    random = np.random.default_rng(seed)
    return {
        "x": random.standard_normal((num_rows, 3, 2), np.float32),
        "y": random.integers(0, 9, num_rows),
        "z": (random.random(num_rows) < 0.5,),
    }


def some_table(num_rows=N, seed=0):
    """Floats, some of them null, integers, bools and vectors."""
    random = np.random.default_rng(seed)
    is_null = random.random(num_rows) < 0.1
    return pa.table(
        {
            "label": random.integers(-9, 9, num_rows, np.int8),
            "a": pa.array(random.standard_normal(num_rows, np.float32), mask=is_null),
            "half": random.standard_normal(num_rows).astype(np.float16),
            "count": random.integers(0, 999, num_rows),
            "flag": random.random(num_rows) < 0.5,
            "vector": vectors(random.standard_normal((num_rows, 4))),
            "text": [f"row {row}" for row in range(num_rows)],
        }
    )


def vectors(array, mask=None):
    return pa.FixedSizeListArray.from_arrays(pa.array(array.ravel()), array.shape[1], mask=mask)


def of_table(table):
    """The block of all rows, as pandas-free pyarrow reads it."""
    columns = {name: table.column(name).combine_chunks() for name in table.column_names}
    numbers = {name: np.array(columns[name].to_pylist(), float) for name in ("a", "half", "count")}
    return {
        "x": np.stack(list(numbers.values()), axis=1).astype(np.float32),
        "y": np.array(columns["label"].to_pylist(), np.int8),
        "more": (np.array(columns["flag"].to_pylist()), np.array(columns["vector"].to_pylist())),
    }


def write(path, table, group=17):
    """A file with groups of rows of that length, in the format of its suffix."""
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=group)
    else:
        compression = "uncompressed" if path.suffix == ".arrow" else "lz4"
        feather.write_feather(table, str(path), compression=compression, chunksize=group)
    return path


def assert_reads(source, whole):
    """Ranges of all places and lengths, one after another and many at once."""
    num_rows = len(jax.tree.leaves(whole)[0])
    assert source.num_rows == num_rows
    ends = np.random.default_rng(0).integers(0, num_rows + 1, (30, 2))
    in_order = itertools.pairwise([*range(0, num_rows, source.rows), num_rows])
    ranges = [*in_order, (0, num_rows), *((int(a), int(b)) for a, b in np.sort(ends) if a < b)]
    with ThreadPoolExecutor(3) as pool:
        for read in (
            [source.read(*ends) for ends in ranges],
            [*pool.map(lambda e: source.read(*e), ranges)],
        ):
            for (first, last), block in zip(ranges, read, strict=True):
                jax.tree.map(assert_same, block, jax.tree.map(lambda x: x[first:last], whole))  # noqa: B023


def assert_same(came, wanted):
    assert isinstance(came, np.ndarray)
    assert came.flags.c_contiguous
    assert came.dtype == wanted.dtype
    np.testing.assert_array_equal(came, wanted)


def save(folder, data):
    """A .npy file for each leaf."""
    leaves, structure = jax.tree.flatten(data)
    paths = [folder / f"{number}.npy" for number in range(len(leaves))]
    for path, leaf in zip(paths, leaves, strict=True):
        np.save(path, leaf)
    return jax.tree.unflatten(structure, paths)


# Arrays


def test_arrays_are_cut_like_the_whole(tmp_path):
    data = some_data()
    assert_reads(blocks.arrays(data, rows=10), data)
    paths = save(tmp_path, data)
    mapped = jax.tree.map(lambda path: np.load(path, mmap_mode="r"), paths)
    assert_reads(blocks.arrays(mapped, rows=7), data)
    swapped = {**data, "y": data["y"].astype(">i8")}
    assert_reads(blocks.arrays(swapped, rows=1000), data)


class Dataset:
    """A dataset as those of h5py and zarr: no array, but with a shape and slices, which it counts."""

    def __init__(self, array):
        self.array, self.shape, self.dtype, self.ndim = array, array.shape, array.dtype, array.ndim
        self.read = []

    def __getitem__(self, rows):
        self.read.append((rows.start, rows.stop))
        return self.array[rows].copy()

    def __array__(self, *arguments, **options):
        raise AssertionError("read as a whole")


def test_nothing_is_read_before_it_is_wanted():
    data = some_data()
    datasets = jax.tree.map(Dataset, data)
    source = blocks.arrays(datasets)
    assert datasets["x"].read == []
    source.read(5, 9)
    assert datasets["x"].read == [(5, 9)]
    assert_reads(source, data)


def test_what_is_read_is_a_copy():
    data = some_data()
    block = blocks.arrays(data).read(0, N)
    jax.tree.map(lambda x: x.fill(1), block)
    jax.tree.map(np.testing.assert_array_equal, data, some_data())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "data is {}"),
        ({"x": [1.0, 2.0]}, r"data\['x'\]\[0\] is float"),
        ({"x": np.zeros(3), "y": np.zeros(2)}, r"data\['x'\] has 3 examples and data\['y'\] has 2"),
        (np.array(["a"]), "data has dtype <U1"),
        (np.zeros((0, 2)), "0 examples"),
    ],
)
def test_what_cannot_be_cut_is_named(data, message):
    with pytest.raises(ValueError, match=message):
        blocks.arrays(data)


def test_a_tensor_is_told_how_it_is_read():
    tensor = Dataset(np.zeros(3))
    tensor.dtype = "torch.float32"
    with pytest.raises(ValueError, match=r"data\['x'\] has dtype torch.float32, .* tensor.numpy\(\)"):
        blocks.arrays({"x": tensor})


def test_a_dataset_that_has_shrunk_is_named():
    dataset = Dataset(np.zeros(10))
    source = blocks.arrays({"x": dataset})
    dataset.array = dataset.array[:4]
    with pytest.raises(ValueError, match=r"data\['x'\] gives 1 of the rows from 3 to 5, .* had 10 rows"):
        source.read(3, 6)


# How long a block is


def test_a_block_is_32_mebibytes_where_nothing_is_said(tmp_path):
    wide = np.lib.stride_tricks.as_strided(np.zeros(1, np.float32), (10**6, 100), (0, 0))
    assert blocks.arrays(wide).rows == 16 * 2**20 // 400 // 1024 * 1024
    assert blocks.arrays((wide, wide)).rows == 16 * 2**20 // 800 // 1024 * 1024
    assert blocks.arrays(np.broadcast_to(wide[0, 0], (5, 2**25))).rows == 1
    assert blocks.arrays(np.zeros(5)).rows == 5
    assert blocks.arrays(np.zeros((5, 0))).rows == 5
    assert blocks.npy(save(tmp_path, np.zeros((5, 3)))).rows == 5


@pytest.mark.parametrize(
    ("group", "rows"),
    [
        (300, 900),  # whole groups
        (1000, 1000),
        (4000, 4000),  # a group is decoded as a whole
        (4500, 900),  # unless it is too large
        (4600, 920),
    ],
)
def test_blocks_of_a_table_are_whole_groups(tmp_path, monkeypatch, group, rows):
    monkeypatch.setattr("jgd.runtime.blocks.source.BLOCK_BYTES", 1000 * 4)
    table = pa.table({"a": np.arange(20_000, dtype=np.float32)})
    for name in ("x.parquet", "x.arrow"):
        assert blocks.table(write(tmp_path / name, table, group), {"a": "a"}).rows == rows
    few = write(tmp_path / "few.parquet", table.slice(0, 700), 300)
    assert blocks.table(few, {"a": "a"}).rows == 700


@pytest.mark.parametrize("rows", [0, -1, 2.0, True, "3"])
def test_rows_are_a_whole_number(tmp_path, rows):
    message = f"rows is {rows!r}, but a whole number >= 1"
    with pytest.raises(ValueError, match=message):
        blocks.arrays(np.zeros(3), rows=rows)
    with pytest.raises(ValueError, match=message):
        blocks.npy(save(tmp_path, np.zeros(3)), rows=rows)
    with pytest.raises(ValueError, match=message):
        blocks.table(write(tmp_path / "x.parquet", some_table()), COLUMNS, rows=rows)


@pytest.mark.parametrize("ends", [(0, 0), (2, 1), (-1, 2), (0, N + 1), (0.0, 2)])
def test_a_range_lies_within_the_rows(tmp_path, ends):
    data = some_data()
    sources = blocks.arrays(data), blocks.npy(save(tmp_path, data))
    for source in (*sources, blocks.table(write(tmp_path / "x.arrow", some_table()), COLUMNS)):
        with pytest.raises(ValueError, match=f"0 <= first < last <= {N}"):
            source.read(*ends)


# .npy


def test_files_of_numpy_are_read_like_the_whole(tmp_path):
    data = some_data()
    source = blocks.npy(save(tmp_path, data), rows=10)
    assert source.rows == 10
    assert_reads(source, data)
    assert source.place(17) == ", ".join(str(tmp_path / f"{n}.npy") for n in range(3)) + ", row 17"


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
@pytest.mark.parametrize("dtype", [">f4", "<f8", "?", "<f2", "<c8", "u1"])
def test_all_numbers_are_read(tmp_path, version, dtype):
    array = (10 * np.random.default_rng(0).standard_normal((20, 3))).astype(dtype)
    with open(tmp_path / "x.npy", "wb") as file:
        np.lib.format.write_array(file, array, version)
    assert_reads(blocks.npy(str(tmp_path / "x.npy")), array.astype(array.dtype.newbyteorder("=")))


def test_a_column_in_fortran_order_is_a_column(tmp_path):
    data = {"one": np.asfortranarray(np.arange(5.0)), "column": np.asfortranarray(np.ones((5, 1)))}
    assert_reads(blocks.npy(save(tmp_path, data)), data)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.asfortranarray(np.ones((3, 2))), "is in Fortran order"),
        (np.array([None, 1]), "has dtype object"),
        (np.array(["a"]), "has dtype <U1"),
        (np.zeros(3, "f4,i4"), "has dtype"),
        (np.array("2020", "M8[D]"), "has dtype datetime64"),
        (np.array(1.0), r"has shape \(\)"),
        (np.zeros((0, 3)), "has 0 rows"),
    ],
)
def test_what_a_file_of_numpy_should_not_hold_is_named(tmp_path, array, message):
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(ValueError, match=r"x\.npy " + message):
        blocks.npy({"x": tmp_path / "x.npy"})


def test_the_way_out_of_fortran_order_leads_out(tmp_path):
    array = np.random.default_rng(0).standard_normal((5, 3))
    np.save(tmp_path / "old.npy", np.asfortranarray(array))
    old, path = tmp_path / "old.npy", tmp_path / "new.npy"
    with pytest.raises(ValueError, match="C order") as raised:
        blocks.npy(old)
    way_out = str(raised.value).partition("Save it once more: ")[2].rstrip(".")
    eval(way_out, {"np": np, "path": path, "old": old})
    assert_reads(blocks.npy(path), array)


def test_files_of_numpy_that_are_none_are_named(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.zeros(3))
    (tmp_path / "empty.npy").touch()
    cut = save(tmp_path, np.zeros((100, 3)))
    os.truncate(cut, cut.stat().st_size - 1)
    for path, message in (
        ("x.npz", "no .npy file that can be read .* np.load"),
        ("empty.npy", "no .npy file"),
        ("0.npy", "99 rows of the 100 that its header tells"),
        ("missing.npy", "cannot be read: No such file"),
        (".", "cannot be read: Is a directory"),
    ):
        with pytest.raises(ValueError, match=message):
            blocks.npy(tmp_path / path)
    for paths in ({}, {"x": 3}, [np.zeros(3)]):
        with pytest.raises(ValueError, match=r"a pytree of paths to \.npy files is wanted"):
            blocks.npy(paths)
    paths = save(tmp_path, (np.zeros(3), np.zeros((1000, 2))))
    with pytest.raises(ValueError, match=r"0\.npy has 3 rows and .*1\.npy has 1,000"):
        blocks.npy(paths)


def test_a_file_of_numpy_that_has_changed_is_named(tmp_path):
    array = np.zeros((1000, 3), np.float32)
    path = save(tmp_path, array)
    source = blocks.npy(path)
    np.save(path, array)
    assert_same(source.read(0, 1000), array)  # the same rows once more
    had = r"0\.npy had 1,000 rows of float32\[3\] when the blocks were made, but "
    os.truncate(path, path.stat().st_size - 12 * 400)
    for ends in ((0, 1), (599, 601), (900, 1000)):
        with pytest.raises(ValueError, match=had + r".*0\.npy has 600 rows of the 1,000"):
            source.read(*ends)
    np.save(path, np.zeros((600, 3)))
    with pytest.raises(ValueError, match=had + r"it has 600 rows of float64\[3\] now"):
        source.read(0, 1)
    path.unlink()
    with pytest.raises(ValueError, match=had + ".*cannot be read: No such file"):
        source.read(0, 1)


# Tables


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".feather"])
def test_tables_are_read_like_the_whole(tmp_path, suffix):
    table = some_table()
    path = write(tmp_path / f"x{suffix}", table)
    for rows in (10, 17, None):
        source = blocks.table(path, COLUMNS, rows=rows)
        assert_reads(source, of_table(table))
    assert source.place(5) == f"{path}, row 5"


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_files_follow_one_another_by_name(tmp_path, suffix):
    lengths = [40, 0, 17, 46]
    starts = np.cumsum([0, *lengths])
    table = some_table()
    paths = []
    for number, (start, length) in enumerate(zip(starts, lengths)):  # noqa: B905
        path = tmp_path / f"part-{number}{suffix}"
        paths.append(write(path, table.slice(start, length), 7 + number))
    for stranger in ("_SUCCESS", f"._part-0{suffix}", "note.txt"):
        (tmp_path / stranger).write_text("no table")
    whole = of_table(table)
    assert_reads(blocks.table(tmp_path, COLUMNS, rows=13), whole)
    assert_reads(blocks.table(str(tmp_path), COLUMNS, rows=13, format=suffix[1:]), whole)
    assert_reads(blocks.table(paths, COLUMNS), whole)
    place = blocks.table(tmp_path, COLUMNS).place
    assert [Path(place(row)).name for row in (39, 40, 102)] == [
        f"part-0{suffix}, row 39",
        f"part-2{suffix}, row 0",
        f"part-3{suffix}, row 45",
    ]
    backwards = [np.concatenate([x[57:], x[40:57], x[:40]]) for x in jax.tree.leaves(whole)]
    backwards = jax.tree.unflatten(jax.tree.structure(whole), backwards)
    assert_reads(blocks.table(tuple(paths[::-1]), COLUMNS), backwards)


@pytest.mark.parametrize("width", [1, 63, 64, 65, 130])
def test_wide_matrices_are_read_like_the_whole(tmp_path, width):
    array = np.random.default_rng(0).standard_normal((17_000, width), np.float32)
    names = [f"c{number}" for number in range(width)]
    path = tmp_path / "x.parquet"
    write(path, pa.table(dict(zip(names, array.T.copy(), strict=True))), 16_900)
    source = blocks.table(path, names[::-1])
    assert_same(source.read(0, 17_000), array[:, ::-1].copy())
    assert_same(source.read(16_000, 16_999), array[16_000:16_999, ::-1].copy())


def test_a_matrix_has_the_floats_that_its_columns_want(tmp_path):
    columns = {"f2": np.float16, "f4": np.float32, "f8": np.float64, "i8": np.int64, "b": bool}
    table = pa.table({name: np.ones(3, dtype) for name, dtype in columns.items()})
    path = write(tmp_path / "x.arrow", table)

    def dtype_of(*names):
        return blocks.table(path, list(names)).read(0, 3).dtype

    assert dtype_of("f2") == np.float16
    assert dtype_of("f2", "f4") == dtype_of("f2", "i8") == dtype_of("b") == np.float32
    assert dtype_of("f4", "f8") == np.float32
    with jax.enable_x64(True):
        assert dtype_of("f4", "f8") == dtype_of("i8") == np.float64
        assert dtype_of("f4") == np.float32


def decoded(monkeypatch):
    """The groups of rows that are decoded, as they are."""
    groups, read = [], pq.ParquetFile.read_row_groups

    def noted(self, numbers, **options):
        groups.append((numbers, options["columns"]))
        return read(self, numbers, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", noted)
    return groups


def test_what_is_not_wanted_is_not_decoded(tmp_path, monkeypatch):
    source = blocks.table(write(tmp_path / "x.parquet", some_table()), COLUMNS)
    names = ["label", "a", "half", "count", "flag", "vector"]
    groups = decoded(monkeypatch)
    source.read(34, 51)
    ((numbers, columns),) = groups
    assert numbers == [2]
    assert sorted(columns) == sorted(names)


def test_a_group_in_which_a_range_ends_is_decoded_once(tmp_path, monkeypatch):
    source = blocks.table(write(tmp_path / "x.parquet", some_table()), {"y": "label"}, rows=5)
    groups = decoded(monkeypatch)
    for first in range(0, N, 5):
        source.read(first, min(first + 5, N))
    assert [number for numbers, _ in groups for number in numbers] == list(range(7))
    groups.clear()
    source.read(0, 60)  # three groups at once, and the one that is kept
    assert [numbers for numbers, _ in groups] == [[0, 1, 2], [3]]


def test_null_vectors_become_nan(tmp_path):
    array = np.arange(12, dtype=np.float32).reshape(4, 3)
    is_null = np.array([False, True, False, True])
    path = write(tmp_path / "x.arrow", pa.table({"v": vectors(array, pa.array(is_null))}))
    wanted = np.where(is_null[:, None], np.float32(np.nan), array)
    assert_reads(blocks.table(path, {"v": "v"}), {"v": wanted})


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
@pytest.mark.parametrize(
    "column",
    [
        pa.array([1] * 20 + [None] + [1, None]),
        pa.array([True] * 20 + [None] + [True, None]),
        pa.FixedSizeListArray.from_arrays(pa.array([1] * 41 + [None, None] + [2] * 3), 2),
    ],
)
def test_a_null_that_cannot_be_nan_is_named(tmp_path, suffix, column):
    path = write(tmp_path / f"x{suffix}", pa.table({"id": column}), 6)
    source = blocks.table(path, {"id": "id"})
    assert len(source.read(0, 20)["id"]) == 20
    for ends in ((0, 23), (20, 21), (18, 22), (20, 23)):
        with pytest.raises(ValueError, match=rf"column 'id' of .*x{suffix} has a null in row 20,"):
            source.read(*ends)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array(["a"]), "has type string, .*one_hot"),
        (pa.array(["a"]).dictionary_encode(), "has type dictionary"),
        (pa.array([0], pa.date32()), r"has type date32\[day\], .* dates and times as numbers"),
        (pa.array([0], pa.timestamp("s")), "has type timestamp"),
        (pa.array([[1.0]]), "has type list<.*double>, .* lists of one length"),
        (pa.array([{"a": 1}]), r"has type struct<.*table.flatten\(\)"),
        (pa.array([1]).cast(pa.decimal128(21, 2)), r"has type decimal128\(21, 2\), .* as floats"),
        (pa.nulls(1), "has type null"),
    ],
)
def test_a_column_that_is_no_numbers_is_named(tmp_path, column, message):
    path = write(tmp_path / "x.arrow", pa.table({"a": [1.0], "c": column}))
    for columns in ({"c": "c"}, ["a", "c"]):
        with pytest.raises(ValueError, match=r"column 'c' of .*x\.arrow " + message):
            blocks.table(path, columns)


def test_columns_that_are_not_there_are_named(tmp_path):
    path = write(tmp_path / "x.parquet", some_table())
    for columns, message in (
        ({"y": "lable"}, r"x\.parquet has no column 'lable'; the nearest are label"),
        (
            ["a", "zzz"],
            "no column 'zzz'; there are label, a, half, count, flag, vector and 1 more",
        ),
        ({}, "columns is {}"),
        ([], r"columns holds \[\]"),
        ({"y": 3}, "columns holds 3"),
        (["a", ["half"]], r"columns holds \['a', \['half'\]\]"),
        (["a", "vector"], r"'vector' of .* has 4 numbers in a row, .*\{\"vector\": \"vector\"\}"),
    ):
        with pytest.raises(ValueError, match=message):
            blocks.table(path, columns)
    twice = pa.table([pa.array([1.0]), pa.array([2.0])], names=["a", "a"])
    with pytest.raises(ValueError, match=r"x\.arrow has 2 columns of the name 'a'"):
        blocks.table(write(tmp_path / "x.arrow", twice), ["a"])


def test_files_that_differ_are_named(tmp_path):
    write(tmp_path / "0.parquet", pa.table({"a": [1.0], "b": [1.0]}))
    other = write(tmp_path / "1.parquet", pa.table({"b": [1], "a": [1.0], "c": [1]}))
    assert blocks.table(tmp_path, {"a": "a"}).read(0, 2)["a"].tolist() == [1.0, 1.0]
    with pytest.raises(ValueError, match=r"'b' of .*1\.parquet has type int64, but double .*0\.parquet"):
        blocks.table(tmp_path, ["a", "b"])
    write(other, pa.table({"a": [1.0]}))
    with pytest.raises(ValueError, match=r"1\.parquet has no column 'b'"):
        blocks.table(tmp_path, ["a", "b"])


def a_stream(path):
    table = some_table()
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table)


def cut(path, table, share=0.5):
    write(path, table)
    os.truncate(path, int(share * path.stat().st_size))


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("x.parquet", lambda path: path.touch(), "is empty"),
        (
            "x.parquet",
            lambda path: path.write_text("a,b\n1,2"),
            "is neither a Parquet nor an Arrow IPC file",
        ),
        ("x.parquet", lambda path: None, "cannot be read: No such file"),
        ("x.parquet", lambda path: cut(path, some_table()), "cannot be read: .*written to its end"),
        ("x.arrow", lambda path: cut(path, some_table()), "cannot be read: .*written to its end"),
        ("x.arrow", lambda path: cut(path, some_table(), 0.01), "cannot be read: .*written to its end"),
        ("x.arrow", a_stream, r"is an Arrow stream, .*pyarrow.ipc.new_file"),
        ("x.feather", lambda path: path.write_bytes(b"FEA1" + bytes(9)), "is of Feather version 1"),
        ("x.feather", lambda path: write(path, some_table(0)), None),
    ],
)
def test_files_that_are_no_tables_are_named(tmp_path, name, make, message):
    make(tmp_path / name)
    message = r"x\.\w+ " + message if message else r"0 rows in .*x\.feather"
    with pytest.raises(ValueError, match=message):
        blocks.table(tmp_path / name, COLUMNS)


def test_paths_and_formats_that_do_not_fit_are_named(tmp_path):
    path = write(tmp_path / "x.parquet", some_table())
    with pytest.raises(ValueError, match="format is 'csv'"):
        blocks.table(path, COLUMNS, format="csv")
    with pytest.raises(
        ValueError, match=r"x\.parquet is in the format 'parquet', but format is 'arrow'"
    ):
        blocks.table(path, COLUMNS, format="arrow")
    with pytest.raises(
        ValueError, match=r"a folder without a file whose name ends in \.arrow, \.feather"
    ):
        blocks.table(tmp_path, COLUMNS, format="arrow")
    write(tmp_path / "x.arrow", some_table())
    with pytest.raises(ValueError, match="holds files of Parquet and of Arrow"):
        blocks.table(tmp_path, COLUMNS)
    assert blocks.table(tmp_path, COLUMNS, format="arrow").num_rows == N
    for paths in ([], 3, [3], None):
        with pytest.raises(ValueError, match="paths is"):
            blocks.table(paths, COLUMNS)


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".feather"])
def test_a_table_that_has_changed_is_named(tmp_path, suffix):
    table = some_table()
    path = write(tmp_path / f"x{suffix}", table)
    source = blocks.table(path, COLUMNS)
    had = rf"x{suffix} had 103 rows when the blocks were made, but "
    source.read(0, 3)
    write(path, table)
    os.utime(path, (0, 0))
    assert_reads(source, of_table(table))  # the same rows once more
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(ValueError, match=had + rf".*x{suffix} cannot be read: "):
        source.read(0, 3)  # of which a part was kept
    write(path, table.slice(0, 60))
    with pytest.raises(ValueError, match=had + "it has 60 rows now"):
        source.read(0, 3)
    write(path, table.drop_columns("a"))
    with pytest.raises(ValueError, match=had + "it has 103 rows now, written anew"):
        source.read(0, 3)
    path.unlink()
    with pytest.raises(ValueError, match=had + ".*cannot be read: No such file"):
        source.read(0, 3)


@pytest.mark.parametrize("suffix", [".parquet", ".feather"])
def test_numbers_that_are_broken_are_named(tmp_path, suffix):
    path = write(tmp_path / f"x{suffix}", some_table(20_000), 20_000)
    stat = path.stat()
    with open(path, "r+b") as file:
        file.seek(stat.st_size // 10)
        file.write(b"\xff" * (stat.st_size // 2))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(ValueError, match=rf"x{suffix} cannot be read"):
        blocks.table(path, {"x": ["a", "half", "count"]}).read(0, 20_000)


def test_without_pyarrow_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for name in ("arrow_files", "arrow_columns"):
        monkeypatch.delitem(sys.modules, f"jgd.runtime.blocks.{name}", raising=False)
        monkeypatch.delattr(blocks, name, raising=False)
    with pytest.raises(ImportError, match=r"wants pyarrow .* pip install 'jgd\[stream\]'"):
        blocks.table("x.parquet", ["a"])


# Loaders


class Tensor:
    """What torch and tf have: no array, but something that NumPy makes one of."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        if self.array is None:
            raise TypeError("can't convert cuda:0 device type tensor to numpy")
        return np.asarray(self.array, dtype)


class Loader:
    """A loader that can be gone through again; torch gives a list for each batch."""

    def __iter__(self):
        for number in range(3):
            yield [Tensor(np.full((2, 3), number, np.float32)), {"y": Tensor(np.array([number, 0]))}]


def assert_batches(batches, numbers):
    batches = list(batches)
    assert [int(x[0, 0]) for x, _ in batches] == numbers
    for x, rest in batches:
        assert_same(x, np.full((2, 3), x[0, 0], np.float32))
        assert isinstance(rest["y"], np.ndarray)


def test_loaders_are_gone_through_each_epoch():
    source = blocks.iterate(Loader())
    assert source.name == "Loader"
    for epoch in range(2):
        assert_batches(source.start(epoch), [0, 1, 2])
    both = source.start(0), source.start(1)
    assert_batches((next(batches) for batches in both), [0, 0])
    assert_batches(blocks.iterate([*Loader()]).start(3), [0, 1, 2])


def test_a_function_knows_the_epoch():
    def made(epoch):
        return itertools.islice(Loader(), epoch, None)

    source = blocks.iterate(made)
    assert source.name == "made"
    assert_batches(source.start(1), [1, 2])
    assert_batches(source.start(0), [0, 1, 2])


def test_an_iterator_serves_one_epoch():
    source = blocks.iterate(iter(Loader()))
    assert_batches(source.start(4), [0, 1, 2])
    with pytest.raises(
        ValueError, match=r"ended with epoch 4, but epoch 5 .* function epoch -> iterator"
    ):
        source.start(5)


def test_a_function_whose_iterator_has_ended_is_named():
    once = iter(Loader())

    def made(epoch):
        return once

    source = blocks.iterate(made)
    assert_batches(source.start(0), [0, 1, 2])
    with pytest.raises(ValueError, match=r"made has no batch in epoch 1, .* has ended"):
        next(source.start(1))


@pytest.mark.parametrize(
    "source", ["x", {"x": np.zeros(3)}, np.zeros(3), blocks.arrays(np.zeros(3)), 3, None]
)
def test_what_makes_no_batches_is_named(source):
    with pytest.raises(ValueError, match=r"source is .* epoch -> iterator of batches"):
        blocks.iterate(source)


def test_batches_that_are_no_arrays_are_named():
    source = blocks.iterate(lambda epoch: 3)
    with pytest.raises(ValueError, match=r"<lambda>\(2\) is int, but an iterator of batches"):
        source.start(2)
    good, bad = {"x": Tensor(np.zeros(3))}, {"x": Tensor(None)}
    batches = blocks.iterate([good, good, bad]).start(0)
    assert next(batches)["x"].shape == next(batches)["x"].shape == (3,)
    with pytest.raises(ValueError, match=r"batch 2 of list\['x'\] is Tensor, .*cuda:0.*cpu\(\)"):
        next(batches)


# Checks


def shapes(block):
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), block)


def test_blocks_that_are_alike_pass():
    first, other = some_data(5), some_data(7)
    for like in (None, first, shapes(first)):
        assert blocks.check_block(other, like, "block 7 of loader") == 7


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"x": np.zeros((7, 3, 4), np.float32)},
            r"block 7\['x'\] has rows of float32\[3, 4\], .* float32\[3, 2\]",
        ),
        ({"y": np.zeros(7, np.float32)}, r"block 7\['y'\] has rows of float32\[\], but int64\[\]"),
        ({"y": np.zeros(6, int)}, r"block 7\['x'\] has 7 examples and block 7\['y'\] has 6"),
        ({"z": [np.zeros(7, bool)]}, "block 7 has the structure"),
        ({"more": np.zeros(7)}, "block 7 has the structure .*'more'"),
    ],
)
def test_blocks_that_differ_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        blocks.check_block({**some_data(7), **change}, shapes(some_data(5)), "block 7")


def test_blocks_without_rows_are_named():
    with pytest.raises(ValueError, match="block 7 has 0 examples"):
        blocks.check_block(some_data(0), shapes(some_data(5)), "block 7")
    with pytest.raises(ValueError, match="block 0 has dtype <U1"):
        blocks.check_block(np.array(["a"]), None, "block 0")
    with pytest.raises(ValueError, match="block 0 is float64 of shape"):
        blocks.check_block(np.float64(1), None, "block 0")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.complex64, jax.numpy.bfloat16])
def test_the_first_bad_row_is_found(bad, dtype):
    block = {"x": np.ones((9, 2, 3), dtype), "y": np.arange(9), "z": (np.ones(9),)}
    assert blocks.find_bad(block) is None
    block["x"][7, 1, 2] = block["x"][8] = bad
    assert blocks.find_bad(block) == ("['x']", 7)
    block["z"][0][5] = np.nan
    assert blocks.find_bad(block) == ("['z'][0]", 5)
    assert blocks.find_bad({"x": np.full((3, 0), np.nan)}) is None
