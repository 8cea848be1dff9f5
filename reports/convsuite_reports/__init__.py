"""Reports: tables, pages and plots over results databases.

`outcomes`, `agreement` and `timings` are for notebooks; `convsuite report` writes pages, `convsuite export` files.
"""

from convsuite_reports.frames import agreement, outcomes, timings

__all__ = ["agreement", "outcomes", "timings"]
