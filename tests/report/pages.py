"""What the tests of the report share: small data sets, and a parser for the page."""

import base64
import html.parser
import json

import numpy as np


def noisy_waves(n_samples, n_timesteps=8, n_classes=3, seed=0):
    """Return sine waves with noise, and their classes, which differ in phase."""
    rng = np.random.default_rng(seed)
    y = rng.integers(n_classes, size=n_samples)
    X = np.sin(np.arange(n_timesteps) / 2 + y[:, None])
    return X + rng.normal(0, 0.3, X.shape), y


class Page(html.parser.HTMLParser):
    """The texts, elements, scripts and data of a page, as a browser finds them."""

    def __init__(self, path):
        super().__init__()
        self.texts, self.elements, self.scripts, self.data, self.policy = [], [], [], {}, None
        self._script = None
        self.feed(path.read_text(encoding="utf-8"))
        self.text = " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.elements.append((tag, attributes))
        if attributes.get("http-equiv") == "Content-Security-Policy":
            self.policy = attributes["content"]
        self._script = attributes.get("id", "") if tag == "script" else None

    def handle_endtag(self, tag):
        if tag in ("script", "style"):
            self._script = None

    def handle_data(self, data):
        if self._script:
            self.data[self._script] = json.loads(data)
        elif self._script == "":
            self.scripts.append(data)
        else:
            self.texts.append(data)


def unpack(packed, index):
    """Return a packed series and its reconstruction, each of shape (n_steps, n_channels)."""
    levels = np.frombuffer(base64.b64decode(packed["values"]), "<u2").astype(float)
    n_channels, n_steps = packed["n_channels"], packed["n_steps"]
    ranges = np.frombuffer(base64.b64decode(packed["ranges"]), "<f8")
    low, step = ranges.reshape(-1, 2, n_channels)[index]
    start = 2 * n_channels * sum(n_steps[:index])
    pair = levels[start : start + 2 * n_channels * n_steps[index]]
    pair = pair.reshape(2, n_channels, n_steps[index]).transpose(0, 2, 1)
    return np.where(pair == 0, np.nan, low + (pair - 1) * step)
