"""A plugin of asv: `asv publish` makes pages whose scripts lie beside them, so that they work without a network.

asv's page takes ten scripts and styles from servers of others, and is blank without them. Here are copies, in
`scripts/`; what a later asv asks for and is not here is told, and stays as asv wrote it.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from asv.console import log
from asv.publishing import OutputPublisher

SCRIPTS = Path(__file__).with_name("scripts")

# How an address in asv's page ends → our copy. Where ours is not minified, or of a later release, the name tells.
COPIES = {
    "/jquery-3.3.1.min.js": "jquery-3.3.1.min.js",
    "/flot/0.8.3/jquery.flot.min.js": "jquery.flot-0.8.3.js",
    "/flot/0.8.3/jquery.flot.time.min.js": "jquery.flot.time-0.8.3.js",
    "/flot/0.8.3/jquery.flot.selection.min.js": "jquery.flot.selection-0.8.3.js",
    "/flot/0.8.3/jquery.flot.categories.min.js": "jquery.flot.categories-0.8.3.js",
    "/flot-orderbars@1.0.0/js/jquery.flot.orderBars.js": "jquery.flot.orderBars-1.0.0.js",
    "/stupidtable/1.0.1/stupidtable.min.js": "stupidtable-1.1.3.min.js",
    "/blueimp-md5/2.19.0/js/md5.min.js": "md5-2.19.0.min.js",
    "/bootstrap@3.1.1/dist/js/bootstrap.min.js": "bootstrap-3.1.1.min.js",
    "/bootstrap@3.1.1/dist/css/bootstrap.min.css": "bootstrap-3.1.1.min.css",
}

_TAG = re.compile(r"<(?:script|link)\b[^>]*>")
_ADDRESS = re.compile(r"(?<=[\"'])https?://[^\"']+")
_REMOTE_ONLY = re.compile(r"\s(?:integrity|crossorigin|referrerpolicy)=\"[^\"]*\"")


class Offline(OutputPublisher):  # type: ignore[misc]  # asv has no types
    """Runs after asv's own pages have been made."""

    @classmethod
    def publish(cls, conf: Any, *_: Any) -> None:
        """Rewrite the page of `html_dir`."""
        for address in localize(Path(conf.html_dir)):
            log.warning(f"the pages need the network: there is no copy of {address} in {SCRIPTS}")


def localize(html: Path) -> list[str]:
    """Let the page take its scripts from beside it; return the addresses that it still needs."""
    page = html / "index.html"
    text = _TAG.sub(lambda tag: _local(tag[0]), page.read_text(encoding="utf-8"))
    page.write_text(text, encoding="utf-8")
    (html / "scripts").mkdir(exist_ok=True)
    for copy in COPIES.values():
        shutil.copyfile(SCRIPTS / copy, html / "scripts" / copy)
    return [address[0] for tag in _TAG.finditer(text) if (address := _ADDRESS.search(tag[0]))]


def _local(tag: str) -> str:
    """Return a tag with the address of our copy, if there is one, and without what asv says of the remote file."""
    address = _ADDRESS.search(tag)
    copy = next((name for end, name in COPIES.items() if address and address[0].endswith(end)), None)
    if address is None or copy is None:
        return tag
    return _REMOTE_ONLY.sub("", tag.replace(address[0], f"scripts/{copy}"))
