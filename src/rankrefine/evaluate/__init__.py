"""Stage 5: encoders side by side. `task` checks a task, `run` evaluates through MTEB, `scores` makes the table.

Kept empty on purpose: what this file imported would become part of the code that each of the three rules depends on.
"""
