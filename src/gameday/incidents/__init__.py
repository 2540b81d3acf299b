"""Incident records: what a failed drill would have been, had it been none.

severities.py   one table of five teams' severity levels, and what each asks of the team: data
impact.py       what was measured of users, time and data; and the severity that follows from it
model.py        the record that others' tools read, and gameday's own beside it
lifecycle.py    detect, classify, mitigate, communicate, resolve, post-mortem: instants and deadlines
actions.py      what is to be done about what a drill missed
build.py        a drill as an incident
store.py        numbers, folders, finding them again

Everything but the store is pure. What was not measured is None, and "not measured" wherever people read it.
"""
