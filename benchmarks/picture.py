"""The picture in the README: the matrix of one operation, as a report has it, taken of a real run.

    convsuite check
    python benchmarks/picture.py convsuite.db docs/matrix.png --operation conv

Needs the extra `dev`, and a Chromium.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from convsuite_reports.command import Request, run_report

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTH, HEIGHT, SCALE = 1100, 1400, 1.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("db", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--operation", default="conv")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        request = Request(db=asked.db, out=Path(folder) / "site", single_file=False, run=None, folders=())
        take(run_report(request).with_name("matrix.html"), asked.picture, asked.operation)


def take(page: Path, picture: Path, operation: str) -> None:
    """Take a picture of the matrix and its legend, filtered to an operation."""
    from playwright.sync_api import sync_playwright

    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        shown = chromium.new_page(viewport={"width": WIDTH, "height": HEIGHT}, device_scale_factor=SCALE)
        shown.goto(f"{page.as_uri()}#?op={operation}")
        parts = [shown.locator(s).first.bounding_box() for s in (".legend", ".matrix")]
        boxes = [box for box in parts if box is not None]
        right = max(box["x"] + box["width"] for box in boxes) + 12
        top, bottom = boxes[0]["y"] - 8, boxes[-1]["y"] + boxes[-1]["height"] + 8
        shown.screenshot(path=picture, clip={"x": 12, "y": top, "width": right - 12, "height": bottom - top})
        chromium.close()


if __name__ == "__main__":
    main()
