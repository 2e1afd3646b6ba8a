"""Makes the pictures of README and docs from a real build.

python docs/figures.py     # needs Chromium; writes docs/preview.png
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

HERE = Path(__file__).parent
RECORDS = 120
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync", "--disable-quic", "--no-first-run"]


def main() -> None:
    """Build, preview, and photograph one record of the page."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("no Chromium is installed")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "flags"
        run("build", "--out", str(out), "--limit", str(RECORDS))
        run("preview", str(out))
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            page = browser.new_page(viewport={"width": 1180, "height": 1000})
            page.goto(out.with_name("flags.preview.html").as_uri())
            # The bar that stays in view while scrolling would lie over the record.
            page.evaluate("document.querySelector('search, .toolbar, form')?.remove()")
            heading = page.locator("h2, h3", has_text="capital")
            record = page.locator("article").filter(has=heading).filter(has_text="similar").first
            picture = Image.open(io.BytesIO(record.screenshot()))
            browser.close()
        picture.convert("RGB").quantize(256).save(HERE / "preview.png", optimize=True)


def run(*arguments: str) -> None:
    """One command of the builder."""
    subprocess.run([sys.executable, "-m", "builders.okedit", *arguments], check=True)


if __name__ == "__main__":
    main()
