"""The report's figures, each drawn from the collected records; `style` has what they share."""
