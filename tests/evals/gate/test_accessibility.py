"""The report's page in headless Chromium: axe-core's rules, a phone's width, the keyboard, and paper.

Skipped, with the reason, where Chromium, its driver, selenium or axe-core is not installed; all but the browser come with the
dependency group `dev`.
"""

import base64
import re
import shutil
from collections.abc import Iterator
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from conscience.evals import logs
from conscience.evals.gate import tradeoff, tradeoff_files
from conscience.evals.gate.command import gate
from conscience.evals.gate.verdict import Targets

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}
INK = ("#1f2a44", "#5a6478", "#1a4f9c", "#1c6b3c", "#9b1c1c", "#7a5200")
"""Every colour that text has on the page; the background is white."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Headless Chromium under selenium."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    if not found or not driver:
        pytest.skip("no Chromium with chromedriver on this machine")
    if not find_spec("selenium") or not find_spec("axe_core_python"):
        pytest.skip("selenium or axe-core-python is not installed: pip install --group dev")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1200,900"):
        options.add_argument(argument)
    options.binary_location = found
    window = webdriver.Chrome(service=Service(driver), options=options)
    window.set_script_timeout(180)
    yield window
    window.quit()


@pytest.fixture(scope="module")
def pages(runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a report that has every section, and a tradeoff."""
    out = tmp_path_factory.mktemp("pages")
    arguments = ["--base", str(runs["careless"]), "--candidate", str(runs["careful"]), "--out", str(out)]
    assert 0 == CliRunner().invoke(gate, arguments, standalone_mode=False).return_value
    models = logs.by_model([str(folder) for folder in runs.values()])
    tradeoff_files.write(tradeoff.points(models, "scripted/careless"), Targets(), 1, out)
    return out


@pytest.fixture
def page(browser: Any, pages: Path) -> Any:
    """The report, opened."""
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.get((pages / "report.html").as_uri())
    return browser


@pytest.fixture
def tradeoff_page(browser: Any, pages: Path) -> Any:
    """The tradeoff, opened."""
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.get((pages / "tradeoff.html").as_uri())
    return browser


def violations(page: Any) -> list[str]:
    """What axe-core finds with everything open; of the hundreds of changed samples and probes, made alike, a few are left."""
    page.execute_script(
        "[...document.querySelectorAll('.flip')].slice(8).forEach(e => e.remove());"
        "document.querySelectorAll('#principles ~ details tr:nth-child(n+4)').forEach(e => e.remove());"
        "document.querySelectorAll('details').forEach(d => d.open = true)"
    )
    page.execute_script((resources.files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8"))
    found = page.execute_async_script(
        "const [rules, done] = arguments; axe.run(document, rules).then(done, e => done({violations: [{id: String(e)}]}))",
        RULES,
    )
    return [f"{v['id']}: {[node['html'][:120] for node in v.get('nodes', [])][:3]}" for v in found["violations"]]


def test_axe_finds_nothing(page: Any) -> None:
    """WCAG 2.1 A and AA and axe's best practices: language, landmarks, order of headings, names, contrast."""
    assert [] == violations(page)


def test_axe_finds_nothing_in_the_tradeoff(tradeoff_page: Any) -> None:
    """The same rules on safety against utility, and no more than a phone's width."""
    assert [] == violations(tradeoff_page)
    metrics = {"width": 360, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    tradeoff_page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    assert 360 == tradeoff_page.execute_script("return document.documentElement.scrollWidth")


def test_axe_would_find_something(page: Any) -> None:
    """The check can fail: a picture without a text alternative is found."""
    page.execute_script("document.querySelector('svg').removeAttribute('aria-label')")
    assert ["svg-img-alt"] == [found.split(":")[0] for found in violations(page)]


@pytest.mark.parametrize("width", [420, 360])
def test_a_phone_scrolls_in_one_direction(page: Any, width: int) -> None:
    """Nothing is wider than the screen, all details open; a wide table scrolls in its own region."""
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    page.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert width == page.execute_script("return document.documentElement.scrollWidth")
    wide = page.execute_script(
        "return [...document.querySelectorAll('.scroll')].filter(r => r.scrollWidth > r.clientWidth).map(r => r.tabIndex)"
    )
    assert {0} == set(wide)


def test_the_keyboard_reaches_what_scrolls(page: Any) -> None:
    """The first tab stop skips to the content; what has the focus shows it by an outline."""
    from selenium.webdriver.common.keys import Keys

    page.find_element("tag name", "body").send_keys(Keys.TAB)
    first = page.switch_to.active_element
    assert "Skip to the content" == first.text
    assert "solid" == first.value_of_css_property("outline-style")
    first.send_keys(Keys.ENTER)
    assert "main" == page.switch_to.active_element.get_attribute("id")
    page.switch_to.active_element.send_keys(Keys.TAB)
    assert "region" == page.switch_to.active_element.get_attribute("role")


def test_paper_shows_what_is_folded(page: Any) -> None:
    """In print every answer stands open, and no link to the sections."""
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    shown = page.execute_script(
        "return [...document.querySelectorAll('.flip')].map(d => d.lastElementChild.getBoundingClientRect().height > 0)"
    )
    assert {True} == set(shown)
    assert "none" == page.execute_script("return getComputedStyle(document.querySelector('nav')).display")
    printed = base64.b64decode(page.execute_cdp_cmd("Page.printToPDF", {})["data"])
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    folded = base64.b64decode(page.execute_cdp_cmd("Page.printToPDF", {"pageRanges": "1"})["data"])
    assert len(printed) > len(folded)


def test_nothing_is_fetched(page: Any) -> None:
    """The page is one file: the browser asked for nothing else."""
    assert [] == page.execute_script("return performance.getEntriesByType('resource').map(r => r.name)")


def test_every_colour_of_text_has_contrast() -> None:
    """At least 4.5 to 1 on white, reckoned by WCAG's formula; the page uses no other colour for text."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    assert [] == [colour for colour in INK if 1.05 / (luminance(colour) + 0.05) < 4.5]
    style = (Path(__file__).parents[3] / "evals" / "gate" / "templates" / "page.html").read_text(encoding="utf-8")
    assert {*INK, "#d5dae3", "#fff"} == set(re.findall(r"#[0-9a-f]{3,6}\b", style))
