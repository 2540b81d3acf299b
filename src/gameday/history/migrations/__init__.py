"""How the tables of the history came to be what they are: Alembic's scripts, which `migrate.py` runs.

A new one is a file in `versions/` with the next number; `listing.HEAD` names it, and a test compares the two, and what
the scripts make with what `model.py` says. Scripts keep their own idea of the tables: the model goes on, they do not.
"""
