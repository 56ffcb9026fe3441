"""The page in a browser, as a visitor has it: Chromium, driven by Playwright; skipped where either is missing.

With the environment variable JSTYLE_SCREENSHOTS the pictures in docs/images that show the page are made anew.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.web.served import BROWSER, ROOT, served

playwright = pytest.importorskip("playwright.sync_api")
playwright.expect.set_options(timeout=300_000)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="there is no Chromium here")

CONTENT, STYLE = ROOT / "samples/content/house_by_the_sea.png", ROOT / "samples/style/woodcut.png"
SHOTS = ROOT / "docs/images"
PATIENCE = 300_000  # milliseconds: on a new machine kernels are compiled first


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("web") / "web") as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    """A new visitor's page; it has said nothing that is wrong, and has asked no other host, when it is closed."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: complaints.append(request.url) if is_outside(request.url, address) else None)
    open_page(page, address)
    yield page
    assert [one for one in complaints if not is_left_behind(one)] == []
    context.close()


def is_left_behind(complaint: str) -> bool:
    """Whether it is of a look at the queue that was under way when the page was left."""
    return "AbortError" in complaint or "errored out" in complaint


def is_outside(url: str, address: str) -> bool:
    return not url.startswith((f"http://{address}", "data:", "blob:"))


def open_page(page: Any, address: str) -> None:
    page.goto(f"http://{address}/")
    page.wait_for_selector("#status")


def open_tab(page: Any, *names: str) -> None:
    for name in names:
        tab = page.get_by_role("tab", name=name, exact=True)
        if not tab.is_visible():
            page.locator(".overflow-menu button:visible").last.click()
            tab = page.locator(".overflow-dropdown button", has_text=name)
        tab.click()


def upload(page: Any, *files: Path) -> None:
    """One picture into each of the empty places, from the left."""
    for file in files:
        place = page.locator("button:visible", has_text="Drop Media Here").first
        with page.expect_file_chooser() as chooser:
            place.click()
        with page.expect_response(lambda response: "/upload" in response.url):
            chooser.value.set_files(file)
        place.wait_for(state="hidden") if len(files) == 1 else page.wait_for_timeout(300)


def find_field(page: Any, label: str) -> Any:
    name = page.locator("[data-testid=block-info]", has_text=re.compile(rf"^\s*{re.escape(label)}\s*$"))
    return page.locator("label:visible", has=name).locator("input, textarea").first


def fill(page: Any, label: str, value: str) -> None:
    find_field(page, label).fill(value)


def wait_for(page: Any, words: str) -> None:
    playwright.expect(page.locator("#status")).to_contain_text(words, timeout=PATIENCE)


def shoot(page: Any, name: str) -> None:
    if "JSTYLE_SCREENSHOTS" in os.environ:
        page.wait_for_timeout(500)
        page.screenshot(path=SHOTS / f"{name}.png")


def test_a_pair_from_upload_to_download_and_back(page: Any, address: str, tmp_path: Path) -> None:
    open_tab(page, "StyleID")
    upload(page, CONTENT, STYLE)
    fill(page, "Gamma", "0.35")
    fill(page, "Steps", "30")
    page.click("#make-styleid")
    page.locator("#status img.jstyle-preview").wait_for()
    shoot(page, "web_making")
    wait_for(page, "StyleID: done")
    pictures = page.locator("#made img")
    playwright.expect(pictures).to_have_count(2)  # the pair's, and its sheet

    page.reload()
    playwright.expect(page.locator("#made img")).to_have_count(2)
    wait_for(page, "StyleID: done")

    link = page.locator("#files a", has_text=re.compile("KB|MB")).last
    with page.expect_download() as download:
        link.click()
    file = tmp_path / "back.png"
    download.value.save_as(file)
    assert '"gamma": 0.35' in Image.open(file).info["jstyle"]

    open_tab(page, "StyleID")
    assert find_field(page, "Gamma").input_value() == "0.75"
    page.get_by_role("button", name="Settings from a picture").locator("visible=true").click()
    page.locator("#from-styleid input[type=file]").set_input_files(file)
    playwright.expect(find_field(page, "Gamma")).to_have_value("0.35")


def test_three_in_the_queue_and_one_cancelled(page: Any) -> None:
    fill(page, "Prompt *", "a house")
    for count, steps in ((1, "900"), (2, "900"), (3, "2")):
        fill(page, "Steps", steps)
        page.click("#make-txt2img")
        playwright.expect(page.locator(".jstyle-cancel:visible")).to_have_count(count)
    page.locator(".jstyle-cancel:visible", has_text="waiting").first.click()
    playwright.expect(page.locator(".jstyle-cancel:visible")).to_have_count(2)
    page.locator(".jstyle-cancel:visible", has_text="being made").click()
    playwright.expect(page.locator("#made img")).to_have_count(1)  # of the third alone
    playwright.expect(page.locator(".jstyle-cancel:visible")).to_have_count(0)


def test_another_seed_is_another_picture(page: Any) -> None:
    fill(page, "Prompt *", "a house")
    fill(page, "Steps", "2")
    for count in (1, 2):
        page.click("#another-txt2img")
        playwright.expect(page.locator("#made img")).to_have_count(count)
    assert find_field(page, "Seed").input_value() != "0"


def test_a_grid_is_one_sheet(page: Any) -> None:
    fill(page, "Prompt *", "a house")
    page.get_by_role("button", name="A grid: what one or two settings do").locator("visible=true").click()
    page.wait_for_timeout(500)  # it opens slowly
    page.locator("#down-txt2img input").click()
    page.get_by_role("option", name="Steps", exact=True).click()
    playwright.expect(page.locator("#down-txt2img input")).to_have_value("Steps")
    fill(page, "Its values down", "2 4 8")
    page.click("#grid-txt2img")
    wait_for(page, "Grid of Text to image: done")
    playwright.expect(page.locator("#made img")).to_have_count(4)  # three pictures and their sheet


def test_what_is_wrong_is_said_in_a_line(page: Any, tmp_path: Path) -> None:
    spoilt = tmp_path / "spoilt.png"
    spoilt.write_bytes(CONTENT.read_bytes()[:2000])
    toasts = page.locator(".toast-body")
    page.click("#make-txt2img")
    playwright.expect(toasts).to_contain_text("prompt is missing")
    open_tab(page, "StyleID")
    upload(page, spoilt, STYLE)
    page.click("#make-styleid")
    playwright.expect(toasts.last).to_contain_text("spoilt.png")
    assert "Traceback" not in page.content() and str(ROOT) not in page.content()


def test_a_style_is_taught_and_chosen(page: Any) -> None:
    open_tab(page, "Teach a model", "Textual inversion")
    upload(page, STYLE)
    fill(page, "Loop steps", "20")
    fill(page, "Validation prompts", "a house")
    fill(page, "Validation every", "10")
    page.click("#make-train_textual_inversion")
    wait_for(page, "done")
    playwright.expect(page.get_by_text("Learnt, to be chosen by these names")).to_be_visible()
    shoot(page, "web_taught")


@pytest.mark.parametrize("width", [390, 1400])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_fits(page: Any, address: str, width: int, theme: str) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    page.goto(f"http://{address}/?__theme={theme}")
    page.wait_for_selector("#status")
    page.get_by_role("tab", name="StyleID", exact=True).click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("#make-styleid").is_visible()
    if (width, theme) == (390, "dark"):
        shoot(page, "web_phone")


def test_all_of_it_is_reached_by_keyboard(page: Any) -> None:
    page.get_by_role("tab", name="StyleID", exact=True).focus()
    page.keyboard.press("Enter")
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.getAttribute('aria-label')"))
    assert "make-styleid" in reached
