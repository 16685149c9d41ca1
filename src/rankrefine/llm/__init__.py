"""Language models: the engine interface, prompts, guidance, and one package per engine."""
