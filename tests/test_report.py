"""The page of a run, as a parser and as a browser see it."""

import html.parser
import json
import os
import re
import shutil
import subprocess

import pytest
from matplotlib.figure import Figure

from jgd import plots
from jgd.report import report

EVIL = "<script>alert(1)</script>"
WORSE = '"><img src=x onerror=alert(1)>'
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
VOID = {"meta", "link", "img", "br", "hr", "input"}

SUMMARY = {
    "command": "fit",
    "title": f"price of {EVIL}.csv",
    "facts": [["Task", "regression"], ["Rows", 43152], [EVIL, WORSE]],
    "status": "DIVERGED",
    "explanation": f"DIVERGED in epoch 3.\nLower the learning rate of {EVIL}.",
    "notes": [f"Missing values: 3 in column {EVIL}"],
    "advice": ["1. Standardise the features.", f"2. Drop {WORSE}."],
    "tables": [
        {
            "title": "Metrics",
            "columns": ["", "held out", EVIL],
            "rows": [["R²", 0.98123, None], ["RMSE", 540.2312, 12345.6], [WORSE, 1, True]],
        },
        {"title": "Wide", "columns": [f"column {i}" for i in range(30)], "rows": [list(range(30))]},
    ],
    "figures": [
        {"name": "learning_curve", "title": "Learning curve", "alt": f"Loss by epoch of {WORSE}"},
        {"name": "copy", "title": "The same again", "alt": "The same ids"},
        {"name": "as_png", "title": "PNG", "alt": "No SVG of it"},
        {"name": "lost", "title": "Lost picture", "alt": "What is not there."},
    ],
    "versions": {"jgd": "0.1.0", "jax": "0.10.0"},
}
CONFIG = f"""learning_rate = 1e-05
seed = 12345
"{EVIL}" = true
file = 'a_very_long_name_{"without_any_space_" * 20}'
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of 100 epochs."""
    made = tmp_path_factory.mktemp("run")
    losses = [2.0 / epoch for epoch in range(1, 101)]
    with plots.style():
        figure = Figure()
        plots.loss_history({"training": losses}, figure.subplots())
        for name in ("learning_curve", "copy", "as_png"):
            plots.save(figure, made / "figures", name)
    (made / "figures" / "as_png.svg").unlink()
    lines = [{"epoch": i, "loss": loss, "held_out_loss": None} for i, loss in enumerate(losses)]
    (made / "history.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    (made / "summary.json").write_text(json.dumps(SUMMARY))
    (made / "config.toml").write_text(CONFIG)
    return made


@pytest.fixture(scope="module")
def page(folder):
    return report(folder).read_text(encoding="utf-8")


class Parsed(html.parser.HTMLParser):
    """Tags with their attributes, texts, and the tags that are open."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.open = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data.strip())


def test_page_is_well_formed(page):
    parsed = Parsed(page)
    assert page.startswith("<!DOCTYPE html>")
    assert parsed.open == []
    names = [tag for tag, _ in parsed.tags]
    assert names.count("h1") == names.count("main") == names.count("title") == 1


def test_page_holds_what_the_run_left(page):
    texts = Parsed(page).texts
    wanted = ["Task", "43,152", "Diverged", "Standardise the features.", "Metrics", "R²", "0.9812"]
    wanted += ["12,346", "–", "yes", "Learning curve", "History of 100 epochs", "learning_rate", "1e-05"]
    wanted += [
        "12345",
        "true",
        "held out loss",
        "76 epochs are left out here; all of them are in history.jsonl",
    ]
    wanted += ["jgd 0.1.0 · jax 0.10.0"]
    assert [text for text in wanted if text not in texts] == []
    assert any("There is no figure figures/lost.svg or .png" in text for text in texts)


def test_what_people_wrote_is_text(page):
    parsed = Parsed(page)
    assert "script" not in [tag for tag, _ in parsed.tags]
    assert not [name for _, attrs in parsed.tags for name in attrs if name.startswith("on")]
    assert sum(EVIL in text for text in parsed.texts) >= 6
    assert sum(WORSE in text for text in parsed.texts) >= 3
    assert f"Loss by epoch of {WORSE}" in [attrs.get("alt") for _, attrs in parsed.tags]


def test_nothing_is_fetched(page):
    tags = Parsed(page).tags
    links = [attrs[name] for _, attrs in tags for name in ("src", "href", "srcset") if name in attrs]
    assert len(links) == 4
    assert all(link.startswith("data:") for link in links)
    style = page.partition("<style>")[2].partition("</style>")[0]
    assert not re.search(r"url\(|@import|https?:", style)
    policy = next(attrs["content"] for _, attrs in tags if "http-equiv" in attrs)
    assert policy.startswith("default-src 'none'; img-src data:;")


def test_page_is_the_same_every_time(folder, page, tmp_path):
    path = report(str(folder), tmp_path / "page.html")
    assert path == tmp_path / "page.html"
    assert path.read_text(encoding="utf-8") == page


def test_a_run_may_leave_nearly_everything_out(tmp_path):
    (tmp_path / "summary.json").write_text("{}")
    text = report(tmp_path).read_text(encoding="utf-8")
    assert Parsed(text).open == []
    assert f"<h1>{tmp_path.name}</h1>" in text
    assert "badge" not in text.partition("<body>")[2]


def test_other_words_of_a_status_have_a_badge(tmp_path):
    (tmp_path / "summary.json").write_text('{"status": "best_of_9"}')
    assert "Best of 9" in report(tmp_path).read_text(encoding="utf-8")


def test_half_a_letter_and_numbers_that_are_none_are_no_trouble(tmp_path):
    (tmp_path / "summary.json").write_text('{"title": "\\ud800", "facts": [["a", NaN], ["b", 1e999]]}')
    text = report(tmp_path).read_text(encoding="utf-8")
    assert "not a number" in text
    assert "∞" in text


@pytest.mark.parametrize("damage", [b"", b"no picture", b"<svg width='3'>"])
def test_a_damaged_figure_is_a_sentence(tmp_path, damage):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "a.svg").write_bytes(damage)
    (tmp_path / "summary.json").write_text(
        '{"figures": [{"name": "a"}, {"name": "../summary"}, {"name": "\\u0000"}]}'
    )
    text = report(tmp_path).read_text(encoding="utf-8")
    assert "a holds no picture: its file is damaged or empty." in text
    assert "../summary is no plain name of a figure." in text
    assert "<img" not in text


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("summary.json", "{", "summary.json, line 1: no JSON .*Make it again"),
        ("summary.json", "[1]", r"holds \[1\], but an object is wanted"),
        ("summary.json", '{"title": 3}', "title is 3, but a text is wanted"),
        ("summary.json", '{"facts": [["a"]]}', r'facts holds \["a"\], but lists of 2 values'),
        ("summary.json", '{"notes": [1]}', "notes holds 1, but texts are wanted"),
        ("summary.json", '{"figures": ["a"]}', 'figures holds "a", but objects are wanted'),
        ("summary.json", '{"tables": [{}]}', r"tables\[0\] has no columns"),
        (
            "summary.json",
            '{"tables": [{"columns": ["a"], "rows": [[1, 2]]}]}',
            r"rows holds \[1, 2\], but lists of 1 value",
        ),
        ("summary.json", b"\xff", "summary.json cannot be read .it is no UTF-8"),
        ("config.toml", "= 1", "config.toml is no TOML .*Mend it, or remove it"),
        ("history.jsonl", '{"epoch": 0}\n{"epo', "history.jsonl, line 2: no JSON"),
        ("history.jsonl", "3", "history.jsonl holds 3, but an object in each line"),
    ],
)
def test_files_that_hold_something_else_are_told_with_the_way_out(tmp_path, name, content, words):
    (tmp_path / "summary.json").write_text("{}")
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=words) as caught:
        report(tmp_path)
    assert len(str(caught.value).splitlines()) == 1


def test_directories_that_are_none_are_told(tmp_path):
    with pytest.raises(ValueError, match=r"directory is .*lost, which is not there.*jgd fit"):
        report(tmp_path / "lost")
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="which is no directory"):
        report(tmp_path / "file")
    with pytest.raises(ValueError, match=r"holds no summary.json, so it is no finished run\. Make it"):
        report(tmp_path)
    (tmp_path / "summary.json").write_text("{}")
    with pytest.raises(ValueError, match=r"out is .*page.html, which cannot be written"):
        report(tmp_path, tmp_path / "lost" / "page.html")


PROBE = """<script>addEventListener("load", () => {
  const style = element => getComputedStyle(document.querySelector(element));
  top.postMessage({
    width: innerWidth, scroll: document.scrollingElement.scrollWidth, scripts: document.scripts.length,
    images: [...document.images].map(image => [image.naturalWidth, image.clientWidth]),
    text: document.body.innerText, page: style("body").backgroundColor,
    figure: style("figure").backgroundColor, letters: style("h1").color,
    tables: [...document.querySelectorAll(".tables > *")].map(box => box.clientWidth < box.scrollWidth),
    closed: document.querySelectorAll("details:not([open])").length}, "*");
});</script>"""
# A window has a width of its own, a frame any width: that of a telephone.
FRAME = """<!DOCTYPE html><meta name="color-scheme" content="light dark"><title></title>
<script>addEventListener("message", event => { document.title = JSON.stringify(event.data); });</script>
<iframe src="copy.html" width="WIDTH" height="800" style="border: 0"></iframe>"""


@pytest.fixture(scope="module")
def browser():
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        say = pytest.fail if os.environ.get("CI") else pytest.skip
        say("no browser looks at the page here; install one: apt-get install -y chromium")
    return found


def seen(browser, page, folder, width, *options):
    """What the browser makes of a copy of the page, which alone may run the probe."""
    assert page.count("default-src 'none';") == 1
    copy = page.replace("default-src 'none';", "default-src 'none'; script-src 'unsafe-inline';")
    (folder / "copy.html").write_text(copy.replace("</body>", f"{PROBE}</body>"), encoding="utf-8")
    (folder / "frame.html").write_text(FRAME.replace("WIDTH", str(width)))
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    command += [f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=10000"]
    command += ["--window-size=1600,1000", "--hide-scrollbars", *options, "--dump-dom"]
    environment = {**os.environ, "HOME": str(folder)}
    done = subprocess.run(
        [*command, (folder / "frame.html").as_uri()], capture_output=True, timeout=120, env=environment
    )
    title = done.stdout.decode().partition("<title>")[2].partition("</title>")[0]
    assert title, f"the probe did not run: {done.stderr.decode()[-2000:]}"
    return json.loads(html.unescape(title))


def test_browser_shows_the_page_on_a_desk(browser, page, tmp_path):
    found = seen(browser, page, tmp_path, 1280)
    assert found["width"] == found["scroll"] == 1280
    for words in ("Diverged", "43,152", EVIL, WORSE, "Lower the learning rate", "Lost picture:", "R²"):
        assert words in found["text"], words
    assert "held out loss" not in found["text"]
    assert found["closed"] == 2
    assert len(found["images"]) == 3
    assert all(natural > 300 and shown > 300 for natural, shown in found["images"])
    assert found["page"] != "rgb(255, 255, 255)" != found["letters"]
    assert found["scripts"] == 1  # the probe


def test_browser_shows_the_page_in_the_dark_on_a_telephone(browser, page, tmp_path):
    dark = "--blink-settings=preferredColorScheme=0"
    found = seen(browser, page, tmp_path, 400, dark)
    assert found["width"] == found["scroll"] == 400
    assert found["tables"] == [False, True]  # the wide one scrolls within its frame
    assert all(300 < shown < 400 for _, shown in found["images"])
    assert found["figure"] == "rgb(255, 255, 255)"
    page_color, letters = (sum(map(int, re.findall(r"\d+", found[key]))) for key in ("page", "letters"))
    assert page_color < 100 < 600 < letters
