"""`gameday init`: the files of a first drill, made from what a service and its Prometheus say of themselves.

Finding (`docker`, `kubernetes`, `asking`, `monitoring`) only looks; choosing (`alerts`) and writing out (`render`) are
pure. What cannot be known from looking becomes a line that is marked for people (`gameday.todo`), never a guess that
looks like a fact.
"""
