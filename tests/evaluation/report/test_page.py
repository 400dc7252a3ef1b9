"""The whole page: one file for any browser."""

import html.parser
import json
import re
import subprocess

import pytest

from jaxdet.evaluation.report.page import REPORT, REPORT_NUMBERS, page, write_report
from jaxdet.io.output_folder import OutputFolder
from tests.browser import BROWSER, needs_browser
from tests.evaluation.report.split import IMAGES, analysed_split, image_name, read_image

LIMIT = 5_000_000  # bytes


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder, read = tmp_path_factory.mktemp("report"), []
    analysis, summary, truth = analysed_split()
    write_report(
        OutputFolder(folder, cure=""),
        *(analysis, summary, truth),
        title="runs/<x>: test",
        image_names=[image_name(i) for i in range(IMAGES)],
        read_image=lambda i: read.append(i) or read_image(i),
        seconds={"detection": 1.5, "drawing": 0.5},
    )
    return folder, read


class Elements(html.parser.HTMLParser):
    """Collects the elements of a page and the text outside its style."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


def test_the_page_needs_no_other_file_and_runs_no_script(written):
    text = (written[0] / REPORT).read_text()
    parsed = Elements(text)
    tags = {tag for tag, _ in parsed.elements}
    assert not tags & {"script", "link", "iframe", "object", "embed", "base", "form"}
    targets = [a.get(name) for _, a in parsed.elements for name in ("src", "href", "srcset") if name in a]
    assert targets and all(target.startswith(("data:image/jpeg;base64,", "#")) for target in targets)
    assert "url(" not in text and "@import" not in text
    anchors = {a["id"] for _, a in parsed.elements if "id" in a}
    assert {target[1:] for target in targets if target.startswith("#")} == anchors
    assert all(name in parsed.text for name in ("<script>alert(1)</script>", 'dining "table" & é', "runs/<x>: test"))


def test_the_page_stays_small_and_reads_few_images(written):
    folder, read = written
    assert len(read) == (folder / REPORT).read_text().count("<img") <= 18
    assert (folder / REPORT).stat().st_size < LIMIT  # of noise, the least compressible


def test_the_numbers_are_in_json_with_images_and_seconds(written):
    numbers = json.loads((written[0] / REPORT_NUMBERS).read_text())
    assert {"tide", "worst_images", "seconds"} < numbers.keys()
    assert numbers["seconds"] == {"detection": 1.5, "drawing": 0.5}
    images = sum(numbers["worst_images"].values(), [])
    assert len(images) == len(written[1])
    assert images == [image_name(i) for i in written[1]]


def test_of_many_classes_the_most_frequent_are_shown():
    analysis, summary, _ = analysed_split()
    numbers = analysis.numbers | {"seconds": {}}
    extra = {f"class{i}": {**summary["classes"]["cat"], "objects": 0} for i in range(120)}
    numbers["best_f1"]["classes"] |= dict.fromkeys(extra, numbers["best_f1"]["classes"]["cat"])
    numbers["confusion"] = {"classes": [*summary["classes"], *extra, "background"], "matrix": [[0] * 124] * 124}
    text = page("x", summary | {"classes": extra | summary["classes"]}, numbers, {}, images=1)
    assert "show the 100 most frequent classes" in text
    assert text.count("<svg") == 4  # the scores and the three classes with objects


@needs_browser
def test_a_browser_shows_every_image_and_nothing_wider_than_a_phone(written, tmp_path):
    script = """<script>addEventListener("load", () => { const root = document.documentElement;
        const images = [...document.images].filter(image => image.complete && image.naturalWidth > 0);
        const charts = document.querySelectorAll("svg").length, hidden = root.scrollWidth - root.clientWidth;
        parent.postMessage(`${hidden} ${images.length} ${charts}`, "*") })
        </script>"""
    (tmp_path / "page.html").write_text((written[0] / REPORT).read_text() + script)
    (tmp_path / "phone.html").write_text(
        '<pre id="seen"></pre><script>addEventListener("message", e => seen.textContent = `seen ${e.data}.`)</script>'
        '<iframe src="page.html" width="360" height="700" frameborder="0"></iframe>'
    )
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000", "--dump-dom"]
    command = [BROWSER, *flags, f"--user-data-dir={tmp_path / 'profile'}", (tmp_path / "phone.html").as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=240).stdout
    hidden, images, charts = map(int, re.search(r"seen (\d+) (\d+) (\d+)\.<", shown).groups())
    assert (hidden, images, charts) == (0, len(written[1]), 4)
