"""Runbooks: Markdown for people whose steps a drill executes.

`actions` (what a step can do), `model` (the values, and which steps run in which order), `parse` (Markdown to
values), `execute` (the effects), `output` (what may be kept of them), `lint` (what a runbook lacks).
Nothing is imported here, so that start-up stays quick.
"""
