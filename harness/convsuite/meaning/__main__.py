"""Make the register's tables in a page anew, from what is recorded: `python -m convsuite.meaning docs/porting.md`."""

import sys
from pathlib import Path

from convsuite.meaning.markdown import refreshed
from convsuite.meaning.register import recorded

if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(refreshed(page.read_text(encoding="utf-8"), recorded()), encoding="utf-8")
