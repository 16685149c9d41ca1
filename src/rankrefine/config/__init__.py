"""Configuration: schema, loading, validation, reference."""
