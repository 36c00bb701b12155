"""The report in a real browser: with mouse, keyboard and touch, on a phone, in dark mode.

The browser is Debian's package ``chromium``, driven by Playwright.
"""

import io
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from seqfeat import LSTMAutoencoder, make_classifier
from seqfeat.report import save_report

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: seqfeat[dev]")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium: apt-get install chromium"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
SCRIPT = "<script>alert(1)</script>"
HOSTILE = [SCRIPT, "</script><b>x</b>", '"><img src=x onerror=alert(2)>', r"$$\frac{1}{2}$$"]

PIXEL_OF = """index => {
  const view = [...Bokeh.index.roots].find(v => v.model.document.get_model_by_name('points'));
  const data = view.model.document.get_model_by_name('points').data;
  const box = view.canvas_view.el.getBoundingClientRect();
  return [box.x + view.frame.x_scale.compute(data.x[index]),
          box.y + view.frame.y_scale.compute(data.y[index])];
}"""
"""Where a point of the map lies, in pixels of the window."""

POINTS = """() => {
  const view = [...Bokeh.index.roots].find(v => v.model.document.get_model_by_name('points'));
  const data = view.model.document.get_model_by_name('points').data;
  return [Array.from(data.x), Array.from(data.y)];
}"""
"""Where all points lie, in units of the map's axes."""

DRAWN = """name => {
  for (const view of Bokeh.index.roots) {
    if (!document.getElementById('detail').contains(view.el)) continue;
    return Array.from(view.model.document.get_model_by_name(name).data.ys[0]);
  }
}"""
"""The values that the plot of the selected series shows, of its first channel."""

SHADES = """() => {
  const isDetail = view => document.getElementById('detail').contains(view.el);
  const view = [...Bokeh.index.roots].find(isDetail);
  const { left, right, bottom } = view.model.document.get_model_by_name('shades').data;
  return [left, right, bottom].map(numbers => Array.from(numbers));
}"""
"""Where the plot of the selected series is shaded."""


def waves(n_samples, n_timesteps=20, seed=0):
    rng = np.random.default_rng(seed)
    phase = rng.uniform(0, 6, n_samples)
    y = (phase > 3).astype(int) + (phase > 5)
    X = np.sin(np.arange(n_timesteps) / 3 + phase[:, None])
    return X + rng.normal(0, 0.05, X.shape), y


def labelled_waves():
    """The series of the report, and their labels, two of which are wrong."""
    X, y = waves(40, seed=1)
    y[:2] = (y[:2] + 1) % 3
    return X, y


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def model():
    X, y = waves(60)
    return make_classifier(4, max_iter=2, random_state=0).fit(X, y)


@pytest.fixture(scope="module")
def report(model, tmp_path_factory):
    """A report on 40 waves with hostile names, their values and the names."""
    X, y = labelled_waves()
    target = tmp_path_factory.mktemp("report") / "report.html"
    ids = [f"{HOSTILE[row % len(HOSTILE)]} {row}" for row in range(len(X))]
    save_report(model, X, y, target, ids=ids, title=SCRIPT, notes=SCRIPT, n_anomalies=3)
    return target, X, ids


class Visit:
    """An open page, and the messages and requests that came from it."""

    def __init__(self, browser, target, **options):
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.messages, self.requests = [], []
        self.page.on("console", self._record_message)
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))
        self.page.on("dialog", lambda dialog: self.messages.append(dialog.message))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("websocket", lambda socket: self.requests.append(socket.url))
        self.page.goto(target.as_uri())
        self.page.wait_for_selector("html[data-ready]")
        self.page.locator("#map").scroll_into_view_if_needed()
        self._wait_until_drawn()
        self._wait_until_still()

    def _record_message(self, message):
        if message.type in ("warning", "error"):
            self.messages.append(message.text)

    def _wait_until_drawn(self):
        # Playwright's own waiting evaluates strings in the page, which its policy forbids.
        while not self.page.evaluate("Bokeh.documents.every(document => document.is_idle)"):
            self.page.wait_for_timeout(50)

    def _wait_until_still(self):
        """Wait until the map has settled, or points would move under the pointer."""
        before, now = None, self.page.evaluate(PIXEL_OF, 0)
        while now != before:
            self.page.wait_for_timeout(50)
            before, now = now, self.page.evaluate(PIXEL_OF, 0)

    def heading(self):
        return self.page.locator("#series-info strong").text_content()


@pytest.fixture
def visit(browser, report):
    opened = []

    def open_page(target=report[0], **options):
        opened.append(Visit(browser, target, **options))
        return opened[-1]

    yield open_page
    for one in opened:
        one.context.close()
        assert one.messages == []
        assert [url for url in one.requests if not url.startswith(("file:", "data:"))] == []
        assert len([url for url in one.requests if url.startswith("file:")]) == 1


def isolated_point(opened):
    """Return the point that is farthest from its neighbours, and its pixel."""
    points = np.transpose(opened.page.evaluate(POINTS))
    distances = np.linalg.norm(points[:, None] - points, axis=2) + np.diag([np.inf] * len(points))
    # Not the first, which is selected from the start.
    index = int(distances.min(axis=1)[1:].argmax()) + 1
    return index, opened.page.evaluate(PIXEL_OF, index)


def names(opened):
    options = opened.page.locator("#series-list option")
    return [text.split(" · ")[0] for text in options.all_text_contents()]


def assert_shows(opened, report, index):
    """Check that the heading names the series and the plot holds its values."""
    name = names(opened)[index]
    sync_api.expect(opened.page.locator("#series-info strong")).to_have_text(name)
    _, X, ids = report
    shown = opened.page.evaluate(DRAWN, "series")
    np.testing.assert_allclose(shown, X[ids.index(name)], atol=1e-4)


def test_the_first_series_is_the_most_anomalous(visit, report, model):
    opened = visit()
    _, X, ids = report
    errors = -model["autoencoder"].score_samples(X)
    assert names(opened) == [ids[row] for row in np.argsort(-errors, kind="stable")]
    assert_shows(opened, report, 0)
    expected = model["autoencoder"].reconstruct(X)[errors.argmax()]
    shown = opened.page.evaluate(DRAWN, "reconstruction")
    np.testing.assert_allclose(shown, expected, atol=1e-4)


def test_timesteps_with_large_errors_are_shaded_in_the_lane_of_their_channel(visit, tmp_path):
    X = np.random.default_rng(0).normal(size=(8, 600, 2))
    model = LSTMAutoencoder(2, max_iter=0, random_state=0).fit(X)
    X[3, 100:103, 0] += 30
    model.timestep_threshold_ = -100.0
    opened = visit(save_report(model, X, target=tmp_path / "report.html"))
    assert opened.heading() == "series 3"
    (left,), (right,), (bottom,) = opened.page.evaluate(SHADES)
    # In intervals of 5 timesteps, as the series is thinned to 240 values.
    assert (left, right, bottom) == (99.5, 104.5, 1.15)


def test_a_hovered_point_shows_its_series_until_the_pointer_leaves(visit, report):
    opened = visit()
    index, pixel = isolated_point(opened)
    opened.page.mouse.move(*pixel)
    assert_shows(opened, report, index)
    opened.page.locator("h1").hover()
    assert_shows(opened, report, 0)


def test_a_clicked_point_stays_selected_when_the_pointer_leaves(visit, report):
    opened = visit()
    index, pixel = isolated_point(opened)
    opened.page.mouse.click(*pixel)
    opened.page.locator("h1").hover()
    assert_shows(opened, report, index)
    assert opened.page.locator("#series-list").input_value() == str(index)


def test_a_tapped_point_shows_its_series(visit, report):
    opened = visit(**PHONE)
    index, pixel = isolated_point(opened)
    opened.page.touchscreen.tap(*pixel)
    assert_shows(opened, report, index)
    # A finger that moves over the map scrolls the page.
    style = "element => getComputedStyle(element).touchAction"
    assert opened.page.locator("#map .bk-events").first.evaluate(style) == "auto"


def test_the_list_works_with_the_keyboard(visit, report):
    opened = visit()
    opened.page.locator("#series-list").focus()
    opened.page.keyboard.press("ArrowDown")
    assert_shows(opened, report, 1)
    opened.page.keyboard.press("End")
    assert_shows(opened, report, 39)


def test_the_map_is_reached_by_tab_and_works_with_arrow_keys(visit):
    opened = visit()
    focused = "document.activeElement.id"
    opened.page.locator("nav a").last.focus()
    for _ in range(20):
        opened.page.keyboard.press("Tab")
        if opened.page.evaluate(focused) == "map":
            break
    assert opened.page.evaluate(focused) == "map"
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert opened.page.evaluate(outline) == "solid"
    points = np.transpose(opened.page.evaluate(POINTS))
    n_moves = 0
    for key, axis, sign in (("ArrowRight", 0, 1), ("ArrowLeft", 0, -1), ("ArrowUp", 1, 1)):
        before = int(opened.page.locator("#series-list").input_value())
        opened.page.keyboard.press(key)
        after = int(opened.page.locator("#series-list").input_value())
        if after != before:
            gap = points[after] - points[before]
            assert gap[axis] * sign >= abs(gap[1 - axis])
            n_moves += 1
    assert n_moves >= 2


def test_a_class_or_the_misclassified_series_can_be_shown_alone(visit, report, model):
    opened = visit()
    _, X, ids = report
    y = labelled_waves()[1]
    everything = names(opened)
    _, pixel = isolated_point(opened)
    for choice, rows in (("1", y == 1), ("wrong", model.predict(X) != y)):
        opened.page.locator("#filter").select_option(choice)
        listed = set(names(opened))
        assert listed == {ids[row] for row in np.flatnonzero(rows)}
        assert opened.heading() in listed
        opened.page.mouse.move(*pixel)
        opened.page.mouse.click(*pixel)  # on a point that may be faint now
        assert opened.heading() in listed
    opened.page.locator("#filter").select_option("all")
    assert names(opened) == everything


def test_the_button_of_an_anomaly_selects_it_on_the_map(visit, report):
    opened = visit()
    opened.page.get_by_role("button", name="Show on map").nth(2).press("Enter")
    assert_shows(opened, report, 2)
    assert opened.page.evaluate("document.activeElement.id") == "map"


def test_hostile_names_stay_text(visit, report):
    # The fixture checks that nothing was executed or requested.
    opened = visit()
    assert opened.page.locator("h1").text_content() == SCRIPT
    assert opened.page.title() == SCRIPT
    assert opened.page.locator("img, main b b").count() == 0
    assert set(names(opened)) == set(report[2])
    for index, name in enumerate(names(opened)[:4]):
        opened.page.locator("#series-list").select_option(str(index))
        assert opened.heading() == name
    index, pixel = isolated_point(opened)
    opened.page.mouse.move(*pixel)
    value = opened.page.locator(".bk-Tooltip [data-value]").first
    sync_api.expect(value).to_have_text(names(opened)[index])


def test_hostile_classes_and_channels_stay_text(visit, tmp_path):
    rng = np.random.default_rng(0)
    index = pd.MultiIndex.from_product([range(12), range(9)], names=["series", "time"])
    channels = [SCRIPT, r"$$\frac{1}{2}$$", "c"]
    frame = pd.DataFrame(rng.normal(size=(108, 3)), index, columns=channels)
    y = np.array(HOSTILE[:4] * 3)
    model = make_classifier(2, max_iter=1, random_state=0).fit(frame, y)
    target = save_report(model, frame, y, tmp_path / "report.html", baselines={SCRIPT: 0.5})
    opened = visit(target)
    assert set(opened.page.locator(".matrix tbody th").all_inner_texts()) == set(y)
    assert opened.page.locator("main img").count() == 0
    assert SCRIPT in opened.page.locator(".bars").inner_text()


@pytest.mark.parametrize("width", [320, 1000])
def test_nothing_is_wider_than_the_window(visit, width):
    opened = visit(viewport={"width": width, "height": 844}, is_mobile=width < 500)
    # Plots are drawn as they come near the window, so scroll to each.
    for plot in opened.page.locator(".plot").all():
        plot.scroll_into_view_if_needed()
        assert plot.locator("canvas").first.bounding_box()["width"] > 0.25 * width
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width


def luminance(opened, selector, property):
    """Return the relative luminance of a colour, from 0 for black to 1 for white."""
    numbers = opened.page.locator(selector).first.evaluate(
        f"element => getComputedStyle(element).{property}.match(/[\\d.]+/g).slice(0, 3).map(Number)"
    )
    linear = [(v / 255 / 12.92) if v <= 10 else ((v / 255 + 0.055) / 1.055) ** 2.4 for v in numbers]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast_in_light_and_dark_mode(visit, scheme):
    opened = visit(color_scheme=scheme)
    page = luminance(opened, "body", "backgroundColor")
    assert (page > 0.5) == (scheme == "light")
    for selector in ("h1", "#map-caption", "nav a", ".number"):
        text = luminance(opened, selector, "color")
        assert (max(text, page) + 0.05) / (min(text, page) + 0.05) >= 4.5


def mean_grey(opened, selector):
    """Return the mean grey level of an element on the screen."""
    picture = opened.page.locator(selector).screenshot()
    return np.asarray(Image.open(io.BytesIO(picture)).convert("L")).mean()


def test_plots_follow_a_change_from_dark_to_light_mode(visit):
    opened = visit(color_scheme="dark")
    assert mean_grey(opened, "#map") < 80
    opened.page.emulate_media(color_scheme="light")
    opened.page.wait_for_timeout(300)
    assert mean_grey(opened, "#map") > 200


def test_an_autoencoder_alone_has_a_page_too(visit, tmp_path):
    X = [np.sin(np.arange(n) / 3) for n in (5, 9, 1, 30)]
    X[1][3:5] = np.nan
    model = LSTMAutoencoder(2, max_iter=0, missing="mask", random_state=0).fit(X)
    opened = visit(save_report(model, X, target=tmp_path / "report.html"))
    assert opened.page.locator(".matrix").count() == 0
    for index in range(4):
        opened.page.locator("#series-list").select_option(str(index))
        row = int(opened.heading().split()[1])
        shown = np.array(opened.page.evaluate(DRAWN, "series"), dtype=float)
        np.testing.assert_allclose(shown, X[row], atol=1e-4)
