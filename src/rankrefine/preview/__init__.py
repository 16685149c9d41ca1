"""The command `preview`: a few results of the language model, and the time that all of them would take."""
