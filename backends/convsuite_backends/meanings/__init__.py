"""Lines as users of each framework write them, for the meaning register: one file a framework."""
