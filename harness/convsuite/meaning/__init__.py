"""What a literal call of a framework means, found by asking it.

A *call* is a line of Python as users write it. A *question* puts it to a sweep of small problems (probes) and knows the
canonical answers that it may give (meanings), each computed by the references of `convsuite.operations`. A call is
classified by the meaning that it gives on every probe that it answers; what it refuses is told as a rule. The register
keeps what each call meant with which version, so that a release that changes its meaning shows up as a changed row.

    convsuite meaning                     the table
    convsuite meaning --json              the register (cases/convsuite_cases/meanings.json), as it is now
    python -m convsuite.meaning docs/porting.md    the page's tables, from the register
"""
