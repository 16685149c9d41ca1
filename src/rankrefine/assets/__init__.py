"""Models and data sets: where they come from (`fetch`) and how every later stage finds them (`manifest`).

Kept empty on purpose: stages import `rankrefine.assets.manifest`, and what this file imported would become part of the
code that they depend on.
"""
