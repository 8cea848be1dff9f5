"""Reports: tables, pages and plots over results databases. Nothing is here yet."""
