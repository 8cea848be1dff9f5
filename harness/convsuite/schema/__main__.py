"""Print the JSON Schema of case files: `python -m convsuite.schema`."""

from __future__ import annotations

import sys

from convsuite.schema import schema_text

sys.stdout.write(schema_text())
