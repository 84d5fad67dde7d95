"""The report is one file that says what the sweep says, loads nothing, and works in a browser.

What needs a browser is skipped where no Chromium is installed.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from made_up_sweep import CONFIG, records, run_record, sweep, trial_records

from sweeps.config import parse_config
from sweeps.log.trials import LoggedTrials
from sweeps.report.timeline import Timeline
from sweeps.results.results import Results

MOST_BYTES = 3_500_000
HOSTILE = "</script><img src=x onerror=window.broken=1>"
BROWSERS = ("chromium", "chromium-browser", "chromium-headless-shell", "google-chrome")


class Elements(HTMLParser):
    """The elements of a page, each with its attributes, and the text outside of scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._is_code = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._is_code = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._is_code = False

    def handle_data(self, data: str) -> None:
        self.text += "" if self._is_code else data


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reports")


@pytest.fixture(scope="module")
def small(folder: Path) -> Results:
    return sweep(folder / "made-up", records(60))


@pytest.fixture(scope="module")
def small_page(small: Results) -> Path:
    return small.report()


@pytest.fixture(scope="module")
def large_page(folder: Path) -> Path:
    made = list(records(10_000, lanes=64))
    logged, config = LoggedTrials(made), parse_config(CONFIG)
    results = Results(folder, None, [], "valid_accuracy", "maximize", CONFIG, logged, config, Timeline(made))
    return results.report(folder / "large.html")


@pytest.fixture(scope="module")
def hostile(folder: Path) -> Results:
    """A sweep whose column, class, choice, reason, environment and folder are named by an enemy."""
    config = yaml.safe_load(CONFIG)
    config["dataset"] |= {"target": HOSTILE, "class_weight": {HOSTILE: 2.0}}
    config["search_space"]["model.activation"] = {"type": "categorical", "choices": [HOSTILE, "relu"]}
    rows: list[dict[str, Any]] = [run_record(yaml.safe_dump(config), python=HOSTILE)]
    for number, outcome in enumerate(["completed", "failed", "pruned", "diverged"]):
        params = {"learning_rate": 0.01, "batch_size": 32, "epochs": 2, "model.activation": HOSTILE}
        rows += trial_records(number, [0.5, 0.6 + number / 100], outcome, params, began=3.0 * number, reason=HOSTILE)
    return sweep(folder / HOSTILE.replace("/", "∕"), rows, yaml.safe_dump(config))


@pytest.fixture(scope="module")
def hostile_page(hostile: Results, folder: Path) -> Path:
    return hostile.report(folder / "hostile.html")


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def test_the_report_is_in_the_results_folder_unless_another_file_is_named(small: Results, small_page: Path) -> None:
    assert small_page == small.path / "report.html"


def test_the_answer_comes_first_with_how_to_go_on(small: Results, small_page: Path) -> None:
    assert small.best is not None
    text = Elements(read(small_page)).text
    answer = text[: text.index("How it went", text.index("The best trial") + 500)]
    assert f"{small.best.value:.5g} valid_accuracy in trial {small.best.number}" in answer
    assert f"sweep replay {small.path} {small.best.number}" in answer
    assert f"results = sweeps.load({str(small.path)!r})\nmodel = results.best_model()" in answer
    completed = small.trials[small.trials["state"] == "COMPLETE"].sort_values("value", ascending=False)
    for number, value in completed[["number", "value"]].iloc[1:4].itertuples(index=False):
        assert re.search(f"{number}{value:.5g}", answer)


def test_outcomes_are_counted_with_their_reasons(small: Results, small_page: Path) -> None:
    text = Elements(read(small_page)).text
    for outcome, count in small.trials["outcome"].value_counts().items():
        assert f"{outcome}{count}" in text
    assert re.search(r"pruned\d+by hyperband", text)
    assert re.search(r"failed\d+out of luck", text)


def test_every_figure_says_what_it_shows_to_those_who_cannot_see_it(small_page: Path) -> None:
    plots = [given for _, given in Elements(read(small_page)).found if given.get("class") == "plot"]
    assert len(plots) == 3 + 2 + 1 + 6 + 1 + 1
    assert all(given["role"] == "img" and given["aria-label"] for given in plots)


@pytest.mark.parametrize("page", ["small_page", "large_page"])
def test_one_file_holds_everything_and_is_small(page: str, request: pytest.FixtureRequest) -> None:
    path: Path = request.getfixturevalue(page)
    assert path.stat().st_size <= MOST_BYTES
    elements = Elements(read(path)).found
    assert not [tag for tag, _ in elements if tag in ("link", "img", "iframe", "base", "object", "form")]
    assert not [given for _, given in elements if "src" in given]
    assert all(given["href"].startswith("#") for _, given in elements if given.get("href"))
    assert ("meta", "default-src 'none'") in [(tag, str(given.get("content"))[:18]) for tag, given in elements]


def test_a_sweep_without_a_completed_trial_says_so(tmp_path: Path) -> None:
    none = Elements(read(sweep(tmp_path / "none", [run_record()]).report())).text
    assert "No trial has completed, so there is no best one: no trials yet." in none
    pruned = sweep(tmp_path / "pruned", [run_record(), *trial_records(0, [0.1], "pruned", {"epochs": 1})])
    assert "there is no best one: 1 pruned." in Elements(read(pruned.report())).text


def test_hostile_names_and_values_are_text(hostile: Results, hostile_page: Path) -> None:
    page = read(hostile_page)
    elements = Elements(page)
    assert not [given for tag, given in elements.found if tag == "img" or any(key.startswith("on") for key in given)]
    scripts = [given.get("type") for tag, given in elements.found if tag == "script"]
    assert scripts == ["application/json", "application/json", None, None, None]
    assert elements.text.count(HOSTILE) >= 4  # the parameter, the reason, the config, the environment
    assert page.count("</script>") == len(scripts)


def test_characters_that_utf_8_does_not_have_do_not_stop_it(tmp_path: Path) -> None:
    rows = [run_record(), *trial_records(0, [0.1], "failed", {"epochs": 1, "optimizer.use": "\udc80"}, reason="\udc80")]
    assert "failed1" in Elements(read(sweep(tmp_path / "odd", rows).report())).text


# ---- in a browser ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield launched
        launched.close()


class Opened:
    """A page in a tab, once all of its figures are drawn, and what went wrong there or was loaded."""

    def __init__(self, browser: Any, path: Path, width: int = 1000, scheme: str = "light") -> None:
        self.complaints: list[str] = []
        self.tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.tab.set_default_timeout(60_000)
        note = self.complaints.append
        self.tab.on("console", lambda message: note(message.text) if message.type != "log" else None)
        self.tab.on("pageerror", lambda error: note(str(error)))
        self.tab.on("request", lambda request: note(request.url) if request.url != path.as_uri() else None)
        self.tab.goto(path.as_uri())
        self.tab.wait_for_function("document.querySelector('.plot') && !document.querySelector('.plot:empty')")

    def close(self) -> None:
        self.tab.close()
        assert self.complaints == []


@pytest.fixture(scope="module")
def small_tab(browser: Any, small_page: Path) -> Iterator[Any]:
    opened = Opened(browser, small_page)
    yield opened
    opened.close()


@pytest.fixture
def tab(small_tab: Any) -> Iterator[Any]:
    """The small report, as it is when it has just been opened."""
    tab = small_tab.tab
    tab.get_by_role("button", name="valid_accuracy").click()
    if tab.locator("th[aria-sort=ascending]").count():
        tab.get_by_role("button", name="valid_accuracy").click()
    tab.locator("#filter").fill("")
    tab.locator("#only").uncheck()
    if tab.get_by_role("button", name="Clear the selection").is_enabled():
        tab.get_by_role("button", name="Clear the selection").click()
    yield tab
    assert small_tab.complaints == []


def column(tab: Any, title: str) -> list[str]:
    """What the table shows in a column."""
    heads = [text.split(" ")[0] for text in tab.locator("#trial-table th").all_inner_texts()]
    return tab.locator(f"#trial-table tbody td:nth-child({heads.index(title) + 2})").all_inner_texts()


def selected(tab: Any, source: str = "trials") -> list[int]:
    """The numbers of the trials that are selected in a source of the figures."""
    found = f"[...Bokeh.documents[0].all_models].find((model) => model.name === '{source}')"
    return sorted(
        tab.evaluate(
            f"(() => {{ const it = {found}; return it.selected.indices.map((row) => it.data.number[row]) }})()"
        )
    )


FIGURE = """
    const views = Bokeh.documents[0].roots().map((figure) => Bokeh.index.find_one(figure))
    const view = views.find((each) => each.el.parentElement.id === place)
    const figure = view.model
"""


def mark(tab: Any, place: str, number: int) -> tuple[float, float]:
    """Where a trial's mark is on the screen."""
    tab.locator(f"#{place}").scroll_into_view_if_needed()
    code = """
        const { glyph, data_source } = figure.renderers.find((each) => each.glyph.type === "Scatter")
        const row = data_source.data.number.indexOf(number)
        const at = (axis) => view.frame[`${axis}_scale`].compute(data_source.data[glyph[axis].field][row])
        const box = view.canvas_view.el.getBoundingClientRect()
        return [box.x + at("x"), box.y + at("y")]
    """
    x, y = tab.evaluate(f"([place, number]) => {{ {FIGURE} {code} }}", [place, number])
    return x, y


def test_the_table_is_sorted_by_any_column(tab: Any, small: Results) -> None:
    best_first = small.trials.sort_values(["value", "number"], ascending=[False, True])["number"]
    assert column(tab, "trial") == [str(number) for number in best_first.head(25)]
    tab.get_by_role("button", name="learning_rate").press("Enter")  # the keyboard sorts as well
    ascending = small.trials.sort_values("params_learning_rate")["number"]
    assert column(tab, "trial") == [str(number) for number in ascending.head(25)]
    assert tab.locator("th[aria-sort=ascending]").inner_text() == "learning_rate ▲"
    tab.get_by_role("button", name="learning_rate").click()
    assert column(tab, "trial") == [str(number) for number in ascending[::-1].head(25)]
    tab.get_by_role("button", name="Next").click()
    assert column(tab, "trial") == [str(number) for number in ascending[::-1].iloc[25:50]]


def test_the_table_is_filtered_by_words_and_conditions(tab: Any, small: Results) -> None:
    trials = small.trials
    pruned = trials[trials["outcome"] == "pruned"]
    tab.locator("#filter").fill("hyperband")
    assert sorted(map(int, column(tab, "trial"))) == pruned["number"].tolist()
    tab.locator("#filter").fill("learning_rate>0.001 optimizer.use=sgd")
    wanted = trials[(trials["params_learning_rate"] > 0.001) & (trials["params_optimizer.use"] == "sgd")]
    assert sorted(map(int, column(tab, "trial"))) == wanted["number"].tolist()
    assert f"{len(wanted)} of 60 trials" in tab.locator("#page-of").inner_text()


def test_what_is_selected_in_the_table_is_selected_in_the_figures_and_back(tab: Any, small: Results) -> None:
    assert small.best is not None
    tab.get_by_label(f"select trial {small.best.number}", exact=True).check()
    assert selected(tab) == selected(tab, "curves") == selected(tab, "parallels") == [small.best.number]
    other = next(number for number in small.trials["number"] if number != small.best.number)
    x, y = mark(tab, "slice-p2", other)
    tab.mouse.click(x, y)
    assert other in selected(tab)
    assert "selected" in tab.locator("#page-of").inner_text()
    tab.locator("#only").check()
    assert sorted(map(int, column(tab, "trial"))) == selected(tab)
    tab.get_by_role("button", name="Clear the selection").click()
    assert selected(tab) == selected(tab, "curves") == []
    tab.locator("#filter").fill("outcome=pruned")
    tab.get_by_role("button", name="Select these in the figures").click()
    assert selected(tab) == small.trials.loc[small.trials["outcome"] == "pruned", "number"].tolist()


def test_a_box_drawn_in_a_figure_selects_what_is_in_it(tab: Any) -> None:
    x, y = mark(tab, "history-trials", 10)
    tab.mouse.move(x - 12, y - 12)
    tab.mouse.down()
    tab.mouse.move(x + 12, y + 12, steps=5)
    tab.mouse.up()
    assert 10 in selected(tab)
    assert len(selected(tab)) < 20


def test_pointing_at_a_mark_shows_its_trial_and_hostile_choices_as_text(browser: Any, hostile_page: Path) -> None:
    opened = Opened(browser, hostile_page)
    opened.tab.mouse.move(*mark(opened.tab, "history-trials", 0))
    shown = opened.tab.locator(".bk-tooltip-row-value")
    shown.first.wait_for()
    assert shown.all_inner_texts()[:3] == ["0", "0.6", "completed"]
    assert HOSTILE in shown.all_inner_texts()
    assert opened.tab.evaluate("window.broken") is None
    opened.close()


def test_any_two_parameters_can_be_chosen(tab: Any) -> None:
    tab.get_by_label("across").select_option("optimizer.use")
    tab.get_by_label("up").select_option("learning_rate")
    code = """
        const [across, up] = [figure.below[0], figure.left[0]]
        return [across.axis_label, up.axis_label, figure.x_scale.type, figure.y_scale.type,
                across.major_label_overrides.get(1), figure.renderers[0].glyph.x.field, figure.y_range.start]
    """
    *drawn, start = tab.evaluate(f"(place) => {{ {FIGURE} {code} }}", "contour")
    assert drawn == ["optimizer.use", "learning_rate", "LinearScale", "LogScale", "adam", "p4_place"]
    assert start == pytest.approx(1e-5, rel=0.5)


def test_it_fits_a_phone_and_follows_the_colours_of_the_system(browser: Any, small_page: Path) -> None:
    opened = Opened(browser, small_page, 400, "dark")
    assert opened.tab.evaluate("document.documentElement.scrollWidth") == 400
    grounds = "[...new Set(Bokeh.documents[0].roots().map((figure) => figure.background_fill_color))].join()"
    assert opened.tab.evaluate(grounds) == "#15181c"
    opened.tab.emulate_media(color_scheme="light")
    opened.tab.wait_for_function(f"{grounds} === '#ffffff'")
    opened.close()


def test_ten_thousand_trials_are_drawn_sorted_and_filtered(browser: Any, large_page: Path) -> None:
    opened = Opened(browser, large_page)
    tab = opened.tab
    assert "10,000 of 10,000 trials" in tab.locator("#page-of").inner_text()
    tab.get_by_role("button", name="learning_rate").click()
    rates = pd.Series(column(tab, "learning_rate"), dtype=float)
    assert rates.is_monotonic_increasing
    assert rates[0] < 2e-5
    tab.locator("#filter").fill("number=9999")
    assert column(tab, "trial") == ["9999"]
    opened.close()
