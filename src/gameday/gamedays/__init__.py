"""Game days: a planned set of drills with roles, an order, notes, findings and action items.

    model.py       gamedays/*.yaml as frozen values
    plan.py        the order, with surprises drawn from a seed; times and needs (pure)
    entries.py     what the log of a game day can say
    log.py         the log: append-only, on disk before anything goes on, written by several processes
    state.py       the log folded into where a game day stands, and what comes next (pure)
    readiness.py   the automatic part of the go/no-go checklist
    findings.py    what the drills showed that somebody has to do something about (pure)

The log is the truth: whoever takes a game day up reads it, and nothing else, to know where it was.
"""
