"""Measurements of gameday itself, each beside its yardstick in the same run: `python -m bench`.

A figure alone says as much about the machine as about the code. So every measurement takes turns with something
that everybody has (Chaos Toolkit, an idle interpreter, a bare loop, the waiting that the rules demand), and what is
kept is the ratio.
"""
