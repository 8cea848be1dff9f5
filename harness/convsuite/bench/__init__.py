"""How fast: `convsuite bench`, from its options to its tables. How a single call is timed is in `convsuite.timing`."""
