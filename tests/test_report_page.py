"""The pages in a real browser: the report and a comparison from disk with no network, the live page in a sweep."""

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import eventually
from requirements import requires
from synthetic import make_journal

from taskexp import Task, open_results

pytestmark = requires("chromium", "playwright", "plotly")

MILLISECONDS = 60_000  # plotly holds the page for seconds at a time, longer while all CPUs are busy
"""How long a page may take on a machine that does much else."""

PROGRAM = """
n=$1; lr=$2
echo "loss=$(expr 100 / $n)"
echo "throughput=$((100 * n))"
echo "<script>document.title = 'stolen'</script><img src=x onerror=\\"document.title='stolen'\\">"
test $n != 10
"""
EVIL = "<img src=x onerror=document.title='stolen'>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser) -> Iterator[Callable[..., Any]]:
    """Open a page; at the end nothing must have failed in it, nor been fetched that it did not come from."""
    contexts: list[Any] = []
    said: list[list[str]] = []

    def open_page(address: str | Path, base: str | None = None, **options: object) -> Any:
        url = address.as_uri() if isinstance(address, Path) else address
        context = browser.new_context(offline=url.startswith("file:"), **options)
        context.set_default_timeout(MILLISECONDS)
        contexts.append(context)
        page = context.new_page()
        said.append(listen(page, base or url))
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [each for each in said if each] == []


def listen(page: Any, url: str) -> list[str]:
    """Keep what fails in a page, and what it asks for elsewhere."""
    said: list[str] = []
    page.on("pageerror", lambda error: said.append(f"error: {error}"))
    page.on("console", lambda message: said.append(message.text) if is_failure(message) else None)
    page.on("request", lambda request: None if request.url.startswith(url) else said.append(request.url))
    return said


def is_failure(message: Any) -> bool:
    return message.type == "error" and "ERR_CONNECTION_REFUSED" not in message.text  # a live page asks on and on


@pytest.fixture(scope="module")
def shared(browser, report) -> Iterator[Any]:
    """The report, opened once: to run plotly.js takes a second."""
    context = browser.new_context(offline=True)
    context.set_default_timeout(MILLISECONDS)
    page = context.new_page()
    said = listen(page, report.as_uri())
    page.goto(report.as_uri())
    yield page
    context.close()
    assert said == []


@pytest.fixture
def page(shared) -> Any:
    """The report as it was opened, but for the axes of its plots."""
    # Not by the mouse: where the last test has scrolled to, something may lie over it, and is waited for.
    shared.get_by_role("button", name="Show all").dispatch_event("click")
    return shared


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of 60 runs, of which 20 failed; what they print and what they are given is HTML."""
    folder = tmp_path_factory.mktemp("page")
    task = Task(["sh", "-c", PROGRAM, "prog"]).arg(None, ["2", "4", "10"]).arg("--lr", ["1e-4", "1e-2"])
    task.arg("--note", [EVIL, "plain"]).repeat(5).metric("loss", r"loss=(\d+)").metric("rate", r"throughput=(\d+)")
    task.run(journal=folder / "sweep", ostreams=[], use_tqdm=False, max_workers=2)
    open_results(folder / "sweep").report(folder / "report.html")
    return folder / "report.html"


@pytest.fixture(scope="module")
def long_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("long")
    open_results(make_journal(folder / "long")).report(folder / "report.html")
    return folder / "report.html"


def column(page: Any, name: str) -> list[str]:
    """Read the shown cells of a column of the table of runs."""
    place = page.locator("th[data-name]").evaluate_all("(heads) => heads.map((head) => head.dataset.name)").index(name)
    table = page.locator("table", has=page.locator("th[data-name]"))
    return table.locator(f"tbody tr > :nth-child({place + 1})").all_inner_texts()


def drawn(page: Any, plot: str) -> dict[str, Any]:
    """Wait until a plot is drawn as it is to be now, and return what plotly draws there."""
    page.locator(f"#plot-{plot}").scroll_into_view_if_needed()
    page.wait_for_selector(f"#plot-{plot}[aria-busy=false]")
    return json.loads(
        page.evaluate(
            f"(({{data, layout}}) => JSON.stringify({{data, layout}}))(document.querySelector('#plot-{plot}'))"
        )
    )


def choose(page: Any, plot: str, control: str, value: str) -> None:
    page.locator(f"section.plot:has(#plot-{plot}) [data-control={control}]").select_option(value)


# ---- the table


def test_a_head_sorts_up_and_down_by_number(page):
    page.get_by_label("Rows per page").select_option("100")
    page.get_by_role("button", name="arg1").click()
    assert column(page, "arg1")[::20] == ["2", "4", "10"]
    page.get_by_role("button", name="arg1").click()
    assert column(page, "arg1")[::20] == ["10", "4", "2"]
    page.get_by_label("Rows per page").select_option("50")
    assert page.locator("th[data-name=arg1]").get_attribute("aria-sort") == "descending"


def test_fields_and_the_search_filter_the_table_and_the_plots(page):
    assert sum(map(len, drawn(page, "lines")["data"])) > 0
    page.get_by_label("filter status").select_option(label="failed")
    assert set(column(page, "arg1")) == {"10"}
    assert page.locator("#shown-rows").inner_text() == "20 runs chosen of 60"
    page.wait_for_function("document.querySelector('#plot-lines').data.every((line) => line.x.length === 0)")
    page.get_by_role("button", name="Show all").click()
    page.get_by_label("filter rate").fill("200..300")
    assert set(column(page, "arg1")) == {"2"}
    page.get_by_label("filter rate").fill("> 300")
    assert set(column(page, "arg1")) == {"4", "10"}
    page.get_by_label("filter rate").fill("")
    page.get_by_label("Search").fill("plain FAILED")
    assert len(column(page, "index")) == 10


def test_columns_are_chosen(page):
    # By the keyboard: the plots may still be drawn, and what stands below them moves away from under the mouse.
    page.get_by_text("Columns", exact=True).press("Enter")
    page.locator(".choices").get_by_label("host").press("Space")
    assert len(set(column(page, "host"))) == 1
    page.locator("details .choices").get_by_label("rate", exact=True).last.press("Space")
    assert page.locator("th[data-name=rate]").count() == 0


def test_the_table_is_used_by_keyboard_alone(page):
    page.locator(".skip").focus()
    assert page.locator(".skip").is_visible()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.get_by_role("button", name="--lr").focus()
    page.keyboard.press("Enter")
    assert page.locator("th[data-name='--lr']").get_attribute("aria-sort") == "ascending"
    assert column(page, "--lr")[0] == "1e-4"


# ---- what programs print


def test_what_programs_print_and_are_given_is_text(page):
    page.get_by_text("17 more failures").click()
    for plot in ("lines", "heat", "pareto", "parallel", "timeline", "distribution"):
        drawn(page, plot)
    choose(page, "lines", "by", "--note")
    drawn(page, "lines")
    page.wait_for_function("document.querySelector('#plot-lines').data[0].name.startsWith('--note &lt;img')")
    failures = page.locator("details.failure")
    assert failures.count() == 20
    assert "<script>document.title" in failures.first.locator("pre").inner_text()
    assert EVIL in column(page, "--note")
    assert page.locator("main img").count() == 0
    assert page.title() == "sweep"


def test_no_other_script_could_run(report: Path, browser):
    page = browser.new_context(offline=True).new_page()
    page.goto(report.as_uri())
    page.evaluate("document.body.insertAdjacentHTML('beforeend', `<img src=x onerror=\"document.title = 'stolen'\">`)")
    page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'document.title = 1'}))")
    page.wait_for_timeout(50)
    assert page.title() == "sweep"
    page.context.close()


# ---- the plots


def test_the_lines_have_error_bars_from_repeats_and_their_axes_change(page):
    lines = drawn(page, "lines")
    assert lines["layout"]["xaxis"]["title"]["text"] == "arg1"
    assert lines["data"][0]["y"] == [50, 25]
    assert all(line["error_y"]["visible"] for line in lines["data"])
    choose(page, "lines", "y", "rate")
    choose(page, "lines", "x", "--lr")
    choose(page, "lines", "by", "arg1")
    page.wait_for_function("document.querySelector('#plot-lines').layout.xaxis.title.text === '--lr'")
    lines = drawn(page, "lines")
    assert [line["x"] for line in lines["data"]] == [[0.0001, 0.01]] * 2
    assert [line["name"] for line in lines["data"]] == ["arg1 2", "arg1 4"]
    assert [line["y"] for line in lines["data"]] == [[200, 200], [400, 400]]
    assert "Averaged over --note" in page.locator("section.plot:has(#plot-lines) .note").inner_text()


def test_a_plot_has_its_numbers_as_a_table(page):
    drawn(page, "heat")
    plot = page.locator("section.plot:has(#plot-heat)")
    plot.get_by_text("The numbers as a table").click()
    plot.locator("tbody tr").nth(3).wait_for()  # they are written when the table opens, behind the click
    rows = plot.locator("tbody tr").all_inner_texts()
    assert len(rows) == 4
    assert rows[0].split("\t")[2:] == ["10", "50"]
    assert "mean of loss over" in page.locator("#plot-heat").get_attribute("aria-label")


def test_the_front_turns_with_what_is_better(page):
    front = drawn(page, "pareto")["data"][1]
    assert set(front["x"]) == {400}
    choose(page, "pareto", "xBest", "low")
    page.wait_for_function("document.querySelector('#plot-pareto').data[1].x.includes(200)")
    assert sorted(set(drawn(page, "pareto")["data"][1]["y"])) == [25, 50]


def test_parallel_coordinates_and_the_timeline_have_every_run(page):
    parallel = drawn(page, "parallel")["data"][0]
    assert [each["label"] for each in parallel["dimensions"]] == ["arg1", "--lr", "--note", "loss", "rate"]
    assert len(parallel["line"]["color"]) == 40
    timeline = drawn(page, "timeline")["data"]
    assert {trace["name"]: len(trace["x"]) // 3 for trace in timeline} == {"succeeded": 40, "failed": 20}
    assert {name for trace in timeline for name in trace["y"] if name} == {"slot 0", "slot 1"}


# ---- everybody


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_on_its_paper_in_light_and_dark(scheme: str, page):
    page.emulate_media(color_scheme=scheme)
    assert page.evaluate(CONTRASTS) == []


CONTRASTS = """() => {
  const channel = (part) => (part /= 255) <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  const light = (colour) => {
    const [r, g, b] = colour.match(/[0-9.]+/g).map(Number);
    return 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  };
  const paper = (element) => {
    for (; element; element = element.parentElement) {
      const colour = getComputedStyle(element).backgroundColor;
      if (colour !== "rgba(0, 0, 0, 0)") return colour;
    }
  };
  const texts = document.querySelectorAll("h1, h2, p, dt, dd, th button, td, .status, .note, label, summary, pre");
  return [...texts].flatMap((element) => {
    const [a, b] = [light(getComputedStyle(element).color), light(paper(element))].sort();
    const contrast = (b + 0.05) / (a + 0.05);
    return contrast < 4.5 ? [`${element.tagName}.${element.className}: ${contrast.toFixed(1)}`] : [];
  });
}"""


def test_a_phone_scrolls_no_page_sideways(page):
    page.set_viewport_size({"width": 390, "height": 844})
    drawn(page, "lines")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.set_viewport_size({"width": 1280, "height": 720})


NAMELESS = """() => {
  const labelled = (each) => document.getElementById(each.getAttribute("aria-labelledby"));
  const kinds = ["button", "select", "input", "[role=img]", "section", "[role=region]"];
  return [...document.querySelectorAll(kinds.map((kind) => `main ${kind}`))]
    .filter((each) => !each.closest(".modebar"))
    .filter((each) => !(each.closest("label") || each.ariaLabel || each.textContent.trim() || labelled(each)))
    .map((each) => each.outerHTML.slice(0, 200));
}"""


def test_every_control_and_plot_has_a_name_for_a_screen_reader(page):
    for plot in ("lines", "distribution"):
        drawn(page, plot)
    nameless = page.evaluate(NAMELESS)
    assert nameless == []
    assert page.locator("h1").count() == 1
    assert page.locator("main").count() == 1


def test_a_print_has_the_plots_and_the_rows_and_no_controls(page):
    page.emulate_media(media="print", color_scheme="dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert drawn(page, "lines")["layout"]["font"]["color"] == "#1c1e21"
    assert page.locator(".figure .main-svg, .figure .parcoords").count() >= 6
    assert len(column(page, "index")) == 60
    assert page.locator(".controls").first.is_visible() is False
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="screen", color_scheme="light")
    assert len(column(page, "index")) == 50


# ---- two sweeps


def test_a_comparison_draws_the_ratios_and_names_what_is_in_one_alone(tmp_path: Path, open_page):
    for name, values, factor in (("before", [1, 2, EVIL], 2), ("after", [1, 2, 3], 3)):
        task = Task(["sh", "-c", "echo r=$((${#0} * $FACTOR + TASKEXP_INDEX % 2))"], env={"FACTOR": str(factor)})
        task.arg(None, values).repeat(2).metric("r", r"r=(\d+)")
        task.run(journal=tmp_path / name, ostreams=[], use_tqdm=False)
    words = ["taskexp", "compare", str(tmp_path / "before"), str(tmp_path / "after"), "-o", str(tmp_path / "page.html")]
    subprocess.run([sys.executable, "-m", *words], check=True, capture_output=True, timeout=60)
    page = open_page(tmp_path / "page.html")
    page.wait_for_selector(".main-svg")
    (figure,) = page.evaluate("[...document.querySelectorAll('.js-plotly-plot')].map((each) => each.data[0].x)")
    assert figure == pytest.approx([1.4, 1.4])
    rows = page.locator("tbody tr").all_inner_texts()
    assert [row.split("\t")[0] for row in rows] == ["arg1 1", "arg1 2"]
    assert page.get_by_role("heading", name="1 point only in A").count() == 1
    assert page.locator("li").first.inner_text() == f"arg1 {EVIL}"
    assert page.get_by_text("2 in A, 3 in B").is_visible()


# ---- live


SWEEP = """
import sys
from taskexp import Task
program = "echo begun $0; while ! test -e go; do sleep 0.02; done; echo '<script>document.title=1</script>'; echo n=$0"
task = Task(["sh", "-c", program]).arg(None, [1, 2, 3]).metric("n", r"n=(\\d)")
task.run(journal="sweep", ostreams=[], use_tqdm=False, max_workers=2)
"""


def test_the_live_page_follows_the_sweep_and_a_log_and_keeps_what_was_chosen(tmp_path: Path, open_page):
    pipes = {"cwd": tmp_path, "text": True, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, "-c", SWEEP], **pipes) as driver:
        eventually(lambda: len(list(tmp_path.glob("sweep/logs/*"))) == 2, "no run began", 30)
        serve = [sys.executable, "-m", "taskexp", "serve", "sweep", "--port", "0", "--host", "0.0.0.0"]
        with subprocess.Popen(serve, stdout=subprocess.PIPE, **pipes) as server:
            assert server.stdout is not None
            _, port, token = re.split(r":(\d+)/", server.stdout.readline().strip())
            page = open_page(f"http://localhost:{port}/{token}", base=f"http://localhost:{port}/")
            running = page.locator("section:has(#running-title) tbody tr")
            running.nth(1).wait_for()
            assert page.locator("#live").inner_text() == "The sweep runs; this page follows it."
            page.get_by_role("button", name="log of run 1").click()
            log = page.get_by_role("log")
            page.wait_for_function("document.querySelector('[role=log]').innerText.trim() === 'begun 2'")
            assert page.locator("dialog [role=status]").inner_text() == "attempt 1, followed"

            (tmp_path / "go").touch()
            page.get_by_text("attempt 1, succeeded").wait_for()
            assert log.inner_text().splitlines() == ["begun 2", "<script>document.title=1</script>", "n=2"]
            page.keyboard.press("Escape")
            page.get_by_text("Nothing runs.").wait_for()
            page.locator("#running-title").wait_for(state="hidden")
            assert column(page, "n") == ["1", "2", "3"]
            assert drawn(page, "lines")["data"][0]["y"] == [1, 2, 3]
            page.get_by_label("filter n", exact=True).fill(">1")
            page.get_by_role("button", name="arg1").click()
            page.get_by_role("button", name="arg1").click()

            more = SWEEP.replace("[1, 2, 3]", "[1, 2, 3, 4]")
            subprocess.run([sys.executable, "-c", more], check=True, timeout=60, **pipes)
            page.get_by_text("3 runs chosen of 4").wait_for()
            assert column(page, "n") == ["4", "3", "2"]
            assert page.get_by_label("filter n", exact=True).input_value() == ">1"
            assert page.title() == "sweep"
            server.send_signal(signal.SIGINT)
            assert server.wait(30) == 130
            page.get_by_text("The server does not answer").wait_for()
        assert driver.wait(30) == 0


# ---- a long sweep


def test_ten_thousand_runs_open_at_once_and_stay_usable(long_report: Path, open_page):
    page = open_page(long_report)
    shown_milliseconds = page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
    assert page.locator("#shown-rows").inner_text() == "Rows 1 to 50 of 10,000 runs"
    assert shown_milliseconds < 10_000  # 500 in quiet
    assert long_report.stat().st_size < 8e6
    page.get_by_role("button", name="Next").click()
    assert column(page, "index")[0] == "50"
    page.get_by_role("button", name="loss").click()
    losses = list(map(float, column(page, "loss")))
    assert losses == sorted(losses)
    page.get_by_label("filter --lr").select_option(label="0.001")
    page.get_by_label("Search").fill("adam")
    assert page.locator("#shown-rows").inner_text() == "Rows 1 to 50 of 1,000 runs chosen of 10,000"
    assert len(drawn(page, "lines")["data"]) > 1
