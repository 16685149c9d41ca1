"""Training shared by stages: trainer, hyperparameters, development score, work folder, LoRA, several processes."""
