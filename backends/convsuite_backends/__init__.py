"""The backends that convsuite ships: one module a framework, each imported only by the process that runs it."""
