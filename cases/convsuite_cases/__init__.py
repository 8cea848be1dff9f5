"""The cases that convsuite ships: YAML, read by `convsuite.casefile.builtin`. There is no code here."""
