"""The command `machine`: how this machine computes, and how long a run takes on it."""
