"""Pictures of what the method does."""
